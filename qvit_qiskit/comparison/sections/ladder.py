"""The ladder: scores of every rung, and how far each is from the exact one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qvit_qiskit.comparison.comparison import Comparison
from qvit_qiskit.comparison.figures import rung_plot as figure
from qvit_qiskit.comparison.sections.base import Drawn, Section
from qvit_qiskit.pages.table import (
    NOTHING,
    Entry,
    Table,
    cell,
    fixed,
    listed,
    p_value,
    unchanged,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qvit_qiskit.comparison.evidence import Rung
    from qvit_qiskit.comparison.findings.planned_loss import PlannedLoss
    from qvit_qiskit.comparison.findings.scores import RungScores
    from qvit_qiskit.statistics.differences import Difference
    from qvit_qiskit.statistics.intervals import Interval


def ladder(comparison: Comparison) -> Section:
    """The first section of a report."""
    scores = comparison.scores
    names = listed([one.rung.name for one in scores])
    text = [
        f"One model with one set of weights, evaluated on the same {len(comparison.labels)} "
        f"images in every way: {names}."
    ]
    if scores[1:]:
        text.append(_apart(scores[1:]))
    shots = any(one.auc_shots for one in scores)
    text.append(
        "Intervals hold at the 95 % level and cover the choice of test images, with the shots "
        "where a rung has shots. "
        + ("Those over shots alone hold the images fixed. " if shots else "")
        + "They do not cover training: another seed gives another model."
    )
    said = "; ".join(f"{one.rung.name}: AUC {one.auc}, ACC {one.acc}" for one in scores)
    caption = "AUC and ACC; the dashed line is the exact rung. "
    if scores[1:]:
        caption += (
            "Below, paired differences from it: all rungs saw the same images, so a difference is "
            "known better than the overlap of two bars suggests."
        )
    drawn = Drawn(figure.draw(comparison), f"AUC and ACC of every rung. {said}", caption)
    tables = [
        _scores(scores),
        *difference_tables(scores),
        *distance_tables(scores),
        *plan_tables(comparison.planned),
        cost_table(scores),
    ]
    return Section("ladder", "The ladder", text, [drawn, *tables])


def _apart(scores: Sequence[RungScores]) -> str:
    """Which rungs differ from the exact one, as far as these images tell."""
    sentences = [
        *_told("AUC", [(one.rung.name, one.auc_difference) for one in scores]),
        *_told("ACC", [(one.rung.name, one.acc_difference) for one in scores]),
    ]
    if not sentences:
        return (
            "No difference from the exact rung is larger than chance would make it on these "
            "images; how large it may be all the same, the intervals tell."
        )
    alone = " Each rung is judged by its own interval, without a correction for their number."
    return f"Against the exact rung, {'; '.join(sentences)}." + (alone if len(scores) > 1 else "")


def _told(metric: str, differences: list[tuple[str, Difference | None]]) -> list[str]:
    known = [(name, one.interval) for name, one in differences if one is not None]
    lower = [name for name, interval in known if interval.high < 0]
    higher = [name for name, interval in known if interval.low > 0]
    sides = (("lower", lower), ("higher", higher))
    return [f"{metric} is {word} for {listed(names)}" for word, names in sides if names]


def _scores(scores: Sequence[RungScores]) -> Table:
    shots = any(one.auc_shots or one.acc_shots for one in scores)
    heads: tuple[str, ...] = ("rung", "AUC", "ACC")
    if shots:
        heads = ("rung", "AUC", "over shots alone", "ACC", "over shots alone")
    rows = []
    for one in scores:
        line = [Entry(one.rung.name), cell(one.auc)]
        line += [over_shots(one.auc_shots, one.rung)] if shots else []
        line += [cell(one.acc)]
        line += [over_shots(one.acc_shots, one.rung)] if shots else []
        rows.append(tuple(line))
    return Table("Scores with 95 % intervals.", heads, rows)


def over_shots(interval: Interval | None, rung: Rung) -> Entry:
    """An interval over shots without its value, which stands beside it.

    Args:
        interval: The interval; None for a rung without shots.
        rung: The rung that it is of.
    """
    if interval is None or rung.draws is None:
        return Entry(NOTHING)
    return Entry("", unchanged(interval, len(rung.draws)) or cell(interval).interval)


def difference_tables(scores: Sequence[RungScores]) -> list[Table]:
    """Paired differences of AUC and ACC from the exact rung; no table where it stands alone."""
    rows = [
        (
            Entry(one.rung.name),
            cell(one.auc_difference.interval),
            Entry(p_value(one.auc_difference.p)),
            cell(one.acc_difference.interval),
            Entry(p_value(one.acc_difference.p)),
        )
        for one in scores
        if one.auc_difference and one.acc_difference
    ]
    heads = ("rung", "AUC", "p (DeLong)", "ACC", "p (McNemar)")
    caption = "Differences from the exact rung on the same images, with 95 % intervals."
    return [Table(caption, heads, rows)] if rows else []


def distance_tables(scores: Sequence[RungScores]) -> list[Table]:
    """How far answers, chances and outputs are from the exact rung's; no table if it is alone."""
    rows = [
        (Entry(one.rung.name), cell(one.agreement), cell(one.kl), cell(one.error))
        for one in scores[1:]
    ]
    heads = ("rung", "same answers", "KL divergence (nats)", "output error")
    caption = (
        "Distance from the exact rung, with 95 % intervals: the share of images with the same "
        "predicted class, the divergence of the predicted probabilities, and the root mean square "
        "error of the quantum layers' outputs against exact ones at the same angles."
    )
    return [Table(caption, heads, rows)] if rows else []


