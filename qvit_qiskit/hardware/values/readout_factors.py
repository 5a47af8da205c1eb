"""The shot noise that rows share because their readout was calibrated together.

At resilience levels 1 and 2 every job divides its rows' outputs by what its calibration read in
|0…0⟩. A calibration's own shot noise therefore moves all rows of a job and copy at once, and does
not average out over them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from qvit_qiskit.circuits.measurement_bases import Basis
from qvit_qiskit.devices.prices import Mitigation
from qvit_qiskit.hardware.stages.stage import Layout, Rows
from qvit_qiskit.hardware.values.counts import BasisMoments, Counts, extrapolate


@dataclass(frozen=True)
class Shared:
    """One calibration of one copy in one basis, and the rows that it moved."""

    group: int
    rows: np.ndarray  # shape: (r,), executed rows of the group
    pull: np.ndarray  # shape: (r, T, K), how far each output moves with each term's calibration
    spread: np.ndarray  # shape: (T, T), covariance of the calibration's terms

    def of_means(self, weights: np.ndarray) -> np.ndarray:
        """Covariance of weighted sums of the outputs.

        Args:
            weights: Of every row's outputs in every sum, shape (r, K, L).

        Returns:
            Shape (L, L).
        """
        pulled = np.einsum("rtk,rkl->tl", self.pull, weights)  # (T, L)
        return np.asarray(pulled.T @ self.spread @ pulled)


@dataclass(frozen=True)
class Calibrated:
    """The noise of rows that were calibrated: each row's own, and what rows share."""

    own: list[np.ndarray]
    """For each group the covariances (U, K, K) that are left for a perfect calibration."""
    shared: list[Shared]


def calibrated_noise(
    rows: Rows, layout: Layout, counted: Sequence[dict[str, Counts]], mitigation: Mitigation
) -> Calibrated:
    """Take the noise of a finished layer apart.

    Args:
        rows: What it was asked.
        layout: How it was compiled and split.
        counted: The counts of every job.
        mitigation: A resilience level that calibrates.
    """
    own = [np.zeros((len(g.rows), len(g.terms), len(g.terms))) for g in rows.groups]
    shared: list[Shared] = []
    for chunk, counts in zip(layout.chunks, counted, strict=True):
        for p, piece in enumerate(chunk.pieces):
            g = piece.group
            if g >= len(rows.groups):
                continue  # rows that ran a second time
            seats = layout.seats[g][piece.start : piece.stop]
            for b, compiled in enumerate(layout.programs[g]):
                folds = [counts[f"piece{p}-basis{b}-fold{f}"] for f in mitigation.factors]
                calibration = counts[f"group{g}-basis{b}-calibration"]
                pull, left, spread = take_apart(
                    compiled.basis, own[g].shape[1], folds, calibration, mitigation.factors
                )
                taken = seats.ravel() >= 0
                own[g][seats.ravel()[taken]] += left[taken]
                for copy, seated in enumerate(seats.T):
                    # rows take turns on the copies
                    pulled = pull[copy :: seats.shape[1]][seated >= 0]
                    shared.append(Shared(g, seated[seated >= 0], pulled, spread[copy]))
    return Calibrated(own, shared)


def take_apart(
    basis: Basis, outputs: int, folds: Sequence[Counts], calibration: Counts, factors: Sequence[int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The noise of rows measured in one basis; see `BasisMoments` for what they give.

    Args:
        basis: T terms measured together.
        outputs: K.
        folds: Counts of R rows at every noise factor.
        calibration: Of |0…0⟩, one row for each of the k copies.
        factors: The noise factors.

    Returns:
        How far outputs move with each term's calibration (R, T, K), their own covariances
        (R, K, K), and the covariances of each copy's calibration (k, T, T).
    """
    by_factor = [BasisMoments.of(basis, outputs, counts, calibration) for counts in folds]
    pulls = [(one.pull, one.own) for one in by_factor if one.pull is not None]
    pull, own = extrapolate(pulls, factors)
    assert by_factor[0].spread is not None
    return -pull, own, by_factor[0].spread
