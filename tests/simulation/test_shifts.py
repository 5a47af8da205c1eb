from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit.circuit import Parameter, QuantumCircuit
from qiskit.primitives import StatevectorEstimator
from reference import dense, finite
from reference.bundles import random_bundle, random_cotangents
from reference.random_circuits import random_circuit
from reference.stock import stock_network
from reference.watching import Watching

from qvit_qiskit.circuits import FAMILIES, QNNCircuit, build_circuit, ry_ring, z_observables
from qvit_qiskit.circuits.bundle import Bundle, SupportsVJP
from qvit_qiskit.exceptions import CircuitError
from qvit_qiskit.execution import registry
from qvit_qiskit.simulation.exact.estimator import ExactEstimator
from qvit_qiskit.simulation.exact.gradient import AdjointGradient
from qvit_qiskit.simulation.shifts import (
    ParameterShiftGradient,
    SPSAGradient,
    circuit_pub,
    estimate,
)


def assert_same_pullback(
    gradient: SupportsVJP, other: SupportsVJP, bundles: list[Bundle], rng: np.random.Generator
) -> None:
    cotangents = [random_cotangents(rng, bundle) for bundle in bundles]
    (values, pull), (expected, other_pull) = gradient.vjp(bundles), other.vjp(bundles)
    for one, two in zip(values, expected, strict=True):
        np.testing.assert_allclose(one, two, atol=1e-11)
    for one, two in zip(pull(cotangents), other_pull(cotangents), strict=True):
        np.testing.assert_allclose(one.inputs, two.inputs, atol=1e-9)
        np.testing.assert_allclose(one.weights, two.weights, atol=1e-9)


def test_one_pub_for_all_rows_and_outputs(rng):
    circuit = ry_ring(3, 1)
    inputs, weights = rng.uniform(-1, 1, (5, 3)), rng.uniform(-1, 1, 3)
    canonical, observables, points = circuit_pub(circuit, inputs, weights)
    assert canonical is circuit.canonical
    assert observables == [[o] for o in circuit.observables]
    np.testing.assert_array_equal(points, np.hstack([inputs, np.tile(weights, (5, 1))]))
    inputs[1, 2] = np.nan
    with pytest.raises(CircuitError, match="finite angles, but row 1"):
        circuit_pub(circuit, inputs, weights)


def test_one_call_for_all_bundles(rng):
    """Values by rows; a covariance only where the estimator has one."""
    bundles = [random_bundle(rng, ry_ring(2, 1), 3, 3), random_bundle(rng, ry_ring(3, 1), 5, 1)]
    watching = Watching(ExactEstimator())
    found = estimate(watching, bundles)
    assert watching.shapes == [[(2, 3)] * 3 + [(3, 5)]]
    for bundle, measurements in zip(bundles, found, strict=True):
        for circuit, weights, one in zip(
            bundle.circuits, bundle.weights, measurements, strict=True
        ):
            points = np.hstack([bundle.inputs, np.tile(weights, (len(bundle.inputs), 1))])
            expected = dense.values(circuit.canonical, circuit.observables, points)
            np.testing.assert_allclose(one.values, expected, atol=1e-12)
            assert one.stds.shape == expected.shape
            assert one.covariances is None
    one = estimate(registry.open("aer-shots").estimator, bundles)[1][0]
    assert one.covariances.shape == (5, 3, 3)
    variances = np.einsum("rkk->rk", one.covariances)
    np.testing.assert_allclose(variances, one.stds**2, atol=1e-12)
    np.testing.assert_allclose(variances, (1 - one.values**2) / 1024, atol=1e-12)


@pytest.mark.parametrize("family", FAMILIES)
def test_shifts_equal_the_adjoint_method(rng, family):
    """Two layers repeat every input of the re-uploading family."""
    exact = ExactEstimator()
    bundles = [
        random_bundle(rng, build_circuit(family, 3, 2), 4, 3),
        random_bundle(rng, build_circuit(family, 2, 1), 2, 1),
    ]
    assert_same_pullback(ParameterShiftGradient(exact), AdjointGradient(exact), bundles, rng)


@pytest.mark.parametrize("profile", ["aer-reference", "aer-exact-single"])
def test_shifts_on_other_exact_estimators(rng, profile):
    bundle = random_bundle(rng, build_circuit("rx-rz-ring", 2, 2), 2, 2)
    cotangents = random_cotangents(rng, bundle)
    found = ParameterShiftGradient(registry.open(profile).estimator).vjp([bundle])[1]([cotangents])
    expected = AdjointGradient(ExactEstimator()).vjp([bundle])[1]([cotangents])
    atol = 1e-10 if profile == "aer-reference" else 5e-6
    np.testing.assert_allclose(found[0].inputs, expected[0].inputs, atol=atol)
    np.testing.assert_allclose(found[0].weights, expected[0].weights, atol=atol)


