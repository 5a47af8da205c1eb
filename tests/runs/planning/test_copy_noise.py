"""What copies read, beside the estimators that a rehearsal and an evaluation under noise use."""

import numpy as np
import pytest

from qvit_qiskit.circuits import build_circuit
from qvit_qiskit.circuits.prepared import prepare_with
from qvit_qiskit.devices.regions import bundled_device
from qvit_qiskit.hardware.estimators import RehearsalEstimator
from qvit_qiskit.ibm.local import LocalSender
from qvit_qiskit.profile import FakeProfile
from qvit_qiskit.runs.planning.chip_layout import Arrangement, PricedRows, lay_out
from qvit_qiskit.runs.planning.copy_noise import CopyNoise
from qvit_qiskit.runs.planning.distributions import MANY_SHOTS, BitDistribution
from qvit_qiskit.simulation.exact.estimator import ExactEstimator
from qvit_qiskit.simulation.noise.compiler import noisy

WORK = PricedRows((1,), 60.0)


@pytest.fixture
def circuit():
    made = build_circuit("ry-ring", 3, 1)
    prepared, terms = prepare_with(made.canonical, made.pauli_terms)
    return prepared.circuit, terms


def rows_of(circuit, rng, count):
    """Rows that share their weights."""
    weights = rng.uniform(-1, 1, 3)
    return np.concatenate([rng.normal(size=(count, 3)), np.tile(weights, (count, 1))], axis=1)


def layout(circuit, device, **fields):
    profile = FakeProfile(kind="fake", device=device)
    arrangement = Arrangement(**{"k": 1} | fields)
    return lay_out(arrangement, [circuit], profile, bundled_device(device), WORK)


def column(pub):
    return [[dict(term)] for term in pub]


@pytest.mark.parametrize("readout", ["gates", "parity"])
def test_infinitely_many_shots_give_the_noise_engine_s_values(circuit, readout, rng):
    logical, terms = circuit
    found = layout(circuit, "fake_fez", readout=readout)
    noise = CopyNoise(found, bundled_device("fake_fez").target)
    rows = rows_of(logical, rng, 12)
    values = noise.readings(logical, rows, np.zeros(12, int)).values(None, rng)
    slow = noisy(bundled_device("fake_fez"), readout=readout)
    expected = slow.run([(logical, column(terms), rows)]).result()[0].data.evs
    assert np.allclose(values, expected.T, atol=1e-7)


def test_a_perfect_device_gives_exact_values(circuit, rng):
    logical, terms = circuit
    noise = CopyNoise(layout(circuit, "fake_fez"), bundled_device("fake_fez").target, perfect=True)
    rows = rows_of(logical, rng, 6)
    values = noise.readings(logical, rows, np.zeros(6, int)).values(None, rng)
    exact = ExactEstimator().run([(logical, column(terms), rows)]).result()[0].data.evs
    assert np.allclose(values, exact.T, atol=1e-9)


@pytest.mark.parametrize(("level", "readout"), [(0, "gates"), (1, "parity")])
def test_shots_have_the_moments_of_a_rehearsal_s(circuit, level, readout, rng):
    """The slow twin: bit strings drawn by Aer through the IBM client, many times."""
    logical, terms = circuit
    found = layout(circuit, "fake_torino", level=level, readout=readout)
    noise = CopyNoise(found, bundled_device("fake_torino").target)
    row = rows_of(logical, rng, 1)
    draws, shots = 400, 64
    readings = noise.readings(logical, np.tile(row, (draws, 1)), np.zeros(draws, int))
    mine = np.stack([readings.values(shots, rng) for _ in range(4)])  # (4, draws, 3)
    profile = FakeProfile(
        kind="fake", device="fake_torino", shots=shots, resilience_level=level, readout=readout
    )
    slow = RehearsalEstimator(LocalSender(profile))
    slow.reseed(7)
    apart = np.tile(row, (240, 1))
    apart[:, 0] += 1e-7 * np.arange(240)  # equal rows would run once
    values = slow.run([(logical, column(terms), apart)]).result()[0].data.evs.T  # (240, 3)
    # The calibration is common to the rows of a call, and moves all of them.
    error = np.sqrt(values.var(axis=0) / len(values)) + level * 0.25 / np.sqrt(shots)
    assert np.all(np.abs(values.mean(axis=0) - mine.mean(axis=(0, 1))) < 5 * error)
    assert np.allclose(values.var(axis=0) / mine.var(axis=1).mean(axis=0), 1, atol=0.4)


@pytest.mark.parametrize("shots", [MANY_SHOTS, 4 * MANY_SHOTS])
def test_many_shots_scatter_as_counts_of_bit_strings_do(shots, rng):
    """The normal draws of many shots beside multinomial counts of the same rows."""
    bits = np.array([[(state >> bit) & 1 for bit in range(4)] for state in range(16)])
    signs = 1.0 - 2.0 * bits[:, :3]
    signs[:, 2] = signs[:, 0] * signs[:, 1]  # a parity of bits that stand beside it
    probabilities = rng.dirichlet(np.full(16, 0.3), size=4)
    probabilities[0] = np.eye(16)[5]  # a row that never scatters
    draws = 20_000
    fast = BitDistribution(np.tile(probabilities, (draws, 1)), signs).means(shots, rng)
    fast = fast.reshape(draws, 4, 3)
    slow = rng.multinomial(shots, probabilities, size=(draws, 4)) / shots @ signs
    assert np.allclose(fast.mean(axis=0), probabilities @ signs, atol=5 / np.sqrt(draws * shots))
    for row in range(4):
        scatter = np.cov(fast[:, row].T), np.cov(slow[:, row].T)
        assert np.allclose(*scatter, atol=10 / shots / np.sqrt(draws))
    assert np.allclose(fast[:, 0], probabilities[0] @ signs, atol=1e-4)


def test_few_shots_are_counted(rng):
    signs = np.array([[1.0], [-1.0]])
    distribution = BitDistribution(np.array([[0.5, 0.5]] * 50), signs)
    counts = (1 + distribution.means(4, rng)) * 2
    assert set(np.unique(counts)) <= {0.0, 1.0, 2.0, 3.0, 4.0}


def test_rows_may_be_asked_in_part(circuit, rng):
    logical, _ = circuit
    noise = CopyNoise(layout(circuit, "fake_fez"), bundled_device("fake_fez").target)
    readings = noise.readings(logical, rows_of(logical, rng, 6), np.zeros(6, int))
    assert np.array_equal(readings.values(None, rng, slice(2, 4)), readings.values(None, rng)[2:4])
