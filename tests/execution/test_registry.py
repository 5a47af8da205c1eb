import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from qvit_qiskit import shipped
from qvit_qiskit.circuits import ry_ring
from qvit_qiskit.exceptions import ProfileError, RouteError
from qvit_qiskit.execution import registry
from qvit_qiskit.hardware.estimators import RehearsalEstimator
from qvit_qiskit.profile import FakeProfile
from qvit_qiskit.qnn import QuantumLinear, QuantumProjections
from qvit_qiskit.simulation.bitstrings import BitstringEstimator
from qvit_qiskit.simulation.exact.estimator import ExactEstimator
from qvit_qiskit.simulation.exact.forms import FormEngine
from qvit_qiskit.simulation.exact.gradient import AdjointGradient
from qvit_qiskit.simulation.noise.noisy_forms import NoisyFormEngine
from qvit_qiskit.simulation.shifts import ParameterShiftGradient, SPSAGradient

SHIPPED = sorted((Path(registry.__file__).parents[2] / "backends").glob("*.toml"))
MINIMAL = 'kind = "aer"\ndescription = "{}"'


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(folder: Path, name: str = "mine") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.toml"
    path.write_text(MINIMAL.format(folder.name), encoding="utf-8")
    return path


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_profiles(path, here):
    """They load; they open as well, unless they would cost QPU time."""
    profile = registry.find(path.stem).load()
    if profile.kind == "ibm":
        with pytest.raises(RouteError, match=r"costs QPU time, so no forward pass may start it"):
            registry.open(path.stem)
        return
    opened = registry.open(path.stem)
    assert (opened.name, opened.path.resolve()) == (path.stem, path)
    assert opened.profile.description.endswith(".")
    assert opened.trainable == (opened.profile.kind == "aer")
    opened.reseed(1, 2)


def test_there_are_shipped_profiles():
    assert {"aer-exact", "aer-shots", "fake-boston"} <= {path.stem for path in SHIPPED}


def test_what_shipped_profiles_are_made_of(here):
    made = {name: registry.open(name).estimator for name in ("aer-exact", "aer-shots")}
    made |= {name: registry.open(name).estimator for name in ("aer-boston", "aer-boston-exact")}
    assert isinstance(made["aer-exact"], ExactEstimator)
    assert not made["aer-exact"].engine.single
    assert registry.open("aer-exact-single").estimator.engine.single
    assert isinstance(made["aer-shots"], BitstringEstimator)
    assert isinstance(made["aer-shots"].engine, FormEngine)
    assert isinstance(made["aer-boston"], BitstringEstimator)
    assert isinstance(made["aer-boston"].engine, NoisyFormEngine)
    assert isinstance(made["aer-boston-exact"], ExactEstimator)
    assert isinstance(made["aer-boston-exact"].engine, NoisyFormEngine)
    assert "on fake_boston" in registry.open("aer-boston").describe(ry_ring(2, 1))
    assert isinstance(registry.open("fake-torino").estimator, RehearsalEstimator)
    assert registry.open("aer-boston").estimator.shots == 1024
    gradients = {
        "aer-exact": AdjointGradient,
        "aer-shots": ParameterShiftGradient,
        "aer-boston": ParameterShiftGradient,
        "aer-boston-exact": AdjointGradient,
        "aer-reference": ParameterShiftGradient,
        "aer-spsa": SPSAGradient,
        "fake-boston": type(None),
    }
    for name, kind in gradients.items():
        assert type(registry.open(name).gradient) is kind


def test_param_shift_can_be_asked_for(here):
    (here / "a.toml").write_text('kind = "aer"\ngradient = "param-shift"')
    opened = registry.open("a.toml")
    assert type(opened.gradient) is ParameterShiftGradient
    assert isinstance(opened.estimator, ExactEstimator)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("aer-exact", "exact, compiled loops over "),
        ("aer-shots", "bitstrings from: exact, batched state in torch"),
        (
            "aer-boston",
            "bitstrings from: noisy observables evolved backwards, on fake_boston",
        ),
        ("fake-torino", "the IBM client's sampler at resilience level 0 on fake_torino, qubits "),
        ("aer-reference", "Aer's own estimator, one simulation per row"),
    ],
)
def test_description(name, words, here):
    line = registry.open(name).describe(ry_ring(2, 1))
    assert line.startswith(words)
    if "qubits" in words:
        assert ", 1 two-qubit gates" in line


def test_search_order(here, monkeypatch):
    """The folder given, else QVIT_BACKENDS; ./backends; the checkout's; the packaged copies."""
    monkeypatch.setattr(shipped, "PACKAGE", here / "checkout" / "package")
    paths = [
        write(here / "checkout" / "package" / "packaged" / "backends"),
        write(here / "checkout" / "backends"),
        write(here / "backends"),
        write(here / "environment"),
        write(here / "given"),
    ]
    assert registry.find("mine").path == paths[2]
    paths[2].unlink()
    assert registry.find("mine").path == paths[0]  # no pyproject.toml: not a checkout
    (here / "checkout" / "pyproject.toml").touch()
    assert registry.find("mine").path == paths[1]
    write(here / "backends")
    monkeypatch.setenv("QVIT_BACKENDS", str(here / "environment"))
    found = registry.find("mine")
    assert (found.path, found.shadows) == (paths[3], (paths[2], paths[1], paths[0]))
    found = registry.find("mine", here / "given")
    assert (found.path, found.shadows) == (paths[4], (paths[2], paths[1], paths[0]))
    assert found.load().description == "given"
    explicit = registry.find(str(paths[0]), here / "given")
    assert (explicit.name, explicit.path) == ("mine", paths[0])
    assert registry.open(str(paths[0])).profile.description == "backends"


