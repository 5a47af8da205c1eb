"""Many copies of one small circuit on disjoint regions of a device.

Choosing regions is weighted set packing: of all embeddings (`embeddings.embed`), take k that do
not meet and whose costs add up to the least. A mixed integer program finds them (`scipy`'s
HiGHS). It stops at a gap or after a number of nodes, never at a time, so the choice depends on
nothing but the circuit, the calibration and the seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import rustworkx as rx
from qiskit.circuit import QuantumCircuit
from qiskit.providers import BackendV2
from qiskit.transpiler import Target
from scipy.optimize import Bounds, LinearConstraint, milp  # type: ignore[import-untyped]
from scipy.sparse import csr_array  # type: ignore[import-untyped]

from qvit_qiskit.devices.embeddings import Embeddings, embed
from qvit_qiskit.devices.regions import Region, best_region, region_target, slice_target
from qvit_qiskit.devices.transpiler import in_place
from qvit_qiskit.devices.wide_placement import embed_as_it_is
from qvit_qiskit.exceptions import RouteError

MAX_SEARCHED_QUBITS = 8
"""Wider circuits are laid as they are where the lattice has their couplings; elsewhere single ones
are left to the transpiler, since their places take seconds to list."""
NODE_LIMIT = 500
"""Nodes of the solver's search; most choices are proven at the first one."""
GAP = 1e-3
"""Relative gap in the total cost at which the solver stops; numbers of copies are exact."""


@dataclass(frozen=True)
class Packing:
    """Copies of a circuit on disjoint regions of a device, best first."""

    regions: tuple[Region, ...]
    """Wire ``i`` of a region's circuit is its ``qubits[i]``; the qubits come in any order."""
    fidelities: tuple[float, ...]
    """`Region.fidelity` of each: the probability that no gate and no readout fails."""
    buffer: int
    """Free qubits between two regions, at least."""

    def __len__(self) -> int:
        return len(self.regions)

    @property
    def mean_fidelity(self) -> float:
        """Mean over copies."""
        return float(np.mean(self.fidelities))

    def describe(self, device: str) -> str:
        """One line: how many copies, how good."""
        return (
            f"{device}, {len(self)} copies of {len(self.regions[0].qubits)} qubits, expected "
            f"success {self.mean_fidelity:.3f} (worst {self.fidelities[-1]:.3f})"
        )


def pack(
    circuit: QuantumCircuit,
    device: BackendV2,
    *,
    k: int | Literal["auto"] = "auto",
    buffer: int = 0,
    min_fidelity: float = 0.0,
    seed: int = 0,
    reads: Sequence[float] | None = None,
    idle: bool = True,
    embeddings: Embeddings | None = None,
) -> Packing:
    """Choose disjoint regions for copies of a circuit by the reported errors.

    Args:
        circuit: n qubits, nothing but gates and barriers; parameters may be unbound.
        device: Whose regions.
        k: Number of copies: those k that are best together, by the product of their fidelities.
            ``"auto"`` for as many as fit, and the best of such choices.
        buffer: Free qubits between two regions, at least. Couplers that are too bad to use count
            as neighbours all the same.
        min_fidelity: Of each copy, at least.
        seed: Of the transpiler.
        reads: What the readout of each qubit of the circuit counts in the choice; by default
            once, as in the fidelities.
        idle: Whether waiting qubits decay.
        embeddings: What `embed` returned for this circuit, device and reads, to choose from it
            again.

    Raises:
        CircuitError: If the circuit measures or resets.
        RouteError: If fewer than k copies fit, or none, or an argument is out of range.
    """
    _check(k, buffer, min_fidelity)
    places = embeddings or _wide(circuit, device, seed, reads, idle)
    places = places or embed(circuit, device, seed, reads, idle=idle)
    neighbours = _neighbours(device.target)
    best = float(np.exp(-places.loss.min()))
    while True:
        good = places.only(np.exp(-places.loss) >= min_fidelity)
        if not len(good):
            raise RouteError(
                f"No region of {device.name} reaches a fidelity of {min_fidelity:g}; the best "
                f"one has about {best:.3f}. Lower `min_fidelity`."
            )
        chosen = choose(good.qubits, good.cost, neighbours, buffer, None if k == "auto" else k)
        if k != "auto" and len(chosen) < k:
            raise RouteError(_too_few(device.name, len(chosen), k, buffer, min_fidelity))
        regions = _regions(good.only(chosen), device, seed, idle)
        fidelities = np.array([region.fidelity() for region in regions])
        low = fidelities < min_fidelity - 1e-12
        if not low.any():  # embeddings are scored without turning gates, e.g. a directed ECR
            order = np.argsort(-fidelities, kind="stable")  # the best first
            kept = tuple(regions[i] for i in order)
            return Packing(kept, tuple(fidelities[order].tolist()), buffer)
        places = good.only(np.delete(np.arange(len(good)), chosen[low]))


