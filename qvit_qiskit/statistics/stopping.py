"""When an image has had shots enough: its answer is settled by the noise of its own shots.

A run with adaptive shots measures all images with few shots, then measures again those whose answer
the noise may still change, until none is left or each has had the most that is allowed. The rule
stands here alone: runs follow it, simulations follow it, and so do the intervals of such a run,
which are those of its repeats.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr  # type: ignore[import-untyped]

STEPS, SAME = 500, 1e-4
"""Steps of an expectation maximisation, and the relative change that ends it."""


@dataclass(frozen=True)
class StoppingRule:
    """How many shots a row gets at a time, and when its image needs no more."""

    sizes: tuple[int, ...]
    """Shots of every share; each image that is measured at all has the first."""
    level: float
    """An answer is settled that has this probability of being the one of infinitely many shots."""

    @classmethod
    def doubling(cls, first: int, most: int, level: float) -> StoppingRule:
        """Every share doubles what a row has had, up to the most.

        Args:
            first: Shots of the first share.
            most: Shots of a row altogether.
            level: See the class.
        """
        totals = [min(first, most)]
        while totals[-1] < most:
            totals.append(min(2 * totals[-1], most))
        sizes = np.diff([0, *totals])
        return cls(tuple(int(size) for size in sizes), level)

    @property
    def totals(self) -> tuple[int, ...]:
        """Shots that a row has had after every share."""
        return tuple(int(total) for total in np.cumsum(self.sizes))

    def settled(
        self, logits: np.ndarray, covariances: np.ndarray, *, multi_label: bool = False
    ) -> np.ndarray:
        """Which images need no more shots.

        Args:
            logits: As measured so far, shape (..., n, classes).
            covariances: What their shots give the logits, shape (..., n, classes, classes).
            multi_label: See `certainty`.

        Returns:
            Shape (..., n), bool.
        """
        sure = certainty(logits, covariances, multi_label=multi_label)
        return np.asarray(sure >= self.level)


def certainty(
    logits: np.ndarray, covariances: np.ndarray, *, multi_label: bool = False
) -> np.ndarray:
    """How sure it is that more shots would leave an answer as it is, at least.

    Logits with normal noise: the answer a stays before class j with Φ((l_a − l_j) / σ), σ² the
    variance of that difference. The probabilities that it does not are added up over the classes,
    which is exact for two of them and never too sure for more (Boole's inequality).

    Args:
        logits: Shape (..., n, classes).
        covariances: Of their noise, shape (..., n, classes, classes).
        multi_label: Whether every logit is a label of its own, whose answer is its sign.

    Returns:
        Shape (..., n), between 0 and 1.
    """
    variances = np.einsum("...kk->...k", covariances)  # (..., n, classes)
    if multi_label:
        gaps = np.abs(logits)
    else:
        answer = logits.argmax(axis=-1)[..., None]
        gaps = np.take_along_axis(logits, answer, -1) - logits
        # var(l_a − l_j) = V_aa + V_jj − 2 V_aj
        rows = np.take_along_axis(covariances, answer[..., None], -2)[..., 0, :]
        variances = np.take_along_axis(variances, answer, -1) + variances - 2 * rows
    deviations = np.sqrt(variances.clip(np.finfo(float).tiny))
    doubts = ndtr(-gaps / deviations)
    if not multi_label:
        np.put_along_axis(doubts, answer, 0.0, -1)
    return np.asarray((1 - doubts.sum(axis=-1)).clip(0.0))


@dataclass(frozen=True)
class Repeats:
    """Runs with adaptive shots, as they would come out again and again on the same images."""

    logits: np.ndarray  # shape: (repeats, n, classes)
    shots: np.ndarray  # shape: (repeats, n), of each row of an image
    unsettled: np.ndarray  # shape: (repeats, n), bool: not settled with the most shots


def repeat(
    logits: np.ndarray,
    per_shot: np.ndarray,
    rule: StoppingRule,
    repeats: int,
    rng: np.random.Generator,
    *,
    multi_label: bool = False,
) -> Repeats:
    """Repeat a whole run, its stopping rule included (a parametric bootstrap).

    The noise of every share is drawn anew: normal, with the covariances that were pooled over all
    shares. Images are the same every time.

    Args:
        logits: The run's without noise, shape (n, classes); or others in every repeat, e.g.
            `possible_logits`, shape (repeats, n, classes).
        per_shot: Covariances that one shot a row would give them, shape (n, classes, classes).
        rule: That it followed.
        repeats: How many.
        rng: Draws the noise.
        multi_label: See `certainty`.
    """
    roots = _roots(per_shot)
    truth = np.broadcast_to(logits, (repeats, *logits.shape[-2:]))
    sums = np.zeros(truth.shape)
    shots = np.zeros(truth.shape[:2], int)
    active = np.ones(shots.shape, bool)
    for size in rule.sizes:
        at = np.nonzero(active)  # repeats and images that go on
        image = at[1]
        normal = rng.standard_normal((len(image), truth.shape[2]))
        noise = np.einsum("mkl,ml->mk", roots[image], normal)
        sums[at] += size * truth[at] + np.sqrt(size) * noise
        shots[at] += size
        covariances = per_shot[image] / shots[at][:, None, None]
        settled = rule.settled(sums[at] / shots[at][:, None], covariances, multi_label=multi_label)
        active[at] = ~settled
    return Repeats(sums / shots[..., None], shots, active)


def possible_logits(
    logits: np.ndarray, covariances: np.ndarray, draws: int, rng: np.random.Generator
) -> np.ndarray:
    """Logits without shot noise, drawn from what a measurement leaves possible.

    An answer that was settled early looks surer than it is: repeats of a run around its own logits
    would be too much alike.

    Over the images logits are taken for normal; what is then known of an image is normal as well.
    Mean and covariance over the images are those that maximise the likelihood of all measurements
    (an empirical Bayes estimate by expectation and maximisation: Dempster, Laird and Rubin, J. R.
    Stat. Soc. B 39, 1977). Likelihoods do not depend on the rule that said when to stop, moments
    of what was measured do.

    Args:
        logits: As they were measured, shape (n, classes).
        covariances: Of their noise, shape (n, classes, classes).
        draws: How many.
        rng: Draws them.

    Returns:
        Shape (draws, n, classes).
    """
    shrunken, rest = logits, covariances
    if len(logits) > 1:  # else nothing tells how images differ
        mean, prior = logits.mean(axis=0), _outer(logits - logits.mean(axis=0)).mean(axis=0)
        for _ in range(STEPS):
            # S (S + V)⁻¹; both may lack a direction, as logits of classes that never differ do
            gain = prior @ np.linalg.pinv(prior + covariances, hermitian=True)
            shrunken = mean + np.einsum("nkl,nl->nk", gain, logits - mean)
            rest = prior - gain @ prior
            mean = shrunken.mean(axis=0)
            known, prior = prior, (_outer(shrunken - mean) + rest).mean(axis=0)
            if np.abs(prior - known).max() <= SAME * np.abs(prior).max():
                break
    normal = rng.standard_normal((draws, *logits.shape))
    return np.asarray(shrunken + np.einsum("nkl,dnl->dnk", _roots(rest), normal))


def _outer(vectors: np.ndarray) -> np.ndarray:
    """Products of each vector's entries, shape (n, k, k)."""
    return np.asarray(vectors[:, :, None] * vectors[:, None, :])


def _roots(covariances: np.ndarray) -> np.ndarray:
    """Matrices R with R·Rᵀ the covariances; what rounding made negative is nothing."""
    values, vectors = np.linalg.eigh(covariances)
    return np.asarray(vectors * np.sqrt(values.clip(0.0))[..., None, :])
