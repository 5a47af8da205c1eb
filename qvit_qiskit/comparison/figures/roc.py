"""ROC curves with pointwise bands, every rung beside the exact one."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure

from qvit_qiskit.comparison.comparison import Comparison
from qvit_qiskit.comparison.figures.style import Look, abreast, canvas, folded, looks, short
from qvit_qiskit.comparison.findings.curves import GRID, Band

SIDE = 2.25
"""Inches of a panel."""


def draw(comparison: Comparison) -> Figure:
    """One panel for each rung: its ROC curve and band before those of the exact rung.

    Args:
        comparison: What is compared; its ``curves`` are drawn.
    """
    bands = comparison.curves
    style = looks(comparison)
    exact = comparison.exact
    shown = comparison.rungs[1:] or (exact,)
    columns = abreast(len(shown), SIDE, 3)
    rows = -(-len(shown) // columns)
    figure = canvas(SIDE * rows + 0.7, SIDE * columns + 0.5)
    axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    for place, rung in enumerate(shown):
        panel = axes[place]
        line = _line(panel, bands[exact.name], style[exact.name], 0.13)
        if rung is not exact:
            _line(panel, bands[rung.name], style[rung.name], 0.25)
            panel.set_title(folded(rung.name, 26), fontsize="medium")
        panel.plot([0, 1], [0, 1], color="0.6", linewidth=0.8, linestyle=":", zorder=0)
        panel.set(aspect="equal", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    for panel in axes[len(shown) :]:
        panel.set_axis_off()
    figure.legend(
        [line], [short(exact.name)], loc="outside upper right", fontsize="small", frameon=False
    )
    single = len(comparison.class_names) == 2 and not comparison.multi_label
    average = f", mean over {'labels' if comparison.multi_label else 'classes'}"
    average = "" if single else average
    figure.supxlabel("false positive rate", fontsize="medium")
    figure.supylabel("true positive rate" + average, fontsize="medium")
    return figure


def _line(axes: Any, band: Band, look: Look, alpha: float) -> Any:
    axes.fill_between(GRID, band.low, band.high, color=look.color, alpha=alpha, linewidth=0)
    (line,) = axes.plot(
        band.rates, band.curve, color=look.color, linestyle=look.line, linewidth=1.4
    )
    return line
