"""Circuits of the user's own in a ViT: by object, by a registered name, and back from files."""

import base64
import io
import json
import pickle

import numpy as np
import pytest
import torch
from qiskit import qpy
from qiskit.circuit import Gate, ParameterVector, QuantumCircuit
from qiskit.circuit.library import efficient_su2, zz_feature_map
from safetensors import safe_open
from safetensors.torch import save_file

from qvit_qiskit import (
    QNNCircuit,
    ViTConfig,
    build_circuit,
    build_model,
    load_checkpoint,
    register_family,
    save_checkpoint,
)
from qvit_qiskit.circuits import FAMILIES, z_observables
from qvit_qiskit.circuits.circuit_record import (
    circuit_digest,
    pack_circuit,
    same_circuit,
    unpack_circuit,
)
from qvit_qiskit.exceptions import CheckpointError, CircuitError, ConfigError
from qvit_qiskit.runs.run_folder import own_checkpoint

SMALL = {"width": 4, "heads": 2, "patch_size": 14}


def plain(qubits=2, layers=1, outputs=None):
    """Rotations, controlled rotations and expressions, read on some of the wires."""
    x, w = ParameterVector("zeta", qubits), ParameterVector("alpha", layers + 1)
    circuit = QuantumCircuit(qubits)
    for q in range(qubits):
        circuit.ry(x[q], q)
    for layer in range(layers):
        circuit.crx(w[layer], 0, qubits - 1)
        circuit.rzz(w[layer] + 0.5 * w[layer + 1], 0, qubits - 1)
    circuit.ry(w[layers], 0)
    return QNNCircuit(circuit, tuple(x), tuple(w), z_observables(qubits)[:outputs])


def library(gate):
    """Library circuits, composed or as gates."""
    features, ansatz = zz_feature_map(2, reps=1), efficient_su2(2, reps=1)
    circuit = QuantumCircuit(2)
    for part in (features, ansatz):
        circuit.append(part.to_gate(), [0, 1]) if gate else circuit.compose(part, inplace=True)
    return QNNCircuit(
        circuit, tuple(features.parameters), tuple(ansatz.parameters), z_observables(2)
    )


class Odd(Gate):
    """A gate with a parameter of any kind."""

    def validate_parameter(self, parameter):
        return parameter


class Turn(Gate):
    """A gate of somebody's own code."""

    def __init__(self, angle):
        super().__init__("turn", 1, [angle])

    def _define(self):
        self.definition = QuantumCircuit(1)
        self.definition.rx(self.params[0], 0)


def own_gate():
    x, w = ParameterVector("x", 2), ParameterVector("w", 2)
    circuit = QuantumCircuit(2)
    for q in range(2):
        circuit.append(Turn(x[q]), [q])
        circuit.append(Turn(2 * w[q]).control(), [q, 1 - q])
    return QNNCircuit(circuit, tuple(x), tuple(w), z_observables(2))


CIRCUITS = {
    "plain": plain,
    "one output": lambda: plain(outputs=1),
    "more qubits": lambda: QNNCircuit(
        (whole := plain(3)).circuit, whole.inputs[:2],
        (whole.inputs[2], *whole.weights), whole.observables,
    ),
    "library": lambda: library(False),
    "library gates": lambda: library(True),
    "own gate": own_gate,
    "family": lambda: build_circuit("reupload-ring", 2, 1),
}  # fmt: skip


@pytest.fixture
def family():
    """A registered family, forgotten afterwards."""
    register_family("mine", plain)
    yield "mine"
    FAMILIES.pop("mine", None)


@pytest.mark.parametrize("name", CIRCUITS)
def test_a_checkpoint_carries_the_circuit(tmp_path, name):
    config = ViTConfig(**SMALL, circuit=CIRCUITS[name]())
    model = build_model(config, seed=3)
    save_checkpoint(tmp_path / "own.safetensors", model, {})
    loaded = load_checkpoint(tmp_path / "own.safetensors").model
    images = torch.linspace(-1, 1, 2 * 784).reshape(2, 1, 28, 28)
    torch.testing.assert_close(loaded(images), model(images), rtol=0, atol=1e-6)
    assert same_circuit(loaded.config.circuit, config.circuit)
    assert loaded.config.ingredients() == config.ingredients()
    assert loaded.cost().quantum_parameters == 6 * config.circuit.num_weights
    loaded(images).sum().backward()
    assert all(p.grad is not None for p in loaded.parameters())
    assert own_checkpoint(model) is not None


@pytest.mark.parametrize("name", CIRCUITS)
def test_digests_follow_what_is_computed(name):
    circuit, again = CIRCUITS[name](), CIRCUITS[name]()
    assert circuit_digest(circuit) == circuit_digest(again)
    assert circuit_digest(unpack_circuit(pack_circuit(circuit))) == circuit_digest(circuit)
    swapped = QNNCircuit(
        circuit.circuit, circuit.inputs[::-1], circuit.weights, circuit.observables
    )
    others = [CIRCUITS[other]() for other in CIRCUITS if other != name]
    known = {circuit_digest(one) for one in (swapped, *others)}
    twins = name.startswith("library")  # the same gates, composed or as two gates
    assert (circuit_digest(circuit) in known) == twins


def test_a_registered_family_becomes_its_circuit(tmp_path, family):
    config = ViTConfig(**SMALL, circuit=family, circuit_layers=2)
    assert (config.circuit_name, config.circuit_layers) == ("mine", 2)
    assert config.circuit is build_circuit("mine", 2, 2)
    assert pickle.loads(pickle.dumps(config)).ingredients() == config.ingredients()
    model = build_model(config, seed=0)
    save_checkpoint(tmp_path / "own.safetensors", model, {})
    del FAMILIES[family]
    loaded = load_checkpoint(tmp_path / "own.safetensors").model
    assert loaded.config.circuit_name == "mine"
    image = torch.zeros(1, 1, 28, 28)
    torch.testing.assert_close(loaded(image), model(image))


