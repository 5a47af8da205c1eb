"""Exact expectation values under device noise: this project beside Aer's estimator.

    python benchmarks/noise.py [--rows 19200] [--repeats 3] [--json F]

Both sides get the circuit placed on the same qubits, and build their noise model, compile and
evaluate from there. Aer simulates a sample of the rows where all would take too long; its time is
then scaled, and the table says so. With QVIT_DATA_ROOT set, an epoch of training under noise is
timed beside an exact one.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from statistics import median

import numpy as np
import report
import torch
from qiskit.quantum_info import SparsePauliOp
from qiskit_aer.noise import NoiseModel
from qiskit_aer.primitives import EstimatorV2
from rich.console import Console
from rich.table import Table

from qvit_qiskit import TrainConfig, ViTConfig, fit, load
from qvit_qiskit.circuits import build_circuit
from qvit_qiskit.devices.packing import place
from qvit_qiskit.devices.regions import Region, TargetDevice, bundled_device
from qvit_qiskit.simulation.exact.estimator import Compiler, ExactEstimator
from qvit_qiskit.simulation.noise.noisy_forms import NoisyFormEngine
from qvit_qiskit.simulation.noise.noisy_program import compile_noisy
from qvit_qiskit.simulation.shifts import circuit_pub

CASES = (("ry-ring", 4, 19_200), ("reupload-ring", 4, 19_200), ("ry-ring", 8, 200))
"""Family, qubits, and how many rows Aer simulates at most."""


@dataclass
class Side:
    """One case, both sides."""

    family: str
    qubits: int
    rows: int
    aer_rows: int
    place_seconds: float
    """Choosing the qubits, which both sides need."""
    ours: list[float]
    aer: list[float]
    """Scaled to all rows."""
    rss_mib: float
    """Peak of the process before Aer's first simulation."""
    deviation: float

    @property
    def ratio(self) -> float:
        """How many times faster."""
        return median(self.aer) / median(self.ours)


def ours(region: Region, pub: tuple, rows: int) -> tuple[float, np.ndarray]:
    """Seconds and values (K, R), compilation included."""
    start = time.perf_counter()
    compiler = Compiler(
        lambda circuit, basis, columns: compile_noisy(
            region, circuit.parameters, basis, columns, ""
        )
    )
    estimator = ExactEstimator(NoisyFormEngine(), compiler)
    values = estimator.run([(pub[0], pub[1], pub[2][:rows])]).result()[0].data.evs
    return time.perf_counter() - start, np.asarray(values)


def aer(region: Region, pub: tuple, rows: int) -> tuple[float, np.ndarray]:
    """The same by Aer's estimator, which leaves readout errors out."""
    order = [list(pub[0].parameters).index(p) for p in region.circuit.parameters]
    width = len(region.qubits)
    observables = [[SparsePauliOp.from_sparse_list([("Z", [w], 1)], width)] for w in region.outputs]
    start = time.perf_counter()
    noise = NoiseModel.from_backend(TargetDevice(region.target))
    backend = {"method": "density_matrix", "noise_model": noise}
    estimator = EstimatorV2(options={"default_precision": 0.0, "backend_options": backend})
    job = estimator.run([(region.circuit, observables, pub[2][:rows][:, order])])
    values = job.result()[0].data.evs
    return time.perf_counter() - start, np.asarray(values)


def compare(family: str, qubits: int, rows: int, aer_rows: int, repeats: int, threads: int) -> Side:
    """Alternate both sides, so that a slow minute of the machine hits both."""
    torch.set_num_threads(threads)
    rng = np.random.default_rng(0)
    circuit = build_circuit(family, qubits, 2)
    inputs = rng.uniform(-np.pi, np.pi, (rows, qubits))
    pub = circuit_pub(circuit, inputs, rng.uniform(-np.pi, np.pi, circuit.num_weights))
    start = time.perf_counter()
    region = place(circuit.canonical, bundled_device("fake_boston"), 0, idle=False)  # as Aer
    placing = time.perf_counter() - start
    few = min(rows, aer_rows)
    times, scaled, deviation = [], [], 0.0
    times.append(ours(region, pub, rows)[0])
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    Region.readout = lambda self: np.stack([np.eye(2)] * len(self.outputs))  # as Aer leaves it out
    for _ in range(repeats):
        seconds, mine = ours(region, pub, rows)
        times.append(seconds)
        seconds, theirs = aer(region, pub, few)
        scaled.append(seconds * rows / few)
        deviation = max(deviation, float(np.abs(mine[:, :few] - theirs).max()))
    return Side(family, qubits, rows, few, placing, times[1:], scaled, rss, deviation)


def epochs(count: int) -> dict[str, float]:
    """Median seconds of an epoch of BreastMNIST, exact and under noise, in turn."""
    data = load("breastmnist")
    config = ViTConfig(
        channels=data.channels, classes=data.num_classes, stem="patch", position="learned",
        pool="mean",
    )  # fmt: skip
    found: dict[str, list[float]] = {"aer-exact": [], "aer-boston-exact": []}
    for _ in range(2):
        for name, times in found.items():
            train = TrainConfig(
                dataset="breastmnist", backend=name, epochs=count, augment="none", contrast=0.0
            )
            times += [epoch.seconds for epoch in fit(config, train, data).history[1:]]
    return {name: median(times) for name, times in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=19_200)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    table = Table(title=f"{options.rows} rows under the noise of fake_boston, medians")
    for column in ("circuit", "qubits", "ours s", "Aer s", "ratio", "placing s", "peak MiB", "dev"):
        table.add_column(column, justify="right")
    sides = []
    for family, qubits, most in CASES:
        # A process for each: its peak memory is then that of this case.
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            arguments = (family, qubits, options.rows, most, options.repeats, options.threads)
            side = pool.submit(compare, *arguments).result()
        sides.append(side)
        scaled = "" if side.aer_rows == side.rows else f" (from {side.aer_rows} rows)"
        table.add_row(
            *(family, str(qubits), f"{median(side.ours):.2f}"),
            *(f"{median(side.aer):.1f}{scaled}", f"{side.ratio:.0f}"),
            *(f"{side.place_seconds:.2f}", f"{side.rss_mib:.0f}", f"{side.deviation:.0e}"),
        )
    console = Console(width=max(110, Console().width))
    console.print(table)
    record = {"machine": report.machine(options.threads), "sides": [asdict(s) for s in sides]}
    if os.environ.get("QVIT_DATA_ROOT"):
        torch.set_num_threads(1)
        found = epochs(options.epochs)
        ratio = found["aer-boston-exact"] / found["aer-exact"]
        console.print(
            f"An epoch of BreastMNIST, two heads of 4 qubits: exact {found['aer-exact']:.2f} s, "
            f"under noise {found['aer-boston-exact']:.2f} s, ratio {ratio:.1f}"
        )
        record["epochs"] = found
    if options.json:
        options.json.write_text(json.dumps(record, indent=2))


if __name__ == "__main__":
    main()
