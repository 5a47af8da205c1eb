"""Light cones of Pauli strings in a noisy circuit, by the letters that may stand on each wire."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from itertools import product

import numpy as np

from qvit_qiskit.circuits.cones.conjugation import AXES, TURNED
from qvit_qiskit.circuits.families import LOCAL_FAMILIES
from qvit_qiskit.circuits.lowering import Rotation
from qvit_qiskit.exceptions import CircuitError
from qvit_qiskit.simulation.noise.channels import Channel, Step, fuse

MAX_COEFFICIENTS = 2**22
"""Of one string's vector, at most."""
MAX_WIRES = 22
"""Of one string's cone, at most: a wire of a cone has two letters or more."""
NOTHING = 1e-14
"""Entries of a channel that are not larger are rounding errors."""
Letters = tuple[int, ...]
"""The letters that may stand on a wire, ascending: 0 to 3 for I, X, Y, Z; I is always one."""


@dataclass(frozen=True)
class ConeMap:
    """One step of one cone, over letters."""

    wires: tuple[int, ...]
    after: tuple[int, ...]
    constant: np.ndarray
    cosine: np.ndarray | None = None
    sine: np.ndarray | None = None
    rotation: int = -1


@dataclass(frozen=True)
class StringCone:
    """One Pauli string of Zs, and what it meets on its way back."""

    output: int
    weight: float
    qubits: tuple[int, ...]
    string: tuple[bool, ...]
    maps: tuple[ConeMap, ...]
    letters: tuple[Letters, ...]
    reach: frozenset[int]

    @property
    def key(self) -> object:
        """What cones of one shape have in common."""
        maps = tuple(  # a rotation's axis shows in its letters and signs
            (
                one.wires,
                one.after,
                one.constant.shape,
                None if one.sine is None else one.sine.tobytes(),
            )
            for one in self.maps
        )
        return len(self.qubits), self.string, maps, self.letters


class StringFinder:
    """Finds the cones of one circuit."""

    def __init__(
        self, steps: Sequence[Step], prefix: Mapping[int, Sequence[Step]], wires: int
    ) -> None:
        self.steps = steps
        self.on: list[list[int]] = [[] for _ in range(wires)]
        for place, step in enumerate(steps):
            for wire in step.qubits:
                self.on[wire].append(place)
        # What Aer's error channels leave of the trace: up to 1e-9 is missing. Where such a channel
        # stands outside of a cone, nothing else of it is left.
        self.traces = {k: _trace(step) for k, step in enumerate(steps) if _trace(step) != 1.0}
        self.starts = {wire: math.prod(map(_trace, own)) for wire, own in prefix.items()}

    def cone(self, output: int, weight: float, wires: Sequence[int]) -> StringCone:
        """The cone of a product of Zs, its wires in ascending order.

        Raises:
            CircuitError: If its vector has more than `MAX_COEFFICIENTS` entries.
        """
        places, kept = self._steps(wires)
        steps = fuse(kept)
        qubits = tuple(sorted({q for step in steps for q in step.qubits} | set(wires)))
        place = {qubit: k for k, qubit in enumerate(qubits)}
        standing: dict[int, Letters] = {q: (0, 3) if q in wires else (0,) for q in qubits}
        maps = []
        for step in reversed(steps):
            before = [standing[q] for q in step.qubits]
            after = _letters(step, before)
            maps.append(_map(step, before, after, place))
            standing |= dict(zip(step.qubits, after, strict=True))
            if np.prod([float(len(own)) for own in standing.values()]) > MAX_COEFFICIENTS:
                raise CircuitError(_too_wide(len(qubits)))
        letters = tuple(standing[q] for q in qubits)
        string = tuple(qubit in wires for qubit in qubits)
        weight *= math.prod(self.traces[place] for place in self.traces.keys() - places)
        weight *= math.prod(self.starts[wire] for wire in self.starts.keys() - set(qubits))
        reach = frozenset(places) | {-1 - wire for wire in qubits}
        return StringCone(output, weight, qubits, string, tuple(maps), letters, reach)

    def _steps(self, wires: Sequence[int]) -> tuple[set[int], list[Step]]:
        """Places of a cone's steps, and in the circuit's order what lies of them in the cone.

        Raises:
            CircuitError: If it is far too wide.
        """
        standing: dict[int, Letters] = {wire: (0, 3) for wire in wires}
        waiting = [-place for wire in wires for place in self.on[wire]]
        heapify(waiting)
        kept: list[Step] = []
        places: set[int] = set()
        while waiting:
            place = -heappop(waiting)
            if place in places:  # it is on two wires of the cone
                continue
            places.add(place)
            step = self.steps[place]
            before = [standing.get(q, (0,)) for q in step.qubits]
            after = _letters(step, before)
            for wire, own in zip(step.qubits, after, strict=True):
                if len(own) > 1 and wire not in standing:
                    for other in self.on[wire]:
                        if other < place:
                            heappush(waiting, -other)
                    standing[wire] = (0,)
                if wire in standing:
                    standing[wire] = own
            if len(standing) > MAX_WIRES:
                raise CircuitError(_too_wide(len(standing)))
            inside = [len(a) + len(b) > 2 for a, b in zip(before, after, strict=True)]
            kept.append(_inside(step, inside))
        return places, kept[::-1]


