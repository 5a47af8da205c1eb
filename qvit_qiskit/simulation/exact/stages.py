"""The stages a batch of states runs through, forwards and backwards.

A state tensor has shape (G, 2**n, R): G weight sets, basis states little-endian, rows last, so
that every gate works on contiguous runs of rows. The G weight sets belong to H arrays of rows,
G/H to each (the Q, K and V of each head); the first dimension is H while nothing depends on the
weights yet, and 1 while nothing depends on either. R is 1 while nothing depends on the row.
A cotangent λ has the shape of its state and means dL = Re Σ conj(λ) d(state).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from qvit_qiskit.circuits.lowering import OneQubit, Rotation
from qvit_qiskit.simulation.exact.schedule import LocalLayer, MonomialLayer, RowRotations
from qvit_qiskit.simulation.exact.sweep import block_matrix, sweep_block

MAX_BLOCK_QUBITS = 4
"""Qubits fused into one matrix when states are evolved layer by layer (chosen by measurement)."""


Trig = tuple[Tensor, Tensor]
"""cos and sin of half an angle."""


@dataclass
class Angles:
    """What the stages of one pass may read and add to."""

    shared: np.ndarray  # shape: (G, m)
    row: dict[int, Trig]  # rotation index -> each (H or G, R)
    row_grads: dict[int, Tensor]  # the same shapes
    dtype: torch.dtype

    def trig(self, index: int) -> Trig:
        """(cos φ/2, sin φ/2) of a rotation, each (H or G, R or 1)."""
        if index in self.row:
            return self.row[index]
        half = torch.from_numpy(self.shared[:, index, None]) / 2
        real = self.dtype.to_real() if self.dtype.is_complex else self.dtype
        return half.cos().to(real), half.sin().to(real)


class Stage(Protocol):
    """One step of a plan."""

    def forward(self, matrices: Any, angles: Angles, state: Tensor) -> tuple[Tensor, Any]:
        """The next state, and what `pullback` needs to remember.

        Args:
            matrices: What `prepare` made of the angles that all rows share.
            angles: The angles of all rotations.
            state: Shape (H or G, 2**n, R).
        """

    def pullback(
        self, matrices: Any, angles: Angles, memory: Any, cotangent: Tensor, sums: Any
    ) -> tuple[Tensor, Any]:
        """The cotangent of the stage's input, and the running sums over rows.

        Args:
            matrices: What `prepare` made of the angles that all rows share.
            angles: The angles of all rotations.
            memory: What `forward` remembered.
            cotangent: λ of the stage's output, shape (G, 2**n, R).
            sums: What this returned for the rows before; None at first.
        """


def rotate(axis: str, trig: Trig, state: Tensor) -> Tensor:
    """Apply exp(−iφP/2) to one qubit.

    Args:
        axis: P: ``"x"``, ``"y"`` or ``"z"``.
        trig: cos φ/2 and sin φ/2, each of shape (G, R) or (G, 1).
        state: Viewed as (G, high, 2, low, R), the qubit on axis 2.

    Returns:
        The new state in the same view.
    """
    groups = max(len(state), len(trig[0]))
    rows = max(state.shape[-1], trig[0].shape[-1])
    state = spread(state, groups)
    c, s = (spread(part, groups)[:, None, None] for part in trig)  # (G, 1, 1, R)
    a, b = state[:, :, 0], state[:, :, 1]  # amplitudes of 0 and 1, (G, high, low, R)
    out = torch.empty((groups, *state.shape[1:-1], rows), dtype=state.dtype)
    if axis == "y":
        # real, so that real states stay real
        torch.mul(a, c, out=out[:, :, 0]).addcmul_(b, s, value=-1)
        torch.mul(a, s, out=out[:, :, 1]).addcmul_(b, c)
    elif axis == "x":
        s = s * 1j
        torch.mul(a, c, out=out[:, :, 0]).sub_(b * s)
        torch.mul(b, c, out=out[:, :, 1]).sub_(a * s)
    else:
        phase = torch.complex(c, s)  # exp(iφ/2)
        torch.mul(a, phase.conj(), out=out[:, :, 0])
        torch.mul(b, phase, out=out[:, :, 1])
    return out


def _back(trig: Trig) -> Trig:
    return trig[0], -trig[1]


def rotation_gradient(axis: str, cotangent: Tensor, out: Tensor) -> Tensor:
    """Derivative of a rotation's angle, ½ Im ⟨λ|P|out⟩, for every row.

    Args:
        axis: P: ``"x"``, ``"y"`` or ``"z"``.
        cotangent: λ, viewed as (G, high, 2, low, R).
        out: The rotated state in the same view.

    Returns:
        Shape (G, R).
    """
    (la, lb), (a, b) = cotangent.unbind(2), out.unbind(2)
    if axis == "y":
        overlap = lb.conj() * a - la.conj() * b  # ⟨λ|Y|out⟩ / i
        return 0.5 * (overlap.real if overlap.is_complex() else overlap).sum((1, 2))
    pair = la.conj() * b + lb.conj() * a if axis == "x" else la.conj() * a - lb.conj() * b
    return 0.5 * pair.imag.sum((1, 2))


def spread(tensor: Tensor, groups: int) -> Tensor:
    """Repeat each of the leading entries for its weight sets.

    Args:
        tensor: Shape (H, …), or (1, …) for all.
        groups: G, a multiple of H.
    """
    if len(tensor) == groups:
        return tensor
    if len(tensor) == 1:
        return tensor.expand(groups, *tensor.shape[1:])
    return tensor.repeat_interleave(groups // len(tensor), dim=0)


def reduce_to(grad: Tensor, shape: torch.Size) -> Tensor:
    """Sum over what `spread` and broadcasting repeated.

    Args:
        grad: The derivative of the repeated tensor.
        shape: Of the tensor before it was repeated.
    """
    if len(grad) != shape[0]:
        grad = grad.reshape(shape[0], -1, *grad.shape[1:]).sum(1)
    for dim in range(1, grad.ndim):
        if shape[dim] == 1 and grad.shape[dim] > 1:
            grad = grad.sum(dim, keepdim=True)
    return grad


def _add_row_grad(angles: Angles, index: int, grad: Tensor) -> None:
    grad = reduce_to(grad, angles.row[index][0].shape)
    angles.row_grads[index] = angles.row_grads[index] + grad if index in angles.row_grads else grad


class ProductStage:
    """The encoded product state ⊗_q |v_q⟩, built by outer products."""

    def __init__(self, num_qubits: int, layer: LocalLayer, row: frozenset[int]) -> None:
        self.sequences = [layer.operations.get(q, []) for q in range(num_qubits)]
        self.row = row

    def forward(self, matrices: Any, angles: Angles, state: Tensor) -> tuple[Tensor, Any]:
        """Ignore ``state``, return Ψ (1, H or G, 2**n, R)."""
        steps: list[list[Tensor]] = []
        products: list[Tensor] = []
        out = torch.ones((1, 1, 1), dtype=angles.dtype)
        for sequence in self.sequences:
            vector = torch.zeros((1, 1, 2, 1, 1), dtype=angles.dtype)
            vector[:, :, 0] = 1  # |0⟩ for all groups and rows
            chain = [vector]
            for place, operation in enumerate(sequence):
                if place == 0 and isinstance(operation, Rotation) and operation.axis == "y":
                    ends = torch.stack(angles.trig(operation.index), dim=1)  # RY on |0⟩
                    vector = ends[:, None, :, None].to(angles.dtype)
                else:
                    vector = self._apply(operation, angles, vector)
                chain.append(vector)
            steps.append(chain)
            products.append(out)
            groups = max(len(vector), len(out))
            out = spread(out, groups)
            # (G, 2, 2**q, R)
            pair = spread(vector, groups).squeeze(3).transpose(1, 2) * out[:, None]
            # (G, 2**(q + 1), R): a new highest bit
            out = pair.reshape(pair.shape[0], -1, pair.shape[-1])
        return out, (steps, products)

    def _apply(self, operation: Rotation | OneQubit, angles: Angles, vector: Tensor) -> Tensor:
        if isinstance(operation, Rotation):
            return rotate(operation.axis, angles.trig(operation.index), vector)
        matrix = _tensor(operation.matrix, angles.dtype)
        return torch.einsum("ab,ghblr->ghalr", matrix, vector)

    def pullback(
        self, matrices: Any, angles: Angles, memory: Any, cotangent: Tensor, sums: Any
    ) -> tuple[Tensor, Any]:
        """Fold λ of Ψ into the angles of every vector, highest qubit first."""
        steps, products = memory
        shared_grads = np.zeros_like(angles.shared) if sums is None else sums
        for qubit in range(len(self.sequences) - 1, -1, -1):
            groups = len(cotangent)
            vector, below = spread(steps[qubit][-1], groups), spread(products[qubit], groups)
            view = cotangent.reshape(groups, 2, -1, cotangent.shape[-1])  # the highest bit first
            local = (view * below.conj()[:, None]).sum(2)[:, None, :, None]  # (G, 1, 2, 1, R)
            self._pull_vector(qubit, angles, steps[qubit], local, shared_grads)
            if qubit:
                # of the qubits below
                cotangent = (view * vector.conj().squeeze(3).transpose(1, 2)).sum(1)
        return cotangent, shared_grads

    def _pull_vector(
        self, qubit: int, angles: Angles, chain: list[Tensor], cotangent: Tensor, grads: np.ndarray
    ) -> None:
        for place in range(len(self.sequences[qubit]) - 1, -1, -1):
            operation, out = self.sequences[qubit][place], chain[place + 1]
            if isinstance(operation, OneQubit):
                matrix = _tensor(operation.matrix, angles.dtype).mH
                cotangent = torch.einsum("ab,ghblr->ghalr", matrix, cotangent)
                continue
            out = spread(out, len(cotangent)).expand_as(cotangent)
            grad = rotation_gradient(operation.axis, cotangent, out)
            trig = angles.trig(operation.index)
            if operation.index in self.row:
                _add_row_grad(angles, operation.index, grad)
            else:
                grads[:, operation.index] += reduce_to(grad, trig[0].shape).numpy()[:, 0]
            if place:
                cotangent = rotate(operation.axis, _back(trig), cotangent)


class UnitaryStage:
    """A shared segment as one unitary U per weight set: a matrix product for all rows."""

    def forward(self, matrices: Tensor, angles: Angles, state: Tensor) -> tuple[Tensor, Any]:
        """U Ψ; ``matrices`` is U, shape (G, 2**n, 2**n)."""
        out = torch.bmm(self._by_input(matrices, len(state)), state)  # (H, G/H * 2**n, R)
        return out.view(len(matrices), -1, out.shape[-1]), state

    def _by_input(self, matrices: Tensor, inputs: int) -> Tensor:
        """One tall matrix per array of rows, so that one product serves its weight sets."""
        return matrices.reshape(inputs, -1, matrices.shape[-1])

    def pullback(
        self, matrices: Tensor, angles: Angles, memory: Tensor, cotangent: Tensor, sums: Any
    ) -> tuple[Tensor, Any]:
        """λ_Ψ = U†λ and λ_U = Σ_rows λ Ψ†."""
        tall = cotangent.reshape(len(memory), -1, cotangent.shape[-1])
        outer = torch.bmm(tall, memory.mH).view(matrices.shape)  # summed over rows
        below = torch.bmm(self._by_input(matrices, len(memory)).mH, tall)
        return below, outer if sums is None else sums + outer


class LocalStage:
    """A shared layer of one-qubit operations, fused into Kronecker blocks of a few qubits."""

    def __init__(self, num_qubits: int, layer: LocalLayer) -> None:
        self.layer = layer
        count = -(-num_qubits // MAX_BLOCK_QUBITS)
        edges = [num_qubits * k // count for k in range(count + 1)]
        blocks = [range(a, b) for a, b in pairwise(edges)]
        self.blocks = [b for b in blocks if any(q in layer.operations for q in b)]

    def prepare(self, shared: np.ndarray, dtype: torch.dtype) -> list[Tensor]:
        """The Kronecker blocks, each (G, 2**k, 2**k).

        Args:
            shared: Angles that all rows share, shape (G, m).
            dtype: The state's.
        """
        return [_tensor(block_matrix(self.layer, b, shared), dtype) for b in self.blocks]

    def forward(self, matrices: list[Tensor], angles: Angles, state: Tensor) -> tuple[Tensor, Any]:
        """Apply block by block."""
        memory = []
        for block, matrix in zip(self.blocks, matrices, strict=True):
            memory.append(state)
            view = _block_view(spread(state, len(matrix)), block)
            state = torch.matmul(matrix[:, None], view).reshape(-1, *state.shape[1:])
        return state, memory

    def pullback(
        self, matrices: list[Tensor], angles: Angles, memory: Any, cotangent: Tensor, sums: Any
    ) -> tuple[Tensor, Any]:
        """λ_in = K†λ and λ_K = Σ λ in†, block by block."""
        sums = [None] * len(self.blocks) if sums is None else sums
        for place in range(len(self.blocks) - 1, -1, -1):
            block, matrix, before = self.blocks[place], matrices[place], memory[place]
            view = _block_view(cotangent, block)
            below = _block_view(spread(before, len(matrix)), block)
            outer = torch.matmul(view, below.mH).sum(1)  # (G, 2**k, 2**k)
            sums[place] = outer if sums[place] is None else sums[place] + outer
            cotangent = torch.matmul(matrix.mH[:, None], view).reshape(cotangent.shape)
            cotangent = reduce_to(cotangent, before.shape)
        return cotangent, sums

    def finish(
        self, matrices: list[Tensor], shared: np.ndarray, sums: Any, grads: np.ndarray
    ) -> None:
        """Add ∂L/∂angles, once all rows have been summed.

        Args:
            matrices: What `prepare` returned.
            shared: Angles that all rows share, shape (G, m).
            sums: What the last `pullback` returned.
            grads: ∂L/∂ shared angles, shape (G, m), which is added to.
        """
        for block, matrix, outer in zip(self.blocks, matrices, sums, strict=True):
            overlap = torch.matmul(matrix, outer.mH).numpy()
            sweep_block(self.layer, block, shared, overlap, grads)


class MonomialStage:
    """A shared permutation of basis states with phases: one gather."""

    def __init__(self, layer: MonomialLayer) -> None:
        self.source = torch.from_numpy(layer.source)
        self.inverse = torch.argsort(self.source)  # of a permutation
        # a plain permutation multiplies nothing
        self.phase = None if (layer.phase == 1).all() else layer.phase

    def forward(self, matrices: Any, angles: Angles, state: Tensor) -> tuple[Tensor, Any]:
        """``out[i] = phase[i] * in[source[i]]``."""
        out = state.index_select(1, self.source)
        if self.phase is not None:
            out = out * _tensor(self.phase, angles.dtype)[:, None]
        return out, None

    def pullback(
        self, matrices: Any, angles: Angles, memory: Any, cotangent: Tensor, sums: Any
    ) -> tuple[Tensor, Any]:
        """The inverse gather."""
        if self.phase is not None:
            cotangent = cotangent * _tensor(self.phase.conj(), angles.dtype)[:, None]
        return cotangent.index_select(1, self.inverse), None


class RowStage:
    """Rotations with one angle per row, applied one after the other."""

    def __init__(self, part: RowRotations) -> None:
        self.operations = part.operations

    def forward(self, matrices: Any, angles: Angles, state: Tensor) -> tuple[Tensor, Any]:
        """Apply in order, remember every state before and after."""
        chain = [state]
        for operation in self.operations:
            view = _qubit_view(state, operation.qubits[0])
            out = rotate(operation.axis, angles.trig(operation.index), view)
            state = out.reshape(len(out), -1, out.shape[-1])
            chain.append(state)
        return state, chain

    def pullback(
        self, matrices: Any, angles: Angles, memory: Any, cotangent: Tensor, sums: Any
    ) -> tuple[Tensor, Any]:
        """Gradient per row from ⟨λ|P|out⟩, then rotate λ back."""
        for place in range(len(self.operations) - 1, -1, -1):
            operation = self.operations[place]
            trig = angles.trig(operation.index)
            view = _qubit_view(cotangent, operation.qubits[0])
            out = _qubit_view(spread(memory[place + 1], len(view)), operation.qubits[0])
            grad = rotation_gradient(operation.axis, view, out.expand_as(view))
            _add_row_grad(angles, operation.index, grad)
            below = rotate(operation.axis, _back(trig), view)
            cotangent = below.reshape(len(below), -1, below.shape[-1])
            cotangent = reduce_to(cotangent, memory[place].shape)
        return cotangent, None


def _qubit_view(state: Tensor, qubit: int) -> Tensor:
    return state.reshape(state.shape[0], -1, 2, 2**qubit, state.shape[-1])


def _block_view(state: Tensor, block: range) -> Tensor:
    """(G, high, 2**k, low·R): the block's qubits as the rows of a matrix."""
    groups, _, rows = state.shape
    return state.reshape(groups, -1, 2 ** len(block), 2**block.start * rows)


def _tensor(array: np.ndarray, dtype: torch.dtype) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array if dtype.is_complex else array.real)).to(
        dtype
    )
