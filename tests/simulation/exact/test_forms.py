"""Pauli strings and light cones beside the whole state, and beside Aer where no state fits."""

import numpy as np
import pytest
import rustworkx as rx
from qiskit.circuit import QuantumCircuit
from qiskit.quantum_info import SparsePauliOp
from qiskit_aer.primitives import EstimatorV2
from reference import finite
from reference.bundles import random_bundle, random_cotangents
from reference.random_circuits import random_circuit

from qvit_qiskit.circuits import FAMILIES, QNNCircuit, build_circuit, z_observables
from qvit_qiskit.circuits.bundle import Bundle
from qvit_qiskit.circuits.lattice import compact_patch
from qvit_qiskit.circuits.lowering import lower, merge_rotations
from qvit_qiskit.exceptions import CircuitError
from qvit_qiskit.simulation.exact.cone_states import compile_cones
from qvit_qiskit.simulation.exact.estimator import Compiler, ExactEstimator
from qvit_qiskit.simulation.exact.forms import FormCompiler, FormEngine
from qvit_qiskit.simulation.exact.gradient import AdjointGradient
from qvit_qiskit.simulation.exact.program import compile_program
from qvit_qiskit.simulation.exact.strings import compile_strings

pytestmark = pytest.mark.usefixtures("stages")

LOCAL = ["ry-chain", "cz-ring", "lattice", "square-lattice"]


class OneForm(Compiler):
    """Compiles every circuit to one form."""

    def __init__(self, form):
        super().__init__(compile_program)
        self.form = form

    def _make_passes(self, circuit, observables, columns):
        lowered = merge_rotations(lower(circuit))
        if self.form == "cones":
            program = compile_cones(lowered, observables, columns)
        else:
            program = compile_strings(lowered, observables, columns, 4000)
        if program is None:
            pytest.skip("too many strings")
        return [(program, program.diagonals(len(observables)))]


def forms(**options):
    return {
        form: AdjointGradient(ExactEstimator(FormEngine(**options), OneForm(form)))
        for form in ("cones", "strings")
    }


def chosen():
    return ExactEstimator(FormEngine(), FormCompiler())


def whole():
    return AdjointGradient(ExactEstimator())


def assert_same(gradient, expected, bundles, cotangents, atol, slack=10):
    found, pull = gradient.vjp(bundles)
    values, back = expected.vjp(bundles)
    for one, other in zip(found, values, strict=True):
        np.testing.assert_allclose(one, other, atol=atol)
    for one, other in zip(pull(cotangents), back(cotangents), strict=True):
        np.testing.assert_allclose(one.inputs, other.inputs, atol=slack * atol)
        np.testing.assert_allclose(one.weights, other.weights, atol=slack * len(one.inputs) * atol)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("n", "layers"), [(1, 1), (2, 2), (3, 2), (5, 2), (9, 2)])
def test_forms_equal_the_whole_state(rng, family, n, layers):
    """Two heads of Q, K and V."""
    circuit = build_circuit(family, n, layers)
    bundles = [random_bundle(rng, circuit, 4, groups=3) for _ in range(2)]
    cotangents = [random_cotangents(rng, bundle) for bundle in bundles]
    for gradient in forms().values():
        assert_same(gradient, whole(), bundles, cotangents, 1e-12)


@pytest.mark.check
@pytest.mark.parametrize("family", LOCAL)
@pytest.mark.parametrize("n", [12, 16])
def test_forms_equal_the_whole_state_up_to_sixteen_qubits(rng, family, n):
    circuit = build_circuit(family, n, 2)
    bundle = random_bundle(rng, circuit, 2)
    cotangents = [random_cotangents(rng, bundle)]
    for gradient in forms().values():
        assert_same(gradient, whole(), [bundle], cotangents, 1e-12)


@pytest.mark.parametrize("seed", range(16))
def test_forms_of_any_circuit_and_observables(rng, seed):
    """Sums of strings that do not commute, curved angles, gates that map strings to sums."""
    circuit = random_circuit(rng, int(rng.integers(1, 6)), int(rng.integers(1, 9)))
    bundle = random_bundle(rng, circuit, 3, groups=2)
    cotangents = [random_cotangents(rng, bundle)]
    for gradient in forms().values():
        assert_same(gradient, whole(), [bundle], cotangents, 1e-12, slack=100)


def test_single_precision(rng):
    bundle = random_bundle(rng, build_circuit("ry-chain", 8, 2), 5, groups=3)
    for gradient in forms(single=True).values():
        assert_same(gradient, whole(), [bundle], [random_cotangents(rng, bundle)], 1e-5)


