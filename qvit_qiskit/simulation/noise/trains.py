"""Vectors over the letters of many wires as products of small tensors, one a wire.

What a local circuit makes of an observable is little entangled: cut between any two wires, the
vector is a sum of few products (of at most ten in chains of two layers). Successive singular value
decompositions find them, and what they leave out is rounding (Oseledets, SIAM J. Sci. Comput. 33,
2011). A row's value costs then as much as its wires, where the vector itself has a hundred
thousand entries.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

ROUNDING = 1e-14
"""Of the largest singular value: what is smaller is left out."""
MIN_ENTRIES, MIN_ROWS = 2**10, 384
"""Vectors with fewer entries, or for fewer rows, are not worth decomposing (measured)."""


@dataclass(frozen=True)
class Train:
    """N vectors of one shape."""

    cores: tuple[Tensor, ...]  # each of shape (N, rank before, letters, rank behind)

    @property
    def work(self) -> int:
        """Products that one row of one vector takes."""
        return sum(core[0].numel() for core in self.cores)

    def values(self, parts: Sequence[Tensor]) -> Tensor:
        """What the vectors are at product states.

        Args:
            parts: For each wire its letters' values, shape (N, rows, letters).

        Returns:
            Shape (N, rows).
        """
        partial = parts[0] @ self.cores[0][:, 0]
        for core, part in zip(self.cores[1:], parts[1:], strict=True):
            joint = (partial[..., :, None] * part[..., None, :]).flatten(-2)  # (N, rows, rank·l)
            partial = joint @ core.flatten(1, 2)
        return partial[..., 0]


def decompose(vectors: Tensor) -> Train:
    """Vectors as trains, all with the ranks that the most entangled of them needs.

    Args:
        vectors: Shape (N, letters of each wire), of one wire or more.
    """
    number, *sizes = vectors.shape
    rest, rank, cores = vectors.reshape(number, 1, -1), 1, []
    for letters in sizes[:-1]:
        table = rest.reshape(number, rank * letters, -1)
        left, lengths, right = _svd(table)
        kept = max(1, int((lengths > ROUNDING * lengths[:, :1]).sum(1).max()))
        cores.append(left[..., :kept].reshape(number, rank, letters, kept).contiguous())
        rest, rank = lengths[:, :kept, None] * right[:, :kept], kept
    cores.append(rest.reshape(number, rank, sizes[-1], 1).contiguous())
    return Train(tuple(cores))


def _svd(table: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Singular value decompositions; of wide tables by way of their triangular factors."""
    if table.shape[1] >= table.shape[2]:
        return tuple(torch.linalg.svd(table, full_matrices=False))
    q, r = torch.linalg.qr(table.transpose(1, 2))
    left, lengths, right = torch.linalg.svd(r.transpose(1, 2), full_matrices=False)
    return left, lengths, right @ q.transpose(1, 2)
