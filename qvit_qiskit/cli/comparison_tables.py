"""What a person reads of a comparison: terminal tables, narrow enough for eighty columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from qvit_qiskit.cli import screen

if TYPE_CHECKING:
    from qvit_qiskit.comparison import Comparison
    from qvit_qiskit.comparison.findings.scores import ModelDifference
    from qvit_qiskit.pages.table import Table
    from qvit_qiskit.statistics.intervals import Interval


def show(comparison: Comparison, *, details: bool = False) -> None:
    """The answer and the scores; in detail also what they rest on.

    Args:
        comparison: What to show.
        details: Also distances from the exact rung, cost, attribution, tests and facts.
    """
    from qvit_qiskit.comparison.summary import plain_text

    screen.lines(plain_text(comparison.outcome))
    scores = comparison.scores
    screen.table(
        "Scores, with 95 % intervals over test images (and shots, where there are any)",
        [
            {
                "rung": s.rung.name,
                "AUC": _fixed(s.auc),
                "ACC": _fixed(s.acc),
                "agrees with exact": _fixed(s.agreement),
            }
            for s in scores
        ],
    )
    if details:
        for table in _details(comparison):
            screen.report_table(table)
        screen.lines([f"{name}: {text}" for name, text in comparison.facts.items()])


def _details(comparison: Comparison) -> list[Table]:
    """Those tables of the report that say what the scores rest on."""
    from qvit_qiskit.comparison.sections.answers import change_tables
    from qvit_qiskit.comparison.sections.ladder import (
        cost_table,
        difference_tables,
        distance_tables,
        plan_tables,
    )
    from qvit_qiskit.comparison.sections.layers import share_table, test_tables
    from qvit_qiskit.comparison.sections.repeated_rows import gain_tables

    scores = comparison.scores
    recorded = {rung.name for rung in comparison.rungs if rung.kind == "hardware"}
    tests = [one.test for one in comparison.biases] + [one.test for one in comparison.drifts]
    return [
        *difference_tables(scores),
        *distance_tables(scores),
        *plan_tables(comparison.planned),
        *change_tables(comparison, most=8),
        *gain_tables(comparison.gains),
        cost_table(scores),
        *([share_table(comparison)] if comparison.layer_shares else []),
        *test_tables([one for one in tests if one and one.rung in recorded]),
    ]


def show_models(differences: Sequence[ModelDifference]) -> None:
    """The exact rungs of several models against the first."""
    screen.table(
        f"Exact rungs less that of {differences[0].than}, with 95 % intervals over test images",
        [
            {
                "checkpoint": one.model,
                "metric": one.difference.metric,
                "difference": _fixed(one.difference.interval).replace("\n", " "),
                "p": f"{one.difference.p:.2g}",
            }
            for one in differences
        ],
    )


def _fixed(interval: Interval | None) -> str:
    """Three decimals and limits below."""
    if interval is None:
        return "–"
    return f"{interval.value:.3f}\n[{interval.low:.3f}, {interval.high:.3f}]"
