"""How much of the accuracy lost under a noisy device does training under its noise bring back?

    QVIT_DATA_ROOT=DIR python benchmarks/noise_aware.py --noise fake_sherbrooke [--seeds 5]

Each seed trains twice on BreastMNIST, exactly and under the device's noise, from the same initial
weights and with the same order of images. Both models are tested exactly and under the noise.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from statistics import mean, stdev

import torch
from rich.console import Console
from rich.table import Table
from scipy.stats import t as student

from qvit_qiskit import TrainConfig, ViTConfig, evaluate, fit, load
from qvit_qiskit.execution.profile_route import ProfileRoute, open_route
from qvit_qiskit.profile import AerProfile


def route(noise: str | None, *, idle: bool = True) -> ProfileRoute:
    """Exact values, with a device's noise or without; whether waiting qubits decay in it."""
    profile = AerProfile(kind="aer", noise=noise, idle=idle)
    return open_route(noise or "exact", profile, Path("built in"))


def interval(values: list[float]) -> str:
    """Mean over the seeds with Student's 95 % interval."""
    half = student.ppf(0.975, len(values) - 1) * stdev(values) / len(values) ** 0.5
    return f"{mean(values):+.3f} [{mean(values) - half:+.3f}, {mean(values) + half:+.3f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--noise", default="fake_sherbrooke")
    parser.add_argument("--dataset", default="breastmnist")
    parser.add_argument("--circuit", default="ry-ring")
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--heads", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--idle", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    data = load(options.dataset)
    config = ViTConfig(
        channels=data.channels,
        classes=data.num_classes,
        heads=options.heads,
        circuit=options.circuit,
        circuit_layers=options.layers,
        stem="patch",
        position="learned",
        pool="mean",
    )
    routes = {"exact": route(None), "noisy": route(options.noise, idle=options.idle)}
    rows = []
    for seed in range(options.seeds):
        row: dict[str, float] = {"seed": seed}
        for trained, where in routes.items():
            train = TrainConfig(
                dataset=options.dataset, epochs=options.epochs, seed=seed, augment="none",
                contrast=0.0,
            )  # fmt: skip
            model = fit(config, train, data, route=where).model
            for tested, there in routes.items():
                scores = evaluate(model, data.test, there).scores
                row |= {
                    f"{trained}-{tested} AUC": scores.auc,
                    f"{trained}-{tested} ACC": scores.acc,
                }
        rows.append(row)
        print(json.dumps(row), flush=True)
    table = Table(title=f"{options.dataset}, noise of {options.noise}, {options.seeds} seeds")
    for column in ("", "AUC: mean [95 % over seeds]", "ACC: mean [95 % over seeds]"):
        table.add_column(column)
    lines = {
        "lost: trained exactly, tested noisy minus exact": ("exact-noisy", "exact-exact"),
        "recovered: tested noisy, trained noisy minus exactly": ("noisy-noisy", "exact-noisy"),
        "left: trained and tested noisy minus both exact": ("noisy-noisy", "exact-exact"),
    }
    for name, (a, b) in lines.items():
        found = [[r[f"{a} {m}"] - r[f"{b} {m}"] for r in rows] for m in ("AUC", "ACC")]
        table.add_row(name, *(interval(values) for values in found))
    Console(width=110).print(table)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
