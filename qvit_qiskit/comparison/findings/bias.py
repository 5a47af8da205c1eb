"""Systematic errors of quantum layers: by output, qubit and copy, and from job to job.

An error here is a recorded output minus the exact one at the same angles. Every executed row counts
once, however many tokens share it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats  # type: ignore[import-untyped]

from qvit_qiskit.comparison.evidence import AnchorSeries, Rung
from qvit_qiskit.comparison.propagation import own_covariances
from qvit_qiskit.hardware.values.floors import raised
from qvit_qiskit.hardware.values.readout_factors import Shared


@dataclass(frozen=True)
class Errors:
    """Errors of the executed rows of one circuit in one quantum layer."""

    deltas: np.ndarray  # shape: (U, K)
    exact: np.ndarray  # shape: (U, K), the exact outputs
    covariances: np.ndarray  # shape: (U, K, K), of each row's own noise; 0 where there is none
    qubits: np.ndarray | None  # shape: (U, K), physical, −1 where an output is not one qubit's
    copies: np.ndarray | None  # shape: (U,)
    jobs: np.ndarray | None  # shape: (U,)
    shared: Sequence[Shared] = ()
    """Noise of calibrations."""


def errors_of(rung: Rung, layer: int) -> list[Errors]:
    """The executed rows of a layer, one entry for each of its circuits.

    Args:
        rung: One with ``deltas`` and ``executions``.
        layer: Counted from 0.
    """
    assert rung.deltas is not None
    assert rung.executions is not None
    where, errors = rung.executions[layer], []
    own = own_covariances(where, rung.layers[layer])
    shared = where.calibrated.shared if where.calibrated else []
    deltas = where.rows.executed(rung.deltas[layer])
    values = where.rows.executed([out.values for out in rung.layers[layer]])
    for g, group in enumerate(where.rows.groups):
        errors.append(
            Errors(
                deltas[g],
                values[g] - deltas[g],
                raised(own[g], group, rung.shots) if rung.shots else own[g],
                where.qubits[g] if where.qubits else None,
                where.copies[g] if where.copies else None,
                where.jobs[g] if where.jobs else None,
                [one for one in shared if one.group == g],
            )
        )
    return errors


@dataclass(frozen=True)
class Means:
    """Mean errors by label, with a chi-square test."""

    labels: np.ndarray  # shape: (L,)
    counts: np.ndarray  # shape: (L,), executed rows
    means: np.ndarray  # shape: (L,)
    errors: np.ndarray  # shape: (L,), standard errors
    chi_square: float
    """The statistic; nan without scatter, like ``p``."""
    freedom: int
    p: float


def zero_bias(errors: Sequence[Errors], by: str) -> Means:
    """Mean errors by output or by physical qubit; the test asks whether all of them are 0.

    Standard errors come from the shots alone: they say how well the bias of these rows is known.
    Outputs of one row share its shots, and rows of one job its calibration, which the test's
    covariance matrix knows. Without shots the
    bias of these rows is known exactly; standard errors then come from the scatter of the rows and
    say how well that of other rows is known, and there is no test.

    Args:
        errors: Of one layer.
        by: ``"output"`` or ``"qubit"``.
    """
    tagged = [(e, _labels(e, by)) for e in errors]
    labels = np.unique(np.concatenate([t[t >= 0] for _, t in tagged]))  # −1 is no qubit's
    counts, sums, squares = (np.zeros(len(labels)) for _ in range(3))
    covariance = np.zeros((len(labels), len(labels)))
    for e, tags in tagged:
        place = np.searchsorted(labels, tags.clip(labels[0]))  # (U, K); where unknown, masked below
        known = tags >= 0
        np.add.at(counts, place[known], 1)
        np.add.at(sums, place[known], e.deltas[known])
        np.add.at(squares, place[known], e.deltas[known] ** 2)
        for k in range(tags.shape[1]):
            for m in range(tags.shape[1]):
                both = known[:, k] & known[:, m]
                pairs = (place[both, k], place[both, m])
                np.add.at(covariance, pairs, e.covariances[both, k, m])
        chosen = known[:, :, None] & (place[:, :, None] == np.arange(len(labels)))  # (U, K, labels)
        for one in e.shared:
            covariance += one.of_means(chosen[one.rows].astype(float))
    # of sums, then of means
    means, covariance = sums / counts, covariance / np.outer(counts, counts)
    deviations = np.sqrt(np.diag(covariance))
    if not deviations.any():
        scatter = np.sqrt((squares / counts - means**2).clip(0.0) / np.maximum(counts - 1, 1))
        return Means(labels, counts, means, scatter, np.nan, 0, np.nan)
    chi_square, freedom = _mahalanobis(means, covariance)
    p = float(stats.chi2.sf(chi_square, freedom))
    return Means(labels, counts, means, deviations, chi_square, freedom, p)


def _labels(errors: Errors, by: str) -> np.ndarray:
    if by == "qubit":
        assert errors.qubits is not None
        return errors.qubits
    return np.broadcast_to(np.arange(errors.deltas.shape[1]), errors.deltas.shape)


def _mahalanobis(vector: np.ndarray, covariance: np.ndarray) -> tuple[float, int]:
    """vᵀ C⁻¹ v on the directions in which there is variance, and how many they are."""
    values, vectors = np.linalg.eigh(covariance)
    kept = values > 1e-12 * values.max()  # elsewhere rounding would decide
    along = vectors[:, kept].T @ vector
    return float(np.sum(along**2 / values[kept])), int(kept.sum())


def same_bias(errors: Sequence[Errors], by: str) -> Means:
    """Mean errors by copy or by job; the test asks whether they are equal.

    Rows differ between labels, so standard errors come from the scatter of the rows, shots
    included. The contraction that noise brings depends on a row's exact outputs: a straight line
    through each output's errors over its exact values is taken out first. At resilience levels 1
    and 2 the noise of a job's calibration counts as a difference between jobs. The statistic is a
    chi-square whose scale is estimated from the scatter, so that p comes from an F distribution.

    Args:
        errors: Of one layer.
        by: ``"copy"`` or ``"job"``.
    """
    tags, heights = [], []
    for e in errors:
        places = e.copies if by == "copy" else e.jobs
        assert places is not None
        tags.append(places)
        heights.append(_without_contraction(e).mean(axis=1))  # (U,), a row counts once
    return _compare(np.concatenate(tags), np.concatenate(heights))


def _without_contraction(errors: Errors) -> np.ndarray:
    """Errors with each output's slope over the exact values taken out, shape (U, K)."""
    centred = errors.exact - errors.exact.mean(axis=0)
    size = np.sum(centred**2, axis=0)
    # (K,), by least squares
    slope = np.sum(centred * errors.deltas, axis=0) / np.where(size > 0, size, 1.0)
    return np.asarray(errors.deltas - slope * centred)


