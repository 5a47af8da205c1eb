"""What copies of wide circuits read, on light cones, beside the bit strings of whole states."""

import numpy as np
import pytest

from qvit_qiskit import ViTConfig, build_model, load
from qvit_qiskit.circuits import build_circuit
from qvit_qiskit.circuits.prepared import prepare_with
from qvit_qiskit.devices.regions import bundled_device
from qvit_qiskit.exceptions import CircuitError
from qvit_qiskit.execution.registry import default_route
from qvit_qiskit.inference.layer_estimator import walk
from qvit_qiskit.profile import FakeProfile
from qvit_qiskit.runs.planning import copy_noise
from qvit_qiskit.runs.planning.chip_layout import Arrangement, PricedRows, lay_out
from qvit_qiskit.runs.planning.copy_noise import CopyNoise
from qvit_qiskit.runs.planning.distributions import (
    BitDistribution,
    IndependentBits,
    NormalDistribution,
    NormalRows,
    banded_roots,
)
from qvit_qiskit.runs.planning.noisy_passes import NoisyPasses, subject_of
from qvit_qiskit.runs.planning.predicted_losses import drawn_labels, predict_losses
from qvit_qiskit.simulation.noise.compiler import noisy

WORK = PricedRows((1,), 60.0)


def prepared(family, n):
    made = build_circuit(family, n, 2)
    circuit, terms = prepare_with(made.canonical, made.pauli_terms)
    return circuit.circuit, terms


def placed(circuits, name, **fields):
    profile = FakeProfile(kind="fake", device=name)
    arrangement = Arrangement(**{"k": 2} | fields)
    return lay_out(arrangement, circuits, profile, bundled_device(name), WORK)


def rows_of(circuit, inputs, rng, count):
    """Rows that share their weights."""
    weights = rng.uniform(-1, 1, circuit.num_parameters - inputs)
    data = rng.uniform(-np.pi, np.pi, (count, inputs))
    return np.concatenate([data, np.tile(weights, (count, 1))], axis=1)


def covariances(distribution):
    """Of one shot of every row, shape (R, T, T), whichever way they are known."""
    if isinstance(distribution, BitDistribution):
        expected = distribution.probabilities @ distribution.signs
        pairs = distribution.signs[:, :, None] * distribution.signs[:, None, :]
        second = np.einsum("rb,bkm->rkm", distribution.probabilities, pairs)
        return second - expected[:, :, None] * expected[:, None, :]
    out = []
    for part, place in zip(distribution.part, distribution.place, strict=True):
        rows = distribution.parts[part]
        terms = len(rows.expected)
        unit = np.eye(terms)  # one column for each standard normal number
        root = rows.scatter(unit, np.full(terms, place))
        out.append(root @ root.T)
    return np.stack(out)


@pytest.mark.parametrize("perfect", [False, True])
@pytest.mark.parametrize(
    ("family", "n", "level"), [("ry-chain", 6, 0), ("ry-chain", 6, 1), ("cz-ring", 4, 2)]
)
def test_means_and_covariances_are_those_of_bit_strings(family, n, level, perfect, rng):
    circuit, terms = prepared(family, n)
    layout = placed([(circuit, terms)], "fake_torino", level=level)
    target = bundled_device("fake_torino").target
    rows = rows_of(circuit, n, rng, 5)
    copies = rng.integers(0, 1 if perfect else 2, (3, 5))
    slow, fast = (
        CopyNoise(layout, target, perfect=perfect, most_bits=most).readings(circuit, rows, copies)
        for most in (12, 0)
    )
    assert np.allclose(slow.values(None, rng), fast.values(None, rng), atol=1e-9)
    for one, other in zip(slow.bases, fast.bases, strict=True):
        assert len(one.folds) == (3 if level == 2 else 1)
        for bits, normal in zip(one.folds, other.folds, strict=True):
            assert np.allclose(covariances(bits), covariances(normal), atol=1e-9)


