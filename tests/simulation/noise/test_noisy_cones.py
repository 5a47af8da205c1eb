"""Values under noise from light cones: equal to those of the whole state."""

import numpy as np
import pytest
from qiskit.circuit import ParameterVector, QuantumCircuit
from qiskit.circuit import library as gates
from qiskit.quantum_info import SparsePauliOp
from qiskit_aer import AerSimulator
from qiskit_aer.noise import NoiseModel
from reference import aer_noise
from reference.shots import data

from qvit_qiskit.circuits import QNNCircuit, build_circuit
from qvit_qiskit.circuits.measurement_bases import measurement_bases
from qvit_qiskit.devices.packing import place
from qvit_qiskit.devices.regions import TargetDevice, bundled_device
from qvit_qiskit.exceptions import CircuitError
from qvit_qiskit.simulation.exact.engine import Request
from qvit_qiskit.simulation.noise.compiler import noisy
from qvit_qiskit.simulation.noise.noisy_cones import ConeCompiler
from qvit_qiskit.simulation.noise.noisy_forms import NoisyFormEngine, compile_values
from qvit_qiskit.simulation.noise.noisy_program import compile_noisy
from qvit_qiskit.simulation.shifts import circuit_pub

SAMPLE = [("ry-chain", 5, "fake_fez"), ("cz-ring", 3, "fake_torino"), ("ry-ring", 3, "fake_fez")]
GRID = [
    (family, n, name)
    for family, sizes in {"ry-chain": (6, 8), "cz-ring": (6, 8)}.items()
    for n in sizes
    for name in ("fake_fez", "fake_torino")
]
WIDER = [
    ("ry-chain", 9, "fake_torino"),
    ("ry-chain", 10, "fake_fez"),
    ("lattice", 9, "fake_fez"),
    ("lattice", 10, "fake_torino"),
]
RINGS = [(n, name) for n in (9, 10, 12) for name in ("fake_fez", "fake_torino")]


def programs(circuit, name):
    """One program for the whole state and one of cones, for each basis."""
    device, columns = bundled_device(name), tuple(range(circuit.num_inputs))
    for basis in measurement_bases(circuit.pauli_terms):
        region = place(circuit.canonical.compose(basis.rotation()), device, seed=1)
        parts = region, circuit.canonical.parameters, basis, columns, ""
        cones = ConeCompiler(region, circuit.canonical.parameters, columns, "")
        yield compile_noisy(*parts), cones.program(basis)


def both(circuit, rng, name):
    """Requests of both programs for each basis: two heads of two weight sets each."""
    rows = rng.uniform(-np.pi, np.pi, (circuit.num_inputs, 2, 3))
    shared = rng.uniform(-np.pi, np.pi, (4, circuit.num_weights))
    for pair in programs(circuit, name):
        yield [Request(p, rows, shared, p.diagonals(circuit.num_outputs)) for p in pair]


def equal(circuit, rng, name):
    for requests in both(circuit, rng, name):
        values, pull = NoisyFormEngine().linearize(requests)
        np.testing.assert_allclose(values[1], values[0], atol=1e-12)
        cotangent = rng.normal(size=values[0].shape)
        whole, cones = pull([cotangent, cotangent])
        for expected, found in zip(whole, cones, strict=True):
            np.testing.assert_allclose(found, expected, atol=1e-12)


def equal_in_sum(circuit, rng, name):
    """A random sum of the outputs, since a whole state takes as long for each of them."""
    rows = rng.uniform(-np.pi, np.pi, (circuit.num_inputs, 1, 2))
    shared = rng.uniform(-np.pi, np.pi, (1, circuit.num_weights))
    for whole, cones in programs(circuit, name):
        outputs = circuit.num_outputs
        weights, cotangent = rng.normal(size=(outputs, 1)), rng.normal(size=(1, 1, 2))
        mixed = Request(whole, rows, shared, whole.diagonals(outputs) @ weights)
        single = Request(cones, rows, shared, cones.diagonals(outputs))
        values, pull = NoisyFormEngine().linearize([mixed, single])
        np.testing.assert_allclose(weights.T @ values[1], values[0], atol=1e-12)
        for found, expected in zip(*pull([cotangent, weights * cotangent]), strict=True):
            np.testing.assert_allclose(found, expected, atol=1e-12)


@pytest.mark.parametrize(("family", "n", "name"), SAMPLE)
def test_values_and_gradients_equal_those_of_the_whole_state(rng, family, n, name):
    equal(build_circuit(family, n, 2), rng, name)


@pytest.mark.check
@pytest.mark.parametrize(("family", "n", "name"), GRID)
def test_they_do_so_up_to_eight_qubits(rng, family, n, name):
    equal(build_circuit(family, n, 2), rng, name)


@pytest.mark.check
@pytest.mark.parametrize(("family", "n", "name"), WIDER)
def test_they_do_so_up_to_ten_qubits(rng, family, n, name):
    equal_in_sum(build_circuit(family, n, 2), rng, name)


@pytest.mark.soak
@pytest.mark.parametrize(("n", "name"), RINGS)
def test_rings_that_are_laid_out_with_swaps_do_so(rng, n, name):
    """Twelve wires each, 5 GB for the whole state: nine and ten are routed around a cycle."""
    equal_in_sum(build_circuit("cz-ring", n, 2), rng, name)


