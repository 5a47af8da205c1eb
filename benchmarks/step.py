"""One training step in torch, the same for every side: leaves, forward, loss, backward."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from cases import Array, Case, make_inputs
from torch import Tensor

Forward = Callable[[Tensor, Tensor], Tensor]
"""(x, w) -> out; shapes (heads, rows, n), (projections, weights) -> (projections, rows, n)."""

Builders = dict[str, Callable[[], "Step"]]
"""A side's variants by name; building one may compile."""


def real_dtype(dtype: str) -> torch.dtype:
    """The real counterpart of ``"complex128"`` or ``"complex64"``."""
    return {"complex128": torch.float64, "complex64": torch.float32}[dtype]


class Step:
    """A callable that runs forward and backward once and leaves gradients in its leaves.

    Sides whose weights live in modules pass them as ``parameters``: their gradients, one row per
    projection, are what `values` reports, and ``forward`` may ignore its second argument.
    """

    def __init__(
        self,
        case: Case,
        dtype: str,
        forward: Forward,
        parameters: Sequence[Tensor] | None = None,
    ) -> None:
        inputs = make_inputs(case)
        real = real_dtype(dtype)
        self.case = case
        self.x = torch.tensor(inputs.x, dtype=real, requires_grad=True)
        self.w = torch.tensor(inputs.weights, dtype=real, requires_grad=parameters is None)
        self.cotangents = torch.tensor(inputs.cotangents, dtype=real)
        self.forward = forward
        self.parameters = parameters
        self.leaves = [self.x, *(parameters if parameters is not None else [self.w])]

    def __call__(self) -> Tensor:
        """Run the step; returns the outputs, shape (projections, rows, n)."""
        for leaf in self.leaves:
            leaf.grad = None
        out = self.forward(self.x, self.w)
        (out * self.cotangents).sum().backward()
        return out

    def values(self) -> dict[str, Array]:
        """Outputs and gradients of one step, for the comparison with other sides."""
        out = self()
        grads = [g for leaf in self.leaves[1:] if (g := leaf.grad) is not None]
        weight_grad = torch.stack(grads) if self.parameters is not None else grads[0]
        assert self.x.grad is not None
        found = {"out": out, "x_grad": self.x.grad, "w_grad": weight_grad}
        return {key: value.detach().numpy().astype(np.float64) for key, value in found.items()}


def per_projection(case: Case, one: Callable[[Tensor, Tensor], Tensor]) -> Forward:
    """Run projections one after the other: ``one`` maps (rows, n), (weights,) to (rows, n)."""

    def forward(x: Tensor, w: Tensor) -> Tensor:
        return torch.stack([one(x[case.head_of(p)], w[p]) for p in range(case.projections)])

    return forward
