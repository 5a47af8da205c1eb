"""Qiskit Machine Learning's networks, connectors and algorithms on this package's estimators."""

import copy

import numpy as np
import pytest
import torch
from qiskit.providers.fake_provider import GenericBackendV2
from qiskit.quantum_info import SparsePauliOp
from qiskit.transpiler import generate_preset_pass_manager
from qiskit_machine_learning.algorithms import VQR, NeuralNetworkClassifier, NeuralNetworkRegressor
from qiskit_machine_learning.connectors import TorchConnector
from qiskit_machine_learning.gradients import BaseEstimatorGradient
from qiskit_machine_learning.neural_networks import (
    EffectiveDimension,
    EstimatorQNN,
    LocalEffectiveDimension,
)
from qiskit_machine_learning.optimizers import COBYLA, L_BFGS_B, SLSQP
from qiskit_machine_learning.utils import algorithm_globals
from reference import ours
from reference.networks import ANSATZ, FEATURE_MAP, OBSERVABLES, PARITY, circuit, network, points
from reference.precise import PreciseEstimator

START = np.array([0.1, -0.4, 0.7, 0.3])


def our_network(gradient: str, **options: object) -> EstimatorQNN:
    """A network with the default gradient of Qiskit Machine Learning, or with one of ours."""
    estimator = ours.exact_estimator()
    made: dict[str, BaseEstimatorGradient | None] = {
        "default": None,
        "adjoint": ours.adjoint_gradient(estimator),
        "shifts": ours.shift_gradient(estimator),
    }
    return network(estimator, gradient=made[gradient], **options)


GRADIENTS = ["default", "adjoint", "shifts"]


def assert_same_network(found: EstimatorQNN, expected: EstimatorQNN, rng) -> None:
    inputs, weights = points(rng, 2)
    values = found.forward(inputs, weights)
    assert values.shape == (2, len(found.observables))
    np.testing.assert_allclose(values, expected.forward(inputs, weights), atol=1e-10)
    assert_same_slopes(found.backward(inputs, weights), expected.backward(inputs, weights))


def assert_same_slopes(found: tuple, expected: tuple) -> None:
    """By the inputs and by the weights; ``None`` where a network has none of them."""
    for one, two in zip(found, expected, strict=True):
        assert (one is None) == (two is None)
        if two is not None:
            assert one.shape == two.shape
            np.testing.assert_allclose(one, two, atol=1e-9)


@pytest.mark.parametrize("observables", [OBSERVABLES, OBSERVABLES[1:2]], ids=["three", "one"])
@pytest.mark.parametrize("input_gradients", [True, False])
@pytest.mark.parametrize("gradient", GRADIENTS)
def test_forward_and_backward(rng, gradient, input_gradients, observables):
    options = {"observables": observables, "input_gradients": input_gradients}
    expected = network(PreciseEstimator(), **options)
    assert_same_network(our_network(gradient, **options), expected, rng)


def test_the_default_observable(rng):
    options = {"observables": None, "input_gradients": True}
    assert_same_network(
        our_network("adjoint", **options), network(PreciseEstimator(), **options), rng
    )


@pytest.mark.parametrize("gradient", GRADIENTS)
@pytest.mark.parametrize("role", ["input_params", "weight_params"])
def test_networks_of_one_kind_of_parameters(rng, role, gradient):
    """Only inputs, or only weights."""
    options = {
        "made_of": FEATURE_MAP if role == "input_params" else ANSATZ,
        "input_params": FEATURE_MAP.parameters if role == "input_params" else None,
        "weight_params": ANSATZ.parameters if role == "weight_params" else None,
        "input_gradients": True,
    }
    found, expected = our_network(gradient, **options), network(PreciseEstimator(), **options)
    inputs, weights = points(rng, 2)
    point = (inputs, None) if role == "input_params" else (None, weights)
    np.testing.assert_allclose(found.forward(*point), expected.forward(*point), atol=1e-10)
    assert_same_slopes(found.backward(*point), expected.backward(*point))


