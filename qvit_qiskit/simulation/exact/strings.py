"""Circuits as sums of products: each output a few Pauli strings on product states.

An observable is followed backwards through its light cone. A rotation splits a string in two, with
cos φ and sin φ; entangling gates that map strings to strings cost nothing. What arrives at the
rows' product states is a string P, whose value is the product of its qubits' Bloch components.
So an output is Σ weight · (product of the shared angles' cosines and sines) · (product of the row's
factors), and its cost depends on the number of strings, not on the number of qubits.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from qvit_qiskit.circuits.cones.conjugation import (
    AXES,
    LETTERS,
    MAX_WIRES,
    TURNED,
    Letters,
    conjugation,
)
from qvit_qiskit.circuits.cones.light_cone import ConeFinder
from qvit_qiskit.circuits.lowering import Lowered, Monomial, OneQubit, Operation, Rotation
from qvit_qiskit.circuits.order import take
from qvit_qiskit.simulation.exact.columns import SplitAngles
from qvit_qiskit.simulation.exact.products import ROOT, Levels, ProductTree
from qvit_qiskit.simulation.exact.schedule import by_qubit

SHARE = 2
"""How many times its share of the strings one output may have, before all of them are given up."""

Start = tuple[tuple[str, object], ...]
"""What a qubit's beginnings have in common: axes of rotations and entries of matrices."""

Paths = dict[tuple[tuple[tuple[int, int], ...], int, int], float]
"""Weights by a string's (qubit, letter) pairs, and the nodes of its row and shared factors."""


@dataclass(frozen=True)
class Beginning:
    """Qubits whose product states are made alike: by the same kinds of operation."""

    kinds: tuple[str | np.ndarray, ...]
    """For each operation the axis of a rotation, or a real (3, 3) map of Bloch vectors."""
    rotations: np.ndarray  # shape: (qubits, rotations), indices of angles
    factors: np.ndarray  # shape: (qubits, 3), rows of the table for X, Y and Z; −1: not used


@dataclass(frozen=True)
class Factors:
    """What a table of factors is made of."""

    count: int
    beginnings: tuple[Beginning, ...]
    trig: np.ndarray  # shape: (m, 3): an angle's index, and the rows of its cosine and sine


@dataclass(frozen=True)
class StringProgram:
    """The outputs of one circuit as sums of products."""

    num_qubits: int
    angles: SplitAngles
    widest: int
    """Qubits of the widest light cone."""
    row_factors: Factors
    row_products: Levels
    shared_factors: Factors
    shared_products: Levels
    pairs: tuple[np.ndarray, ...]
    """By the depth of a row product shape (p, 2): its index in the level, and the output."""
    leaves: tuple[np.ndarray, ...]
    """By the depth of a shared product shape (q, 2): its index in the level, and the pair to whose
    coefficient it is added; pairs are counted through the depths."""
    weights: tuple[np.ndarray, ...]
    """The same leaves' constants, shape (q,)."""
    form: str = "strings"

    def diagonals(self, num_observables: int) -> np.ndarray:
        """Nothing but a shape, since observables are part of the program: (0, observables)."""
        return np.zeros((0, num_observables))

    @property
    def strings(self) -> int:
        """Pauli strings of all outputs."""
        return sum(map(len, self.pairs))

    def describe(self) -> str:
        """One line for people."""
        return f"exact, {self.strings:,} Pauli strings, light cones of up to {self.widest} qubits"


