"""Where wide circuits lie: as they are, without SWAPs.

A circuit of many qubits whose couplings some part of the lattice has is laid there wire by wire:
chains along cheap paths, patches and rings wherever the lattice has them. Nothing is routed, so
that compiling it is a matter of a tenth of a second.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np
import rustworkx as rx
from qiskit.circuit import QuantumCircuit
from qiskit.providers import BackendV2

from qvit_qiskit.circuits.lattice import Kind, Patch, compact_patch, patch_of
from qvit_qiskit.devices.embeddings import (
    Embeddings,
    Graph,
    Shape,
    best_places,
    edgeless,
    embeds,
    lay,
    small_target,
    usable,
)
from qvit_qiskit.devices.paths import PathSearch
from qvit_qiskit.devices.reported_costs import WORST_GATE, Costs
from qvit_qiskit.devices.transpiler import in_place
from qvit_qiskit.exceptions import RouteError

BROKEN_GATE = 10.0
"""What a one-qubit gate costs whose error rules it out, where no way leads around its qubit."""


def embed_as_it_is(
    circuit: QuantumCircuit,
    device: BackendV2,
    seed: int = 0,
    reads: Sequence[float] | None = None,
    *,
    idle: bool = True,
) -> Embeddings | None:
    """Places of a circuit on which each of its two-qubit gates has a coupler.

    Qubits whose one-qubit gates are reported as broken are used only where nothing else is left.

    Args:
        circuit: Gates and delays; parameters may be unbound.
        device: With its reported errors.
        seed: Of the transpiler.
        reads: What the readout of each qubit of the circuit counts; by default once.
        idle: Whether waiting qubits decay.

    Returns:
        None if its couplings are not all between pairs, hang together in parts, or stand nowhere
        on the lattice, and it is neither a chain nor a patch.

    Raises:
        RouteError: If it is a chain or a patch that fits nowhere; the largest that does is named.
    """
    graph = _couplings(circuit)
    if graph is None:
        return None
    costs = Costs.of(device.target, idle=idle)
    order = _chain(graph)
    broken = any(np.isposinf(line).any() for line in costs.gates.values())
    for known in (costs, _with_broken_gates(costs)) if broken else (costs,):
        shape = _shape(circuit, graph, device, known, seed)
        places = lay(shape, known, reads) if order is None else _along(shape, order, known, reads)
        if len(places):
            return best_places([places])
    _refuse(graph, device, costs)
    return None


def _couplings(circuit: QuantumCircuit) -> Graph | None:
    """Which qubits two-qubit gates couple; None if there are wider gates, or several parts."""
    graph = edgeless(circuit.num_qubits)
    for item in circuit.data:
        wires = [circuit.find_bit(q).index for q in item.qubits]
        if item.operation.name == "barrier":
            continue
        if len(wires) > 2:
            return None
        graph.add_edges_from([(a, b, 0.0) for a, b in combinations(wires, 2)])
    return graph if rx.is_connected(graph) else None


def _shape(
    circuit: QuantumCircuit, graph: Graph, device: BackendV2, costs: Costs, seed: int
) -> Shape:
    """A circuit in native gates, on the wires that it has."""
    logical = QuantumCircuit(circuit.num_qubits)
    logical.compose(circuit, logical.qubits, inplace=True)  # without classical registers
    gates, outputs = in_place(logical, small_target(device.target, graph, costs), seed)
    return Shape(gates, outputs, graph)


def _chain(graph: Graph) -> list[int] | None:
    """The wires of a chain from end to end; None if a circuit is none."""
    ends = [node for node in graph.node_indices() if graph.degree(node) == 1]
    most = max(graph.degree(node) for node in graph.node_indices())
    if len(ends) != 2 or most > 2:
        return None
    return list(rx.dijkstra_shortest_paths(graph, ends[0], ends[1])[ends[1]])


def _along(
    shape: Shape, order: Sequence[int], costs: Costs, reads: Sequence[float] | None
) -> Embeddings:
    """A chain along the cheapest paths, from either end."""
    paths = _search(shape.circuit, costs).paths(len(order))
    names = np.array(costs.lattice.nodes(), dtype=int)
    rows = np.empty((2 * len(paths), len(order)), dtype=int)
    for k, path in enumerate(paths):
        rows[2 * k, list(order)] = names[path]
        rows[2 * k + 1, list(order)] = names[path[::-1]]
    return usable(shape, rows, costs, reads)


def _search(circuit: QuantumCircuit, costs: Costs) -> PathSearch:
    """Paths by what the gates of a circuit cost, if they are spread over it evenly."""
    names = np.array(costs.lattice.nodes(), dtype=int)
    nodes, pairs = costs.readout[names], 0
    for name, count in circuit.count_ops().items():
        if name in costs.gates and np.any(costs.gates[name]):
            nodes = nodes + count / circuit.num_qubits * costs.gates[name][names]
        elif name == costs.two_qubit:
            pairs = count
    each = pairs / max(1, circuit.num_qubits - 1)
    return PathSearch(costs.lattice, nodes, [each * cost for cost in costs.lattice.edges()])


def _with_broken_gates(costs: Costs) -> Costs:
    """The same, but one-qubit gates of too large an error cost much instead of ruling out."""
    gates = {name: np.where(np.isposinf(line), BROKEN_GATE, line)
             for name, line in costs.gates.items()}  # fmt: skip
    return replace(costs, gates=gates)


def _refuse(graph: Graph, device: BackendV2, costs: Costs) -> None:
    """Say of a chain or a patch that it fits nowhere.

    Raises:
        RouteError: If it is either.
    """
    size = graph.num_nodes()
    why = f"on couplers of {device.name} whose errors are below {WORST_GATE}"
    if _chain(graph) is not None:
        chain = QuantumCircuit(size)
        longest = _search(chain, costs).longest()
        raise RouteError(
            f"A chain of {size} qubits fits nowhere {why}: the longest that was found has "
            f"{longest}. Choose a model of at most {longest} qubits a head, or another device."
        )
    patch = patch_of(size, [(a, b) for a, b in graph.edge_list()])
    if patch is None:
        return
    largest = largest_patch(patch.kind, size, costs)
    fits = f"no {patch.kind} patch does. Choose"
    if largest is not None:
        fits = (
            f"the largest {patch.kind} patch that does is {largest.rows} x {largest.columns}. "
            f"Choose a model of {largest.num_qubits} qubits a head,"
        )
    raise RouteError(
        f"The patch {patch.name} of {size} qubits fits nowhere {why}: {fits} the family ry-chain, "
        "or another device."
    )


def largest_patch(kind: Kind, below: int, costs: Costs) -> Patch | None:
    """The largest patch that a family takes by name and that lies on a lattice, if there is one.

    Args:
        kind: The patch's lattice.
        below: It has fewer qubits than this.
        costs: Of the device.
    """
    for qubits in range(min(below, costs.lattice.num_nodes() + 1) - 1, 3, -1):
        patch = compact_patch(kind, qubits)
        graph = edgeless(qubits)
        graph.add_edges_from([(a, b, 0.0) for pairs in patch.couplers() for a, b in pairs])
        if patch.rows > 1 and embeds(graph, costs.lattice):
            return patch
    return None
