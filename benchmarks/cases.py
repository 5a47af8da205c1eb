"""What is compared: circuits, sizes and seeded numbers, without torch and without qiskit.

Both environments import this file, so it needs numpy only. With n qubits and L layers:

* ``ry-ring``: RY(x_q) on every qubit; then per layer l RY(w[l·n + q]) on every qubit and the
  ring CNOT(q, q+1 mod n) for q = 0 … n−1, in this order.
* ``reupload-ring``: per layer RY(x_q), RY(w[l·n + q]), ring.
* ``rx-rz-ring``: RX(x_q); then per layer RX(w[2·l·n + q]) on every qubit, RZ(w[2·l·n + n + q]) on
  every qubit, ring.

Outputs are ⟨Z_q⟩ for q = 0 … n−1. A step is forward and backward of ``sum(out * cotangent)``
with gradients for inputs and weights.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Case:
    """One training step of one or more projections that run the same circuit.

    Projection p has its own weights and reads the rows of head ``p // (projections // heads)``:
    with two heads the order is Q, K, V of head 0, then Q, K, V of head 1.
    """

    name: str
    family: str
    qubits: int
    layers: int
    rows: int
    projections: int = 1
    heads: int = 1
    extra: bool = False
    """Left out unless asked for."""

    @property
    def weights(self) -> int:
        """Number of weights of one projection."""
        return self.layers * self.qubits * (2 if self.family == "rx-rz-ring" else 1)

    @property
    def kinds(self) -> int:
        """Projections per head: three for Q, K, V."""
        return self.projections // self.heads

    def head_of(self, projection: int) -> int:
        """The head whose rows a projection reads."""
        return projection // self.kinds

    def sampled(self, rows: int) -> Case:
        """One projection on few rows, for sides that are too slow for the whole case."""
        rows = min(rows, self.rows)
        return replace(self, name=f"{self.name}/{rows}", rows=rows, projections=1, heads=1)

    @property
    def volume(self) -> int:
        """Circuit evaluations of one forward pass: the unit in which samples are scaled up."""
        return self.rows * self.projections


@dataclass(frozen=True)
class Inputs:
    """The numbers of a case, float64."""

    x: Array
    """shape: (heads, rows, n)"""
    weights: Array
    """shape: (projections, weights)"""
    cotangents: Array
    """shape: (projections, rows, n)"""


def make_inputs(case: Case) -> Inputs:
    """Angles uniform in (−π, π), cotangents normal; the seed depends on the case's name only."""
    rng = np.random.default_rng(zlib.crc32(case.name.encode()))
    return Inputs(
        x=rng.uniform(-np.pi, np.pi, (case.heads, case.rows, case.qubits)),
        weights=rng.uniform(-np.pi, np.pi, (case.projections, case.weights)),
        cotangents=rng.normal(size=(case.projections, case.rows, case.qubits)),
    )


CASES: tuple[Case, ...] = (
    Case("six-projections", "ry-ring", 4, 2, 1536, projections=6, heads=2),
    Case("ry-6q", "ry-ring", 6, 2, 777),
    Case("reupload-6q", "reupload-ring", 6, 2, 777),
    Case("ry-8q", "ry-ring", 8, 3, 1536),
    Case("ry-12q", "ry-ring", 12, 2, 256),
    Case("ry-16q", "ry-ring", 16, 1, 32),
    Case("six-projections-complex", "rx-rz-ring", 4, 2, 1536, projections=6, heads=2, extra=True),
    Case("rx-rz-8q", "rx-rz-ring", 8, 3, 1536, extra=True),
)


def select(names: list[str] | None, extra: bool) -> list[Case]:
    """The cases asked for by name, or all of them.

    Raises:
        KeyError: If a name is not that of a case.
    """
    if not names:
        return [case for case in CASES if extra or not case.extra]
    known = {case.name: case for case in CASES}
    missing = [name for name in names if name not in known]
    if missing:
        raise KeyError(f"Expected cases among {sorted(known)}, but got {missing}.")
    return [known[name] for name in names]


def z_signs(qubits: int, *, big_endian: bool) -> Array:
    """Table of Z signs, shape (2ⁿ, n): ⟨Z_q⟩ = probabilities @ signs[:, q].

    Args:
        qubits: n.
        big_endian: Whether wire 0 is the most significant bit of a basis state's index.
    """
    states = np.arange(2**qubits)[:, None]
    wires = np.arange(qubits)[None, :]
    shift = qubits - 1 - wires if big_endian else wires
    return 1.0 - 2.0 * ((states >> shift) & 1)
