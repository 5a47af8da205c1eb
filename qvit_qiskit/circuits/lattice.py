"""Patches of the lattices that processors have: their couplers, in as few moments as possible."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import rustworkx as rx

from qvit_qiskit.exceptions import CircuitError

Kind = Literal["heavy-hex", "square"]
BRIDGES = 4
"""Columns from one bridge between two rows of a heavy-hex lattice to the next."""


@dataclass(frozen=True)
class Patch:
    """Rows x columns of a lattice.

    On a square lattice every site is coupled to its four neighbours. On a heavy-hex lattice, as
    IBM's Heron processors have it, a row is a line, and a qubit of its own bridges two rows in
    every fourth column: the 4th, 8th, … below the first row, the 2nd, 6th, … below the second.
    Qubits are counted row by row, each row followed by the bridges below it.

    Example:
        >>> from qvit_qiskit.circuits import Patch
        >>> patch = Patch("square", 2, 3)
        >>> patch.num_qubits, sum(map(len, patch.couplers()))
        (6, 7)
    """

    kind: Kind
    rows: int
    """Lines of qubits."""
    columns: int
    """Qubits in a line, bridges not counted."""

    def __post_init__(self) -> None:
        if self.rows < 1 or self.columns < 1:
            raise CircuitError(
                f"Expected a patch of at least one row and one column, but got {self.rows} x "
                f"{self.columns}."
            )
        if self.kind == "heavy-hex" and not all(self._bridges(k) for k in range(self.rows - 1)):
            raise CircuitError(
                f"Expected four columns or more, so that every two rows are bridged, but got "
                f"{self.rows} x {self.columns}. Choose a wider patch, or a single row."
            )

    @property
    def name(self) -> str:
        """``"heavy-hex 5 x 10"``."""
        return f"{self.kind} {self.rows} x {self.columns}"

    @property
    def num_qubits(self) -> int:
        """Sites, bridges included."""
        bridges = sum(len(self._bridges(k)) for k in range(self.rows - 1))
        return self.rows * self.columns + bridges

    def couplers(self) -> tuple[tuple[tuple[int, int], ...], ...]:
        """Pairs of qubits by colour: pairs of one colour have no qubit in common.

        There are as many colours as the busiest qubit has neighbours, since both lattices are
        bipartite (Kőnig): three on heavy-hex, four on square.
        """
        graph = _graph(self.num_qubits, self._pairs())
        colours: dict[int, list[tuple[int, int]]] = {}
        ends = graph.edge_index_map()
        for edge, colour in sorted(rx.graph_bipartite_edge_color(graph).items()):
            colours.setdefault(colour, []).append((ends[edge][0], ends[edge][1]))
        return tuple(tuple(sorted(pairs)) for _, pairs in sorted(colours.items()))

    def _pairs(self) -> list[tuple[int, int]]:
        pairs, start = [], 0
        for row in range(self.rows):
            pairs += [(start + c, start + c + 1) for c in range(self.columns - 1)]
            below = start + self.columns
            bridges = self._bridges(row) if row < self.rows - 1 else []
            for k, column in enumerate(bridges):
                end = below + len(bridges) + column
                pairs += [(start + column, below + k), (below + k, end)]
            if self.kind == "square" and row < self.rows - 1:
                pairs += [(start + c, below + c) for c in range(self.columns)]
            start = below + len(bridges)
        return pairs

    def _bridges(self, row: int) -> list[int]:
        """The columns in which a row is bridged to the next by a qubit of its own."""
        if self.kind == "square":
            return []
        return list(range(3 if row % 2 == 0 else 1, self.columns, BRIDGES))


@lru_cache(maxsize=64)
def compact_patch(kind: Kind, qubits: int) -> Patch:
    """The patch of exactly so many qubits that has the most couplers, of equals the widest.

    Args:
        kind: The lattice.
        qubits: At least one.
    """
    patches = [Patch(kind, 1, qubits), *_patches(kind, qubits)]
    return max(patches, key=lambda patch: (sum(map(len, patch.couplers())), patch.columns))


def patch_of(qubits: int, couplers: Sequence[tuple[int, int]]) -> Patch | None:
    """The patch of several rows that a circuit's couplings make; None if they make none.

    Args:
        qubits: Of the circuit.
        couplers: Pairs of its qubits.
    """
    own = _graph(qubits, couplers)
    kinds: tuple[Kind, ...] = ("heavy-hex", "square")
    for patch in (patch for kind in kinds for patch in _patches(kind, qubits)):
        pairs = [pair for colour in patch.couplers() for pair in colour]
        if len(pairs) == own.num_edges() and rx.is_isomorphic(own, _graph(qubits, pairs)):
            return patch
    return None


def _patches(kind: Kind, qubits: int) -> list[Patch]:
    """Those of several rows that have exactly so many qubits."""
    sides = [
        (rows, columns)
        for columns in range(4 if kind == "heavy-hex" else 2, qubits)
        for rows in range(2, qubits // columns + 1)
    ]
    patches = [Patch(kind, rows, columns) for rows, columns in sides]
    return [patch for patch in patches if patch.num_qubits == qubits]


def _graph(qubits: int, pairs: Sequence[tuple[int, int]]) -> rx.PyGraph[int, None]:
    graph: rx.PyGraph[int, None] = rx.PyGraph(multigraph=False)
    graph.add_nodes_from(range(qubits))
    graph.add_edges_from([(a, b, None) for a, b in pairs])
    return graph
