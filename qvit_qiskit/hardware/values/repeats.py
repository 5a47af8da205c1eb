"""Rows that are measured once more: alone on the chip, or in every job of their stage."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np


@dataclass(frozen=True)
class Control:
    """Rows that ran packed, beside others, and alone: what the neighbours do to them."""

    packed: np.ndarray
    """Expectation values beside other rows, shape (R, K)."""
    packed_covariances: np.ndarray
    """Covariances of these values, shape (R, K, K)."""
    alone: np.ndarray
    """Expectation values of the same rows alone, shape (R, K)."""
    alone_covariances: np.ndarray
    """Covariances of these values, shape (R, K, K)."""

    def difference(self) -> tuple[float, float]:
        """Root mean square of packed − alone beyond shot noise, and its standard error.

        Shot noise is subtracted, so that the result may be zero; it then says that no difference
        was seen, not that there is none.
        """
        gap = self.packed - self.alone
        noise = np.einsum("rkk->rk", self.packed_covariances + self.alone_covariances)  # (R, K)
        excess = float(np.mean(gap**2 - noise))
        error = float(np.std(gap**2 - noise) / np.sqrt(gap.size))
        size = np.sqrt(max(0.0, excess))
        return size, error / (2 * size) if size > 0 else float(np.sqrt(error))


@dataclass(frozen=True)
class Anchors:
    """The same rows of one circuit, measured in every job of a stage: what drift does to them.

    Each job ran them with the same circuit, on the same qubits, with the shots and the mitigation
    of all other rows. Where the device does not change, two jobs differ by shot noise alone. The
    rows were also measured once in their own place, like every row; what stands here is beside
    that and enters no output of a layer. Jobs are in the order in which they ran.
    """

    jobs: tuple[str, ...]
    """The jobs' names in the journal, e.g. ``"000-1"``: the second of the first stage."""
    times: tuple[datetime, ...]
    """When each began to run, as the service says; where it does not say so of all of them, when
    their results were stored."""
    parameters: np.ndarray
    """Inputs and weights as they were sent, in radians, shape (A, P)."""
    values: np.ndarray
    """Expectation values of each job, shape (jobs, A, K)."""
    covariances: np.ndarray
    """Covariances of each job's values, shape (jobs, A, K, K)."""
    calibrated: bool
    """Whether readout was mitigated: the rows of a job then share the shot noise of its
    calibration, which is in the covariances of each."""
    rows: np.ndarray = field(default_factory=lambda: np.zeros(0, int))
    """Their places among the executed rows of the circuit, shape (A,)."""
    copies: np.ndarray = field(default_factory=lambda: np.zeros(0, int))
    """The copy on the chip that each ran on, shape (A,)."""

    def drift(self) -> tuple[float, float]:
        """Mean square of the outputs' change between jobs beyond shot noise, and its error.

        Returns:
            The variance over jobs less the mean shot noise, averaged over rows and outputs; zero
            on average where nothing changes, so that it may be negative. Then the standard error
            that shot noise alone gives it, for normal errors; rows that share a calibration count
            as one, which is no less than it is. NaN for a single job.
        """
        jobs, rows, outputs = self.values.shape
        if jobs < 2:
            return math.nan, math.nan
        noise = self.covariances.mean(axis=0)  # (A, K, K)
        excess = self.values.var(axis=0, ddof=1) - np.einsum("akk->ak", noise)  # (A, K)
        # var(s²) = 2σ⁴ / (J − 1), and the same for the covariance of two outputs' s²
        errors = np.sqrt(2 * np.sum(noise**2, axis=(1, 2)) / (jobs - 1)) / outputs  # (A,)
        error = errors.mean() if self.calibrated else np.sqrt(np.sum(errors**2)) / rows
        return float(excess.mean()), float(error)
