"""Outputs of the quantum layers: measured against exact at the same angles."""

from __future__ import annotations

from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from qvit_qiskit.comparison.comparison import Comparison
from qvit_qiskit.comparison.figures.style import Look, abreast, canvas, folded, looks, wrapped
from qvit_qiskit.comparison.findings.points import VALUES, Points

MANY = 1500
"""Points from which on a panel counts them in hexagons."""
COLUMNS = 3


def draw(comparison: Comparison, layer: int = 0) -> Figure:
    """One quantum layer: for each noisy rung every output, and below what it is off by.

    Every point is one output of one row. The dashed lines hold 95 % of the points if there were
    no error but shot noise: ± 1.96 √((1 − x²) / shots) for an observable of eigenvalues ±1.

    Args:
        comparison: What is compared; rungs without ``deltas``, or whose run did not get as far as
            the layer, are left out.
        layer: Which quantum layer, counted from 0.
    """
    style = looks(comparison)
    shown = [rung for rung in comparison.errors_known if layer < len(rung.layers)]
    columns = abreast(len(shown), 2.25, COLUMNS)
    blocks = -(-len(shown) // columns)
    points = [comparison.points[rung.name][layer] for rung in shown]
    reach = max((float(np.abs(p.error).max()) for p in points), default=0.0) * 1.05 or 1.0
    figure = canvas(3.1 * blocks + 0.4, 2.25 * columns + 0.5)
    axes = figure.subplots(
        2 * blocks, columns, sharex=True, squeeze=False, height_ratios=[2.2, 1] * blocks
    )
    for place, (rung, cloud) in enumerate(zip(shown, points, strict=True)):
        row, column = divmod(place, columns)
        top, below = axes[2 * row, column], axes[2 * row + 1, column]
        x, look = cloud.exact, style[rung.name]
        _cloud(top, x, cloud.measured, look, (-1.05, 1.05, -1.05, 1.05))
        _cloud(below, x, cloud.error, look, (-1.05, 1.05, -reach, reach))
        _expected(top, below, cloud)
        top.set_title(folded(rung.name, 22), fontsize="medium")
        top.set(xlim=(-1.05, 1.05), ylim=(-1.05, 1.05))
        below.set_ylim(-reach, reach)
        if column == 0:
            top.set_ylabel("measured")
            below.set_ylabel("measured\nminus exact")
        else:
            top.tick_params(labelleft=False)
            below.tick_params(labelleft=False)
    for place in range(len(shown), columns * blocks):
        row, column = divmod(place, columns)
        axes[2 * row, column].set_axis_off()
        axes[2 * row + 1, column].set_axis_off()
    figure.supxlabel(
        wrapped(f"expectation value, exact at the same angles (quantum layer {layer + 1})"),
        fontsize="medium",
    )
    return figure


def _cloud(panel: Any, x: np.ndarray, y: np.ndarray, look: Look, extent: Any) -> None:
    if len(x) < MANY:
        panel.plot(x, y, look.marker, color=look.color, markersize=2, alpha=0.5, markeredgewidth=0)
        return
    panel.hexbin(
        x,
        y,
        gridsize=(110, 60),
        extent=extent,
        bins="log",
        mincnt=1,
        cmap=shades(look.color),
        linewidths=0.1,
        rasterized=True,
    )


def shades(color: str) -> Any:
    """From a pale tone of a colour to a dark one."""
    from matplotlib.colors import LinearSegmentedColormap, to_rgb

    full = np.array(to_rgb(color))
    tones = [full * share + (1 - share) for share in (0.25, 1.0)]
    return LinearSegmentedColormap.from_list("shades", [*tones, 0.35 * full])


def _expected(top: Any, below: Any, cloud: Points) -> None:
    x = VALUES
    color = mpl.rcParams["text.color"]
    top.plot(x, x, color=color, linewidth=0.8, alpha=0.65)
    below.axhline(0, color=color, linewidth=0.8, alpha=0.65)
    if cloud.reach is not None:
        for panel, middle in ((top, x), (below, 0 * x)):
            for side in (-1, 1):
                panel.plot(
                    x, middle + side * cloud.reach, color=color, linewidth=0.8, linestyle="--"
                )
