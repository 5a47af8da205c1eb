from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit.circuit import Parameter, QuantumCircuit
from qiskit.quantum_info import SparsePauliOp
from qiskit_aer.primitives import EstimatorV2
from reference import dense, finite
from reference.bundles import random_bundle, random_cotangents
from reference.random_circuits import random_circuit
from reference.stock import stock_network

from qvit_qiskit.circuits import FAMILIES, QNNCircuit, build_circuit, ry_ring, z_observables
from qvit_qiskit.circuits.bundle import Bundle, BundleGradient, SupportsVJP
from qvit_qiskit.exceptions import CircuitError
from qvit_qiskit.simulation.exact import engine
from qvit_qiskit.simulation.exact.engine import Engine
from qvit_qiskit.simulation.exact.estimator import Compiler, ExactEstimator
from qvit_qiskit.simulation.exact.gradient import AdjointGradient
from qvit_qiskit.simulation.exact.program import compile_program

pytestmark = pytest.mark.usefixtures("stages")

MODES = {"unitaries": lambda qubits, layers: True, "layers": lambda qubits, layers: False}
"""Whether shared parts become unitary matrices."""


def adjoint(mode: str = "unitaries", *, single: bool = False) -> AdjointGradient:
    return AdjointGradient(
        ExactEstimator(Engine(single=single), Compiler(partial(compile_program, pays=MODES[mode])))
    )


def pulled(gradient: SupportsVJP, bundle: Bundle, cotangents: list[np.ndarray]) -> BundleGradient:
    return gradient.vjp([bundle])[1]([cotangents])[0]


def assert_same(found: BundleGradient, expected: BundleGradient, atol: float) -> None:
    np.testing.assert_allclose(found.inputs, expected.inputs, atol=atol)
    np.testing.assert_allclose(found.weights, expected.weights, atol=atol)


def by_differences(bundle: Bundle, cotangents: list[np.ndarray]) -> BundleGradient:
    """The pullback from the dense twin's Jacobians."""
    count, inputs, weights = bundle.inputs.shape[1], 0.0, []
    for circuit, w, g in zip(bundle.circuits, bundle.weights, cotangents, strict=True):
        points = np.hstack([bundle.inputs, np.tile(w, (len(bundle.inputs), 1))])

        def values(rows: np.ndarray, circuit: QNNCircuit = circuit) -> np.ndarray:
            return dense.values(circuit.canonical, circuit.observables, rows)

        by_row = np.einsum("rkp,rk->rp", finite.jacobian(values, points), g)
        inputs = inputs + by_row[:, :count]
        weights.append(by_row[:, count:].sum(axis=0))
    return BundleGradient(np.asarray(inputs), weights)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    ("n", "layers", "rows"), [(1, 2, 3), (2, 2, 3), (3, 2, 2), (4, 1, 2), (6, 1, 1)]
)
def test_families_equal_the_stock_network(rng, family, n, layers, rows):
    """Jacobians inside a stock `EstimatorQNN`, and their contraction in both modes."""
    circuit = build_circuit(family, n, layers)
    bundle = random_bundle(rng, circuit, rows)
    stock = stock_network(circuit)
    by_input, by_weight = stock.backward(bundle.inputs, bundle.weights[0])

    exact = ExactEstimator()
    ours = stock_network(circuit, exact, AdjointGradient(exact))
    point = bundle.inputs, bundle.weights[0]
    np.testing.assert_allclose(ours.forward(*point), stock.forward(*point), atol=1e-12)
    for found, expected in zip(ours.backward(*point), (by_input, by_weight), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-9)

    cotangents = random_cotangents(rng, bundle)
    expected = BundleGradient(
        np.einsum("rk,rkn->rn", cotangents[0], by_input),
        [np.einsum("rk,rkw->w", cotangents[0], by_weight)],
    )
    for mode in MODES:
        assert_same(pulled(adjoint(mode), bundle, cotangents), expected, 1e-9)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("n", [5, 6])
