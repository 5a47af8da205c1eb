"""What a device reports of its gates and its readout, as costs that add up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
import rustworkx as rx
from qiskit.circuit import CircuitInstruction, Delay, Gate, QuantumCircuit
from qiskit.transpiler import Target

from qvit_qiskit.devices.timetable import (
    SHORTEST,
    delay_seconds,
    gaps,
    relaxation_times,
    reported_length,
    waiting_error,
)

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
    lengths: Lengths | None = None
    """How long everything takes; None where waiting costs nothing."""

    @classmethod
    def of(cls, target: Target, *, idle: bool = True) -> Costs:
        """What a target reports.

        Missing, NaN, negative and large errors make a gate unusable. Only if a gate has no error
        anywhere is it free: such a target is ideal, not damaged.

        Args:
            target: Of the device.
            idle: Whether waiting qubits decay.
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
        lengths = Lengths.of(target, common) if idle else None
        return cls(gates, readout, couplers, common, lattice, lengths)

    def waiting(self, circuit: QuantumCircuit, qubits: np.ndarray) -> np.ndarray:
        """What the waits of a circuit cost in many places, its measurement at the end included.

        Args:
            circuit: On n wires, without barriers.
            qubits: Shape (m, n), int: the qubit under each wire.

        Returns:
            Shape (m,).
        """
        return self.lengths.cost(circuit, qubits) if self.lengths else np.zeros(len(qubits))

    def typical(self, circuit: QuantumCircuit) -> tuple[float, int]:
        """What a circuit's gates cost at median errors, and their number where that is equal."""
        one = {name: middle(line) for name, line in self.gates.items()}
        two = middle(self.couplers)
        gates = [item.operation for item in circuit.data if item.operation.name != "delay"]
        cost = sum(two if gate.num_qubits == 2 else one[gate.name] for gate in gates)
        if self.lengths:
            cost += self.lengths.typical(circuit)
        return cost, sum(gate.num_qubits == 2 for gate in gates)


@dataclass(frozen=True)
class Lengths:
    """How long everything takes on a device of N qubits, and how long qubits last, in seconds.

    What is not reported takes no time, and a qubit without T1 or T2 lasts for ever.
    """

    gates: dict[str, np.ndarray]
    """Shape (N,), by one-qubit gate."""
    couplers: np.ndarray
    """Shape (N, N), ``[first, second]``; a missing direction takes as long as the other one."""
    readout: np.ndarray
    """Shape (N,)."""
    t1: np.ndarray
    """Shape (N,)."""
    t2: np.ndarray
    """Shape (N,), at most twice T1."""
    dt: float | None
    """Of a clock cycle."""

    @classmethod
    def of(cls, target: Target, two_qubit: str | None) -> Lengths:
        """What a target reports.

        Args:
            target: Of the device.
            two_qubit: The two-qubit gate in use.
        """
        size = target.num_qubits or 0
        kept = [relaxation_times(target, qubit) or (np.inf, np.inf) for qubit in range(size)]
        t1, t2 = np.array(kept).reshape(size, 2).T  # infinite where one is not reported
        both = _filled(target, two_qubit, (size, size)) if two_qubit else np.zeros((size, size))
        names = [*_gates(target, 1), *({"measure"} & set(target.operation_names))]
        one = {name: _filled(target, name, (size,)) for name in names}
        readout = one.pop("measure", np.zeros(size))
        return cls(one, np.maximum(both, both.T), readout, t1, t2, target.dt)

    def cost(self, circuit: QuantumCircuit, qubits: np.ndarray) -> np.ndarray:
        """−log of the probability that no wait of a circuit fails; see `Costs.waiting`.

        Args:
            circuit: On n wires, without barriers.
            qubits: Shape (m, n), int: the qubit under each wire.

        Returns:
            Shape (m,).
        """

        def length(item: CircuitInstruction, wires: tuple[int, ...]) -> float | np.ndarray:
            places, gate = [qubits[:, wire] for wire in wires], item.operation
            if isinstance(gate, Delay):
                return delay_seconds(gate, self.dt)
            if gate.name == "measure":
                return self.readout[places[0]]
            if len(wires) == 2:
                return self.couplers[*places]
            # PERF: most gates are virtual
            return self.gates[gate.name][places[0]] if self.gates[gate.name].any() else 0.0

        read = circuit.copy()
        read.measure_all(add_bits=True, inplace=True)
        read.data = [item for item in read.data if item.operation.name != "barrier"]
        own = [
            (place, circuit.find_bit(item.qubits[0]).index, delay_seconds(item.operation, self.dt))
            for place, item in enumerate(circuit.data)
            if isinstance(item.operation, Delay)
        ]
        total = np.zeros(len(qubits))
        for _, wire, seconds in (*gaps(read, length), *own):
            if np.max(seconds) <= SHORTEST:
                continue
            where = qubits[:, wire]
            total -= np.log1p(-waiting_error(seconds, self.t1[where], self.t2[where]))
        return total

    def typical(self, circuit: QuantumCircuit) -> float:
        """The same where everything takes, and lasts, as long as it does in the middle."""
        one = {name: np.array([middle(line[line > 0])]) for name, line in self.gates.items()}
        middles = (middle(self.couplers[self.couplers > 0]), middle(self.readout))
        two, read = (np.array([value]) for value in middles)
        t1, t2 = (np.array([middle(line) or np.inf]) for line in (self.t1, self.t2))
        everywhere = Lengths(one, two[:, None], read, t1, t2, self.dt)
        return float(everywhere.cost(circuit, np.zeros((1, circuit.num_qubits), int))[0])


def _filled(target: Target, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Lengths of an instruction by its qubits, 0 where there is none."""
    lengths = np.zeros(shape)
    for wires in target[name] or ():
        if wires is not None:
            lengths[wires] = reported_length(target, name, wires)
    return lengths


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