@pytest.mark.parametrize(
    ("gradient", "qubits"), [("default", 5), ("adjoint", 5), ("adjoint", 27), ("shifts", 27)]
)
def test_compiled_circuits(rng, gradient, qubits):
    """Compiled beforehand, observables laid out: equal to the bare network."""
    compiled = _compiler(qubits).run(circuit())
    laid_out = [o.apply_layout(compiled.layout) for o in OBSERVABLES]
    found = our_network(gradient, observables=laid_out, made_of=compiled, input_gradients=True)
    assert_same_network(found, network(PreciseEstimator(), input_gradients=True), rng)


@pytest.mark.parametrize("gradient", GRADIENTS)
def test_measured_circuits(rng, gradient):
    """Compiled with final measurements, as ``VQR`` does it, they have the same parity."""
    measured = circuit()
    measured.measure_all()
    compiled = _compiler(2).run(measured)
    parity = [PARITY.apply_layout(compiled.layout)]
    found = our_network(gradient, observables=parity, made_of=compiled, input_gradients=True)
    expected = network(PreciseEstimator(), observables=[PARITY], input_gradients=True)
    assert_same_network(found, expected, rng)


def test_pass_managers(rng):
    """The network compiles its circuit, and the default gradient each of its own."""
    compiler = _compiler(2)
    options = {"pass_manager": compiler, "input_gradients": True, "observables": [PARITY]}
    for gradient in GRADIENTS:
        found = our_network(gradient, **options)
        expected = network(PreciseEstimator(), observables=[PARITY], input_gradients=True)
        assert_same_network(found, expected, rng)


def _compiler(qubits: int):
    backend = GenericBackendV2(qubits, seed=1)
    return generate_preset_pass_manager(1, backend, seed_transpiler=3)


def test_shots(rng):
    """A network's default precision of 1/64 is 4,096 bitstrings; 9 values, 5 standard errors."""
    inputs, weights = points(rng)
    found = network(ours.shot_estimator(100, seed=2)).forward(inputs, weights)
    expected = network(PreciseEstimator()).forward(inputs, weights)
    assert 0 < np.abs(found - expected).max() < 5 / 64


@pytest.mark.parametrize("gradient", GRADIENTS)
def test_torch_connector(rng, gradient):
    """Values and gradients of a batch and of one row."""
    inputs, weights = points(rng, 4)
    made = [
        TorchConnector(our_network(gradient, input_gradients=True), weights),
        TorchConnector(network(PreciseEstimator(), input_gradients=True), weights),
    ]
    for rows in (inputs, inputs[0]):
        leaves = [torch.tensor(rows, requires_grad=True) for _ in made]
        outputs = [layer(leaf) for layer, leaf in zip(made, leaves, strict=True)]
        assert outputs[0].shape == (*rows.shape[:-1], 3)
        assert outputs[0].dtype == outputs[1].dtype
        torch.testing.assert_close(*outputs, atol=1e-6, rtol=0)
        for layer, output in zip(made, outputs, strict=True):
            layer.zero_grad()
            (output * torch.tensor([1.0, -2.0, 0.5])).square().sum().backward()
        torch.testing.assert_close(leaves[0].grad, leaves[1].grad, atol=1e-5, rtol=0)
        torch.testing.assert_close(made[0].weight.grad, made[1].weight.grad, atol=1e-5, rtol=0)


def test_training_between_torch_layers(rng):
    """Two steps of Adam between two linear layers, with the same weights afterwards."""
    inputs, weights = points(rng, 3)
    trained = []
    for qnn in (
        our_network("adjoint", input_gradients=True),
        network(PreciseEstimator(), input_gradients=True),
    ):
        torch.manual_seed(5)
        model = torch.nn.Sequential(
            torch.nn.Linear(2, 2), TorchConnector(qnn, weights), torch.nn.Linear(3, 1)
        )
        optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
        for _ in range(2):
            optimizer.zero_grad()
            model(torch.tensor(inputs, dtype=torch.float32)).square().mean().backward()
            optimizer.step()
        trained.append([p.detach() for p in model.parameters()])
    for one, two in zip(*trained, strict=True):
        torch.testing.assert_close(one, two, atol=1e-4, rtol=0)


