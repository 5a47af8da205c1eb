"""Means over shots of circuits that are too wide for bitstrings: normal draws.

The mean of S shots has the exact mean, and a covariance of 1/S of that of one shot. Outputs whose
light cones meet are correlated, all others are not, so that the covariances of a chain stand in a
band around the diagonal. Both are computed exactly; what is approximate is the shape of the
distribution, which approaches a normal one as S grows. Values may lie outside of what bits allow.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from qvit_qiskit.simulation.exact.engine import Request, RowEngine
from qvit_qiskit.simulation.moments import Moments

MAX_ENTRIES = 2**25
"""Of the covariances of some rows together."""
JITTER = 1e-12
"""Added to variances, so that rounding errors leave none of them negative."""


def draw_means(
    engine: RowEngine[Any],
    moments: Moments[Any],
    values: np.ndarray,
    outputs: int,
    shots: int,
    seed: np.random.SeedSequence,
) -> tuple[np.ndarray, np.ndarray]:
    """Means over shots, drawn, and their covariances, exact.

    Args:
        engine: Runs the programs.
        moments: The programs.
        values: Parameter values, shape (R, P).
        outputs: K.
        shots: S, per row.
        seed: Of the draws.

    Returns:
        Shapes (K, R) and (K, R, K).
    """
    rows = len(values)
    means, covariances = np.zeros((outputs, rows)), np.zeros((outputs, rows, outputs))
    step = max(1, MAX_ENTRIES // max(1, outputs**2))
    starts = range(0, rows, step)
    for start, own in zip(starts, seed.spawn(len(starts)), strict=True):
        chunk = slice(start, start + step)
        exact, covariance = exact_moments(engine, moments, values[chunk], outputs)
        covariance /= shots
        noise = np.random.default_rng(own).standard_normal((len(exact), outputs))
        root = _root(covariance)  # (r, K, K)
        means[:, chunk] = (exact + np.einsum("rkm,rm->rk", root, noise)).T  # (K, r)
        covariances[:, chunk] = covariance.swapaxes(0, 1)  # (K, r, K)
    return means, covariances


def exact_moments(
    engine: RowEngine[Any], moments: Moments[Any], values: np.ndarray, outputs: int
) -> tuple[np.ndarray, np.ndarray]:
    """Means, shape (R, K), and covariances of one shot, shape (R, K, K).

    Args:
        engine: Runs the programs.
        moments: The programs.
        values: Parameter values, shape (R, P).
        outputs: K.
    """
    counts = outputs, len(moments.pairs)
    programs = moments.means, moments.products
    requests = [Request.of(program, values, program.diagonals(count))
                for program, count in zip(programs, counts, strict=True)]  # fmt: skip
    first, second = (found[0].T for found in engine.values(requests))  # (R, K), (R, p)
    k, m = moments.pairs.T
    covariances = np.zeros((len(values), outputs, outputs))
    covariances[:, k, m] = second - first[:, k] * first[:, m]
    covariances[:, m, k] = covariances[:, k, m]
    return first, covariances


def _root(covariances: np.ndarray) -> np.ndarray:
    """Matrices whose square is each covariance; where it has a negative part, that goes."""
    jitter = JITTER * np.eye(covariances.shape[-1])
    root, failed = torch.linalg.cholesky_ex(torch.from_numpy(covariances + jitter))
    bad = np.flatnonzero(failed.numpy())
    if len(bad):
        lengths, axes = np.linalg.eigh(covariances[bad])
        root.numpy()[bad] = axes * np.sqrt(np.clip(lengths, 0.0, None))[:, None]
    return np.asarray(root.numpy())
