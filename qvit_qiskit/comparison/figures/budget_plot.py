"""What the error of each quantum layer is made of: shots, reported errors, and the rest."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from qvit_qiskit.comparison.comparison import Comparison
from qvit_qiskit.comparison.figures.style import canvas, folded, looks
from qvit_qiskit.comparison.tables import layer_frame

PARTS = {
    "square from shots": "shots",
    "square from reported errors": "reported errors",
    "square from the rest": "the rest",
}


def draw(comparison: Comparison, frame: pd.DataFrame | None = None) -> Figure:
    """A panel for each rung with shots: parts of the mean square error, with 95 % intervals.

    Args:
        comparison: What is compared.
        frame: Its `tables.layer_frame`, if it is at hand; some rung has shots.
    """
    frame = layer_frame(comparison) if frame is None else frame
    frame = frame[frame["square from shots"].notna()]
    rungs = list(frame["rung"].unique())
    layers = sorted(frame["layer"].unique())
    style = looks(comparison)
    figure = canvas(0.27 * len(PARTS) * len(layers) + 0.95)
    axes = figure.subplots(1, len(rungs), squeeze=False, sharey=True, sharex=True)[0]
    rows = [(layer, part) for layer in layers for part in PARTS]
    for panel, rung in zip(axes, rungs, strict=True):
        look = style[rung]
        for row, (layer, part) in enumerate(rows):
            mine = frame[(frame["rung"] == rung) & (frame["layer"] == layer)]
            value, low, high = (float(mine[part + end].iloc[0]) for end in ("", " low", " high"))
            if np.isnan(value):
                continue  # nothing was reported for this rung
            panel.barh(row, value, height=0.66, color=look.color, alpha=0.45)
            panel.errorbar(
                value,
                row,
                xerr=np.abs([[value - low], [high - value]]),
                color=look.color,
                marker=look.marker,
                markersize=4,
                capsize=2,
                elinewidth=1.2,
            )
        panel.axvline(0, color="0.3", linewidth=0.8)
        for edge in range(1, len(layers)):
            panel.axhline(edge * len(PARTS) - 0.5, color="0.8", linewidth=0.8)
        panel.set_title(folded(rung, max(12, 46 // len(rungs))), fontsize="medium")
        panel.set_yticks(
            range(len(rows)), [f"layer {layer}: {PARTS[part]}" for layer, part in rows]
        )
        panel.set_ylim(len(rows) - 0.4, -0.6)
        panel.tick_params(axis="y", length=0)
    axes[0].locator_params(axis="x", nbins=4)
    axes[0].ticklabel_format(axis="x", style="sci", scilimits=(-2, 4), useMathText=True)
    figure.supxlabel("part of the mean square error of the outputs", fontsize="medium")
    return figure
