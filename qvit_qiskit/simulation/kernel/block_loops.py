"""Values of blocks of rows, and their pullback, compiled by numba."""

from __future__ import annotations

import numpy as np

from qvit_qiskit.simulation.kernel.gate_loops import compiled
from qvit_qiskit.simulation.kernel.loops import (
    Spot,
    Sums,
    Tables,
    Trig,
    begin,
    pull_begin,
    pull_read,
    read,
    run_gates,
    undo_gates,
)

Array = np.ndarray


@compiled
def forward(
    tables: Tables,
    trig: Trig,
    by_group: bool,
    shape: tuple[int, int],
    diagonal: Array,
    blocks: tuple[int, int],
    finals: Array,
    values: Array,
) -> None:
    """Values of some blocks of rows, of as many as there are lanes.

    Args:
        tables: The circuit.
        trig: Cosines and sines, rows filled up to whole blocks.
        by_group: Whether row angles or the product state differ between weight sets.
        shape: 1 part for real amplitudes or 2 for complex ones, and the lanes of a block.
        diagonal: The observables by places, shape (2**n, K).
        blocks: The first block, and the one behind the last.
        finals: Filled with the last states unless empty, shape (G, blocks, 2**n, parts, lanes).
        values: Filled, shape (G, K, R).
    """
    parts, lanes = shape
    size, groups, arrays = diagonal.shape[0], trig.shared.shape[1], trig.row.shape[2]
    each = 1 if by_group else groups // arrays
    state = np.empty((size, parts, lanes))
    begun = np.empty((size, parts, lanes))
    below = np.empty((size, lanes))
    for block in range(blocks[0], blocks[1]):
        first = block * lanes
        for place in range(arrays):
            begin(tables.product, trig, Spot(place, place, first), below, begun)
            for group in range(place * each, (place + 1) * each):
                spot = Spot(place, group, first)
                state[:] = begun
                run_gates(tables, trig, spot, state)
                if finals.shape[0]:
                    finals[group, block] = state
                read(state, diagonal, spot, values)


@compiled
def back(
    tables: Tables,
    trig: Trig,
    by_group: bool,
    shape: tuple[int, int],
    diagonal: Array,
    blocks: tuple[int, int],
    finals: Array,
    cotangents: Array,
    sums: Sums,
) -> None:
    """Pull cotangents of some blocks back to all angles.

    Args:
        tables: As in `forward`.
        trig: As in `forward`.
        by_group: As in `forward`.
        shape: As in `forward`.
        diagonal: As in `forward`.
        blocks: As in `forward`.
        finals: What `forward` filled; where it is empty, states are computed once more.
        cotangents: ∂L/∂values, shape (G, K, R).
        sums: ∂L/∂angles, added to.
    """
    parts, lanes = shape
    size, groups, arrays = diagonal.shape[0], trig.shared.shape[1], trig.row.shape[2]
    each = 1 if by_group else groups // arrays
    state = np.empty((size, parts, lanes))
    begun = np.empty((size, parts, lanes))
    lam = np.empty((size, parts, lanes))
    total = np.empty((size, lanes))
    below = np.empty((size, lanes))
    for block in range(blocks[0], blocks[1]):
        first = block * lanes
        for place in range(arrays):
            begin(tables.product, trig, Spot(place, place, first), below, begun)
            total[:] = 0.0
            for group in range(place * each, (place + 1) * each):
                spot = Spot(place, group, first)
                if finals.shape[0]:
                    state[:] = finals[group, block]
                else:
                    state[:] = begun
                    run_gates(tables, trig, spot, state)
                pull_read(state, diagonal, spot, cotangents, lam)
                undo_gates(tables, trig, spot, state, lam, sums)
                for i in range(size):
                    for v in range(lanes):
                        total[i, v] += lam[i, 0, v]
            pull_begin(tables.product, trig, Spot(place, place, first), below, total, sums)