def test_both_modes_agree_with_differences(rng, family, n):
    """In a random direction; layers of five and six qubits are two Kronecker blocks."""
    bundle = random_bundle(rng, build_circuit(family, n, 2), 3, groups=2)
    cotangents = random_cotangents(rng, bundle)
    along = random_bundle(rng, bundle.circuits[0], 3, groups=2)
    exact = adjoint("unitaries")

    def moved(step: float) -> float:
        weights = tuple(w + step * d for w, d in zip(bundle.weights, along.weights, strict=True))
        there = Bundle(bundle.circuits, weights, bundle.inputs + step * along.inputs)
        values = exact.vjp([there])[0][0]
        return sum(float(np.vdot(g, v)) for g, v in zip(cotangents, values, strict=True))

    slope = finite.jacobian(
        lambda t: np.array([[moved(float(s))] for s in t[:, 0]]), np.zeros((1, 1)), 2e-3
    )
    for mode in MODES:
        found = pulled(adjoint(mode), bundle, cotangents)
        total = np.vdot(found.inputs, along.inputs) + np.vdot(found.weights, along.weights)
        assert total == pytest.approx(slope.item(), abs=1e-8)


@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 3),
    st.integers(0, 10),
    st.sampled_from([(1, 1), (1, 2), (2, 1), (2, 2)]),
)
@settings(max_examples=15, derandomize=True, deadline=None)
def test_random_circuits(seed, qubits, depth, sizes):
    """One or two bundles of one or two weight sets."""
    rng = np.random.default_rng(seed)
    circuit = random_circuit(rng, qubits, depth)
    bundles = [random_bundle(rng, circuit, 2, sizes[1]) for _ in range(sizes[0])]
    cotangents = [random_cotangents(rng, bundle) for bundle in bundles]
    expected = [by_differences(b, g) for b, g in zip(bundles, cotangents, strict=True)]
    for mode in MODES:
        found = adjoint(mode).vjp(bundles)[1](cotangents)
        for one, two in zip(found, expected, strict=True):
            assert_same(one, two, 1e-8)


@given(st.integers(0, 2**32 - 1), st.integers(1, 3), st.integers(0, 10))
@settings(max_examples=10, derandomize=True, deadline=None)
def test_jacobians_of_random_circuits(seed, qubits, depth):
    """Through Qiskit Machine Learning's interface: one request per row and observable."""
    rng = np.random.default_rng(seed)
    circuit = random_circuit(rng, qubits, depth)
    points = rng.uniform(-np.pi, np.pi, (2, 6))
    expected = finite.jacobian(
        lambda rows: dense.values(circuit.circuit, circuit.observables, rows), points
    )
    requests = [(o, p) for o in circuit.observables for p in points]
    observables, values = zip(*requests, strict=True)
    for mode in MODES:
        job = adjoint(mode).run([circuit.circuit] * len(requests), observables, values)
        found = np.reshape(job.result().gradients, (-1, 2, 6)).transpose(1, 0, 2)
        np.testing.assert_allclose(found, expected, atol=1e-8)


def test_chosen_parameters(rng):
    """Each request names its own parameters, in its own order."""
    circuit = ry_ring(2, 1)
    w0, w1, x0, x1 = circuit.circuit.parameters
    points = rng.uniform(-1, 1, (3, 4))
    observable = circuit.observables[1]  # cos(x0 + w0) cos(x1 + w1)
    wanted = [[x1, w0], [w1], [x0]]
    job = adjoint().run([circuit.circuit] * 3, [observable] * 3, points, parameters=wanted)
    (a, b), (c, d) = (points[:, 0] + points[:, 2], points[:, 1] + points[:, 3]), (None, None)
    assert c is d
    by_a, by_b = -np.sin(a) * np.cos(b), -np.cos(a) * np.sin(b)
    found = job.result().gradients
    np.testing.assert_allclose(found[0], [by_b[0], by_a[0]], atol=1e-12)
    np.testing.assert_allclose(found[1], [by_b[1]], atol=1e-12)
    np.testing.assert_allclose(found[2], [by_a[2]], atol=1e-12)


@pytest.mark.parametrize("mode", MODES)
def test_bundles_share_their_rows(rng, mode):
    """Three weight sets at common rows: the input gradient is the sum, weights stay apart."""
    bundle = random_bundle(rng, build_circuit("rx-rz-ring", 3, 2), 4, groups=3)
    cotangents = random_cotangents(rng, bundle)
    together = pulled(adjoint(mode), bundle, cotangents)
    alone = [
        pulled(adjoint(mode), Bundle((circuit,), (weights,), bundle.inputs), [g])
        for circuit, weights, g in zip(bundle.circuits, bundle.weights, cotangents, strict=True)
    ]
    expected = BundleGradient(sum(a.inputs for a in alone), [a.weights[0] for a in alone])
    assert_same(together, expected, 1e-12)


