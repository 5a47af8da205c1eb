"""EstimatorV2 PUBs, flattened: which rows, which observables, and how they pair up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from qiskit.circuit import QuantumCircuit
from qiskit.primitives.containers.bindings_array import BindingsArray
from qiskit.primitives.containers.estimator_pub import EstimatorPub

from qvit_qiskit.circuits.prepared import prepare_with
from qvit_qiskit.exceptions import CircuitError

_PAULIS = frozenset("IXYZ")


@dataclass(frozen=True)
class FlatPub:
    """A PUB as R rows and K observables; its results are some of the K x R pairs."""

    circuit: QuantumCircuit
    """Prepared: a private copy on the qubits in use (see `prepare`)."""
    observables: list[Mapping[str, complex]]
    """Of the prepared circuit: Pauli strings and coefficients."""
    values: np.ndarray  # shape: (R, P), in the order of circuit.parameters
    shape: tuple[int, ...]
    _observable: np.ndarray
    _row: np.ndarray
    precision: float | None
    """The PUB's own."""
    metadata: dict[str, Any]
    """Of the circuit that was given."""

    def pick(self, table: np.ndarray) -> np.ndarray:
        """The PUB's results from a table of all pairs.

        Args:
            table: Shape (K, R, ...).

        Returns:
            Shape (*pub.shape, ...).
        """
        return np.asarray(table[self._observable, self._row])  # 0-d for a scalar PUB


def flatten(pub: EstimatorPub, *, perfect: bool = False, dynamic: bool = False) -> FlatPub:
    """Flatten a PUB, its circuit prepared and its observables written as Pauli strings.

    Args:
        pub: The PUB.
        perfect: Whether idle qubits are certainly read as 0, so that observed ones can go, too.
        dynamic: Whether the circuit may measure, reset and branch in its middle.

    Raises:
        CircuitError: If a parameter value is NaN or infinite, an observable is not Hermitian, or
            the circuit holds more than unitary gates (see `prepare`).
    """
    rows = pub.parameter_values
    values = _in_order(rows, pub.circuit).reshape(rows.size, rows.num_parameters)
    check_finite(values, "parameter values")
    observables = pub.observables
    which = np.arange(observables.size).reshape(observables.shape)  # places before broadcasting
    row = np.arange(rows.size).reshape(rows.shape)
    given = list(observables.ravel().tolist()) if observables.ndim else [observables.tolist()]
    terms = [pauli_strings(observable) for observable in given]
    prepared, restricted = prepare_with(pub.circuit, terms, perfect=perfect, dynamic=dynamic)
    return FlatPub(
        prepared.circuit,
        restricted,
        values,
        pub.shape,
        np.broadcast_to(which, pub.shape),
        np.broadcast_to(row, pub.shape),
        pub.precision,
        pub.circuit.metadata,
    )


def _in_order(rows: BindingsArray, circuit: QuantumCircuit) -> np.ndarray:
    """Values by the circuit's parameters, shape (*rows.shape, P)."""
    if len(rows.data) == 1:
        ((names, array),) = rows.data.items()
        if list(names) == [parameter.name for parameter in circuit.parameters]:
            return np.array(array)  # PERF: as_array copies them one parameter after the other
    return rows.as_array(circuit.parameters)


_PROJECTORS = {
    "0": ("Z", 1), "1": ("Z", -1), "+": ("X", 1), "-": ("X", -1), "r": ("Y", 1), "l": ("Y", -1),
}  # fmt: skip
_MAX_PROJECTORS = 12


def pauli_strings(observable: Mapping[str, complex]) -> Mapping[str, complex]:
    """An observable without projectors, each of which is (I ± P) / 2.

    Args:
        observable: Strings of I, X, Y, Z and Qiskit's letters 0, 1, +, -, r, l.

    Raises:
        CircuitError: If a string has another letter, or so many projectors that the sum is too
            long, or a coefficient is not a finite real number.
    """
    if all(_PAULIS.issuperset(string) for string in observable):
        return observable
    out: dict[str, complex] = {}
    for string, coefficient in observable.items():
        places = [k for k, letter in enumerate(string) if letter in _PROJECTORS]
        if set(string) - _PAULIS - set(_PROJECTORS):
            raise CircuitError(
                f"Expected an observable of the letters I, X, Y, Z, 0, 1, +, -, r, l, but got "
                f"{string!r}."
            )
        if len(places) > _MAX_PROJECTORS:
            raise CircuitError(
                f"Expected at most {_MAX_PROJECTORS} projectors in a term, but {string!r} has "
                f"{len(places)}, a sum of 2**{len(places)} Pauli strings. Write fewer."
            )
        for signs in product((0, 1), repeat=len(places)):
            letters, factor = list(string), coefficient / 2 ** len(places)
            for place, on in zip(places, signs, strict=True):
                pauli, sign = _PROJECTORS[string[place]]
                letters[place] = pauli if on else "I"
                factor *= sign if on else 1
            key = "".join(letters)
            out[key] = out.get(key, 0) + factor
    return out


def check_finite(values: np.ndarray, what: str) -> None:
    """Refuse NaN and infinite angles.

    Args:
        values: Shape (R, …).
        what: What the values are called in the error.

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
