"""Shot noise, redrawn row by row and carried through the model to its logits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from qiskit.primitives import BaseEstimatorV2
from torch import Tensor, nn

from qvit_qiskit.comparison.correction import Correction
from qvit_qiskit.comparison.evidence import Executions
from qvit_qiskit.hardware.shot_shares import SharePool
from qvit_qiskit.hardware.stages.stored_stage import StoredStage
from qvit_qiskit.hardware.values.floors import draw_errors, noise_roots, raised, square_root
from qvit_qiskit.hardware.values.outputs import Outputs
from qvit_qiskit.hardware.values.readout_factors import Calibrated, Shared
from qvit_qiskit.inference.layer_estimator import Layer
from qvit_qiskit.inference.passes import run_pass
from qvit_qiskit.inference.prediction import BATCH
from qvit_qiskit.runs.results import layer_of

DRAWS = 100
"""Redraws of a rung by default."""


@dataclass(frozen=True)
class ShotNoise:
    """How the outputs of one quantum layer would have come out with other shots.

    Every executed row is redrawn once: rows that are equal were executed once and share their
    error. So do rows whose readout was calibrated together, as far as it comes from there.
    """

    factors: list[np.ndarray]
    """For each group F of its executed rows, shape (U, K, K), with F Fᵀ the covariance."""
    pubs: list[tuple[int, np.ndarray]]
    """For each projection its group and its executed rows."""
    shared: Sequence[tuple[Shared, np.ndarray]] = ()
    """What rows share, with the square root of its covariance."""

    @classmethod
    def of(cls, where: Executions, layer: Sequence[Outputs], shots: int) -> ShotNoise:
        """The noise of a layer that was measured.

        Args:
            where: Which of its rows were executed.
            layer: What its projections returned.
            shots: Of every executed row.
        """
        factors = noise_roots(own_covariances(where, layer), where.rows.groups, shots)
        shared = where.calibrated.shared if where.calibrated else []
        return cls(factors, where.rows.pubs, [(one, square_root(one.spread)) for one in shared])

    def draw(self, rng: np.random.Generator) -> list[np.ndarray]:
        """One Gaussian draw: for each projection its error, shape (R, K)."""
        errors = self.of_executed(rng)
        return [errors[g][index] for g, index in self.pubs]

    def of_executed(self, rng: np.random.Generator) -> list[np.ndarray]:
        """One Gaussian draw: for each group the errors of its executed rows, shape (U, K)."""
        errors = draw_errors(self.factors, rng)
        for one, root in self.shared:
            # what the calibration's own shots would have moved, once for all rows that share it
            moved = root @ rng.standard_normal(len(root))
            # each row by its own slope
            errors[one.group][one.rows] += np.einsum("rtk,t->rk", one.pull, moved)
        return errors


class Noise(Protocol):
    """How the outputs of one quantum layer would have come out with other shots."""

    def draw(self, rng: np.random.Generator) -> list[np.ndarray]:
        """For each projection its error, shape (R, K)."""


@dataclass(frozen=True)
class CorrectedNoise:
    """The same for outputs that were corrected: with other shots the anchors differ as well."""

    noise: ShotNoise
    """The noise of the outputs as they were measured."""
    correction: Correction
    measured: list[np.ndarray]
    """For each group the outputs of its executed rows, shape (U, K)."""

    def draw(self, rng: np.random.Generator) -> list[np.ndarray]:
        """One draw: for each projection its error, shape (R, K)."""
        errors = self.noise.of_executed(rng)
        common, moved = self.correction.common.redrawn(rng), []
        for g, (values, error) in enumerate(zip(self.measured, errors, strict=True)):
            corrected = self.correction.corrected
            moved.append(corrected(g, values + error, common) - corrected(g, values))
        return [moved[g][index] for g, index in self.noise.pubs]


@dataclass(frozen=True)
class PooledNoise:
    """The same for a layer that was measured in shares of shots, each of rows of its own."""

    pool: SharePool
    shares: Sequence[ShotNoise]

    @classmethod
    def of(
        cls,
        pool: SharePool,
        stages: Sequence[StoredStage],
        places: Sequence[Executions],
    ) -> PooledNoise:
        """The noise of a pooled layer.

        Args:
            pool: Its shares.
            stages: These as they are stored.
            places: Where the rows of each ran.
        """
        noises = [
            ShotNoise.of(where, layer_of([stage], len(share.images)), share.shots)
            for share, stage, where in zip(pool.shares, stages, places, strict=True)
        ]
        return cls(pool, noises)

    def draw(self, rng: np.random.Generator) -> list[np.ndarray]:
        """One Gaussian draw: for each projection its error, shape (R, K)."""
        return self.pool.mean([share.draw(rng) for share in self.shares])


def pooled_calibration(pool: SharePool, places: Sequence[Executions]) -> Calibrated | None:
    """What the calibrations of all shares leave for the pooled rows, and what rows share of them.

    Args:
        pool: Shares of a layer, all of the same images.
        places: Where the rows of each ran.

    Returns:
        For the rows as the first share has them; None where nothing was calibrated.
    """
    first = pool.shares[0].rows
    own = [np.zeros((len(g.rows), len(g.terms), len(g.terms))) for g in first.groups]
    shared: list[Shared] = []
    for share, where in zip(pool.shares, places, strict=True):
        if where.calibrated is None:
            return None
        groups = share.rows.groups
        homes = [(0, np.zeros(len(group.rows), int)) for group in groups]  # group and rows in first
        weights = [np.zeros((len(group.rows), 1, 1)) for group in groups]
        for number, (g, index) in zip(share.projections, share.rows.pubs, strict=True):
            home, whole = first.pubs[number]
            homes[g][1][index] = whole
            homes[g] = (home, homes[g][1])
            weights[g][index] = share.shots / pool.shots[number, 0]  # all images have as many
        for (home, rows), weight, left, group in zip(
            homes, weights, where.calibrated.own, groups, strict=True
        ):
            own[home][rows] += weight**2 * raised(left, group, share.shots)
        for one in where.calibrated.shared:
            home, rows = homes[one.group]
            pull = weights[one.group][one.rows] * one.pull
            shared.append(replace(one, group=home, rows=rows[one.rows], pull=pull))
    return Calibrated(own, shared)


def own_covariances(where: Executions, layer: Sequence[Outputs]) -> list[np.ndarray]:
    """For each group the covariances of its executed rows' own noise, (U, K, K).

    Args:
        where: The rows of one quantum layer, and how they were mitigated.
        layer: The outputs of its projections, which repeat a row for every token that shares it.
    """
    if where.calibrated:
        return where.calibrated.own
    return where.rows.executed([out.covariances for out in layer])


def redraw(
    model: nn.Module,
    images: Tensor,
    inner: BaseEstimatorV2,
    first: Layer,
    deltas: Sequence[Layer],
    noise: Sequence[Noise],
    *,
    draws: int = DRAWS,
    seed: Sequence[int] = (0,),
    batch_size: int = BATCH,
    rest: int = 0,
) -> np.ndarray:
    """Logits under redraws of the shots of every quantum layer.

    A draw adds one error to every executed row of the first layer, evaluates the next layer at
    the angles that follow, adds errors there, and so on to the logits. The draws are centred on
    the logits that were measured.

    Args:
        model: The model.
        images: Shape (n, ...).
        inner: Evaluates the later layers at the perturbed angles.
        first: Its outputs of the first layer, (R, K) for each projection.
        deltas: For each layer and projection the measured outputs minus those of ``inner`` at the
            same angles, (R, K).
        noise: The shot noise of each layer.
        draws: How many.
        seed: Of the draws.
        batch_size: Images per forward pass.
        rest: Quantum layers behind those of ``deltas``, without errors.

    Returns:
        Shape (draws, n, classes).
    """
    logits = []
    for stream in np.random.SeedSequence(list(seed)).spawn(draws):
        rng = np.random.default_rng(stream)
        moved: list[Layer | None] = [
            [delta + error for delta, error in zip(layer, one.draw(rng), strict=True)]
            for layer, one in zip(deltas, noise, strict=True)
        ]
        moved += [None] * rest
        done = run_pass(model, images, inner, moved, batch_size, first=first, notes=False)
        logits.append(done.logits)
    return np.stack(logits)  # (draws, n, classes)
