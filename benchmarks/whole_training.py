"""Whole trainings on all of RetinaMNIST: QViT and classical ViT of the same shape, in turn.

    QVIT_DATA_ROOT=DIR python benchmarks/whole_training.py [--epochs 60] [--repeats 3] [--json F]
    python benchmarks/whole_training.py --images 90000 --epochs 1 --repeats 1

Wall time of `fit` on a folder of its own, data loading not included. The two models alternate, so
that a slow minute of the machine hits both. With `--images` so many synthetic ones in three
channels stand in the place of RetinaMNIST, and the peak of the resident memory beyond them is told.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from pathlib import Path
from statistics import median

from own_images import arrays

from qvit_qiskit import TrainConfig, ViTConfig, fit, load
from qvit_qiskit.data import MedImages

SHAPES = {"two heads of 4 qubits": {"heads": 2}, "one head of 8 qubits": {"heads": 1}}


def seconds(config: ViTConfig, train: TrainConfig, data: MedImages) -> float:
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        fit(config, train, data, folder=Path(folder) / "run")
        return time.perf_counter() - start


def peak() -> float:
    """The largest resident size so far, MiB; Linux counts in KiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--images", type=int, help="Synthetic ones, instead of RetinaMNIST.")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    data = arrays(round(options.images / 0.7), 28, 3) if options.images else load("retinamnist")
    loaded = peak()
    train = TrainConfig(
        dataset=data.name, epochs=options.epochs, batch_size=32, threads=options.threads,
        augment="none", contrast=0.0,
    )  # fmt: skip
    records = []
    for name, shape in SHAPES.items():
        qvit = ViTConfig(
            channels=3, classes=data.num_classes, width=8, stem="patch", position="learned",
            pool="mean", **shape,
        )  # fmt: skip
        vit = qvit.model_copy(update={"projection": "linear"})
        warm = train.model_copy(update={"epochs": 1})
        times: dict[str, list[float]] = {"qvit": [], "vit": []}
        for config in (qvit, vit):
            seconds(config, warm, data)
        for _ in range(options.repeats):
            for config in (qvit, vit):
                times[config.name].append(seconds(config, train, data))
        q, v = median(times["qvit"]), median(times["vit"])
        ratio = median(a / b for a, b in zip(times["qvit"], times["vit"], strict=True))
        print(
            f"{name}: {options.epochs} epochs of {len(data.train)} images; QViT {q:.1f} s, "
            f"classical ViT of the same shape {v:.1f} s, ratio {ratio:.1f} "
            f"(medians of {options.repeats}, {options.threads} thread(s) of torch)",
            flush=True,
        )
        records.append({"shape": name, "times": times, "ratio": ratio, "epochs": options.epochs})
    if options.images:
        print(f"peak memory beyond the images: {peak() - loaded:,.0f} MiB")
    if options.json:
        options.json.write_text(json.dumps(records, indent=2))


if __name__ == "__main__":
    main()
