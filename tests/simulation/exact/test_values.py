from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit.circuit import Gate, Parameter, ParameterVector, QuantumCircuit
from qiskit.primitives import StatevectorEstimator
from qiskit.quantum_info import SparsePauliOp
from qiskit_aer.jobs import AerJob
from qiskit_aer.primitives import EstimatorV2
from reference import dense, stock
from reference.random_circuits import CONSTANT, PARAMETRIC, random_circuit

from qvit_qiskit.circuits import FAMILIES, QNNCircuit, build_circuit, ry_ring, z_observables
from qvit_qiskit.circuits.measurement_bases import measurement_bases
from qvit_qiskit.exceptions import CircuitError, RouteError
from qvit_qiskit.simulation.exact import engine
from qvit_qiskit.simulation.exact.engine import Engine, Request
from qvit_qiskit.simulation.exact.estimator import Compiler, ExactEstimator, varying_columns
from qvit_qiskit.simulation.exact.program import MAX_QUBITS, compile_program
from qvit_qiskit.simulation.shifts import circuit_pub

pytestmark = pytest.mark.usefixtures("stages")

MODES = {"unitaries": lambda qubits, layers: True, "layers": lambda qubits, layers: False}
"""Whether shared parts become unitary matrices."""


def estimator(mode: str) -> ExactEstimator:
    return ExactEstimator(compiler=Compiler(partial(compile_program, pays=MODES[mode])))


def values(one: ExactEstimator, *pub: object) -> np.ndarray:
    return one.run([pub]).result()[0].data.evs


def aer_values(*pub: object) -> np.ndarray:
    exact = EstimatorV2(options={"default_precision": 0.0})
    return exact.run([pub]).result()[0].data.evs


def random_rows(rng: np.random.Generator, circuit: QNNCircuit, rows: int) -> np.ndarray:
    """Inputs that vary by row and weights that do not, in the order of `canonical`."""
    x = rng.uniform(-np.pi, np.pi, (rows, circuit.num_inputs))
    w = rng.uniform(-np.pi, np.pi, circuit.num_weights)
    return np.hstack([x, np.tile(w, (rows, 1))])


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("n", range(1, 7))
def test_families(rng, family, n):
    for layers in (1, 3):
        circuit = build_circuit(family, n, layers)
        x = rng.uniform(-np.pi, np.pi, (4, n))
        pub = circuit_pub(circuit, x, rng.uniform(-np.pi, np.pi, circuit.num_weights))
        expected = aer_values(*pub)
        twin = stock.statevector_values(pub[0], circuit.observables, pub[2]).T
        np.testing.assert_allclose(expected, twin, atol=1e-12)
        for mode in MODES:
            np.testing.assert_allclose(values(estimator(mode), *pub), expected, atol=1e-12)


@pytest.mark.parametrize(
    ("family", "n", "layers"), [(f, 8, 2) for f in FAMILIES] + [("rx-rz-ring", 12, 1)]
)
def test_wide_circuits(rng, family, n, layers):
    circuit = build_circuit(family, n, layers)
    pub = circuit_pub(circuit, random_rows(rng, circuit, 3)[:, :n], np.ones(circuit.num_weights))
    np.testing.assert_allclose(values(ExactEstimator(), *pub), aer_values(*pub), atol=1e-12)


@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(0, 14), st.integers(1, 3))
@settings(max_examples=40, derandomize=True, deadline=None)
def test_random_circuits(seed, qubits, depth, rows):
    rng = np.random.default_rng(seed)
    circuit = random_circuit(rng, qubits, depth)
    points = random_rows(rng, circuit, rows)
    points[:, rng.integers(circuit.num_inputs)] = 0.4  # a feature that is the same everywhere
    expected = dense.values(circuit.canonical, circuit.observables, points).T
    observables = [[o] for o in circuit.observables]
    for mode in MODES:
        found = values(estimator(mode), circuit.canonical, observables, points)
        np.testing.assert_allclose(found, expected, atol=1e-12)


@pytest.mark.parametrize("gate", [g for some in CONSTANT.values() for g in some], ids=repr)
def test_constant_gates(rng, gate):
    """Before, between and behind an input and a weight on every wire."""
    x, w = Parameter("x"), Parameter("w")
    circuit = QuantumCircuit(gate.num_qubits)
    for parameter in (x, w):
        circuit.append(gate, range(gate.num_qubits))
        for q in range(gate.num_qubits):
            circuit.ry((q + 1) * parameter + 0.1, q)
    circuit.append(gate, reversed(range(gate.num_qubits)))
    check_gate(rng, QNNCircuit(circuit, (x,), (w,), observables_of(gate.num_qubits)))


