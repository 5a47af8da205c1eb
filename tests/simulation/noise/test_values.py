"""Expectation values under gate errors, against Aer's density matrices."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit.circuit import QuantumCircuit
from qiskit.quantum_info import SparsePauliOp
from reference import aer_noise
from reference.random_circuits import random_circuit
from reference.shots import data

from qvit_qiskit.circuits import FAMILIES, build_circuit
from qvit_qiskit.circuits.measurement_bases import measurement_bases
from qvit_qiskit.devices.packing import place
from qvit_qiskit.devices.regions import Region, bundled_device
from qvit_qiskit.exceptions import CircuitError
from qvit_qiskit.simulation.exact.estimator import ExactEstimator
from qvit_qiskit.simulation.noise import noisy_engine as engine
from qvit_qiskit.simulation.noise import noisy_program as program
from qvit_qiskit.simulation.noise.channels import with_errors
from qvit_qiskit.simulation.noise.compiler import noisy
from qvit_qiskit.simulation.shifts import circuit_pub

DEVICES = ["fake_torino", "fake_boston", "fake_fez", "fake_kingston"]
SAMPLE = [
    (family, n, DEVICES[(n + k) % 4], True)
    for k, family in enumerate(FAMILIES)
    for n in (2, 3, 4, 5, 6)
] + [(family, n, DEVICES[n], False) for family in FAMILIES for n in (2, 3)]
"""Family, qubits, device, and whether waiting qubits decay."""
REST = [
    (family, n, name, idle)
    for family in FAMILIES
    for n in range(2, 7)
    for name in DEVICES
    for idle in (True, False)
    if (family, n, name, idle) not in SAMPLE
]
WIDER = [
    (family, n, name, True)
    for k, family in enumerate(FAMILIES)
    for n, name in ((7, DEVICES[k % 4]), (8, DEVICES[(8 + k) % 4]))
]


@pytest.fixture
def perfect_readout(monkeypatch):
    """Aer's estimator leaves readout errors out; so do these tests."""
    monkeypatch.setattr(Region, "readout", lambda self: np.stack([np.eye(2)] * len(self.outputs)))


@pytest.mark.parametrize(("family", "n", "name", "idle"), SAMPLE)
@pytest.mark.usefixtures("perfect_readout")
def test_a_family_equals_aer(rng, family, n, name, idle):
    equals_aer(rng, family, n, name, idle)


@pytest.mark.check
@pytest.mark.parametrize(("family", "n", "name", "idle"), REST)
@pytest.mark.usefixtures("perfect_readout")
def test_every_family_equals_aer(rng, family, n, name, idle):
    equals_aer(rng, family, n, name, idle)


@pytest.mark.soak
@pytest.mark.parametrize(("family", "n", "name", "idle"), WIDER)
@pytest.mark.usefixtures("perfect_readout")
def test_wider_circuits_equal_aer(rng, family, n, name, idle):
    equals_aer(rng, family, n, name, idle)


def equals_aer(rng, family, n, name, idle):
    """Eleven rows go one way, a single row the other; Qiskit's passes find the waits."""
    circuit, device = build_circuit(family, n, 2), bundled_device(name)
    rows = 11 if n < 7 else 9
    inputs = rng.uniform(-np.pi, np.pi, (rows, n))
    pub = circuit_pub(circuit, inputs, rng.uniform(-np.pi, np.pi, circuit.num_weights))
    estimator = noisy(device, seed=3, idle=idle)
    found = data(estimator, *pub).evs
    region = place(circuit.canonical, device, seed=3, idle=idle)
    few = slice(0, 11 if n < 7 else 2)  # density matrices of eight qubits take their time
    expected = aer_noise.values(region, circuit.canonical, circuit.observables, pub[2][few])
    np.testing.assert_allclose(found[:, few], expected, atol=1e-10)
    single = data(estimator, pub[0], pub[1], pub[2][:1]).evs
    np.testing.assert_allclose(single, expected[:, :1], atol=1e-10)
    ideal = data(ExactEstimator(), *pub).evs
    assert np.abs(found - ideal).max() > 1e-3


