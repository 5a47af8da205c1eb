"""Adaptive shots against equal ones: executions for the same agreement, and whether intervals hold.

    python benchmarks/adaptive.py executions CHECKPOINT ... [--data DIR] [--runs 20]
    python benchmarks/adaptive.py coverage CHECKPOINT ... [--data DIR] [--repeats 400]

The first quantum layer of a checkpoint lies on as many copies as fit on fake_fez. Every run has
seats of its own, also from share to share, and draws bits from the probabilities of the engine of
device noise; the model works out logits, and redraws of the shots the covariances by which the
rule of `qvit_qiskit.statistics.stopping` decides, as a run does.

`executions` runs 512 equal shots and the rule with several levels, and prints how many executions
and how much agreement with the exact model each has. `coverage` repeats a whole run and asks how
often the intervals of one run, by redraws that repeat the stopping rule, hold the mean over all; to
be done in minutes, its runs take the covariances of logits from slopes instead of redraws.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import report
from anchors import copies_of
from simulated_chip import HONEST, Chip, build
from torch import Tensor, nn

from qvit_qiskit import metrics
from qvit_qiskit.comparison.rungs import AROUND
from qvit_qiskit.data import load
from qvit_qiskit.hardware.stages.stage_plan import seat
from qvit_qiskit.inference.layer_estimator import LayerAnswers, LayerEstimator, logits_of
from qvit_qiskit.statistics.intervals import shots_interval
from qvit_qiskit.statistics.stopping import StoppingRule, possible_logits, repeat
from qvit_qiskit.training.checkpoint import load_checkpoint

EQUAL, REDRAWS, BATCH, STEP = 512, 48, 1024, 1e-3
SEED = 0
"""Of the seats, as a profile has one: repeats of a run put equal rows on equal copies."""


@dataclass(frozen=True)
class Subject:
    """A model on its test images, on a simulated chip."""

    name: str
    model: nn.Module
    images: Tensor
    labels: np.ndarray
    chip: Chip
    index: np.ndarray
    """The executed row of every output: shape (projections, images, rows of an image)."""

    @classmethod
    def of(cls, path: Path, data: Path | None, device: str) -> Subject:
        """A checkpoint on the test split that it was trained for."""
        loaded = load_checkpoint(path)
        name = str(loaded.provenance["dataset"])
        split = load(name, root=data).test
        images = split.tensors()[0]
        chip = build(loaded.model, images, device, "auto", (HONEST,))
        index = np.stack([rows.reshape(len(images), -1) for _, rows in chip.rows.pubs])
        return cls(name, loaded.model, images, split.labels, chip, index)

    def logits(self, values: np.ndarray, chosen: np.ndarray) -> np.ndarray:
        """Logits of some images at outputs of shape (projections, images, rows, K)."""
        layer = [each.reshape(-1, each.shape[-1]) for each in values]
        estimator = LayerEstimator(None, [LayerAnswers(layer)], notes=False)
        return logits_of(self.model, self.images[chosen], estimator, BATCH)

    @cached_property
    def slopes(self) -> np.ndarray:
        """How logits move with outputs: (n, classes, projections, rows of an image, K)."""
        base, chosen = self.chip.exact[self.index], np.arange(len(self.images))
        before, found = self.logits(base, chosen), []
        for place in np.ndindex(base.shape[0], base.shape[2], base.shape[3]):
            moved = base.copy()
            moved[place[0], :, place[1], place[2]] += STEP
            found.append((self.logits(moved, chosen) - before) / STEP)
        shape = (base.shape[0], base.shape[2], base.shape[3], *before.shape)
        return np.moveaxis(np.reshape(found, shape), (3, 4), (0, 1))

    def exact(self) -> np.ndarray:
        """Logits without any error."""
        return self.logits(self.chip.exact[self.index], np.arange(len(self.images)))

    def executions(self, shots: int, images: np.ndarray) -> int:
        """Executions of a share: rows side by side on the copies."""
        rows = len(np.unique(self.index[:, images]))
        return shots * -(-rows // self.chip.copies)


@dataclass(frozen=True)
class Outcome:
    """A run."""

    logits: np.ndarray
    shots: np.ndarray  # shape: (n,)
    executions: int
    covariances: np.ndarray  # shape: (n, classes, classes), of the logits


def run(
    subject: Subject, rule: StoppingRule, rng: np.random.Generator, *, linear: bool = False
) -> Outcome:
    """One run: shares of shots until every image is settled or has had the most.

    Linear: covariances of logits from the slopes at the exact outputs instead of from redraws,
    which takes a hundredth of the time.
    """
    n, chip = len(subject.images), subject.chip
    projections, _, rows = subject.index.shape
    width = chip.exact.shape[1]
    sums = np.zeros((projections, n, rows, width))
    spreads = np.zeros((projections, n, rows, width, width))
    shots, executions = np.zeros(n, int), 0
    logits, covariances = np.zeros((2, 0, 0))
    chosen = np.arange(n)
    for number, size in enumerate(rule.sizes):
        asked = np.unique(subject.index[:, chosen])
        copies = copies_of(seat(len(asked), chip.copies, SEED), len(asked))
        values, own = chip.draw(HONEST, asked, copies, size, rng)
        place = np.searchsorted(asked, subject.index[:, chosen])
        sums[:, chosen] += size * values[place]
        spreads[:, chosen] += size**2 * own[place]
        shots[chosen] += size
        executions += subject.executions(size, chosen)
        now = sums[:, chosen] / shots[chosen, None, None]
        noise = spreads[:, chosen] / shots[chosen, None, None, None] ** 2
        _raise(noise, int(shots[chosen[0]]))
        if linear:
            slopes = subject.slopes[chosen]
            told = subject.logits(now, chosen)
            spread = np.einsum("ncprk,pnrkl,ndprl->ncd", slopes, noise, slopes, optimize=True)
        else:
            told, spread = _answers(subject, now, noise, chosen, REDRAWS if rule.level else 0, rng)
        if not number:
            logits, covariances = told, spread
        logits[chosen], covariances[chosen] = told, spread
        chosen = chosen[~rule.settled(told, spread)]
        if not len(chosen):
            break
    return Outcome(logits, shots, executions, covariances)


def _raise(noise: np.ndarray, shots: int) -> None:
    """No output is without noise, also where all shots agree: Laplace's rule, as in runs."""
    diagonal = np.einsum("...kk->...k", noise)
    diagonal[...] = np.maximum(diagonal, 4 * (shots + 1) / ((shots + 2) ** 2 * shots))


