"""The stages a batch of states runs through, forwards and backwards.

A state tensor has shape (G, 2**n, R): G weight sets, basis states little-endian, rows last, so
that every gate works on contiguous runs of rows. The G weight sets belong to H arrays of rows,
G/H to each (the Q, K and V of each head); the first dimension is H while nothing depends on the
weights yet, and 1 while nothing depends on either. R is 1 while nothing depends on the row.
A cotangent λ has the shape of its state and means dL = Re Σ conj(λ) d(state).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from qvit_qiskit.circuits.lowering import OneQubit, Rotation
from qvit_qiskit.simulation.exact.rotations import (
    Trig,
    back,
    reduce_to,
    rotate,
    rotation_gradient,
    spread,
)
from qvit_qiskit.simulation.exact.schedule import (
    LocalLayer,
    MonomialLayer,
    RowRotations,
    SharedSegment,
)
from qvit_qiskit.simulation.exact.sweep import block_matrix, sweep, sweep_block

MAX_BLOCK_QUBITS = 4
"""Qubits fused into one matrix when states are evolved layer by layer (chosen by measurement)."""


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


class Stage(ABC):
    """One step of a plan."""

    @property
    def states(self) -> int:
        """States that `forward` remembers."""
        return 1

    def prepare(
        self, shared: np.ndarray, dtype: torch.dtype, unitary: Callable[[], np.ndarray] | None
    ) -> Any:
        """What the stage makes of the angles that all rows share; most kinds make nothing.

        Args:
            shared: Those angles, shape (G, m).
            dtype: The state's.
            unitary: Fetches what Aer made of a `UnitaryStage`, shape (G, 2**n, 2**n).
        """
        return None

    @abstractmethod
    def forward(self, matrices: Any, angles: Angles, state: Tensor) -> tuple[Tensor, Any]:
        """The next state, and what `pullback` needs to remember.

        Args:
            matrices: What `prepare` made of the angles that all rows share.
            angles: The angles of all rotations.
            state: Shape (H or G, 2**n, R).
        """

    @abstractmethod
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

    def finish(self, matrices: Any, shared: np.ndarray, sums: Any, grads: np.ndarray) -> None:
        """Add ∂L/∂ shared angles, once all rows have been summed; most kinds have none.

        Args:
            matrices: What `prepare` returned.
            shared: Angles that all rows share, shape (G, m).
            sums: What the last `pullback` returned.
            grads: ∂L/∂ shared angles, shape (G, m), which is added to.
        """
        return


def _add_row_grad(angles: Angles, index: int, grad: Tensor) -> None:
    grad = reduce_to(grad, angles.row[index][0].shape)
    angles.row_grads[index] = angles.row_grads[index] + grad if index in angles.row_grads else grad


class ProductStage(Stage):
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

    def finish(self, matrices: Any, shared: np.ndarray, sums: Any, grads: np.ndarray) -> None:
        """The sums are derivatives already."""
        grads += sums

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
                cotangent = rotate(operation.axis, back(trig), cotangent)


class UnitaryStage(Stage):
    """A shared segment as one unitary U per weight set: a matrix product for all rows."""

    def __init__(self, num_qubits: int, part: SharedSegment) -> None:
        self.num_qubits, self.part = num_qubits, part

    def prepare(
        self, shared: np.ndarray, dtype: torch.dtype, unitary: Callable[[], np.ndarray] | None
    ) -> Tensor:
        """U as Aer made it, shape (G, 2**n, 2**n)."""
        assert unitary is not None
        return _tensor(unitary(), dtype)

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

    def finish(self, matrices: Any, shared: np.ndarray, sums: Any, grads: np.ndarray) -> None:
        """Sweep back through the segment's layers, from U λ_U†."""
        overlap = torch.bmm(matrices, sums.mH).numpy()
        sweep(self.part.layers, self.num_qubits, shared, overlap, grads)


class LocalStage(Stage):
    """A shared layer of one-qubit operations, fused into Kronecker blocks of a few qubits."""

    def __init__(self, num_qubits: int, layer: LocalLayer) -> None:
        self.layer = layer
        count = -(-num_qubits // MAX_BLOCK_QUBITS)
        edges = [num_qubits * k // count for k in range(count + 1)]
        blocks = [range(a, b) for a, b in pairwise(edges)]
        self.blocks = [b for b in blocks if any(q in layer.operations for q in b)]

    @property
    def states(self) -> int:
        """One before each block, and the last."""
        return len(self.blocks) + 1

    def prepare(
        self, shared: np.ndarray, dtype: torch.dtype, unitary: Callable[[], np.ndarray] | None
    ) -> list[Tensor]:
        """The Kronecker blocks, each (G, 2**k, 2**k)."""
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

    def finish(self, matrices: Any, shared: np.ndarray, sums: Any, grads: np.ndarray) -> None:
        """Sweep back through every block, from K λ_K†."""
        for block, matrix, outer in zip(self.blocks, matrices, sums, strict=True):
            overlap = torch.matmul(matrix, outer.mH).numpy()
            sweep_block(self.layer, block, shared, overlap, grads)


class MonomialStage(Stage):
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


class RowStage(Stage):
    """Rotations with one angle per row, applied one after the other."""

    def __init__(self, part: RowRotations) -> None:
        self.operations = part.operations

    @property
    def states(self) -> int:
        """One before each rotation, and the last."""
        return len(self.operations) + 1

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
            below = rotate(operation.axis, back(trig), view)
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
