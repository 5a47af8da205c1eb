"""What a quantum layer measured, projection by projection."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Outputs:
    """What one projection of a quantum layer measured."""

    parameters: np.ndarray
    """Inputs and weights as they were sent, in radians, shape (R, P)."""
    values: np.ndarray
    """Expectation values that were measured, shape (R, K)."""
    covariances: np.ndarray
    """Covariances of the values, shape (R, K, K)."""
    copies: np.ndarray
    """The copy on the chip that each row ran on, shape (R,)."""

    @property
    def stds(self) -> np.ndarray:
        """Standard errors, shape (R, K)."""
        # rounding may leave −1e−18
        return np.sqrt(np.einsum("rkk->rk", self.covariances).clip(0.0))