@given(st.integers(0, 2**32 - 1), st.integers(1, 3), st.integers(0, 6))
@settings(max_examples=12, derandomize=True, deadline=None)
def test_random_circuits_equal_aer(seed, qubits, depth):
    """Inputs and weights anywhere, also in one angle; observables of several bases."""
    rng = np.random.default_rng(seed)
    circuit = random_circuit(rng, qubits, depth)
    device = bundled_device("fake_torino")
    rows = rng.uniform(-np.pi, np.pi, (3, circuit.num_inputs))
    pub = circuit_pub(circuit, rows, rng.uniform(-np.pi, np.pi, circuit.num_weights))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Region, "readout", lambda self: np.stack([np.eye(2)] * len(self.outputs)))
        found = data(noisy(device, seed=1), *pub).evs
    expected = np.zeros_like(found)
    for basis in measurement_bases(circuit.pauli_terms):
        region = place(circuit.canonical.compose(basis.rotation()), device, seed=1)
        for k, coefficient, mask in basis.terms:
            string = "".join("IZ"[(mask >> q) & 1] for q in reversed(range(qubits)))
            term = [SparsePauliOp(string, coefficient)]
            expected[k] += aer_noise.values(region, circuit.canonical, term, pub[2])[0]
    np.testing.assert_allclose(found, expected, atol=1e-10)


@pytest.mark.parametrize("family", ["ry-ring", "reupload-ring"])
def test_chunks_of_rows_change_nothing(rng, monkeypatch, family):
    circuit, device = build_circuit(family, 3, 2), bundled_device("fake_torino")
    pub = circuit_pub(circuit, rng.uniform(-2, 2, (40, 3)), rng.uniform(-2, 2, circuit.num_weights))
    whole = data(noisy(device), *pub).evs
    monkeypatch.setattr(engine, "CHUNK_BYTES", 2**12)
    np.testing.assert_allclose(data(noisy(device), *pub).evs, whole, atol=1e-13)


def test_many_observables_go_forwards_in_chunks(rng, monkeypatch):
    """Probabilities of basis states are as many as would not fit at once."""
    circuit, device = build_circuit("ry-ring", 3, 2), bundled_device("fake_torino")
    pub = circuit_pub(circuit, rng.uniform(-2, 2, (40, 3)), rng.uniform(-2, 2, circuit.num_weights))
    whole = data(noisy(device), *pub).evs
    monkeypatch.setattr(engine, "MAX_BYTES", 2**10)
    np.testing.assert_allclose(data(noisy(device), *pub).evs, whole, atol=1e-13)


def test_gates_that_nobody_reports_are_refused():
    """Their errors would otherwise be taken for none."""
    device = bundled_device("fake_torino")
    region = place(build_circuit("ry-ring", 2, 1).canonical, device, seed=0)
    changed = region.circuit.copy_empty_like()
    changed.h(0)
    with pytest.raises(CircuitError, match="no gate h on the wires"):
        with_errors(changed, region.target, [])


def test_circuits_without_parameters():
    circuit = QuantumCircuit(2)
    circuit.x(1)
    found = data(noisy(bundled_device("fake_torino")), circuit, ["IZ", "ZI"]).evs
    assert 0.9 < found[0] < 1
    assert -1 < found[1] < -0.9


def test_wide_circuits_are_refused(monkeypatch):
    monkeypatch.setattr(program, "MAX_WIRES", 3)
    circuit = build_circuit("ry-ring", 4, 1)
    pub = circuit_pub(circuit, np.zeros((1, 4)), np.zeros(4))
    with pytest.raises(CircuitError, match="at most 3 qubits under device noise, but got 4"):
        data(noisy(bundled_device("fake_torino")), *pub)


def ramsey(**lengths: float) -> QuantumCircuit:
    """A qubit that waits upside down between two quarter turns, for a time per unit."""
    circuit = QuantumCircuit(2)
    circuit.sx(0)
    for unit, length in lengths.items():
        circuit.delay(length, 0, unit=unit)
    circuit.sx(0)
    circuit.cx(0, 1)
    return circuit


@pytest.mark.parametrize("unit", ["ns", "us", "dt", "s"])
@pytest.mark.usefixtures("perfect_readout")
def test_delays_of_the_users_own_are_waits(unit):
    length = {"ns": 40_000, "us": 40.0, "dt": 10_000, "s": 4e-5}[unit]
    circuit, device = ramsey(**{unit: length}), bundled_device("fake_torino")
    observables = [SparsePauliOp("IZ"), SparsePauliOp("ZI")]
    found = data(noisy(device, seed=1), circuit, [[o] for o in observables], np.zeros((1, 0))).evs
    region = place(circuit, device, seed=1)
    expected = aer_noise.values(region, circuit, observables, np.zeros((1, 0)))
    np.testing.assert_allclose(found, expected, atol=1e-10)
    prompt = data(noisy(device, seed=1), ramsey(), [[o] for o in observables], np.zeros((1, 0))).evs
    assert (np.abs(prompt) - np.abs(found)).min() > 0.05


def test_delays_are_refused_where_nothing_waits():
    """Their decoherence is not in that model, so they must not pass silently."""
    with pytest.raises(CircuitError, match="idle = true"):
        data(noisy(bundled_device("fake_torino"), idle=False), ramsey(ns=100), ["IZ"])
