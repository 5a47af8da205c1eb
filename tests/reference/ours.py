"""This package's estimators and gradients, by the names that the integration tests use."""

from functools import cache

from qiskit.primitives import BaseEstimatorV2
from qiskit_machine_learning.gradients import BaseEstimatorGradient

from qvit_qiskit.execution import registry
from qvit_qiskit.simulation.bitstrings import BitstringEstimator
from qvit_qiskit.simulation.exact.estimator import ExactEstimator
from qvit_qiskit.simulation.exact.gradient import AdjointGradient
from qvit_qiskit.simulation.shifts import ParameterShiftGradient


def exact_estimator() -> BaseEstimatorV2:
    """Exact values."""
    return ExactEstimator()


@cache
def noisy_estimator() -> BaseEstimatorV2:
    """Exact values under a device's errors; without state, so one is enough."""
    return registry.open("aer-boston-exact").estimator


def shot_estimator(shots: int, seed: int = 0) -> BaseEstimatorV2:
    """Averages over bitstrings of a perfect device."""
    exact = ExactEstimator()
    return BitstringEstimator(exact.engine, exact.compiler, shots, seed)


def adjoint_gradient(estimator: BaseEstimatorV2 | None = None) -> BaseEstimatorGradient:
    """Gradients by the adjoint method, of an exact estimator."""
    return AdjointGradient(estimator or exact_estimator())


def shift_gradient(estimator: BaseEstimatorV2 | None = None) -> BaseEstimatorGradient:
    """Gradients by parameter shifts, of any estimator."""
    return ParameterShiftGradient(estimator or exact_estimator())