@given(st.integers(0, 2**32 - 1), st.integers(1, 3), st.integers(0, 10))
@settings(max_examples=15, derandomize=True, deadline=None)
def test_shifts_of_random_circuits(seed, qubits, depth):
    """Controlled rotations, phases, expressions and repeated parameters, by each interface."""
    rng = np.random.default_rng(seed)
    circuit = random_circuit(rng, qubits, depth)
    exact = ExactEstimator()
    bundle = random_bundle(rng, circuit, 2, 2)
    assert_same_pullback(ParameterShiftGradient(exact), AdjointGradient(exact), [bundle], rng)

    points = rng.uniform(-np.pi, np.pi, (2, 6))
    expected = finite.jacobian(
        lambda rows: dense.values(circuit.circuit, circuit.observables, rows), points
    )
    requests = [(o, p) for o in circuit.observables for p in points]
    observables, values = zip(*requests, strict=True)
    gradient = ParameterShiftGradient(StatevectorEstimator())
    job = gradient.run([circuit.circuit] * len(requests), observables, values)
    found = np.reshape(job.result().gradients, (-1, 2, 6)).transpose(1, 0, 2)
    np.testing.assert_allclose(found, expected, atol=1e-8)


def test_a_controlled_rotation_and_a_repeated_weight():
    """⟨Z_1⟩ behind H(0), CRX(2a)(0, 1), RX(a)(1) is ½ cos a + ½ cos 3a."""
    a = Parameter("a")
    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.crx(2 * a, 0, 1)
    circuit.rx(a, 1)
    made = QNNCircuit(circuit, (), (a,), z_observables(2)[1:])
    bundle = Bundle((made,), (np.array([0.4]),), np.zeros((1, 0)))
    for gradient in (
        ParameterShiftGradient(StatevectorEstimator()),
        AdjointGradient(ExactEstimator()),
    ):
        values, pull = gradient.vjp([bundle])
        slope = pull([[np.ones((1, 1))]])[0].weights[0]
        expected = 0.5 * np.cos(0.4) + 0.5 * np.cos(1.2), -0.5 * np.sin(0.4) - 1.5 * np.sin(1.2)
        np.testing.assert_allclose([values[0][0].item(), slope.item()], expected, atol=1e-12)


def test_inside_a_stock_network(rng):
    """Equal to the stock gradient, in one call instead of one PUB per row, output and shift."""
    circuit = ry_ring(2, 2)
    watching = Watching(StatevectorEstimator())
    ours = stock_network(circuit, watching, ParameterShiftGradient(watching))
    point = rng.uniform(-1, 1, (3, 2)), rng.uniform(-1, 1, 4)
    expected = stock_network(circuit).backward(*point)
    for one, two in zip(ours.backward(*point), expected, strict=True):
        np.testing.assert_allclose(one, two, atol=1e-12)
    assert watching.shapes == [[(12, 3), (12, 3)]]  # one per observable: 2 x 6 shifts, 3 rows


def test_all_shifts_are_one_call(rng):
    watching = Watching(ExactEstimator())
    bundles = [random_bundle(rng, ry_ring(2, 2), 3, 3), random_bundle(rng, ry_ring(3, 1), 4, 1)]
    _, pull = ParameterShiftGradient(watching).vjp(bundles)
    assert watching.shapes == [[(2, 3)] * 3 + [(3, 4)]]
    pull([random_cotangents(rng, bundle) for bundle in bundles])
    assert watching.shapes[1:] == [[(2, 2 * 6, 3)] * 3 + [(3, 2 * 6, 4)]]


def test_chosen_parameters(rng):
    circuit = ry_ring(2, 1).circuit
    w0, w1, x0, _ = circuit.parameters
    point = rng.uniform(-1, 1, (2, 4))
    observable = z_observables(2)[0]  # cos(x0 + w0)
    gradient = ParameterShiftGradient(StatevectorEstimator())
    job = gradient.run([circuit] * 2, [observable] * 2, point, parameters=[[x0, w1], [w0]])
    slopes = -np.sin(point[:, 0] + point[:, 2])
    np.testing.assert_allclose(job.result().gradients[0], [slopes[0], 0], atol=1e-12)
    np.testing.assert_allclose(job.result().gradients[1], [slopes[1]], atol=1e-12)


def test_values_that_are_not_finite():
    circuit = ry_ring(2, 1)
    gradient = ParameterShiftGradient(ExactEstimator())
    points = np.zeros((2, 4))
    points[1, 3] = np.nan
    job = gradient.run([circuit.circuit] * 2, [circuit.observables[0]] * 2, points)
    with pytest.raises(CircuitError, match="finite parameter values, but row 1"):
        job.result()
    bundle = Bundle((circuit,), (np.zeros(2),), points[:, 2:])
    with pytest.raises(CircuitError, match="finite angles, but row 1"):
        gradient.vjp([bundle])


