"""What a quantum layer measured, projection by projection."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Outputs:
    """What one projection of a quantum layer measured."""

    parameters: np.ndarray  # shape: (R, P), inputs and weights, as they were sent
    values: np.ndarray  # shape: (R, K)
    covariances: np.ndarray  # shape: (R, K, K), of the values
    copies: np.ndarray  # shape: (R,), the copy on the chip that each row ran on

    @property
    def stds(self) -> np.ndarray:
        """Standard errors, shape (R, K)."""
        # rounding may leave −1e−18
        return np.sqrt(np.einsum("rkk->rk", self.covariances).clip(0.0))
