"""How often the intervals of `qvit_qiskit.comparison` hold the truth, by simulation.

    python benchmarks/interval_coverage.py
    python benchmarks/interval_coverage.py --methods delong --repeats 10000 --json coverage.json

Every repeat draws a new test set, labels included, from a population whose metrics are known (see
`populations.py`). Coverage that lies below nominal by more than two of its own Monte Carlo errors
is printed as "short by" so many percent points; chance does that to one right row in forty.

Methods: ``wilson`` (ACC); ``delong``, ``bca`` and, as most software has it, ``textbook`` (DeLong
with the normal quantile); paired ``auc-difference`` and ``acc-difference``, both also with
``-bca``; ``mean`` and, for contrast, ``plain-t`` and ``mean-bca`` (means over images); ``shots``
(AUC over redrawn shots, images held fixed). Bootstraps and shots take an eighth of the repeats, and
bootstraps and ``textbook`` fewer settings.
"""

from __future__ import annotations

import argparse
import json
import math
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from bootstrap import acc_difference_bca, auc_bca, auc_difference_bca, mean_bca
from populations import BALANCES, Array, Labels, Population, with_auc
from rich.console import Console
from rich.progress import track
from rich.table import Table
from scipy.special import expit, logit
from scipy.stats import norm, rankdata

from qvit_qiskit.statistics import differences, intervals
from qvit_qiskit.statistics.influence import areas, spread
from qvit_qiskit.statistics.intervals import Interval

AREAS = (0.6, 0.8, 0.9, 0.95, 0.99)
SIZES = (40, 156, 400, 624)
LEVEL = 0.95
Draw = Callable[[np.random.Generator], tuple[Interval, float]]
"""From a generator to the interval of a new test set, and the truth."""


@dataclass(frozen=True)
class Setting:
    """One cell of a table."""

    table: str
    method: str
    population: str
    n: int
    column: str

    @property
    def slow(self) -> bool:
        """Whether thousands of repeats would take minutes."""
        return self.method.endswith("bca") or self.method == "shots"


@dataclass(frozen=True)
class Row:
    """What was found in a setting."""

    setting: Setting
    repeats: int
    coverage: float
    width: float

    @property
    def error(self) -> float:
        """Monte Carlo error of the coverage."""
        return math.sqrt(self.coverage * (1 - self.coverage) / self.repeats)

    @property
    def short(self) -> float:
        """How far below nominal, 0 unless by more than two errors."""
        gap = LEVEL - self.coverage
        return gap if gap > 2 * self.error else 0.0


def measure(setting: Setting, draw: Draw, repeats: int, seed: int) -> Row:
    """Draw test sets; the seed depends on all but the method, so that methods see the same."""
    name = repr(replace(setting, method=""))
    rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
    found = [draw(child) for child in rng.spawn(repeats)]
    held = np.mean([i.low <= truth <= i.high for i, truth in found])
    return Row(setting, repeats, float(held), float(np.mean([i.high - i.low for i, _ in found])))


def textbook(labels: Labels, scores: Array) -> Interval:
    """DeLong on the logit scale with the normal quantile, as most software has it."""
    found = areas(labels, scores)
    value, error = found.mean, spread(found.influence, found.labels).error
    if not (0 < value < 1 and error > 1e-12):
        return intervals.auc_interval(labels, scores)
    reach = norm.ppf((1 + LEVEL) / 2) * error / (value * (1 - value))
    low, high = expit(logit(value) - reach), expit(logit(value) + reach)
    return Interval(value, low, high, LEVEL, "textbook", ())


ONE: dict[str, Callable[[Labels, Array], Interval]] = {
    "wilson": intervals.acc_interval,
    "delong": intervals.auc_interval,
    "textbook": textbook,
    "bca": auc_bca,
}


def one_rung(
    source: Population, n: int, method: str, rng: np.random.Generator
) -> tuple[Interval, float]:
    truth = source.truth()
    return ONE[method](*source.draw(n, rng)), truth.acc if method == "wilson" else truth.auc