def _answers(
    subject: Subject, values: np.ndarray, noise: np.ndarray, chosen: np.ndarray, redraws: int,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Logits, and the covariances of redraws of the shots; 0 without any."""
    logits = subject.logits(values, chosen)
    if not redraws:
        return logits, np.zeros((*logits.shape, logits.shape[1]))
    eigen, vectors = np.linalg.eigh(noise)
    roots = vectors * np.sqrt(eigen.clip(0.0))[..., None, :]
    drawn = []
    for _ in range(redraws):
        moved = np.einsum("...kl,...l->...k", roots, rng.standard_normal(values.shape))
        drawn.append(subject.logits(values + moved, chosen))
    stacked = np.stack(drawn)
    centred = stacked - stacked.mean(axis=0)
    return logits, np.einsum("dnk,dnl->nkl", centred, centred) / (redraws - 1)


def agreement(subject: Subject, logits: np.ndarray, exact: np.ndarray) -> float:
    """The share of images with the exact model's answer."""
    return float(np.mean(logits.argmax(axis=1) == exact.argmax(axis=1)))


def executions(
    subject: Subject, runs: int, rules: dict[str, StoppingRule], *, linear: bool
) -> Iterator[dict]:
    """Every rule in every run, on the same chip."""
    exact = subject.exact()
    equal = subject.executions(EQUAL, np.arange(len(subject.images)))
    for name, rule in rules.items():
        told = [
            run(subject, rule, np.random.default_rng([seed, 1]), linear=linear and rule.level > 0)
            for seed in range(runs)
        ]
        same = np.array([agreement(subject, one.logits, exact) for one in told])
        spent = np.array([one.executions for one in told]) / equal
        scores = [metrics.score(subject.labels, one.logits) for one in told]
        yield {
            "set": subject.name, "rule": name, "runs": runs,
            "agreement": float(same.mean()), "error": float(same.std(ddof=1) / np.sqrt(runs)),
            "executions": float(spent.mean()), "most": float(spent.max()),
            "mean shots": float(np.mean([one.shots.mean() for one in told])),
            "AUC": float(np.mean([s.auc for s in scores])),
            "ACC": float(np.mean([s.acc for s in scores])),
        }  # fmt: skip


def coverage(subject: Subject, rule: StoppingRule, repeats: int, redraws: int) -> Iterator[dict]:
    """How often the interval of one run holds the mean over all."""
    told = []
    for seed in range(repeats):
        one = run(subject, rule, np.random.default_rng([seed, 2]), linear=True)
        rng = np.random.default_rng([seed, 3])
        possible = possible_logits(one.logits, one.covariances, redraws // AROUND, rng)
        truth = np.repeat(possible, AROUND, axis=0)
        per_shot = one.covariances * one.shots[:, None, None]
        again = repeat(truth, per_shot, rule, len(truth), rng)
        told.append((one, again))
    labels = subject.labels
    for metric, groups in ((metrics.auc, redraws // AROUND), (metrics.accuracy, 1)):
        values = [metric(labels, metrics.probabilities(one.logits)) for one, _ in told]
        truth, held = float(np.mean(values)), []
        for value, (_, again) in zip(values, told, strict=True):
            drawn = [metric(labels, metrics.probabilities(each)) for each in again.logits]
            interval = shots_interval(value, drawn, groups=groups)
            held.append(interval.low <= truth <= interval.high)
        share = float(np.mean(held))
        yield {
            "set": subject.name, "metric": metric.__name__, "repeats": repeats, "coverage": share,
            "error": float(np.sqrt(share * (1 - share) / repeats)),
            "deviation": float(np.std(values, ddof=1)), "mean": truth,
        }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("what", choices=("executions", "coverage"))
    parser.add_argument("checkpoints", type=Path, nargs="+")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--device", default="fake_fez")
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=400)
    parser.add_argument("--redraws", type=int, default=100)
    parser.add_argument("--first", type=int, default=32)
    parser.add_argument("--most", type=int, default=1024)
    parser.add_argument("--levels", type=float, nargs="+", default=[0.9, 0.95, 0.99])
    parser.add_argument("--linear", action="store_true", help="slopes instead of redraws")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    lines = []
    for path in options.checkpoints:
        subject = Subject.of(path, options.data, options.device)
        rules = {
            f"{level:g}": StoppingRule.doubling(options.first, options.most, level)
            for level in options.levels
        }
        if options.what == "executions":
            equal = {f"{EQUAL} equal shots": StoppingRule((EQUAL,), 0.0)}
            steps = executions(subject, options.runs, equal | rules, linear=options.linear)
        else:
            rule = next(iter(rules.values()))
            steps = coverage(subject, rule, options.repeats, options.redraws)
        for line in steps:
            lines.append(line)
            print(json.dumps(line), flush=True)
    if options.json:
        record = {"machine": report.machine(1), "lines": lines}
        options.json.write_text(json.dumps(record, indent=2))


if __name__ == "__main__":
    main()
