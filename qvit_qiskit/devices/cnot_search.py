"""Short CNOT sequences for blocks of five to eight qubits, by a beam search over a small graph.

A block is an invertible matrix over GF(2), and its qubits may start and end on any wire (see
`resynthesis`). Read from the far end: A says which of the block's outputs each wire is a sum of,
and a CNOT adds a row of A to another. The search ends where every wire holds one output, whichever
it is. What is left to do is estimated from the logarithms of the numbers of ones in the rows of A
and in the columns of its inverse, and from how much of them neighbours have in common: CNOTs
between neighbours are what there is. Each round begins with other places; the ends of one block
are where the next one may start.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

MAX_QUBITS = 8
"""A row of a matrix is a byte."""
WIDTH = 1000
"""Matrices that are kept of every length."""
SLACK = 2
"""A block's ends are taken up to so many CNOTs above the fewest."""
LONGEST = 40
"""CNOTs of one block; a longer one is left to the transpiler."""
SIMILAR = 0.5
"""The weight of what neighbouring wires do not have in common."""

Place = tuple[int, ...]
"""The wire on which each qubit is."""
Pairs = tuple[tuple[int, int], ...]
"""CNOTs as (control, target)."""

_ONES = np.array([k.bit_count() for k in range(256)])
_LOG = np.log2(np.maximum(_ONES, 1))
_POSITION = np.array([max(k, 1).bit_length() - 1 for k in range(256)])
"""Which bit a byte with one bit has set."""
_BYTES = np.uint64(256) ** np.arange(MAX_QUBITS, dtype=np.uint64)


@dataclass(frozen=True)
class Way:
    """CNOTs so far, block by block, and the place of every qubit before, between and after."""

    places: tuple[Place, ...]
    sequences: tuple[Pairs, ...]

    @property
    def cost(self) -> int:
        """CNOTs."""
        return sum(len(sequence) for sequence in self.sequences)

    @property
    def depth(self) -> int:
        """CNOTs that stand one behind the other, blocks taken apart."""
        total = 0
        for sequence in self.sequences:
            level: dict[int, int] = {}
            for pair in sequence:
                level |= dict.fromkeys(pair, 1 + max(level.get(wire, 0) for wire in pair))
            total += max(level.values(), default=0)
        return total


def search(
    blocks: Sequence[Sequence[int]], edges: Sequence[tuple[int, int]], rounds: int
) -> Way | None:
    """A short way through all blocks on a graph; the same one for the same input.

    Args:
        blocks: Each an invertible matrix: row i as bits says what qubit i becomes a sum of.
        edges: Couplers between as many wires as there are qubits, connected.
        rounds: Searches of the first block, each from other places.

    Returns:
        The fewest CNOTs that were seen, and of these the least depth; None if a block needs more
        than `LONGEST`.
    """
    size = len(blocks[0])
    rng = np.random.default_rng(0)
    ways: dict[Place, Way] = {}
    for _ in range(rounds):
        starts = rng.permuted(np.tile(np.arange(size), (WIDTH, 1)), axis=1)
        fresh = {tuple(p): Way((tuple(p),), ()) for p in starts.tolist()}
        _keep(ways, _Block(blocks[0], edges, rng).ends(fresh))
    for block in blocks[1:]:
        ways = _keep({}, _Block(block, edges, rng).ends(ways)) if ways else ways
    return min(ways.values(), key=lambda way: (way.cost, way.depth), default=None)


def _keep(ways: dict[Place, Way], others: Mapping[Place, Way]) -> dict[Place, Way]:
    """Add ways where they are shorter than what leads to the same place."""
    for place, way in others.items():
        known = ways.get(place)
        if known is None or (way.cost, way.depth) < (known.cost, known.depth):
            ways[place] = way
    return ways