def one_rung_settings(methods: Sequence[str]) -> Iterator[tuple[Setting, Draw]]:
    """AUC and ACC of one rung, with exact scores and with 32 shots."""
    for method in [name for name in ONE if name in methods]:
        for shots in (None, 32) if method in ("wilson", "delong") else (None,):
            for balance in _balances(method, shots):
                for n in SIZES[:3] if shots or method == "bca" else SIZES:
                    for auc in AREAS:
                        name = balance if shots is None else f"{balance}, {shots} shots"
                        setting = Setting("one rung", method, name, n, f"AUC {auc:g}")
                        draw = partial(one_rung, with_auc(balance, auc, shots), n, method)
                        yield setting, draw


def _balances(method: str, shots: int | None) -> tuple[str, ...]:
    if shots or method == "bca":
        return "27 : 73", "five"
    return ("27 : 73", "90 : 10") if method == "textbook" else tuple(BALANCES)


def two_rungs(
    first: Population, second: Population, n: int, method: str, rng: np.random.Generator
) -> tuple[Interval, float]:
    """The second sees the first's latent values, or as another model values that correlate."""
    labels = first.labels(n, rng)
    noise = rng.normal(size=first.centres(labels).shape)
    other = noise
    if second.shots is None:
        other = 0.7 * noise + math.sqrt(1 - 0.7**2) * rng.normal(size=noise.shape)
    scores = [
        source.probabilities(source.shares(source.centres(labels) + values, rng))
        for source, values in ((first, noise), (second, other))
    ]
    before, after = first.truth(), second.truth()
    change = after.acc - before.acc if method.startswith("acc") else after.auc - before.auc
    return PAIRED[method](labels, *scores), change


PAIRED: dict[str, Callable[[Labels, Array, Array], Interval]] = {
    "auc-difference": lambda *sides: differences.auc_difference(*sides).interval,
    "auc-difference-bca": auc_difference_bca,
    "acc-difference": lambda *sides: differences.acc_difference(*sides).interval,
    "acc-difference-bca": acc_difference_bca,
}


def paired_settings(methods: Sequence[str]) -> Iterator[tuple[Setting, Draw]]:
    """Exact against shots, and two models of AUC 0.85 and 0.9."""
    for method in [m for m in PAIRED if m in methods]:
        for balance in ("27 : 73", "five"):
            first = with_auc(balance, 0.85)
            seconds = {
                "1024 shots": replace(first, shots=1024),
                "32 shots": replace(first, shots=32),
                "two models": with_auc(balance, 0.9),
            }
            for n in SIZES[:3]:
                for column, second in seconds.items():
                    draw = partial(two_rungs, first, second, n, method)
                    yield Setting("differences", method, balance, n, column), draw


MEANS: dict[str, Callable[[Array], Interval]] = {
    "mean": intervals.mean_interval,
    "plain-t": intervals.seeds_interval,
    "mean-bca": mean_bca,
}


def mean(law: str, n: int, method: str, rng: np.random.Generator) -> tuple[Interval, float]:
    """Means of skewed values: squared normal ones (as in a mean square error), lognormal ones."""
    normal = rng.normal(size=n)
    if law == "squares":
        return MEANS[method](normal**2), 1.0
    return MEANS[method](np.exp(normal)), math.exp(0.5)


def mean_settings(methods: Sequence[str]) -> Iterator[tuple[Setting, Draw]]:
    """Means over images; a plain t interval and BCa for contrast."""
    for method in [m for m in MEANS if m in methods]:
        for n in SIZES:
            for law in ("squares", "lognormal"):
                setting = Setting("means", method, "skewed", n, law)
                yield setting, partial(mean, law, n, method)


def over_shots(source: Population, n: int, rng: np.random.Generator) -> tuple[Interval, float]:
    """AUC of fixed images; the truth is the mean over many executions of them."""
    labels = source.labels(n, rng)
    latent = rng.normal(source.centres(labels))
    recorded = source.shares(latent, rng)
    redrawn = source.shares(np.tile(logit(recorded.clip(1e-9, 1 - 1e-9)), (100, 1)), rng)
    truth = _areas(labels, source.shares(np.tile(latent, (400, 1)), rng)).mean()
    value = float(_areas(labels, recorded[None])[0])
    return intervals.shots_interval(value, _areas(labels, redrawn)), float(truth)


