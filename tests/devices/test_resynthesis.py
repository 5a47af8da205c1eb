"""CNOT blocks rewritten for a graph: the same circuit, on its couplers, no longer than needed."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.quantum_info import Statevector

from qvit_qiskit.circuits import build_circuit
from qvit_qiskit.devices.resynthesis import resynthesise

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


@pytest.mark.parametrize("name", GRAPHS)
def test_the_same_circuit_on_the_couplers(name: str, rng: np.random.Generator) -> None:
    n, edges = GRAPHS[name]
    for _ in range(20):
        circuit = random_circuit(rng, n, 14)
        found = resynthesise(circuit, edges)
        assert found is not None
        rewritten, ends = found
        np.testing.assert_allclose(
            probabilities(rewritten, ends), probabilities(circuit), atol=1e-12
        )
        for item in rewritten.data:
            if len(item.qubits) == 2:
                wires = tuple(rewritten.find_bit(q).index for q in item.qubits)
                assert wires in edges or wires[::-1] in edges


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
    wide = QuantumCircuit(5)
    other = QuantumCircuit(2)
    other.rzz(0.3, 0, 1)
    assert resynthesise(wide, [(k, k + 1) for k in range(4)]) is None
    assert resynthesise(other, [(0, 1)]) is None
