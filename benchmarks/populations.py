"""Populations of labelled scores whose true AUC and ACC are known, for `interval_coverage.py`.

Latent values are normal with unit variance: of two classes a distance apart, of five classes raised
by the distance in the true class. With shots, a model sees a latent value only as the share of ones
among so many shots, so that scores are discrete and tied.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit
from scipy.stats import binom, norm

from qvit_qiskit.metrics import softmax
from qvit_qiskit.statistics.influence import areas

Array = NDArray[np.float64]
Labels = NDArray[np.int64]

BALANCES = {
    "1 : 1": (0.5, 0.5),
    "27 : 73": (0.27, 0.73),
    "90 : 10": (0.9, 0.1),
    "five": (174 / 400, 66 / 400, 92 / 400, 48 / 400, 20 / 400),
}
"""The second is BreastMNIST's, the last RetinaMNIST's."""
MANY = 400_000
"""Images whose metrics stand for the truth where no formula gives it."""


class Truth(NamedTuple):
    """Metrics of the whole population."""

    auc: float
    acc: float


@dataclass(frozen=True)
class Population:
    """Images of which test sets are drawn."""

    balance: str
    distance: float
    shots: int | None = None

    @property
    def classes(self) -> int:
        """How many."""
        return len(BALANCES[self.balance])

    def labels(self, n: int, rng: np.random.Generator) -> Labels:
        """Drawn by the balance, shape (n,); again, if a class is missing."""
        while True:
            found = rng.choice(self.classes, n, p=BALANCES[self.balance])
            if len(np.unique(found)) == self.classes:
                return found

    def centres(self, labels: Labels) -> Array:
        """Means of the latent values, shape (n,) for two classes, else (n, classes)."""
        if self.classes == 2:
            return (labels - 0.5) * self.distance
        return self.distance * np.eye(self.classes)[labels]

    def shares(self, latent: Array, rng: np.random.Generator) -> Array:
        """What the model sees of latent values, by shape."""
        exact = expit(latent)
        return exact if self.shots is None else rng.binomial(self.shots, exact) / self.shots

    @staticmethod
    def probabilities(shares: Array) -> Array:
        """What it answers, shape (n, classes)."""
        return np.stack([1 - shares, shares], 1) if shares.ndim == 1 else softmax(8 * shares)

    def draw(self, n: int, rng: np.random.Generator) -> tuple[Labels, Array]:
        """Labels and probabilities of a new test set."""
        labels = self.labels(n, rng)
        shares = self.shares(rng.normal(self.centres(labels)), rng)
        return labels, self.probabilities(shares)

    @cache  # noqa: B019 (populations are few and live as long as the script)
    def truth(self, images: int = MANY) -> Truth:
        """AUC and ACC of all images; for more than two classes of so many drawn images."""
        if self.classes > 2:
            labels, scores = self.draw(images, np.random.default_rng(1))
            return Truth(areas(labels, scores).mean, float(np.mean(scores.argmax(1) == labels)))
        if self.shots is None:
            auc, acc = norm.cdf(self.distance / math.sqrt(2)), norm.cdf(self.distance / 2)
            return Truth(float(auc), float(acc))
        low, high = self._counts(-0.5), self._counts(0.5)
        above = np.arange(self.shots + 1) > self.shots / 2
        auc = high @ (np.cumsum(low) - low / 2)
        acc = np.dot(BALANCES[self.balance], [low[~above].sum(), high[above].sum()])
        return Truth(float(auc), float(acc))

    def _counts(self, side: float) -> Array:
        """Probabilities of 0 … shots ones for one of two classes, by summation."""
        nodes = np.linspace(-8, 8, 1601)  # closer than the latent width of 1024 shots
        shares = expit(nodes + side * self.distance)
        masses = binom.pmf(np.arange(self.shots + 1)[:, None], self.shots, shares)
        return masses @ norm.pdf(nodes) / norm.pdf(nodes).sum()


@cache
def with_auc(balance: str, auc: float, shots: int | None = None) -> Population:
    """The population that has an AUC; with more than two classes, nearly."""

    def gap(distance: float) -> float:
        return Population(balance, distance, shots).truth(MANY // 20).auc - auc

    return Population(balance, float(brentq(gap, 0.0, 12.0, xtol=1e-3)), shots)
