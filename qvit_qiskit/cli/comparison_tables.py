"""What a person reads of a comparison: terminal tables, narrow enough for eighty columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from qvit_qiskit.cli import screen

if TYPE_CHECKING:
    from qvit_qiskit.comparison import Comparison
    from qvit_qiskit.comparison.evidence import Rung
    from qvit_qiskit.comparison.findings.scores import ModelDifference
    from qvit_qiskit.comparison.findings.systematic import Hypothesis
    from qvit_qiskit.statistics.differences import Difference
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
    if not details:
        return
    screen.table(
        "Distance from the exact rung, with 95 % intervals over the same",
        [
            {
                "rung": s.rung.name,
                "KL, nats": _short(s.kl),
                "RMS error of outputs": _short(s.error),
                "AUC": _difference(s.auc_difference),
                "ACC": _difference(s.acc_difference),
            }
            for s in scores[1:]
        ],
    )
    _changes(comparison)
    paid = [s.rung for s in scores if s.rung.qpu_seconds is not None]
    if paid:
        _costs(paid)
    _attributions(comparison)
    recorded = {rung.name for rung in comparison.rungs if rung.kind == "hardware"}
    known = [one.test for one in comparison.biases] + [one.test for one in comparison.drifts]
    tests = [_test(one) for one in known if one and one.rung in recorded]
    if tests:
        screen.table("Bias and drift of outputs, chi-square tests", tests)
    screen.lines([f"{name}: {text}" for name, text in comparison.facts.items()])


def _changes(comparison: Comparison) -> None:
    """The images that a rung answers otherwise than the exact one."""
    from qvit_qiskit.comparison.sections.answers import listed_images

    lines = [
        {
            "rung": rung.name,
            "images": f"{len(comparison.by_image[rung.name].changed):,}",
            "which": listed_images(comparison.by_image[rung.name].changed, 8),
        }
        for rung in comparison.rungs[1:]
    ]
    if lines:
        screen.table("Images answered otherwise", lines)


def _attributions(comparison: Comparison) -> None:
    for name in comparison.attributions:
        screen.table(
            f"What moved the logits of {name}, with 95 % intervals over test images",
            [
                {"quantum layer": one.part, "share": _fixed(one.share).replace("\n", " ")}
                for one in comparison.layer_shares
                if one.rung == name
            ],
        )


def _test(hypothesis: Hypothesis) -> dict[str, str]:
    return {
        "rung": hypothesis.rung,
        "quantum layer": str(hypothesis.layer),
        "hypothesis": hypothesis.claim,
        "χ² (degrees)": f"{hypothesis.chi_square:.1f} ({hypothesis.freedom})",
        "p": f"{hypothesis.p:.2g}",
    }


def _costs(rungs: Sequence[Rung]) -> None:
    from qvit_qiskit.comparison.rungs import PLAN
    from qvit_qiskit.devices.prices import prices

    screen.table(
        "QPU time",
        [
            {
                "rung": rung.name,
                "seconds": f"{rung.qpu_seconds:,.1f}",
                f"{prices()['currency']} ({PLAN}, {prices()['date']})": f"{rung.dollars:,.2f}",
                "": rung.cost_basis,
            }
            for rung in rungs
        ],
    )


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


def _short(interval: Interval | None) -> str:
    """Two digits that count and limits below."""
    if interval is None:
        return "–"
    return f"{interval.value:.2g}\n[{interval.low:.2g}, {interval.high:.2g}]"


def _difference(difference: Difference | None) -> str:
    if difference is None:
        return "–"
    return f"{_fixed(difference.interval)}\np = {difference.p:.2g}"