class _Block:
    """The search through one block."""

    def __init__(
        self, rows: Sequence[int], edges: Sequence[tuple[int, int]], rng: np.random.Generator
    ) -> None:
        self.size, self.edges, self.rng = len(rows), edges, rng
        self.moves = [*edges, *((b, a) for a, b in edges)]
        matrix = np.array([[row >> j & 1 for j in range(self.size)] for row in rows], dtype=int)
        bits = 1 << np.arange(self.size)
        self.rows = (inverse(matrix) @ bits).astype(np.uint8)
        """By qubit which outputs it is a sum of."""
        self.columns = (matrix.T @ bits).astype(np.uint8)
        """By qubit which outputs it is a part of."""

    def ends(self, starts: Mapping[Place, Way]) -> dict[Place, Way]:
        """Ways on from some places, by the place where they end: the shortest, and `SLACK` more."""
        begun = list(starts.values())
        costs = np.array([way.cost for way in begun])
        holds = np.argsort(np.array(list(starts)), axis=1)  # the qubit on each wire
        rows = columns = np.zeros((0, self.size), np.uint8)
        parent = move = np.zeros(0, int)
        history: list[tuple[np.ndarray, np.ndarray]] = []
        out: dict[Place, Way] = {}
        level, last = int(costs.min()), int(costs.max()) + LONGEST
        while level <= last:
            enter = np.flatnonzero(costs == level)
            rows = np.concatenate([rows, self.rows[holds[enter]]])
            columns = np.concatenate([columns, self.columns[holds[enter]]])
            parent = np.concatenate([parent, enter])
            history.append((parent, np.concatenate([move, np.full(len(enter), -1)])))
            done = _ONES[rows].sum(axis=1) == self.size
            for k in np.flatnonzero(done).tolist():
                end = tuple(np.argsort(_POSITION[rows[k]]).tolist())
                out.setdefault(end, self._way(history, k, begun, end))
            if done.any():
                last = min(last, level + SLACK)
            kept = self._best(rows, columns, np.flatnonzero(~done))
            rows, columns, origin, move = self._step(rows[kept], columns[kept])
            parent = kept[origin]
            level += 1
        return out

    def _best(self, rows: np.ndarray, columns: np.ndarray, left: np.ndarray) -> np.ndarray:
        """Indices of the matrices that go on."""
        if len(left) <= WIDTH:
            return left
        score = self.rng.random(len(left)) / 10  # ties are many
        for table in (rows[left], columns[left]):
            score += _LOG[table].sum(axis=1)
            score += SIMILAR * sum(_LOG[table[:, a] ^ table[:, b]] for a, b in self.edges)
        return left[np.argpartition(score, WIDTH)[:WIDTH]]

    def _step(
        self, rows: np.ndarray, columns: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """All matrices one CNOT further, each once, with its parent and the CNOT."""
        shape = (len(self.moves), *rows.shape)
        more, other = np.broadcast_to(rows, shape).copy(), np.broadcast_to(columns, shape).copy()
        for k, (control, target) in enumerate(self.moves):
            more[k, :, target] ^= rows[:, control]
            other[k, :, control] ^= columns[:, target]
        more, other = more.reshape(-1, self.size), other.reshape(-1, self.size)
        keys = more.astype(np.uint64) @ _BYTES[: self.size]
        _, kept = np.unique(keys, return_index=True)
        return more[kept], other[kept], kept % max(1, len(rows)), kept // max(1, len(rows))

    def _way(
        self,
        history: Sequence[tuple[np.ndarray, np.ndarray]],
        index: int,
        begun: Sequence[Way],
        end: Place,
    ) -> Way:
        """The way to a matrix of the latest level; a start's parent is its place among starts."""
        pairs: list[tuple[int, int]] = []
        for parent, move in reversed(history):
            index, taken = int(parent[index]), int(move[index])
            if taken < 0:
                break
            pairs.insert(0, self.moves[taken])
        before = begun[index]
        return Way((*before.places, end), (*before.sequences, tuple(pairs)))


def inverse(matrix: np.ndarray) -> np.ndarray:
    """The inverse of an invertible matrix over GF(2)."""
    size = len(matrix)
    table = np.concatenate([matrix, np.eye(size, dtype=int)], axis=1)
    for k in range(size):
        pivot = k + int(np.argmax(table[k:, k]))
        table[[k, pivot]] = table[[pivot, k]]
        others = np.flatnonzero(table[:, k])
        table[others[others != k]] ^= table[k]
    return table[:, size:]
