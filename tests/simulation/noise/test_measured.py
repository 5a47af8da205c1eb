"""Device noise with readout and shots, and the IBM client's sampler.

Seeds are fixed, so these tests always give the same answer; the false-alarm probabilities say how
likely a test of this kind fails at a seed chosen at random although the code is right.
"""

import numpy as np
import pytest
from qiskit.circuit import ParameterVector, QuantumCircuit
from qiskit_aer.noise import NoiseModel
from qiskit_aer.primitives import SamplerV2
from reference import aer_noise
from reference.shots import data, noiseless, noisy_shots, same_rows

from qvit_qiskit.circuits import QNNCircuit, ry_ring, z_observables
from qvit_qiskit.devices.packing import place
from qvit_qiskit.devices.regions import Region, TargetDevice, bundled_device
from qvit_qiskit.hardware.estimators import RehearsalEstimator
from qvit_qiskit.ibm.local import LocalSender
from qvit_qiskit.profile import FakeProfile
from qvit_qiskit.simulation.bitstrings import draw
from qvit_qiskit.simulation.exact.estimator import ExactEstimator
from qvit_qiskit.simulation.noise.compiler import noisy
from qvit_qiskit.simulation.noise.noisy_program import misread
from qvit_qiskit.simulation.shifts import circuit_pub

DEVICES = ["fake_torino", "fake_boston"]
WAITING = [*DEVICES, "fake_fez", "fake_kingston"]


def rehearsal(device: str, shots: int, seed: int = 3) -> RehearsalEstimator:
    profile = FakeProfile(kind="fake", device=device, shots=shots, seed=seed)
    return RehearsalEstimator(LocalSender(profile))


def staircase() -> QNNCircuit:
    """⟨Z_i⟩ = cos(x_i + w_i) without entanglement: tells qubits apart."""
    x, w = ParameterVector("x", 3), ParameterVector("w", 3)
    circuit = QuantumCircuit(3)
    for q in range(3):
        circuit.ry(x[q], q)
        circuit.ry(w[q], q)
    circuit.cz(0, 2)
    return QNNCircuit(circuit, tuple(x), tuple(w), z_observables(3))


def test_draw():
    """Columns of frequencies; rounding errors below zero are cut off."""
    table = np.array([[0.25, 1.0 + 1e-12], [0.75, -1e-12]])
    seed = np.random.SeedSequence(1)
    found = draw(table, 1000, seed)
    np.testing.assert_allclose(found.sum(axis=0), 1)
    assert found[:, 1].tolist() == [1.0, 0.0]
    assert abs(found[0, 0] - 0.25) < 5 * np.sqrt(0.25 * 0.75 / 1000)


def test_misread(rng):
    """One matrix per qubit: against the Kronecker product, qubit 0 lowest."""
    p01, p10 = rng.uniform(0, 0.3, (2, 3))
    matrices = np.array([[[1 - a, b], [a, 1 - b]] for a, b in zip(p01, p10, strict=True)])
    table = rng.dirichlet(np.ones(8), size=5).T
    whole = np.kron(matrices[2], np.kron(matrices[1], matrices[0]))
    np.testing.assert_allclose(misread(table, matrices), whole @ table, atol=1e-14)


def exact(name: str) -> ExactEstimator:
    return noisy(bundled_device(name), seed=3)


@pytest.mark.parametrize("name", DEVICES)
def test_readout_errors_shrink_and_shift(rng, monkeypatch, name):
    """Z becomes (1 − p01 − p10) Z + (p10 − p01)."""
    circuit = ry_ring(3, 1)
    pub = circuit_pub(circuit, rng.uniform(-2, 2, (4, 3)), rng.uniform(-2, 2, 3))
    found = data(exact(name), *pub).evs
    confusion = place(circuit.canonical, bundled_device(name), seed=3).readout()
    p01, p10 = confusion[:, 1, 0, None], confusion[:, 0, 1, None]
    monkeypatch.setattr(Region, "readout", lambda self: np.stack([np.eye(2)] * 3))
    perfect = data(exact(name), *pub).evs
    np.testing.assert_allclose(found, (1 - p01 - p10) * perfect + p10 - p01, atol=1e-12)
    assert np.abs(found - perfect).max() > 1e-3


