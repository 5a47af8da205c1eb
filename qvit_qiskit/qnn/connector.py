"""`TorchConnector` with vector–Jacobian products, in the input's dtype."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from qiskit_machine_learning.connectors import TorchConnector
from qiskit_machine_learning.neural_networks import NeuralNetwork
from torch import Tensor

from qvit_qiskit.exceptions import CircuitError
from qvit_qiskit.qnn.network import check_widths

Arrays = Sequence[np.ndarray]
PullArrays = Callable[[Arrays], Sequence[np.ndarray | None]]
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
    def backward(ctx: Any, *cotangents: Tensor) -> Any:
        if torch.is_grad_enabled():  # create_graph=True: somebody wants to differentiate again
            raise _no_second_derivatives()
        arrays = [c.detach().to("cpu", torch.float64).numpy() for c in cotangents]
        grads = ctx.pull(arrays)
        back = [
            None if grad is None else torch.as_tensor(grad).to(device, dtype)
            for grad, (dtype, device) in zip(grads, ctx.like, strict=True)
        ]
        return None, None, *back

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Any:
        raise CircuitError(
            "Expected reverse-mode gradients, but got a forward-mode one, which quantum layers do "
            "not have. Use backward() or torch.autograd.grad."
        )


def _no_second_derivatives() -> CircuitError:
    return CircuitError(
        "Expected a first derivative of a quantum layer, but got create_graph=True: second "
        "derivatives are not there (Hessians, gradient penalties, torch.autograd.functional.jvp). "
        "Leave create_graph out, or take finite differences of gradients."
    )


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
    try:
        return _Evaluation.apply(evaluate, differentiate, *tensors)
    except RuntimeError as error:
        if "functorch" not in str(error):
            raise
        raise CircuitError(
            "Expected a plain forward pass, but got one inside a transform of torch.func, which "
            "quantum layers do not support. Use backward() or torch.autograd.grad."
        ) from error


class QNNConnector(TorchConnector):
    """A `TorchConnector` that contracts gradients instead of asking for Jacobians.

    A network with a ``vjp`` is pulled back in one go; any other network is asked for its
    Jacobian. Values and gradients have the input's dtype on both paths (the stock connector
    returns float32). Empty batches are right, and so are inputs of any number of dimensions, for
    which the stock connector's gradient is wrong. Second derivatives are refused.

    The state dict of a stock connector is loaded as it is; `stock_state_dict` gives one back.

    Example:
        >>> import torch
        >>> from qvit_qiskit import build_circuit, registry
        >>> from qvit_qiskit.qnn import BroadcastEstimatorQNN, QNNConnector
        >>> network = BroadcastEstimatorQNN(build_circuit("ry-ring", 4), registry.open("aer-exact"))
        >>> QNNConnector(network)(torch.zeros(3, 4)).shape  # (rows, outputs)
        torch.Size([3, 4])
    """

    def __init__(self, network: NeuralNetwork, initial_weights: np.ndarray | None = None) -> None:
        if network.sparse:
            raise CircuitError(
                f"Expected a network with dense outputs, but got a sparse {type(network).__name__}."
                " Build it with sparse=False."
            )
        super().__init__(network, initial_weights)
        del self._parameters["_weights"]  # the stock connector stores its weights twice

    @property
    def weight(self) -> Tensor:
        """The network's weights, shape (num_weights,); a parameter unless torch pruned it."""
        for place in (self._parameters, self.__dict__):
            if "weight" in place:
                weight: Tensor = place["weight"]
                return weight
        raise AttributeError("weight")

    @weight.setter
    def weight(self, value: Tensor) -> None:
        # A parameter never comes here: torch registers it. Pruning sets what it computed.
        self.__dict__["weight"] = value

    @weight.deleter
    def weight(self) -> None:
        self.__dict__.pop("weight", None)

    def forward(self, input_data: Tensor | None = None) -> Tensor:
        """Evaluate rows.

        Args:
            input_data: Angles in radians, shape (..., num_inputs); None for a network without
                inputs.

        Returns:
            Shape (..., num_outputs).

        Raises:
            CircuitError: If the last dimension is not ``num_inputs``, the weights are not
                ``num_weights``, or an angle is NaN.
        """
        network, weight = self.neural_network, self.weight
        if input_data is None:
            input_data = torch.zeros(0, dtype=weight.dtype)
        check_widths(network, input_data, weight)
        lead = input_data.shape[:-1]
        # (R, n); −1 fails where R is 0
        rows = input_data.reshape(math.prod(lead), network.num_inputs)
        out = apply(self._evaluate, rows, weight)[0]
        return out.reshape(*lead, *network.output_shape)  # (..., num_outputs)

    def stock_state_dict(self) -> dict[str, Tensor]:
        """The weights, shape (num_weights,), under the names of a stock ``TorchConnector``."""
        weight = self.weight.detach().clone()
        return {"weight": weight, "_weights": weight.clone()}

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *rest: Any, **options: Any
    ) -> None:
        if "weight" in self._parameters:
            names = [prefix + name for name in _NAMES]
            given = [state_dict.pop(name) for name in names if name in state_dict]
            if any(not _equal(given[0], other) for other in given[1:]):
                raise CircuitError(
                    f"Expected one set of weights, but the state dict holds different ones under "
                    f"{', '.join(name for name in names)}."
                )
            state_dict |= {f"{prefix}weight": given[0]} if given else {}
        super()._load_from_state_dict(state_dict, prefix, *rest, **options)

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
            values, pull_rows = network.vjp(rows, weights)

            def pull(cotangents: Arrays) -> Sequence[np.ndarray | None]:
                by_input, by_weight = pull_rows(cotangents[0])
                return [by_input if network.input_gradients else None, by_weight]

            return [values], pull

        def pull_jacobian(cotangents: Arrays) -> Sequence[np.ndarray | None]:
            by_input, by_weight = network.backward(rows, weights)
            flat = cotangents[0].reshape(len(rows), -1)  # (R, outputs)

            def contract(jacobian: np.ndarray | None, out: str) -> np.ndarray | None:
                if jacobian is None:
                    return None
                # cotangent times Jacobian
                return np.einsum(f"rk,rkn->{out}", flat, jacobian.reshape(*flat.shape, -1))

            return [contract(by_input, "rn"), contract(by_weight, "n")]

        return [network.forward(rows, weights)], pull_jacobian


def _equal(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors are the same, NaN included."""
    return one.shape == other.shape and torch.allclose(one, other, rtol=0, atol=0, equal_nan=True)


_NAMES = ("weight", "_weights", "connector.weight", "connector._weights")
"""Names that the weights have in state dicts: ours, a stock connector's, a `QuantumLinear`'s."""
