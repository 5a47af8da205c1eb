"""CNOT blocks rewritten for a graph: the same circuit, on its couplers, no longer than needed."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.quantum_info import Statevector

from qvit_qiskit.circuits import build_circuit
from qvit_qiskit.devices.cnot_search import search
from qvit_qiskit.devices.resynthesis import _split, resynthesise

GRAPHS = {
    "pair": (2, [(0, 1)]),
    "path": (4, [(0, 1), (1, 2), (2, 3)]),
    "star": (4, [(0, 1), (0, 2), (0, 3)]),
    "ring": (4, [(0, 1), (1, 2), (2, 3), (3, 0)]),
    "three": (3, [(0, 2), (1, 2)]),
}


def random_circuit(rng: np.random.Generator, n: int, gates: int) -> QuantumCircuit:
    circuit = QuantumCircuit(n)
    for _ in range(gates):
        a, b = rng.choice(n, 2, replace=False).tolist()
        kind = rng.integers(4)
        if kind == 0:
            circuit.u(*rng.uniform(-3, 3, 3), a)
        elif kind == 1:
            circuit.swap(a, b)
        else:
            circuit.cx(a, b)
    return circuit


def probabilities(circuit: QuantumCircuit, wires: tuple[int, ...] | None = None) -> np.ndarray:
    start = QuantumCircuit(circuit.num_qubits)  # a state that tells qubits apart
    return Statevector(start.compose(circuit)).probabilities(None if wires is None else list(wires))


def check_same(
    circuit: QuantumCircuit,
    edges: list[tuple[int, int]],
    found: tuple[QuantumCircuit, Any] | None,
) -> None:
    """A rewritten circuit has the same probabilities and gates on the couplers alone."""
    assert found is not None
    rewritten, ends = found
    np.testing.assert_allclose(probabilities(rewritten, ends), probabilities(circuit), atol=1e-12)
    for item in rewritten.data:
        if len(item.qubits) == 2:
            wires = tuple(rewritten.find_bit(q).index for q in item.qubits)
            assert wires in edges or wires[::-1] in edges


@pytest.mark.parametrize("name", GRAPHS)
def test_the_same_circuit_on_the_couplers(name: str, rng: np.random.Generator) -> None:
    n, edges = GRAPHS[name]
    for _ in range(20):
        circuit = random_circuit(rng, n, 14)
        check_same(circuit, edges, resynthesise(circuit, edges))


WIDE = {
    "path": (5, [(k, k + 1) for k in range(4)]),
    "spider": (6, [(0, 1), (0, 2), (0, 3), (1, 4), (2, 5)]),
    "cycle": (6, [(k, (k + 1) % 6) for k in range(6)]),
    "long-legged": (8, [(0, 1), (0, 2), (0, 3), (1, 4), (2, 5), (3, 6), (4, 7)]),
}


@pytest.mark.parametrize("name", WIDE)
def test_wide_circuits_are_the_same_on_the_couplers(name: str, rng: np.random.Generator) -> None:
    n, edges = WIDE[name]
    for _ in range(3):
        circuit = random_circuit(rng, n, 12)
        check_same(circuit, edges, resynthesise(circuit, edges, rounds=1))


@pytest.mark.parametrize(
    ("graph", "layers", "most"),
    [("long-legged", 1, 16), ("long-legged", 2, 32), ("spider", 1, 10), ("cycle", 1, 6)],
)
def test_wide_rings(graph: str, layers: int, most: int) -> None:
    n, edges = WIDE[graph]
    circuit = build_circuit("ry-ring", n, layers).canonical
    found = resynthesise(circuit, edges)
    assert found is not None
    assert found[0].count_ops()["cx"] <= most
    again = resynthesise(circuit, edges)
    assert again is not None
    assert found[0] == again[0]


def test_the_search_sees_what_the_list_knows(rng: np.random.Generator) -> None:
    """Blocks of four qubits: rarely a CNOT more than the fewest, and never fewer."""
    n, edges = GRAPHS["star"]
    gaps = []
    for _ in range(10):
        circuit = QuantumCircuit(n)
        for _ in range(8):
            circuit.cx(*rng.choice(n, 2, replace=False).tolist())
        layers = _split(circuit)
        assert layers is not None
        listed = resynthesise(circuit, edges)
        way = search(layers[1], edges, rounds=2)
        assert listed is not None
        assert way is not None
        gaps.append(way.cost - listed[0].count_ops().get("cx", 0))
    assert min(gaps) == 0
    assert sum(gaps) <= 1


def fewest(circuit: QuantumCircuit, edges: list[tuple[int, int]], most: int) -> int:
    """Slow twin for one block: every CNOT sequence, from short to long, up to an output order."""

    def rows(pairs: tuple[tuple[int, int], ...]) -> list[int]:
        out = [1 << q for q in range(circuit.num_qubits)]
        for c, t in pairs:
            out[t] ^= out[c]
        return out

    pairs = tuple(tuple(circuit.find_bit(q).index for q in item.qubits) for item in circuit.data)
    wanted = rows(pairs)  # type: ignore[arg-type]
    moves = [*edges, *((b, a) for a, b in edges)]
    n = circuit.num_qubits
    from itertools import permutations

    targets = {
        tuple(sum(1 << before[j] for j in range(n) if wanted[after[w]] >> j & 1) for w in range(n))
        for before in permutations(range(n))
        for after in permutations(range(n))
    }
    for length in range(most + 1):
        if any(tuple(rows(s)) in targets for s in product(moves, repeat=length)):
            return length
    raise AssertionError("none found")


@pytest.mark.parametrize("name", ["pair", "three"])
def test_one_block_is_as_short_as_any(name: str, rng: np.random.Generator) -> None:
    n, edges = GRAPHS[name]
    for _ in range(6):
        circuit = QuantumCircuit(n)
        for _ in range(5):
            circuit.cx(*rng.choice(n, 2, replace=False).tolist())
        found = resynthesise(circuit, edges)
        assert found is not None
        assert found[0].count_ops().get("cx", 0) == fewest(circuit, edges, 6)


@pytest.mark.parametrize(
    ("graph", "layers", "most"), [("star", 1, 6), ("path", 1, 6), ("star", 2, 12), ("ring", 1, 4)]
)
def test_rings_of_four(graph: str, layers: int, most: int) -> None:
    n, edges = GRAPHS[graph]
    found = resynthesise(build_circuit("ry-ring", n, layers).canonical, edges)
    assert found is not None
    assert found[0].count_ops()["cx"] <= most


def test_what_it_leaves_alone() -> None:
    wide = QuantumCircuit(9)
    wide.cx(0, 8)
    other = QuantumCircuit(2)
    other.rzz(0.3, 0, 1)
    assert resynthesise(wide, [(k, k + 1) for k in range(8)]) is None
    assert resynthesise(other, [(0, 1)]) is None
