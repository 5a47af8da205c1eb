"""Order a circuit's operations into parts that depend on the row and parts that all rows share.

A circuit becomes a `Plan`: a product state per row, then alternating shared layers and row
rotations. Only operations on disjoint qubits change places, so the plan is the same unitary.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np

from qvit_qiskit.circuits.lowering import Lowered, Monomial, OneQubit, Operation, Rotation
from qvit_qiskit.circuits.order import take


@dataclass(frozen=True)
class LocalLayer:
    """One-qubit operations: for each touched qubit its operations in order."""

    operations: dict[int, list[Rotation | OneQubit]]


@dataclass(frozen=True)
class MonomialLayer:
    """Constant monomials merged into one: ``out[i] = phase[i] * in[source[i]]``."""

    source: np.ndarray  # shape: (2**n,), int
    phase: np.ndarray  # shape: (2**n,), complex


@dataclass(frozen=True)
class SharedSegment:
    """Operations that are the same for every row, as layers and in their original form."""

    layers: tuple[LocalLayer | MonomialLayer, ...]
    operations: tuple[Operation, ...]

    @property
    def depth(self) -> int:
        """The number of one-qubit layers."""
        return sum(isinstance(layer, LocalLayer) for layer in self.layers)


@dataclass(frozen=True)
class RowRotations:
    """Rotations whose angle differs from row to row."""

    operations: tuple[Rotation, ...]


@dataclass(frozen=True)
class Plan:
    """A circuit, scheduled."""

    num_qubits: int
    product: LocalLayer
    """Operations on |0…0⟩ before a qubit is entangled."""
    parts: list[SharedSegment | RowRotations] = field(default_factory=list)


def schedule(lowered: Lowered, row_rotations: Collection[int], *, greedy: bool = False) -> Plan:
    """Separate what depends on the row from what does not.

    Args:
        lowered: The circuit.
        row_rotations: Indices of the rotations whose angle differs from row to row.
        greedy: Whether the product state takes all operations before a qubit is entangled. If
            not, it ends with the last row rotation, and what follows belongs to the first shared
            part: right if that becomes one matrix.
    """
    row = set(row_rotations)

    def depends(operation: Operation) -> bool:
        return isinstance(operation, Rotation) and operation.index in row

    prefix, rest = take(lowered.operations, lambda op: not isinstance(op, Monomial))
    sequences = by_qubit(prefix)
    after: list[Operation] = []
    for qubit, operations in sequences.items():
        while not greedy and operations and not depends(operations[-1]):
            after.insert(0, operations.pop())
        sequences[qubit] = operations
    plan = Plan(lowered.num_qubits, LocalLayer({q: ops for q, ops in sequences.items() if ops}))
    rest = (*_in_order(after, lowered.operations), *rest)
    while rest:
        taken, rest = take(rest, lambda op: not depends(op))
        if taken:
            plan.parts.append(SharedSegment(_layers(taken, lowered.num_qubits), taken))
        rotations, rest = take(rest, depends)
        if rotations:
            kept = tuple(op for op in rotations if isinstance(op, Rotation))
            plan.parts.append(RowRotations(kept))
    return plan


def by_qubit(operations: Collection[Operation]) -> dict[int, list[Rotation | OneQubit]]:
    """For each qubit its rotations and one-qubit gates, in order."""
    out: dict[int, list[Rotation | OneQubit]] = {}
    for operation in operations:
        if not isinstance(operation, Monomial):
            out.setdefault(operation.qubits[0], []).append(operation)
    return out


def _in_order(
    chosen: Collection[Operation], operations: Collection[Operation]
) -> tuple[Operation, ...]:
    wanted = {id(operation) for operation in chosen}
    return tuple(operation for operation in operations if id(operation) in wanted)


def _layers(
    operations: tuple[Operation, ...], num_qubits: int
) -> tuple[LocalLayer | MonomialLayer, ...]:
    layers: list[LocalLayer | MonomialLayer] = []
    while operations:
        local, operations = take(operations, lambda op: not isinstance(op, Monomial))
        if local:
            layers.append(LocalLayer(by_qubit(local)))
        monomial, operations = take(operations, lambda op: isinstance(op, Monomial))
        if monomial:
            layers.append(_merge(monomial, num_qubits))
    return tuple(layers)


def _merge(operations: Collection[Operation], num_qubits: int) -> MonomialLayer:
    source = np.arange(2**num_qubits)
    phase = np.ones(2**num_qubits, dtype=complex)
    states = np.arange(2**num_qubits)
    for operation in operations:
        assert isinstance(operation, Monomial)
        small = np.zeros_like(states)
        cleared = states.copy()
        for k, qubit in enumerate(operation.qubits):
            small |= ((states >> qubit) & 1) << k
            cleared &= ~(1 << qubit)
        big = cleared.copy()
        for k, qubit in enumerate(operation.qubits):
            big |= ((operation.source[small] >> k) & 1) << qubit
        source, phase = source[big], operation.phase[small] * phase[big]
    return MonomialLayer(source, phase)
