"""Outputs corrected by what reported errors predict, and by what repeated rows say of the rest.

A run's own compilation and calibration predict what noise makes of the outputs of each copy: nearly
a straight line through the exact values. Real errors are not the reported ones, but what they do
beyond them is much the same on all copies. So a measured output m is taken to be

    m = p + (factor - 1) (p - centre) + shift,    p = scale · exact + offset,

with the predicted line of its copy and output, and one factor and one shift for the whole quantum
layer. These two are learned from the anchors, rows that every job repeats and whose exact values
are known, about the mean of what is predicted for them. No label and no other row has a part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from qiskit.primitives import BaseEstimatorV2

from qvit_qiskit.execution.recorded_noise import RecordedLayer
from qvit_qiskit.hardware.stages.stage import Rows
from qvit_qiskit.hardware.stages.stored_stage import StoredStage
from qvit_qiskit.inference.rows import answers_at

MOST_ROWS = 64
"""Rows of a projection through whose predicted values its lines are drawn."""
LEAST_SCALE = 0.1
"""An output of which noise leaves less than this is corrected as if so much were left."""
FEWEST_COPIES = 8
"""From so many copies on, their scatter says how well the common factor and shift are known."""


@dataclass(frozen=True)
class Lines:
    """Straight lines from exact to noisy outputs: noisy = scale · exact + offset."""

    scale: np.ndarray  # shape: (..., K)
    offset: np.ndarray  # shape: (..., K)

    @classmethod
    def through(cls, exact: np.ndarray, noisy: np.ndarray) -> Lines:
        """Least squares; of several lines that fit alike the one that changes values least.

        Args:
            exact: Shape (R, K).
            noisy: The same rows under noise on C copies, shape (C, R, K).

        Returns:
            Lines of shape (C, K).
        """
        scale, offset = np.ones((2, len(noisy), exact.shape[1]))
        for k in range(exact.shape[1]):
            design = np.stack([exact[:, k], np.ones(len(exact))], axis=1)  # (R, 2)
            gap = (noisy[:, :, k] - exact[:, k]).T  # (R, C)
            slope, offset[:, k] = np.linalg.lstsq(design, gap, rcond=1e-6)[0]
            scale[:, k] = np.maximum(1 + slope, LEAST_SCALE)
        return cls(scale, offset)

    def of(self, exact: np.ndarray) -> np.ndarray:
        """Noisy outputs."""
        return np.asarray(self.scale * exact + self.offset)


@dataclass(frozen=True)
class AnchorValues:
    """Repeated rows of one circuit: what they gave, and what is predicted for them."""

    values: np.ndarray  # shape: (jobs, A, K)
    covariances: np.ndarray  # shape: (jobs, A, K, K)
    predicted: np.ndarray  # shape: (A, K)
    copies: np.ndarray  # shape: (A,), the copy on the chip
    calibrated: bool = False
    """Whether the rows of a job and copy share the noise of its readout calibration."""


@dataclass(frozen=True)
class Common:
    """What errors that nobody reported do to all outputs of a quantum layer."""

    factor: float
    """As it was fitted."""
    shift: float
    """What is added to every output, as it was fitted."""
    centre: float
    """The mean of what is predicted for the anchors; the shift is told there."""
    errors: tuple[float, float]
    """Standard errors of factor and shift."""
    shots: np.ndarray
    """Covariance of factor and shift by the anchors' shots alone, shape (2, 2)."""
    anchors: int
    """How many rows they were learned from."""

    @property
    def applied(self) -> tuple[float, float]:
        """Factor and shift, each shrunk towards none by its own error."""
        factor, shift = (
            shrunk(deviation, error)
            for deviation, error in zip((self.factor - 1, self.shift), self.errors, strict=True)
        )
        return max(1 + factor, LEAST_SCALE), shift

    def without(self, measured: np.ndarray) -> np.ndarray:
        """Outputs as reported errors alone would have given them, of the shape of ``measured``."""
        factor, shift = self.applied
        return np.asarray((measured - shift + (factor - 1) * self.centre) / factor)

    def redrawn(self, rng: np.random.Generator) -> Common:
        """The same, learned from anchors whose shots fell otherwise."""
        values, vectors = np.linalg.eigh(self.shots)
        moved = vectors @ (np.sqrt(values.clip(0.0)) * rng.standard_normal(2))
        return Common(
            self.factor + float(moved[0]), self.shift + float(moved[1]),
            self.centre, self.errors, self.shots, self.anchors,
        )  # fmt: skip