def place(
    circuit: QuantumCircuit,
    device: BackendV2,
    seed: int = 0,
    reads: Sequence[float] | None = None,
    *,
    idle: bool = True,
) -> Region:
    """The best place for one circuit: all places by reported errors, or a few transpilations.

    Args:
        circuit: Nothing but gates and barriers; parameters may be unbound.
        device: Where.
        seed: Of the transpiler.
        reads: What the readout of each qubit of the circuit counts; by default once.
        idle: Whether waiting qubits decay.

    Raises:
        CircuitError: If the circuit measures or resets.
        RouteError: If the device is too small or reports no place for it.
    """
    wide = _wide(circuit, device, seed, reads, idle)
    if wide is None and circuit.num_qubits > MAX_SEARCHED_QUBITS:
        return best_region(circuit, device, seed, reads, idle=idle)
    packing = pack(circuit, device, k=1, seed=seed, reads=reads, idle=idle, embeddings=wide)
    return packing.regions[0]


def _wide(
    circuit: QuantumCircuit,
    device: BackendV2,
    seed: int,
    reads: Sequence[float] | None,
    idle: bool,
) -> Embeddings | None:
    """Where a wide circuit lies as it is; None for others."""
    if not MAX_SEARCHED_QUBITS < circuit.num_qubits <= device.num_qubits:
        return None
    return embed_as_it_is(circuit, device, seed, reads, idle=idle)


def _check(k: int | str, buffer: int, min_fidelity: float) -> None:
    if k != "auto" and (isinstance(k, str | bool) or k < 1):
        raise RouteError(f'Expected `k` to be a positive number or "auto", but got {k!r}.')
    if buffer < 0:
        raise RouteError(f"Expected `buffer` to be 0 qubits or more, but got {buffer}.")
    if not 0 <= min_fidelity <= 1:
        raise RouteError(f"Expected `min_fidelity` to be from 0 to 1, but got {min_fidelity}.")


def _too_few(device: str, fit: int, k: int, buffer: int, min_fidelity: float) -> str:
    between = f" with a buffer of {buffer}" if buffer else ""
    quality = f" at a fidelity of {min_fidelity:g} or more" if min_fidelity else ""
    return (
        f"Only {fit} of {k} copies fit on {device}{between}{quality}. "
        f'Ask for at most {fit}, or for k="auto".'
    )


def _neighbours(target: Target) -> rx.PyGraph[int, None]:
    """All qubits and couplers of a device, bad ones, too."""
    graph: rx.PyGraph[int, None] = rx.PyGraph(multigraph=False)
    graph.add_nodes_from(range(target.num_qubits or 0))
    coupling = target.build_coupling_map()
    edges = coupling.get_edges() if coupling else []
    graph.add_edges_from([(a, b, None) for a, b in edges])
    return graph


