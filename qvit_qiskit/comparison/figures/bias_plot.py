"""Systematic errors of the quantum layers' outputs, by output, physical qubit and copy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from qvit_qiskit.comparison.comparison import Comparison
from qvit_qiskit.comparison.figures.style import Look, canvas, looks, short

AXES = {"output": "output", "qubit": "physical qubit", "copy": "copy on the chip"}
WIDTHS = {"output": 1.0, "qubit": 2.4, "copy": 1.2}


def draw(comparison: Comparison) -> Figure:
    """A line of panels for each quantum layer: mean error with its 95 % interval.

    Args:
        comparison: What is compared; its `bias` is not empty.
    """
    frame = comparison.bias()
    kinds = [by for by in AXES if (frame["by"] == by).any()]
    layers = sorted(frame["layer"].unique())
    style = looks(comparison)
    figure = canvas(1.75 * len(layers) + 0.55)
    axes = figure.subplots(
        len(layers),
        len(kinds),
        squeeze=False,
        sharex="col",
        sharey=True,
        width_ratios=[WIDTHS[by] for by in kinds],
    )
    for row, layer in enumerate(layers):
        for column, by in enumerate(kinds):
            panel = axes[row, column]
            part = frame[(frame["layer"] == layer) & (frame["by"] == by)]
            series(panel, part, "number", "rung", style)
            if row == len(layers) - 1:
                panel.set_xlabel(AXES[by])
            panel.locator_params(axis="x", integer=True, nbins=5 if by != "qubit" else 9)
        axes[row, 0].set_ylabel(f"mean error\nquantum layer {layer}")
    legend(figure, axes)
    return figure


def series(panel: Any, part: pd.DataFrame, across: str, group: str, style: dict[str, Look]) -> None:
    """Draw biases with error bars, one rung beside the other.

    Args:
        panel: The axes to draw into.
        part: The lines of a bias frame that belong into the panel.
        across: The column of the horizontal axis.
        group: The column that names the series.
        style: How each series is drawn, by its name.
    """
    panel.axhline(0, color="0.5", linewidth=0.8, zorder=0)
    names = [name for name in style if (part[group] == name).any()]
    for place, name in enumerate(names):
        mine = part[part[group] == name]
        value = mine["bias"].to_numpy()
        offset = (place - (len(names) - 1) / 2) * 0.16
        panel.errorbar(
            mine[across].to_numpy() + offset,
            value,
            yerr=np.abs([value - mine["bias low"], mine["bias high"] - value]),
            color=style[name].color,
            marker=style[name].marker,
            markersize=3.5,
            linestyle="none",
            elinewidth=1,
            label=short(name, 30),
        )


def legend(figure: Figure, axes: np.ndarray) -> None:
    """Draw one legend for all panels, above them.

    Args:
        figure: Where it stands.
        axes: The panels; a label that several have is shown once.
    """
    handles: dict[str, Any] = {}
    for panel in axes.ravel():
        for handle, label in zip(*panel.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    figure.legend(
        list(handles.values()),
        list(handles),
        loc="outside upper right",
        ncols=3,
        fontsize="small",
        frameon=False,
    )
