"""A comparison as pandas frames: every number with its interval."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm  # type: ignore[import-untyped]

from qvit_qiskit import metrics
from qvit_qiskit.comparison.bias import Means, anchor_drift, errors_of, same_bias, zero_bias
from qvit_qiskit.comparison.budget import budget
from qvit_qiskit.comparison.data import ComparisonData, Rung
from qvit_qiskit.comparison.scores import Scores, output_error, scores, share_intervals
from qvit_qiskit.devices.prices import prices
from qvit_qiskit.statistics.differences import Difference, acc_difference, auc_difference
from qvit_qiskit.statistics.intervals import Interval, rms_interval

LEVEL = 0.95
"""Of all intervals."""


def columns_of(name: str, interval: Interval | None) -> dict[str, float]:
    """A value and its limits as three columns; nan where there is none."""
    known = [interval.value, interval.low, interval.high] if interval else [np.nan] * 3
    return dict(zip((name, f"{name} low", f"{name} high"), known, strict=True))


def rung_frame(comparison: ComparisonData) -> pd.DataFrame:
    """One line for each rung: scores with intervals, distance from the exact rung, cost."""
    return pd.DataFrame([_rung_line(found) for found in scores(comparison)])


def _rung_line(found: Scores) -> dict[str, Any]:
    rung = found.rung
    line: dict[str, Any] = {"rung": rung.name, "kind": rung.kind, "backend": rung.backend}
    line["intervals over"] = " and ".join(found.auc.covers)
    for name, whole, drawn in (
        ("AUC", found.auc, found.auc_shots),
        ("ACC", found.acc, found.acc_shots),
    ):
        line |= columns_of(name, whole)
        limits = columns_of(f"{name} over shots", drawn)
        line |= {key: value for key, value in limits.items() if key.endswith(("low", "high"))}
    line |= columns_of("agreement", found.agreement)
    line |= columns_of("KL", found.kl)
    line |= columns_of("output error", found.error)
    line["shots"] = rung.shots
    line["QPU seconds"] = rung.qpu_seconds
    line["cost basis"] = rung.cost_basis
    line[str(prices()["currency"])] = rung.dollars
    return line


def difference_frame(comparison: ComparisonData) -> pd.DataFrame:
    """Paired differences from the exact rung, with their tests."""
    return pd.DataFrame(
        [
            {"rung": found.rung.name, **_difference_line(difference)}
            for found in scores(comparison)
            for difference in (found.auc_difference, found.acc_difference)
            if difference is not None
        ]
    )


def model_frame(comparisons: Sequence[ComparisonData], names: Sequence[str]) -> pd.DataFrame:
    """Paired differences of the exact rungs of several models from that of the first.

    Args:
        comparisons: Of several models on the same images.
        names: Of the models.
    """
    labels = comparisons[0].labels
    chances = [metrics.softmax(comparison.exact.logits) for comparison in comparisons]
    return pd.DataFrame(
        [
            {"model": name, "than": names[0], **_difference_line(find(labels, chances[0], other))}
            for name, other in zip(names[1:], chances[1:], strict=True)
            for find in (auc_difference, acc_difference)
        ]
    )


def _difference_line(found: Difference) -> dict[str, Any]:
    return {
        "metric": found.metric,
        **columns_of("difference", found.interval),
        "intervals over": " and ".join(found.interval.covers),
        "interval": found.interval.method,
        "p": found.p,
        "test": found.test,
    }


def layer_frame(comparison: ComparisonData) -> pd.DataFrame:
    """For each rung and quantum layer the error of its outputs and what it is made of.

    ``output error`` is a root mean square; the other columns are parts of its square
    (see `budget.budget`).
    """
    lines: list[dict[str, Any]] = []
    images = len(comparison.labels)
    for rung in _known(comparison):
        parts = budget(rung, images) if rung.shots and rung.executions else []
        for layer in range(len(rung.layers)):
            line: dict[str, Any] = {"rung": rung.name, "layer": layer + 1}
            line |= columns_of("output error", output_error(rung, images, layer))
            part = parts[layer] if parts else None
            line |= columns_of("square from shots", part.shots if part else None)
            line |= columns_of("square from reported errors", part.reported if part else None)
            line |= columns_of("square from the rest", part.rest if part else None)
            lines.append(line)
    return pd.DataFrame(lines)


def attribution_frame(comparison: ComparisonData) -> pd.DataFrame:
    """For each recorded rung and quantum layer its share of what moved the logits."""
    lines: list[dict[str, Any]] = []
    for name, found in comparison.attributions.items():
        shares = share_intervals(found)
        parts = [*found.effects, found.interaction]
        labels = [f"layer {k + 1}" for k in range(len(found.effects))] + ["interaction"]
        for label, part, share in zip(labels, parts, shares, strict=True):
            lines.append(
                {
                    "rung": name,
                    "part": label,
                    **columns_of("share", share),
                    **columns_of("effect on logits", rms_interval(part)),
                }
            )
    return pd.DataFrame(lines)


def bias_frame(comparison: ComparisonData) -> pd.DataFrame:
    """Mean errors of every quantum layer by output, physical qubit and copy on the chip.

    By output and qubit the interval says how well the mean over these rows is known, by copy it
    comes from the scatter of the rows, which differ from copy to copy.
    """
    lines: list[dict[str, Any]] = []
    for rung, layer, by, means in _biases(comparison):
        over = "rows" if not rung.shots else "rows and shots" if by == "copy" else "shots"
        for k, label in enumerate(means.labels):
            lines.append(
                {
                    "rung": rung.name,
                    "layer": layer + 1,
                    "by": by,
                    "number": int(label),
                    "values": int(means.counts[k]),
                    **_normal("bias", means, k),
                    "interval over": over,
                }
            )
    return pd.DataFrame(lines)


def drift_frame(comparison: ComparisonData) -> pd.DataFrame:
    """Mean errors from job to job, in the order of time.

    Rows differ between jobs, and with them their mean error; repeated rows (anchors) do not.
    """
    lines: list[dict[str, Any]] = []
    for rung, layer, source, means, times in _drifts(comparison):
        for k, job in enumerate(means.labels):
            lines.append(
                {
                    "rung": rung,
                    "layer": layer + 1,
                    "from": source,
                    "job": int(job) + 1,
                    "time": times[int(job)] if times else "",
                    "rows": int(means.counts[k]),
                    **_normal("bias", means, k),
                }
            )
    return pd.DataFrame(lines)


def hypothesis_frame(comparison: ComparisonData) -> pd.DataFrame:
    """Chi-square tests of what `bias_frame` and `drift_frame` show."""
    asked = {"output": "no bias of any output", "qubit": "no bias of any qubit",
             "copy": "the same bias on all copies"}  # fmt: skip
    found = [
        (rung.name, layer, asked[by], means)
        for rung, layer, by, means in _biases(comparison)
        if by != "qubit" or len(means.labels) > rung.layers[layer][0].values.shape[1]
    ]  # on a single copy outputs and qubits are the same
    found += [
        (rung, layer, f"the same bias in all jobs, from {source}", means)
        for rung, layer, source, means, _ in _drifts(comparison)
    ]
    return pd.DataFrame(
        [
            {
                "rung": rung,
                "layer": layer + 1,
                "hypothesis": hypothesis,
                "chi-square": means.chi_square,
                "degrees of freedom": means.freedom,
                "p": means.p,
            }
            for rung, layer, hypothesis, means in found
            if means.freedom
        ]
    )


def _normal(name: str, means: Means, k: int) -> dict[str, float]:
    reach = float(norm.ppf((1 + LEVEL) / 2)) * float(means.errors[k])
    value = float(means.means[k])
    return {name: value, f"{name} low": value - reach, f"{name} high": value + reach}


def _known(comparison: ComparisonData) -> list[Rung]:
    """The rungs whose outputs are compared with exact ones."""
    return [rung for rung in comparison.rungs[1:] if rung.deltas is not None]


def _biases(comparison: ComparisonData) -> Iterable[tuple[Rung, int, str, Means]]:
    for rung in _known(comparison):
        for layer in range(len(rung.executions or [])):
            errors = errors_of(rung, layer)
            yield rung, layer, "output", zero_bias(errors, "output")
            if all(e.qubits is not None and (e.qubits >= 0).any() for e in errors):
                yield rung, layer, "qubit", zero_bias(errors, "qubit")
            if any(e.copies is not None and e.copies.any() for e in errors):
                yield rung, layer, "copy", same_bias(errors, "copy")


def _drifts(comparison: ComparisonData) -> Iterable[tuple[str, int, str, Means, tuple[str, ...]]]:
    for rung in _known(comparison):
        for layer, where in enumerate(rung.executions or []):
            if where.jobs is not None and len(where.times) > 1:
                means = same_bias(errors_of(rung, layer), "job")
                yield rung.name, layer, "different rows", means, where.times
    first = next(iter(comparison.attributions), "hardware")
    known = comparison.anchors_by_rung or {first: comparison.anchors}
    for recorded, repeated in known.items():
        for layer, anchors in enumerate(repeated):
            yield recorded, layer, "repeated rows", anchor_drift(anchors), anchors.times