class Tilt(Gate):
    """A gate that Aer does not know, of a matrix alone."""

    def __init__(self) -> None:
        super().__init__("tilt", 1, [])

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        return np.array([[0.6, -0.8], [0.8, 0.6]], dtype=dtype)


def test_gates_that_aer_does_not_know(rng):
    x, w = Parameter("x"), Parameter("w")
    circuit = QuantumCircuit(1)
    circuit.rx(x, 0)
    circuit.append(Tilt(), [0])
    circuit.rx(w, 0)
    check_gate(rng, QNNCircuit(circuit, (x,), (w,), observables_of(1)))


@pytest.mark.parametrize("entry", PARAMETRIC, ids=lambda entry: entry[0].__name__)
def test_parametric_gates(rng, entry):
    """All angles inputs, then all of them weights."""
    make, angles, width = entry
    x, w = ParameterVector("x", angles), ParameterVector("w", angles)
    circuit = QuantumCircuit(width)
    for parameters in (x, w):
        circuit.h(range(width))
        circuit.append(make(*parameters), range(width))
        circuit.ry(0.4, 0)
    check_gate(rng, QNNCircuit(circuit, tuple(x), tuple(w), observables_of(width)))


def observables_of(qubits: int) -> tuple[SparsePauliOp, ...]:
    """In three bases."""
    return tuple(SparsePauliOp(letter * qubits) for letter in "XYZ")


def check_gate(rng: np.random.Generator, circuit: QNNCircuit) -> None:
    points = random_rows(rng, circuit, 3)
    expected = dense.values(circuit.canonical, circuit.observables, points).T
    observables = [[o] for o in circuit.observables]
    for mode in MODES:
        found = values(estimator(mode), circuit.canonical, observables, points)
        np.testing.assert_allclose(found, expected, atol=1e-12)


@pytest.mark.parametrize("mode", MODES)
def test_every_column_may_vary(rng, mode):
    """Rows with weights of their own, as parameter shifts send them."""
    circuit = build_circuit("rx-rz-ring", 3, 2)
    points = rng.uniform(-np.pi, np.pi, (5, len(circuit.canonical.parameters)))
    expected = dense.values(circuit.canonical, circuit.observables, points).T
    found = values(estimator(mode), circuit.canonical, [[o] for o in circuit.observables], points)
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_which_columns_are_row_data():
    """Inputs of a network always are; anything else is if its values differ."""
    circuit = ry_ring(2, 1)
    rows = np.array([[1.0, 2, 3, 4], [1, 2, 3, 5]])
    assert varying_columns(circuit.canonical, rows) == (0, 1, 3)
    assert varying_columns(circuit.canonical, rows[:1]) == (0, 1)
    assert varying_columns(circuit.circuit, rows) == (3,)  # no input is called `inputs`
    a, b = Parameter("a"), Parameter("b")
    plain = QuantumCircuit(1)
    plain.ry(a * b, 0)
    assert varying_columns(plain, np.array([[1.0, 2], [1, 3]])) == (1,)


