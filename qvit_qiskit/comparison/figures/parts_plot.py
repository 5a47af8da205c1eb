"""What the error of each quantum layer is made of: shots, reported errors, and the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from qvit_qiskit.comparison.comparison import Comparison
from qvit_qiskit.comparison.figures.style import abreast, canvas, folded, looks

if TYPE_CHECKING:
    from qvit_qiskit.comparison.findings.parts import LayerError
    from qvit_qiskit.statistics.intervals import Interval

PARTS = ("shots", "reported errors", "the rest")


def parts_of(layer_error: LayerError) -> tuple[Interval | None, ...]:
    """The parts of an error in the order of `PARTS`; None for what is not known."""
    parts = layer_error.parts
    return (parts.shots, parts.reported, parts.rest) if parts else (None,) * len(PARTS)


def draw(comparison: Comparison) -> Figure:
    """A panel for each rung with shots: parts of the mean square error, with 95 % intervals.

    Args:
        comparison: What is compared; some rung has shots.
    """
    known = {(one.rung, one.layer): one for one in comparison.layer_errors if one.parts}
    rungs = list(dict.fromkeys(rung for rung, _ in known))
    layers = sorted({layer for _, layer in known})
    style = looks(comparison)
    columns = abreast(len(rungs), 2.0)
    lines = -(-len(rungs) // columns)
    figure = canvas((0.27 * len(PARTS) * len(layers) + 0.35) * lines + 0.6)
    axes = figure.subplots(lines, columns, squeeze=False, sharey=True, sharex=True).ravel()
    for panel in axes[len(rungs) :]:
        panel.set_axis_off()
    rows = [(layer, k) for layer in layers for k in range(len(PARTS))]
    for panel, rung in zip(axes, rungs, strict=False):
        look = style[rung]
        for row, (layer, k) in enumerate(rows):
            layer_error = known.get((rung, layer))  # none where a run did not get so far
            part = parts_of(layer_error)[k] if layer_error else None
            if part is None:
                continue  # nothing was reported for this rung
            value, low, high = part.value, part.low, part.high
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
        panel.set_yticks(range(len(rows)), [f"layer {layer}: {PARTS[k]}" for layer, k in rows])
        panel.set_ylim(len(rows) - 0.4, -0.6)
        panel.tick_params(axis="y", length=0)
    axes[0].locator_params(axis="x", nbins=4)
    axes[0].ticklabel_format(axis="x", style="sci", scilimits=(-2, 4), useMathText=True)
    figure.supxlabel("part of the mean square error of the outputs", fontsize="medium")
    return figure
