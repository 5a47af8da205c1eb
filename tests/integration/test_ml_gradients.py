"""Qiskit Machine Learning's gradients on this package's estimator, and its own gradients."""

import numpy as np
import pytest
from qiskit.circuit import Parameter, QuantumCircuit
from qiskit.circuit.library import real_amplitudes, zz_feature_map
from qiskit.primitives import StatevectorEstimator
from qiskit.quantum_info import Pauli, SparsePauliOp
from qiskit_machine_learning.gradients import (
    QFI,
    BaseEstimatorGradient,
    DerivativeType,
    LinCombEstimatorGradient,
    LinCombQGT,
    ParamShiftEstimatorGradient,
    SPSAEstimatorGradient,
)
from reference import ours

ONE, TWO = SparsePauliOp(["ZZ", "XI"], [0.5, -1.2]), SparsePauliOp("YX")
OURS = {"adjoint": ours.adjoint_gradient, "shifts": ours.shift_gradient}


def _repeated() -> QuantumCircuit:
    """Parameters in several gates and in expressions."""
    a, b, c = (Parameter(name) for name in "abc")
    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.ry(a, 0)
    circuit.rx(2 * a + b, 1)
    circuit.rzz(b, 0, 1)
    circuit.rz(a * c, 0)
    circuit.crx(c, 0, 1)
    return circuit


CIRCUITS = {
    "ansatz": real_amplitudes(2, reps=1),
    "feature map": zz_feature_map(2, reps=1),
    "repeated": _repeated(),
}


def requests(rng: np.random.Generator, name: str) -> tuple[list, list, np.ndarray]:
    """Two observables at three points each."""
    circuit = CIRCUITS[name]
    values = rng.uniform(-1, 1, (6, circuit.num_parameters))
    return [circuit] * 6, [ONE] * 3 + [TWO] * 3, values


def assert_same(found: BaseEstimatorGradient, expected: BaseEstimatorGradient, *run, **options):
    one, two = (gradient.run(*run, **options).result() for gradient in (found, expected))
    assert len(one.gradients) == len(two.gradients)
    assert [m["parameters"] for m in one.metadata] == [m["parameters"] for m in two.metadata]
    for a, b in zip(one.gradients, two.gradients, strict=True):
        assert np.shape(a) == np.shape(b)
        np.testing.assert_allclose(a, b, atol=1e-9)


@pytest.mark.parametrize("name", ["ansatz", "repeated"])
@pytest.mark.parametrize("derivative", DerivativeType)
def test_linear_combinations(rng, name, derivative):
    found, expected = (
        LinCombEstimatorGradient(e, derivative_type=derivative)
        for e in (ours.exact_estimator(), StatevectorEstimator())
    )
    assert_same(found, expected, *requests(rng, name))


@pytest.mark.parametrize("name", CIRCUITS)
def test_parameter_shifts(rng, name):
    found, expected = (
        ParamShiftEstimatorGradient(e) for e in (ours.exact_estimator(), StatevectorEstimator())
    )
    assert_same(found, expected, *requests(rng, name))


@pytest.mark.parametrize("batch", [1, 3])
def test_simultaneous_perturbations(rng, batch):
    """The same directions; differences over 1e-3, so that rounding does not count."""
    found, expected = (
        SPSAEstimatorGradient(e, epsilon=1e-3, batch_size=batch, seed=4)
        for e in (ours.exact_estimator(), StatevectorEstimator())
    )
    assert_same(found, expected, *requests(rng, "repeated"))


@pytest.mark.parametrize("name", CIRCUITS)
@pytest.mark.parametrize("gradient", OURS)
def test_our_gradients(rng, gradient, name):
    """Several circuits and observables, in one call."""
    stock = LinCombEstimatorGradient(StatevectorEstimator())
    circuits, observables, values = requests(rng, name)
    assert_same(OURS[gradient](), stock, circuits, observables, values)
    other = CIRCUITS["ansatz"]
    mixed = [*values, *rng.uniform(-1, 1, (2, other.num_parameters))]
    assert_same(OURS[gradient](), stock, [*circuits, other, other], [*observables, TWO, ONE], mixed)


@pytest.mark.parametrize("gradient", OURS)
def test_how_our_gradients_may_be_asked(rng, gradient):
    """Without lists, for some parameters, for all but of some circuits, with a Pauli."""
    made, stock = OURS[gradient](), ParamShiftEstimatorGradient(StatevectorEstimator())
    circuit = CIRCUITS["repeated"]
    first, second, third = circuit.parameters
    points = rng.uniform(-1, 1, (2, 3))
    assert_same(made, stock, circuit, ONE, points[:1])
    assert_same(made, stock, [circuit], [Pauli("-ZY")], points[:1].tolist())
    two = [circuit, circuit], [ONE, ONE], points
    assert_same(made, stock, *two, parameters=[[third, first], None])
    assert_same(made, stock, *two, parameters=[[second], [first, third]])
    assert_same(made, stock, [circuit, circuit.copy()], [ONE, ONE.copy()], points)


@pytest.mark.parametrize("gradient", OURS)
def test_what_our_gradients_refuse(gradient):
    """As all gradients do; the check is Qiskit's."""
    made, circuit = OURS[gradient](), CIRCUITS["repeated"]
    wrong = [
        ([circuit], [ONE], [[0.1] * 3] * 2),
        ([circuit], [ONE], [[0.1] * 2]),
        ([circuit], [SparsePauliOp("Z")], [[0.1] * 3]),
        ([QuantumCircuit(2)], [ONE], [[]]),
    ]
    for request in wrong:
        with pytest.raises(ValueError, match=r"number|not parameterised"):
            made.run(*request)
    with pytest.raises(ValueError, match="not present"):
        made.run([circuit], [ONE], [[0.1] * 3], parameters=[[Parameter("other")]])


@pytest.mark.parametrize("name", ["ansatz", "repeated"])  # Qiskit's fails on the feature map
@pytest.mark.parametrize("derivative", DerivativeType)
def test_geometric_tensors(rng, name, derivative):
    circuit = CIRCUITS[name]
    values = rng.uniform(-1, 1, (2, circuit.num_parameters))
    found, expected = (
        LinCombQGT(e, derivative_type=derivative).run([circuit] * 2, values).result()
        for e in (ours.exact_estimator(), StatevectorEstimator())
    )
    assert found.precision == expected.precision
    for one, two in zip(found.qgts, expected.qgts, strict=True):
        np.testing.assert_allclose(one, two, atol=1e-9)


@pytest.mark.parametrize("name", ["ansatz", "repeated"])
def test_fisher_information(rng, name):
    circuit = CIRCUITS[name]
    values = rng.uniform(-1, 1, (1, circuit.num_parameters))
    chosen = [list(circuit.parameters)[1:]]
    for parameters in (None, chosen):
        found, expected = (
            QFI(LinCombQGT(e)).run([circuit], values, parameters).result()
            for e in (ours.exact_estimator(), StatevectorEstimator())
        )
        np.testing.assert_allclose(found.qfis[0], expected.qfis[0], atol=1e-9)
