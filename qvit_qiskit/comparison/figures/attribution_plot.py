"""Which quantum layer moved the logits of a recorded run, and how much is interaction."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from qvit_qiskit.comparison.comparison import Comparison
from qvit_qiskit.comparison.figures.style import abreast, canvas, looks, short


def draw(comparison: Comparison) -> Figure:
    """A panel for each recorded rung: shares with 95 % intervals over the test images.

    Args:
        comparison: What is compared; its `shares` are not empty.
    """
    frame = comparison.shares()
    rungs = list(frame["rung"].unique())
    parts = list(frame["part"].unique())
    style = looks(comparison)
    foreground = mpl.rcParams["text.color"]
    columns = abreast(len(rungs), 2.0)
    rows = -(-len(rungs) // columns)
    figure = canvas((0.3 * len(parts) + 0.35) * rows + 0.6, 2.9 * columns + 1.2)
    axes = figure.subplots(rows, columns, squeeze=False, sharey=True, sharex=True).ravel()
    for panel in axes[len(rungs) :]:
        panel.set_axis_off()
    for panel, rung in zip(axes, rungs, strict=False):
        mine = frame[frame["rung"] == rung]
        share = mine["share"].to_numpy()
        look = style.get(rung)
        bars = panel.barh(
            range(len(mine)),
            share,
            height=0.66,
            color=look.color if look else "0.6",
            alpha=0.45,
            xerr=np.abs([share - mine["share low"], mine["share high"] - share]),
            error_kw={"elinewidth": 1.2, "capsize": 3, "ecolor": foreground},
        )
        bars.patches[-1].set(facecolor="0.75", hatch="///", edgecolor="0.4")
        panel.axvline(0, color=foreground, linewidth=0.8)
        panel.set_yticks(range(len(mine)), mine["part"])
        panel.set_ylim(len(mine) - 0.4, -0.6)
        panel.tick_params(axis="y", length=0)
        panel.set_title(short(str(rung), 40), fontsize="medium")
    figure.supxlabel("share of what moved the logits", fontsize="medium")
    return figure
