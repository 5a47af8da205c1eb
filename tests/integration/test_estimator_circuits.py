"""Circuits and observables as other people write them.

The expected values are ``StatevectorEstimator``'s, of a circuit and an observable that say the
same in its own terms: without measurements, not transpiled, projectors written out as Paulis.
"""

from itertools import combinations

import numpy as np
import pytest
from qiskit.circuit import Parameter, QuantumCircuit, QuantumRegister
from qiskit.circuit.library import (
    GlobalPhaseGate,
    PauliEvolutionGate,
    real_amplitudes,
    zz_feature_map,
)
from qiskit.primitives.containers.observables_array import ObservablesArray
from qiskit.providers.fake_provider import GenericBackendV2
from qiskit.quantum_info import Pauli, PauliList, SparseObservable, SparsePauliOp
from qiskit.transpiler import generate_preset_pass_manager
from reference.kinds import assert_values, entangled, stock, values

from qvit_qiskit.exceptions import CircuitError

PAULIS = ["ZZ", "XY", "IX", "YI"]
MATRIX = SparsePauliOp(["ZZ", "XY"], [0.5, -1.25])

OBSERVABLES = {
    "str": "XY",
    "Pauli": Pauli("-XY"),
    "SparsePauliOp": MATRIX,
    "terms that repeat": SparsePauliOp(["ZZ", "XY", "ZZ"], [0.5, 1, 0.25]),
    "SparseObservable": SparseObservable.from_list([("ZZ", 0.5), ("XY", -1.25)]),
    "dict": {"ZZ": 0.5, "XY": -1.25},
    "dict of Paulis": {Pauli("ZZ"): 0.5, Pauli("-XY"): 1.25},
    "identity": "II",
    "a constant": SparsePauliOp(["II", "ZX"], [0.7, 1]),
    "integers": {"ZZ": 1, "IX": -1},
    "ObservablesArray": ObservablesArray(PAULIS),
    "nested lists": [[PAULIS[0], MATRIX], [Pauli("YX"), {"XX": 0.5}]],
    "PauliList": PauliList(["ZZ", "XX", "YI"]),
    "array of strings": np.array([["ZZ"], ["XX"]]),
}


@pytest.mark.parametrize("form", OBSERVABLES)
def test_forms_of_observables(estimator, kind, form):
    pub = entangled(), OBSERVABLES[form]
    found, expected = values(estimator, *pub), stock(*pub)
    assert found.shape == expected.shape
    assert_values(kind, found, expected)


PROJECTORS = {
    "both values": "01",
    "beside a Pauli": "Z0",
    "one and Z, which Qiskit takes for a phase": "1Z",
    "signs": "+-",
    "directions": "rl",
    "SparseObservable": SparseObservable.from_list([("0+", 0.5), ("ZI", 1), ("l1", -0.25)]),
    "dict": {"00": 0.5, "11": -1, "XY": 0.25},
    "list": ["0I", "I1", "+I", "Ir", "ZZ"],
}


@pytest.mark.parametrize("name", PROJECTORS)
def test_projectors(estimator, kind, name):
    """``StatevectorEstimator`` has none, and takes "1Z" for the Pauli Z with a phase."""
    array = ObservablesArray(PROJECTORS[name])
    plain = [one.as_paulis() for one in array.sparse_observables_array().ravel()]
    expected = stock(entangled(), plain).reshape(array.shape)
    assert_values(kind, values(estimator, entangled(), PROJECTORS[name]), expected)


def _measured_all() -> QuantumCircuit:
    circuit = entangled()
    circuit.measure_all()
    return circuit


def _measured_into_bits() -> QuantumCircuit:
    circuit = QuantumCircuit(2, 3)
    circuit.compose(entangled(), inplace=True)
    circuit.measure([1, 0], [0, 2])
    return circuit


def _measured_in_part() -> QuantumCircuit:
    circuit = QuantumCircuit(2, 1)
    circuit.compose(entangled(), inplace=True)
    circuit.barrier()
    circuit.measure(1, 0)
    return circuit


MEASURED = [(_measured_all, [0, 1]), (_measured_into_bits, [0, 1]), (_measured_in_part, [1])]


