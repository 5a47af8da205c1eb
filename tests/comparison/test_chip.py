"""The picture of a device with copies of a circuit on it."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.colors import to_rgba

from qvit_qiskit.comparison.figures import chip
from qvit_qiskit.devices.regions import bundled_device


@pytest.mark.parametrize("name", ["fake_guadalupe", "fake_torino"])
def test_every_qubit_coupler_and_copy_is_drawn(name: str) -> None:
    device = bundled_device(name)
    regions, fidelities = [(0, 1, 2), (5, 3), (8,)], [0.9, 0.7, 0.8]
    figure = chip.draw_chip(device, regions, fidelities)
    axes = figure.axes[0]
    couplers = {tuple(sorted(edge)) for edge in device.coupling_map.get_edges()}
    lines = [one for one in axes.collections if isinstance(one, LineCollection)]
    assert len(lines[0].get_segments()) == len(couplers)
    assert [text.get_text() for text in axes.texts] == [str(q) for q in range(device.num_qubits)]
    places = chip.places_of(device)
    assert len(np.unique(places.round(6), axis=0)) == device.num_qubits
    rings = [one for one in axes.collections if isinstance(one, PathCollection)][:-1]
    for ring, qubits in zip(rings, regions, strict=True):
        np.testing.assert_allclose(ring.get_offsets(), places[list(qubits)])
    colours = [to_rgba(ring.get_facecolor()[0]) for ring in rings]
    assert len(set(colours)) == len(regions)
    assert "3 copies on 6 of" in axes.get_title(loc="left")
    assert "0.800 (worst 0.700)" in axes.get_title(loc="left")
    assert [bar.get_ylabel() for bar in figure.axes[1:]] == [
        "readout error", "two-qubit error", "copy: expected success",
    ]  # fmt: skip


def test_bad_couplers_are_dashed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the calibration says of them."""
    device = bundled_device("fake_guadalupe")
    errors = chip.coupler_errors(device)
    worst = max(errors, key=lambda pair: errors[pair])
    monkeypatch.setattr(chip, "BAD", errors[worst])
    (lines, *_) = chip.draw_chip(device, [(0,)], [0.5]).axes[0].collections
    solid = [style for style in lines.get_linestyle() if style[1] is None]
    assert len(solid) == sum(error < errors[worst] for error in errors.values())