def _areas(labels: Labels, scores: Array) -> Array:
    """AUC of each row of scores."""
    m = np.count_nonzero(labels)
    ranks = rankdata(scores, axis=1)[:, labels == 1].sum(axis=1)
    return (ranks - m * (m + 1) / 2) / (m * (len(labels) - m))


def shots_settings(methods: Sequence[str]) -> Iterator[tuple[Setting, Draw]]:
    """Redraws of 128 shots."""
    if "shots" in methods:
        for n in SIZES[:3]:
            for auc in (0.8, 0.95, 0.99):
                setting = Setting("shots", "shots", "27 : 73, 128 shots", n, f"AUC {auc:g}")
                yield setting, partial(over_shots, with_auc("27 : 73", auc, 128), n)


TABLES = (one_rung_settings, paired_settings, mean_settings, shots_settings)
METHODS = (*ONE, *PAIRED, *MEANS, "shots")


def show(console: Console, rows: Sequence[Row]) -> None:
    """One line for each row."""
    table = Table(title=f"nominal {100 * LEVEL:g} %", title_justify="left")
    for name in ("method", "population", "truth"):
        table.add_column(name)
    for name in ("n", "repeats", "nominal %", "coverage %", "mean width", "short by"):
        table.add_column(name, justify="right")
    for row in rows:
        at = row.setting
        coverage = f"{100 * row.coverage:.1f} ± {100 * row.error:.1f}"
        short = f"{100 * row.short:.1f}" if row.short else ""
        table.add_row(
            *(at.method, at.population, at.column, str(at.n), str(row.repeats)),
            *(f"{100 * LEVEL:g}", coverage, f"{row.width:.3f}", short),
        )
    console.print(table)
    console.print(f"{sum(row.short > 0 for row in rows)} of {len(rows)} rows fall short.")


def markdown(rows: Sequence[Row]) -> Iterator[str]:
    """One table per kind, a cell for each row: coverage, width, shortage."""
    for kind in dict.fromkeys(row.setting.table for row in rows):
        own = [row for row in rows if row.setting.table == kind]
        columns = list(dict.fromkeys(row.setting.column for row in own))
        yield f"\n| {kind}: method | population | n | ± | {' | '.join(columns)} |"
        yield "|---|---|---|---|" + "---|" * len(columns)
        lines: dict[tuple[str, str, int], dict[str, Row]] = {}
        for row in own:
            at = row.setting
            lines.setdefault((at.method, at.population, at.n), {})[at.column] = row
        for (method, population, n), cells in lines.items():
            error = 100 * max(row.error for row in cells.values())
            texts = [_cell(cells[c]) if c in cells else "" for c in columns]
            yield f"| {method} | {population} | {n} | {error:.1f} | {' | '.join(texts)} |"


def _cell(row: Row) -> str:
    coverage, width = f"{100 * row.coverage:.1f}", f"({row.width:.3f})"
    return (
        f"**{coverage}, short by {100 * row.short:.1f}** {width}"
        if row.short
        else (f"{coverage} {width}")
    )


def record(row: Row) -> dict[str, object]:
    """A row for JSON."""
    found = {"nominal": LEVEL, "error": row.error, "short_by": row.short}
    return vars(row.setting) | {k: v for k, v in vars(row).items() if k != "setting"} | found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    parser.add_argument("--repeats", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--markdown", type=Path)
    arguments = parser.parse_args()
    order = {method: k for k, method in enumerate(METHODS)}
    cells = [cell for table in TABLES for cell in table(arguments.methods)]
    cells.sort(key=lambda cell: order[cell[0].method])
    console = Console(width=max(120, Console().width))
    rows = []
    for setting, draw in track(cells, "settings", console=Console(stderr=True)):
        repeats = max(arguments.repeats // 8, 1) if setting.slow else arguments.repeats
        rows.append(measure(setting, draw, repeats, arguments.seed))
    show(console, rows)
    if arguments.json:
        arguments.json.write_text(json.dumps([record(row) for row in rows], indent=1) + "\n")
    if arguments.markdown:
        arguments.markdown.write_text("\n".join(markdown(rows)).lstrip() + "\n")


if __name__ == "__main__":
    main()