def plan_tables(plans: Sequence[PlannedLoss]) -> list[Table]:
    """What planned runs were predicted to lose beside what they lost; no table without any."""
    rows = []
    for one in plans:
        best = one.plan.choice
        rows.append(
            (
                Entry(one.rung),
                Entry(one.plan.request.describe()),
                Entry(f"{fixed(best.auc_loss, 4)}, at most {fixed(best.auc_bound, 4)}"),
                cell(one.auc_lost),
                Entry(f"{best.agreement:.3f}, at least {best.agreement_bound:.3f}"),
                cell(one.agreement),
            )
        )
    heads = ("run", "asked", "AUC to lose", "lost", "same answers predicted", "same answers")
    caption = (
        "What planned runs were predicted to lose, on average and with 95 % probability, beside "
        "what they lost, with 95 % intervals. Predictions cover shots, copies on the chip and "
        "labels, if the device errs as its calibration said."
    )
    return [Table(caption, heads, rows)] if rows else []


def cost_table(scores: Sequence[RungScores]) -> Table:
    """What every rung ran on, and what it cost where that is known."""
    paid = any(one.rung.qpu_seconds is not None for one in scores)
    heads: tuple[str, ...] = ("rung", "backend", "shots a row")
    heads += ("QPU seconds", "price (USD)") if paid else ()
    rows = []
    for one in scores:
        rung = one.rung
        line = [
            Entry(rung.name),
            Entry(rung.backend),
            Entry(_shots(rung)),
        ]
        if paid:
            basis = f" ({rung.cost_basis})" if rung.cost_basis else ""
            seconds = NOTHING if rung.qpu_seconds is None else fixed(rung.qpu_seconds, 1) + basis
            price = NOTHING if rung.dollars is None else fixed(rung.dollars, 2)
            line += [Entry(seconds), Entry(price)]
        rows.append(tuple(line))
    return Table(
        "Where the rungs were evaluated" + (", and what it cost." if paid else "."), heads, rows
    )


def _shots(rung: Rung) -> str:
    """Shots of a row; where they are not equal their mean and their most."""
    if rung.mean_shots is not None:
        return f"{rung.mean_shots:,.0f} on average, {rung.shots:,} at most"
    return f"{rung.shots:,}" if rung.shots else NOTHING
