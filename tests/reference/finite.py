"""Derivatives by finite differences."""

from collections.abc import Callable

import numpy as np

# Central differences of eighth order: the error of smooth functions of angles is near 1e-12.
_OFFSETS = np.array([1, 2, 3, 4])
_WEIGHTS = np.array([4 / 5, -1 / 5, 4 / 105, -1 / 280])


def jacobian(
    function: Callable[[np.ndarray], np.ndarray], rows: np.ndarray, step: float = 2e-2
) -> np.ndarray:
    """∂function/∂rows for a function that treats every row by itself.

    Args:
        function: (R', P) to (R', K).
        rows: Shape (R, P).
        step: Step of the stencil.

    Returns:
        Shape (R, K, P).
    """
    count, width = rows.shape
    shifts = step * np.concatenate([_OFFSETS, -_OFFSETS])
    moved = rows + shifts[:, None, None, None] * np.eye(width)[:, None]  # (8, P, R, P)
    found = function(moved.reshape(-1, width)).reshape(8, width, count, -1)
    weights = np.concatenate([_WEIGHTS, -_WEIGHTS]) / step
    return np.einsum("s,sprk->rkp", weights, found)
