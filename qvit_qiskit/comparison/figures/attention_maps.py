"""Where a rung looks, beside where the exact rung looks."""

from __future__ import annotations

from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from qvit_qiskit.comparison.comparison import Comparison
from qvit_qiskit.comparison.evidence import Rung
from qvit_qiskit.comparison.figures.style import canvas, folded, short, width

GREATEST = 6
"""Maps in a line."""
OPACITY = 0.7
"""Of a map over its image, and of its colour bar."""
PALEST = 0.35
"""Grey of black under a map: a darker one would pass for another value."""
TICKS = {1 / 16: "1/16", 1 / 8: "1/8", 1 / 4: "1/4", 1 / 2: "1/2"} | {
    2**power: str(2**power) for power in range(6)
}
"""Multiples of uniform attention; 16 patches cannot receive more than 16."""


def draw(comparison: Comparison, place: int = 0, rung: Rung | None = None) -> Figure:
    """One image: the attention its patches receive, exact, in a rung, and the difference.

    Received attention is averaged over queries and given in units of uniform attention, 1/N. A
    class token's column is left out.

    Args:
        comparison: What is compared, with attention of the exact and of another rung.
        place: Which of the shown images.
        rung: The rung beside the exact one; that of ``comparison.maps`` if not given.
    """
    rung = rung or comparison.maps.rung
    names = [comparison.exact.name, *([rung.name] if rung else [])]
    maps = [comparison.maps.received[name][place] for name in names]
    if rung:
        maps.append(comparison.maps.more[rung.name][place])
    layers, heads = maps[0].shape[:2]
    titles = [f"layer {layer + 1}\nhead {h + 1}" for layer in range(layers) for h in range(heads)]
    flat = [
        maps_of_rung.reshape(layers * heads, *maps_of_rung.shape[2:])[:GREATEST]
        for maps_of_rung in maps
    ]
    columns = len(flat[0]) + 1
    cell = min((width() - 1.35) / columns, 1.35)
    figure = canvas(cell * len(flat) + 0.6, cell * columns + 1.35)
    axes = figure.subplots(len(flat), columns, squeeze=False)
    image = comparison.images[comparison.shown[place]]
    picture = _picture(image if comparison.pictures else np.zeros_like(image))
    _first_column(axes[:, 0], picture, comparison, place, int(13 * cell))
    scales = _scales(comparison, names)
    for row, (maps_of_rung, scale) in enumerate(zip(flat, scales, strict=False)):
        for column, values in enumerate(maps_of_rung, start=1):
            panel = axes[row, column]
            _overlay(panel, picture, values, scale)
            if row == 0:
                panel.set_title(titles[column - 1], fontsize="small")
        axes[row, 1].set_ylabel(folded([*names, "difference"][row], 16), fontsize="small")
    _bars(figure, axes, scales, len(names))
    return figure


def _picture(image: np.ndarray) -> np.ndarray:
    """An image (C, H, W) of any range as RGB (H, W, 3) between 0 and 1."""
    low, high = float(image.min()), float(image.max())
    scaled = (image - low) / (high - low) if high > low else np.zeros_like(image)
    return np.asarray(np.broadcast_to(scaled.transpose(1, 2, 0), (*image.shape[1:], 3)))


def _scales(comparison: Comparison, names: list[str]) -> list[Any]:
    """One scale for all maps of attention and one for all differences, of all shown images."""
    all_maps = [comparison.maps.received[name] for name in names]
    low = min(float(each.min()) for each in all_maps)
    high = max(float(each.max()) for each in all_maps)
    level = mpl.cm.ScalarMappable(mpl.colors.LogNorm(low, high), "viridis")
    if len(names) == 1:
        return [level]
    apart = max(float(np.abs(comparison.maps.more[names[1]]).max()), 1e-3)
    return [level, level, mpl.cm.ScalarMappable(mpl.colors.Normalize(-apart, apart), "PuOr")]


def _overlay(panel: Any, picture: np.ndarray, values: np.ndarray, scale: Any) -> None:
    """The map over the image; each patch keeps its own square."""
    height, width = picture.shape[:2]
    grey = PALEST + (1 - PALEST) * picture.mean(axis=-1, keepdims=True).repeat(3, axis=-1)
    panel.imshow(grey, extent=(0, width, height, 0))
    panel.imshow(
        values,
        extent=(0, width, height, 0),
        interpolation="nearest",
        cmap=scale.cmap,
        norm=scale.norm,
        alpha=OPACITY,
    )
    panel.set(xticks=[], yticks=[])


def _first_column(
    axes: np.ndarray, picture: np.ndarray, comparison: Comparison, place: int, room: int
) -> None:
    number = comparison.shown[place]
    if comparison.pictures:
        axes[0].imshow(picture)
    else:
        axes[0].text(0.5, 0.5, "not shown", ha="center", va="center", fontsize="x-small")
    axes[0].set(xticks=[], yticks=[])
    name = comparison.named(number)
    axes[0].set_title(f"image {number}\n{short(name, room)}", fontsize="small")
    for panel in axes[1:]:
        panel.set_axis_off()


def _bars(figure: Figure, axes: np.ndarray, scales: list[Any], plain: int) -> None:
    bar = figure.colorbar(
        scales[0],
        ax=axes[:plain].ravel().tolist(),
        label="received attention\n(uniform = 1)",
        pad=0.015,
        aspect=9 * plain,
        alpha=OPACITY,
    )
    low, high = scales[0].get_clim()
    ticks = {tick: name for tick, name in TICKS.items() if low <= tick <= high}
    if len(ticks) < 3:  # attention is nearly uniform
        ticks = {low: f"{low:.2f}", 1.0: "1", high: f"{high:.2f}"}
    bar.set_ticks(list(ticks), labels=list(ticks.values()))
    bar.ax.minorticks_off()
    if len(scales) == 3:
        row = axes[2].tolist()
        figure.colorbar(scales[2], ax=row, label="difference", pad=0.015, aspect=9, alpha=OPACITY)
