"""A model's answers under the noise of a layout, draw by draw of shots and seats.

The rows of the first quantum layer are the same in every draw. What they are read as is worked out
once for a few draws of their seats; shots are drawn from it, any number of them. Later layers are
asked something else in every draw, and their rows are evaluated then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from qiskit.primitives import BaseEstimatorV2
from torch import Tensor, nn

from qvit_qiskit.circuits.pubs import FlatPub
from qvit_qiskit.hardware.stages.stage import Rows
from qvit_qiskit.inference.layer_estimator import Layer
from qvit_qiskit.inference.passes import run_pass
from qvit_qiskit.runs.planning.copy_noise import CopyNoise, Readings
from qvit_qiskit.simulation.row_estimator import Answer, RowEstimator

SEATS = 8
"""Draws of the seats of the first layer's rows, at most."""
TABLE_BYTES = 2**28
"""Of the probabilities of bit strings that are kept for these."""
IMAGES_AT_ONCE = 4096
PIXEL_BYTES = 2**28
"""Of repeated images: several draws go through the model together."""
ROW_BYTES = 2**27
"""Of the rows of these draws."""


@dataclass(frozen=True)
class Subject:
    """What is evaluated: a model, images without labels, and what its first quantum layer asks."""

    model: nn.Module
    images: Tensor  # shape: (n, C, H, W)
    rows: Rows
    """Of the first quantum layer for all images, each different row once."""
    exact: np.ndarray  # shape: (n, classes), the exact model's logits


@dataclass(frozen=True)
class _Share:
    """Rows of a group that share their weights, under all draws of the seats."""

    projection: int
    """Whose rows they are."""
    group: int
    rows: np.ndarray  # shape: (r,), their places in the group
    readings: Readings
    """Of S · r rows, one draw of the seats after the other."""


