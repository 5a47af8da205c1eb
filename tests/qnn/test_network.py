import copy
from dataclasses import replace

import numpy as np
import pytest
from qiskit.primitives import StatevectorEstimator
from qiskit_machine_learning.gradients import ParamShiftEstimatorGradient
from qiskit_machine_learning.neural_networks import EstimatorQNN
from reference import dense
from reference.stock import stock_network
from reference.watching import Watching

from qvit_qiskit.circuits import FAMILIES, build_circuit, ry_ring
from qvit_qiskit.exceptions import CircuitError, RouteError
from qvit_qiskit.execution import registry
from qvit_qiskit.qnn import BroadcastEstimatorQNN
from qvit_qiskit.simulation.exact import forms, program

EXACT = registry.default_route()


@pytest.mark.parametrize("family", FAMILIES)
def test_equal_to_the_stock_network(rng, family):
    circuit = build_circuit(family, 3, 1)
    ours, stock = BroadcastEstimatorQNN(circuit, EXACT), stock_network(circuit)
    assert isinstance(ours, EstimatorQNN)
    assert (ours.num_inputs, ours.num_weights) == (stock.num_inputs, stock.num_weights)
    assert ours.output_shape == stock.output_shape == (3,)
    assert ours.input_gradients
    point = rng.uniform(-2, 2, (2, 3)), rng.uniform(-2, 2, circuit.num_weights)
    np.testing.assert_allclose(ours.forward(*point), stock.forward(*point), atol=1e-12)
    for found, expected in zip(ours.backward(*point), stock.backward(*point), strict=True):
        assert found.shape == expected.shape
        np.testing.assert_allclose(found, expected, atol=1e-9)


def test_the_pullback_contracts_the_jacobian(rng):
    network = BroadcastEstimatorQNN(build_circuit("rx-rz-ring", 2, 2), EXACT)
    inputs, weights, g = rng.uniform(-2, 2, (4, 2)), rng.uniform(-2, 2, 8), rng.normal(size=(4, 2))
    values, pull = network.vjp(inputs, weights)
    by_input, by_weight = network.backward(inputs, weights)
    np.testing.assert_allclose(values, network.forward(inputs, weights), atol=1e-12)
    found = pull(g)
    np.testing.assert_allclose(found[0], np.einsum("rk,rkn->rn", g, by_input), atol=1e-12)
    np.testing.assert_allclose(found[1], np.einsum("rk,rkw->w", g, by_weight), atol=1e-12)


def test_one_pub_per_forward_pass(rng):
    """The stock network sends one per observable: the executions times the outputs."""
    circuit = ry_ring(3, 1)
    ours, stock = Watching(StatevectorEstimator()), Watching(StatevectorEstimator())
    inputs, weights = rng.uniform(-2, 2, (5, 3)), rng.uniform(-2, 2, 3)
    network = BroadcastEstimatorQNN(circuit, replace(EXACT, estimator=ours))
    stock_values = stock_network(circuit, stock).forward(inputs, weights)
    np.testing.assert_allclose(network.forward(inputs, weights), stock_values, atol=1e-12)
    assert ours.shapes == [[(3, 5)]]
    assert stock.shapes == [[(5,)] * 3]


def test_the_measurement_is_kept(rng):
    """Values, their standard errors and covariances, of the last forward pass."""
    circuit = ry_ring(2, 2)
    network = BroadcastEstimatorQNN(circuit, registry.open("aer-shots"))
    assert network.last is None
    inputs, weights = rng.uniform(-2, 2, (5, 2)), rng.uniform(-2, 2, 4)
    values = network.forward(inputs, weights)
    first = network.last
    np.testing.assert_array_equal(first.values, values)
    np.testing.assert_allclose(first.stds, np.sqrt((1 - values**2) / 1024), atol=1e-12)
    assert first.covariances.shape == (5, 2, 2)
    points = np.hstack([inputs, np.tile(weights, (5, 1))])
    truth = dense.joint_covariances(circuit.canonical, points) / 1024
    assert np.abs(first.covariances - truth).max() < 0.2 / 1024
    network.forward(inputs, weights)
    assert network.last is not first
    network.bind(EXACT)
    network.forward(inputs, weights)
    assert not network.last.stds.any()
    assert network.last.covariances is None


