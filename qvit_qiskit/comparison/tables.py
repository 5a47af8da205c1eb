"""A comparison's numbers as pandas frames: every number with its interval, none worked out here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from qvit_qiskit.devices.prices import prices

if TYPE_CHECKING:
    from qvit_qiskit.comparison.findings.gains import Gain
    from qvit_qiskit.comparison.findings.image_answers import ImageAnswers
    from qvit_qiskit.comparison.findings.judgement import Answer, DeviceDifference
    from qvit_qiskit.comparison.findings.parts import LayerError
    from qvit_qiskit.comparison.findings.planned_loss import PlannedLoss
    from qvit_qiskit.comparison.findings.scores import ModelDifference, RungScores
    from qvit_qiskit.comparison.findings.shares import Share
    from qvit_qiskit.comparison.findings.systematic import Bias, Drift, MeanError
    from qvit_qiskit.statistics.differences import Difference
    from qvit_qiskit.statistics.intervals import Interval


def columns_of(name: str, interval: Interval | None) -> dict[str, float]:
    """A value and its limits as three columns; nan where there is none.

    Args:
        name: The column of the value; those of the interval are ``name low`` and ``name high``.
        interval: The value with its interval.
    """
    known = [interval.value, interval.low, interval.high] if interval else [np.nan] * 3
    return dict(zip((name, f"{name} low", f"{name} high"), known, strict=True))


def verdict_frame(answers: Sequence[Answer]) -> pd.DataFrame:
    """Two lines for each device, AUC and ACC: the loss, what it says, why, and what to do."""
    return pd.DataFrame(
        [
            {
                "rung": one.rung,
                "metric": verdict.metric,
                **columns_of("loss", verdict.loss),
                "level": verdict.loss.level,
                "tolerance": verdict.tolerance,
                "verdict": verdict.describe(),
                "images that would tell": verdict.images,
                "shots that would tell": verdict.shots,
                "cause": one.cause.text if one.cause else "",
                "advice": one.advice.text,
                "command": one.advice.command,
            }
            for one in answers
            for verdict in one.verdicts
        ]
    ).astype(
        # Whole numbers beside missing ones; without a line there is no column to convert.
        {"images that would tell": "Int64", "shots that would tell": "Int64"} if answers else {}
    )


def device_frame(differences: Sequence[DeviceDifference]) -> pd.DataFrame:
    """Paired differences between every two devices, with their tests."""
    return pd.DataFrame(
        [
            {"rung": one.rung, "than": one.than, **_difference_line(one.difference)}
            for one in differences
        ]
    )


def rung_frame(scores: Sequence[RungScores]) -> pd.DataFrame:
    """One line for each rung: scores with intervals, distance from the exact rung, cost."""
    return pd.DataFrame([_rung_line(one) for one in scores])


def _rung_line(scores: RungScores) -> dict[str, Any]:
    rung = scores.rung
    line: dict[str, Any] = {"rung": rung.name, "kind": rung.kind, "backend": rung.backend}
    line["intervals over"] = " and ".join(scores.auc.covers)
    for name, whole, drawn in (
        ("AUC", scores.auc, scores.auc_shots),
        ("ACC", scores.acc, scores.acc_shots),
    ):
        line |= columns_of(name, whole)
        limits = columns_of(f"{name} over shots", drawn)
        # The value over shots is the value over images, which stands beside it.
        line |= {key: value for key, value in limits.items() if key.endswith(("low", "high"))}
    line |= columns_of("agreement", scores.agreement)
    line |= columns_of("KL", scores.kl)
    line |= columns_of("output error", scores.error)
    # Cells without a number stay empty in CSV and null in JSON.
    line["shots"] = rung.shots
    line["mean shots"] = rung.shots if rung.mean_shots is None else rung.mean_shots
    line["QPU seconds"] = rung.qpu_seconds
    line["cost basis"] = rung.cost_basis
    line[str(prices()["currency"])] = rung.dollars
    return line


def difference_frame(scores: Sequence[RungScores]) -> pd.DataFrame:
    """Paired differences from the exact rung, with their tests."""
    return pd.DataFrame(
        [
            {"rung": one.rung.name, **_difference_line(difference)}
            for one in scores
            for difference in (one.auc_difference, one.acc_difference)
            if difference is not None
        ]
    )


def model_frame(differences: Sequence[ModelDifference]) -> pd.DataFrame:
    """What several models differ by from the first of them."""
    return pd.DataFrame(
        [
            {"model": one.model, "than": one.than, **_difference_line(one.difference)}
            for one in differences
        ]
    )


def _difference_line(difference: Difference) -> dict[str, Any]:
    return {
        "metric": difference.metric,
        **columns_of("difference", difference.interval),
        "intervals over": " and ".join(difference.interval.covers),
        "interval": difference.interval.method,
        "p": difference.p,
        "test": difference.test,
    }


def layer_frame(errors: Sequence[LayerError]) -> pd.DataFrame:
    """For each rung and quantum layer the error of its outputs and what it is made of.

    ``output error`` is a root mean square; the other columns are parts of its square
    (see `findings.parts`).
    """
    lines: list[dict[str, Any]] = []
    for one in errors:
        parts = one.parts
        lines.append(
            {
                "rung": one.rung,
                "layer": one.layer,
                **columns_of("output error", one.error),
                **columns_of("square from shots", parts.shots if parts else None),
                **columns_of("square from reported errors", parts.reported if parts else None),
                **columns_of("square from the rest", parts.rest if parts else None),
            }
        )
    return pd.DataFrame(lines)


def plan_frame(plans: Sequence[PlannedLoss]) -> pd.DataFrame:
    """A line for each planned run: what it was predicted to lose, and what it lost."""
    return pd.DataFrame(
        [
            {
                "rung": one.rung,
                "asked": one.plan.request.describe(),
                "chosen": one.plan.choice.describe(),
                "predicted AUC lost": one.plan.choice.auc_loss,
                "predicted AUC lost, at most": one.plan.choice.auc_bound,
                **columns_of("AUC lost", one.auc_lost),
                "predicted same answers": one.plan.choice.agreement,
                "predicted same answers, at least": one.plan.choice.agreement_bound,
                **columns_of("same answers", one.agreement),
            }
            for one in plans
        ]
    )


def gain_frame(gains: Sequence[Gain]) -> pd.DataFrame:
    """What correction by anchors changed: a line for each quantum layer, AUC and ACC."""
    lines: list[dict[str, Any]] = []
    for one in gains:
        for layer in one.layers:
            factor, shift = layer.common.applied
            lines.append(
                {
                    "rung": one.rung,
                    "than": one.than,
                    "what": f"outputs of layer {layer.layer}",
                    **columns_of("change", layer.change),
                    **columns_of("before", layer.before),
                    **columns_of("after", layer.after),
                    **columns_of("change with shots", layer.change_with_shots),
                    "anchors": layer.common.anchors,
                    "factor": factor,
                    "factor error": layer.common.errors[0],
                    "shift": shift,
                    "shift error": layer.common.errors[1],
                }
            )
        lines += [
            {
                "rung": one.rung,
                "than": one.than,
                "what": difference.metric,
                **columns_of("change", difference.interval),
                "p": difference.p,
            }
            for difference in one.differences
        ]
    return pd.DataFrame(lines)


def share_frame(shares: Sequence[Share]) -> pd.DataFrame:
    """For each recorded rung and quantum layer its share of what moved the logits."""
    return pd.DataFrame(
        [
            {
                "rung": one.rung,
                "part": one.part,
                **columns_of("share", one.share),
                **columns_of("effect on logits", one.effect),
            }
            for one in shares
        ]
    )


def bias_frame(biases: Sequence[Bias]) -> pd.DataFrame:
    """Mean errors of every quantum layer by output, physical qubit and copy on the chip."""
    return pd.DataFrame(
        [
            {
                "rung": one.rung,
                "layer": one.layer,
                "by": one.by,
                "number": mean.number,
                "values": mean.count,
                **_mean_error(mean),
                "interval over": one.over,
            }
            for one in biases
            for mean in one.errors
        ]
    )


def drift_frame(drifts: Sequence[Drift]) -> pd.DataFrame:
    """Mean errors from job to job, in the order of time.

    Rows differ between jobs, and with them their mean error; repeated rows (anchors) do not.
    """
    lines: list[dict[str, Any]] = []
    for one in drifts:
        times = one.times or ("",) * len(one.errors)  # nobody knows when rows of old runs ran
        for mean, time in zip(one.errors, times, strict=True):
            lines.append(
                {
                    "rung": one.rung,
                    "layer": one.layer,
                    "from": one.source,
                    "job": mean.number + 1,  # people count from 1
                    "time": time,
                    "rows": mean.count,
                    **_mean_error(mean),
                }
            )
    return pd.DataFrame(lines)


def hypothesis_frame(tested: Sequence[Bias | Drift]) -> pd.DataFrame:
    """Chi-square tests of what `bias_frame` and `drift_frame` show."""
    return pd.DataFrame(
        [
            {
                "rung": test.rung,
                "layer": test.layer,
                "hypothesis": test.claim,
                "chi-square": test.chi_square,
                "degrees of freedom": test.freedom,
                "p": test.p,
            }
            for one in tested
            if (test := one.test) is not None
        ]
    )


def _mean_error(mean: MeanError) -> dict[str, float]:
    return {"bias": mean.value, "bias low": mean.low, "bias high": mean.high}


def prediction_frame(
    by_image: Mapping[str, ImageAnswers], labels: np.ndarray, class_names: Sequence[str]
) -> pd.DataFrame:
    """What every rung answers to every image.

    Args:
        by_image: The answers, by rung.
        labels: Classes, shape (n,), or 0 and 1 of several labels, shape (n, labels).
        class_names: Of the classes or labels.

    Returns:
        Columns `rung`, `image` (counted from 0 among those compared), `class`, `answer`,
        `changed` (from the exact rung's answer) and `probability of NAME` for each class; with
        several labels, for each of them `NAME`, `answer NAME`, `changed NAME` and
        `probability of NAME`.
    """
    frames = []
    for rung, answers in by_image.items():
        columns: dict[str, Any] = {"rung": rung, "image": np.arange(len(labels))}
        if labels.ndim == 1:
            columns["class"] = [class_names[k] for k in labels]
            columns["answer"] = [class_names[k] for k in answers.answers]
            columns["changed"] = answers.differs
        for k, name in enumerate(class_names):
            if labels.ndim == 2:
                columns[name] = labels[:, k]
                columns[f"answer {name}"] = answers.answers[:, k]
                columns[f"changed {name}"] = answers.differs[:, k]
            columns[f"probability of {name}"] = answers.probabilities[:, k]
        frames.append(pd.DataFrame(columns))
    return pd.concat(frames, ignore_index=True)


def change_frame(
    by_image: Mapping[str, ImageAnswers], labels: np.ndarray, class_names: Sequence[str], exact: str
) -> pd.DataFrame:
    """The answers that are others than the exact rung's.

    Args:
        by_image: The answers, by rung.
        labels: Classes, shape (n,), or 0 and 1 of several labels, shape (n, labels).
        class_names: Of the classes or labels.
        exact: The name of the exact rung.

    Returns:
        Columns `rung`, `image`, `class`, `exact answer` and `answer`; with several labels `label`
        before `class`, one line for each of them, and no or yes in the last three.
    """
    lines: list[dict[str, Any]] = []
    several = labels.ndim == 2
    words = ("no", "yes") if several else class_names
    for rung, answers in by_image.items():
        for place in np.argwhere(answers.differs):
            at = tuple(int(k) for k in place)
            line: dict[str, Any] = {"rung": rung, "image": at[0]}
            line |= {"label": class_names[at[1]]} if several else {}
            line["class"] = words[int(labels[at])]
            line["exact answer"] = words[int(by_image[exact].answers[at])]
            line["answer"] = words[int(answers.answers[at])]
            lines.append(line)
    middle = ["label"] if several else []
    heads = ["rung", "image", *middle, "class", "exact answer", "answer"]
    return pd.DataFrame(lines, columns=heads)
