"""What the door costs that circuits come in by, and what it saves.

1. Comparing a circuit with what it held before, beside one training step of a projection of four
   qubits and 512 rows, on one thread.
2. A step of a network of two qubits whose circuit was transpiled to the 156 qubits of fake_boston,
   beside the same network on 20 qubits that are all kept, as every circuit was before.

Both sides of each are measured in one run, interleaved; medians are printed.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from qiskit import transpile
from qiskit.circuit import ParameterVector, QuantumCircuit
from qiskit_ibm_runtime.fake_provider import FakeBoston

from qvit_qiskit import QNNCircuit, QuantumLinear, build_circuit
from qvit_qiskit.circuits import z_observables
from qvit_qiskit.circuits.prepared import prepare


def seconds(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def stepper(layer: QuantumLinear, rows: int) -> Callable[[], None]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(rows, layer.circuit.num_inputs, dtype=torch.float64, generator=generator)
    x.requires_grad_()

    def step() -> None:
        layer.zero_grad()
        layer(x).square().sum().backward()

    return step


def comparison(repeats: int) -> None:
    layer = QuantumLinear(build_circuit("ry-ring", 4, 2)).double()
    step, circuit = stepper(layer, 512), layer.circuit.canonical
    for _ in range(10):
        step()
    pairs = np.array([[seconds(step), seconds(lambda: prepare(circuit))] for _ in range(repeats)])
    whole, check = np.median(pairs, axis=0)
    print(f"a step {whole * 1e3:.2f} ms, the comparison {check * 1e6:.0f} µs: {check / whole:.2%}")


def two_qubits() -> QNNCircuit:
    x, w = ParameterVector("x", 2), ParameterVector("w", 4)
    circuit = QuantumCircuit(2)
    for q in range(2):
        circuit.ry(x[q], q)
        circuit.ry(w[q], q)
    circuit.cz(0, 1)
    for q in range(2):
        circuit.ry(w[2 + q], q)
    return QNNCircuit(circuit, tuple(x), tuple(w), z_observables(2))


def transpiled(repeats: int, rows: int) -> None:
    small = two_qubits()
    isa = transpile(small.circuit, FakeBoston(), optimization_level=1, seed_transpiler=0)
    wide = tuple(observable.apply_layout(isa.layout) for observable in small.observables)
    narrow = QuantumCircuit(20)
    narrow.compose(small.circuit, [3, 4], inplace=True)
    narrow.id(range(20))  # an identity on every qubit: none is idle
    padded = tuple(observable.apply_layout([3, 4], 20) for observable in small.observables)
    steps = [
        stepper(
            QuantumLinear(QNNCircuit(circuit, small.inputs, small.weights, seen)).double(), rows
        )
        for circuit, seen in ((isa, wide), (narrow, padded))
    ]
    steps[0]()
    pairs = np.array([[seconds(step) for step in steps] for _ in range(repeats)])
    dropped, kept = np.median(pairs, axis=0)
    print(
        f"{rows} rows: 156 qubits, idle ones dropped {dropped * 1e3:.2f} ms; 20 qubits, all kept "
        f"{kept * 1e3:.0f} ms: {kept / dropped:.0f} times"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--wide-repeats", type=int, default=3)
    parser.add_argument("--rows", type=int, default=16)
    options = parser.parse_args()
    torch.set_num_threads(1)
    comparison(options.repeats)
    transpiled(options.wide_repeats, options.rows)


if __name__ == "__main__":
    main()