def test_networks_are_copied(rng):
    """As cross-validation does with an estimator of scikit-learn."""
    inputs, weights = points(rng)
    made = our_network("adjoint")
    expected = made.forward(inputs, weights)
    np.testing.assert_array_equal(copy.deepcopy(made).forward(inputs, weights), expected)


def _data(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Four rows of two classes."""
    return rng.uniform(-1, 1, (4, 2)), np.array([1, -1, 1, -1])


@pytest.mark.parametrize(
    ("loss", "optimizer"),
    [("absolute_error", COBYLA(maxiter=12)), ("squared_error", L_BFGS_B(maxiter=3))],
    ids=["values", "gradients"],
)
@pytest.mark.parametrize("model", [NeuralNetworkClassifier, NeuralNetworkRegressor])
def test_fitted_networks(rng, model, optimizer, loss):
    inputs, targets = _data(rng)
    fitted = [
        model(qnn, loss=loss, optimizer=optimizer, initial_point=START).fit(inputs, targets)
        for qnn in (
            our_network("adjoint", observables=[PARITY]),
            network(PreciseEstimator(), observables=[PARITY]),
        )
    ]
    assert np.abs(fitted[0].weights - START).max() > 1e-3
    _assert_same_fit(fitted, inputs, targets)


def _assert_same_fit(fitted: list, inputs: np.ndarray, targets: np.ndarray) -> None:
    found, expected = fitted
    np.testing.assert_allclose(found.weights, expected.weights, atol=1e-6)
    np.testing.assert_allclose(found.predict(inputs), expected.predict(inputs), atol=1e-6)
    scores = [one.score(inputs, targets) for one in fitted]
    assert scores[0] == pytest.approx(scores[1], abs=1e-6)


def _regressor(estimator, **options) -> VQR:
    return VQR(
        feature_map=FEATURE_MAP,
        ansatz=ANSATZ,
        initial_point=START,
        optimizer=SLSQP(maxiter=2),
        estimator=estimator,
        **options,
    )


def test_vqr(rng):
    """With its own choice of an observable, the parity."""
    inputs, targets = _data(rng)
    fitted = [
        _regressor(estimator).fit(inputs, targets)
        for estimator in (ours.exact_estimator(), PreciseEstimator())
    ]
    _assert_same_fit(fitted, inputs, targets)


def test_vqr_with_a_pass_manager(rng):
    """It measures all qubits before it compiles, which changes nothing for Z strings."""
    observable = SparsePauliOp(["ZZ", "IZ"], [0.5, -0.25])
    inputs, targets = _data(rng)
    fitted = [
        _regressor(estimator, observable=observable, pass_manager=_compiler(2)).fit(inputs, targets)
        for estimator in (ours.exact_estimator(), PreciseEstimator())
    ]
    _assert_same_fit(fitted, inputs, targets)


@pytest.mark.parametrize("gradient", ["default", "adjoint"])
def test_effective_dimension(rng, gradient):
    inputs, weights = points(rng, 3)
    samples = rng.uniform(-1, 1, (2, 4))
    for measure, chosen in ((EffectiveDimension, samples), (LocalEffectiveDimension, weights)):
        found, expected = (
            measure(qnn, weight_samples=chosen, input_samples=inputs)
            for qnn in (
                our_network(gradient, observables=[PARITY]),
                network(PreciseEstimator(), observables=[PARITY]),
            )
        )
        for one, two in zip(found.run_monte_carlo(), expected.run_monte_carlo(), strict=True):
            np.testing.assert_allclose(one, two, atol=1e-9)
        sizes = [100, 10_000]
        np.testing.assert_allclose(
            found.get_effective_dimension(sizes), expected.get_effective_dimension(sizes), rtol=1e-6
        )


def test_random_samples_of_the_effective_dimension():
    sizes = []
    for qnn in (
        our_network("adjoint", observables=[PARITY]),
        network(PreciseEstimator(), observables=[PARITY]),
    ):
        algorithm_globals.random_seed = 11
        sizes.append(EffectiveDimension(qnn, 2, 3).get_effective_dimension(1000))
    np.testing.assert_allclose(*sizes, rtol=1e-6)
