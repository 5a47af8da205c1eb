"""Systematic errors of the quantum layers' outputs, by output, physical qubit and copy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from qvit_qiskit.comparison.comparison import Comparison
from qvit_qiskit.comparison.figures.style import ERROR, Look, abreast, canvas, looks, short

AXES = {"output": "output", "qubit": "physical qubit", "copy": "copy on the chip"}
WIDTHS = {"output": 1.0, "qubit": 2.4, "copy": 1.2}
TICKS = {"output": 6, "qubit": 13, "copy": 6}
"""How many categories are named at most."""


def draw(comparison: Comparison) -> Figure:
    """A line of panels for each quantum layer: mean error with its 95 % interval.

    Args:
        comparison: What is compared; its `bias` is not empty.
    """
    frame = comparison.bias()
    kinds = [by for by in AXES if (frame["by"] == by).any()]
    layers = sorted(frame["layer"].unique())
    style = looks(comparison)
    # beside each other the panels of one column would be narrower than their labels
    stacked = abreast(len(kinds), 2.0) < len(kinds)
    rows, columns = (len(layers) * len(kinds), 1) if stacked else (len(layers), len(kinds))
    figure = canvas(1.75 * rows + 0.55)
    axes = figure.subplots(
        rows,
        columns,
        squeeze=False,
        sharey=True,
        width_ratios=None if stacked else [WIDTHS[by] for by in kinds],
    )
    panels = axes.reshape(len(layers), len(kinds))
    for layer, line in zip(layers, panels, strict=True):
        for by, panel in zip(kinds, line, strict=True):
            part = frame[(frame["layer"] == layer) & (frame["by"] == by)]
            numbers = sorted(part["number"].unique())
            series(panel, part.assign(place=part["number"].map(numbers.index)), "place", style)
            most = TICKS[by] // 2 if stacked and by != "qubit" else TICKS[by]
            every = max(1, -(-len(numbers) // most))  # a run may not have got as far as the layer
            panel.set_xticks(range(0, len(numbers), every), [str(n) for n in numbers[::every]])
            if layer == layers[-1] or stacked:
                panel.set_xlabel(AXES[by])
            if stacked or by == kinds[0]:
                panel.set_ylabel(f"{ERROR}\nquantum layer {layer}")
    legend(figure, axes)
    return figure


def series(panel: Any, part: pd.DataFrame, across: str, style: dict[str, Look]) -> None:
    """Draw mean errors with error bars, one rung beside the other.

    Args:
        panel: Axes.
        part: Lines of `Comparison.bias`.
        across: The column that says where each stands.
        style: The look of every rung by its name.
    """
    panel.axhline(0, color="0.5", linewidth=0.8, zorder=0)
    names = [name for name in style if (part["rung"] == name).any()]
    for place, name in enumerate(names):
        mine = part[part["rung"] == name]
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
        ncols=abreast(3, 2.0),
        fontsize="small",
        frameon=False,
    )