def test_a_folder_counts_once(here, monkeypatch):
    """In the checkout itself ``./backends`` and the checkout's folder are one."""
    monkeypatch.setattr(shipped, "PACKAGE", here / "package")
    (here / "pyproject.toml").touch()
    write(here / "backends")
    assert registry.folders() == [here / "backends"]
    assert registry.folders(here / "backends") == [here / "backends"]
    assert registry.find("mine").shadows == ()
    packaged = write(here / "package" / "packaged" / "backends").parent
    assert registry.folders(packaged) == [packaged, here / "backends"]  # at its first place


def test_profiles_are_listed_by_name(here):
    write(here / "backends", "zebra")
    write(here / "backends", "aer-exact")
    found = registry.available()
    names = [one.name for one in found]
    assert names == sorted(names)
    assert {"zebra", "aer-exact", "fake-boston"} <= set(names)
    shadowed = next(one for one in found if one.name == "aer-exact")
    assert shadowed.path == here / "backends" / "aer-exact.toml"
    assert len(shadowed.shadows) == 1


def test_unknown_profiles(here):
    with pytest.raises(ProfileError, match=r"backend profile 'aer-exat'.*Did you mean 'aer-exact'"):
        registry.open("aer-exat")
    with pytest.raises(ProfileError, match=r"The profile file no\.toml does not exist"):
        registry.open("no.toml")


def test_missing_folders_are_named(here, monkeypatch):
    with pytest.raises(ProfileError, match="folder nowhere does not exist"):
        registry.open("aer-exact", backends_dir=Path("nowhere"))
    monkeypatch.setenv("QVIT_BACKENDS", "elsewhere")
    with pytest.raises(ProfileError, match="folder elsewhere does not exist"):
        registry.available()


@pytest.mark.parametrize(
    "text", ['kind = "fake"\ndevice = "fake_bostn"', 'kind = "aer"\nnoise = "fake_bostn"']
)
def test_unknown_devices(here, text):
    (here / "a.toml").write_text(text)
    with pytest.raises(RouteError, match=r"'fake_bostn'.*Did you mean 'fake_boston'"):
        registry.open("a.toml")


def test_fake_profiles_do_not_train(here):
    with pytest.raises(RouteError, match=r"'fake-torino' is of kind 'fake'.*--backend aer-exact"):
        registry.open("fake-torino", training=True)
    assert registry.open("aer-exact", training=True).trainable
    layer = QuantumLinear(ry_ring(2, 1), registry.open("fake-torino"))
    with pytest.raises(RouteError, match="only evaluates"):
        layer(torch.zeros(1, 2))
    with pytest.raises(RouteError, match="only evaluates"):
        layer.network.backward(np.zeros((1, 2)), np.zeros(2))


def test_the_default_route():
    opened = registry.default_route()
    assert (opened.name, opened.trainable) == ("aer-exact", True)
    assert registry.default_route() is opened
    assert QuantumLinear(ry_ring(1, 1)).route is opened


def test_a_model_is_bound_and_restored(here):
    """Each layer to its own old route, whatever happens inside."""
    single, shots = registry.open("aer-exact-single"), registry.open("aer-shots")
    circuit = ry_ring(2, 1)
    model = nn.Sequential(QuantumLinear(circuit), nn.Linear(2, 2), QuantumLinear(circuit, single))
    with registry.route(model, shots) as bound:
        assert bound is shots
        assert model[0].route is model[2].route is shots
        assert model[0].network.estimator is shots.estimator
    assert (model[0].route, model[2].route) == (registry.default_route(), single)

    def fail() -> None:
        with registry.route(model, "aer-spsa") as bound:
            assert model[0].route is model[2].route is bound
            assert bound.name == "aer-spsa"
            raise KeyError("inside")

    with pytest.raises(KeyError, match="inside"):
        fail()
    assert (model[0].route, model[2].route) == (registry.default_route(), single)
    assert model[2].network.estimator is single.estimator


def test_projections_are_bound_layer_by_layer(here):
    """Even where they are on different routes before."""
    model = nn.ModuleList([QuantumProjections(ry_ring(2, 1), heads=1)])
    single = registry.open("aer-exact-single")
    model[0].key[0].bind(single)
    with registry.route(model, "aer-shots") as bound:
        parts = [model[0].query[0], model[0].key[0], model[0].value[0]]
        assert all(layer.route is bound for layer in parts)
    default = registry.default_route()
    assert [layer.route for layer in parts] == [default, single, default]


def test_a_profile_that_does_not_open_changes_nothing(here):
    layer = QuantumLinear(ry_ring(2, 1))
    with pytest.raises(ProfileError), registry.route(layer, "none"):
        pass
    assert layer.route is registry.default_route()


def test_a_profile_in_a_folder_of_its_own(here):
    layer = QuantumLinear(ry_ring(1, 1))
    write(here / "mine")
    with registry.route(layer, "mine", backends_dir=here / "mine") as bound:
        assert bound.profile.description == "mine"


def test_reseeding_repeats_the_stream(here):
    """Shots and directions start anew; other numbers give another stream."""
    opened = registry.open("aer-spsa")
    layer = QuantumLinear(ry_ring(2, 1), opened)

    def step(*seed: int) -> tuple[np.ndarray, np.ndarray]:
        opened.reseed(*seed)
        x = torch.full((3, 2), 0.7, requires_grad=True)
        out = layer(x)
        out.sum().backward()
        return out.detach().numpy(), x.grad.numpy()

    first, again, other = step(5), step(5), step(6)
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    assert not np.array_equal(first[0], other[0])
    assert not np.array_equal(first[1], other[1])


def test_routes_are_shared_by_copies(here):
    opened = registry.open("aer-shots")
    assert copy.deepcopy(opened) is opened
    assert isinstance(registry.open("fake-boston").profile, FakeProfile)
