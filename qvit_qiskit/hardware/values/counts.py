"""Bitstrings as counts, and the expectation values and covariances that they give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from qvit_qiskit.circuits.readout import Basis
from qvit_qiskit.devices.prices import extrapolation


@dataclass(frozen=True)
class Counts:
    """Bitstrings of R rows as counts; sorted by row, then state.

    Bit k of a state belongs to virtual qubit k.
    """

    row: np.ndarray  # shape: (E,), int64
    state: np.ndarray  # shape: (E,), int64
    count: np.ndarray  # shape: (E,), int64
    rows: int

    @classmethod
    def of(cls, bits: np.ndarray) -> Counts:
        """Count bits.

        Args:
            bits: Shape (R, shots, n), bool, virtual qubit 0 first.
        """
        weights = 1 << np.arange(bits.shape[-1], dtype=np.int64)  # bit k counts 2**k
        states = [np.unique(shots @ weights, return_counts=True) for shots in bits]
        return cls(
            np.repeat(np.arange(len(bits)), [len(state) for state, _ in states]),
            np.concatenate([state for state, _ in states]),
            np.concatenate([count for _, count in states]).astype(np.int64),
            len(bits),
        )

    def shots(self) -> np.ndarray:
        """Shots of every row, shape (R,)."""
        return np.bincount(self.row, self.count, self.rows)

    def means(self, values: np.ndarray) -> np.ndarray:
        """Averages over each row's bitstrings of some function of the state.

        Args:
            values: The function at ``state``, shape (E, ...).

        Returns:
            Shape (R, ...).
        """
        flat = values.reshape(len(values), -1)
        columns = [np.bincount(self.row, self.count * v, self.rows) for v in flat.T]  # sums by row
        table = np.stack(columns, axis=-1) if columns else np.zeros((self.rows, 0))
        shape = (self.rows, *values.shape[1:])
        return (table / self.shots()[:, None]).reshape(shape)


@dataclass(frozen=True)
class BasisMoments:
    """What R rows measured in one basis say of K observables, by where their noise comes from."""

    means: np.ndarray  # shape: (R, K)
    own: np.ndarray  # shape: (R, K, K), covariances of the means for a perfect calibration
    pull: np.ndarray | None = None  # shape: (R, T, K), −∂mean/∂(each term's calibration)
    spread: np.ndarray | None = None  # shape: (k, T, T), covariances of each copy's calibration

    @classmethod
    def of(
        cls, basis: Basis, num_observables: int, counts: Counts, calibration: Counts | None
    ) -> BasisMoments:
        """Expectation values of one basis and their covariances.

        With a calibration, each Pauli term is divided by its value in |0…0⟩ as it was read out
        (twirled readout error extinction, van den Berg et al., Phys. Rev. A 105, 032620, 2022).
        Rows of one job and copy share the calibration's own shot noise.

        Args:
            basis: The T terms measured together.
            num_observables: K.
            counts: Of R rows.
            calibration: Of |0…0⟩, one row for each of the k copies; row r of the counts was
                measured on copy r % k.
        """
        signs = _signs(counts.state, basis)  # (E, T)
        weights = np.zeros((len(basis.terms), num_observables))
        for place, (observable, coefficient, _) in enumerate(basis.terms):
            weights[place, observable] = coefficient
        pull = spread = None
        if calibration is not None:
            read = _signs(calibration.state, basis)  # (E, T)
            scale = calibration.means(read)  # (k, T)
            square = calibration.means(read[:, :, None] * read[:, None, :])  # (k, T, T)
            spread = square - scale[:, :, None] * scale[:, None, :]
            spread /= calibration.shots()[:, None, None]  # of the mean
            copy = np.arange(counts.rows) % calibration.rows
            signs = signs / scale[copy[counts.row]]
            ratio = counts.means(signs) / scale[copy]  # (R, T)
            pull = ratio[:, :, None] * weights  # (R, T, K)
        per_state = signs @ weights  # (E, K)
        mean = counts.means(per_state)
        second = counts.means(per_state[:, :, None] * per_state[:, None, :])  # (R, K, K)
        own = (second - mean[:, :, None] * mean[:, None, :]) / counts.shots()[:, None, None]
        return cls(mean, own, pull, spread)

    @property
    def covariances(self) -> np.ndarray:
        """Of the means, the calibration's own shot noise included, shape (R, K, K)."""
        if self.pull is None or self.spread is None:
            return self.own
        copy = np.arange(len(self.means)) % len(self.spread)
        shared = np.einsum("rtk,rtu,rul->rkl", self.pull, self.spread[copy], self.pull)
        return np.asarray(self.own + shared)


def moments(
    basis: Basis, num_observables: int, counts: Counts, calibration: Counts | None
) -> tuple[np.ndarray, np.ndarray]:
    """Expectation values of one basis and their covariances; see `BasisMoments.of`.

    Args:
        basis: The terms measured together.
        num_observables: K.
        counts: Of R rows.
        calibration: Of |0…0⟩, one row for each of the k copies; row r was measured on copy r % k.

    Returns:
        Means (R, K) and covariances of the means (R, K, K).
    """
    both = BasisMoments.of(basis, num_observables, counts, calibration)
    return both.means, both.covariances


def _signs(states: np.ndarray, basis: Basis) -> np.ndarray:
    """(−1)^parity of every term at every state, shape (E, T)."""
    masks = np.array([mask for _, _, mask in basis.terms], dtype=np.int64)
    return 1.0 - 2.0 * (np.bitwise_count(states[:, None] & masks) & 1)


def extrapolate(
    by_factor: Sequence[tuple[np.ndarray, np.ndarray]], factors: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Values and covariances at zero noise, by a straight line through the noise factors.

    Args:
        by_factor: (means, covariances) at every factor.
        factors: How often each gate was run.
    """
    if len(factors) == 1:
        return by_factor[0]
    weights = extrapolation(factors)  # they add up to 1
    mean = sum(w * m for w, (m, _) in zip(weights, by_factor, strict=True))
    covariance = sum(w * w * c for w, (_, c) in zip(weights, by_factor, strict=True))
    return np.asarray(mean), np.asarray(covariance)
