"""Where on a device a small circuit can run, and how well: shapes, and their embeddings.

A *shape* is a small coupling map to which the circuit is transpiled; an *embedding* lays its wires
on qubits. Gates cost −log(1 − error) where they are placed, and so do waits and readouts: an
embedding's cost is −log of the probability that nothing fails (`Region.fidelity`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, islice

import numpy as np
import rustworkx as rx
from qiskit.circuit import Delay, Parameter, QuantumCircuit
from qiskit.providers import BackendV2
from qiskit.transpiler import InstructionProperties, Target

from qvit_qiskit.devices.cnot_search import Place
from qvit_qiskit.devices.reported_costs import WORST_GATE, WORST_READOUT, Costs, middle
from qvit_qiskit.devices.resynthesis import resynthesise
from qvit_qiskit.devices.transpiler import check_width, in_place, outputs_of, plain, transpile
from qvit_qiskit.exceptions import CircuitError, RouteError

MAX_SHAPES = 12
"""Shapes that are embedded: those that cost least at typical errors."""
MAX_GRAPHS = 32
"""Small graphs that are tried as shapes, compact ones first."""
MAX_MAPPINGS = 20_000
"""Mappings of one shape; heavy-hex lattices have fewer, dense ones are searched by windows."""
MAX_STATES = 1_000_000
"""Steps of one search for mappings, a second."""
MAX_PER_QUBIT = 100
"""Embeddings kept for each qubit, the best ones."""
SEARCHES = 36
"""Searches for short CNOT blocks, shared by the graphs: about five seconds at eight qubits."""
SHAPE_TRIALS = 8
"""Transpilations of which a shape keeps the best."""


Graph = rx.PyGraph[int, float]


@dataclass(frozen=True)
class Shape:
    """A circuit transpiled to a small graph of couplers."""

    circuit: QuantumCircuit
    """ISA circuit but for missing directions of couplers; global phase 0."""
    outputs: tuple[int, ...]
    """The wire on which each virtual qubit ends."""
    couplers: Graph
    """One node per wire; what an embedding has to connect."""

    def cost(
        self, qubits: np.ndarray, costs: Costs, reads: Sequence[float] | None = None
    ) -> np.ndarray:
        """−log of the probability that no gate, no wait and no readout fails.

        Args:
            qubits: Shape (m, n), int: the qubit under each wire.
            costs: Of the device.
            reads: What the readout of each virtual qubit counts; by default once.

        Returns:
            Shape (m,).
        """
        if reads is None:
            total = costs.readout[qubits].sum(axis=1)
        else:
            total = costs.readout[qubits[:, list(self.outputs)]] @ np.asarray(reads, dtype=float)
        total += costs.waiting(self.circuit, qubits)
        for item in self.circuit.data:
            if item.operation.name == "delay":
                continue
            wires = [qubits[:, self.circuit.find_bit(q).index] for q in item.qubits]
            two = len(wires) == 2
            total += costs.couplers[*wires] if two else costs.gates[item.operation.name][wires[0]]
        return total


@dataclass(frozen=True)
class Embeddings:
    """The best embedding of a circuit on every set of n qubits that came up, best first."""

    shapes: tuple[Shape, ...]
    shape: np.ndarray
    """Shape (m,): which of ``shapes``."""
    qubits: np.ndarray
    """Shape (m, n): the qubit under each wire."""
    cost: np.ndarray
    """Shape (m,), ascending: −log of the probability that nothing fails, each readout as often as
    it is used."""
    loss: np.ndarray
    """Shape (m,): the same with each readout once."""

    def __len__(self) -> int:
        return len(self.cost)

    def only(self, kept: np.ndarray) -> Embeddings:
        """Those that a mask or indices keep."""
        return Embeddings(
            self.shapes, self.shape[kept], self.qubits[kept], self.cost[kept], self.loss[kept]
        )


def embed(
    circuit: QuantumCircuit,
    device: BackendV2,
    seed: int = 0,
    reads: Sequence[float] | None = None,
    *,
    idle: bool = True,
) -> Embeddings:
    """Find where a circuit can run: transpile it to a few shapes, lay them everywhere, score.

    Deterministic for a seed and a calibration.

    Args:
        circuit: n qubits, nothing but gates, barriers and delays; parameters may be unbound.
        device: With reported errors of gates and readout.
        seed: Of the transpiler.
        reads: What the readout of each qubit of the circuit counts; by default once.
        idle: Whether waiting qubits decay.

    Raises:
        CircuitError: If the circuit measures or resets.
        RouteError: If the device is too small, reports no usable qubit or has no place for it.
    """
    _check(circuit, device)
    costs = Costs.of(device.target, idle=idle)
    if not costs.lattice.num_nodes():
        raise RouteError(
            f"The calibration of {device.name} reports no qubit with a readout error below "
            f"{WORST_READOUT}. Choose another device or another calibration."
        )
    candidates = [lay(shape, costs, reads) for shape in shapes(circuit, device, costs, seed)]
    if not any(len(each) for each in candidates):
        raise RouteError(
            f"The circuit fits nowhere on {device.name}: it needs {circuit.num_qubits} connected "
            f"qubits whose gate errors are below {WORST_GATE} and readout errors below "
            f"{WORST_READOUT}. Choose another device or a narrower model."
        )
    return best_places(candidates)


def _check(circuit: QuantumCircuit, device: BackendV2) -> None:
    check_width(circuit, device)
    names = {item.operation.name for item in circuit.data if item.clbits}
    names |= {"reset"} & set(circuit.count_ops())
    if names or not circuit.num_qubits:
        got = ", ".join(sorted(names)) or "no qubit"
        raise CircuitError(
            f"Expected a circuit of gates on one qubit or more, but got {got}. "
            "Leave measurements away: every copy's outputs are measured anyway."
        )


def shapes(
    circuit: QuantumCircuit, device: BackendV2, costs: Costs, seed: int = 0
) -> tuple[Shape, ...]:
    """The circuit transpiled to small graphs that the lattice has, cheapest first.

    Graphs are the circuit's interaction graph, trees (path, stars, spiders), and the cycles that
    close on the trees' qubits. All are tried with one seed, the best with `SHAPE_TRIALS`.

    Args:
        circuit: The circuit; its measurements are added later.
        device: Where it is to lie.
        costs: What errors and waits cost.
        seed: Of the transpiler's trials.
    """
    state = np.random.SeedSequence(seed).generate_state(SHAPE_TRIALS, dtype=np.uint32)
    seeds = (state >> 1).tolist()
    logical = QuantumCircuit(circuit.num_qubits)
    logical.compose(circuit, logical.qubits, inplace=True)  # without classical registers

    graphs = _graphs(logical, costs)
    rounds = max(2, SEARCHES // len(graphs)) if graphs else 0

    def compiled(graph: Graph, seeds: Sequence[int]) -> Shape:
        rewritten = resynthesise(logical, list(graph.edge_list()), rounds)
        target = small_target(device.target, graph, costs)
        return _compile(logical, rewritten, graph, target, seeds, costs)

    def cost(shape: Shape) -> tuple[float, int]:
        return costs.typical(shape.circuit)

    if len(graphs) > MAX_SHAPES:
        graphs = sorted(graphs, key=lambda graph: cost(compiled(graph, seeds[:1])))[:MAX_SHAPES]
    return tuple(sorted((compiled(graph, seeds) for graph in graphs), key=cost))


def small_target(target: Target, graph: Graph, costs: Costs) -> Target:
    """A device's native gates on a small graph, both ways on each edge, with median errors.

    Args:
        target: The device's, which knows its gates.
        graph: The qubits and couplings that are tried.
        costs: The device's reported errors, whose medians are taken.
    """
    size = graph.num_nodes()
    small = Target(num_qubits=size, dt=target.dt)
    places: dict[str, list[tuple[int, ...]]]
    places = {name: [(wire,) for wire in range(size)] for name in costs.gates}
    if costs.two_qubit and graph.num_edges():
        places[costs.two_qubit] = [pair for a, b in graph.edge_list() for pair in ((a, b), (b, a))]
    for name, wires in places.items():
        loss = middle(costs.gates.get(name, costs.couplers))
        entry = InstructionProperties(error=1 - float(np.exp(-loss)))
        small.add_instruction(target.operation_from_name(name), dict.fromkeys(wires, entry))
    small.add_instruction(Delay(Parameter("t")), {(wire,): None for wire in range(size)})
    return small


def _compile(
    circuit: QuantumCircuit,
    rewritten: tuple[QuantumCircuit, Place] | None,
    graph: Graph,
    target: Target,
    seeds: Sequence[int],
    costs: Costs,
) -> Shape:
    """The cheapest of several ways to run a circuit on a small graph, and the couplers it uses."""
    tries = []
    for seed in seeds:
        isa = transpile(circuit, target=target, optimization_level=3, seed_transpiler=seed)
        tries.append((plain(isa), outputs_of(isa)))
    if rewritten is not None:
        logical, ends = rewritten
        gates, wires = in_place(logical, target, seeds[0])
        tries.append((gates, tuple(wires[end] for end in ends)))
    gates, outputs = min(tries, key=lambda candidate: costs.typical(candidate[0]))
    used = graph.copy()
    pairs = {frozenset(gates.find_bit(q).index for q in item.qubits) for item in gates.data}
    used.remove_edges_from([e for e in graph.edge_list() if frozenset(e) not in pairs])
    return Shape(gates, outputs, used if rx.is_connected(used) else graph)


def _graphs(circuit: QuantumCircuit, costs: Costs) -> list[Graph]:
    """Small graphs to try: each one connected, n nodes, somewhere in the lattice."""
    own = edgeless(circuit.num_qubits)
    for item in circuit.data:
        if item.operation.name != "barrier":
            wires = [circuit.find_bit(q).index for q in item.qubits]
            own.add_edges_from([(a, b, 0.0) for a, b in combinations(wires, 2)])
    first = [own] if rx.is_connected(own) and embeds(own, costs.lattice) else []
    trees = _trees(circuit.num_qubits, costs.lattice)
    cyclic: list[Graph] = []
    for tree in trees:
        for mapping in islice(_mappings(costs.lattice, tree), MAX_GRAPHS):
            corner: Graph = costs.lattice.subgraph(sorted(mapping))
            if corner.num_edges() > tree.num_edges() and _is_new(corner, cyclic):
                cyclic.append(corner)
    every = [*trees, *cyclic[:MAX_GRAPHS]]
    return first + [graph for graph in every if _is_new(graph, first)]


def edgeless(size: int) -> Graph:
    """So many nodes without an edge."""
    graph: Graph = rx.PyGraph(multigraph=False)
    graph.add_nodes_from(range(size))
    return graph


def _trees(size: int, lattice: Graph) -> list[Graph]:
    """Trees in a lattice up to isomorphism, grown leaf by leaf: compact ones, and the path."""
    known = [edgeless(1)] if lattice.num_nodes() else []
    for _ in range(size - 1):
        grown: list[Graph] = []
        for tree in known:
            for node in tree.node_indices():
                larger = tree.copy()
                larger.add_edge(node, larger.add_node(larger.num_nodes()), 0.0)
                if _is_new(larger, grown) and embeds(larger, lattice):
                    grown.append(larger)
        grown.sort(key=lambda tree: float(rx.distance_matrix(tree).sum()))
        known = grown if len(grown) <= MAX_GRAPHS else [*grown[: MAX_GRAPHS - 1], grown[-1]]
    return known


def _is_new(graph: Graph, known: Sequence[Graph]) -> bool:
    return not any(rx.is_isomorphic(graph, other) for other in known)


def embeds(graph: Graph, lattice: Graph) -> bool:
    """Whether a graph lies on a lattice.

    Args:
        graph: Any.
        lattice: Usable qubits and couplers.
    """
    return next(_mappings(lattice, graph), None) is not None


def _mappings(lattice: Graph, graph: Graph) -> Iterator[Mapping[int, int]]:
    """Ways to lay a graph on a lattice, as lattice node to graph node."""
    yield from rx.vf2_mapping(lattice, graph, subgraph=True, induced=False, call_limit=MAX_STATES)


def lay(shape: Shape, costs: Costs, reads: Sequence[float] | None) -> Embeddings:
    """The usable embeddings of one shape, all of them unless the lattice has too many.

    Then as many around each qubit: in the window of qubits that are nearest to it by errors.

    Args:
        shape: The shape.
        costs: Of the device.
        reads: What the readout of each virtual qubit counts; by default once.
    """
    rows = _rows(costs.lattice, shape.couplers, MAX_MAPPINGS + 1)
    if len(rows) > MAX_MAPPINGS:
        share = MAX_MAPPINGS // costs.lattice.num_nodes()
        windows = _windows(costs.lattice, 2 * shape.circuit.num_qubits)
        rows = np.concatenate([_rows(window, shape.couplers, share) for window in windows])
    return usable(shape, rows, costs, reads)


def usable(
    shape: Shape, rows: np.ndarray, costs: Costs, reads: Sequence[float] | None
) -> Embeddings:
    """Those places of a shape where nothing is ruled out, with their costs.

    Args:
        shape: The shape.
        rows: Shape (m, n), int: the qubit under each wire.
        costs: Of the device.
        reads: What the readout of each virtual qubit counts; by default once.
    """
    loss = shape.cost(rows, costs) if len(rows) else np.empty(0)
    rows, loss = rows[np.isfinite(loss)], loss[np.isfinite(loss)]
    cost = loss if reads is None or not len(rows) else shape.cost(rows, costs, reads)
    return Embeddings((shape,), np.zeros(len(rows), int), rows, cost, loss)


def _windows(lattice: Graph, size: int) -> Iterator[Graph]:
    for node in lattice.node_indices():
        far = dict(rx.dijkstra_shortest_path_lengths(lattice, node, lambda cost: cost))
        near = sorted(far, key=lambda other: (far[other], other))[: size - 1]
        yield lattice.subgraph([node, *near])


def _rows(lattice: Graph, graph: Graph, limit: int) -> np.ndarray:
    """The first embeddings as the qubit under each wire, shape (m, n)."""
    names = np.array(lattice.nodes(), dtype=int)
    rows = np.empty((limit, graph.num_nodes()), dtype=int)
    count = 0
    for mapping in islice(_mappings(lattice, graph), limit):
        rows[count, list(mapping.values())] = list(mapping.keys())
        count += 1
    return names[rows[:count]]


def best_places(candidates: Sequence[Embeddings]) -> Embeddings:
    """One list, best first: of each set of qubits the best, on each qubit `MAX_PER_QUBIT`."""
    every = Embeddings(
        tuple(shape for each in candidates for shape in each.shapes),
        np.repeat(np.arange(len(candidates)), [len(each) for each in candidates]),
        np.concatenate([each.qubits for each in candidates]),
        np.concatenate([each.cost for each in candidates]),
        np.concatenate([each.loss for each in candidates]),
    )
    every = every.only(np.argsort(every.cost, kind="stable"))  # of equal costs the earlier shape
    _, first = np.unique(np.sort(every.qubits, axis=1), axis=0, return_index=True)
    every = every.only(np.sort(first))
    kept = np.zeros(len(every), bool)
    for qubit in np.unique(every.qubits):
        kept[np.flatnonzero((every.qubits == qubit).any(axis=1))[:MAX_PER_QUBIT]] = True
    return every.only(kept)
