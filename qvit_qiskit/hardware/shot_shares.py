"""Shares of shots: a quantum layer that is measured again where that is worth it.

Each share is a stage of its own, of the rows of some images or projections, with shots, qubits and
jobs of its own. A row's values are the means over its shares, weighted by their shots.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from numbers import Integral

import numpy as np

from qvit_qiskit.devices.prices import Estimate, Procedure, estimate, joined
from qvit_qiskit.exceptions import JobError
from qvit_qiskit.hardware.stages.stage import Answers, Group, Rows
from qvit_qiskit.hardware.stages.stored_stage import StoredStage
from qvit_qiskit.hardware.values.floors import draw_errors, noise_roots, raised


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


@dataclass(frozen=True)
class Quiet:
    """Projections that get fewer shots, because what they return hardly moves a logit.

    Example:
        >>> from qvit_qiskit.runs import Quiet
        >>> quiet = Quiet(shots=16, projections=(0, 1))  # Q and K of a layer with one head
        >>> quiet.loud(3)
        [2]
    """

    shots: int
    """Of each of their rows; the rows of the other projections have those of the run."""
    projections: tuple[int, ...]
    """Their numbers in the order in which the model asks them: 0, 1 and 2 are Q, K and V of the
    first head."""

    def check(self, shots: int, count: int) -> None:
        """Refuse what no run can follow.

        Args:
            shots: Of the other projections.
            count: Projections of the quantum layer.

        Raises:
            JobError: If a number is not whole, there are too few or too many shots, no quiet
                projection or no other, or a projection that the layer does not have.
        """
        whole = all(isinstance(number, Integral) for number in (self.shots, *self.projections))
        if not whole:
            raise JobError(
                f"Expected whole numbers in quiet_shots and quiet_projections, but got "
                f"{self.shots!r} and {list(self.projections)}."
            )
        if not 0 < self.shots < shots:
            raise JobError(
                f"Expected quiet_shots above 0 and below the {shots:,} shots of the other "
                f"projections, but got {self.shots}."
            )
        unknown = sorted(set(self.projections) - set(range(count)))
        if unknown or len(set(self.projections)) != len(self.projections):
            raise JobError(
                f"Expected quiet_projections among 0 to {count - 1}, each once, but got "
                f"{list(self.projections)}."
            )
        if not 0 < len(self.projections) < count:
            raise JobError(
                f"Expected some of the {count} projections in quiet_projections, but got "
                f"{len(self.projections)}. Leave quiet_shots out for equal shots."
            )

    def loud(self, count: int) -> list[int]:
        """The other projections.

        Args:
            count: Projections of the quantum layer.
        """
        return [number for number in range(count) if number not in self.projections]


def estimate_shares(
    stage_rows: Sequence[int], shots: int, quiet: Quiet | None, projections: int, how: Procedure
) -> Estimate:
    """The price of an evaluation, some of whose projections may have fewer shots.

    Args:
        stage_rows: Rows of every quantum layer for all images.
        shots: Of the rows of the other projections, or of all.
        quiet: Which projections have fewer; None for equal shots.
        projections: Of the quantum layer, if some are quiet.
        how: How rows are run.
    """
    if quiet is None:
        return estimate(stage_rows, shots, how)
    loud = [rows * len(quiet.loud(projections)) // projections for rows in stage_rows]
    few = min(quiet.shots, shots)
    shares = [estimate(stage_rows, few, how)]
    return joined([*shares, estimate(loud, shots - few, how)] if shots > few else shares)


def rows_of(
    rows: Rows,
    images: Sequence[int] | np.ndarray,
    count: int,
    projections: Sequence[int] | None = None,
) -> Rows:
    """The rows of some images, each different one once.

    Args:
        rows: Of all images, which have as many rows each.
        images: Numbers of images.
        count: How many images there are.
        projections: Numbers of the projections whose rows they are; None for all.
    """
    pubs = rows.pubs if projections is None else [rows.pubs[number] for number in projections]
    owners = [owner for owner, _ in pubs]
    chosen = [index.reshape(count, -1)[images].ravel() for _, index in pubs]
    groups: list[Group] = []
    places: dict[int, tuple[int, np.ndarray]] = {}
    for g in sorted(set(owners)):
        own = [picked for owner, picked in zip(owners, chosen, strict=True) if owner == g]
        used = np.unique(np.concatenate(own))  # equal rows run once in a share, too
        places[g] = (len(groups), used)
        group = rows.groups[g]
        groups.append(Group(group.circuit, group.terms, group.rows[used]))
    return Rows(
        groups,
        [
            (places[g][0], np.searchsorted(places[g][1], picked))
            for g, picked in zip(owners, chosen, strict=True)
        ],
    )


@dataclass(frozen=True)
class ShotShare:
    """What a share asked, of which images and projections, and what came back."""

    rows: Rows
    images: np.ndarray  # shape: (m,)
    answers: Answers
    shots: int
    """Executed per row."""
    projections: Sequence[int]
    """Whose rows they are, by their numbers in the layer."""

    @classmethod
    def of(cls, stage: StoredStage, count: int) -> ShotShare:
        """A finished share of a run.

        Args:
            stage: The share.
            count: How many images the run has.
        """
        images = np.arange(count) if stage.order.images is None else np.asarray(stage.order.images)
        asked = stage.order.projections
        projections = range(len(stage.rows.pubs)) if asked is None else asked
        return cls(stage.rows, images, stage.answers, stage.executed_shots, projections)

    @cached_property
    def roots(self) -> list[np.ndarray]:
        """For each group square roots of its rows' covariances, (U, K, K); none has no noise."""
        spreads = self.rows.executed([covariances for _, covariances in self.answers])
        return noise_roots(spreads, self.rows.groups, self.shots)

    def draw(self, rng: np.random.Generator) -> list[np.ndarray]:
        """For each of its projections the errors of rows if the shots had fallen otherwise."""
        errors = draw_errors(self.roots, rng)
        return [errors[g][index] for g, index in self.rows.pubs]


