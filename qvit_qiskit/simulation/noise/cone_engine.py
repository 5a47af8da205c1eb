"""Values and gradients of noisy circuits that are many small ones (see `NoisyConeProgram`)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from copy import copy
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from qvit_qiskit.simulation.exact.engine import even_slices
from qvit_qiskit.simulation.noise.evolution import Angles, evolve
from qvit_qiskit.simulation.noise.noisy_cones import ConeBatch, ConeStep, NoisyConeProgram
from qvit_qiskit.simulation.noise.noisy_engine import NoisyTask, ground, kron
from qvit_qiskit.simulation.noise.trains import MIN_ENTRIES, MIN_ROWS, Train, decompose

CHUNK_BYTES = 2**25
"""Bytes of the rows' products of one shape: rows are processed in chunks of about this size."""
RANKS = 2**10
"""What a train counts there (measured)."""


class ConeTask(NoisyTask):
    """One request on its way, cone by cone; its observables lie behind each other in one vector."""

    program: NoisyConeProgram  # type: ignore[assignment]

    def prepare(self) -> None:
        """Nothing is a train yet."""
        self.trains: dict[int, Train] = {}

    def evolved(self) -> Tensor:
        """Every string followed backwards, one after the other, shape (entries,).

        Where no gradient is wanted, those that pay as trains become `self.trains` instead, batch
        by batch, so that long vectors are never there at once.
        """
        groups, rows = len(self.request.shared), self.request.num_rows
        place = {index: k for k, index in enumerate(self.shared)}
        flat = [angle.flatten() for angle in self.shared.values()]  # each (G,)
        angles = torch.stack(flat) if flat else torch.zeros(0, groups, dtype=torch.float64)
        followed = []
        for number, batch in enumerate(self.program.batches):
            vectors = _backwards(batch, angles, place, groups)
            if not self.differentiate and rows >= MIN_ROWS and batch.coefficients >= MIN_ENTRIES:
                train = decompose(vectors.flatten(0, 1))
                if train.work < batch.coefficients / 2:
                    self.trains[number] = train
                    vectors = vectors[:0]
            followed.append(vectors.flatten())
        return torch.cat(followed) if followed else torch.zeros(0, dtype=torch.float64)

    def at(self, rows: np.ndarray) -> ConeTask:
        """The same weights at other rows; what was followed backwards is not followed again.

        Args:
            rows: Shape (P_row, H, R).
        """
        other = copy(self)
        other.request = replace(self.request, rows=rows)
        return other

    def expectations(self, angles: Angles, observables: Tensor, rows: int) -> Tensor:
        """Values of some rows, shape (H, S, r, K)."""
        groups = len(self.request.shared)
        bloch = self._bloch(angles, groups, rows)
        out = torch.zeros(self.request.diagonal.shape[1], groups, rows, dtype=torch.float64)
        start = 0
        for number, batch in enumerate(self.program.batches):
            parts = _parts(batch, bloch)
            if number in self.trains:
                flat = [part.flatten(0, 1) for part in parts]
                values = self.trains[number].values(flat).unflatten(0, (-1, groups))
            else:
                shape = (len(batch.outputs), groups, *map(len, batch.letters))
                stop = start + math.prod(shape)
                values = _products(batch, observables[start:stop].view(shape), parts)  # (C, G, r)
                start = stop
            values = values.expand(-1, -1, rows) * torch.from_numpy(batch.weights)[:, None, None]
            out = out.index_add(0, torch.from_numpy(batch.outputs), values)
        return out.permute(1, 2, 0).unflatten(0, (self.heads, -1))

    def _bloch(self, angles: Angles, groups: int, rows: int) -> Tensor:
        """I, X, Y and Z of every wire's product state, shape (m, G, r, 4)."""
        shape = (self.heads, groups // self.heads, rows, 4)
        found = [
            evolve(self.program.prefix.get(wire, ()), ground(), 1, angles, backwards=False)
            for wire in range(self.program.wires)
        ]
        return torch.stack([state.expand(shape).flatten(0, 1) for state in found])

    def chunks(self) -> list[slice]:
        """Slices of rows whose products stay near `CHUNK_BYTES`."""
        rows, groups = self.request.num_rows, len(self.request.shared)
        most = max(
            (
                len(b.outputs) * (RANKS if k in self.trains else sum(map(math.prod, _halves(b))))
                for k, b in enumerate(self.program.batches)
            ),
            default=1,
        )
        return even_slices(rows, math.ceil(8 * rows * groups * most / CHUNK_BYTES))


def _backwards(batch: ConeBatch, angles: Tensor, place: dict[int, int], groups: int) -> Tensor:
    """Strings followed backwards, shape (C, G, letters of each wire).

    Args:
        batch: The strings.
        angles: Of all shared rotations, shape (P, G).
        place: By a rotation's index its place among them.
        groups: G.
    """
    start = [[0.0, 1.0] if own else [1.0] for own in batch.string]
    vector = torch.ones(1, 1, dtype=torch.float64)
    for own in start:
        vector = vector[..., None] * torch.tensor(own, dtype=torch.float64)
    vector = vector.expand(len(batch.outputs), groups, *vector.shape[2:])
    for step in batch.steps:
        axes = [2 + wire for wire in step.wires]
        last = list(range(-len(axes), 0))
        moved = vector.movedim(axes, last)
        rest = moved.shape[2 : -len(axes)]
        matrix = _matrix(step, angles, place)  # (C or 1, G or 1, before, after)
        out = moved.reshape(*moved.shape[:2], -1, matrix.shape[-2]) @ matrix
        vector = out.unflatten(-1, step.after).reshape(*out.shape[:2], *rest, *step.after)
        vector = vector.movedim(last, axes)
    return vector


def _matrix(step: ConeStep, angles: Tensor, place: dict[int, int]) -> Tensor:
    constant = torch.from_numpy(step.constant)[:, None]
    if step.rotations is None or step.cosine is None or step.sine is None:
        return constant
    index = torch.tensor([place[int(r)] for r in step.rotations])
    own = angles.index_select(0, index)[..., None, None]  # (C, G, 1, 1)
    cosine, sine = torch.from_numpy(step.cosine), torch.from_numpy(step.sine)
    return constant + own.cos() * cosine + own.sin() * sine


def _halves(batch: ConeBatch) -> tuple[list[int], list[int]]:
    """The sizes of a cone's wires in two parts, whose products are about equally large."""
    sizes = [len(own) for own in batch.letters]
    return sizes[: (len(sizes) + 1) // 2], sizes[(len(sizes) + 1) // 2 :]


def _parts(batch: ConeBatch, bloch: Tensor) -> list[Tensor]:
    """For each wire of some cones the letters' values, shape (C, G, r, letters).

    Args:
        batch: The strings.
        bloch: Shape (m, G, r, 4).
    """
    parts = []
    for wire, letters in enumerate(batch.letters):
        own = bloch.index_select(0, torch.from_numpy(batch.qubits[:, wire].copy()))
        parts.append(own[..., list(letters)])
    return parts


def _products(batch: ConeBatch, vectors: Tensor, parts: Sequence[Tensor]) -> Tensor:
    """Values of product states, shape (C, G, r).

    Args:
        batch: The strings.
        vectors: Followed backwards, shape (C, G, letters of each wire).
        parts: For each wire shape (C, G, r, letters).
    """
    first, second = _halves(batch)
    high, low = _joint(parts[: len(first)]), _joint(parts[len(first) :])
    table = vectors.reshape(*vectors.shape[:2], math.prod(first), math.prod(second))
    if low is None:
        return (high @ table).squeeze(-1) if high is not None else table[..., 0]
    assert high is not None
    return ((low @ table.transpose(-1, -2)) * high).sum(-1)


def _joint(parts: Sequence[Tensor]) -> Tensor | None:
    return kron(parts) if parts else None
