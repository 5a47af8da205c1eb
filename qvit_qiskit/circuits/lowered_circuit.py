"""Lowered operations as a Qiskit circuit again, with one parameter per rotation."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from qiskit.circuit import ParameterVector, QuantumCircuit
from qiskit.circuit.library import UnitaryGate

from qvit_qiskit.circuits.lowering import Operation, Rotation


def rebuild(
    num_qubits: int, operations: Sequence[Operation], native: Collection[str] | None = None
) -> tuple[QuantumCircuit, list[int]]:
    """A circuit whose every rotation has a parameter of its own.

    Args:
        num_qubits: n.
        operations: The operations.
        native: Names of constant gates to keep; others become unitaries. ``None`` keeps all.

    Returns:
        The circuit, and for each of its ``parameters`` the index of the rotation.
    """
    used = [op.index for op in operations if isinstance(op, Rotation)]
    parameters = dict(zip(used, ParameterVector("angle", len(used)), strict=True))
    circuit = QuantumCircuit(num_qubits)
    for operation in operations:
        if isinstance(operation, Rotation):
            rotation = getattr(circuit, f"r{operation.axis}")
            rotation(parameters[operation.index], operation.qubits[0])
        elif native is None or operation.gate.name in native:
            circuit.append(operation.gate, operation.qubits)
        else:
            circuit.append(UnitaryGate(operation.matrix), operation.qubits)
    return circuit, used
