"""Products of few factors, shared: a tree whose nodes are a parent times one factor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

ROOT = 0
"""The empty product, 1."""


class ProductTree:
    """Products as they are asked for; those that begin alike share their beginning."""

    def __init__(self) -> None:
        self._nodes: dict[tuple[int, int], int] = {}
        self._parents, self._factors, self._depths = [-1], [-1], [0]

    def __len__(self) -> int:
        return len(self._parents)

    def times(self, node: int, factor: int) -> int:
        """The node of a product times one more factor.

        Args:
            node: The product.
            factor: The index of the factor.
        """
        key = (node, factor)
        if key not in self._nodes:
            self._nodes[key] = len(self._parents)
            self._parents.append(node)
            self._factors.append(factor)
            # Products of one depth are multiplied at once.
            self._depths.append(self._depths[node] + 1)
        return self._nodes[key]

    def levels(self) -> tuple[Levels, np.ndarray]:
        """The tree level by level, and every node's place: (depth, index in its level)."""
        depths, parents = np.array(self._depths), np.array(self._parents)
        factors = np.array(self._factors)
        index = np.zeros(len(depths), dtype=int)
        nodes_by_depth = []
        for depth in range(depths.max() + 1):
            own = np.flatnonzero(depths == depth)
            index[own] = np.arange(len(own))
            if depth:
                nodes_by_depth.append(Level(_places(index[parents[own]]), _places(factors[own])))
        return Levels(tuple(nodes_by_depth)), np.stack([depths, index], axis=1)


@dataclass(frozen=True)
class Level:
    """Products of as many factors."""

    parents: Tensor  # shape: (m,), int: indices in the level before
    factors: Tensor  # shape: (m,), int: rows of the table of factors


@dataclass(frozen=True)
class Levels:
    """All products of a tree; level 0 is the empty product alone."""

    levels: tuple[Level, ...]

    @property
    def entries(self) -> int:
        """Products of all levels."""
        return sum(len(level.parents) for level in self.levels)

    def forward(self, table: Tensor) -> list[Tensor]:
        """The products, level by level.

        Args:
            table: One factor per row, shape (F, columns).

        Returns:
            For each level shape (m, columns), the empty product included.
        """
        out = [torch.ones((1, table.shape[1]), dtype=table.dtype)]
        for level in self.levels:
            above = out[-1].index_select(0, level.parents)
            out.append(above * table.index_select(0, level.factors))
        return out

    def pullback(
        self, table: Tensor, products: Sequence[Tensor], cotangents: Sequence[Tensor]
    ) -> Tensor:
        """∂L/∂table from ∂L/∂products, which are added to and used up.

        Args:
            table: As for `forward`.
            products: What `forward` returned.
            cotangents: Of the products' shapes.
        """
        out = torch.zeros_like(table)
        for depth in range(len(self.levels), 0, -1):
            level, cotangent = self.levels[depth - 1], cotangents[depth]
            above = products[depth - 1].index_select(0, level.parents)
            out.index_add_(0, level.factors, above.mul_(cotangent))
            if depth > 1:
                factors = table.index_select(0, level.factors)
                cotangents[depth - 1].index_add_(0, level.parents, factors.mul_(cotangent))
        return out


def _places(values: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.int64))
