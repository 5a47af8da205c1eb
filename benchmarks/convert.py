"""The hybrid tutorial of Qiskit Machine Learning: as printed, with our estimator, and converted.

    python benchmarks/convert.py [--repeats 3] [--images 32] [--json F]

The tutorial puts one QNN of two qubits (ZZ feature map, real amplitudes, the parity of both qubits)
behind a small CNN and trains it with Adam on pictures of 28 x 28 pixels. An epoch here is one
pass over ``--images`` random pictures in batches of 32. Three sides take turns, after one untimed
batch each: the network as printed (default estimator and gradient), the same with the two
arguments ``estimator=`` and ``gradient=`` of this package, and the model after ``convert``.
"""

from __future__ import annotations

import argparse
import copy
import json
import time
from pathlib import Path
from statistics import median

import torch
from qiskit.circuit import QuantumCircuit
from qiskit.circuit.library import real_amplitudes, zz_feature_map
from qiskit_machine_learning.connectors import TorchConnector
from qiskit_machine_learning.neural_networks import EstimatorQNN
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from qvit_qiskit import convert, registry

BATCH = 32


class Net(nn.Module):
    """The architecture that the tutorial trains."""

    def __init__(self, network: EstimatorQNN) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 2, 5), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(2, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
            nn.Dropout2d(), nn.Flatten(), nn.Linear(256, 64), nn.ReLU(), nn.Linear(64, 2),
        )  # fmt: skip
        self.quantum = TorchConnector(network)
        self.head = nn.Linear(1, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Log-likelihoods of two classes, (B, 2)."""
        score = self.head(self.quantum(self.features(images)))
        return torch.cat((score, 1 - score), -1)


def network(**options) -> EstimatorQNN:
    features, ansatz = zz_feature_map(2), real_amplitudes(2, reps=1)
    circuit = QuantumCircuit(2)
    circuit.compose(features, inplace=True)
    circuit.compose(ansatz, inplace=True)
    return EstimatorQNN(
        circuit=circuit, input_params=features.parameters, weight_params=ansatz.parameters,
        input_gradients=True, **options,
    )  # fmt: skip


def epoch(model: Net, images: Tensor, labels: Tensor) -> float:
    optimizer = torch.optim.Adam(model.parameters(), lr=0.001)
    start = time.perf_counter()
    for batch, target in zip(images.split(BATCH), labels.split(BATCH), strict=True):
        optimizer.zero_grad(set_to_none=True)
        F.nll_loss(model(batch), target).backward()
        optimizer.step()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--images", type=int, default=BATCH)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(42)
    images, labels = torch.rand(options.images, 1, 28, 28), torch.arange(options.images) % 2
    route = registry.open("aer-exact")
    printed = Net(network())
    weights = copy.deepcopy(printed.state_dict())
    arguments = Net(network(estimator=route.estimator, gradient=route.gradient))
    converted = Net(network())
    for model in (arguments, converted):
        model.load_state_dict(weights)
    sides = {"as printed": printed, "two arguments": arguments, "converted": convert(converted)}
    times: dict[str, list[float]] = {name: [] for name in sides}
    for model in sides.values():
        epoch(model, images[:BATCH], labels[:BATCH])
    for _ in range(options.repeats):
        for name, model in sides.items():
            times[name].append(epoch(model, images, labels))
    for name, taken in times.items():
        ratio = median(a / b for a, b in zip(times["as printed"], taken, strict=True))
        print(f"{name:14} {median(taken):9.4f} s per epoch of {options.images} images in batches "
              f"of {BATCH}, {ratio:6.1f} times as fast as printed")  # fmt: skip
    if options.json:
        options.json.write_text(json.dumps(times, indent=2))


if __name__ == "__main__":
    main()
