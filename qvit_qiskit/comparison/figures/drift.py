"""Systematic errors from job to job, in the order of time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from qvit_qiskit.comparison.comparison import Comparison
from qvit_qiskit.comparison.figures.bias_plot import legend
from qvit_qiskit.comparison.figures.style import ERROR, Look, abreast, canvas, looks, short

COLUMNS = 3


def draw(comparison: Comparison) -> Figure:
    """A panel for each quantum layer: mean error of each job with its 95 % interval.

    Filled marks are means of the rows that happened to run in a job, open ones of the same rows
    repeated in every job.

    Args:
        comparison: What is compared; its `drift` is not empty.
    """
    frame = comparison.drift()
    layers = sorted(frame["layer"].unique())
    columns = abreast(len(layers), 2.3, COLUMNS)
    rows = -(-len(layers) // columns)
    style = looks(comparison)
    figure = canvas(2.0 * rows + 0.75)
    axes = figure.subplots(rows, columns, squeeze=False, sharey=True).ravel()
    for panel, layer in zip(axes, layers, strict=False):
        panel.axhline(0, color="0.5", linewidth=0.8, zorder=0)
        mine = frame[frame["layer"] == layer]
        for place, ((rung, source), part) in enumerate(mine.groupby(["rung", "from"], sort=False)):
            _series(
                panel, part, 0.12 * place, style.get(str(rung)), f"{short(str(rung), 30)}, {source}"
            )
        panel.set_title(f"quantum layer {layer}", fontsize="medium")
        panel.set_xlim(mine["job"].min() - 0.5, mine["job"].max() + 0.75)
        panel.locator_params(axis="x", integer=True)
    for panel in axes[len(layers) :]:
        panel.set_axis_off()
    figure.supxlabel("job, in the order of time", fontsize="medium")
    figure.supylabel(ERROR, fontsize="medium")
    legend(figure, axes)
    return figure


def _series(panel: Any, part: pd.DataFrame, offset: float, look: Look | None, label: str) -> None:
    value = part["bias"].to_numpy()
    repeated = (part["from"] == "repeated rows").all()
    panel.errorbar(
        part["job"].to_numpy() + offset,
        value,
        yerr=np.abs([value - part["bias low"], part["bias high"] - value]),
        color=look.color if look else "0.4",
        marker="o" if repeated else look.marker if look else "o",
        markerfacecolor="none" if repeated else None,
        markersize=4,
        linewidth=0.8,
        linestyle=":" if repeated else "-",
        elinewidth=1,
        label=label,
    )
