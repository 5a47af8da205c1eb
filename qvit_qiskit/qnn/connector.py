"""`TorchConnector` with vector–Jacobian products, in the input's dtype."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from qiskit_machine_learning.connectors import TorchConnector
from qiskit_machine_learning.neural_networks import NeuralNetwork
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from qvit_qiskit.exceptions import CircuitError

Arrays = Sequence[np.ndarray]
PullArrays = Callable[[Arrays], Sequence[np.ndarray]]
Evaluate = Callable[[Arrays, bool], tuple[Arrays, PullArrays | None]]
"""From arrays (and whether gradients are wanted) to values and their pullback."""


class _Evaluation(torch.autograd.Function):
    """Numpy in the middle of a torch graph."""

    @staticmethod
    def forward(ctx: Any, evaluate: Evaluate, differentiate: bool, *tensors: Tensor) -> Any:
        # Copies: the pullback reads them later, when the tensors may have been changed in place.
        arrays = [t.detach().to("cpu", torch.float64, copy=True).numpy() for t in tensors]
        values, ctx.pull = evaluate(arrays, differentiate)
        ctx.like = [(t.dtype, t.device) for t in tensors]
        first = tensors[0]
        return tuple(torch.as_tensor(v).to(first.device, first.dtype) for v in values)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *cotangents: Tensor) -> Any:
        arrays = [c.detach().to("cpu", torch.float64).numpy() for c in cotangents]
        grads = ctx.pull(arrays)
        back = [
            torch.as_tensor(grad).to(device, dtype)
            for grad, (dtype, device) in zip(grads, ctx.like, strict=True)
        ]
        return None, None, *back


def apply(evaluate: Evaluate, *tensors: Tensor) -> tuple[Tensor, ...]:
    """Run a numpy function inside the graph of ``tensors``.

    Args:
        evaluate: Gets float64 arrays; returns values and a pullback from cotangents of the
            values to gradients of all arrays.
        tensors: Any floating dtype and device; results take those of the first.

    Raises:
        CircuitError: If the first tensor is not of a floating dtype.
    """
    if torch.compiler.is_compiling():
        # Not as a decorator: that alone would import the compiler, for a second.
        outside = torch.compiler.disable(_apply)
        return outside(evaluate, *tensors)
    return _apply(evaluate, *tensors)


def _apply(evaluate: Evaluate, *tensors: Tensor) -> tuple[Tensor, ...]:
    if not tensors[0].is_floating_point():
        raise CircuitError(
            f"Expected floating-point angles, but got {tensors[0].dtype}. Call .float() on them."
        )
    differentiate = torch.is_grad_enabled() and any(t.requires_grad for t in tensors)
    return _Evaluation.apply(evaluate, differentiate, *tensors)


class QNNConnector(TorchConnector):
    """A `TorchConnector` that contracts gradients instead of asking for Jacobians.

    A network with a ``vjp`` is pulled back in one go; any other network is asked for its
    Jacobian. Values and gradients have the input's dtype on both paths (the stock connector
    returns float32). Empty batches are right.
    """

    def __init__(self, network: NeuralNetwork, initial_weights: np.ndarray | None = None) -> None:
        super().__init__(network, initial_weights)
        del self._parameters["_weights"]  # the stock connector stores its weights twice

    @property
    def weight(self) -> nn.Parameter:
        """The network's weights, shape (num_weights,)."""
        if "weight" not in self._parameters:
            raise AttributeError("weight")
        weight: nn.Parameter = self._parameters["weight"]
        return weight

    def forward(self, input_data: Tensor | None = None) -> Tensor:
        """Evaluate rows.

        Args:
            input_data: Shape (R, num_inputs). Other shapes are the business of `QuantumLinear`.

        Returns:
            Shape (R, num_outputs).
        """
        if input_data is None or input_data.ndim != 2:
            raise ValueError("Expected rows of shape (R, num_inputs); QuantumLinear flattens.")
        return apply(self._evaluate, input_data, self.weight)[0]

    def _evaluate(self, arrays: Arrays, differentiate: bool) -> tuple[Arrays, PullArrays | None]:
        rows, weights = arrays
        network: Any = self.neural_network
        if len(rows) == 0:
            return [np.zeros((0, *network.output_shape))], lambda _: [
                np.zeros_like(a) for a in arrays
            ]
        if not differentiate:
            return [network.forward(rows, weights)], None
        if hasattr(network, "vjp"):
            values, pull = network.vjp(rows, weights)
            return [values], lambda cotangents: pull(cotangents[0])

        def pull_jacobian(cotangents: Arrays) -> Sequence[np.ndarray]:
            by_input, by_weight = network.backward(rows, weights)
            by_input = np.zeros((*cotangents[0].shape, 0)) if by_input is None else by_input
            return [
                np.einsum("rk,rkn->rn", cotangents[0], by_input),
                np.einsum("rk,rkw->w", cotangents[0], by_weight),
            ]

        return [network.forward(rows, weights)], pull_jacobian
