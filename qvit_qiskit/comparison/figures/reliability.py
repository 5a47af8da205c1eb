"""Reliability diagrams: are the predicted probabilities met by what happened?"""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from qvit_qiskit.comparison.comparison import Comparison
from qvit_qiskit.comparison.figures.style import Look, abreast, canvas, folded, looks, short
from qvit_qiskit.comparison.findings.predictions import Reliability


def draw(comparison: Comparison) -> Figure:
    """For each rung: what was predicted against what was observed, and how often.

    For two classes the probability is that of class 1, for more that of the predicted class.

    Args:
        comparison: What is compared. Bars are 95 % Wilson intervals, which cover the choice of
            test images.
    """
    style = looks(comparison)
    reliabilities = comparison.reliabilities
    columns = abreast(len(reliabilities), 1.75, 4)
    blocks = -(-len(reliabilities) // columns)
    figure = canvas(2.75 * blocks + 0.3, 1.75 * columns + 0.5)
    axes = figure.subplots(
        2 * blocks, columns, sharex=True, squeeze=False, height_ratios=[3, 1] * blocks
    )
    for place, (name, part) in enumerate(reliabilities.items()):
        row, column = divmod(place, columns)
        top, below = axes[2 * row, column], axes[2 * row + 1, column]
        _diagram(top, part, style[name])
        top.set_title(folded(name, 18), fontsize="medium")
        _histogram(
            below, part, style[name], max(int(f.counts.max()) for f in reliabilities.values())
        )
        if column == 0:
            top.set_ylabel("observed share")
            below.set_ylabel("labels" if comparison.multi_label else "images")
        else:
            top.tick_params(labelleft=False)
            below.tick_params(labelleft=False)
    for panel in (
        axes.T.reshape(columns, blocks, 2).swapaxes(0, 1).reshape(-1, 2)[len(reliabilities) :]
    ):
        panel[0].set_axis_off()
        panel[1].set_axis_off()
    two = len(comparison.class_names) == 2
    what = f"class “{short(comparison.class_names[1])}”" if two else "the predicted class"
    what = "each label" if comparison.multi_label else what
    figure.supxlabel(f"predicted probability of {what}", fontsize="medium")
    return figure


def _diagram(panel: Any, part: Reliability, look: Look) -> None:
    panel.plot([0, 1], [0, 1], color="0.6", linewidth=0.8, linestyle=":", zorder=0)
    panel.errorbar(
        part.predicted,
        part.observed,
        yerr=np.abs([part.observed - part.low, part.high - part.observed]),
        color=look.color,
        marker=look.marker,
        linestyle="none",
        markersize=4,
        elinewidth=1,
        capsize=2,
    )
    panel.set(xlim=(0, 1), ylim=(-0.03, 1.03))


def _histogram(panel: Any, part: Reliability, look: Look, most: int) -> None:
    panel.stairs(part.counts, part.edges, fill=True, color=look.color, alpha=0.35)
    panel.stairs(part.counts, part.edges, color=look.color, linewidth=1)
    panel.set_ylim(0, 1.08 * most)
