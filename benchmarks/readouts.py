"""What reading parities and rewritten CNOT blocks save: the table of ``docs/parities.md``.

For each device and circuit: two-qubit gates, predicted success and the error of the outputs, with
every gate run, with every gate run as it was before blocks of five qubits and more were rewritten,
and with the last CNOTs done on the bits. Errors are those of the noise engine at resilience level
0: root mean squares over rows and outputs, without shot noise, medians over draws of the weights.

Run as ``python -m benchmarks.readouts --write docs/parities.md``; ``--draws 3`` for a quick look.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import numpy as np

from qvit_qiskit.circuits import QNNCircuit, build_circuit
from qvit_qiskit.circuits.measurement_bases import measurement_bases
from qvit_qiskit.circuits.parity_readout import reading
from qvit_qiskit.devices import resynthesis
from qvit_qiskit.devices.packing import place
from qvit_qiskit.devices.regions import bundled_device
from qvit_qiskit.simulation.exact.engine import Request
from qvit_qiskit.simulation.exact.estimator import ExactEstimator
from qvit_qiskit.simulation.noise.noisy_forms import NoisyFormEngine
from qvit_qiskit.simulation.noise.noisy_program import NoisyProgram, compile_noisy
from qvit_qiskit.simulation.shifts import circuit_pub

DEVICES = ("fake_fez", "fake_boston", "fake_kingston", "fake_torino")
RINGS, CHAINS = (4, 6, 8), (4, 8)
RANGES = {"±.5": 0.5, "±π": np.pi}
ROWS = 64
BEGIN, END = "<!-- the table begins -->", "<!-- the table ends -->"


@contextmanager
def without_search() -> Iterator[None]:
    """Blocks of five qubits and more as the transpiler leaves them."""
    widest, resynthesis.MAX_QUBITS = resynthesis.MAX_QUBITS, resynthesis.MAX_LISTED
    try:
        yield
    finally:
        resynthesis.MAX_QUBITS = widest


def cases() -> Iterator[tuple[str, int, str]]:
    """Family, qubits and way of running."""
    for qubits in RINGS:
        yield "ry-ring", qubits, "gates"
        if qubits > resynthesis.MAX_LISTED:
            yield "ry-ring", qubits, "gates, transpiled alone"
        yield "ry-ring", qubits, "parity"
    for qubits in CHAINS:
        yield "ry-chain", qubits, "gates"


def line(device: str, family: str, qubits: int, way: str, draws: int) -> list[str]:
    """One line of the table."""
    circuit = build_circuit(family, qubits)
    (basis,) = measurement_bases(circuit.pauli_terms)
    read = reading(circuit.canonical, basis, "parity" if way == "parity" else "gates")
    with without_search() if way.endswith("alone") else nullcontext():
        region = place(read.circuit, bundled_device(device), reads=read.reads)
    parameters, columns = circuit.canonical.parameters, tuple(range(circuit.num_inputs))
    program = compile_noisy(region, parameters, read.basis, columns, device)
    errors = [error(circuit, program, size, draws) for size in RANGES.values()]
    gates = str(region.two_qubit_gates())
    return [device, f"{family} {qubits}", way, gates, f"{region.fidelity():.3f}",
            *(f"{e:.4f}" for e in errors)]  # fmt: skip


def error(circuit: QNNCircuit, program: NoisyProgram, size: float, draws: int) -> float:
    """The median over draws of the root mean square error of the outputs."""
    rng = np.random.default_rng(0)  # the same angles and weights for every line of a circuit
    diagonal = program.diagonals(circuit.num_outputs)
    out = []
    for _ in range(draws):
        inputs = rng.normal(size=(ROWS, circuit.num_inputs))
        pub = circuit_pub(circuit, inputs, rng.uniform(-size, size, circuit.num_weights))
        exact = ExactEstimator().run([pub]).result()[0].data.evs
        found = NoisyFormEngine().values([Request.of(program, pub[2], diagonal)])[0][0]
        out.append(np.sqrt(np.mean((found - exact) ** 2)))
    return float(np.median(out))


def main() -> None:
    """Print the table, and write it between its marks in a page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--devices", nargs="*", default=DEVICES)
    parser.add_argument("--write", type=Path)
    asked = parser.parse_args()
    head = ["device", "circuit", "way", "CZs", "success", *(f"error, {r}" for r in RANGES)]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    print("\n".join(lines), flush=True)
    for device in asked.devices:
        for case in cases():
            began = time.perf_counter()
            lines.append("| " + " | ".join(line(device, *case, asked.draws)) + " |")
            print(lines[-1], f"{time.perf_counter() - began:.0f} s", flush=True)
    if asked.write:
        text = asked.write.read_text(encoding="utf-8")
        before, _, rest = text.partition(BEGIN)
        _, _, after = rest.partition(END)
        asked.write.write_text("\n".join([before + BEGIN, *lines, END + after]), encoding="utf-8")


if __name__ == "__main__":
    main()