def local_circuit(rng, qubits):
    """Inputs in front, then gates between the nodes of a random tree, and sums of strings on it."""
    x, w = ParameterVector("x", qubits), ParameterVector("w", 3)
    circuit = QuantumCircuit(qubits)
    for qubit in range(qubits):
        circuit.ry(x[qubit], qubit)
    kinds = [gates.CRXGate, gates.RZZGate, gates.CPhaseGate, gates.RXXGate]
    edges = [(int(rng.integers(max(0, node - 2), node)), node) for node in range(1, qubits)]
    for k in rng.permutation(qubits - 1):
        circuit.append(kinds[rng.integers(4)](w[int(k) % 3] * 2 - 0.1), edges[k])
        circuit.rx(w[int(rng.integers(3))], edges[k][int(rng.integers(2))])
    terms = []
    for a, b in edges[::2]:
        terms.append([("ZZ", [a, b], rng.normal()), ("Z", [a], 0.5)])
        terms.append([("X", [b], 1.0), ("", [], rng.normal())])
    observables = [SparsePauliOp.from_sparse_list(term, qubits) for term in terms]
    return QNNCircuit(circuit, tuple(x), tuple(w), tuple(observables))


@pytest.mark.parametrize("qubits", [4, *(pytest.param(n, marks=pytest.mark.check) for n in (7, 9))])
def test_circuits_on_trees(rng, qubits):
    equal_in_sum(local_circuit(rng, qubits), rng, ("fake_torino", "fake_fez")[qubits % 2])


def mixed_circuit(rng):
    """Inputs in front; then gates of every kind; observables of several bases."""
    x, w = ParameterVector("x", 3), ParameterVector("w", 4)
    circuit = QuantumCircuit(3)
    for qubit in range(3):
        circuit.h(qubit) if rng.integers(2) else circuit.ry(0.3, qubit)
        circuit.rx(x[qubit] * w[0] + 0.2 if qubit else x[0], qubit)
    kinds = [gates.CRXGate, gates.RXXGate, gates.CPhaseGate, gates.RZXGate]
    for weight in w:
        pair = rng.permutation(3)[:2].tolist()
        circuit.append(kinds[rng.integers(4)](weight.sin() + 0.1), pair)
        circuit.append(gates.CHGate(), rng.permutation(3)[:2].tolist())
        circuit.rz(2 * weight - 1, int(rng.integers(3)))
    observables = [SparsePauliOp(["ZII", "XXI"], [0.5, -1.5]), SparsePauliOp(["IYZ", "IIZ"]),
                   SparsePauliOp(["ZZZ", "III"], [2.0, 0.3])]  # fmt: skip
    return QNNCircuit(circuit, tuple(x), tuple(w), tuple(observables))


@pytest.mark.parametrize("case", range(2))
def test_circuits_and_observables_of_any_kind(rng, case):
    equal(mixed_circuit(rng), rng, ("fake_torino", "fake_fez")[case])


def test_data_between_entangling_gates_have_no_cones(rng):
    with pytest.raises(CircuitError, match="data enter before its first entangling gate"):
        equal(build_circuit("reupload-ring", 3, 2), rng, "fake_fez")


def test_chunks_of_rows_change_nothing(rng, monkeypatch):
    monkeypatch.setattr("qvit_qiskit.simulation.noise.cone_engine.CHUNK_BYTES", 2**11)
    equal(build_circuit("ry-chain", 4, 2), rng, "fake_fez")


def test_wide_circuits_take_cones_and_narrow_ones_do_not(rng):
    device = bundled_device("fake_fez")
    for qubits, form in ((4, "state"), (9, "cones")):
        circuit = build_circuit("ry-chain", qubits, 1)
        (basis,) = measurement_bases(circuit.pauli_terms)
        region = place(circuit.canonical, device)
        parameters = circuit.canonical.parameters
        program = compile_values(region, parameters, basis, tuple(range(qubits)), "")
        assert program.form == form


@pytest.mark.check
def test_outputs_that_depend_on_too_much_are_refused():
    circuit = build_circuit("ry-chain", 16, 14)
    with pytest.raises(CircuitError, match=r"narrow light cones \(ry-chain, cz-ring, lattice or"):
        noisy(bundled_device("fake_fez")).describe(circuit)


@pytest.mark.soak
def test_a_chain_of_24_qubits_equals_sampled_trajectories(rng):
    """Aer's matrix_product_state with the device's noise, one trajectory a shot."""
    circuit, device, shots = build_circuit("ry-chain", 24, 2), bundled_device("fake_fez"), 500
    rows = rng.uniform(-np.pi, np.pi, (2, 24))
    pub = circuit_pub(circuit, rows, rng.uniform(-np.pi, np.pi, circuit.num_weights))
    values = data(noisy(device), *pub).evs  # (24, 2)
    region = place(circuit.canonical, device)
    order = [list(circuit.canonical.parameters).index(p) for p in region.circuit.parameters]
    noise = NoiseModel.from_backend(TargetDevice(region.target))
    simulator = AerSimulator(method="matrix_product_state", noise_model=noise, seed_simulator=7)
    prepared = aer_noise.with_delays(region)
    bound = [prepared.assign_parameters(row[order]) for row in pub[2]]
    result = simulator.run(bound, shots=shots, memory=True).result()
    for row in range(2):
        memory = result.get_memory(row)
        bits = np.array([[bit == "1" for bit in shot[::-1]] for shot in memory])
        means = (1 - 2 * bits).mean(axis=0)
        errors = np.sqrt((1 - values[:, row] ** 2) / shots)
        assert np.abs((means - values[:, row]) / errors).max() < 5
