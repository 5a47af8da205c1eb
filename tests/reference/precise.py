"""Qiskit's own statevector estimator, made exact whatever precision is asked for."""

from collections.abc import Iterable
from typing import Any

from qiskit.primitives import BaseEstimatorV2, StatevectorEstimator
from qiskit.primitives.containers.estimator_pub import EstimatorPub


class PreciseEstimator(BaseEstimatorV2):
    """The stock twin of an exact estimator.

    ``StatevectorEstimator`` adds normal noise when a precision is given, as ``EstimatorQNN`` and
    ``VQR`` always give one, and refuses measurements, which ``VQR`` appends before it transpiles.
    For Z strings final measurements make no difference.
    """

    def run(self, pubs: Iterable[Any], *, precision: float | None = None) -> Any:
        coerced = [EstimatorPub.coerce(pub) for pub in pubs]
        plain = [
            EstimatorPub(
                pub.circuit.remove_final_measurements(inplace=False),
                pub.observables,
                pub.parameter_values,
                precision=0.0,
            )
            for pub in coerced
        ]
        return StatevectorEstimator().run(plain)
