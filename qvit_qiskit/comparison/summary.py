"""The answer of a comparison in words: what terminal, page and notebook say first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qvit_qiskit.pages.table import cell, listed, p_value
from qvit_qiskit.statistics.verdicts import short

if TYPE_CHECKING:
    from qvit_qiskit.comparison.findings.judgement import Answer, Conclusion, DeviceDifference
    from qvit_qiskit.statistics.verdicts import Verdict

MOST = 1_000_000
"""More images or shots than this are not counted out."""


@dataclass(frozen=True)
class Line:
    """A named line of an answer."""

    name: str
    text: str
    command: str = ""


@dataclass(frozen=True)
class DeviceSummary:
    """What is said of one device."""

    headline: str
    word: str
    """The gravest word of both metrics, which decides the colour."""
    lines: tuple[Line, ...]


def summaries(outcome: Conclusion) -> tuple[DeviceSummary, ...]:
    """What is said of every judged rung, in the order of the rungs."""
    return tuple(_summary(one, outcome.images) for one in outcome.answers)


def rule(outcome: Conclusion) -> str:
    """What the words of the verdicts rest on, in a sentence; empty where nothing was judged."""
    if not outcome.answers:
        return ""
    count = len(outcome.answers)
    loss = outcome.answers[0].auc.loss
    corrected = (
        f", at the {100 * loss.level:.3g} % level, so that all {count} hold together at 95 %"
    )
    return (
        "A loss is the exact model's score less the other's, on the same images. “As good” means "
        f"that its whole interval lies below the tolerance of {short(outcome.tolerance)}, "
        f"“worse” that it lies above 0. Intervals cover {' and '.join(loss.covers)}"
        f"{corrected if count > 1 else ', at the 95 % level'}."
    )


def between_devices(outcome: Conclusion) -> str:
    """What tells the devices apart, in a sentence; empty for fewer than two."""
    if not outcome.device_differences:
        return ""
    apart = [one for one in outcome.device_differences if _apart(one)]
    if not apart:
        return (
            "These images do not tell the devices apart, in AUC or in ACC: "
            f"{listed([_difference(one) for one in outcome.device_differences])}."
        )
    return f"Between the devices: {listed([_difference(one) for one in apart])}."


def plain_text(outcome: Conclusion) -> list[str]:
    """The answer as lines of text without colours; without a rung to judge only the title."""
    lines = [outcome.title]
    for one in summaries(outcome):
        lines += ["", one.headline]
        for line in one.lines:
            lines.append(f"  {line.name}: {line.text}")
            if line.command:
                lines.append(f"      {line.command}")
    lines += ["", *filter(None, (between_devices(outcome), rule(outcome)))]
    return lines


def _summary(answer: Answer, images: int) -> DeviceSummary:
    words = [verdict.word for verdict in answer.verdicts]
    gravest = next(word for word in ("worse", "undecided", "as good") if word in words)
    lines = [
        *(Line(f"loss of {v.metric}", _loss(v, images)) for v in answer.verdicts),
        *([Line("largest part of the error", answer.cause.text)] if answer.cause else []),
        Line("what to do", answer.advice.text, answer.advice.command),
    ]
    return DeviceSummary(f"{answer.rung}: {_headline(answer.verdicts)}", gravest, tuple(lines))


def _headline(verdicts: Sequence[Verdict]) -> str:
    sentences = [verdict.describe() for verdict in verdicts]
    if len(set(sentences)) == 1:
        return f"{sentences[0]} in {listed([verdict.metric for verdict in verdicts])}"
    return ", ".join(f"{verdict.metric} {verdict.describe()}" for verdict in verdicts)


def _loss(verdict: Verdict, images: int) -> str:
    shown = cell(verdict.loss)
    loss = f"{shown.text} {shown.interval}".strip()
    if verdict.word != "undecided":
        return f"{loss}, {verdict.describe()}"
    ways = []
    if verdict.images:
        ways.append(f"about {_count(verdict.images)} images (these are {images:,})")
    if verdict.shots:
        ways.append(f"{_count(verdict.shots)} shots a row")
    if not ways:
        return f"{loss}, undecided: these images do not determine it"
    return f"{loss}, undecided: {' or '.join(ways)} would tell"


def _count(number: int) -> str:
    """A number as people read it."""
    if number > MOST:
        return "more than a million"
    return f"{number:,}"


def _apart(one: DeviceDifference) -> bool:
    interval = one.difference.interval
    return interval.low > 0 or interval.high < 0


def _difference(one: DeviceDifference) -> str:
    difference = one.difference
    shown = cell(difference.interval)
    return (
        f"{difference.metric} of {one.rung} less that of {one.than} is {shown.text} "
        f"{shown.interval} (p = {p_value(difference.p)})"
    )
