"""A device with the regions that were chosen on it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from qiskit.providers import BackendV2

BAD = 0.1
"""Couplers with a larger error are drawn dashed: no region uses them."""


def draw_chip(
    device: BackendV2, regions: Sequence[Sequence[int]], fidelities: Sequence[float]
) -> Figure:
    """Draw a device and regions on it.

    Args:
        device: A device whose configuration has coordinates.
        regions: The physical qubits of each region.
        fidelities: Expected success of each region, which colours it.

    Returns:
        Qubits coloured by readout error, couplers by two-qubit error, used qubits ringed by the
        fidelity of their region.
    """
    places = places_of(device)
    width, height = np.ptp(places, axis=0) + 2
    figure = Figure(figsize=(0.62 * width + 1.6, 0.62 * height + 0.6), layout="constrained")
    axes = figure.subplots()
    couplers = _draw_couplers(axes, device, places)
    rings = _rings(axes, places, regions, fidelities)
    dots = _draw_qubits(axes, device, places)
    figure.colorbar(dots, ax=axes, label="readout error", shrink=0.6, pad=0.01)
    figure.colorbar(couplers, ax=axes, label="two-qubit error", shrink=0.6, pad=0.01)
    figure.colorbar(rings, ax=axes, label="copy: expected success", shrink=0.6, pad=0.01)
    axes.set_title(
        f"{device.name}: {len(regions)} copies on {sum(map(len, regions))} of "
        f"{device.num_qubits} qubits, expected success {np.mean(fidelities):.3f} (worst "
        f"{min(fidelities):.3f})",
        loc="left",
        fontsize=10,
    )
    axes.set_aspect("equal")
    axes.set_axis_off()
    return figure


def _draw_couplers(axes: Any, device: BackendV2, places: np.ndarray) -> Any:
    errors = coupler_errors(device)
    good = [e for e in errors.values() if e < BAD] or [BAD]
    scale = mpl.colors.LogNorm(min(good), max(good))
    lines = LineCollection(
        [places[list(pair)] for pair in errors],
        colors=[mpl.colormaps["viridis_r"](scale(e)) for e in errors.values()],
        linestyles=["-" if e < BAD else ":" for e in errors.values()],
        linewidths=2.5,
        zorder=1,
    )
    axes.add_collection(lines)
    return mpl.cm.ScalarMappable(scale, "viridis_r")


def _draw_qubits(axes: Any, device: BackendV2, places: np.ndarray) -> Any:
    readout = np.array([_error(device, "measure", (q,)) for q in range(device.num_qubits)])
    for qubit, (x, y) in enumerate(places):
        axes.annotate(
            str(qubit), (x, y), ha="center", va="center", fontsize=4.5, color="white", zorder=4
        )
    return axes.scatter(
        places[:, 0],
        places[:, 1],
        c=readout.clip(1e-3),
        s=70,
        cmap="viridis_r",
        zorder=3,
        norm=mpl.colors.LogNorm(max(1e-3, np.nanmin(readout)), 0.2),
    )


def _rings(
    axes: Any,
    places: np.ndarray,
    regions: Sequence[Sequence[int]],
    fidelities: Sequence[float],
) -> Any:
    spread = mpl.colors.Normalize(min(fidelities) - 1e-9, max(fidelities))
    colours = mpl.colors.LinearSegmentedColormap.from_list(
        "copies", mpl.colormaps["autumn"](np.linspace(0, 0.9, 256))
    )
    for qubits, fidelity in zip(regions, fidelities, strict=True):
        colour = colours(spread(fidelity))
        inside = places[list(qubits)]
        pairs = [
            (a, b)
            for k, a in enumerate(inside)
            for b in inside[k + 1 :]
            if np.abs(a - b).sum() <= 1.01
        ]
        axes.add_collection(
            LineCollection(pairs, colors=[colour], linewidths=13, zorder=0, capstyle="round")
        )
        axes.scatter(*inside.T, s=190, color=colour, zorder=0.5)
    return mpl.cm.ScalarMappable(spread, colours)


def places_of(device: BackendV2) -> np.ndarray:
    """Coordinates of the qubits, shape (n, 2), first row on top.

    They are those of the device's configuration; where it has none, connected qubits are drawn near
    each other.
    """
    coordinates = getattr(device.configuration(), "coords", None)
    if coordinates:
        rows_columns = np.asarray(coordinates, float)

        return np.stack([rows_columns[:, 0], -rows_columns[:, 1]], axis=1)
    import rustworkx as rx

    graph = rx.PyGraph()
    graph.add_nodes_from(range(device.num_qubits))
    graph.add_edges_from_no_data([tuple(edge) for edge in device.coupling_map.get_edges()])
    layout = rx.spring_layout(graph, seed=0, num_iter=200)
    return np.array([layout[q] for q in range(device.num_qubits)]) * np.sqrt(device.num_qubits)


def coupler_errors(device: BackendV2) -> dict[tuple[int, int], float]:
    """Of every coupler the smallest error of a two-qubit gate on it, at least 1e-5."""
    errors: dict[tuple[int, int], float] = {}
    for a, b in device.coupling_map.get_edges():
        names = [n for n in device.target.operation_names if (a, b) in (device.target[n] or {})]
        error = min((_error(device, n, (a, b)) for n in names), default=1.0)
        key = (min(a, b), max(a, b))
        errors[key] = max(1e-5, min(error, errors.get(key, 1.0)))
    return errors


def _error(device: BackendV2, name: str, qubits: tuple[int, ...]) -> float:
    entry = device.target[name].get(qubits)
    error = entry.error if entry else None
    return 1.0 if error is None or np.isnan(error) else float(error)
