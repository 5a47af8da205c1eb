"""What a device reports of its gates and its readout, as costs that add up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
import rustworkx as rx
from qiskit.circuit import Gate, QuantumCircuit
from qiskit.transpiler import Target

WORST_GATE = 0.1
"""Gates with this error or a larger one are not used; IBM reports 1.0 for broken couplers."""
WORST_READOUT = 0.2
"""Qubits with this readout error or a larger one are not used."""


@dataclass(frozen=True)
class Costs:
    """−log(1 − error) of everything on a device of N qubits.

    NaN where there is no such gate, infinite where its reported error rules it out.
    """

    gates: dict[str, np.ndarray]
    """Shape (N,), by one-qubit gate."""
    readout: np.ndarray
    """Shape (N,)."""
    couplers: np.ndarray
    """Shape (N, N), ``[first, second]``; a missing direction costs what the other one does."""
    two_qubit: str | None
    """The two-qubit gate of most couplers; no other is used."""
    lattice: rx.PyGraph[int, float]
    """Usable qubits and couplers; a node's data is the qubit, an edge's its cost."""

    @classmethod
    def of(cls, target: Target) -> Costs:
        """What a target reports.

        Missing, NaN, negative and large errors make a gate unusable. Only if a gate has no error
        anywhere is it free: such a target is ideal, not damaged.
        """
        size = target.num_qubits or 0
        pairs = _gates(target, 2)
        common = min(pairs, key=lambda name: (-len(pairs[name]), name), default=None)
        both = _losses(pairs[common] if common else {}, WORST_GATE, (size, size))
        couplers = np.where(np.isnan(both), both.T, both)
        couplers[~np.isfinite(couplers + couplers.T)] = np.inf
        gates = {
            name: _losses(errors, WORST_GATE, (size,)) for name, errors in _gates(target, 1).items()
        }
        measure = target["measure"] if "measure" in target.operation_names else None
        readout = _losses(_errors(measure), WORST_READOUT, (size,))
        lattice: rx.PyGraph[int, float] = rx.PyGraph(multigraph=False)
        place = {int(q): lattice.add_node(int(q)) for q in np.flatnonzero(np.isfinite(readout))}
        for a, b in np.argwhere(np.isfinite(couplers)).tolist():
            if a < b and a in place and b in place:
                lattice.add_edge(place[a], place[b], float(couplers[a, b]))
        return cls(gates, readout, couplers, common, lattice)

    def typical(self, circuit: QuantumCircuit) -> tuple[float, int]:
        """What a circuit's gates cost at median errors, and their number where that is equal."""
        one = {name: middle(line) for name, line in self.gates.items()}
        two = middle(self.couplers)
        gates = [item.operation for item in circuit.data]
        cost = sum(two if gate.num_qubits == 2 else one[gate.name] for gate in gates)
        return cost, sum(gate.num_qubits == 2 for gate in gates)


def _gates(target: Target, width: int) -> dict[str, dict[tuple[int, ...], float | None]]:
    """Errors of every gate on so many qubits, by name and wires."""
    gates = {name: target.operation_from_name(name) for name in target.operation_names}
    return {
        name: errors
        for name, gate in gates.items()
        if isinstance(gate, Gate) and gate.num_qubits == width and name != "id"
        if (errors := _errors(target[name]))
    }


def _errors(entries: Mapping[Any, Any] | None) -> dict[tuple[int, ...], float | None]:
    if entries is None or None in entries:  # on all qubits alike, so nothing is known
        return {}
    return {wires: entry.error if entry else None for wires, entry in entries.items()}


def _losses(
    errors: dict[tuple[int, ...], float | None], worst: float, shape: tuple[int, ...]
) -> np.ndarray:
    """−log(1 − error) by qubits: NaN without a gate, infinite if its error rules it out."""
    losses = np.full(shape, np.nan)
    ideal = all(error is None for error in errors.values())
    for wires, reported in errors.items():
        error = 0.0 if ideal else np.nan if reported is None else reported
        losses[wires] = -np.log1p(-error) if 0 <= error < worst else np.inf
    return losses


def middle(losses: np.ndarray) -> float:
    """The median of what is usable; 0 if nothing is."""
    usable = losses[np.isfinite(losses)]
    return float(median(usable.tolist())) if usable.size else 0.0