@pytest.mark.parametrize(
    ("family", "n", "followed"),
    [
        ("ry-chain", 6, False),
        ("ry-chain", 8, True),
        ("ry-ring", 8, False),
        ("reupload-ring", 7, False),
    ],
)
def test_eight_qubits_are_followed_on_narrow_cones(family, n, followed, rng, monkeypatch):
    """And give what bit strings give; data that enter again have no cones."""
    circuit, terms = prepared(family, n)
    layout = placed([(circuit, terms)], "fake_fez")
    target = bundled_device("fake_fez").target
    rows, copies = rows_of(circuit, n, rng, 3), np.array([[0, 1, 0]])
    fast = CopyNoise(layout, target).readings(circuit, rows, copies)
    assert isinstance(fast.bases[0].folds[0], NormalDistribution if followed else BitDistribution)
    if followed:
        monkeypatch.setattr(copy_noise, "NARROW", 12)
        slow = CopyNoise(layout, target).readings(circuit, rows, copies)
        assert isinstance(slow.bases[0].folds[0], BitDistribution)
        assert np.allclose(slow.values(None, rng), fast.values(None, rng), atol=1e-9)
        one, other = (each.bases[0].folds[0] for each in (slow, fast))
        assert np.allclose(covariances(one), covariances(other), atol=1e-9)


def test_seats_are_counted_by_what_is_kept_of_projections():
    """Rows of one projection share their weights, so narrow cones keep no bit strings."""
    model = build_model(ViTConfig(width=8, heads=1, circuit="ry-chain", patch_size=14), seed=0)
    images = load("phantom").test.tensors()[0][:2]
    rows = walk(model, images, [], [], 64)
    subject = subject_of(model, images, rows, default_route().estimator)
    layout = placed([prepared("ry-chain", 8)], "fake_torino")
    noise = CopyNoise(layout, bundled_device("fake_torino").target)
    sizes, table_bytes = [], noise.table_bytes
    noise.table_bytes = lambda *asked: sizes.append(table_bytes(*asked)) or sizes[-1]
    assert NoisyPasses(subject, noise, seed=0)._seats == 8  # noqa: SLF001 - no answer tells them
    assert set(sizes[-3:]) == {8 * 8 * 8 * layout.arrangement.k * 8}  # two images of 4 tokens


def test_a_wide_chain_reads_the_noise_engine_s_values(rng):
    circuit, terms = prepared("ry-chain", 16)
    layout = placed([(circuit, terms)], "fake_fez", k=1)
    noise = CopyNoise(layout, bundled_device("fake_fez").target)
    rows = rows_of(circuit, 16, rng, 4)
    values = noise.readings(circuit, rows, np.zeros(4, int)).values(None, rng)
    slow = noisy(bundled_device("fake_fez"))
    pub = circuit, [[dict(term)] for term in terms], rows
    assert np.allclose(values, slow.run([pub]).result()[0].data.evs.T, atol=1e-7)


def test_readout_calibrations_have_the_moments_of_bit_strings(rng):
    flips = rng.uniform(0.01, 0.4, (2, 3))
    masks = rng.random((3, 4)) < 0.6
    states = np.arange(8)[:, None] >> np.arange(3) & 1
    signs = 1.0 - 2.0 * ((states @ masks) & 1)
    chances = np.where(states[None], flips[:, None], 1 - flips[:, None]).prod(axis=2)
    slow, fast = BitDistribution(chances, signs), IndependentBits(flips, masks)
    assert np.allclose(slow.means(None, rng), fast.means(None, rng))
    shots, draws = 20, 4000
    drawn = np.stack([fast.means(shots, rng) for _ in range(draws)])  # (draws, 2, 4)
    assert np.allclose(drawn.mean(axis=0), slow.means(None, rng), atol=5 / np.sqrt(draws * shots))
    for copy, exact in enumerate(covariances(slow)):
        scatter = np.cov(drawn[:, copy].T) * shots
        assert np.allclose(scatter, exact, atol=8 / np.sqrt(draws))