def _compare(tags: np.ndarray, heights: np.ndarray) -> Means:
    labels, place, counts = np.unique(tags, return_inverse=True, return_counts=True)
    means = np.bincount(place, heights) / counts
    free = len(heights) - len(labels)
    scatter = float(np.sum((heights - means[place]) ** 2) / free) if free > 0 else np.nan
    deviations = np.sqrt(scatter / counts)
    if len(labels) < 2 or not scatter > 0:
        return Means(labels, counts, means, deviations, np.nan, 0, np.nan)
    chi_square = float(np.sum(counts * (means - heights.mean()) ** 2) / scatter)
    freedom = len(labels) - 1
    p = float(stats.f.sf(chi_square / freedom, freedom, free))
    return Means(labels, counts, means, deviations, chi_square, freedom, p)


def anchor_drift(anchors: AnchorSeries) -> Means:
    """Mean errors of repeated rows by job; the test asks whether nothing changed between jobs.

    The same rows ran in every job, so shots are the only scatter. The test compares every output
    of every row with its mean over the jobs, not their averages alone: opposite changes do not
    cancel. Where rows share a calibration, their errors are taken to be one, which is no less than
    they are, and the test compares the averages.
    """
    jobs, rows, width = anchors.values.shape
    means = (anchors.values - anchors.exact).mean(axis=(1, 2))  # (jobs,)
    variances = anchors.covariances.sum(axis=(2, 3)) / width**2  # (jobs, rows), of a row's mean
    together = np.sqrt(variances).mean(axis=1)  # as if all rows erred alike
    apart = np.sqrt(variances.sum(axis=1)) / rows  # as if each erred by itself
    deviations = together if anchors.calibrated else apart
    counts, labels = np.full(jobs, rows), np.arange(jobs)
    if jobs < 2 or not deviations.all():
        return Means(labels, counts, means, deviations, np.nan, 0, np.nan)
    if anchors.calibrated:
        chi_square = float(np.sum((means - means.mean()) ** 2) / np.mean(deviations**2))
        freedom = jobs - 1
    else:
        chi_square, freedom = _changes(anchors)
    p = float(stats.chi2.sf(chi_square, freedom))
    return Means(labels, counts, means, deviations, chi_square, freedom, p)


def _changes(anchors: AnchorSeries) -> tuple[float, int]:
    """Chi-square of every output of every row against its mean over the jobs."""
    chi_square, freedom = 0.0, 0
    for row in range(anchors.values.shape[1]):
        pooled = anchors.covariances[:, row].mean(axis=0)  # (K, K), over the jobs
        changes = [
            _mahalanobis(gap, pooled)
            for gap in anchors.values[:, row] - anchors.values[:, row].mean(axis=0)
        ]
        chi_square += sum(size for size, _ in changes)
        freedom += changes[0][1] * (len(changes) - 1)
    return chi_square, freedom