def shrunk(deviation: float, error: float) -> float:
    """A deviation from none, made smaller by how badly it is known.

    Empirical Bayes: a true deviation drawn from N(0, τ²) and seen with a standard error σ is
    expected at d τ² / (τ² + σ²); with d² − σ², where that is positive, for the unknown τ² that is
    d (1 − σ²/d²), and nothing where d² < σ². For several deviations at once it is the positive-part
    estimator of James and Stein (Morris, J. Am. Stat. Assoc. 78, 47, 1983).

    Args:
        deviation: d.
        error: σ.
    """
    if not abs(deviation) > error:
        return 0.0
    return deviation * (1 - (error / deviation) ** 2)


def learn(anchors: Sequence[AnchorValues]) -> Common:
    """The factor and the shift that all outputs have in common, by least squares.

    Standard errors are those of the shots, or those that the scatter of the copies gives where
    these are larger and copies are many: copies whose own errors differ tell less of a common one.

    Args:
        anchors: Of each circuit of a quantum layer.
    """
    predicted = np.concatenate([np.broadcast_to(a.predicted, a.values.shape).ravel()
                                for a in anchors])  # fmt: skip
    gaps = np.concatenate([(a.values - a.predicted).ravel() for a in anchors])
    centre = float(predicted.mean())
    design = np.stack([predicted - centre, np.ones(len(predicted))], axis=1)  # (values, 2)
    inverse = np.linalg.pinv(design.T @ design, rcond=1e-9, hermitian=True)
    fitted = inverse @ design.T @ gaps
    shots = _noise(anchors, centre, inverse)
    variances = np.diag(shots)
    pulls = _pulls(anchors, centre, fitted)
    if len(pulls) >= FEWEST_COPIES:
        scatter = np.einsum("ci,cj->ij", pulls, pulls) * len(pulls) / (len(pulls) - 1)
        variances = np.maximum(variances, np.diag(inverse @ scatter @ inverse))
    errors = np.sqrt(variances)
    rows = sum(a.values.shape[1] for a in anchors)
    return Common(
        1 + float(fitted[0]), float(fitted[1]), centre,
        (float(errors[0]), float(errors[1])), shots, rows,
    )  # fmt: skip


def _noise(anchors: Sequence[AnchorValues], centre: float, inverse: np.ndarray) -> np.ndarray:
    """Covariance that shots give to the fitted factor and shift, (2, 2).

    Rows that share a calibration are taken to have one error, which is no less than it is.
    """
    covariance = np.zeros((2, 2))
    for one in anchors:
        design = np.stack([one.predicted - centre, np.ones_like(one.predicted)], axis=-1) @ inverse
        each = np.einsum("aki,jakl,alm->jaim", design, one.covariances, design)  # (jobs, A, 2, 2)
        if not one.calibrated:
            covariance += each.sum(axis=(0, 1))
            continue
        deviations = np.sqrt(np.einsum("jaii->jai", each).clip(0.0))  # (jobs, A, 2)
        for copy in np.unique(one.copies):
            whole = deviations[:, one.copies == copy].sum(axis=1)  # (jobs, 2)
            covariance += np.diag(np.sum(whole**2, axis=0))
    return covariance