def test_many_bundles_in_one_call(rng):
    """Some have circuit and size in common, and are not neighbours; each has its own rows."""
    bundles = [
        random_bundle(rng, build_circuit("ry-ring", 2, 2), 3, groups=3),
        random_bundle(rng, build_circuit("rx-rz-ring", 3, 1), 5, groups=1),
        random_bundle(rng, build_circuit("ry-ring", 2, 2), 3, groups=3),
        random_bundle(rng, build_circuit("ry-ring", 2, 2), 4, groups=3),
        random_bundle(rng, build_circuit("ry-chain", 8, 1), 2, groups=2),
        random_bundle(rng, build_circuit("ry-ring", 2, 2), 3, groups=2),
        random_bundle(rng, build_circuit("rx-rz-ring", 3, 1), 5, groups=1),
    ]
    cotangents = [random_cotangents(rng, bundle) for bundle in bundles]
    values, pull = adjoint().vjp(bundles)
    for bundle, found, gradient, g in zip(
        bundles, values, pull(cotangents), cotangents, strict=True
    ):
        expected, alone = adjoint().vjp([bundle])
        np.testing.assert_allclose(found, expected[0], atol=1e-13)
        assert_same(gradient, alone([g])[0], 1e-12)


def test_a_pullback_can_be_used_twice(rng):
    """Autograd does so with ``retain_graph``; the second answer is linear in its cotangent."""
    bundle = random_bundle(rng, build_circuit("reupload-ring", 3, 2), 4, groups=2)
    g = random_cotangents(rng, bundle)
    _, pull = adjoint().vjp([bundle])
    first, second = pull([g])[0], pull([[3 * one for one in g]])[0]
    tripled = BundleGradient(3 * first.inputs, [3 * w for w in first.weights])
    assert_same(second, tripled, 1e-12)


def test_circuits_of_a_bundle_are_one_object(rng):
    bundle = random_bundle(rng, ry_ring(2, 1), 2, groups=2)
    mixed = Bundle((ry_ring(2, 1), ry_ring(2, 1)), bundle.weights, bundle.inputs)
    with pytest.raises(ValueError, match="to be one object"):
        adjoint().vjp([mixed])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("constant", ["CHUNK_BYTES", "TAPE_BYTES"])
@pytest.mark.parametrize("family", ["reupload-ring", "rx-rz-ring"])
def test_chunks_and_tape(rng, monkeypatch, mode, constant, family):
    """Chunks of 16 of 50 rows, and forward states computed again on the way back."""
    bundles = [random_bundle(rng, build_circuit(family, 3, 2), 50, groups=2) for _ in range(2)]
    cotangents = [random_cotangents(rng, bundle) for bundle in bundles]
    values, pull = adjoint(mode).vjp(bundles)
    expected = pull(cotangents)
    monkeypatch.setattr(engine, constant, 0)
    found, pull = adjoint(mode).vjp(bundles)
    np.testing.assert_allclose(found, values, atol=1e-13)
    for one, two in zip(pull(cotangents), expected, strict=True):
        assert_same(one, two, 1e-12)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("family", ["ry-ring", "rx-rz-ring"])
def test_single_precision(rng, mode, family):
    """Relative to the sum over 50 rows, errors stay below 2e-6, and are not zero."""
    bundle = random_bundle(rng, build_circuit(family, 6, 3), 50)
    cotangents = random_cotangents(rng, bundle)
    double = pulled(adjoint(mode), bundle, cotangents)
    single = pulled(adjoint(mode, single=True), bundle, cotangents)
    for found, expected in [(single.inputs, double.inputs), (single.weights, double.weights)]:
        error = np.abs(np.subtract(found, expected)).max() / np.abs(expected).max()
        assert 1e-9 < error < 2e-6


@pytest.mark.parametrize(("family", "n", "layers"), [("rx-rz-ring", 8, 2), ("ry-chain", 12, 1)])
def test_wide_circuits(rng, family, n, layers):
    """Along a random direction, from Aer's values."""
    circuit = build_circuit(family, n, layers)
    point, along = rng.uniform(-1, 1, (2, n + circuit.num_weights))
    cotangent = rng.standard_normal((1, n))
    total_observable = SparsePauliOp.sum(
        [g * o for g, o in zip(cotangent[0], circuit.observables, strict=True)]
    )
    aer = EstimatorV2(options={"default_precision": 0.0})

    def loss(steps: np.ndarray) -> np.ndarray:
        pub = (circuit.canonical, total_observable, point + steps * along)
        return aer.run([pub]).result()[0].data.evs[:, None]

    slope = finite.jacobian(loss, np.zeros((1, 1)), 1e-2).item()
    bundle = Bundle((circuit,), (point[n:],), point[None, :n])
    found = pulled(AdjointGradient(ExactEstimator()), bundle, [cotangent])
    total = found.inputs[0] @ along[:n] + found.weights[0] @ along[n:]
    assert total == pytest.approx(slope, abs=1e-8)


