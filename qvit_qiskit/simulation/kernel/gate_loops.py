"""Gates on short vectors of rows, compiled by numba.

A state has shape (2**n, parts, lanes): each lane is a row, and parts are real and, where there are
any, imaginary ones. A cotangent λ has the shape of its state, and dL = Re Σ conj(λ) d(state).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import overload

Array = np.ndarray

compiled: Any = njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
"""Compiles a function: kept in numba's cache, free of the GIL, a·b + c as one instruction."""


def of_lane(numbers: Any, v: int) -> Any:
    """The number of a lane.

    Args:
        numbers: One for each lane, or the one that all share.
        v: The lane.
    """
    return numbers[v] if isinstance(numbers, np.ndarray) else numbers


@overload(of_lane)
def _of_lane(numbers, v):  # type: ignore[no-untyped-def]
    if isinstance(numbers, types.Array):
        return lambda numbers, v: numbers[v]
    return lambda numbers, v: numbers


@compiled
def rotate(axis: int, state: Array, pairs: Array, c: Any, s: Any) -> None:
    """exp(−i φ P / 2).

    Args:
        axis: 0, 1 or 2 for x, y or z.
        state: Shape (2**n, parts, lanes); changed in place.
        pairs: Places of the amplitudes that are joined, shape (2**(n - 1), 2).
        c: cos φ/2 of each lane, or of all.
        s: sin φ/2, likewise.
    """
    for k in range(pairs.shape[0]):
        a, b = pairs[k, 0], pairs[k, 1]
        if axis == 1:
            for part in range(state.shape[1]):
                for v in range(state.shape[2]):
                    cv, sv = of_lane(c, v), of_lane(s, v)
                    x, y = state[a, part, v], state[b, part, v]
                    state[a, part, v] = cv * x - sv * y
                    state[b, part, v] = sv * x + cv * y
        elif axis == 0:
            for v in range(state.shape[2]):
                cv, sv = of_lane(c, v), of_lane(s, v)
                x, xi = state[a, 0, v], state[a, 1, v]
                y, yi = state[b, 0, v], state[b, 1, v]
                state[a, 0, v] = cv * x + sv * yi
                state[a, 1, v] = cv * xi - sv * y
                state[b, 0, v] = cv * y + sv * xi
                state[b, 1, v] = cv * yi - sv * x
        else:
            for v in range(state.shape[2]):
                cv, sv = of_lane(c, v), of_lane(s, v)
                x, xi = state[a, 0, v], state[a, 1, v]
                y, yi = state[b, 0, v], state[b, 1, v]
                state[a, 0, v] = cv * x + sv * xi
                state[a, 1, v] = cv * xi - sv * x
                state[b, 0, v] = cv * y - sv * yi
                state[b, 1, v] = cv * yi + sv * y


@compiled
def rotate_real(state: Array, pairs: Array, c: Any, s: Any) -> None:
    """`rotate` about y of a state with real amplitudes.

    Args:
        state: Shape (2**n, 1, lanes); changed in place.
        pairs: As in `rotate`.
        c: As in `rotate`.
        s: As in `rotate`.
    """
    for k in range(pairs.shape[0]):
        a, b = pairs[k, 0], pairs[k, 1]
        for v in range(state.shape[2]):
            cv, sv = of_lane(c, v), of_lane(s, v)
            x, y = state[a, 0, v], state[b, 0, v]
            state[a, 0, v] = cv * x - sv * y
            state[b, 0, v] = sv * x + cv * y


@compiled
def derivative(axis: int, state: Array, lam: Array, pairs: Array, out: Array) -> None:
    """∂L/∂φ of each lane.

    Args:
        axis: As in `rotate`.
        state: The state behind the rotation.
        lam: λ behind it.
        pairs: As in `rotate`.
        out: Filled, shape (lanes,).
    """
    out[:] = 0.0
    for k in range(pairs.shape[0]):
        a, b = pairs[k, 0], pairs[k, 1]
        if axis == 1:
            for part in range(state.shape[1]):
                for v in range(state.shape[2]):
                    p, q = lam[a, part, v], lam[b, part, v]
                    out[v] += q * state[a, part, v] - p * state[b, part, v]
        elif axis == 0:
            for v in range(state.shape[2]):
                one = lam[a, 0, v] * state[b, 1, v] - lam[a, 1, v] * state[b, 0, v]
                two = lam[b, 0, v] * state[a, 1, v] - lam[b, 1, v] * state[a, 0, v]
                out[v] += one + two
        else:
            for v in range(state.shape[2]):
                one = lam[a, 0, v] * state[a, 1, v] - lam[a, 1, v] * state[a, 0, v]
                two = lam[b, 0, v] * state[b, 1, v] - lam[b, 1, v] * state[b, 0, v]
                out[v] += one - two
    for v in range(out.shape[0]):
        out[v] *= 0.5