def test_a_family_may_be_registered_anew(family):
    first = build_circuit(family, 2, 1)
    register_family(family, lambda qubits, layers: plain(qubits, layers, outputs=1))
    assert build_circuit(family, 2, 1).num_outputs == 1
    assert first.num_outputs == 2


def test_as_many_parameters_as_the_classical_twin():
    config = ViTConfig(circuit=library(False), width=8, heads=4, patch_size=14)
    twin = build_model(config.parameter_matched())
    assert abs(twin.cost().parameters - build_model(config).cost().parameters) <= config.width


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"circuit": "nime"}, "Unknown circuit family 'nime'"),
        ({"circuit": plain().circuit}, r"got a QuantumCircuit; QNNCircuit\(circuit"),
        ({"circuit": 3}, "got a int"),
        ({"circuit": {"qpy": "?"}}, "incomplete"),
        ({"circuit": plain(3)}, r"3 inputs does not fit heads of 2 features; .* heads \* 3"),
        ({"circuit": plain(), "circuit_layers": 3}, "circuit_layers 3 has no effect"),
        ({"circuit": QNNCircuit(QuantumCircuit(2), (), (), z_observables(2))}, "0 inputs does"),
    ],
)
def test_what_does_not_fit_is_told(options, words):
    with pytest.raises(ConfigError, match=words) as caught:
        ViTConfig(**SMALL, **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "make", "words"),
    [
        ("ry-ring", plain, "are taken"),
        ("", plain, "a new name"),
        ("a b", plain, "a new name"),
        ("mine", plain(), "a function of qubits and layers"),
    ],
)
def test_families_that_cannot_be_registered(name, make, words):
    before = dict(FAMILIES)
    with pytest.raises(CircuitError, match=words):
        register_family(name, make)
    assert before == FAMILIES


@pytest.mark.parametrize("made", [None, plain().circuit, plain(3)])
def test_a_family_that_makes_something_else(family, made):
    register_family(family, lambda qubits, layers: made)
    with pytest.raises(ConfigError, match="a QNNCircuit of 2 input features"):
        ViTConfig(**SMALL, circuit=family)


def test_what_no_file_can_hold_is_told_before_a_training():
    circuit = plain()
    odd = QuantumCircuit(2)
    for q, parameter in enumerate(circuit.inputs):
        odd.ry(parameter, q)
    odd.append(Odd("odd", 1, [Strange()]), [0])
    with pytest.raises(ConfigError, match="QPY can hold"):
        ViTConfig(**SMALL, circuit=QNNCircuit(odd, circuit.inputs, (), z_observables(2)))


# --- files that are not to be trusted -------------------------------------------------------------


def rewrite(path, change):
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    config = json.loads(metadata["config"])
    change(config["circuit"])
    save_file(tensors, path, metadata | {"config": json.dumps(config)})


def bytes_of(packed):
    return bytearray(base64.b64decode(packed["qpy"]))


def store(packed, raw):
    packed["qpy"] = base64.b64encode(bytes(raw)).decode()


def version(number):
    def change(packed):
        raw = bytes_of(packed)
        raw[6] = number
        store(packed, raw)

    return change


def disguised(packed):
    """A pickle that would leave a trace, in the place of QPY."""
    store(packed, pickle.dumps(Trap()))


def two_circuits(packed):
    stream = io.BytesIO()
    qpy.dump([plain().circuit, plain().circuit], stream, version=13)
    store(packed, stream.getvalue())


def cut(packed):
    store(packed, bytes_of(packed)[:-20])


class Strange:
    """What no version of QPY knows."""


class Trap:
    def __reduce__(self):
        return (FAMILIES.__setitem__, ("trap", None))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        *((version(number), "foreign payloads") for number in (1, 4, 9, 10, 12)),
        (version(qpy.common.QPY_VERSION + 1), "newer qiskit"),
        (disguised, "but got None"),
        (two_circuits, "damaged"),
        (cut, "damaged|incomplete"),
        (lambda packed: packed.pop("inputs"), "incomplete"),
        (lambda packed: packed.update(inputs=["zeta[0]"]), "unassigned"),
        (lambda packed: packed.update(weights=["zeta[0]", "zeta[1]"]), "twice"),
        (lambda packed: packed.update(observables=[]), "at least one observable"),
        (lambda packed: packed.update(observables=[[["Z", 1]]]), "on 2 qubits"),
        (lambda packed: packed.update(layers="many"), "damaged"),
        (lambda packed: packed.update(layers=5), "circuit_layers 1 has no effect"),
    ],
)
def test_stored_circuits_that_are_refused(tmp_path, change, words):
    path = tmp_path / "own.safetensors"
    save_checkpoint(path, build_model(ViTConfig(**SMALL, circuit=plain()), seed=0), {})
    rewrite(path, change)
    with pytest.raises(CheckpointError, match=words) as caught:
        load_checkpoint(path)
    assert "\n" not in str(caught.value)
    assert "trap" not in FAMILIES


def test_any_damage_is_a_sentence_or_harmless(rng):
    """Flipped bytes of stored circuits: another circuit or a sentence, never another error."""
    packed = pack_circuit(library(True))
    good, refused = bytes_of(packed), 0
    for place in rng.choice(len(good), 60, replace=False):
        raw = bytearray(good)
        raw[place] ^= int(rng.integers(1, 256))
        store(packed, raw)
        try:
            unpack_circuit(packed)
        except CircuitError:
            refused += 1
    assert refused > 10
    assert np.array_equal(bytes_of(pack_circuit(library(True)))[:6], good[:6])
