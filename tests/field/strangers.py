"""Other people's models, circuits and images."""

from __future__ import annotations

import numpy as np
import torch
from qiskit.circuit import ParameterVector, QuantumCircuit
from qiskit.primitives import StatevectorEstimator, StatevectorSampler
from qiskit.quantum_info import SparsePauliOp
from qiskit_machine_learning.connectors import TorchConnector
from qiskit_machine_learning.neural_networks import EstimatorQNN, SamplerQNN
from torch import Tensor, nn

from qvit_qiskit.circuits import QNNCircuit


def own_circuit() -> tuple[QuantumCircuit, ParameterVector, ParameterVector]:
    """Two qubits; parameters whose names are not in the order of their roles."""
    x, w = ParameterVector("zeta", 2), ParameterVector("alpha", 2)
    circuit = QuantumCircuit(2)
    for q in range(2):
        circuit.ry(x[q], q)
        circuit.rz(0.3, q)
        circuit.rx(w[q], q)
    circuit.cx(0, 1)
    return circuit, x, w


OBSERVABLES = (SparsePauliOp("IZ"), SparsePauliOp("ZI"))


def own_qnn() -> QNNCircuit:
    circuit, x, w = own_circuit()
    return QNNCircuit(circuit, tuple(x), tuple(w), OBSERVABLES)


def stock_qnn(**options) -> EstimatorQNN:
    circuit, x, w = own_circuit()
    given = {"estimator": StatevectorEstimator(), "input_gradients": True, **options}
    return EstimatorQNN(
        circuit=circuit,
        observables=OBSERVABLES,
        input_params=list(x),
        weight_params=list(w),
        default_precision=0.0,
        **given,
    )


def stock_sampler() -> SamplerQNN:
    circuit, x, w = own_circuit()
    circuit.measure_all()
    return SamplerQNN(
        circuit=circuit,
        sampler=StatevectorSampler(seed=1),
        input_params=list(x),
        weight_params=list(w),
    )


class Around(nn.Module):
    """A classifier of phantom images around any quantum layer of two inputs."""

    def __init__(self, layer: nn.Module | None, outputs: int = 2, classes: int = 2) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.inner = nn.Sequential(nn.Flatten(), nn.Linear(784, 2), nn.Tanh())
        self.layer = layer if layer is not None else nn.Linear(2, 2)
        self.head = nn.Linear(outputs, classes)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.layer(self.inner(images)))


class InAList(Around):
    """Its layer stands in a plain list, which torch does not look into."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__(None)
        self.layers = [layer]

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.layers[0](self.inner(images)).to(images.dtype))


class ByHand(Around):
    """It calls a network itself, without a connector."""

    def __init__(self, network: object) -> None:
        super().__init__(None)
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        rows = self.inner(images).detach().numpy()
        return self.head(torch.as_tensor(self.network.forward(rows, np.zeros(2))).to(images.dtype))


class OnPrimitive(Around):
    """It holds an estimator."""

    def __init__(self) -> None:
        super().__init__(None)
        self.estimator = StatevectorEstimator()


def stock_layer(**options) -> TorchConnector:
    return TorchConnector(stock_qnn(**options), np.array([0.4, -1.1]))