PAULIS = [SparsePauliOp("XZ"), SparsePauliOp(["YY", "ZI"], [0.5, -2]), SparsePauliOp("IX")]
SHAPES = {
    "scalar": (PAULIS[1], (4,)),
    "rows": (PAULIS[0], (3, 4)),
    "zipped": (PAULIS, (3, 4)),
    "column against rows": ([[o] for o in PAULIS], (5, 4)),
    "grid of rows": (PAULIS[2], (2, 3, 4)),
    "row against grid": (PAULIS, (2, 3, 4)),
    "cube": ([[[o]] for o in PAULIS], (2, 3, 4)),
    "one row": ([[o] for o in PAULIS], (1, 4)),
    "no rows": ([[o] for o in PAULIS], (0, 4)),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_shapes_of_pubs(rng, shape):
    observables, size = SHAPES[shape]
    pub = (build_circuit("rx-rz-ring", 2, 1).circuit, observables, None)
    points = rng.uniform(-np.pi, np.pi, (*size[:-1], pub[0].num_parameters))
    found = ExactEstimator().run([(*pub[:2], points)]).result()[0].data
    expected = StatevectorEstimator().run([(*pub[:2], points)]).result()[0].data
    assert found.shape == expected.shape == np.shape(found.evs) == np.shape(found.stds)
    np.testing.assert_allclose(found.evs, expected.evs, atol=1e-12)
    assert not np.any(found.stds)


@pytest.mark.parametrize("mode", MODES)
def test_circuits_without_parameters(mode):
    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.x(0)
    assert values(estimator(mode), circuit, SparsePauliOp("ZZ")) == pytest.approx(-1, abs=1e-12)
    found = values(estimator(mode), circuit, ["XX", "YY", "IZ"])
    np.testing.assert_allclose(found, [1, 1, 0], atol=1e-12)


def test_parameters_that_turn_nothing(rng):
    """In a global phase, a delay, or an identity."""
    a, b = Parameter("a"), Parameter("b")
    circuit = QuantumCircuit(1, global_phase=a)
    circuit.ry(b, 0)
    rows = rng.uniform(-1, 1, (3, 2))
    found = values(ExactEstimator(), circuit, SparsePauliOp("Z"), rows)
    np.testing.assert_allclose(found, np.cos(rows[:, 1]), atol=1e-12)


def test_one_job_answers_many_pubs(rng):
    """Of several widths, bases and weights; two share a circuit, and one is empty."""
    narrow, wide = build_circuit("ry-ring", 2, 2), build_circuit("rx-rz-ring", 4, 1)
    pubs = [
        circuit_pub(narrow, rng.uniform(-1, 1, (3, 2)), rng.uniform(-1, 1, 4)),
        circuit_pub(wide, rng.uniform(-1, 1, (2, 4)), rng.uniform(-1, 1, 8)),
        circuit_pub(narrow, rng.uniform(-1, 1, (0, 2)), rng.uniform(-1, 1, 4)),
        (narrow.canonical, ["XY", "ZZ"], rng.uniform(-1, 1, (2, 6))),
        circuit_pub(narrow, rng.uniform(-1, 1, (5, 2)), rng.uniform(-1, 1, 4)),
    ]
    together = ExactEstimator().run(pubs).result()
    expected = StatevectorEstimator().run(pubs).result()
    assert len(together) == len(pubs)
    for one, other in zip(together, expected, strict=True):
        np.testing.assert_allclose(one.data.evs, other.data.evs, atol=1e-12)


def test_no_pubs():
    assert len(ExactEstimator().run([]).result()) == 0


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("family", ["ry-ring", "rx-rz-ring", "reupload-ring"])
def test_single_precision(rng, mode, family):
    """Errors stay below 2e-6 for six qubits and three layers, and are not zero."""
    circuit = build_circuit(family, 6, 3)
    pub = circuit_pub(circuit, random_rows(rng, circuit, 50)[:, :6], np.ones(circuit.num_weights))
    single = ExactEstimator(
        Engine(single=True), Compiler(partial(compile_program, pays=MODES[mode]))
    )
    error = np.abs(values(single, *pub) - values(estimator(mode), *pub)).max()
    assert 1e-10 < error < 2e-6


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("family", ["reupload-ring", "rx-rz-ring"])
def test_chunks_of_rows(rng, monkeypatch, mode, family):
    circuit = build_circuit(family, 3, 2)
    pub = circuit_pub(circuit, random_rows(rng, circuit, 50)[:, :3], np.ones(circuit.num_weights))
    whole = values(estimator(mode), *pub)
    monkeypatch.setattr(engine, "CHUNK_BYTES", 1)  # 16 rows at least, so 4 chunks
    np.testing.assert_allclose(values(estimator(mode), *pub), whole, atol=1e-14)


def test_a_failed_simulation_is_not_silent(monkeypatch):
    def failed(self):
        return SimpleNamespace(success=False, status="ERROR: no memory")

    monkeypatch.setattr(AerJob, "result", failed)
    job = ExactEstimator().run([circuit_pub(ry_ring(4, 3), np.zeros((1, 4)), np.zeros(12))])
    with pytest.raises(RouteError, match="shared unitary: ERROR: no memory"):
        job.result()


def test_probabilities(rng):
    circuit = build_circuit("rx-rz-ring", 3, 1)
    points = random_rows(rng, circuit, 4)
    basis = measurement_bases(circuit.pauli_terms)[0]
    program = Compiler(compile_program).program(circuit.canonical, basis, (0, 1, 2))
    request = Request(program, points[:, :3].T[:, None], points[:1, 3:], np.zeros((8, 0)))
    expected = np.abs(dense.states(circuit.canonical, points)) ** 2
    np.testing.assert_allclose(Engine().probabilities(request)[0], expected.T, atol=1e-12)


def test_a_circuit_that_grew_is_compiled_again():
    circuit, one = QuantumCircuit(1), ExactEstimator()
    assert values(one, circuit, "Z") == pytest.approx(1)
    circuit.x(0)
    assert values(one, circuit, "Z") == pytest.approx(-1)
    circuit.ry(Parameter("a"), 0)
    assert values(one, circuit, "Z", [np.pi]) == pytest.approx(1)
    circuit.assign_parameters([0.0], inplace=True)
    assert values(one, circuit, "Z") == pytest.approx(-1)


def refused(circuit: QuantumCircuit) -> str:
    """The message; it comes out of the job, not of `run`."""
    job = ExactEstimator().run([(circuit, "Z" * circuit.num_qubits)])
    with pytest.raises(CircuitError) as caught:
        job.result()
    return str(caught.value)


def _if_else(circuit: QuantumCircuit) -> None:
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.x(0)


def _for_loop(circuit: QuantumCircuit) -> None:
    with circuit.for_loop(range(2)):
        circuit.x(0)


REFUSED = {
    "measure": lambda c: c.measure(0, 0),
    "reset": lambda c: c.reset(0),
    "if_else": _if_else,
    "for_loop": _for_loop,
    "initialize": lambda c: c.initialize([0, 1], 0),
    "opaque": lambda c: c.append(Gate("opaque", 1, []), [0]),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_instructions(name):
    circuit = QuantumCircuit(1, 1)
    circuit.h(0)
    REFUSED[name](circuit)
    circuit.h(0)
    message = refused(circuit)
    assert f"but got the instruction {name!r}" in message
    assert 'engine = "aer"' in message


def test_a_refused_instruction_inside_another():
    inner = QuantumCircuit(1)
    inner.reset(0)
    circuit = QuantumCircuit(2)
    circuit.append(inner.to_instruction(), [1])
    assert "'reset'" in refused(circuit)


@pytest.mark.parametrize("observable", [{"q": 1.0}, {"z": 1.0}])
def test_other_letters_are_refused(observable):
    with pytest.raises(CircuitError, match=r"Pauli letters I, X, Y, Z, but got .*sums of Paulis"):
        measurement_bases([observable])


def test_complex_coefficients_are_refused():
    with pytest.raises(CircuitError, match="Hermitian observable, but 'XZ' has the coefficient"):
        measurement_bases([{"ZZ": 1.0, "XZ": 1 + 1e-3j}])
    circuit = QNNCircuit(QuantumCircuit(1), (), (), (SparsePauliOp("Z", [1j]),))
    with pytest.raises(CircuitError, match="Hermitian"):
        ExactEstimator().describe(circuit)


def test_circuits_that_are_too_wide():
    circuit = QuantumCircuit(MAX_QUBITS + 1)
    circuit.h(range(MAX_QUBITS + 1))
    message = refused(circuit)
    assert f"at most {MAX_QUBITS} qubits" in message
    assert f"but got {MAX_QUBITS + 1}." in message


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_not_finite(bad):
    circuit = ry_ring(2, 1)
    rows = np.zeros((4, 4))
    rows[2, 1] = bad
    job = ExactEstimator().run([(circuit.canonical, "ZZ", rows)])
    with pytest.raises(CircuitError, match=r"finite parameter values, but row 2 holds NaN"):
        job.result()


def test_terms_that_commute_share_a_basis():
    """Qubit by qubit, greedily: ZZ, IX and YY need three bases, XI joins the second."""
    bases = measurement_bases([{"ZZ": 1.0, "IX": 2.0}, {"YY": 3.0, "XI": 4.0, "II": 5.0}])
    assert [basis.axes for basis in bases] == [("Z", "Z"), ("X", "X"), ("Y", "Y")]
    assert [basis.terms for basis in bases] == [
        ((0, 1.0, 0b11), (1, 5.0, 0)),
        ((0, 2.0, 0b01), (1, 4.0, 0b10)),
        ((1, 3.0, 0b11),),
    ]
    assert len(measurement_bases(build_circuit("ry-ring", 4, 1).pauli_terms)) == 1
    assert z_observables(2)[1].to_list() == [("ZI", 1.0)]


def test_an_angle_without_derivative_is_refused():
    from qiskit import QuantumCircuit
    from qiskit.circuit import Parameter

    from qvit_qiskit.circuits.angles import AngleTable
    from qvit_qiskit.circuits.lowering import lower
    from qvit_qiskit.exceptions import CircuitError

    circuit = QuantumCircuit(1)
    circuit.ry(0.7 * Parameter("a").sign(), 0)
    lowered = lower(circuit)
    with pytest.raises(CircuitError, match="differentiable"):
        AngleTable.of(lowered.angles, lowered.parameters)