def test_circuits_without_rows_weights_or_gates():
    for circuit in (QuantumCircuit(2), QuantumCircuit(1)):
        layer = QNNCircuit(circuit, (), (), z_observables(circuit.num_qubits))
        bundle = Bundle((layer,), (np.zeros(0),), np.zeros((3, 0)))
        for gradient in forms().values():
            assert_same(gradient, whole(), [bundle], [[np.ones((3, layer.num_outputs))]], 1e-12)


def test_the_cheapest_form_is_chosen():
    exact = chosen()
    assert "light cones of up to 5 qubits" in exact.describe(build_circuit("ry-chain", 64, 2))
    assert "batched small states" in exact.describe(build_circuit("ry-chain", 30, 5))
    for family in ("ry-ring", "ry-chain"):
        assert "amplitudes" in exact.describe(build_circuit(family, 4, 2))
    assert "amplitudes" in exact.describe(build_circuit("ry-ring", 14, 2))


def test_cones_that_are_too_wide_are_refused_with_families_that_would_do():
    with pytest.raises(CircuitError, match=r"depends on 40\. The families ry-chain, cz-ring"):
        chosen().describe(build_circuit("ry-ring", 40))


def aer(circuit, observables, rows, method):
    exact = EstimatorV2(options={"default_precision": 0.0, "backend_options": {"method": method}})
    return exact.run([(circuit, [[o] for o in observables], rows)]).result()[0].data.evs


@pytest.mark.parametrize("family", ["ry-chain", "cz-ring"])
@pytest.mark.parametrize(
    "n", [32, pytest.param(64, marks=pytest.mark.check), pytest.param(100, marks=pytest.mark.check)]
)
def test_wide_layers_equal_matrix_product_states(rng, family, n):
    circuit = build_circuit(family, n, 2)
    rows = rng.uniform(-np.pi, np.pi, (2, n + circuit.num_weights))
    table = chosen().run([(circuit.canonical, [[o] for o in circuit.observables], rows)])
    expected = aer(circuit.canonical, circuit.observables, rows, "matrix_product_state")
    np.testing.assert_allclose(table.result()[0].data.evs, expected, atol=1e-8)


@pytest.mark.parametrize(("family", "outputs"), [("lattice", 60), ("square-lattice", 6)])
def test_lattices_equal_their_neighbourhoods(rng, family, outputs):
    """Each output from the gates within two couplers of it, simulated by Aer."""
    circuit = build_circuit(family, 60, 2)
    kind = {"lattice": "heavy-hex", "square-lattice": "square"}[family]
    pairs = [pair for one in compact_patch(kind, 60).couplers() for pair in one]
    graph = rx.PyGraph()
    graph.add_nodes_from(range(60))
    graph.add_edges_from([(a, b, None) for a, b in pairs])
    distances = rx.distance_matrix(graph)
    row = rng.uniform(-np.pi, np.pi, (1, 60 + circuit.num_weights))
    table = chosen().run([(circuit.canonical, [[o] for o in circuit.observables], row)])
    bound = circuit.canonical.assign_parameters(row[0])
    for output in rng.permutation(60)[:outputs]:
        near = np.flatnonzero(distances[output] <= 2)
        place = {int(q): k for k, q in enumerate(near)}
        small = QuantumCircuit(len(near))
        for item in bound.data:
            qubits = [bound.find_bit(q).index for q in item.qubits]
            if all(q in place for q in qubits):
                small.append(item.operation, [place[q] for q in qubits])
        z = SparsePauliOp.from_sparse_list([("Z", [place[int(output)]], 1.0)], len(near))
        expected = aer(small, [z], [()], "statevector")
        np.testing.assert_allclose(
            table.result()[0].data.evs[output], np.ravel(expected), atol=1e-10
        )


@pytest.mark.parametrize("family", LOCAL)
def test_gradients_of_wide_layers_equal_differences(rng, family):
    """In a random direction, at 64 qubits."""
    circuit = build_circuit(family, 64, 2)
    bundle, along = (random_bundle(rng, circuit, 3, groups=3) for _ in range(2))
    cotangents = random_cotangents(rng, bundle)
    exact = AdjointGradient(chosen())

    def moved(step):
        weights = tuple(w + step * d for w, d in zip(bundle.weights, along.weights, strict=True))
        there = Bundle(bundle.circuits, weights, bundle.inputs + step * along.inputs)
        values = exact.vjp([there])[0][0]
        return sum(float(np.vdot(g, v)) for g, v in zip(cotangents, values, strict=True))

    slope = finite.jacobian(
        lambda t: np.array([[moved(float(s))] for s in t[:, 0]]), np.zeros((1, 1)), 2e-3
    )
    found = exact.vjp([bundle])[1]([cotangents])[0]
    total = np.vdot(found.inputs, along.inputs) + np.vdot(found.weights, along.weights)
    assert total == pytest.approx(slope.item(), rel=1e-9, abs=1e-7)
