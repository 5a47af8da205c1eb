"""Observables as measurement bases with diagonals: one pass per basis serves all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from qiskit.circuit import QuantumCircuit

from qvit_qiskit.exceptions import CircuitError

MAX_FREE = 16
"""Free parities of one observable whose values are all looked at."""


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

    def ranges(self, num_observables: int) -> np.ndarray:
        """Largest minus smallest value of each observable's share, shape (observables,).

        Of many qubits, too: an observable takes few different values. Where more than
        `MAX_FREE` of its parities are free, the sum of its coefficients bounds them.
        """
        out = np.zeros(num_observables)
        for observable in {observable for observable, _, _ in self.terms}:
            own = [(c, mask) for o, c, mask in self.terms if o == observable]
            signs, free = free_parities([mask for _, mask in own])
            if free > MAX_FREE:
                out[observable] = 2 * sum(abs(c) for c, mask in own if mask)
                continue
            states, values = np.arange(2**free), np.zeros(2**free)
            for (coefficient, _), sign in zip(own, signs, strict=True):
                values += coefficient * (1.0 - 2.0 * (np.bitwise_count(states & sign) & 1))
            out[observable] = np.ptp(values)
        return out


def free_parities(masks: Sequence[int]) -> tuple[list[int], int]:
    """Each parity as a sum of free ones.

    Args:
        masks: The bits that each parity is of.

    Returns:
        For each mask the free parities that add up to it, as bits; and how many are free.
    """
    pivots: list[tuple[int, int]] = []  # what is left of a free mask, and its sum
    sums = []
    for mask in masks:
        rest, own = mask, 0
        for pivot, combination in pivots:
            if rest ^ pivot < rest:  # it has the pivot's highest bit
                rest, own = rest ^ pivot, own ^ combination
        if rest:
            fresh = 1 << len(pivots)
            pivots.append((rest, own ^ fresh))
            own = fresh
        sums.append(own)
    return sums, len(pivots)


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