def compile_strings(
    lowered: Lowered,
    observables: Sequence[Mapping[str, complex]],
    row_columns: Collection[int],
    limit: int,
) -> StringProgram | None:
    """Write a circuit's outputs as sums of products.

    Args:
        lowered: The circuit, rotations merged.
        observables: K sums of Pauli strings, real coefficients.
        row_columns: Columns of the parameter values that differ from row to row.
        limit: Products at most.

    Returns:
        None if there are more than ``limit``, or a gate is too wide to be followed.
    """
    angles = SplitAngles.of(lowered, row_columns)
    builder = _Builder(lowered, angles, limit, SHARE * limit // max(1, len(observables)))
    if not all(builder.add(k, observable) for k, observable in enumerate(observables)):
        return None
    return builder.program()


class _Builder:
    """Follows observables backwards and collects their products."""

    def __init__(self, lowered: Lowered, angles: SplitAngles, limit: int, share: int) -> None:
        self.lowered, self.angles, self.limit, self.share = lowered, angles, limit, share
        self.row = frozenset(angles.row_rotations)
        self.finder = ConeFinder(lowered)
        prefix, _ = take(lowered.operations, lambda op: not isinstance(op, Monomial))
        self.prefix = {id(operation) for operation in prefix}
        self.starts = by_qubit(prefix)
        self.by_row = {
            q: any(isinstance(o, Rotation) and o.index in self.row for o in own)
            for q, own in self.starts.items()
        }
        self.reach = {q: _reach(own) for q, own in self.starts.items()}
        self.trees = {True: ProductTree(), False: ProductTree()}
        self.factors: dict[bool, dict[tuple[object, ...], int]] = {True: {}, False: {}}
        self.terms: dict[tuple[int, int, int], float] = {}  # (output, row, shared) -> weight
        self.widest = 0

    def add(self, output: int, observable: Mapping[str, complex]) -> bool:
        """Follow one observable; whether its products are few enough."""
        cone = self.finder.cone(observable)
        self.widest = max(self.widest, cone.width)
        paths: Paths = {}
        for string, coefficient in observable.items():
            letters = enumerate(reversed(string))
            key = tuple((q, LETTERS[a]) for q, a in letters if a != "I")
            paths[key, ROOT, ROOT] = paths.get((key, ROOT, ROOT), 0.0) + complex(coefficient).real
        for place in reversed(cone.places):
            operation = self.lowered.operations[place]
            if id(operation) in self.prefix:
                continue
            if len(operation.qubits) > MAX_WIRES:
                return False
            paths = self._backwards(operation, paths)
            if len(paths) > self.share:
                return False
        for (letters_left, row, shared), weight in paths.items():
            self._finish(output, letters_left, row, shared, weight)
        return sum(map(len, self.trees.values())) <= self.limit

    def _backwards(self, operation: Operation, paths: Paths) -> Paths:
        out: Paths = {}
        for (string, row, shared), weight in paths.items():
            letters = dict(string)
            own = tuple(letters.get(q, 0) for q in operation.qubits)
            if not any(own):
                out[string, row, shared] = out.get((string, row, shared), 0.0) + weight
                continue
            for image, factor, coefficient in self._images(operation, own):
                for qubit, letter in zip(operation.qubits, image, strict=True):
                    letters[qubit] = letter
                key = tuple(sorted((q, a) for q, a in letters.items() if a))
                nodes = self._times(row, shared, factor)
                out[key, *nodes] = out.get((key, *nodes), 0.0) + weight * coefficient
        return {key: weight for key, weight in out.items() if weight}

    def _images(
        self, operation: Operation, own: Letters
    ) -> Sequence[tuple[Letters, tuple[object, ...] | None, float]]:
        if not isinstance(operation, Rotation):
            return [(image, None, c) for image, c in conjugation(operation).image(own)]
        axis, letter = AXES[operation.axis], own[0]
        if letter == axis:
            return [(own, None, 1.0)]
        turned, sign = TURNED[axis][letter]
        return [
            (own, ("cos", operation.index), 1.0),
            ((turned,), ("sin", operation.index), float(sign)),
        ]

    def _times(self, row: int, shared: int, factor: tuple[object, ...] | None) -> tuple[int, int]:
        if factor is None:
            return row, shared
        varies = factor[1] in self.row
        index = self.factors[varies].setdefault(factor, len(self.factors[varies]))
        if varies:
            return self.trees[True].times(row, index), shared
        return row, self.trees[False].times(shared, index)

    def _finish(
        self, output: int, string: Sequence[tuple[int, int]], row: int, shared: int, weight: float
    ) -> None:
        """The string's value on the product states; strings that are zero on all of them go."""
        for qubit, letter in string:
            if qubit not in self.starts:
                if letter != LETTERS["Z"]:
                    return
                continue
            if letter not in self.reach[qubit]:
                return
        for qubit, letter in string:
            if qubit in self.starts:
                varies = self.by_row[qubit]
                known = self.factors[varies]
                index = known.setdefault(("bloch", qubit, letter), len(known))
                if varies:
                    row = self.trees[True].times(row, index)
                else:
                    shared = self.trees[False].times(shared, index)
        key = (output, row, shared)
        self.terms[key] = self.terms.get(key, 0.0) + weight

    def program(self) -> StringProgram:
        """Everything that was added."""
        row_levels, row_places = self.trees[True].levels()
        shared_levels, shared_places = self.trees[False].levels()
        pairs = sorted({(*row_places[row], k) for k, row, _ in self.terms})
        place = {pair: p for p, pair in enumerate(pairs)}
        leaves = [
            (*shared_places[shared], place[(*row_places[row], k)], weight)
            for (k, row, shared), weight in self.terms.items()
        ]
        row_depths, shared_depths = len(row_levels.levels) + 1, len(shared_levels.levels) + 1
        table = np.array(leaves, dtype=float).reshape(-1, 4)
        by_depth = [table[table[:, 0] == depth] for depth in range(shared_depths)]
        triples = np.array(pairs, dtype=int).reshape(-1, 3)
        return StringProgram(
            num_qubits=self.lowered.num_qubits,
            angles=self.angles,
            widest=self.widest,
            row_factors=self._factors(True),
            row_products=row_levels,
            shared_factors=self._factors(False),
            shared_products=shared_levels,
            pairs=tuple(triples[triples[:, 0] == depth, 1:] for depth in range(row_depths)),
            leaves=tuple(one[:, 1:3].astype(int) for one in by_depth),
            weights=tuple(one[:, 3] for one in by_depth),
        )

    def _factors(self, varies: bool) -> Factors:
        known = self.factors[varies]
        trig = sorted({f[1] for f in known if f[0] != "bloch"})  # type: ignore[type-var]
        rows = [[i, known.get(("cos", i), -1), known.get(("sin", i), -1)] for i in trig]
        groups: dict[Start, list[int]] = {}
        for qubit in sorted({f[1] for f in known if f[0] == "bloch"}):  # type: ignore[type-var]
            groups.setdefault(_start(self.starts[qubit]), []).append(qubit)  # type: ignore[index,arg-type]
        beginnings = tuple(
            Beginning(
                kinds=tuple(_kind(operation) for operation in self.starts[qubits[0]]),
                rotations=np.array(
                    [[o.index for o in self.starts[q] if isinstance(o, Rotation)] for q in qubits],
                    dtype=int,
                ),
                factors=np.array(
                    [[known.get(("bloch", q, a), -1) for a in (1, 2, 3)] for q in qubits]
                ),
            )
            for qubits in groups.values()
        )
        return Factors(len(known), beginnings, np.array(rows, dtype=int).reshape(-1, 3))


def _reach(operations: Sequence[Rotation | OneQubit]) -> set[int]:
    """The Bloch components that can differ from zero after operations on |0⟩."""
    reach = {LETTERS["Z"]}
    for operation in operations:
        if isinstance(operation, Rotation):
            axis = AXES[operation.axis]
            reach |= {TURNED[axis][letter][0] for letter in reach if letter != axis}
        else:
            matrix = bloch_map(operation)
            reach = {k + 1 for k in range(3) if matrix[k, [a - 1 for a in reach]].any()}
    return reach


def bloch_map(operation: OneQubit) -> np.ndarray:
    """What a one-qubit gate does to Bloch vectors, shape (3, 3)."""
    out = np.zeros((3, 3))
    for letter in (1, 2, 3):
        for (image,), coefficient in conjugation(operation).image((letter,)):
            out[letter - 1, image - 1] = coefficient
    return out


def _kind(operation: Rotation | OneQubit) -> str | np.ndarray:
    return operation.axis if isinstance(operation, Rotation) else bloch_map(operation)


def _start(operations: Sequence[Rotation | OneQubit]) -> Start:
    return tuple(
        ("turn", o.axis) if isinstance(o, Rotation) else ("map", o.matrix.tobytes())
        for o in operations
    )