def test_spsa_of_one_parameter_is_a_difference(rng):
    """Whatever the direction: −sin φ · sin ε / ε."""
    a = Parameter("a")
    circuit = QuantumCircuit(1)
    circuit.ry(a, 0)
    made = QNNCircuit(circuit, (a,), (), z_observables(1))
    angles = rng.uniform(-np.pi, np.pi, (6, 1))
    _, pull = SPSAGradient(ExactEstimator(), samples=3, epsilon=0.2).vjp(
        [Bundle((made,), (np.zeros(0),), angles)]
    )
    found = pull([[np.ones((6, 1))]])[0].inputs
    np.testing.assert_allclose(found, -np.sin(angles) * np.sin(0.2) / 0.2, atol=1e-12)


def test_spsa_approaches_the_gradient(rng):
    """The mean of 40 pullbacks of 25 directions, in units of its standard error.

    With 40 repetitions each statistic is Student's t with 39 degrees of freedom: |t| > 6 has the
    probability 5e-7, so that the 16 of them give a false alarm once in 120,000 seeds.
    """
    exact = ExactEstimator()
    bundle = random_bundle(rng, build_circuit("rx-rz-ring", 2, 1), 3, 2)
    cotangents = random_cotangents(rng, bundle)
    _, pull = SPSAGradient(exact, samples=25, epsilon=1e-3, seed=11).vjp([bundle])
    drawn = [pull([cotangents])[0] for _ in range(40)]
    expected = AdjointGradient(exact).vjp([bundle])[1]([cotangents])[0]
    for found, truth in [
        (np.array([d.inputs for d in drawn]), expected.inputs),
        (np.array([d.weights for d in drawn]), np.array(expected.weights)),
    ]:
        errors = found.std(axis=0, ddof=1) / np.sqrt(len(found))
        assert errors.min() > 0
        assert np.abs((found.mean(axis=0) - truth) / errors).max() < 6


def test_spsa_sends_two_points_per_direction(rng):
    """One call; inputs move row by row, the weights of a sample all rows together."""
    watching = Watching(ExactEstimator())
    bundle = random_bundle(rng, ry_ring(2, 2), 5, 3)
    _, pull = SPSAGradient(watching, samples=4, epsilon=0.1).vjp([bundle])
    pull([random_cotangents(rng, bundle)])
    assert watching.shapes == [[(2, 5)] * 3, [(2, 8, 5)] * 3]
    seen = []
    for pub, weights in zip(watching.calls[1], bundle.weights, strict=True):
        points = pub.parameter_values.as_array(pub.circuit.parameters)  # (8, 5, 6)
        center = np.hstack([bundle.inputs, np.tile(weights, (5, 1))])
        plus, minus = points[:4] - center, points[4:] - center
        np.testing.assert_allclose(plus, -minus, atol=1e-12)
        np.testing.assert_allclose(np.abs(plus), 0.1, atol=1e-12)
        signs = np.sign(plus)
        assert (signs[:, :, 2:] == signs[:, :1, 2:]).all()
        assert not (signs[:, :, :2] == signs[:, :1, :2]).all()
        seen.append(signs)
    assert not np.array_equal(seen[0], seen[1])


def test_spsa_is_reproducible(rng):
    bundle = random_bundle(rng, ry_ring(2, 2), 2)
    cotangents = random_cotangents(rng, bundle)

    def pulled(gradient: SPSAGradient) -> np.ndarray:
        return gradient.vjp([bundle])[1]([cotangents])[0].inputs

    one, same, other = (SPSAGradient(ExactEstimator(), seed=s) for s in (4, 4, 5))
    first, second = pulled(one), pulled(one)
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(pulled(same), first)
    assert not np.array_equal(pulled(other), first)
    one.reseed(4)
    np.testing.assert_array_equal(pulled(one), first)
    one.reseed(4, 1)
    assert not np.array_equal(pulled(one), first)


def test_jacobians_of_spsa_are_shifts(rng):
    circuit = ry_ring(2, 1)
    point = rng.uniform(-1, 1, (2, 2)), rng.uniform(-1, 1, 2)
    exact = ExactEstimator()
    found = stock_network(circuit, exact, SPSAGradient(exact)).backward(*point)
    for one, two in zip(found, stock_network(circuit).backward(*point), strict=True):
        np.testing.assert_allclose(one, two, atol=1e-10)


def test_every_gradient_of_a_route_has_a_pullback():
    exact = ExactEstimator()
    for gradient in (AdjointGradient(exact), ParameterShiftGradient(exact), SPSAGradient(exact)):
        assert isinstance(gradient, SupportsVJP)
    assert not isinstance(SimpleNamespace(), SupportsVJP)
