"""Qiskit's own schedule, as late as possible, with every wait as a delay: the twin of ours."""

from __future__ import annotations

from collections import Counter

from qiskit.circuit import QuantumCircuit
from qiskit.transpiler import PassManager, Target
from qiskit.transpiler.passes import ALAPScheduleAnalysis, PadDelay, TimeUnitConversion

Waits = dict[tuple[int, int], float]
"""By wire and the number of earlier instructions on it, barriers and delays left out: seconds."""


def padded(circuit: QuantumCircuit, target: Target) -> QuantumCircuit:
    """A measured circuit of a target with its waits as delays, those before first gates, too."""
    passes = [TimeUnitConversion(target=target), ALAPScheduleAnalysis(target=target)]
    return PassManager([*passes, PadDelay(target=target)]).run(circuit)


def waits(circuit: QuantumCircuit, target: Target) -> Waits:
    """The waits of a circuit after each qubit's first gate; its own delays are waits, too."""
    return delays(padded(circuit, target), target.dt)


def delays(circuit: QuantumCircuit, dt: float | None) -> Waits:
    """The delays of a circuit, those before the same instruction added up."""
    seen: Counter[int] = Counter()
    found: Counter[tuple[int, int]] = Counter()
    for item in circuit.data:
        wires = [circuit.find_bit(qubit).index for qubit in item.qubits]
        if item.operation.name == "delay":
            scale = dt if item.operation.unit == "dt" else 1.0
            if seen[wires[0]]:
                found[wires[0], seen[wires[0]]] += item.operation.duration * scale
        elif item.operation.name != "barrier":
            seen.update(wires)
    return dict(found)


def between(circuit: QuantumCircuit, target: Target) -> Waits:
    """The waits of a circuit after each qubit's first gate, barriers and all.

    By qubit and the two-qubit gates behind it.
    """
    behind: Counter[int] = Counter()
    begun, found = set(), Counter()
    done = padded(circuit, target)
    for item in done.data:
        wires = [done.find_bit(qubit).index for qubit in item.qubits]
        if item.operation.name == "delay":
            if wires[0] in begun:
                found[wires[0], behind[wires[0]]] += item.operation.duration * target.dt
        elif item.operation.name != "barrier":
            begun.update(wires)
            behind.update(wires if len(wires) == 2 else ())
    return dict(found)