def _pulls(anchors: Sequence[AnchorValues], centre: float, fitted: np.ndarray) -> np.ndarray:
    """How far each copy alone would move factor and shift, shape (copies, 2)."""
    sums: dict[int, np.ndarray] = {}
    for one in anchors:
        design = np.stack([one.predicted - centre, np.ones_like(one.predicted)], axis=-1)
        left = one.values.mean(axis=0) - one.predicted - design @ fitted  # (A, K)
        each = np.einsum("aki,ak->ai", design, left) * len(one.values)  # (A, 2)
        for copy in np.unique(one.copies):
            sums[copy] = sums.get(copy, np.zeros(2)) + each[one.copies == copy].sum(axis=0)
    return np.stack(list(sums.values()))


@dataclass(frozen=True)
class Correction:
    """How the outputs of one quantum layer are corrected."""

    common: Common
    lines: list[Lines]
    """For each group the line of each executed row's outputs, (U, K)."""

    def corrected(
        self, group: int, measured: np.ndarray, common: Common | None = None
    ) -> np.ndarray:
        """Outputs without the errors, as far as those are known.

        Args:
            group: Of the rows.
            measured: Of every executed row, shape (U, K).
            common: Another factor and shift.

        Returns:
            Shape (U, K); values may lie a little outside of those that outputs can have.
        """
        line = self.lines[group]
        return np.asarray(((common or self.common).without(measured) - line.offset) / line.scale)

    def stretch(self, group: int) -> np.ndarray:
        """By how much noise of the outputs grows, shape (U, K)."""
        return np.asarray(1 / (self.common.applied[0] * self.lines[group].scale))


def correction_of(
    stage: StoredStage, inner: BaseEstimatorV2, predicts: RecordedLayer
) -> Correction | None:
    """Learn the correction of a quantum layer that was measured.

    A row's line is that of the first projection that asks it: projections have weights of their
    own, and lines with them.

    Args:
        stage: Finished.
        inner: Evaluates rows exactly.
        predicts: Values under the errors that the device reported, at the run's resilience level.

    Returns:
        None where no rows were repeated.
    """
    if not stage.anchors:
        return None
    groups, copies = stage.rows.groups, [stage.copies_of(g) for g in range(len(stage.rows.groups))]
    owners = [np.full(len(group.rows), -1) for group in groups]
    lines: list[Lines] = []
    for pub, (g, index) in enumerate(stage.rows.pubs):
        owners[g][index[owners[g][index] < 0]] = pub
        lines.append(_lines(stage.rows, g, index, inner, predicts))
    anchors = []
    for g, repeated in zip(stage.layout.anchors, stage.anchors, strict=True):
        where = _picked(lines, owners[g][repeated.rows], repeated.copies)
        exact = answers_at(inner, Rows(groups, [(g, repeated.rows)]))[0][0]
        anchors.append(
            AnchorValues(
                repeated.values, repeated.covariances, where.of(exact), repeated.copies,
                repeated.calibrated,
            )
        )  # fmt: skip
    of_rows = [_picked(lines, owners[g], copies[g]) for g in range(len(groups))]
    return Correction(learn(anchors), of_rows)


def _lines(
    rows: Rows, group: int, index: np.ndarray, inner: BaseEstimatorV2, predicts: RecordedLayer
) -> Lines:
    """The lines of one projection's outputs on every copy, (C, K)."""
    different = np.unique(index)
    places = np.unique(np.linspace(0, len(different) - 1, MOST_ROWS).round().astype(int))
    asked = Rows(rows.groups, [(group, different[places])])
    noisy = [answers_at(copy, asked)[0][0] for copy in predicts.copies]
    return Lines.through(answers_at(inner, asked)[0][0], np.stack(noisy))


def _picked(lines: Sequence[Lines], pubs: np.ndarray, copies: np.ndarray) -> Lines:
    """The line of each row, by its projection and its copy; (U, K)."""
    width = next(lines[pub].scale.shape[1] for pub in pubs) if len(pubs) else 0
    scale, offset = np.ones((2, len(pubs), width))
    for pub in np.unique(pubs):
        mine = pubs == pub
        scale[mine], offset[mine] = lines[pub].scale[copies[mine]], lines[pub].offset[copies[mine]]
    return Lines(scale, offset)
