"""CNOT blocks rewritten for the couplers at hand, with as few CNOTs as possible.

Between layers of one-qubit gates a circuit of CNOTs is a linear map of bits: an invertible matrix
over GF(2). On a small graph the shortest CNOT sequence for every matrix is found by breadth-first
search. Which wire a qubit sits on between two blocks is free, since one-qubit gates can follow it;
dynamic programming over these places picks the cheapest way through all blocks. A transpiler keeps
each CNOT and swaps qubits instead: a ring of four takes 7 CNOTs and SWAPs on a star, here 6. Five
to eight qubits have too many matrices to list, and are searched (`cnot_search`).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise, permutations
from typing import NamedTuple

from qiskit.circuit import Instruction, QuantumCircuit

from qvit_qiskit.circuits.order import take
from qvit_qiskit.devices.cnot_search import MAX_QUBITS, Pairs, Place, search

MAX_LISTED = 4
"""GL(4, 2) has 20,160 elements, GL(5, 2) ten million: the shortest sequences are listed up to here,
and searched up to `cnot_search.MAX_QUBITS`."""

ROUNDS = 6
"""Searches of a circuit of five qubits or more on one graph."""

Matrix = tuple[int, ...]
"""Row i as bits: what wire i becomes, as a sum of wires."""
Layer = list[tuple[Instruction, int]]
"""One-qubit gates with their qubit, in order."""


class _Placed(NamedTuple):
    gate: Instruction
    qubits: tuple[int, ...]


def resynthesise(
    circuit: QuantumCircuit, edges: Sequence[tuple[int, int]], rounds: int = ROUNDS
) -> tuple[QuantumCircuit, Place] | None:
    """A circuit with its CNOT blocks rewritten for a connected graph.

    Args:
        circuit: Of at most `cnot_search.MAX_QUBITS` qubits; one-qubit gates, CX and SWAP.
        edges: Couplers between its wires.
        rounds: Searches of wide circuits; each takes some hundredths of a second.

    Returns:
        The circuit with every CX on a coupler, and the wire on which each qubit ends; None if it
        is too wide or holds other gates, or no short sequence was seen.
    """
    n = circuit.num_qubits
    split = _split(circuit) if n <= MAX_QUBITS else None
    if split is None:
        return None
    layers, blocks = split
    known = tuple(sorted((min(e), max(e)) for e in edges))
    way = _cheapest(blocks, known, n) if n <= MAX_LISTED else _search(tuple(blocks), known, rounds)
    if way is None:
        return None
    places, sequences = way
    out = QuantumCircuit(n)
    for k, layer in enumerate(layers):
        for gate, qubit in layer:
            out.append(gate, [places[k][qubit]])
        for control, target in sequences[k] if k < len(sequences) else ():
            out.cx(control, target)
    return out, places[-1]


def _split(circuit: QuantumCircuit) -> tuple[list[Layer], list[Matrix]] | None:
    """One-qubit layers and the linear maps between them; one layer more than maps."""
    rest = tuple(
        _Placed(item.operation, tuple(circuit.find_bit(q).index for q in item.qubits))
        for item in circuit.data
        if item.operation.name != "barrier"
    )
    if any(len(wires) > 1 and gate.name not in ("cx", "swap") for gate, wires in rest):
        return None
    layers: list[Layer] = []
    blocks: list[Matrix] = []
    while True:
        local, rest = take(rest, lambda placed: len(placed.qubits) == 1)
        layers.append([(gate, wires[0]) for gate, wires in local])
        linear, rest = take(rest, lambda placed: len(placed.qubits) == 2)
        if not linear:
            return layers, blocks
        rows = [1 << q for q in range(circuit.num_qubits)]
        for gate, (a, b) in linear:
            if gate.name == "cx":
                rows[b] ^= rows[a]
            else:
                rows[a], rows[b] = rows[b], rows[a]
        blocks.append(tuple(rows))


@lru_cache(maxsize=64)
def _shortest(n: int, edges: Pairs) -> dict[Matrix, Pairs]:
    """The shortest CNOT sequence for every invertible matrix that the graph reaches."""
    start = tuple(1 << i for i in range(n))
    sequences: dict[Matrix, Pairs] = {start: ()}
    front = [start]
    moves = [*edges, *((b, a) for a, b in edges)]
    while front:
        fresh = []
        for matrix in front:
            for control, target in moves:
                rows = list(matrix)
                rows[target] ^= rows[control]
                key = tuple(rows)
                if key not in sequences:
                    sequences[key] = (*sequences[matrix], (control, target))
                    fresh.append(key)
        front = fresh
    return sequences


@lru_cache(maxsize=64)
def _search(
    blocks: tuple[Matrix, ...], edges: Pairs, rounds: int
) -> tuple[Sequence[Place], Sequence[Pairs]] | None:
    """As `_cheapest`, but the shortest that was seen."""
    way = search(blocks, edges, rounds) if blocks else None
    return (way.places, way.sequences) if way else None


def _cheapest(
    blocks: Sequence[Matrix], edges: Pairs, n: int
) -> tuple[Sequence[Place], Sequence[Pairs]]:
    """Where each qubit sits before and after every block, and the CNOTs of each block."""
    shortest = _shortest(n, edges)
    every = list(permutations(range(n)))
    best: dict[Place, tuple[int, tuple[Place, ...]]] = {place: (0, (place,)) for place in every}
    for block in blocks:
        best = {
            after: min(
                (cost + len(shortest[_moved(block, before, after)]), (*path, after))
                for before, (cost, path) in best.items()
            )
            for after in every
        }
    _, path = min(best.values())
    sequences = [
        shortest[_moved(block, before, after)]
        for block, (before, after) in zip(blocks, pairwise(path), strict=True)
    ]
    return path, sequences


def _moved(block: Matrix, before: Place, after: Place) -> Matrix:
    """A linear map of qubits as one of wires: qubit q comes from ``before[q]``."""
    rows = [0] * len(block)
    for qubit, row in enumerate(block):
        rows[after[qubit]] = sum(1 << before[j] for j in range(len(block)) if row >> j & 1)
    return tuple(rows)
