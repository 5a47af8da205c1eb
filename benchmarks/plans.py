"""What stated accuracies cost, and whether the predictions behind the plans are true.

    qvit study benchmarks/plans.toml --out MODELS          # trains what is planned for
    python -m benchmarks.plans bars --models MODELS --log LOG
    python -m benchmarks.plans truth --models MODELS --log LOG [--devices fake_fez] [--sets …]
    python -m benchmarks.plans eight --models MODELS --log LOG
    python -m benchmarks.plans write --log LOG --page docs/plans.md

``bars``: planned QPU seconds of three test splits at a tolerance of .01 on fake_fez, the time that
planning took, and the price over that of the cheapest candidate that meets the request in 200
simulated draws with the true labels. ``truth``: how many of 100 simulated runs of each plan stay
within the tolerance by the true labels. ``eight``: planned seconds of the eight test splits, and
what one Open-plan month buys on fake_boston; where a set is not at hand, those of RetinaMNIST's
model scaled to the set's number of images, which assumes that its model needs as many shots.

Every finished line is appended to LOG, and what stands there is not worked out again.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from qvit_qiskit.data import load
from qvit_qiskit.devices.regions import bundled_device
from qvit_qiskit.exceptions import JobError
from qvit_qiskit.profile import FakeProfile
from qvit_qiskit.runs.planning import search as looking
from qvit_qiskit.runs.planning.copy_noise import CopyNoise
from qvit_qiskit.runs.planning.noisy_passes import NoisyPasses
from qvit_qiskit.runs.planning.planner import Planner
from qvit_qiskit.runs.planning.predicted_losses import indicators, predict_losses
from qvit_qiskit.runs.planning.request import Accuracy
from qvit_qiskit.runs.planning.search import Search, Trial
from qvit_qiskit.training.checkpoint import load_checkpoint

SETS = ("retinamnist", "breastmnist", "pneumoniamnist")
BARS = {"retinamnist": 40, "breastmnist": 60, "pneumoniamnist": 100}
DEVICES = ("fake_fez", "fake_boston", "fake_kingston")
TOLERANCES = (0.005, 0.01, 0.02)
SIZES = {
    "breastmnist": 156, "retinamnist": 400, "pneumoniamnist": 624, "octmnist": 1000,
    "dermamnist": 2005, "bloodmnist": 3421, "pathmnist": 7180, "organamnist": 17_778,
}  # fmt: skip
MONTH = 600.0
RUNS = 100
ORACLE = 200
"""Draws with true labels by which the cheapest candidate is found."""


class Log:
    """Finished lines, one JSON object each."""

    def __init__(self, path: Path) -> None:
        self.path = path
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        self.lines = [json.loads(line) for line in text.splitlines()]

    def has(self, **key: object) -> bool:
        """Whether a line with these values is there."""
        return any(all(line.get(k) == v for k, v in key.items()) for line in self.lines)

    def add(self, **line: object) -> None:
        """Append a line."""
        self.lines.append(line)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        print(line, flush=True)


def checkpoints(folder: Path) -> Iterator[tuple[str, int, Path]]:
    """Set, seed and folder of every finished training of the study."""
    for path in sorted(folder.glob("cells/*/training/train.json")):
        record = json.loads(path.read_text(encoding="utf-8"))["train"]
        if (path.parent.parent / "result.json").exists():
            yield record["dataset"], record["seed"], path.parent


def planner(path: Path, device: str, tolerance: float) -> Planner:
    """What plans for a checkpoint on a snapshot, with nothing held."""
    model = load_checkpoint(path).model
    profile = FakeProfile(kind="fake", device=device)
    return Planner(model, profile, bundled_device(device), Accuracy(tolerance))


def searched(plans: Planner, data: str) -> tuple[Search, Trial | None]:
    """The search for a test split, and what it chose."""
    split = load(data).split("test")
    search = plans.search(split.tensors()[0], split.labels.ndim == 2)
    return search, search.cheapest()


def truth(search: Search, trial: Trial, data: str, tolerance: float) -> tuple[float, float]:
    """Of simulated runs of a plan: the share within the tolerance, and the mean loss."""
    labels = indicators(load(data).split("test").labels, search.subject.exact.shape[1])
    noise = CopyNoise(trial.candidate.layout, search.candidates.device.target)
    passes = NoisyPasses(search.subject, noise, 1_000_003)
    drawn = passes.logits(trial.candidate.shots, range(RUNS))
    found = predict_losses(search.subject.exact, drawn, labels[None], several=False)
    return found.auc.within(tolerance), found.auc.mean


def bars(models: Path, log: Log) -> None:
    """The first table."""
    for data, seed, path in checkpoints(models):
        if log.has(table="bars", data=data, seed=seed):
            continue
        began, cpu = time.perf_counter(), time.process_time()
        search, best = searched(planner(path, "fake_fez", 0.01), data)
        seconds, worked = time.perf_counter() - began, time.process_time() - cpu
        line: dict[str, Any] = {"wall": seconds, "cpu": worked, "looks": len(search.trials)}
        if best is not None:
            oracle = cheapest_by_truth(search, data)
            line |= {"qpu": best.candidate.seconds, "settings": best.candidate.settings()}
            line |= {"predicted": best.prediction.auc.mean, "bound": best.prediction.auc.bound}
            line |= {"cheapest": oracle.candidate.seconds if oracle else None}
            line |= {"cheapest_settings": oracle.candidate.settings() if oracle else None}
        log.add(table="bars", data=data, seed=seed, **line)


def cheapest_by_truth(search: Search, data: str) -> Trial | None:
    """The cheapest candidate that meets the request by the true labels."""
    labels = indicators(load(data).split("test").labels, search.subject.exact.shape[1])
    kept = looking.QUICK, looking.CLOSE, looking.LAST
    looking.QUICK, looking.CLOSE, looking.LAST = 40, ORACLE, ORACLE
    try:
        return Search(
            search.subject, search.candidates, search.request, labels[None], False, 2_000_003
        ).cheapest()
    finally:
        looking.QUICK, looking.CLOSE, looking.LAST = kept


def truths(models: Path, log: Log, devices: list[str], sets: list[str], seeds: int) -> None:
    """The second table."""
    for device, tolerance in itertools.product(devices, (0.01, 0.02, 0.005)):
        for data, seed, path in checkpoints(models):
            key = {"table": "truth", "data": data, "seed": seed, "device": device,
                   "tolerance": tolerance}  # fmt: skip
            if data not in sets or seed >= seeds or log.has(**key):
                continue
            search, best = searched(planner(path, device, tolerance), data)
            if best is None:
                log.add(**key, refused=True)
                continue
            within, lost = truth(search, best, data, tolerance)
            log.add(
                **key, refused=False, qpu=best.candidate.seconds, within=within, lost=lost,
                predicted=best.prediction.auc.mean, bound=best.prediction.auc.bound,
                settings=best.candidate.settings(),
            )  # fmt: skip


def eight(models: Path, log: Log) -> None:
    """What one Open-plan month buys of every set at hand, on fake_boston."""
    for data, seed, path in checkpoints(models):
        key = {"table": "month", "data": data, "seed": seed}
        if seed or log.has(**key):
            continue
        plans = planner(path, "fake_boston", 0.01)
        split = load(data).split("test")
        search = plans.search(split.tensors()[0], False)
        # As if the eight splits were run in one month: this split's share of it.
        share = MONTH * SIZES[data] / sum(SIZES.values())
        for budget, name in ((MONTH, "alone"), (share, "share")):
            found = search.closest(budget)
            log.add(
                **key, budget=budget, name=name, qpu=found.candidate.seconds,
                settings=found.candidate.settings(), predicted=found.prediction.auc.mean,
                bound=found.prediction.auc.bound,
            )  # fmt: skip


def main() -> None:
    """Run a table, or write them all into the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("bars", "truth", "eight", "write"))
    parser.add_argument("--models", type=Path)
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--devices", nargs="*", default=list(DEVICES))
    parser.add_argument("--sets", nargs="*", default=list(SETS))
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--page", type=Path)
    given = parser.parse_args()
    log = Log(given.log)
    try:
        if given.what == "bars":
            bars(given.models, log)
        elif given.what == "truth":
            truths(given.models, log, given.devices, given.sets, given.seeds)
        elif given.what == "eight":
            eight(given.models, log)
    except JobError as error:
        raise SystemExit(str(error)) from error


if __name__ == "__main__":
    main()
