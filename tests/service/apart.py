"""Wide pieces of circuits, simulated by processes of their own.

Aer keeps the interpreter to itself while it runs, minutes for a hundred rows of 64 qubits, and
requests want an answer meanwhile. Such a process reads its part from its standard input, writes
the bits to its standard output and ends.
"""

from __future__ import annotations

import io
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np

from . import simulation
from .components import Component
from .devices import Device

PROCESSES = 2
"""At once: as many as the cores that the tests are made for."""


@dataclass(frozen=True)
class Part:
    """Some parameter sets of one piece."""

    component: Component
    device: Device
    noiseless: bool
    rng: np.random.Generator
    sets: int
    shots: int

    def bits(self) -> np.ndarray:
        """What is measured, shape (sets, shots, bits of the piece), by another process."""
        command = [sys.executable, "-m", __name__]
        done = subprocess.run(command, input=pickle.dumps(self), stdout=subprocess.PIPE, check=True)
        return np.asarray(np.load(io.BytesIO(done.stdout), allow_pickle=False))


def simulate(
    component: Component,
    device: Device,
    noiseless: bool,
    rng: np.random.Generator,
    sets: int,
    shots: int,
) -> np.ndarray:
    """Bits of a piece for each parameter set, shape (sets, shots, bits of the piece)."""
    edges = [sets * k // PROCESSES for k in range(PROCESSES + 1)]
    parts = []
    for start, stop, own in zip(edges, edges[1:], rng.spawn(PROCESSES), strict=False):
        if start < stop:
            values = {name: line[start:stop] for name, line in component.values.items()}
            piece = replace(component, values=values)
            parts.append(Part(piece, device, noiseless, own, stop - start, shots))
    with ThreadPoolExecutor(PROCESSES) as pool:
        return np.concatenate(list(pool.map(Part.bits, parts)))


def main() -> None:
    """Simulate the part that is read."""
    part = pickle.load(sys.stdin.buffer)
    bits = simulation.simulate(
        part.component, part.device, part.noiseless, part.rng, part.sets, part.shots
    )
    np.save(sys.stdout.buffer, bits)


if __name__ == "__main__":
    main()
