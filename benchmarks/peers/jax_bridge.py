"""Run a jitted JAX function inside a torch graph, without copies and without a second forward.

PennyLane has no such bridge, TensorCircuit-NG's own runs the forward pass again in backward:
both are measured through this one, so that neither is slowed down by the harness.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import torch
from torch import Tensor


def enable(dtype: str) -> None:
    """Let JAX compute in double precision if the case asks for it."""
    jax.config.update("jax_enable_x64", dtype == "complex128")


def to_torch(function: Callable[[Any, Any], Any]) -> Callable[[Tensor, Tensor], Tensor]:
    """A torch function of (x, w) with gradients for both, from a JAX function of (x, w)."""
    run = jax.jit(lambda x, w: jax.vjp(function, x, w))
    pull = jax.jit(lambda vjp, cotangent: vjp(cotangent))

    class Bridge(torch.autograd.Function):
        """Forward keeps JAX's residuals, backward pulls the cotangent through them."""

        @staticmethod
        def forward(ctx: Any, x: Tensor, w: Tensor) -> Tensor:
            out, ctx.vjp = run(_jax(x), _jax(w))
            return torch.from_dlpack(out)

        @staticmethod
        def backward(ctx: Any, cotangent: Tensor) -> tuple[Tensor, Tensor]:
            x_grad, w_grad = pull(ctx.vjp, _jax(cotangent))
            return torch.from_dlpack(x_grad), torch.from_dlpack(w_grad)

    return Bridge.apply


def _jax(value: Tensor) -> Any:
    return jax.dlpack.from_dlpack(value.detach().contiguous())
