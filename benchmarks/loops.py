"""One training step of quantum projections: compiled loops and the engine's stages, in turn.

    python benchmarks/loops.py [--repeats 30] [--json F]

Processor time of this process for forward and backward of all projections of a layer, both ways
alternating in one run; the first calls, which compile, are not counted.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from statistics import median

import numpy as np
import torch

from qvit_qiskit import QuantumProjections, build_circuit, registry
from qvit_qiskit.simulation.kernel.availability import loops

CASES = [
    ("ry-ring", 2, 2, 2, 512),
    ("ry-ring", 4, 2, 2, 512),
    ("ry-ring", 4, 2, 2, 1536),
    ("ry-ring", 5, 2, 1, 512),
    ("ry-ring", 6, 2, 1, 512),
    ("ry-ring", 8, 2, 1, 512),
    ("ry-ring", 10, 2, 1, 256),
    ("rx-rz-ring", 4, 2, 2, 512),
    ("rx-rz-ring", 8, 2, 1, 512),
    ("reupload-ring", 4, 2, 2, 512),
    ("ry-chain", 8, 2, 1, 512),
    ("ry-ring", 8, 2, 1, 4),
    ("ry-ring", 12, 2, 1, 64),
    ("ry-ring", 14, 2, 1, 64),
    ("ry-ring", 16, 1, 1, 32),
]
"""Family, qubits, layers, heads, rows."""


def milliseconds(layer: QuantumProjections, tokens: torch.Tensor) -> float:
    """Processor time of one step."""
    start = time.process_time()
    query, key, value = layer(tokens)
    (query.sum() + (key * value).sum()).backward()
    return 1e3 * (time.process_time() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    records = []
    for family, qubits, layers, heads, rows in CASES:
        circuit = build_circuit(family, qubits, layers)
        layer = QuantumProjections(circuit, heads, registry.open("aer-exact"))
        generator = torch.Generator().manual_seed(0)
        tokens = torch.randn(1, rows, heads * qubits, generator=generator, requires_grad=True)
        times: dict[bool, list[float]] = {True: [], False: []}
        for repeat in range(asked.repeats + 2):
            for way, own in times.items():
                with loops(way):
                    spent = milliseconds(layer, tokens)
                if repeat >= 2:
                    own.append(spent)
        ratio = float(np.median(np.divide(times[False], times[True])))
        print(
            f"{family}, {heads} x {qubits} qubits, {layers} layers, {rows} rows: loops "
            f"{median(times[True]):.2f} ms, stages {median(times[False]):.2f} ms, "
            f"ratio {ratio:.1f} (medians of {asked.repeats})",
            flush=True,
        )
        records.append({"family": family, "qubits": qubits, "heads": heads, "rows": rows,
                        "loops": times[True], "stages": times[False], "ratio": ratio})  # fmt: skip
    if asked.json:
        asked.json.write_text(json.dumps(records, indent=2))


if __name__ == "__main__":
    main()
