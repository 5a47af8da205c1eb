"""Observables as measurement bases with diagonals: one pass per basis serves all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from qiskit.circuit import QuantumCircuit

from qvit_qiskit.exceptions import CircuitError


@dataclass(frozen=True)
class Basis:
    """Qubit-wise commuting Pauli terms, measured together."""

    axes: tuple[str, ...]
    """For each qubit ``"X"``, ``"Y"`` or ``"Z"``."""
    terms: tuple[tuple[int, float, int], ...]
    """(observable, coefficient, mask): the term is the parity of the masked bits."""

    def rotation(self) -> QuantumCircuit:
        """The gates that turn this basis into the computational one."""
        circuit = QuantumCircuit(len(self.axes))
        for qubit, axis in enumerate(self.axes):
            if axis == "Y":
                circuit.sdg(qubit)
            if axis in "XY":
                circuit.h(qubit)
        return circuit

    def diagonal(self, num_observables: int) -> np.ndarray:
        """Each observable's share in this basis as a diagonal, shape (2**n, observables)."""
        states = np.arange(2 ** len(self.axes))
        out = np.zeros((len(states), num_observables))
        for observable, coefficient, mask in self.terms:
            parity = np.bitwise_count(states & mask) & 1
            out[:, observable] += coefficient * (1.0 - 2.0 * parity)
        return out


def measurement_bases(observables: Sequence[Mapping[str, complex]]) -> list[Basis]:
    """Group all terms of all observables by qubit-wise commutation, greedily and in order.

    Args:
        observables: Pauli strings (qubit 0 is the last letter) to real coefficients.

    Raises:
        CircuitError: If a term has another letter than I, X, Y, Z or a complex coefficient.
    """
    bases: list[tuple[list[str], list[tuple[int, float, int]]]] = []
    for index, observable in enumerate(observables):
        for string, coefficient in observable.items():
            letters = string[::-1]
            if set(letters) - set("IXYZ"):
                raise CircuitError(
                    f"Expected an observable of Pauli letters I, X, Y, Z, but got {string!r}. "
                    "Write projectors as sums of Paulis."
                )
            if not np.isfinite(complex(coefficient)):
                raise CircuitError(
                    f"Expected finite coefficients, but {string!r} has {coefficient}. Check how "
                    "the observable was made."
                )
            if abs(complex(coefficient).imag) > 1e-12:
                raise CircuitError(
                    f"Expected a Hermitian observable, but {string!r} has the coefficient "
                    f"{coefficient}. Only real coefficients have expectation values."
                )
            mask = sum(1 << q for q, letter in enumerate(letters) if letter != "I")
            term = (index, float(complex(coefficient).real), mask)
            for axes, terms in bases:
                if all(a in ("I", b) or b == "I" for a, b in zip(axes, letters, strict=True)):
                    axes[:] = [b if a == "I" else a for a, b in zip(axes, letters, strict=True)]
                    terms.append(term)
                    break
            else:
                bases.append((list(letters), [term]))
    return [Basis(tuple("Z" if a == "I" else a for a in axes), tuple(t)) for axes, t in bases]
