"""Qubits that wait: how much they decay, and what counting it costs.

    python benchmarks/waits.py [--repeats 5] [--json F]

The first table sums the waiting errors of compiled circuits beside the success of their gates and
readout, at the place that is best by these two alone. The second evaluates and differentiates under
the noise of fake_fez on one region, with waits and without in turn, compilation included.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np
import report
import torch
from rich.console import Console
from rich.table import Table

from qvit_qiskit.circuits import build_circuit
from qvit_qiskit.circuits.bundle import Bundle
from qvit_qiskit.devices.packing import place
from qvit_qiskit.devices.regions import Region, bundled_device
from qvit_qiskit.devices.timetable import relaxation_times, waiting_error
from qvit_qiskit.simulation.exact.estimator import Compiler, ExactEstimator
from qvit_qiskit.simulation.exact.gradient import AdjointGradient
from qvit_qiskit.simulation.noise.noisy_forms import NoisyFormEngine
from qvit_qiskit.simulation.noise.noisy_program import compile_noisy
from qvit_qiskit.simulation.shifts import circuit_pub

DEVICES = ("fake_fez", "fake_boston", "fake_torino", "fake_kingston")
CIRCUITS = (("ry-ring", 4), ("ry-chain", 4), ("ry-ring", 8))
CASES = (("ry-ring", 4, 19_200), ("reupload-ring", 4, 19_200), ("ry-ring", 8, 1_536))
"""Family, qubits, rows."""


def decay(device: str, family: str, qubits: int) -> dict[str, object]:
    """The success of a circuit's gates and readout, and its waiting errors, summed."""
    circuit = build_circuit(family, qubits, 2).canonical
    region = place(circuit, bundled_device(device), idle=False)
    times = [(w.seconds, relaxation_times(region.target, w.wire)) for w in _waits(region)]
    errors = [float(waiting_error(seconds, *known)) for seconds, known in times if known]
    return {
        "device": device, "circuit": f"{family} {qubits}",
        "success": region.fidelity(), "waiting": sum(errors),
    }  # fmt: skip


def _waits(region: Region) -> tuple:
    return region.scheduled().waits or ()


def step(region: Region, bundle: Bundle, cotangent: np.ndarray) -> tuple[float, float]:
    """Seconds of values alone and of values with gradients, each compiled from the region."""
    found = []
    for differentiate in (False, True):
        compiler = Compiler(
            lambda circuit, basis, columns: compile_noisy(
                region, circuit.parameters, basis, columns, ""
            )
        )
        estimator = ExactEstimator(NoisyFormEngine(), compiler)
        start = time.perf_counter()
        if differentiate:
            AdjointGradient(estimator).vjp([bundle])[1]([[cotangent]])
        else:
            pub = circuit_pub(bundle.circuits[0], bundle.inputs, bundle.weights[0])
            estimator.run([pub]).result()
        found.append(time.perf_counter() - start)
    return found[0], found[1]


def speed(family: str, qubits: int, rows: int, repeats: int) -> dict[str, object]:
    """Both sides in turn."""
    circuit = build_circuit(family, qubits, 2)
    rng = np.random.default_rng(0)
    inputs = rng.uniform(-np.pi, np.pi, (rows, qubits))
    bundle = Bundle((circuit,), (rng.uniform(-np.pi, np.pi, circuit.num_weights),), inputs)
    cotangent = rng.normal(size=(rows, qubits))
    busy = place(circuit.canonical, bundled_device("fake_fez"))
    sides = {"waits": busy, "none": replace(busy, waits=None)}
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
    for _ in range(repeats + 1):
        for name, region in sides.items():
            times[name].append(step(region, bundle, cotangent))
    values, steps = (
        {name: median(t[part] for t in found[1:]) for name, found in times.items()}
        for part in (0, 1)
    )
    return {
        "circuit": f"{family} {qubits}", "rows": rows,
        "values s": values["waits"], "ratio": values["waits"] / values["none"],
        "gradients s": steps["waits"], "ratio of gradients": steps["waits"] / steps["none"],
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    decays = [decay(device, *circuit) for device in DEVICES for circuit in CIRCUITS]
    speeds = [speed(*case, options.repeats) for case in CASES]
    console = Console(width=max(100, Console().width))
    titles = ("Errors of waiting, summed", "With waits beside without: medians, and their ratio")
    for title, lines in zip(titles, (decays, speeds), strict=True):
        table = Table(title=title)
        for name in lines[0]:
            table.add_column(name, justify="right")
        for line in lines:
            table.add_row(*(f"{v:.3f}" if isinstance(v, float) else str(v) for v in line.values()))
        console.print(table)
    if options.json:
        record = {"machine": report.machine(options.threads), "decays": decays, "speeds": speeds}
        options.json.write_text(json.dumps(record, indent=2))


if __name__ == "__main__":
    main()
