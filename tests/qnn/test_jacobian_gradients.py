"""A route whose gradient knows Jacobians only trains all the same."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from qiskit_machine_learning.gradients import ParamShiftEstimatorGradient

from qvit_qiskit.circuits import ry_ring
from qvit_qiskit.execution import registry
from qvit_qiskit.qnn import QuantumProjections


def test_stock_gradient_equals_the_adjoint(rng: np.random.Generator) -> None:
    exact = registry.open("aer-exact")
    stock = replace(exact, gradient=ParamShiftEstimatorGradient(exact.estimator))
    layer = QuantumProjections(ry_ring(2), heads=2).double()
    grads = []
    for route in (exact, stock):
        layer.bind(route)
        layer.zero_grad()
        x = torch.tensor(rng.uniform(-1, 1, (1, 2, 4)) if not grads else grads[0][0])
        x.requires_grad_()
        sum((part * (k + 1)).sin().sum() for k, part in enumerate(layer(x))).backward()
        grads.append((x.detach().numpy(), x.grad, [p.grad.clone() for p in layer.parameters()]))
    assert torch.allclose(grads[0][1], grads[1][1], atol=1e-9)
    for one, other in zip(grads[0][2], grads[1][2], strict=True):
        assert torch.allclose(one, other, atol=1e-9)