def test_roots_of_bands_are_cholesky_factors(rng):
    width, count, many = 3, 8, 5
    lower = np.tril(rng.normal(size=(many, count, count))) * (
        np.subtract.outer(np.arange(count), np.arange(count)) < width
    )
    lower[:, np.arange(count), np.arange(count)] = rng.uniform(0.5, 2, (many, count))
    whole = lower @ lower.swapaxes(1, 2)
    band = np.zeros((width, count, many))
    for d in range(width):
        band[d, : count - d] = np.diagonal(whole, -d, 1, 2).T
    roots = banded_roots(band)
    for d in range(width):
        assert np.allclose(roots[d, : count - d], np.diagonal(lower, -d, 1, 2).T)


def test_a_ring_of_terms_stands_in_a_narrow_band(rng):
    """First and last of a ring are correlated; in another order it still is a band."""
    count = 12
    order = rng.permutation(count)
    pairs = [(order[k], order[(k + step) % count]) for k in range(count) for step in (0, 1)]
    products = np.array([[1.0 if a == b else 0.3] for a, b in pairs])
    rows = NormalRows(np.zeros((count, 1)), np.array(pairs), lambda: products)
    assert len(rows.roots) == 3
    root = rows.scatter(np.eye(count), np.zeros(count, int))
    wanted = np.eye(count)
    for (a, b), (value,) in zip(pairs, products, strict=True):
        wanted[a, b] = wanted[b, a] = value
    assert np.allclose(root @ root.T, wanted, atol=1e-9)


@pytest.mark.parametrize("shots", [None, 64])
def test_predicted_losses_are_those_of_bit_strings(shots, rng):
    """The same model and layout planned both ways; shots scatter, and copies differ."""
    config = ViTConfig(width=6, heads=1, circuit="ry-chain", patch_size=14)
    model = build_model(config, seed=int(rng.integers(2**31)))
    images = load("phantom").test.tensors()[0][:40]
    rows = walk(model, images, [], [], 64)
    subject = subject_of(model, images, rows, default_route().estimator)
    layout = placed([prepared("ry-chain", 6)], "fake_torino", level=1)
    target = bundled_device("fake_torino").target
    labels = drawn_labels(subject.exact, rng, several=False, draws=40)
    draws = 1 if shots is None else 60
    losses, logits = [], []
    for most in (12, 0):
        passes = NoisyPasses(subject, CopyNoise(layout, target, most_bits=most), seed=3)
        logits.append(passes.logits(shots, range(draws)))
        losses.append(predict_losses(subject.exact, logits[-1], labels, several=False))
    slow, fast = losses
    if shots is None:
        assert np.allclose(*logits, atol=1e-6)
        assert np.allclose(slow.auc.values, fast.auc.values, atol=1e-6)
        return
    for name in ("auc", "acc", "disagreement"):
        one, other = (getattr(x, name).values.mean(axis=1) for x in losses)
        error = np.sqrt((one.var() + other.var()) / draws)
        assert abs(one.mean() - other.mean()) < 5 * error + 1e-3
    means = [x.mean(axis=0) for x in logits]  # (n, classes)
    spreads = [x.std(axis=0) for x in logits]
    assert np.all(np.abs(means[0] - means[1]) < 6 * np.hypot(*spreads) / np.sqrt(draws) + 1e-9)
    assert np.allclose(spreads[0].mean() / spreads[1].mean(), 1, atol=0.1)


def test_circuits_without_narrow_cones_are_refused():
    circuit, terms = prepared("ry-ring", 16)
    layout = placed([(circuit, terms)], "fake_torino", k=1)
    noise = CopyNoise(layout, bundled_device("fake_torino").target)
    with pytest.raises(CircuitError, match="depend on few qubits each under device noise"):
        noise.readings(circuit, np.zeros((2, circuit.num_parameters)), np.zeros(2, int))


def test_pairs_of_outputs_that_are_too_wide_are_refused_as_such():
    circuit, terms = prepared("lattice", 40)
    layout = placed([(circuit, terms)], "fake_boston", k=1)
    noise = CopyNoise(layout, bundled_device("fake_boston").target)
    with pytest.raises(CircuitError, match=r"Expected pairs of outputs .* Use ry-chain"):
        noise.readings(circuit, np.zeros((2, circuit.num_parameters)), np.zeros(2, int))