def choose(
    qubits: np.ndarray,
    cost: np.ndarray,
    neighbours: rx.PyGraph[int, None],
    buffer: int = 0,
    k: int | None = None,
) -> np.ndarray:
    """Disjoint sets of qubits of the least total cost: k of them, or as many as there can be.

    Args:
        qubits: Shape (m, n), int: m sets of n qubits.
        cost: Shape (m,).
        neighbours: Node ``i`` is qubit ``i``.
        buffer: Any two sets are farther apart than this.
        k: How many; the most if that is less.

    Returns:
        Ascending indices of the chosen sets.
    """
    conflicts = _conflicts(qubits, neighbours, buffer)
    best = _solve(cost, conflicts, k) if k is not None else None
    if best is not None:
        return best
    most = _solve(-np.ones(len(cost)), conflicts, None)
    if most is None:
        return np.empty(0, int)
    if k is not None:  # too many, or the search ended before k were found
        return np.sort(most[np.argsort(cost[most], kind="stable")[:k]])
    best = _solve(cost, conflicts, len(most))
    return most if best is None else best


def _conflicts(qubits: np.ndarray, neighbours: rx.PyGraph[int, None], buffer: int) -> csr_array:
    """Rows of sets of which at most one can be taken, shape (rows, m).

    Two sets meet if they are not farther apart than b, the buffer. Then both touch the ball of
    radius ⌊b/2⌋ around the middle of a shortest path between them: a node if b is even, an edge
    if b is odd. All sets that touch a ball meet each other, so that one row per ball says it all.
    Such rows of cliques bound the solver's relaxation far better than pairs do.
    """
    count = neighbours.num_nodes()
    touched = np.zeros((count, len(qubits)), bool)
    touched[qubits.T, np.arange(len(qubits))] = True  # (device qubits, m)
    distance = rx.distance_matrix(neighbours, null_value=np.inf)
    near = distance <= buffer // 2  # balls around every qubit
    if buffer % 2:
        pairs = np.array(neighbours.edge_list(), dtype=int).reshape(-1, 2)  # (edges, 2)
        near = np.concatenate([near[pairs[:, 0]] | near[pairs[:, 1]], near])
    rows = near.astype(np.float32) @ touched.astype(np.float32) > 0  # as floats, for BLAS
    rows = np.unique(rows[rows.sum(axis=1) > 1], axis=0)  # a ball with one set forbids nothing
    return csr_array(rows.astype(float))


def _solve(cost: np.ndarray, conflicts: csr_array, k: int | None) -> np.ndarray | None:
    """Indices of the sets of the least total cost, k of them; None if nothing was found."""
    constraints = [LinearConstraint(conflicts, -np.inf, 1)] if conflicts.shape[0] else []
    if k is not None:
        constraints.append(LinearConstraint(np.ones((1, len(cost))), k, k))
    result = milp(
        cost,
        integrality=np.ones(len(cost)),
        bounds=Bounds(0, 1),
        constraints=constraints,
        options={"mip_rel_gap": GAP, "node_limit": NODE_LIMIT},
    )
    return None if result.x is None else np.flatnonzero(result.x > 0.5)  # whole up to rounding


def _regions(chosen: Embeddings, device: BackendV2, seed: int, idle: bool) -> list[Region]:
    """Each embedding as a compiled region; regions of one shape share their circuit."""
    used = np.unique(chosen.qubits).tolist()
    target = region_target(device, used)
    place = {qubit: wire for wire, qubit in enumerate(used)}
    regions = []
    for row, shape in zip(chosen.qubits.tolist(), chosen.shape.tolist(), strict=True):
        own = slice_target(target, [place[qubit] for qubit in row])
        circuit, outputs = chosen.shapes[shape].circuit, chosen.shapes[shape].outputs
        if not _is_native(circuit, own):
            circuit, ends = in_place(circuit, own, seed)
            outputs = tuple(ends[wire] for wire in outputs)
        region = Region(circuit, tuple(row), outputs, own)
        regions.append(region.scheduled() if idle else region)
    return regions


def _is_native(circuit: QuantumCircuit, target: Target) -> bool:
    return all(
        target.instruction_supported(
            item.operation.name, tuple(circuit.find_bit(q).index for q in item.qubits)
        )
        for item in circuit.data
        if item.operation.name != "delay"
    )
