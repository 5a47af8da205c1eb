"""Shot noise of outputs on which all shots agree: small, but not none."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from qvit_qiskit.circuits.measurement_bases import measurement_bases
from qvit_qiskit.hardware.stages.stage import Group


def saturated_variance(ranges: np.ndarray, shots: int) -> np.ndarray:
    """Variance of a mean of N shots that all agree, by Laplace's rule of succession.

    After N equal outcomes the other one is given the probability p = 1/(N + 2). One shot of an
    observable with values between a and b then has the variance (b − a)² p (1 − p), and the mean
    of N shots

        (b − a)² (N + 1) / ((N + 2)² N),

    about (b − a)²/N² where the sample's own variance is 0.

    Args:
        ranges: b − a for each observable, shape (K,).
        shots: N.
    """
    return np.asarray(ranges**2 * (shots + 1) / ((shots + 2) ** 2 * shots))


def observable_ranges(group: Group) -> np.ndarray:
    """Largest minus smallest measurable value of a group's observables, shape (K,).

    Terms that are measured in different bases add their ranges.
    """
    count = len(group.terms)
    bases = measurement_bases(group.terms)
    return np.asarray(sum(basis.ranges(count) for basis in bases))


def with_floor(covariances: np.ndarray, floor: np.ndarray) -> np.ndarray:
    """Covariances whose variances are at least a floor; the rest of a matrix stays as it is.

    A variance above 0 of ±1 outcomes is above the floor anyway. Where no shot disagrees the
    covariances with other outputs are 0, and stay so.

    Args:
        covariances: Shape (R, K, K).
        floor: Shape (K,).
    """
    raised = covariances.copy()
    diagonal = np.einsum("rkk->rk", raised)  # a view
    diagonal[...] = np.maximum(diagonal, floor)
    return raised


def raised(covariances: np.ndarray, group: Group, shots: int) -> np.ndarray:
    """Raise the covariances of a group's outputs, so that none is without error.

    Args:
        covariances: Shape (R, K, K).
        group: The circuit and its K observables.
        shots: Bitstrings per row.
    """
    return with_floor(covariances, saturated_variance(observable_ranges(group), shots))


def square_root(covariances: np.ndarray) -> np.ndarray:
    """Symmetric square roots of covariances (…, K, K); what is negative by rounding counts as 0."""
    values, vectors = np.linalg.eigh(covariances)
    roots = vectors * np.sqrt(values.clip(0.0))[..., None, :]
    return np.asarray(roots @ np.swapaxes(vectors, -1, -2))


def noise_roots(
    covariances: Sequence[np.ndarray], groups: Sequence[Group], shots: int
) -> list[np.ndarray]:
    """Square roots of covariances that were raised: no row is without noise.

    Args:
        covariances: For each group those of its rows, shape (U, K, K).
        groups: The groups.
        shots: Bitstrings per row.

    Returns:
        For each group F of its rows, shape (U, K, K), with F Fᵀ the covariance.
    """
    pairs = zip(covariances, groups, strict=True)
    return [square_root(raised(each, group, shots)) for each, group in pairs]


def draw_errors(roots: Sequence[np.ndarray], rng: np.random.Generator) -> list[np.ndarray]:
    """One Gaussian draw: for each group the errors of its rows, shape (U, K).

    Args:
        roots: See `noise_roots`.
        rng: What draws.
    """
    return [np.einsum("ukl,ul->uk", root, rng.standard_normal(root.shape[:2])) for root in roots]