def test_circuits_of_one_role(rng):
    """No weights, then no inputs."""
    a, b = Parameter("a"), Parameter("b")
    circuit = QuantumCircuit(1)
    circuit.ry(2 * a, 0)
    circuit.rx(b, 0)
    points = rng.uniform(-1, 1, (3, 2))
    only_inputs = QNNCircuit(circuit, (a, b), (), z_observables(1))
    found = pulled(adjoint(), Bundle((only_inputs,), (np.zeros(0),), points), [np.ones((3, 1))])
    by_a = -2 * np.sin(2 * points[:, 0]) * np.cos(points[:, 1])
    by_b = -np.cos(2 * points[:, 0]) * np.sin(points[:, 1])
    np.testing.assert_allclose(found.inputs, np.stack([by_a, by_b], 1), atol=1e-12)
    assert found.weights[0].shape == (0,)
    only_weights = QNNCircuit(circuit, (), (a, b), z_observables(1))
    bundle = Bundle((only_weights,), (points[0],), np.zeros((3, 0)))
    found = pulled(adjoint(), bundle, [np.ones((3, 1))])
    np.testing.assert_allclose(found.weights[0], [3 * by_a[0], 3 * by_b[0]], atol=1e-12)
    assert found.inputs.shape == (3, 0)


SIGNS = np.array([1, -1])
CURVES = {
    "quotient": (lambda a, b: a / b, lambda a, b: (1 / b, -a / b**2)),
    "power": (lambda a, b: a**2 * b, lambda a, b: (2 * a * b, a**2)),
    "exponential": (lambda a, b: (a * b).exp(), lambda a, b: np.exp(a * b) * np.array([b, a])),
    "logarithm": (lambda a, b: a.log() + b, lambda a, b: (1 / a, np.ones_like(b))),
    "arc tangent": (
        lambda a, b: (a - b).arctan(),
        lambda a, b: np.array([1, -1]) / (1 + (a - b) ** 2),
    ),
    "modulus": (lambda a, b: (a - b).abs(), lambda a, b: np.sign(a - b) * np.array([1, -1])),
}


@pytest.mark.parametrize("curve", CURVES)
def test_angles_that_are_not_affine(curve):
    """⟨Z⟩ = cos φ(a, b); the parameters' names are those that the compiler uses itself."""
    a, b = Parameter("p1"), Parameter("p0")
    formula, partials = CURVES[curve]
    circuit = QuantumCircuit(1)
    circuit.rx(formula(a, b), 0)
    made = QNNCircuit(circuit, (a,), (b,), z_observables(1))
    point = np.array([0.8, 1.3])
    phi = float(formula(a, b).bind({a: 0.8, b: 1.3}).numeric())
    bundle = Bundle((made,), (point[1:],), point[None, :1])
    values, pull = adjoint().vjp([bundle])
    assert values[0][0].item() == pytest.approx(np.cos(phi), abs=1e-12)
    found = pull([[np.ones((1, 1))]])[0]
    expected = -np.sin(phi) * np.array(partials(*point))
    np.testing.assert_allclose([found.inputs.item(), found.weights[0].item()], expected, atol=1e-12)


def test_an_observable_without_a_gradient(rng):
    circuit = ry_ring(2, 1)
    constant = QNNCircuit(
        circuit.circuit, circuit.inputs, circuit.weights, (SparsePauliOp("II", [3.0]),)
    )
    bundle = random_bundle(rng, constant, 2)
    values, pull = adjoint().vjp([bundle])
    np.testing.assert_allclose(values[0][0], 3.0, atol=1e-12)
    found = pull([random_cotangents(rng, bundle)])[0]
    assert np.abs(found.inputs).max() < 1e-12
    assert np.abs(found.weights[0]).max() < 1e-12


def test_values_that_are_not_finite(rng):
    bundle = random_bundle(rng, ry_ring(2, 1), 4)
    bundle.inputs[3, 0] = np.nan
    with pytest.raises(CircuitError, match="finite angles, but row 3 holds NaN"):
        adjoint().vjp([bundle])
    circuit = ry_ring(2, 1)
    job = adjoint().run([circuit.circuit], [circuit.observables[0]], [[0, 0, np.inf, 0]])
    with pytest.raises(CircuitError, match="finite parameter values, but row 0 holds NaN"):
        job.result()
