"""All quantum projections of an attention layer, evaluated together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor, nn, stack
from torch import contiguous_format as CONTIGUOUS  # noqa: N812

from qvit_qiskit.circuits import QNNCircuit
from qvit_qiskit.circuits.bundle import Bundle, Stack, SupportsStackedVJP, Values
from qvit_qiskit.exceptions import CircuitError, RouteError
from qvit_qiskit.execution.route import Route
from qvit_qiskit.qnn.connector import Arrays, PullArrays, apply
from qvit_qiskit.qnn.linear import QuantumLinear
from qvit_qiskit.qnn.network import linearize, measure


class QuantumProjections(nn.Module):
    """The 3 × heads projections Q, K and V of a multi-head self-attention layer.

    Head h projects features ``h*n … (h+1)*n - 1`` of every token with three QNNs of n qubits.
    Each `QuantumLinear` can be used alone; together they are one estimator call with one PUB
    per projection.

    Example:
        >>> import torch
        >>> from qvit_qiskit import QuantumProjections, build_circuit
        >>> projections = QuantumProjections(build_circuit("ry-ring", 4), heads=2)
        >>> q, k, v = projections(torch.zeros(5, 16, 8))  # (B, N, heads * inputs)
        >>> q.shape  # (B, heads, N, outputs)
        torch.Size([5, 2, 16, 4])
    """

    def __init__(self, circuit: QNNCircuit, heads: int, route: Route | None = None) -> None:
        super().__init__()
        self.heads = heads

        def layers() -> nn.ModuleList:
            return nn.ModuleList(QuantumLinear(circuit, route) for _ in range(heads))

        self.query, self.key, self.value = layers(), layers(), layers()

    @property
    def circuit(self) -> QNNCircuit:
        """The circuit that all projections share."""
        return self._all()[0].circuit

    def bind(self, route: Route) -> None:
        """Run all projections on another route from now on; the weights stay."""
        for layer in self._all():
            layer.bind(route)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Project every token.

        Args:
            x: Tokens, angles in radians, shape (B, N, heads * num_inputs).

        Returns:
            Queries, keys and values, each of shape (B, heads, N, num_outputs).

        Raises:
            CircuitError: If the width does not fit, or an angle is NaN.
            RouteError: If the projections are bound to different routes.
        """
        layers = self._all()
        circuit = layers[0].circuit
        count = circuit.num_inputs
        if x.ndim != 3 or x.shape[-1] != self.heads * count:
            raise CircuitError(
                f"Expected tokens of shape (B, N, {self.heads * count}) for {self.heads} heads of "
                f"{count} inputs, but got {tuple(x.shape)}."
            )
        batch, tokens, _ = x.shape
        rows = x.reshape(batch * tokens, self.heads, count).permute(2, 1, 0)  # (n, heads, B*N)
        # one tensor of each kind: a crossing to numpy and back costs more than small numbers
        weights = stack([layer.weight for layer in layers])  # (3*heads, num_weights)
        (flat,) = apply(self._evaluate, rows, weights)  # (3*heads, num_outputs, B*N)
        parts = flat.reshape(self.heads, 3, circuit.num_outputs, batch, tokens)
        # each (B, heads, N, num_outputs); copies, which may be changed in place
        q, k, v = (one.clone(memory_format=CONTIGUOUS) for one in parts.permute(1, 3, 0, 4, 2))
        return q, k, v

    def _evaluate(self, arrays: Arrays, differentiate: bool) -> tuple[Arrays, PullArrays | None]:
        """Values (3*heads, num_outputs, R) of rows (n, heads, R) and weights (3*heads, P)."""
        rows, weights = arrays
        networks = [[layer.network for layer in own] for own in self._by_head()]
        first = networks[0][0]
        if len({id(n.route) for one in networks for n in one}) > 1:
            raise RouteError(
                "The projections of one layer are bound to different routes: bind all."
            )
        circuit, gradient = first.qnn_circuit, first.gradient
        if rows.shape[-1] == 0:
            empty = np.zeros((len(weights), circuit.num_outputs, 0))
            return [empty], lambda _: [np.zeros_like(a) for a in arrays]
        if differentiate and isinstance(gradient, SupportsStackedVJP):
            values, pull_stack = gradient.stacked_vjp(Stack(circuit, weights, rows))
            return [values], lambda cotangents: pull_stack(cotangents[0])
        bundles = [
            # Q, K and V share the head's rows
            Bundle((circuit,) * 3, tuple(weights[3 * h : 3 * h + 3]), rows[:, h].T)
            for h in range(self.heads)
        ]
        if not differentiate:
            return [_stacked(measure(bundles, networks))], None
        separate, pullback = linearize(bundles, networks)

        def pull(cotangents: Arrays) -> Sequence[np.ndarray]:
            by_head = cotangents[0].reshape(self.heads, 3, *cotangents[0].shape[1:])
            gradients = pullback([[one.T for one in own] for own in by_head])
            by_weight = [w for g in gradients for w in g.weights]
            return [np.stack([g.inputs.T for g in gradients], axis=1), np.stack(by_weight)]

        return [_stacked(separate)], pull

    def _by_head(self) -> list[tuple[QuantumLinear, QuantumLinear, QuantumLinear]]:
        return list(zip(self.query, self.key, self.value, strict=True))  # type: ignore[arg-type]

    def _all(self) -> list[QuantumLinear]:
        return [layer for own in self._by_head() for layer in own]


def _stacked(values: Values) -> np.ndarray:
    """Values (R, K) of every projection as one array, shape (3*heads, K, R)."""
    return np.stack([one.T for own in values for one in own])
