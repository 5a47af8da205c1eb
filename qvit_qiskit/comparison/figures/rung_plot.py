"""The ladder: AUC and ACC of every rung, and how far each is from the exact one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure

from qvit_qiskit.comparison.comparison import Comparison
from qvit_qiskit.comparison.figures.style import (
    Look,
    abreast,
    canvas,
    explain_bars,
    finish_rows,
    looks,
    short,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qvit_qiskit.comparison.findings.scores import RungScores
    from qvit_qiskit.statistics.intervals import Interval


def draw(comparison: Comparison) -> Figure:
    """Rungs from top to bottom; values above, paired differences from the exact rung below.

    Thin bars are intervals over all that varies, thick bars over the shots alone. The dashed line
    is the exact rung's value.

    Args:
        comparison: What is compared.
    """
    scores = comparison.scores
    style = looks(comparison)
    others = scores[1:]
    heights = [len(scores) + 0.5, len(others) + 0.5] if others else [1]
    columns = abreast(2, 3.0)
    # where AUC and ACC do not fit side by side, each gets a line of its own
    lines = [height for height in heights for _ in range(2 // columns)]
    figure = canvas(0.27 * sum(lines) + (0.85 if others else 0.6) * 2 / columns + 0.2)
    axes = figure.subplots(
        len(lines), columns, squeeze=False, sharey="row", height_ratios=lines
    ).reshape(len(heights), 2)
    for panel, name, values in (
        (axes[0, 0], "AUC", [(one.auc, one.auc_shots) for one in scores]),
        (axes[0, 1], "ACC", [(one.acc, one.acc_shots) for one in scores]),
    ):
        panel.axvline(values[0][0].value, color="0.5", linestyle="--", linewidth=0.9, zorder=0)
        for row, (one, (whole, shots)) in enumerate(zip(scores, values, strict=True)):
            _whiskers(panel, row, whole, shots, style[one.rung.name])
        _finish(panel, scores, name)
    if others:
        for panel, name in ((axes[1, 0], "AUC"), (axes[1, 1], "ACC")):
            panel.axvline(0, color="0.5", linestyle="--", linewidth=0.9, zorder=0)
            for row, one in enumerate(others):
                difference = one.auc_difference if name == "AUC" else one.acc_difference
                if difference is not None:
                    _whiskers(panel, row, difference.interval, None, style[one.rung.name])
            _finish(panel, others, f"{name}, difference from exact")
    if any(one.auc_shots or one.acc_shots for one in scores):
        explain_bars(figure, "95 % over test images and their shots", "95 % over shots alone")
    return figure


def _whiskers(panel: Any, row: int, whole: Interval, shots: Interval | None, look: Look) -> None:
    panel.plot([whole.low, whole.high], [row, row], color=look.color, linewidth=1.2)
    if shots is not None:
        panel.plot([shots.low, shots.high], [row, row], color=look.color, linewidth=4, alpha=0.45)
    panel.plot(whole.value, row, look.marker, color=look.color, markersize=5.5)


def _finish(panel: Any, rows: Sequence[RungScores], label: str) -> None:
    panel.set_yticks(range(len(rows)), [short(one.rung.name, 30) for one in rows])
    panel.set_ylim(len(rows) - 0.4, -0.6)
    panel.set_xlabel(label)
    finish_rows(panel, margin=0.06)
