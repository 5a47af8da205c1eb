"""The end of a circuit that only moves bits: what a measurement can leave to arithmetic.

CNOTs, SWAPs, X gates and diagonal gates permute basis states, up to phases that a Z measurement
does not see. Where the permutation is affine over GF(2), every bit after it is the parity of some
bits before it, flipped or not. Doubly controlled X is no such gate; doubly controlled Z is.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np

from qvit_qiskit.circuits.lowering import Lowered, OneQubit, Operation, Rotation


@dataclass(frozen=True)
class Affine:
    """Bit i after some gates is the parity of the bits of ``masks[i]`` before, plus a flip."""

    masks: tuple[int, ...]
    flips: int = 0
    """Bit i is set where bit i is flipped."""

    @classmethod
    def identity(cls, num_qubits: int) -> Affine:
        """Nothing happens to so many bits."""
        return cls(tuple(1 << qubit for qubit in range(num_qubits)))

    @property
    def trivial(self) -> bool:
        """Whether nothing happens."""
        return self == Affine.identity(len(self.masks))

    def parity(self, mask: int) -> tuple[int, int]:
        """A parity of bits after the gates as one of bits before them.

        Args:
            mask: The bits after the gates.

        Returns:
            The mask of bits before them, and 1 or −1: the sign of the parity's ±1 values.
        """
        before = 0
        for qubit, own in enumerate(self.masks):
            before ^= own if mask >> qubit & 1 else 0
        return before, -1 if (mask & self.flips).bit_count() & 1 else 1

    def after(self, first: Affine, qubits: Sequence[int]) -> Affine:
        """The map of a gate and then this one.

        Args:
            first: What the gate does to its own bits.
            qubits: The qubits of the gate.
        """
        own = sum(1 << qubit for qubit in qubits)
        masks, flips = [], self.flips
        for place, mask in enumerate(self.masks):
            touched = sum(1 << k for k, qubit in enumerate(qubits) if mask >> qubit & 1)
            before, sign = first.parity(touched)
            moved = sum(1 << qubit for k, qubit in enumerate(qubits) if before >> k & 1)
            masks.append(mask & ~own | moved)
            flips ^= (sign < 0) << place
        return Affine(tuple(masks), flips)

    def order(self) -> np.ndarray:
        """For each basis state after the gates the one before them, shape (2**n,)."""
        before = np.arange(2 ** len(self.masks))
        after = np.full_like(before, self.flips)
        for qubit, mask in enumerate(self.masks):
            after ^= (np.bitwise_count(before & mask).astype(int) & 1) << qubit
        out = np.empty_like(before)
        out[after] = before
        return out


def affine(operation: Operation) -> Affine | None:
    """What an operation does to the bits of its qubits; None if that is not affine."""
    if isinstance(operation, Rotation):
        return Affine.identity(1) if operation.axis == "z" else None
    if isinstance(operation, OneQubit):
        size = np.abs(operation.matrix)
        if max(size[0, 1], size[1, 0]) < _ZERO:
            return Affine.identity(1)
        return Affine((1,), 1) if max(size[0, 0], size[1, 1]) < _ZERO else None
    target = np.argsort(operation.source)  # basis state s becomes target[s]
    width = len(operation.qubits)
    images = [int(target[1 << k] ^ target[0]) for k in range(width)]
    masks = tuple(sum((images[k] >> q & 1) << k for k in range(width)) for q in range(width))
    candidate = Affine(masks, int(target[0]))
    return candidate if np.array_equal(candidate.order(), operation.source) else None


_ZERO = 1e-14


@dataclass(frozen=True)
class Split:
    """Operations without their tail."""

    kept: tuple[Operation, ...]
    tail: Affine
    blocked: frozenset[int]
    """Qubits on which something is kept."""


def split_tail(
    operations: Sequence[Operation], tail: Affine, blocked: Collection[int] = ()
) -> Split:
    """Take the tail off operations that measurements follow.

    Args:
        operations: In the order of the circuit.
        tail: What has been taken off behind them.
        blocked: Qubits on which something is kept behind them.
    """
    kept: list[Operation] = []
    barred = set(blocked)
    for operation in reversed(operations):
        bits = affine(operation) if barred.isdisjoint(operation.qubits) else None
        if bits is None:
            barred.update(operation.qubits)
            kept.append(operation)
        else:
            tail = tail.after(bits, operation.qubits)
    return Split(tuple(reversed(kept)), tail, frozenset(barred))


def without_tail(lowered: Lowered) -> tuple[Lowered, Affine]:
    """A circuit without its tail; its parameters stay, also those that nothing needs now."""
    split = split_tail(lowered.operations, Affine.identity(lowered.num_qubits))
    used = sorted(op.index for op in split.kept if isinstance(op, Rotation))
    place = {index: k for k, index in enumerate(used)}
    operations = tuple(
        replace(op, index=place[op.index]) if isinstance(op, Rotation) else op for op in split.kept
    )
    angles = tuple(lowered.angles[index] for index in used)
    return replace(lowered, operations=operations, angles=angles), split.tail
