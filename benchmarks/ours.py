"""This project: `QuantumLinear`, and `QuantumProjections` for Q, K, V of several heads."""

from __future__ import annotations

from typing import Any

import torch
from cases import Case, make_inputs
from step import Builders, Step, real_dtype
from torch import Tensor

from qvit_qiskit.circuits import build_circuit
from qvit_qiskit.execution import registry
from qvit_qiskit.qnn import QuantumLinear, QuantumProjections

PACKAGES = ("qvit-qiskit", "qiskit", "qiskit-aer", "qiskit-machine-learning", "torch", "numpy")

ROUTES = {"complex128": "aer-exact", "complex64": "aer-exact-single"}


def variants(case: Case, dtype: str) -> Builders:
    """One variant: the engine itself decides how it runs a circuit."""
    return {"": lambda: build(case, dtype)}


def build(case: Case, dtype: str) -> Step:
    """A step of one layer, or of the Q, K, V layers of all heads in one call."""
    circuit = build_circuit(case.family, qubits=case.qubits, layers=case.layers)
    route = registry.open(ROUTES[dtype])
    weights = torch.tensor(make_inputs(case).weights, dtype=real_dtype(dtype))
    if case.projections == 1:
        layer = QuantumLinear(circuit)
        layer.bind(route)
        _load([layer], weights)
        return Step(case, dtype, lambda x, _: layer(x[0])[None], [layer.weight])

    module = QuantumProjections(circuit, heads=case.heads)
    module.bind(route)
    layers = [
        layers[h] for h in range(case.heads) for layers in (module.query, module.key, module.value)
    ]
    _load(layers, weights)

    def forward(x: Tensor, _: Tensor) -> Tensor:
        tokens = x.transpose(0, 1).reshape(1, case.rows, -1)  # (1, N, heads·n)
        q, k, v = module(tokens)  # each (1, heads, N, n)
        return torch.cat([q, k, v]).transpose(0, 1).flatten(0, 1)  # (heads·3, N, n)

    return Step(case, dtype, forward, [layer.weight for layer in layers])


def describe(case: Case, dtype: str) -> str:
    """One line: how the engine runs the case's circuit."""
    circuit = build_circuit(case.family, qubits=case.qubits, layers=case.layers)
    return registry.open(ROUTES[dtype]).describe(circuit)


def _load(layers: list[Any], weights: Tensor) -> None:
    """Set the weights; their dtype becomes the case's."""
    with torch.no_grad():
        for layer, values in zip(layers, weights, strict=True):
            layer.weight.data = values.clone()
