"""What a training step of a wide layer costs, by the number of qubits.

    python benchmarks/wide_layers.py --family ry-chain --qubits 16 32 64 128

Q, K and V of one head at the same rows, forward and backward through the torch layer. A round is
one step of every width, so that a slow minute of the machine hits all of them.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch

from qvit_qiskit import QuantumLinear
from qvit_qiskit.circuits import build_circuit
from qvit_qiskit.execution import registry
from qvit_qiskit.qnn import QuantumProjections


def step_of(family: str, qubits: int, layers: int, rows: int) -> Callable[[], None]:
    """One step, ready to run: its circuit is compiled."""
    rng = np.random.default_rng(qubits)
    module = QuantumProjections(build_circuit(family, qubits, layers), heads=1)
    module.bind(registry.open("aer-exact"))
    tokens = torch.tensor(rng.uniform(-np.pi, np.pi, (1, rows, qubits)), requires_grad=True)
    leaves = [m.weight for m in module.modules() if isinstance(m, QuantumLinear)] + [tokens]

    def step() -> None:
        for leaf in leaves:
            leaf.grad = None
        torch.cat(module(tokens)).square().sum().backward()

    step()
    return step


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--family", default="ry-chain")
    parser.add_argument("--qubits", nargs="+", type=int, default=[16, 32, 64, 128])
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--rows", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    steps = {n: step_of(arguments.family, n, arguments.layers, arguments.rows)
             for n in arguments.qubits}  # fmt: skip
    times: dict[int, list[float]] = {n: [] for n in steps}
    for _ in range(arguments.repeats):
        for qubits, step in steps.items():
            start = time.perf_counter()
            step()
            times[qubits].append(time.perf_counter() - start)
    for qubits, own in times.items():
        median, least = 1e3 * statistics.median(own), 1e3 * min(own)
        print(f"{qubits:4d} qubits: median {median:8.1f} ms, least {least:8.1f} ms")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    print(f"peak memory of the process, imports included: {peak:,.0f} MiB")


if __name__ == "__main__":
    main()
