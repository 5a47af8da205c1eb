"""All quantum projections of an attention layer, evaluated together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor, nn, stack

from qvit_qiskit.circuits import QNNCircuit
from qvit_qiskit.circuits.bundle import Bundle
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
        count = self.circuit.num_inputs
        if x.ndim != 3 or x.shape[-1] != self.heads * count:
            raise CircuitError(
                f"Expected tokens of shape (B, N, {self.heads * count}) for {self.heads} heads of "
                f"{count} inputs, but got {tuple(x.shape)}."
            )
        batch, tokens, _ = x.shape
        rows = x.reshape(batch * tokens, self.heads, count)  # (B*N, heads, n)
        # one tensor of each kind: a crossing to numpy and back costs more than small numbers
        weights = stack([layer.weight for layer in self._all()])  # (3*heads, num_weights)
        (flat,) = apply(self._evaluate, rows, weights)  # (heads, 3, B*N, num_outputs)
        parts = flat.reshape(self.heads, 3, batch, tokens, self.circuit.num_outputs)
        # each (B, heads, N, num_outputs)
        q, k, v = (parts[:, part].transpose(0, 1).contiguous() for part in range(3))
        return q, k, v

    def _evaluate(self, arrays: Arrays, differentiate: bool) -> tuple[Arrays, PullArrays | None]:
        """Values (heads, 3, R, num_outputs) of rows (R, heads, n) and weights (3*heads, P)."""
        rows, weights = arrays
        networks = [[layer.network for layer in own] for own in self._by_head()]
        if len({id(n.route) for one in networks for n in one}) > 1:
            raise RouteError(
                "The projections of one layer are bound to different routes: bind all."
            )
        if len(rows) == 0:
            empty = np.zeros((self.heads, 3, 0, self.circuit.num_outputs))
            return [empty], lambda _: [np.zeros_like(a) for a in arrays]
        circuits = (self.circuit,) * 3
        bundles = [
            # Q, K and V share the head's rows
            Bundle(circuits, tuple(weights[3 * h : 3 * h + 3]), rows[:, h])
            for h in range(self.heads)
        ]
        if not differentiate:
            return [np.array(measure(bundles, networks))], None
        values, pullback = linearize(bundles, networks)

        def pull(cotangents: Arrays) -> Sequence[np.ndarray]:
            gradients = pullback([list(own) for own in cotangents[0]])
            by_weight = [w for g in gradients for w in g.weights]
            return [np.stack([g.inputs for g in gradients], axis=1), np.stack(by_weight)]

        return [np.array(values)], pull

    def _by_head(self) -> list[tuple[QuantumLinear, QuantumLinear, QuantumLinear]]:
        return list(zip(self.query, self.key, self.value, strict=True))  # type: ignore[arg-type]

    def _all(self) -> list[QuantumLinear]:
        return [layer for own in self._by_head() for layer in own]
