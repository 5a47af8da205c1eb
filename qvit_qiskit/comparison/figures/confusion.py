"""Confusion matrices of all rungs, side by side."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from qvit_qiskit.comparison.comparison import Comparison
from qvit_qiskit.comparison.figures.style import abreast, canvas, folded
from qvit_qiskit.comparison.findings.predictions import Confusion

MANY = 7
"""Classes from which on a cell holds its count alone."""


def draw(comparison: Comparison) -> Figure:
    """One matrix for each rung: counts, and each cell's share of its true class as colour.

    Args:
        comparison: What is compared.
    """
    names = comparison.class_names
    small = len(names) <= 3
    side = 1.45 if small else 2.7
    columns = abreast(len(comparison.rungs), side, 4 if small else 2)
    rows = -(-len(comparison.rungs) // columns)
    titles = [folded(rung.name, 16 if small else 30) for rung in comparison.rungs]
    head = 0.45 if any("\n" in title for title in titles) else 0.25
    foot = 0.6 if _level(names) else 0.9
    figure = canvas((side + head) * rows + foot, side * columns + 1.35)
    axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    for panel, rung, title in zip(axes, comparison.rungs, titles, strict=False):
        image = _matrix(panel, comparison.confusions[rung.name])
        panel.set_title(title, fontsize="medium")
    for panel in axes[len(comparison.rungs) :]:
        panel.set_axis_off()
    _name_classes(axes, names, ("no", "yes") if comparison.multi_label else names)
    if len(names) >= MANY:
        label = f"share of the {'label' if comparison.multi_label else 'true class'}"
        figure.colorbar(image, ax=axes.tolist(), label=label, shrink=0.6, pad=0.02)
    several = comparison.multi_label
    figure.supxlabel("answer" if several else "predicted class", fontsize="medium")
    figure.supylabel("label" if several else "true class", fontsize="medium")
    return figure


def _matrix(panel: Any, confusion: Confusion) -> Any:
    table, shares = confusion.counts, confusion.shares
    image = panel.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    many = len(table) >= MANY
    for (row, column), count in np.ndenumerate(table):
        share = shares[row, column]
        text = f"{count}" if many else f"{count}\n{share:.0%}"
        panel.text(
            column,
            row,
            text,
            ha="center",
            va="center",
            fontsize="x-small" if len(table) > 3 else "small",
            color="white" if share > 0.55 else "black",
        )
    panel.tick_params(length=0)
    return image


def _level(names: tuple[str, ...]) -> bool:
    """Whether the columns' names fit side by side."""
    return len(names) == 2 and all(len(name) <= 9 for name in names)


def _name_classes(axes: np.ndarray, names: tuple[str, ...], answers: tuple[str, ...]) -> None:
    """Rows by true class or label, columns by what can be answered."""
    many = len(names) >= MANY
    labels = [folded(name, 22 if many else 13, 1 if many else 2) for name in names]
    for panel in axes:
        below = labels if answers == names else answers
        panel.set_xticks(range(len(answers)), below, rotation=0 if _level(answers) else 90)
        panel.set_yticks(range(len(names)), labels)
        panel.tick_params(labelsize="small")