def _trace(step: Step) -> float:
    return float(step.matrix[0, 0]) if isinstance(step, Channel) else 1.0


def _too_wide(wires: int) -> str:
    families = ", ".join(LOCAL_FAMILIES[:-1]) + f" or {LOCAL_FAMILIES[-1]}"
    return (
        f"Expected outputs that depend on few qubits each under device noise, but got one that "
        f"depends on {wires} or more. Use a family of narrow light cones ({families}), fewer "
        "layers, more heads or a narrower model."
    )


def _letters(step: Step, before: Sequence[Letters]) -> list[Letters]:
    """The letters that may stand in front of a step on each of its wires."""
    if isinstance(step, Rotation):
        axis = AXES[step.axis]
        turned = {TURNED[axis][letter][0] for letter in before[0] if letter not in (0, axis)}
        return [tuple(sorted(turned | set(before[0])))]
    reached = np.abs(step.matrix[_indices(before)]).max(axis=0) > NOTHING
    digits = np.flatnonzero(reached)
    return [tuple(sorted({0, *((digits >> 2 * j) & 3).tolist()})) for j in range(len(before))]


def _indices(letters: Sequence[Letters]) -> list[int]:
    """Places of strings in a channel's matrix, the first wire's letter varying fastest."""
    return [
        sum(letter << 2 * j for j, letter in enumerate(reversed(string)))
        for string in product(*reversed(letters))
    ]


def _inside(step: Step, inside: Sequence[bool]) -> Step:
    """A step, without those of its wires on which nothing but I stands before and after it."""
    if isinstance(step, Rotation) or all(inside):
        return step
    kept = [j for j, own in enumerate(inside) if own]
    alone = _indices([(0, 1, 2, 3) if own else (0,) for own in inside])
    matrix = step.matrix[np.ix_(alone, alone)]
    return Channel(matrix, tuple(step.qubits[j] for j in kept))


def _map(
    step: Step, before: Sequence[Letters], after: Sequence[Letters], place: Mapping[int, int]
) -> ConeMap:
    """A step as a map of vectors over letters."""
    wires = tuple(place[q] for q in reversed(step.qubits))
    sizes = tuple(map(len, reversed(after)))
    if isinstance(step, Channel):
        return ConeMap(wires, sizes, step.matrix[np.ix_(_indices(before), _indices(after))])
    constant, cosine, sine = np.zeros((3, len(before[0]), len(after[0])))
    axis = AXES[step.axis]
    for row, letter in enumerate(before[0]):
        column = after[0].index(letter)
        if letter in (0, axis):
            constant[row, column] = 1.0
        else:
            turned, sign = TURNED[axis][letter]
            cosine[row, column], sine[row, after[0].index(turned)] = 1.0, sign
    return ConeMap(wires, sizes, constant, cosine, sine, step.index)