@pytest.mark.parametrize(("make", "qubits"), MEASURED)
def test_final_measurements(estimator, kind, make, qubits):
    """Z strings are as without them; X and Y of a measured qubit are lost, as with Aer.

    A measurement that nobody reads is a Z that comes with the probability ½.
    """
    circuit, branches = make(), [entangled()]
    for qubit in qubits:
        branches += [branch.copy() for branch in branches]
        for branch in branches[: len(branches) // 2]:
            branch.z(qubit)
    expected = np.mean([stock(branch, PAULIS) for branch in branches], axis=0)
    assert_values(kind, values(estimator, circuit, PAULIS), expected)
    assert circuit.count_ops()["measure"] == len(qubits)  # the caller's circuit keeps them


def test_measurements_in_between_are_refused(estimator):
    circuit = QuantumCircuit(1, 1)
    circuit.h(0)
    circuit.measure(0, 0)
    circuit.h(0)
    with pytest.raises(CircuitError, match="measure"):
        estimator.run([(circuit, "X")]).result()


INITIAL = {
    "one qubit": ([0.6, 0.8j], [0]),
    "the other qubit": ([0.6, -0.8], [1]),
    "both qubits": ([0.5, 0.5j, -0.1, 0.7], None),
    "both qubits, exchanged": ([0.5, 0.5j, -0.1, 0.7], [1, 0]),
    "letters": ("r1", None),
    "number": (2, None),
}


@pytest.mark.parametrize("name", INITIAL)
@pytest.mark.parametrize("prepare", ["initialize", "prepare_state"])
def test_initial_states(estimator, kind, name, prepare):
    state, qubits = INITIAL[name]
    circuit = QuantumCircuit(2)
    options = {"normalize": True} if isinstance(state, list) else {}
    getattr(circuit, prepare)(state, qubits, **options)
    circuit.compose(entangled(), inplace=True)
    assert_values(kind, values(estimator, circuit, PAULIS), stock(circuit, PAULIS))


def test_resetting_a_used_qubit_is_refused(estimator):
    circuit = entangled()
    circuit.initialize([0.6, 0.8], 0)
    with pytest.raises(CircuitError, match=r"initialize|reset"):
        estimator.run([(circuit, "ZZ")]).result()


@pytest.mark.parametrize("qubits", [5, 20, 27])
def test_transpiled_circuits(rng, estimator, kind, qubits):
    """Two qubits in use on a wide device: the idle ones cost nothing."""
    circuit, point = real_amplitudes(2, reps=1), rng.uniform(-1, 1, (2, 4))
    backend = GenericBackendV2(qubits, seed=4)
    wide = generate_preset_pass_manager(2, backend, seed_transpiler=2).run(circuit)
    assert wide.num_qubits == qubits
    observables = [[MATRIX], [SparsePauliOp("IX")], [SparsePauliOp("YI")]]
    laid_out = [[o.apply_layout(wide.layout)] for (o,) in observables]
    expected = stock(circuit, observables, point)
    assert_values(kind, values(estimator, wide, laid_out, point), expected)


def test_idle_qubits_that_are_observed(estimator, kind):
    """They are |0⟩, in every basis."""
    circuit = QuantumCircuit(QuantumRegister(2, "used"), QuantumRegister(25, "idle"))
    circuit.compose(entangled(), inplace=True)
    middle = "I" * 24
    observables = ["Z" + middle + "ZZ", "Z" + middle + "II", "X" + middle + "II", "I" * 27]
    expected = [stock(entangled(), "ZZ"), 1, 0, 1]
    assert_values(kind, values(estimator, circuit, observables), expected)


a, b = Parameter("a"), Parameter("b")


def _feature_map() -> QuantumCircuit:
    """The gate is made of gates, and has entries of more than one parameter."""
    circuit = QuantumCircuit(2)
    circuit.append(zz_feature_map(2, reps=1).to_gate(), [1, 0])
    return circuit


def _controlled() -> QuantumCircuit:
    circuit = entangled()
    circuit.append(real_amplitudes(1, reps=1).to_gate().control(1, ctrl_state=0), [0, 1])
    return circuit


def _phases() -> QuantumCircuit:
    """In the circuit, as a gate, and inside a controlled gate, where it is no global phase."""
    circuit = QuantumCircuit(2, global_phase=a)
    circuit.h([0, 1])
    circuit.append(GlobalPhaseGate(a * b), [])
    circuit.append(GlobalPhaseGate(b).control(1), [0])
    return circuit


def _evolution() -> QuantumCircuit:
    """Terms that commute, so that the definition is the exponential."""
    circuit = entangled()
    generator = SparsePauliOp(["XX", "ZZ"], [0.5, 0.3])
    circuit.append(PauliEvolutionGate(generator, time=a), [0, 1])
    circuit.append(PauliEvolutionGate(SparsePauliOp("YZ"), time=2 * b), [1, 0])
    return circuit


def _unitary() -> QuantumCircuit:
    circuit = entangled()
    circuit.rx(a * b, 0)
    circuit.unitary(np.array([[0.6, -0.8], [0.8, 0.6]]), [1])
    circuit.ry(a - b, 1)
    circuit.barrier()
    circuit.id(0)
    return circuit


COMPOSITES = [_feature_map, _controlled, _phases, _evolution, _unitary]


@pytest.mark.parametrize("make", COMPOSITES)
def test_composite_gates(rng, estimator, kind, make):
    circuit = make()
    pub = (circuit, [[p] for p in PAULIS], rng.uniform(-1, 1, (3, circuit.num_parameters)))
    assert_values(kind, values(estimator, *pub), stock(*pub))


def test_evolution_is_what_its_definition_says(rng, estimator, kind):
    """Terms that do not commute: a device runs the product formula, not the exponential."""
    circuit = entangled()
    generator = SparsePauliOp(["XX", "ZI"], [0.5, 0.3])
    circuit.append(PauliEvolutionGate(generator, time=a), [0, 1])
    point = rng.uniform(0.5, 1, (2, 1))
    expected = stock(circuit.decompose("PauliEvolution"), [[p] for p in PAULIS], point)
    assert_values(kind, values(estimator, circuit, [[p] for p in PAULIS], point), expected)


def test_circuits_that_are_too_wide(estimator):
    """An output that depends on all of them: refused in words, before anything is allocated."""
    circuit = QuantumCircuit(40)
    circuit.h(range(40))
    for one, other in combinations(range(40), 2):
        circuit.cp(0.3, one, other)
    circuit.h(range(40))
    with pytest.raises(CircuitError, match=r"at most \d+ qubits"):
        estimator.run([(circuit, "Z" * 40)]).result()