@dataclass(frozen=True)
class SharePool:
    """All shares of one quantum layer."""

    shares: Sequence[ShotShare]
    """The first one is of all images and projections."""
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

    @cached_property
    def shots(self) -> np.ndarray:
        """Of the rows of each projection and image altogether, shape (projections, n)."""
        total = np.zeros((len(self.shares[0].projections), self.count), int)
        for share in self.shares:
            total[np.ix_(np.array(share.projections), share.images)] += share.shots
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
            parts: For each share and each of its projections something of the rows, (R, ...).

        Returns:
            For each projection of all images, (R, ...).
        """
        return self._sums(parts, 1)

    def _sums(self, parts: Sequence[Sequence[np.ndarray]], power: int) -> list[np.ndarray]:
        """Sums over the shares, each weighted by that power of its part of an image's shots."""
        wholes = [
            np.zeros((self.count, len(first) // self.count, *first.shape[1:])) for first in parts[0]
        ]
        for share, part in zip(self.shares, parts, strict=True):
            for number, own in zip(share.projections, part, strict=True):
                weight = (share.shots / self.shots[number, share.images]) ** power  # (m,)
                rows = own.reshape(len(share.images), -1, *own.shape[1:])
                wholes[number][share.images] += weight.reshape(-1, *[1] * own.ndim) * rows
        return [
            whole.reshape(len(p), *p.shape[1:]) for whole, p in zip(wholes, parts[0], strict=True)
        ]


def answers_of(stages: Sequence[StoredStage], count: int) -> Answers:
    """What a quantum layer returned: that of its only stage, or its shares pooled.

    Args:
        stages: All stages of the layer, finished.
        count: How many images the run has.
    """
    if len(stages) == 1:
        return stages[0].answers
    return SharePool.of(stages, count).answers
