"""Circuits as late as possible, by Qiskit's own passes, with their waits as delays."""

from __future__ import annotations

from qiskit import QuantumCircuit
from qiskit.transpiler import PassManager, Target
from qiskit.transpiler.passes import ALAPScheduleAnalysis, PadDelay, TimeUnitConversion


def scheduled(circuit: QuantumCircuit, target: Target) -> QuantumCircuit:
    """A circuit on a whole device with its waits as delays.

    A device that is scheduled otherwise is not known: IBM does not document what its service does
    where the client has left waits empty. Qubits whose T1 or T2 is not reported do not decay, and
    |0> does not either, so that their delays are left out.
    """
    passes = [TimeUnitConversion(target=target), ALAPScheduleAnalysis(target=target)]
    padded = PassManager([*passes, PadDelay(target=target)]).run(circuit)
    known = target.qubit_properties
    lasting = {q for q, one in enumerate(known) if one.t1 is None or one.t2 is None}
    begun: set[int] = set()
    out = circuit.copy_empty_like()
    for item in padded.data:
        wires = [padded.find_bit(qubit).index for qubit in item.qubits]
        if item.operation.name == "delay" and (wires[0] in lasting or wires[0] not in begun):
            continue
        if item.operation.name != "barrier":
            begun.update(wires)
        clbits = [padded.find_bit(clbit).index for clbit in item.clbits]
        out.append(item.operation, wires, clbits)
    return out
