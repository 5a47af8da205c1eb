"""All gates of a circuit on blocks of rows, forwards and backwards, compiled by numba.

Some rows at a time, one a lane, stand last in every array, so that a gate is arithmetic on short
vectors that stay in the processor's cache. States are not remembered on the way: going back, every
gate is undone on the state and on its cotangent λ.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from qvit_qiskit.simulation.kernel.gate_code import MATRIX, PHASE, ROW, SHARED
from qvit_qiskit.simulation.kernel.gate_loops import (
    compiled,
    multiply,
    of_lane,
    rotate,
    rotate_real,
    turn,
    undo,
)

Array = np.ndarray


class Tables(NamedTuple):
    """A circuit; see `GateCode`."""

    product: Array
    gates: Array
    pairs: Array
    phases: Array
    matrices: Array


class Trig(NamedTuple):
    """Cosines and sines of half the angles, first of all the axes."""

    row: Array
    """Of row angles, shape (2, m_row, G or H, R)."""
    shared: Array
    """Of shared ones, shape (2, G, m)."""


class Spot(NamedTuple):
    """Which lanes are worked on."""

    place: int
    """The array of row angles: of H arrays of rows, or of G weight sets."""
    group: int
    """The weight set."""
    first: int
    """The row of the first lane."""


class Sums(NamedTuple):
    """∂L/∂angles, added to."""

    by_row: Array
    """Shape (m_row, G or H, R)."""
    by_shared: Array
    """Shape (G, m)."""


@compiled
def grow(state: Array, below: Array, c: Any, s: Any) -> None:
    """A product state with one more qubit, in c |0⟩ + s |1⟩.

    Args:
        state: Its real part is filled up to the new qubit.
        below: The product state of the qubits below, shape (2**q, lanes).
        c: cos φ/2 of each lane, or of all.
        s: sin φ/2, likewise.
    """
    size = below.shape[0]
    for i in range(size):
        for v in range(below.shape[1]):
            state[i, 0, v] = of_lane(c, v) * below[i, v]
            state[size + i, 0, v] = of_lane(s, v) * below[i, v]


@compiled
def shrink(lam: Array, below: Array, c: Any, s: Any, out: Array) -> None:
    """λ without its highest qubit, and the derivative by that qubit's angle.

    Args:
        lam: λ of the product state; its lower half becomes that of the qubits below.
        below: The product state of the qubits below, shape (2**q, lanes).
        c: cos φ/2 of each lane, or of all.
        s: sin φ/2, likewise.
        out: ∂L/∂φ, filled, shape (lanes,).
    """
    size = below.shape[0]
    out[:] = 0.0
    for i in range(size):
        for v in range(below.shape[1]):
            cv, sv, p, q = of_lane(c, v), of_lane(s, v), lam[i, v], lam[size + i, v]
            out[v] += 0.5 * below[i, v] * (cv * q - sv * p)
            lam[i, v] = cv * p + sv * q


@compiled
def begin(product: Array, trig: Trig, spot: Spot, below: Array, state: Array) -> None:
    """The product state of the first rotations.

    Args:
        product: As in `GateCode`.
        trig: Cosines and sines.
        spot: Which lanes.
        below: Filled: places 2**q to 2**(q + 1) with the product state of the qubits below q.
        state: Filled.
    """
    last = spot.first + below.shape[1]
    state[:] = 0.0
    for v in range(below.shape[1]):
        state[0, 0, v] = 1.0
    for q in range(product.shape[0]):
        size, kind, slot = 1 << q, product[q, 0], product[q, 1]
        for i in range(size):
            for v in range(below.shape[1]):
                below[size + i, v] = state[i, 0, v]
        if kind == ROW:
            c = trig.row[0, slot, spot.place, spot.first : last]
            s = trig.row[1, slot, spot.place, spot.first : last]
            grow(state, below[size : 2 * size], c, s)
        elif kind == SHARED:
            cg, sg = trig.shared[0, spot.group, slot], trig.shared[1, spot.group, slot]
            grow(state, below[size : 2 * size], cg, sg)


@compiled
def collect(kind: int, slot: int, spot: Spot, turned: Array, sums: Sums) -> None:
    """Add the derivatives of the lanes where they belong.

    Args:
        kind: `ROW` or `SHARED`.
        slot: Of the angle.
        spot: Which lanes.
        turned: ∂L/∂φ, shape (lanes,).
        sums: Added to.
    """
    if kind == ROW:
        own = sums.by_row[slot, spot.place, spot.first : spot.first + turned.shape[0]]
        for v in range(turned.shape[0]):
            own[v] += turned[v]
    else:
        total = 0.0
        for v in range(turned.shape[0]):
            total += turned[v]
        sums.by_shared[spot.group, slot] += total


@compiled
def pull_begin(
    product: Array, trig: Trig, spot: Spot, below: Array, lam: Array, sums: Sums
) -> None:
    """Fold λ of the product state into its angles, the highest qubit first.

    Args:
        product: As in `GateCode`.
        trig: Cosines and sines.
        spot: Which lanes.
        below: What `begin` filled.
        lam: λ of the product state, shape (2**n, lanes); overwritten.
        sums: Added to.
    """
    lanes = lam.shape[1]
    turned, last = np.empty(lanes), spot.first + lanes
    for q in range(product.shape[0] - 1, -1, -1):
        size, kind, slot = 1 << q, product[q, 0], product[q, 1]
        if kind == ROW:
            c = trig.row[0, slot, spot.place, spot.first : last]
            s = trig.row[1, slot, spot.place, spot.first : last]
            shrink(lam, below[size : 2 * size], c, s, turned)
        elif kind == SHARED:
            cg, sg = trig.shared[0, spot.group, slot], trig.shared[1, spot.group, slot]
            shrink(lam, below[size : 2 * size], cg, sg, turned)
        else:
            continue  # |0⟩: λ of the upper half moves nothing
        collect(kind, slot, spot, turned, sums)


@compiled
def run_gates(tables: Tables, trig: Trig, spot: Spot, state: Array) -> None:
    """All gates behind the product state.

    Args:
        tables: The circuit.
        trig: Cosines and sines.
        spot: Which lanes.
        state: Changed in place.
    """
    last, real = spot.first + state.shape[2], state.shape[1] == 1
    for m in range(tables.gates.shape[0]):
        gate = tables.gates[m]
        kind, axis, slot, pairs = gate[0], gate[1], gate[2], gate[3]
        if kind == PHASE:
            turn(state, tables.phases[slot], 1.0)
        elif kind == MATRIX:
            multiply(state, tables.pairs[pairs], tables.matrices[slot, 0])
        elif kind == ROW:
            c = trig.row[0, slot, spot.place, spot.first : last]
            s = trig.row[1, slot, spot.place, spot.first : last]
            if real:
                rotate_real(state, tables.pairs[pairs], c, s)
            else:
                rotate(axis, state, tables.pairs[pairs], c, s)
        else:
            cg, sg = trig.shared[0, spot.group, slot], trig.shared[1, spot.group, slot]
            if real:
                rotate_real(state, tables.pairs[pairs], cg, sg)
            else:
                rotate(axis, state, tables.pairs[pairs], cg, sg)


@compiled
def undo_gates(
    tables: Tables, trig: Trig, spot: Spot, state: Array, lam: Array, sums: Sums
) -> None:
    """All gates backwards, on the state and on λ.

    Args:
        tables: The circuit.
        trig: Cosines and sines.
        spot: Which lanes.
        state: The last state; becomes the product state.
        lam: Its λ, likewise.
        sums: Added to.
    """
    lanes = state.shape[2]
    turned, minus, last = np.empty(lanes), np.empty(lanes), spot.first + lanes
    for m in range(tables.gates.shape[0] - 1, -1, -1):
        gate = tables.gates[m]
        kind, axis, slot, pairs = gate[0], gate[1], gate[2], gate[3]
        if kind == PHASE:
            turn(state, tables.phases[slot], -1.0)
            turn(lam, tables.phases[slot], -1.0)
            continue
        if kind == MATRIX:
            multiply(state, tables.pairs[pairs], tables.matrices[slot, 1])
            multiply(lam, tables.pairs[pairs], tables.matrices[slot, 1])
            continue
        if kind == ROW:
            c = trig.row[0, slot, spot.place, spot.first : last]
            s = trig.row[1, slot, spot.place, spot.first : last]
            for v in range(lanes):
                minus[v] = -s[v]
            undo(axis, state, lam, tables.pairs[pairs], c, s, minus, turned)
        else:
            cg, sg = trig.shared[0, spot.group, slot], trig.shared[1, spot.group, slot]
            undo(axis, state, lam, tables.pairs[pairs], cg, sg, -sg, turned)
        collect(kind, slot, spot, turned, sums)


@compiled
def read(state: Array, diagonal: Array, spot: Spot, values: Array) -> None:
    """Observables' values, from probabilities.

    Args:
        state: The last state; overwritten.
        diagonal: The observables by places, shape (2**n, K).
        spot: Which lanes.
        values: Filled there, shape (G, K, R).
    """
    lanes = state.shape[2]
    for i in range(state.shape[0]):
        for v in range(lanes):
            state[i, 0, v] *= state[i, 0, v]
        for part in range(1, state.shape[1]):
            for v in range(lanes):
                state[i, 0, v] += state[i, part, v] * state[i, part, v]
    for k in range(diagonal.shape[1]):
        out = values[spot.group, k, spot.first : spot.first + lanes]
        out[:] = 0.0
        for i in range(0, state.shape[0], 2):  # two at a time: half as often to memory and back
            d, e = diagonal[i, k], diagonal[i + 1, k]
            for v in range(lanes):
                out[v] += d * state[i, 0, v] + e * state[i + 1, 0, v]


@compiled
def pull_read(state: Array, diagonal: Array, spot: Spot, cotangents: Array, lam: Array) -> None:
    """λ of the last state.

    Args:
        state: The last state.
        diagonal: The observables by places, shape (2**n, K).
        spot: Which lanes.
        cotangents: ∂L/∂values, shape (G, K, R).
        lam: Filled.
    """
    lanes, outputs = state.shape[2], diagonal.shape[1]
    factor, last = np.empty(lanes), spot.first + lanes
    for i in range(state.shape[0]):
        factor[:] = 0.0
        for k in range(0, outputs - 1, 2):
            d, one = 2.0 * diagonal[i, k], cotangents[spot.group, k, spot.first : last]
            e, two = 2.0 * diagonal[i, k + 1], cotangents[spot.group, k + 1, spot.first : last]
            for v in range(lanes):
                factor[v] += d * one[v] + e * two[v]
        if outputs % 2:
            k = outputs - 1
            d, one = 2.0 * diagonal[i, k], cotangents[spot.group, k, spot.first : last]
            for v in range(lanes):
                factor[v] += d * one[v]
        for part in range(state.shape[1]):
            for v in range(lanes):
                lam[i, part, v] = factor[v] * state[i, part, v]
