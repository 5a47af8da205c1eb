"""How the means of a basis's terms scatter over shots.

Of a few qubits the bit strings have probabilities, from which counts are drawn. Of many the means
are drawn as normal, with exact expectations and covariances: outputs whose light cones do not meet
are uncorrelated, so that the covariances stand in a band, and so do their roots.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from scipy.sparse import coo_array  # type: ignore[import-untyped]
from scipy.sparse.csgraph import reverse_cuthill_mckee  # type: ignore[import-untyped]

MANY_SHOTS = 256
"""From so many shots on a row's means are drawn as normal, with the covariances of its counts."""
SMALLEST = 1e-12
"""Of the variances under a root: some bits never scatter, and rounding may take a little more."""
ALL = slice(None)


class Distribution(Protocol):
    """How some rows, or copies, are read in one basis."""

    def means(self, shots: int | None, rng: np.random.Generator, rows: slice = ALL) -> np.ndarray:
        """One draw of the terms' means over so many shots, shape (r, T).

        Args:
            shots: Of every row; None for the means of infinitely many.
            rng: The random stream.
            rows: Which rows.
        """


@dataclass(frozen=True)
class BitDistribution:
    """Rows whose bit strings have probabilities."""

    probabilities: np.ndarray  # shape: (R, 2**n), of the bit strings
    signs: np.ndarray  # shape: (2**n, T), of the terms

    def means(self, shots: int | None, rng: np.random.Generator, rows: slice = ALL) -> np.ndarray:
        """One draw of the terms' means over so many shots, shape (r, T).

        Few shots are counted bit string by bit string. The means of many are drawn as normal with
        the same expectations and covariances, which takes a fraction of the time.

        Args:
            shots: Of every row; None for the means of infinitely many.
            rng: The random stream.
            rows: Which rows.
        """
        if shots is None:
            return self._expected[rows]
        if shots < MANY_SHOTS or self.signs.shape[1] ** 2 > len(self.signs):
            counts = rng.multinomial(shots, self.probabilities[rows])
            return np.asarray(counts / shots @ self.signs)
        expected, roots = self._expected[rows], self._roots[rows]
        normal = rng.standard_normal((*expected.shape, 1))
        return np.asarray(expected + (roots @ normal)[..., 0] / np.sqrt(shots))

    @cached_property
    def _expected(self) -> np.ndarray:
        return np.asarray(self.probabilities @ self.signs)

    @cached_property
    def _roots(self) -> np.ndarray:
        """Cholesky factors of the covariances of one shot, shape (R, T, T)."""
        terms = self.signs.shape[1]
        pairs = (self.signs[:, :, None] * self.signs[:, None, :]).reshape(-1, terms**2)
        squares = (self.probabilities @ pairs).reshape(-1, terms, terms)  # (R, T, T)
        covariances = squares - self._expected[:, :, None] * self._expected[:, None, :]
        return np.linalg.cholesky(covariances + 1e-9 * np.eye(terms))  # some bits never scatter


@dataclass(frozen=True)
class NormalRows:
    """Different rows in one place, of which expectations and covariances are known alone."""

    expected: np.ndarray  # shape: (T, U)
    pairs: np.ndarray  # shape: (p, 2), the terms that may be correlated, each pair once
    products: Callable[[], np.ndarray]
    """Gives the expectations of their products, shape (p, U); asked once, if shots are drawn."""

    def scatter(self, normal: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """What one shot of some rows is away from its expectation, shape (T, r).

        Args:
            normal: Draws of independent standard normal numbers, shape (T, r).
            rows: Which rows, shape (r,).
        """
        spread = np.zeros_like(normal)
        for distance, diagonal in enumerate(self.roots):
            reached = len(normal) - distance
            spread[distance:] += diagonal[:reached, rows] * normal[:reached]
        out = np.empty_like(spread)
        out[self.order] = spread
        return out

    @cached_property
    def order(self) -> np.ndarray:
        """The terms so that the correlated ones stand near each other, shape (T,)."""
        count = len(self.expected)
        graph = coo_array((np.ones(len(self.pairs)), self.pairs.T), shape=(count, count))
        return np.asarray(reverse_cuthill_mckee((graph + graph.T).tocsr(), symmetric_mode=True))

    @cached_property
    def roots(self) -> np.ndarray:
        """Cholesky factors of the covariances of one shot by diagonals, shape (b + 1, T, U).

        Entry [d, j] stands in row j + d and column j of each factor, both counted in `order`.
        """
        k, m = self.pairs.T
        values = self.products() - self.expected[k] * self.expected[m]
        place = np.argsort(self.order)
        column, row = np.sort(np.stack([place[k], place[m]]), axis=0)
        width = int((row - column).max(initial=0)) + 1
        band = np.zeros((width, *self.expected.shape))
        band[row - column, column] = values
        return banded_roots(band)


@dataclass(frozen=True)
class NormalDistribution:
    """Rows whose means are drawn as normal, copy by copy."""

    parts: tuple[NormalRows, ...]
    """For each copy that is in use."""
    part: np.ndarray  # shape: (R,), where each row is
    place: np.ndarray  # shape: (R,), which of the different rows there it is

    def means(self, shots: int | None, rng: np.random.Generator, rows: slice = ALL) -> np.ndarray:
        """One draw of the terms' means over so many shots, shape (r, T).

        Args:
            shots: Of every row; None for the means of infinitely many.
            rng: The random stream.
            rows: Which rows.
        """
        part, place = self.part[rows], self.place[rows]
        terms = len(self.parts[0].expected)
        out = np.empty((terms, len(part)))
        normal = None if shots is None else rng.standard_normal((len(part), terms)).T
        for number, one in enumerate(self.parts):
            mine = np.flatnonzero(part == number)
            means = one.expected[:, place[mine]]
            if normal is not None and shots is not None:
                means += one.scatter(normal[:, mine], place[mine]) / np.sqrt(shots)
            out[:, mine] = means
        return out.T


def banded_roots(band: np.ndarray) -> np.ndarray:
    """Cholesky factors of many banded matrices at once, in place.

    Args:
        band: The matrices by diagonals, shape (b + 1, T, U): [d, j] is entry (j + d, j).

    Returns:
        The factors in the same form.
    """
    width, count, _ = band.shape
    for column in range(count):
        band[0, column] = np.sqrt(np.maximum(band[0, column], SMALLEST))
        below = min(width, count - column)
        band[1:below, column] /= band[0, column]
        for d in range(1, below):
            band[: below - d, column + d] -= band[d:below, column] * band[d, column]
    return band


@dataclass(frozen=True)
class IndependentBits:
    """Copies that are read without anything between: each bit errs by itself."""

    flips: np.ndarray  # shape: (k, n), the probability that each bit is read as 1
    masks: np.ndarray  # shape: (n, T), bool: the bits of each term's parity

    def means(self, shots: int | None, rng: np.random.Generator, rows: slice = ALL) -> np.ndarray:
        """One draw of the terms' means over so many shots, shape (r, T).

        Args:
            shots: Of every copy; None for the means of infinitely many.
            rng: The random stream.
            rows: Which copies.
        """
        flips = self.flips[rows]
        if shots is None:
            each = np.where(self.masks, 1 - 2 * flips[..., None], 1.0)  # (r, n, T)
            return np.asarray(each.prod(axis=1))
        masks = self.masks.astype(np.float32)
        means = []
        for own in flips:
            bits = (rng.random((shots, len(own))) < own).astype(np.float32)
            means.append(1 - 2 * ((bits @ masks) % 2).mean(axis=0, dtype=float))  # (T,)
        return np.stack(means)
