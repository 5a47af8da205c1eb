"""Light cones: the qubits and gates that an expectation value depends on.

The observable is followed backwards through the circuit. For every qubit we keep the letters that
may stand there, and a gate that commutes with all of them is left out. The CZs of a layer commute,
so that a chain of L layers has cones of 2L + 1 qubits, although its CZs stand one behind the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from itertools import product

import numpy as np

from qvit_qiskit.circuits.cones.conjugation import AXES, LETTERS, MAX_WIRES, TURNED, conjugation
from qvit_qiskit.circuits.families import QNNCircuit
from qvit_qiskit.circuits.lowering import Lowered, Monomial, OneQubit, Operation, Rotation, lower
from qvit_qiskit.circuits.prepared import prepare_with

_NONE: frozenset[int] = frozenset()
_ALL = frozenset((1, 2, 3))


@dataclass(frozen=True)
class LightCone:
    """What one observable depends on."""

    qubits: tuple[int, ...]
    """Ascending."""
    places: tuple[int, ...]
    """Of its operations in ``Lowered.operations``, ascending."""

    @property
    def width(self) -> int:
        """Qubits of the cone."""
        return len(self.qubits)


class ConeFinder:
    """Finds light cones in one circuit, in a time that depends on the cone alone."""

    def __init__(self, lowered: Lowered) -> None:
        self.operations = lowered.operations
        self._on: list[list[int]] = [[] for _ in range(lowered.num_qubits)]
        for place, operation in enumerate(lowered.operations):
            for qubit in operation.qubits:
                self._on[qubit].append(place)

    def cone(self, strings: Iterable[str]) -> LightCone:
        """The cone of a sum of Pauli strings (qubit 0 is the last letter)."""
        letters: dict[int, frozenset[int]] = {}
        for string in strings:
            for qubit, letter in enumerate(reversed(string)):
                if letter != "I":
                    letters[qubit] = letters.get(qubit, _NONE) | {LETTERS[letter]}
        return self._grow(letters)

    def _grow(self, letters: dict[int, frozenset[int]]) -> LightCone:
        waiting = [-place for qubit in letters for place in self._on[qubit]]
        heapify(waiting)
        kept: dict[int, dict[int, frozenset[int]]] = {}  # place -> letters after the operation
        latest: dict[int, list[int]] = {}  # qubit -> places kept on it
        entered: set[int] = set(letters)
        seen: set[int] = set()
        while waiting:
            place = -heappop(waiting)
            operation = self.operations[place]
            before = {q: letters.get(q, _NONE) for q in operation.qubits}
            if place in seen or not any(before.values()):
                continue
            seen.add(place)
            after = _backwards(operation, before)
            if after is None:  # it commutes
                continue
            partner = self._partner(operation, latest)
            if partner is not None:  # CX·CX around what has been left out, as in an RZZ gate
                letters |= kept.pop(partner)
                for qubit in operation.qubits:
                    latest[qubit].pop()
                continue
            kept[place] = before
            for qubit in operation.qubits:
                latest.setdefault(qubit, []).append(place)
                if qubit not in entered:
                    entered.add(qubit)
                    for other in self._on[qubit]:
                        if other < place:
                            heappush(waiting, -other)
            letters |= after
        qubits = {q for place in kept for q in self.operations[place].qubits}
        return LightCone(tuple(sorted(qubits | standing_on(letters))), tuple(sorted(kept)))

    def _partner(self, operation: Operation, latest: Mapping[int, Sequence[int]]) -> int | None:
        """The operation kept last on the same qubits, if this one is its inverse."""
        if not isinstance(operation, Monomial):
            return None
        places = {latest[q][-1] if latest.get(q) else None for q in operation.qubits}
        place = places.pop() if len(places) == 1 else None
        other = None if place is None else self.operations[place]
        if not isinstance(other, Monomial) or other.qubits != operation.qubits:
            return None
        size = np.arange(len(other.source))
        undone = (operation.source[other.source] == size).all()
        phases = other.phase * operation.phase[other.source]
        return place if undone and np.allclose(phases, phases[0], atol=1e-12) else None


def standing_on(letters: Mapping[int, frozenset[int]]) -> set[int]:
    """The qubits on which a letter stands."""
    return {qubit for qubit, standing in letters.items() if standing}


def _backwards(
    operation: Operation, before: Mapping[int, frozenset[int]]
) -> dict[int, frozenset[int]] | None:
    """The letters that may stand in front of an operation; None if it commutes with all."""
    if isinstance(operation, Rotation):
        axis, standing = AXES[operation.axis], before[operation.qubits[0]]
        turned = {TURNED[axis][letter][0] for letter in standing if letter != axis}
        return {operation.qubits[0]: standing | turned} if turned else None
    if len(operation.qubits) > MAX_WIRES:
        return dict.fromkeys(operation.qubits, _ALL)
    return _through(operation, before)


def _through(
    operation: OneQubit | Monomial, before: Mapping[int, frozenset[int]]
) -> dict[int, frozenset[int]] | None:
    images = conjugation(operation)
    after: list[set[int]] = [set() for _ in operation.qubits]
    commutes = True
    for letters in product(*((0, *sorted(before[q])) for q in operation.qubits)):
        image = images.image(letters)
        commutes = commutes and image[0][0] == letters and len(image) == 1 and image[0][1] > 0
        for strings, _ in image:
            for standing, letter in zip(after, strings, strict=True):
                standing |= {letter} if letter else set()
    if commutes:
        return None
    return {q: frozenset(one) for q, one in zip(operation.qubits, after, strict=True)}


def cone_widths(circuit: QNNCircuit) -> tuple[int, ...]:
    """How many qubits each output of a circuit depends on."""
    prepared, terms = prepare_with(circuit.canonical, circuit.pauli_terms, perfect=True)
    finder = ConeFinder(lower(prepared.circuit))
    return tuple(finder.cone(observable).width for observable in terms)
