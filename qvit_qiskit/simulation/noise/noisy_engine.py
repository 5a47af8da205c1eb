"""Expectation values of many rows under device noise, and their pullback.

A noisy circuit is a linear map of Pauli vectors. Rows enter through rotations of single wires;
what follows is the same for all rows and is applied to the few observables, backwards, once per
weight set. A row is then one product. Gradients are torch's own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
import torch
from torch import Tensor

from qvit_qiskit.simulation.exact.engine import Request, even_slices
from qvit_qiskit.simulation.noise.evolution import Angles, evolve
from qvit_qiskit.simulation.noise.noisy_program import NoisyProgram

CHUNK_BYTES = 2**24
"""Bytes of one intermediate tensor: rows are processed in chunks of about this size."""
MAX_BYTES = 2**30
"""Of all observables of a request, evolved backwards."""
TAPE_BYTES = 2**28
"""The same for all states of one chunk together, where torch keeps them for the way back."""
MAX_KEPT = 4
"""Above this number of chunks forward passes are not kept, but computed again on the way back."""


@dataclass(frozen=True)
class _Kept:
    """One chunk of rows on its way, with the leaves that gradients are wanted of."""

    values: list[np.ndarray]  # what the row table needed
    rows: list[Tensor]
    observables: Tensor
    out: Tensor  # shape: (H, S, r, K)


class NoisyTask:
    """One request on its way."""

    def __init__(self, request: Request[Any], differentiate: bool = False) -> None:
        self.request = request
        self.program: NoisyProgram = request.program
        self.angles = self.program.angles
        self.differentiate = differentiate
        self.weights = np.ascontiguousarray(request.shared.T)  # (P_shared, G)
        self.heads = request.rows.shape[1]
        found = self.angles.shared_table.evaluate(list(self.weights))
        self.shared = {
            index: torch.from_numpy(a.reshape(self.heads, -1, 1)).requires_grad_(differentiate)
            for index, a in zip(self.angles.shared_rotations, found, strict=True)
        }
        self.kept: list[_Kept] = []
        self.prepare()
        with torch.set_grad_enabled(differentiate):
            self.observables = self.evolved()

    def prepare(self) -> None:
        """What the observables are made of, and which way they go."""
        request = self.request
        self.coefficients = torch.from_numpy(z_coefficients(request.diagonal))  # (2**n, K)
        # Whatever are fewer go through the last segment: observables backwards, or rows; but
        # rows come in chunks, and observables all at once.
        size = 8 * len(request.shared) * request.diagonal.shape[1] * 4**self.program.wires
        self.backwards = request.diagonal.shape[1] <= request.num_rows and size <= MAX_BYTES

    def run(self) -> np.ndarray:
        """Values of all rows, shape (G, observables, R)."""
        groups, count = len(self.request.shared), self.request.diagonal.shape[1]
        out = np.empty((groups, count, self.request.num_rows))
        chunks = self.chunks()
        for chunk in chunks:
            kept = self._forward(chunk)
            found = kept.out.detach().expand(self.heads, groups // self.heads, -1, -1)
            out[:, :, chunk] = found.flatten(0, 1).transpose(1, 2).numpy()
            if self.differentiate and len(chunks) <= MAX_KEPT:
                self.kept.append(kept)
        return out

    def pullback(self, cotangent: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """∂L/∂rows (P_row, H, R) and ∂L/∂shared (G, P_shared) from ∂L/∂values (G, K, R)."""
        by_row = np.zeros_like(self.request.rows)
        by_shared = np.zeros_like(self.weights)
        leaves = list(self.shared.values())
        sums = [torch.zeros_like(leaf) for leaf in leaves]
        by_observables = torch.zeros_like(self.observables)
        for k, chunk in enumerate(self.chunks()):
            kept = self.kept[k] if self.kept else self._forward(chunk)
            by_value = np.ascontiguousarray(cotangent[:, :, chunk].swapaxes(1, 2))
            wanted = torch.from_numpy(by_value).unflatten(0, (self.heads, -1))
            wanted = wanted.sum_to_size(kept.out.shape)
            grads = _gradients(kept.out, [kept.observables, *leaves, *kept.rows], wanted)
            by_observables += grads[0]
            for total, own in zip(sums, grads[1:], strict=False):
                total += own
            by_angle = [g.numpy() for g in grads[1 + len(leaves) :]]
            self.angles.pull_rows(kept.values, by_angle, by_row[:, :, chunk], by_shared)
        last = _gradients(self.observables, leaves, by_observables)
        swept = [(a + b).numpy().ravel() for a, b in zip(sums, last, strict=True)]
        self.angles.pull_shared(self.weights, swept, by_shared)
        return by_row, by_shared.T

    def evolved(self) -> Tensor:
        """What is multiplied with the states, shape (H, S, K, 4**m); Z strings only if forwards."""
        program = self.program
        if not self.backwards:
            return self.coefficients.T[None, None]  # (1, 1, K, 2**n)
        count = self.coefficients.shape[1]
        batch = torch.zeros(1, 1, count, 4**program.wires, dtype=torch.float64)
        batch[..., program.z_strings()] = self.coefficients.T
        steps = program.parts[-1].steps
        return evolve(steps, batch, program.wires, self.shared, backwards=True)

    def _forward(self, chunk: slice) -> _Kept:
        values = self.angles.row_values(self.request.rows[:, :, chunk], self.weights)
        rows = [
            torch.from_numpy(np.ascontiguousarray(a)).requires_grad_(self.differentiate)
            for a in self.angles.row_table.evaluate(values)
        ]
        observables = self.observables.detach().requires_grad_(self.differentiate)
        with torch.set_grad_enabled(self.differentiate):
            angles = {**self.shared, **dict(zip(self.angles.row_rotations, rows, strict=True))}
            out = self.expectations(angles, observables, chunk.stop - chunk.start)
        return _Kept(values, rows, observables, out)

    def expectations(self, angles: Angles, observables: Tensor, rows: int) -> Tensor:
        """Values of some rows, shape (H, S, r, K)."""
        program = self.program
        bloch = {
            wire: evolve(steps, ground(), 1, angles, backwards=False)
            for wire, steps in program.prefix.items()
        }
        if self.backwards and len(program.parts) == 1:
            out = product_values(bloch, observables, program.wires)
            return out.expand(-1, -1, rows, -1)
        state = kron([bloch.get(w, ground()) for w in range(program.wires - 1, -1, -1)])
        state = state.expand(-1, -1, rows, -1)
        for part in program.parts[: -1 if self.backwards else None]:
            state = evolve(part.steps, state, program.wires, angles, backwards=False)
        if not self.backwards:
            state = state[..., program.z_strings()]
        return state @ observables.transpose(-1, -2)

    def chunks(self) -> list[slice]:
        """Slices of rows whose tensors stay near a size."""
        program, rows, groups = self.program, self.request.num_rows, len(self.request.shared)
        if self.backwards and len(program.parts) == 1:
            halves = 4 ** -(-len(program.prefix) // 2)
            count = rows * 8 * groups * self.coefficients.shape[1] * halves / CHUNK_BYTES
        else:
            kept = sum(len(part.steps) for part in program.parts) if self.differentiate else 1
            limit = TAPE_BYTES if self.differentiate else CHUNK_BYTES
            count = rows * 8 * groups * 4**program.wires * kept / limit
        return even_slices(rows, math.ceil(count))


def product_values(bloch: Mapping[int, Tensor], observables: Tensor, wires: int) -> Tensor:
    """Expectation values of product states.

    Args:
        bloch: By wire its vector of I, X, Y, Z, shape (H, S or 1, R, 4); |0⟩ where it is missing.
        observables: Pauli coefficients, shape (H, S, K, 4**wires).
        wires: m.

    Returns:
        Shape (H, S, R, K).
    """
    shape = observables.shape[:3]
    rest = observables
    for wire in range(wires - 1, -1, -1):
        if wire not in bloch:  # |0⟩ has the components I and Z
            split = rest.unflatten(-1, (-1, 4, 4**wire))
            kept = [w for w in bloch if w > wire]
            lower = 4**wire
            rest = (split[..., 0, :] + split[..., 3, :]).reshape(*shape, 4 ** len(kept) * lower)
    present = sorted(bloch, reverse=True)
    half = (len(present) + 1) // 2
    high, low = (
        kron([bloch[w] for w in part]) for part in (present[:half], present[half:])
    )  # (H, S, R, 4**a), (H, S, R, 4**b)
    table = rest.reshape(*shape[:2], -1, low.shape[-1])  # (H, S, K * 4**a, 4**b)
    partial = (low @ table.transpose(-1, -2)).unflatten(-1, (shape[2], -1))  # (H, S, R, K, 4**a)
    return (partial @ high[..., None]).squeeze(-1)


def z_coefficients(diagonal: np.ndarray) -> np.ndarray:
    """Diagonal operators as sums of Z strings: Walsh and Hadamard's transform.

    Args:
        diagonal: By basis state, shape (2**n, K).

    Returns:
        By the mask of the qubits with a Z, shape (2**n, K).
    """
    out = np.array(diagonal, dtype=float)
    states, columns = out.shape
    for qubit in range(states.bit_length() - 1):
        view = out.reshape(-1, 2, 2**qubit, columns)
        view[:] = np.stack([view[:, 0] + view[:, 1], view[:, 0] - view[:, 1]], axis=1)
    return out / states


def ground() -> Tensor:
    """|0⟩ of one wire, shape (1, 1, 1, 4)."""
    return torch.tensor([1.0, 0.0, 0.0, 1.0], dtype=torch.float64).view(1, 1, 1, 4)


def kron(vectors: Sequence[Tensor]) -> Tensor:
    """Kronecker products along the last dimension, the first vector most significant."""
    one = torch.ones(1, 1, 1, 1, dtype=torch.float64)
    return reduce(lambda a, b: (a[..., :, None] * b[..., None, :]).flatten(-2), vectors, one)


def _gradients(out: Tensor, leaves: Sequence[Tensor], cotangent: Tensor) -> list[Tensor]:
    if not out.requires_grad or not leaves:
        return [torch.zeros_like(leaf) for leaf in leaves]
    return list(
        torch.autograd.grad(out, list(leaves), cotangent, retain_graph=True, materialize_grads=True)
    )
