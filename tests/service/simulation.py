"""Pieces of circuits, simulated by Aer."""

from __future__ import annotations

import numpy as np

from . import hardware
from .components import Component
from .devices import Device

CHUNK = 2048
"""Parameter sets of one Aer run."""


def simulate(
    component: Component,
    device: Device,
    noiseless: bool,
    rng: np.random.Generator,
    sets: int,
    shots: int,
) -> np.ndarray:
    """Bits of a piece, shape (sets, shots, bits of the piece); many parameter sets in one run."""
    aer = hardware.simulator(device, component.qubits, noiseless)
    places = np.arange(len(component.clbits))
    bits = np.zeros((sets, shots, len(places)), bool)
    for start in range(0, sets, CHUNK):
        stop = min(start + CHUNK, sets)
        binds = {parameter: list(v[start:stop]) for parameter, v in component.values.items()}
        same = not binds  # without parameters Aer would run one circuit, not one per set
        circuits = [component.circuit] * (stop - start) if same else [component.circuit]
        result = aer.run(
            circuits,
            shots=shots,
            seed_simulator=int(rng.integers(2**31)),
            parameter_binds=None if same else [binds],
        ).result()
        if not result.success:
            raise RuntimeError(f"Aer failed: {result.status}")
        for row in range(start, stop):
            counts = result.data(row - start)["counts"]
            values = sorted((int(key, 16), n) for key, n in counts.items())
            drawn = [value for value, n in values for _ in range(n)]
            mixed = rng.permutation(np.array(drawn, object if len(places) > 62 else np.int64))
            bits[row] = _unpacked(mixed, places)
    return bits


def _unpacked(values: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Integers as bits, shape (shots, bits), bit 0 first."""
    return ((values[:, None] >> places) & 1).astype(bool)
