"""What a model costs: parameters, FLOPs of its classical part, circuit rows."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from qvit_qiskit.execution import registry
from qvit_qiskit.execution.row_counter import CountingEstimator, counting_route
from qvit_qiskit.qnn import QuantumLinear


@dataclass(frozen=True)
class ModelCost:
    """The cost of one image; a QPU run costs executions, not FLOPs, so they stand apart.

    Example:
        >>> from qvit_qiskit import ViTConfig, build_model
        >>> cost = build_model(ViTConfig(width=8, heads=2), seed=0).cost()
        >>> cost.circuit_rows, cost.executions(shots=100)  # of one image
        (96, 9600)
    """

    parameters: int
    """Trained parameters of the whole model."""
    quantum_parameters: int
    """How many of the parameters are weights of circuits."""
    classical_flops: int
    """FLOPs of the matrix products outside circuits, as torch's counter has them."""
    stage_rows: tuple[int, ...]
    """Circuits to run per image in every quantum layer: one for each token and projection."""

    @property
    def circuit_rows(self) -> int:
        """Circuits to run per image."""
        return sum(self.stage_rows)

    def executions(self, shots: int) -> int:
        """Circuit executions per image, all outputs being read from the same shots."""
        return self.circuit_rows * shots


def count_cost(model: nn.Module, image: Tensor) -> ModelCost:
    """Count one forward pass.

    Args:
        model: Any model whose quantum layers are ours.
        image: One input, shape (1, ...).
    """
    from torch.utils.flop_counter import FlopCounterMode  # imports torch's compiler: a second

    with FlopCounterMode(display=False) as flops:
        stage_rows = count_rows(model, image)
    circuits = [m for m in model.modules() if isinstance(m, QuantumLinear)]
    weights = {id(layer.weight): layer.weight.numel() for layer in circuits}
    return ModelCost(
        parameters=sum(p.numel() for p in model.parameters()),
        quantum_parameters=sum(weights.values()),
        classical_flops=int(flops.get_total_flops()),
        stage_rows=stage_rows,
    )


def count_rows(model: nn.Module, image: Tensor) -> tuple[int, ...]:
    """Circuits to run per image in every quantum layer.

    Args:
        model: Any model whose quantum layers are ours.
        image: One input, shape (1, ...).
    """
    return tuple(_counted(model, image).calls)


def count_projections(model: nn.Module, image: Tensor) -> tuple[int, ...]:
    """Projections of every quantum layer: Q, K and V of every head in a QViT.

    Args:
        model: Any model whose quantum layers are ours.
        image: One input, shape (1, ...).
    """
    return tuple(_counted(model, image).pubs)


def _counted(model: nn.Module, image: Tensor) -> CountingEstimator:
    """What counted the circuits of one forward pass."""
    route = counting_route()
    training = model.training
    model.eval()
    with torch.no_grad(), registry.route(model, route):
        model(image)
    model.train(training)
    assert isinstance(route.estimator, CountingEstimator)
    return route.estimator
