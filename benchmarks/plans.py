"""What stated accuracies cost, and whether the predictions behind the plans are true.

    python -m benchmarks.plans truth --log LOG [--devices …] [--sets …] [--tolerances …]
    python -m benchmarks.plans oracle --log LOG
    python -m benchmarks.plans month --log LOG
    python -m benchmarks.plans write --log LOG --page docs/plans.md

The models are those that come with the package, seeds 0 and 1 (``qvit models``).
``truth`` plans each test split with nothing held and counts how many of 100 simulated runs of the
plan stay within the tolerance by the true labels. ``oracle`` looks for the cheapest candidate that
meets a tolerance of .01 on fake_fez in 200 simulated draws with the true labels. ``month`` gives
one Open-plan month on fake_boston to all eight test splits at once, the same shots for each image,
and predicts the loss. ``write`` puts the tables into the page; of sets that are not at hand it
assumes that their models need the shots and copies of RetinaMNIST's.

Every finished line is appended to LOG, and what stands there is not worked out again.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from qvit_qiskit.data import load
from qvit_qiskit.devices.regions import bundled_device
from qvit_qiskit.exceptions import JobError
from qvit_qiskit.profile import FakeProfile
from qvit_qiskit.runs.planning import search as looking
from qvit_qiskit.runs.planning.candidates import Candidate, shot_ladder
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
ROWS = 96
"""Of an image: 16 tokens, three projections, two heads."""
BEGIN, END = "<!-- the tables begin -->", "<!-- the tables end -->"
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


def checkpoints(sets: list[str], seeds: int) -> Iterator[tuple[str, int, str]]:
    """Set, seed and name of the shipped QViTs."""
    for data, seed in itertools.product(sets, range(seeds)):
        yield data, seed, f"zoo:qvit-{data}" + (f"-{seed}" if seed else "")


def planner(name: str, device: str, tolerance: float) -> Planner:
    """What plans for a checkpoint on a snapshot, with nothing held."""
    model = load_checkpoint(name).model
    profile = FakeProfile(kind="fake", device=device)
    return Planner(model, profile, bundled_device(device), Accuracy(tolerance))


def search_of(name: str, data: str, device: str) -> Search:
    """A search for a test split on a snapshot, at the usual tolerance."""
    split = load(data).split("test")
    return planner(name, device, 0.01).search(split.tensors()[0], split.labels.ndim == 2)


def truth(search: Search, trial: Trial, data: str, tolerance: float) -> tuple[float, float]:
    """Of simulated runs of a plan: the share within the tolerance, and the mean loss."""
    labels = indicators(load(data).split("test").labels, search.subject.exact.shape[1])
    noise = CopyNoise(trial.candidate.layout, search.candidates.device.target)
    passes = NoisyPasses(search.subject, noise, 1_000_003)
    drawn = passes.logits(trial.candidate.shots_by_projection, range(RUNS))
    found = predict_losses(search.subject.exact, drawn, labels[None], several=False)
    return found.auc.within(tolerance), found.auc.mean


def oracles(log: Log, sets: list[str], seeds: int) -> None:
    """The cheapest candidates by the true labels, at a tolerance of .01 on fake_fez."""
    for data, seed, name in checkpoints(sets, seeds):
        if log.has(table="oracle", data=data, seed=seed):
            continue
        best = cheapest_by_truth(search_of(name, data, "fake_fez"), data)
        line = (
            {"qpu": best.candidate.seconds, "settings": best.candidate.settings()} if best else {}
        )
        log.add(table="oracle", data=data, seed=seed, **line)


def cheapest_by_truth(search: Search, data: str) -> Trial | None:
    """The cheapest candidate that meets the request by the true labels."""
    labels = indicators(load(data).split("test").labels, search.subject.exact.shape[1])
    kept = looking.QUICK, looking.CLOSE, looking.LAST
    looking.QUICK, looking.CLOSE, looking.LAST = 40, ORACLE, ORACLE
    try:
        return Search(
            search.subject, search.candidates, search.request, labels[None], False,
            search.allocation, 2_000_003,
        ).cheapest()  # fmt: skip
    finally:
        looking.QUICK, looking.CLOSE, looking.LAST = kept


def truths(
    log: Log, devices: list[str], sets: list[str], seeds: int, tolerances: list[float]
) -> None:
    """How many simulated runs of each plan stay within its tolerance, by the true labels.

    The searches of one model on one device share their compiled layouts and their rows'
    probabilities, which follow from no tolerance; time is that of the search alone.
    """
    for device, (data, seed, name) in itertools.product(devices, checkpoints(sets, seeds)):
        base: Search | None = None
        for tolerance in tolerances:
            key = {"table": "truth", "data": data, "seed": seed, "device": device,
                   "tolerance": tolerance}  # fmt: skip
            if log.has(**key):
                continue
            began, cpu = time.perf_counter(), time.process_time()
            alone = base is None
            base = base or search_of(name, data, device)
            search = replace(base, request=Accuracy(tolerance), trials={}, limits={})
            best = search.cheapest()
            if alone:
                key |= {"wall": time.perf_counter() - began, "cpu": time.process_time() - cpu}
            if best is None:
                log.add(**key, refused=True, reached=search.closest().prediction.auc.bound)
                continue
            within, lost = truth(search, best, data, tolerance)
            log.add(
                **key, refused=False, qpu=best.candidate.seconds, within=within, lost=lost,
                predicted=best.prediction.auc.mean, bound=best.prediction.auc.bound,
                settings=best.candidate.settings(),
            )  # fmt: skip


def month(log: Log, sets: list[str]) -> None:
    """What one Open-plan month for all eight test splits loses, on fake_boston."""
    images = sum(SIZES.values())
    for data, _, name in checkpoints(sets, 1):
        if log.has(table="month", data=data):
            continue
        search = search_of(name, data, "fake_boston")
        for readout in search.candidates.readouts:
            layout = search.candidates.layout(search.candidates.most(0, readout))
            rows = replace(layout.rows, stage_rows=(images * ROWS,))
            whole = replace(layout, rows=rows)
            ladder = shot_ladder(layout.mitigation)
            affordable = [
                one for s in ladder if (one := search.candidate(whole, s)).seconds <= MONTH
            ]
            most = affordable[-1]
            trial = search.look(Candidate(layout, most.shots, most.quiet))
            within, lost = truth(search, trial, data, 0.01)
            log.add(
                table="month", data=data, k=layout.arrangement.k, seconds=most.seconds,
                settings=most.settings(),
                predicted=trial.prediction.auc.mean, bound=trial.prediction.auc.bound,
                lost=lost, within=within,
            )  # fmt: skip


def truth_table(log: Log) -> list[str]:
    """Every plan that was made, and how many simulated runs of it kept the tolerance."""
    lines = sorted(
        (line for line in log.lines if line["table"] == "truth"),
        key=lambda line: (line["tolerance"], line["device"], line["data"], line["seed"]),
    )
    out = [
        "| tolerance | device | set, seed | plan | QPU s | predicted loss, 95 % "
        "| mean loss | within | time to plan, CPU s |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for line in lines:
        where = f"| {line['tolerance']:g} | {line['device']} | {line['data']}, {line['seed']} |"
        if line["refused"]:
            reached = f"{line['reached']:.4f}"
            out.append(f"{where} refused | | {reached} could be reached | | | {_times(line)} |")
            continue
        out.append(
            f"{where} {_words(line['settings'])} | {line['qpu']:.1f} | {line['predicted']:.4f}, "
            f"{line['bound']:.4f} | {line['lost']:.4f} | {line['within']:.2f} | {_times(line)} |"
        )
    done = [line["within"] for line in lines if not line["refused"]]
    if done:
        out += [
            "",
            f"Of {len(lines)} cells {len(lines) - len(done)} refused; of the draws of the "
            f"others {np.mean(done):.1%} within the tolerance, the lowest cell {min(done):.0%}.",
        ]
    return out


def _words(chosen: dict[str, Any]) -> str:
    """What a plan chose."""
    quiet = f" / {chosen['quiet_shots']}" if "quiet_shots" in chosen else ""
    return (
        f"{chosen['shots']}{quiet} shots, k {chosen['k']}, level {chosen['resilience_level']}, "
        f"{chosen['readout']}"
    )


def _times(line: dict[str, Any]) -> str:
    """Wall and processor time of a plan that was made from nothing."""
    return f"{line['wall']:.0f} s, {line['cpu']:.0f}" if "cpu" in line else ""


def oracle_table(log: Log) -> list[str]:
    """Planned prices over those of the cheapest candidates by the true labels."""
    out = [
        "| set, seed | planned QPU s | cheapest by the true labels | ratio |",
        "|---|---|---|---|",
    ]
    plans = {
        (line["data"], line["seed"]): line
        for line in log.lines
        if line["table"] == "truth" and not line["refused"]
        and (line["device"], line["tolerance"]) == ("fake_fez", 0.01)
    }  # fmt: skip
    for line in log.lines:
        plan = plans.get((line["data"], line.get("seed", -1)))
        if line["table"] == "oracle" and plan and "qpu" in line:
            out.append(
                f"| {line['data']}, {line['seed']} | {plan['qpu']:.1f} | {line['qpu']:.1f} "
                f"({_words(line['settings'])}) | {plan['qpu'] / line['qpu']:.2f} |"
            )
    return out if len(out) > 2 else []


def eight_table(log: Log) -> list[str]:
    """Planned seconds of the eight test splits on fake_fez, and what is assumed of them."""
    out = ["| set (images) | .005 | .01 | .02 |", "|---|---|---|---|"]
    for data, images in SIZES.items():
        cells = []
        for tolerance in TOLERANCES:
            mine, theirs = (_prices(log, name, tolerance) for name in (data, "retinamnist"))
            if mine:
                cells.append(f"{np.mean(mine):,.0f}")
            elif theirs and data not in SETS:
                grown = 2 + (np.mean(theirs) - 2) * images / SIZES["retinamnist"]
                cells.append(f"{grown:,.0f} (assumed)")
            else:
                cells.append("not run or refused")
        out.append(f"| {data} ({images:,}) | {' | '.join(cells)} |")
    months = [line for line in log.lines if line["table"] == "month"]
    if months:
        out += ["", "| one month on fake_boston, eight splits | plan | predicted loss, 95 % | mean"
                " loss"
                " by the true labels |", "|---|---|---|---|"]  # fmt: skip
        out += [
            f"| {m['data']}, {m['seconds']:.0f} s for all | {_words(m['settings'])} "
            f"| {m['predicted']:.4f}, {m['bound']:.4f} | {m['lost']:.4f} |"
            for m in months
        ]
    return out


def _prices(log: Log, data: str, tolerance: float) -> list[float]:
    """QPU seconds of the plans for a set on fake_fez."""
    wanted = ("truth", data, "fake_fez", tolerance)
    return [
        line["qpu"]
        for line in log.lines
        if (line["table"], line["data"], line.get("device"), line.get("tolerance")) == wanted
        and not line["refused"]
    ]


def write(log: Log, page: Path) -> None:
    """Put the tables between their marks in a page."""
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    tables = [*truth_table(log), "", *oracle_table(log), "", *eight_table(log)]
    page.write_text("\n".join([before + BEGIN, "", *tables, "", END + after]), encoding="utf-8")


def main() -> None:
    """Run a table, or write them all into the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("truth", "oracle", "month", "write"))
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--devices", nargs="*", default=list(DEVICES))
    parser.add_argument("--sets", nargs="*", default=list(SETS))
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--tolerances", nargs="*", type=float)
    parser.add_argument("--page", type=Path)
    given = parser.parse_args()
    log = Log(given.log)
    looking.KEPT = 6  # layouts are shared by tolerances here
    try:
        if given.what == "truth":
            tolerances = given.tolerances or [0.01, 0.02, 0.005]
            truths(log, given.devices, given.sets, given.seeds, tolerances)
        elif given.what == "oracle":
            oracles(log, given.sets, given.seeds)
        elif given.what == "month":
            month(log, given.sets)
        else:
            write(log, given.page)
    except JobError as error:
        raise SystemExit(str(error)) from error


if __name__ == "__main__":
    main()
