"""A step of a wide layer beside TensorCircuit-NG's light cones and PennyLane's tensor device.

    python benchmarks/wide_peers.py --qubits 64 --rows 512 --peer-rows 4

Q, K and V of `ry-chain` of two layers at the same rows. Ours is a forward and backward pass through
the torch layer. TensorCircuit-NG is given the best that it has: for every output the circuit of its
light cone alone, forward and backward, vectorised over rows. PennyLane's `default.tensor` has no
backpropagation; its forward pass alone is timed. Peers run few rows, and their time
is told for these, not scaled: it is a lower bound. Peers: `requirements-peers.txt`, and quimb for
PennyLane; name their interpreter with ``--peers``.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np


def angles(qubits: int, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Inputs (rows, n) and weights (3, 3·n) that all sides share."""
    rng = np.random.default_rng(qubits)
    weights = rng.uniform(-np.pi, np.pi, (3, 3 * qubits))
    return rng.uniform(-np.pi, np.pi, (rows, qubits)), weights


def pairs(qubits: int) -> list[tuple[int, int]]:
    """The CZs of a layer."""
    return [(q, q + 1) for k in (0, 1) for q in range(k, qubits - 1, 2)]


def ours(qubits: int, rows: int) -> tuple[Callable[[], None], float]:
    """A step, and the sum of the values of the first row."""
    import torch

    from qvit_qiskit.circuits import build_circuit
    from qvit_qiskit.execution import registry
    from qvit_qiskit.qnn import QuantumLinear, QuantumProjections

    torch.set_num_threads(1)
    inputs, weights = angles(qubits, rows)
    module = QuantumProjections(build_circuit("ry-chain", qubits, 2), heads=1)
    module.bind(registry.open("aer-exact"))
    layers = [m for m in module.modules() if isinstance(m, QuantumLinear)]
    for layer, own in zip(layers, weights, strict=True):
        layer.weight.data = torch.from_numpy(own)
    tokens = torch.from_numpy(inputs)[None].requires_grad_()

    def step() -> None:
        torch.cat(module(tokens)).square().sum().backward()

    step()
    return step, float(module(tokens)[0].detach().reshape(-1, qubits)[0].sum())


def tensorcircuit(qubits: int, rows: int) -> tuple[Callable[[], None], float]:
    """The same by TensorCircuit-NG on torch."""
    import tensorcircuit as tc
    import torch

    torch.set_num_threads(1)
    tc.set_backend("pytorch")
    tc.set_dtype("complex128")
    inputs, weights = angles(qubits, rows)

    def values(x: Any, w: Any) -> Any:
        circuit = tc.Circuit(qubits)
        for q in range(qubits):
            circuit.ry(q, theta=x[q])
        for layer in range(2):
            for q in range(qubits):
                circuit.ry(q, theta=w[layer * qubits + q])
            for a, b in pairs(qubits):
                circuit.cz(a, b)
        for q in range(qubits):
            circuit.ry(q, theta=w[2 * qubits + q])
        outputs = [circuit.expectation_ps(z=[q], enable_lightcone=True) for q in range(qubits)]
        return tc.backend.real(tc.backend.stack(outputs))

    every = tc.backend.vmap(values, vectorized_argnums=0)
    x = torch.from_numpy(inputs).requires_grad_()
    parts = [torch.from_numpy(own).requires_grad_() for own in weights]

    def step() -> None:
        torch.cat([every(x, w) for w in parts]).square().sum().backward()

    step()
    return step, float(values(x[0], parts[0]).detach().sum())


def pennylane(qubits: int, rows: int) -> tuple[Callable[[], None], float]:
    """Forward alone, by matrix product states, row by row."""
    import pennylane as qml

    inputs, weights = angles(qubits, rows)
    device = qml.device("default.tensor", wires=qubits, method="mps")

    @qml.qnode(device)
    def values(x: np.ndarray, w: np.ndarray) -> Any:
        for q in range(qubits):
            qml.RY(x[q], wires=q)
        for layer in range(2):
            for q in range(qubits):
                qml.RY(w[layer * qubits + q], wires=q)
            for pair in pairs(qubits):
                qml.CZ(wires=pair)
        for q in range(qubits):
            qml.RY(w[2 * qubits + q], wires=q)
        return [qml.expval(qml.PauliZ(q)) for q in range(qubits)]

    def step() -> None:
        for x in inputs:
            for w in weights:
                values(x, w)

    return step, float(np.sum(values(inputs[0], weights[0])))


SIDES = {"ours": ours, "tensorcircuit": tensorcircuit, "pennylane": pennylane}


def serve(side: str, qubits: int, rows: int) -> None:
    """Run steps as they are asked for on the standard input, and print their seconds."""
    step, total = SIDES[side](qubits, rows)
    print(json.dumps(total), flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        step()
        print(json.dumps(time.perf_counter() - start), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--qubits", type=int, default=64)
    parser.add_argument("--rows", type=int, default=512)
    parser.add_argument("--peer-rows", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--peers", default=sys.executable, help="Interpreter that has the peers.")
    parser.add_argument("--sides", nargs="+", default=list(SIDES), choices=list(SIDES))
    parser.add_argument("--serve", choices=list(SIDES), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve, options.qubits, options.rows)
        return
    workers, counts = {}, {}
    for side in options.sides:
        rows = options.rows if side == "ours" else options.peer_rows
        python = sys.executable if side == "ours" else options.peers
        command = [python, __file__, "--serve", side, "--qubits", str(options.qubits),
                   "--rows", str(rows)]  # fmt: skip
        pipe = subprocess.PIPE
        workers[side] = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)
        counts[side] = rows
    totals = {side: _answer(worker) for side, worker in workers.items()}
    print("sum of the first row's values:", {s: round(t, 6) for s, t in totals.items()})
    times: dict[str, list[float]] = {side: [] for side in workers}
    for _ in range(options.repeats):
        for side, worker in workers.items():
            assert worker.stdin is not None
            worker.stdin.write("\n")
            worker.stdin.flush()
            times[side].append(_answer(worker))
    for side, own in times.items():
        print(f"{side:14s} median {1e3 * statistics.median(own):12,.1f} ms, "
              f"least {1e3 * min(own):12,.1f} ms for {counts[side]} rows")  # fmt: skip
    for worker in workers.values():
        worker.terminate()


def _answer(worker: subprocess.Popen[str]) -> float:
    assert worker.stdout is not None
    while line := worker.stdout.readline():
        if line[0] in "-0123456789":
            return float(json.loads(line))
    raise SystemExit("A side ended without an answer; its message stands above.")


if __name__ == "__main__":
    main()