class NoisyPasses:
    """Draws a model's logits under a layout's noise.

    Args:
        subject: What is evaluated.
        noise: Of the layout.
        seed: Of all draws.
    """

    def __init__(self, subject: Subject, noise: CopyNoise, seed: int) -> None:
        self.subject, self.noise, self.seed = subject, noise, seed

    def logits(self, shots: int | Sequence[int | None] | None, draws: range) -> np.ndarray:
        """Logits of some draws; a draw is the same whichever others are asked for with it.

        Args:
            shots: Of every row, or of those of each projection of a model's only quantum layer;
                None for infinitely many.
            draws: The numbers of the draws.

        Returns:
            Shape (draws, n, classes).
        """
        images = self.subject.images
        size = max(1, images[:1].numel() * images.element_size())
        together = min(
            IMAGES_AT_ONCE // len(images),
            PIXEL_BYTES // (size * len(images)),
            ROW_BYTES // self._bytes_per_draw,
        )
        together = max(1, together)
        each = list(shots) if isinstance(shots, Sequence) else [shots] * len(self.subject.rows.pubs)
        parts = [
            self._together(each, draws[start : start + together])
            for start in range(0, len(draws), together)
        ]
        return np.concatenate(parts)

    @cached_property
    def _bytes_per_draw(self) -> int:
        """Of what the first layer is asked in a draw, and what it answers."""
        rows = self.subject.rows
        return sum(
            8 * len(index) * (rows.groups[g].rows.shape[1] + len(rows.groups[g].terms))
            for g, index in rows.pubs
        )

    def _together(self, shots: Sequence[int | None], draws: range) -> np.ndarray:
        """Several draws in one pass over the images, repeated."""
        first = [self._first(shots, draw) for draw in draws]
        joined = [np.concatenate(parts) for parts in zip(*first, strict=True)]
        images = self.subject.images
        repeated = images.repeat(len(draws), *(1,) * (images.ndim - 1))
        most = shots[-1]  # of a later layer, whose shots are equal
        inner = CopySampler(self.noise, most, [self.seed, 1, most or 0, draws[0]])
        batch = max(len(images), IMAGES_AT_ONCE)
        done = run_pass(self.subject.model, repeated, inner, None, batch, first=joined, notes=False)
        return done.logits.reshape(len(draws), len(images), -1)

    def _first(self, shots: Sequence[int | None], draw: int) -> Layer:
        """What the first layer returns in a draw, (R, K) for each projection."""
        rng = np.random.default_rng([self.seed, 0, shots[-1] or 0, draw])
        groups, seats = self.subject.rows.groups, self._seats
        tables = [np.zeros((len(group.rows), len(group.terms))) for group in groups]
        for share in self._shares:
            start = (draw % seats) * len(share.rows)
            seated_rows = slice(start, start + len(share.rows))
            tables[share.group][share.rows] = share.readings.values(
                shots[share.projection], rng, seated_rows
            )
        return [tables[g][index] for g, index in self.subject.rows.pubs]

    @cached_property
    def _seats(self) -> int:
        """How many draws of the seats there are."""
        if self.noise.copies == 1:
            return 1
        parts = [(self.subject.rows.groups[g], fresh) for _, g, fresh in self._fresh]

        def size(seats: int) -> int:
            return sum(
                self.noise.table_bytes(group.circuit, group.rows[fresh], seats)
                for group, fresh in parts
            )

        return max(
            seats for seats in range(1, SEATS + 1) if seats == 1 or size(seats) <= TABLE_BYTES
        )

    @cached_property
    def _shares(self) -> list[_Share]:
        """The rows of each projection that asks them first, as they are read."""
        rng = np.random.default_rng([self.seed, 2])
        groups = self.subject.rows.groups
        copies = [
            np.stack([seated(len(g.rows), self.noise.copies, rng) for _ in range(self._seats)])
            for g in groups
        ]  # for each group (S, U)
        shares = []
        for number, g, fresh in self._fresh:
            own = groups[g]
            readings = self.noise.readings(own.circuit, own.rows[fresh], copies[g][:, fresh])
            shares.append(_Share(number, g, fresh, readings))
        return shares

    @cached_property
    def _fresh(self) -> list[tuple[int, int, np.ndarray]]:
        """Projections, their groups, and the rows there that they are the first to ask."""
        taken = [np.zeros(len(group.rows), bool) for group in self.subject.rows.groups]
        parts = []
        for number, (g, index) in enumerate(self.subject.rows.pubs):
            fresh = np.unique(index[~taken[g][index]])
            taken[g][fresh] = True
            if len(fresh):
                parts.append((number, g, fresh))
        return parts


def seated(rows: int, copies: int, rng: np.random.Generator) -> np.ndarray:
    """A random copy for every row, all copies as often as `stages.stage_plan.seat` takes them.

    Args:
        rows: U rows.
        copies: k.
        rng: The random stream.

    Returns:
        Shape (U,).
    """
    out = np.empty(rows, int)
    out[rng.permutation(rows)] = np.arange(rows) % copies
    return out


class CopySampler(RowEstimator):
    """Answers rows as a layout would: each on a random copy, from so many shots.

    Args:
        noise: Of the layout.
        shots: Of every row; None for infinitely many.
        seed: Of the seats and shots.
    """

    samples = True

    def __init__(self, noise: CopyNoise, shots: int | None, seed: Sequence[int]) -> None:
        self.noise, self.shots = noise, shots
        self._rng = np.random.default_rng(list(seed))

    def _answer(self, flats: Sequence[FlatPub], begun: Any) -> list[Answer]:
        answers = []
        for flat in flats:
            copies = seated(len(flat.values), self.noise.copies, self._rng)
            readings = self.noise.readings(flat.circuit, flat.values, copies)
            answers.append(Answer(readings.values(self.shots, self._rng).T))
        return answers


def subject_of(model: nn.Module, images: Tensor, rows: Rows, inner: BaseEstimatorV2) -> Subject:
    """A subject with its exact logits.

    Args:
        model: Any module whose quantum layers are ours.
        images: Shape (n, C, H, W).
        rows: What its first quantum layer asks.
        inner: Evaluates the quantum layers exactly.
    """
    exact = run_pass(model, images, inner, notes=False).logits
    return Subject(model, images, rows, exact)