@pytest.mark.parametrize("name", WAITING)
def test_all_noise_equals_aers_sampler(rng, name):
    """50,000 shots of Aer's own sampler with the device's noise model, waits as delays.

    9 values beyond 5 standard errors: one seed in 190,000. Means of pairs of outputs, which see
    the joint distribution, are 9 more.
    """
    circuit, shots = ry_ring(3, 1), 50_000
    pub = circuit_pub(circuit, rng.uniform(-2, 2, (3, 3)), rng.uniform(-2, 2, 3))
    pairs = ["IZZ", "ZIZ", "ZZI"]
    region = place(circuit.canonical, bundled_device(name), seed=3)
    measured = aer_noise.with_delays(region)
    order = [list(circuit.canonical.parameters).index(p) for p in measured.parameters]
    noise = NoiseModel.from_backend(TargetDevice(region.target))
    aer = SamplerV2(seed=5, options={"backend_options": {"noise_model": noise}})
    job = aer.run([(measured, pub[2][:, order])], shots=shots)
    bits = job.result()[0].data.meas

    def parity(wires: list[int]) -> np.ndarray:
        return bits.slice_bits(wires).expectation_values("Z" * len(wires))

    a, b, c = range(3)
    sampled = np.array([parity(w) for w in ([a], [b], [c], [a, b], [a, c], [b, c])])
    observables = [*pub[1], *([p] for p in pairs)]
    expected = data(exact(name), circuit.canonical, observables, pub[2]).evs
    assert np.abs((sampled - expected) / np.sqrt((1 - expected**2) / shots)).max() < 5


def test_shots_of_a_noisy_device():
    """Bitstrings of the noisy distribution: 3 means of 1,000 rows, one false alarm in 580,000."""
    pub = same_rows(ry_ring(3, 1), 1000)
    estimator = noisy_shots("fake_boston", 100)
    found = data(estimator, *pub)
    expected = data(exact("fake_boston"), *(pub[0], pub[1], pub[2][:1])).evs[:, 0]
    errors = np.sqrt((1 - expected**2) / 100 / 1000)
    assert np.abs((found.evs.mean(axis=1) - expected) / errors).max() < 5
    counts = 100 * (1 + found.evs) / 2
    np.testing.assert_allclose(counts, np.round(counts), atol=1e-9)
    np.testing.assert_allclose(found.stds, np.sqrt((1 - found.evs**2) / 100), atol=1e-12)


def test_noisy_circuits_without_parameters():
    circuit = QuantumCircuit(2)
    circuit.x(1)
    found = data(exact("fake_torino"), circuit, ["IZ", "ZI"]).evs
    assert 0.9 < found[0] < 1
    assert -1 < found[1] < -0.9


@pytest.mark.parametrize("name", DEVICES)
def test_outputs_stand_in_the_order_of_the_qubits(name):
    """cos(0.2), cos(π/2), cos(π): no two outputs can be mistaken for each other."""
    circuit = staircase()
    angles = np.array([[0.2, np.pi / 2, np.pi]])
    expected = np.cos(angles[0])
    pub = circuit_pub(circuit, angles, np.zeros(3))
    for estimator in (noiseless(1000), exact(name), rehearsal(name, 1000)):
        found = data(estimator, *pub).evs[:, 0]
        assert np.abs(found - expected).max() < 0.25


@pytest.mark.parametrize("name", DEVICES)
def test_the_clients_sampler_has_the_same_noise(rng, name):
    """The IBM client's local mode against density matrices on the same region.

    5 standard errors for each of 9 values, and for the joint distribution of 3 rows: one false
    alarm in 140,000 seeds.
    """
    circuit, shots = ry_ring(3, 1), 4000
    pub = circuit_pub(circuit, rng.uniform(-2, 2, (3, 3)), rng.uniform(-2, 2, 3))
    estimator = rehearsal(name, shots)
    found = data(estimator, *pub)
    expected = data(exact(name), *pub).evs
    assert np.abs((found.evs - expected) / np.sqrt((1 - expected**2) / shots)).max() < 5
    counts = shots * (1 + found.evs) / 2
    np.testing.assert_allclose(counts, np.round(counts), atol=1e-9)
    triple = data(exact(name), circuit.canonical, "ZZZ", pub[2]).evs
    sampled = data(estimator, circuit.canonical, "ZZZ", pub[2]).evs
    assert np.abs((sampled - triple) / np.sqrt((1 - triple**2) / shots)).max() < 5


def test_the_clients_sampler_gets_a_new_seed_every_run():
    """Its simulator repeats itself at one seed."""
    pub = same_rows(ry_ring(2, 1), 20)
    estimator = rehearsal("fake_torino", 200, seed=1)
    first, second = (data(estimator, *pub).evs for _ in range(2))
    assert not np.array_equal(first, second)
    again = rehearsal("fake_torino", 200, seed=1)
    np.testing.assert_array_equal(data(again, *pub).evs, first)


def test_the_clients_sampler_takes_circuits_without_parameters():
    circuit = QuantumCircuit(2)
    circuit.x(1)
    found = data(rehearsal("fake_torino", 500), circuit, ["IZ", "ZI"]).evs
    assert found[0] > 0.8
    assert found[1] < -0.8