@compiled
def undo_real(state: Array, lam: Array, pairs: Array, c: Any, s: Any, out: Array) -> None:
    """`derivative` and the inverse of RY, in one pass over a real state and λ.

    Args:
        state: The state behind the rotation; becomes that before it.
        lam: λ, likewise.
        pairs: As in `rotate`.
        c: As in `rotate`.
        s: As in `rotate`.
        out: ∂L/∂φ, filled, shape (lanes,).
    """
    out[:] = 0.0
    for k in range(pairs.shape[0]):
        a, b = pairs[k, 0], pairs[k, 1]
        for v in range(state.shape[2]):
            cv, sv = of_lane(c, v), of_lane(s, v)
            x, y, p, q = state[a, 0, v], state[b, 0, v], lam[a, 0, v], lam[b, 0, v]
            out[v] += q * x - p * y
            state[a, 0, v] = cv * x + sv * y
            state[b, 0, v] = cv * y - sv * x
            lam[a, 0, v] = cv * p + sv * q
            lam[b, 0, v] = cv * q - sv * p
    for v in range(out.shape[0]):
        out[v] *= 0.5


@compiled
def undo(
    axis: int, state: Array, lam: Array, pairs: Array, c: Any, s: Any, minus: Any, out: Array
) -> None:
    """Derivative and inverse of any rotation.

    Args:
        axis: As in `rotate`.
        state: The state behind the rotation; becomes that before it.
        lam: λ, likewise.
        pairs: As in `rotate`.
        c: As in `rotate`.
        s: As in `rotate`.
        minus: −s.
        out: ∂L/∂φ, filled, shape (lanes,).
    """
    if state.shape[1] == 1:
        undo_real(state, lam, pairs, c, s, out)
    else:
        derivative(axis, state, lam, pairs, out)
        rotate(axis, state, pairs, c, minus)
        rotate(axis, lam, pairs, c, minus)


@compiled
def multiply(state: Array, pairs: Array, matrix: Array) -> None:
    """A constant one-qubit matrix.

    Args:
        state: Shape (2**n, parts, lanes); changed in place.
        pairs: As in `rotate`.
        matrix: Its real and its imaginary part, shape (2, 2, 2).
    """
    for k in range(pairs.shape[0]):
        a, b = pairs[k, 0], pairs[k, 1]
        if state.shape[1] == 1:
            for v in range(state.shape[2]):
                x, y = state[a, 0, v], state[b, 0, v]
                state[a, 0, v] = matrix[0, 0, 0] * x + matrix[0, 0, 1] * y
                state[b, 0, v] = matrix[0, 1, 0] * x + matrix[0, 1, 1] * y
            continue
        for v in range(state.shape[2]):
            x, xi = state[a, 0, v], state[a, 1, v]
            y, yi = state[b, 0, v], state[b, 1, v]
            for row in range(2):
                m, n = matrix[0, row, 0], matrix[0, row, 1]
                mi, ni = matrix[1, row, 0], matrix[1, row, 1]
                state[pairs[k, row], 0, v] = m * x - mi * xi + n * y - ni * yi
                state[pairs[k, row], 1, v] = m * xi + mi * x + n * yi + ni * y


@compiled
def turn(state: Array, factors: Array, sign: float) -> None:
    """Multiply amplitudes by phases.

    Args:
        state: Shape (2**n, parts, lanes); changed in place.
        factors: Real and imaginary parts of the phases, shape (2, 2**n).
        sign: −1 for their conjugates, else 1.
    """
    for i in range(state.shape[0]):
        f, fi = factors[0, i], sign * factors[1, i]
        if f == 1.0 and fi == 0.0:
            continue
        if state.shape[1] == 1:
            for v in range(state.shape[2]):
                state[i, 0, v] *= f
        else:
            for v in range(state.shape[2]):
                x, xi = state[i, 0, v], state[i, 1, v]
                state[i, 0, v] = f * x - fi * xi
                state[i, 1, v] = f * xi + fi * x