def test_the_routes_shots_count(rng):
    """No default precision between the network and its estimator: 1,024 bitstrings each."""
    network = BroadcastEstimatorQNN(ry_ring(2, 1), registry.open("aer-shots"))
    watching = Watching(network.estimator)
    network.estimator = watching
    values = network.forward(rng.uniform(-2, 2, (30, 2)), rng.uniform(-2, 2, 2))
    assert watching.calls[0][0].precision is None
    counts = 1024 * (1 + values) / 2
    np.testing.assert_allclose(counts, np.round(counts), atol=1e-9)


def test_one_row(rng):
    network = BroadcastEstimatorQNN(ry_ring(2, 1), EXACT)
    row, weights = rng.uniform(-2, 2, 2), rng.uniform(-2, 2, 2)
    expected = stock_network(ry_ring(2, 1)).forward(row, weights)
    assert network.forward(row, weights).shape == (1, 2)
    np.testing.assert_allclose(network.forward(row, weights), expected, atol=1e-12)


def test_values_that_are_not_finite():
    network = BroadcastEstimatorQNN(ry_ring(2, 1), EXACT)
    rows = np.zeros((3, 2))
    rows[2, 0] = np.nan
    for call in (network.forward, network.vjp):
        with pytest.raises(CircuitError, match="finite angles, but row 2 holds NaN"):
            call(rows, np.zeros(2))


def test_networks_of_one_circuit_compile_it_once(rng, monkeypatch):
    """They bind the same circuit object, which estimators know by identity."""
    compiled = []

    def compile_program(*args):
        compiled.append(args)
        return program.compile_program(*args)

    monkeypatch.setattr(forms, "compile_program", compile_program)
    circuit, route = ry_ring(2, 1), registry.open("aer-exact")
    one, other = (BroadcastEstimatorQNN(circuit, route) for _ in range(2))
    duplicate = copy.deepcopy(one)
    assert duplicate is not one
    assert duplicate.route is route
    inputs, weights = rng.uniform(-2, 2, (3, 2)), rng.uniform(-2, 2, 2)
    for network in (one, other, duplicate):
        network.forward(inputs, weights)
        network.vjp(inputs, weights)
        assert len(compiled) == 1
    BroadcastEstimatorQNN(ry_ring(2, 1), route).forward(inputs, weights)
    assert len(compiled) == 2


def test_binding_changes_the_route_only():
    network = BroadcastEstimatorQNN(ry_ring(2, 1), EXACT)
    shots = registry.open("aer-shots")
    network.bind(shots)
    assert (network.route, network.estimator, network.gradient) == (
        shots,
        shots.estimator,
        shots.gradient,
    )


def test_routes_without_a_gradient(rng):
    network = BroadcastEstimatorQNN(ry_ring(2, 1), replace(EXACT, gradient=None))
    point = rng.uniform(-2, 2, (3, 2)), rng.uniform(-2, 2, 2)
    np.testing.assert_allclose(
        network.forward(*point), stock_network(ry_ring(2, 1)).forward(*point), atol=1e-12
    )
    for call in (network.backward, network.vjp):
        with pytest.raises(RouteError, match="which only evaluates"):
            call(*point)


def test_a_gradient_without_a_pullback_is_asked_for_jacobians(rng):
    stock = ParamShiftEstimatorGradient(StatevectorEstimator())
    network = BroadcastEstimatorQNN(ry_ring(2, 1), replace(EXACT, gradient=stock))
    point = rng.uniform(-2, 2, (3, 2)), rng.uniform(-2, 2, 2)
    expected = BroadcastEstimatorQNN(ry_ring(2, 1), EXACT).backward(*point)
    for one, two in zip(network.backward(*point), expected, strict=True):
        np.testing.assert_allclose(one, two, atol=1e-10)
    values, pull = network.vjp(*point)
    cotangent = rng.normal(size=values.shape)
    by_input, by_weight = pull(cotangent)
    np.testing.assert_allclose(by_input, np.einsum("rk,rkn->rn", cotangent, expected[0]))
    np.testing.assert_allclose(by_weight, np.einsum("rk,rkw->w", cotangent, expected[1]))
