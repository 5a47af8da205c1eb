"""How often the words of a comparison's verdict are wrong: simulated runs whose true loss is known.

    python benchmarks/verdicts.py [--repeats 2000] [--tolerance 0.005] [--out docs/verdicts.md]

Scores of two classes are normal; those of a device are normal too and go along with the exact ones
(correlation 0.97). How far the classes lie apart on the device
gives its true loss of AUC or ACC in closed form: AUC = Φ(d/√2), ACC = Φ(d/2). Every device of a
repeat has the same true loss; a repeat is wrong if any of its devices is called what it is not.
"""

from __future__ import annotations

import argparse
import itertools
import math
from collections import Counter
from pathlib import Path

import numpy as np
from scipy.special import ndtr, ndtri

from qvit_qiskit import metrics
from qvit_qiskit.statistics.differences import acc_difference, auc_difference
from qvit_qiskit.statistics.verdicts import TOLERANCE, Word, corrected_level, verdict_on

APART = 1.5
"""Between the means of the exact scores of the two classes; AUC 0.856, ACC 0.773."""
POSITIVE = 0.5
LOSSES = (0.0, 0.5, 1.0, 1.2, 2.0)
"""True losses in tolerances."""
SIZES = (24, 100, 400)
DEVICES = (1, 2, 3)
CORRELATION = 0.97
"""Of a device's scores with the exact ones, within a class."""
METRICS = {"AUC": (auc_difference, math.sqrt(2)), "ACC": (acc_difference, 2.0)}


def apart_with(loss: float, metric: str) -> float:
    """How far the classes lie apart where the metric is lower by a loss."""
    scale = METRICS[metric][1]
    return float(scale * ndtri(ndtr(APART / scale) - loss))


def draw(
    rng: np.random.Generator, n: int, devices: int, apart: float
) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """Labels (n,), exact probabilities and those of every device, each (n, 2)."""
    labels = (rng.random(n) < POSITIVE).astype(int)
    side = labels - 0.5
    common = rng.normal(size=n)
    found = []
    for _ in range(devices):
        own = rng.normal(size=n)
        noise = CORRELATION * common + math.sqrt(1 - CORRELATION**2) * own
        found.append(_probabilities(apart * side + noise))
    return labels, _probabilities(APART * side + common), found


def _probabilities(score: np.ndarray) -> np.ndarray:
    p = metrics.sigmoid(score)
    return np.stack([1 - p, p], axis=1)


def words(
    rng: np.random.Generator,
    metric: str,
    n: int,
    devices: int,
    loss: float,
    tolerance: float,
) -> list[Word]:
    """The word for each device of one simulated comparison."""
    difference = METRICS[metric][0]
    labels, exact, measured = draw(rng, n, devices, apart_with(loss * tolerance, metric))
    level = corrected_level(devices)
    return [
        verdict_on(difference(labels, exact, one, level), tolerance, images=n).word
        for one in measured
    ]


def main() -> None:
    """Count the words and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=2000)
    parser.add_argument("--tolerance", type=float, default=TOLERANCE)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    lines = [
        "| metric | images | devices | true loss / tolerance | called as good | called worse "
        "| all undecided |",
        "|---|---|---|---|---|---|---|",
    ]
    worst: Counter[str] = Counter()
    cells = itertools.product(METRICS, SIZES, DEVICES, LOSSES)
    for number, (metric, n, devices, loss) in enumerate(cells):
        counts = Counter[str]()
        for repeat in range(asked.repeats):
            rng = np.random.default_rng((number, repeat))
            called = set(words(rng, metric, n, devices, loss, asked.tolerance))
            counts.update(called)
            counts["only undecided"] += called == {"undecided"}
        shares = {word: counts[word] / asked.repeats for word in ("as good", "worse")}
        if loss >= 1:
            worst["as good"] = max(worst["as good"], counts["as good"])
        if loss == 0:
            worst["worse"] = max(worst["worse"], counts["worse"])
        lines.append(
            f"| {metric} | {n} | {devices} | {loss:g} | {shares['as good']:.3f} | "
            f"{shares['worse']:.3f} | {counts['only undecided'] / asked.repeats:.3f} |"
        )
        print(lines[-1], flush=True)
    good, worse = (100 * worst[word] / asked.repeats for word in ("as good", "worse"))
    told = (
        f"Of {asked.repeats:,} repeats a cell, tolerance {asked.tolerance:g}: “as good” where the "
        f"true loss is the tolerance or more in at most {good:.1f} % of any cell, “worse” where "
        f"there is none in at most {worse:.1f} %."
    )
    print(told)
    if asked.out:
        asked.out.write_text(_page(told, lines), encoding="utf-8")


def _page(told: str, lines: list[str]) -> str:
    return "\n".join(
        [
            "# How often the verdict is wrong",
            "",
            "A comparison calls a device “as good”, “worse” or “undecided” by the confidence "
            "interval of its loss of AUC and of ACC against the exact model on the same images. "
            "“As good” means that the whole interval lies below the tolerance (0.005 where nobody "
            "stated another), “worse” that it lies above 0; where both hold, “as good” is said. "
            "With several devices each interval has the level that makes all of them hold together "
            "(Bonferroni).",
            "",
            told + " Scores are normal, the device's correlated with the exact ones; how "
            "the simulation is made stands in `benchmarks/verdicts.py`, which writes this page: "
            "`python benchmarks/verdicts.py --out docs/verdicts.md`.",
            "",
            *lines,
            "",
        ]
    )


if __name__ == "__main__":
    main()
