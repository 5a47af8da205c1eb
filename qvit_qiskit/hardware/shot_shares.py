"""Shares of shots: a quantum layer that is measured again for those images that need it.

Each share is a stage of its own, of the rows of some images, with shots, qubits and jobs of its
own. A row's values are the means over its shares, weighted by their shots.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from qvit_qiskit.exceptions import JobError
from qvit_qiskit.hardware.stages.stage import Answers, Group, Rows
from qvit_qiskit.hardware.stages.stored_stage import StoredStage
from qvit_qiskit.hardware.values.floors import raised, square_root


@dataclass(frozen=True)
class Adaptive:
    """How a run spends shots where answers need them; see `statistics.stopping`.

    Example:
        >>> from qvit_qiskit.runs import Adaptive
        >>> Adaptive(first_shots=32, certainty=0.95).check()  # raises JobError if it cannot be
    """

    first_shots: int
    """Shots that all rows get."""
    certainty: float
    """The probability with which an image's answer is settled."""

    def check(self) -> None:
        """Refuse what no rule can follow.

        Raises:
            JobError: If there are no first shots, or the certainty is no probability above 0.5.
        """
        if self.first_shots < 1:
            raise JobError(f"Expected first_shots of at least 1, but got {self.first_shots}.")
        if not 0.5 < self.certainty < 1:
            raise JobError(
                f"Expected a certainty above 0.5 and below 1, such as 0.95, but got "
                f"{self.certainty}."
            )


def rows_of(rows: Rows, images: Sequence[int] | np.ndarray, count: int) -> Rows:
    """The rows of some images, each different one once.

    Args:
        rows: Of all images, which have as many rows each.
        images: Numbers of images.
        count: How many images there are.
    """
    chosen = [index.reshape(count, -1)[images].ravel() for _, index in rows.pubs]
    groups, places = [], []
    for g, group in enumerate(rows.groups):
        own = [picked for (owner, _), picked in zip(rows.pubs, chosen, strict=True) if owner == g]
        used = np.unique(np.concatenate(own))  # equal rows run once in a share, too
        groups.append(Group(group.circuit, group.terms, group.rows[used]))
        places.append(used)
    pubs = [
        (g, np.searchsorted(places[g], picked))
        for (g, _), picked in zip(rows.pubs, chosen, strict=True)
    ]
    return Rows(groups, pubs)


@dataclass(frozen=True)
class ShotShare:
    """What a share asked, of which images, and what came back."""

    rows: Rows
    images: np.ndarray  # shape: (m,)
    answers: Answers
    shots: int
    """Executed per row."""

    @classmethod
    def of(cls, stage: StoredStage, count: int) -> ShotShare:
        """A finished share of a run.

        Args:
            stage: The share.
            count: How many images the run has.
        """
        images = np.arange(count) if stage.images is None else np.asarray(stage.images)
        return cls(stage.rows, images, stage.answers, stage.executed_shots)

    @cached_property
    def roots(self) -> list[np.ndarray]:
        """For each group square roots of its rows' covariances, (U, K, K); none has no noise."""
        spreads = [np.zeros((len(g.rows), len(g.terms), len(g.terms))) for g in self.rows.groups]
        for (g, index), (_, covariances) in zip(self.rows.pubs, self.answers, strict=True):
            spreads[g][index] = covariances
        pairs = zip(spreads, self.rows.groups, strict=True)
        return [square_root(raised(each, group, self.shots)) for each, group in pairs]

    def draw(self, rng: np.random.Generator) -> list[np.ndarray]:
        """For each projection the errors of its rows if the shots had fallen otherwise, (R, K)."""
        errors = [
            np.einsum("ukl,ul->uk", root, rng.standard_normal(root.shape[:2]))
            for root in self.roots
        ]
        return [errors[g][index] for g, index in self.rows.pubs]


@dataclass(frozen=True)
class SharePool:
    """All shares of one quantum layer."""

    shares: Sequence[ShotShare]
    """The first one is of all images."""
    count: int
    """Images."""

    @classmethod
    def of(cls, stages: Sequence[StoredStage], count: int) -> SharePool:
        """The finished shares of a run's layer.

        Args:
            stages: In order.
            count: How many images the run has.
        """
        return cls([ShotShare.of(stage, count) for stage in stages], count)

    @property
    def shots(self) -> np.ndarray:
        """Of each image's rows altogether, shape (n,)."""
        total = np.zeros(self.count, int)
        for share in self.shares:
            total[share.images] += share.shots
        return total

    @cached_property
    def answers(self) -> Answers:
        """For each projection means (R, K) and covariances (R, K, K), no variance being 0."""
        means = self.mean([[values for values, _ in share.answers] for share in self.shares])
        spreads = []
        for share in self.shares:
            pairs = zip(share.rows.pubs, share.answers, strict=True)
            groups = share.rows.groups  # each share's own shots say how small its noise may be
            spreads.append([raised(each, groups[g], share.shots) for (g, _), (_, each) in pairs])
        return list(zip(means, self._sums(spreads, 2), strict=True))

    def draw(self, rng: np.random.Generator) -> list[np.ndarray]:
        """For each projection the errors of its rows if all shots had fallen otherwise, (R, K)."""
        return self.mean([share.draw(rng) for share in self.shares])

    def mean(self, parts: Sequence[Sequence[np.ndarray]]) -> list[np.ndarray]:
        """Means over the shares, weighted by their shots.

        Args:
            parts: For each share and projection something of its rows, (R, ...).

        Returns:
            For each projection of all images, (R, ...).
        """
        return self._sums(parts, 1)

    def _sums(self, parts: Sequence[Sequence[np.ndarray]], power: int) -> list[np.ndarray]:
        """Sums over the shares, each weighted by that power of its part of an image's shots."""
        shots, pooled = self.shots, []
        for k, first in enumerate(parts[0]):
            whole = np.zeros((self.count, len(first) // self.count, *first.shape[1:]))
            for share, part in zip(self.shares, parts, strict=True):
                weight = (share.shots / shots[share.images]) ** power  # (m,)
                rows = part[k].reshape(len(share.images), -1, *first.shape[1:])
                whole[share.images] += weight.reshape(-1, *[1] * first.ndim) * rows
            pooled.append(whole.reshape(first.shape))
        return pooled


def answers_of(stages: Sequence[StoredStage], count: int) -> Answers:
    """What a quantum layer returned: that of its only stage, or its shares pooled.

    Args:
        stages: All stages of the layer, finished.
        count: How many images the run has.
    """
    if len(stages) == 1:
        return stages[0].answers
    return SharePool.of(stages, count).answers
