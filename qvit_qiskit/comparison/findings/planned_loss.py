"""What planned runs were predicted to lose, beside what they lost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from qvit_qiskit.comparison.findings.scores import RungScores
from qvit_qiskit.runs.planning.chosen_plan import RunPlan
from qvit_qiskit.statistics.intervals import Interval
from qvit_qiskit.statistics.verdicts import loss_of


@dataclass(frozen=True)
class PlannedLoss:
    """A run that was planned for an accuracy."""

    rung: str
    plan: RunPlan
    """With the choice, and what was predicted of it."""
    auc_lost: Interval
    """The exact rung's AUC less that of the run."""
    agreement: Interval | None
    """Share of images with the exact rung's answer."""


def planned_losses(scores: Sequence[RungScores]) -> tuple[PlannedLoss, ...]:
    """What was predicted and lost, run by run; nothing of runs whose shots were stated."""
    return tuple(
        PlannedLoss(one.rung.name, one.rung.plan, loss_of(one.auc_difference), one.agreement)
        for one in scores
        if one.rung.plan and one.auc_difference
    )
