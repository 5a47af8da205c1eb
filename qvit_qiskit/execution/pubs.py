"""EstimatorV2 PUBs, flattened: which rows, which observables, and how they pair up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from qiskit.circuit import QuantumCircuit
from qiskit.primitives.containers.estimator_pub import EstimatorPub

from qvit_qiskit.exceptions import CircuitError


@dataclass(frozen=True)
class FlatPub:
    """A PUB as R rows and K observables; its results are some of the K x R pairs."""

    circuit: QuantumCircuit
    observables: list[Mapping[str, complex]]
    values: np.ndarray  # shape: (R, P), in the order of circuit.parameters
    shape: tuple[int, ...]
    _observable: np.ndarray
    _row: np.ndarray

    def pick(self, table: np.ndarray) -> np.ndarray:
        """The PUB's results from a table of all pairs.

        Args:
            table: Shape (K, R, ...).

        Returns:
            Shape (*pub.shape, ...).
        """
        return table[self._observable, self._row]


def flatten(pub: EstimatorPub) -> FlatPub:
    """Flatten a PUB.

    Raises:
        CircuitError: If a parameter value is NaN or infinite.
    """
    rows = pub.parameter_values
    values = rows.as_array(pub.circuit.parameters).reshape(rows.size, rows.num_parameters)
    check_finite(values, "parameter values")
    observables = pub.observables
    which = np.arange(observables.size).reshape(observables.shape)
    row = np.arange(rows.size).reshape(rows.shape)
    return FlatPub(
        pub.circuit,
        list(observables.ravel().tolist()) if observables.ndim else [observables.tolist()],
        values,
        pub.shape,
        np.broadcast_to(which, pub.shape),
        np.broadcast_to(row, pub.shape),
    )


def check_finite(values: np.ndarray, what: str) -> None:
    """Refuse NaN and infinite angles.

    Raises:
        CircuitError: Naming the first bad row.
    """
    finite = np.isfinite(values)
    if not finite.all():
        bad = int(np.argwhere(~finite.reshape(len(values), -1).all(axis=1))[0, 0])
        raise CircuitError(
            f"Expected finite {what}, but row {bad} holds NaN or infinity. If this happened "
            "while training, lower the learning rate or clip gradients."
        )
