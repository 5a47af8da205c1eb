"""Bitstrings as counts, and the expectation values and covariances that they give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from qvit_qiskit.circuits.measurement_bases import Basis
from qvit_qiskit.devices.prices import extrapolation

ONE_WORD = 63
"""Qubits whose states are one number each, as all were in stored runs of earlier versions."""
MANY = 32
"""Of more columns than this, products of two are averaged row by row: (E, K, K) would be large."""


@dataclass(frozen=True)
class Counts:
    """Bitstrings of R rows as counts; sorted by row, then state.

    Bit k of a state belongs to virtual qubit k; of more than `ONE_WORD` qubits, bit k % 64 of its
    word k // 64.
    """

    row: np.ndarray  # shape: (E,), int64
    state: np.ndarray  # shape: (E,), int64; of more than `ONE_WORD` qubits (E, W), uint64
    count: np.ndarray  # shape: (E,), int64
    rows: int

    @classmethod
    def of(cls, bits: np.ndarray) -> Counts:
        """Count bits.

        Args:
            bits: Shape (R, shots, n), bool, virtual qubit 0 first.
        """
        packed = _packed(bits)
        states = [np.unique(shots, axis=0, return_counts=True) for shots in packed]
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

    def products(self, values: np.ndarray) -> np.ndarray:
        """Averages over each row's bitstrings of all products of two columns.

        Args:
            values: The columns at ``state``, shape (E, K).

        Returns:
            Shape (R, K, K).
        """
        columns = values.shape[1]
        if columns <= MANY:
            return self.means(values[:, :, None] * values[:, None, :])
        ends = np.searchsorted(self.row, np.arange(self.rows + 1))
        weighted = values * self.count[:, None]
        out = np.empty((self.rows, columns, columns))
        for row, (start, stop) in enumerate(pairwise(ends)):
            out[row] = weighted[start:stop].T @ values[start:stop]
        return out / self.shots()[:, None, None]


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
            square = calibration.products(read)  # (k, T, T)
            spread = square - scale[:, :, None] * scale[:, None, :]
            spread /= calibration.shots()[:, None, None]  # of the mean
            copy = np.arange(counts.rows) % calibration.rows
            signs = signs / scale[copy[counts.row]]
            ratio = counts.means(signs) / scale[copy]  # (R, T)
            pull = ratio[:, :, None] * weights  # (R, T, K)
        per_state = signs @ weights  # (E, K)
        mean = counts.means(per_state)
        second = counts.products(per_state)  # (R, K, K)
        own = (second - mean[:, :, None] * mean[:, None, :]) / counts.shots()[:, None, None]
        return cls(mean, own, pull, spread)

    @property
    def covariances(self) -> np.ndarray:
        """Of the means, the calibration's own shot noise included, shape (R, K, K)."""
        if self.pull is None or self.spread is None:
            return self.own
        copy = np.arange(len(self.means)) % len(self.spread)
        shared = self.pull.swapaxes(1, 2) @ self.spread[copy] @ self.pull  # (R, K, K)
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
    masks = [mask for _, _, mask in basis.terms]
    words = states.reshape(len(states), -1).astype(np.uint64)
    ones = np.zeros((len(states), len(masks)), np.uint8)
    for place, word in enumerate(words.T):
        own = np.array([mask >> 64 * place & (2**64 - 1) for mask in masks], np.uint64)
        ones += np.bitwise_count(word[:, None] & own)
    return 1.0 - 2.0 * (ones & 1)


def _packed(bits: np.ndarray) -> np.ndarray:
    """Bits (R, shots, n) as states, shape (R, shots), or (R, shots, W) of many qubits."""
    qubits = bits.shape[-1]
    if qubits <= ONE_WORD:
        return np.asarray(bits @ (1 << np.arange(qubits, dtype=np.int64)))  # bit k counts 2**k
    whole = np.zeros((*bits.shape[:2], -(-qubits // 64) * 64), bool)
    whole[..., :qubits] = bits
    return np.packbits(whole, axis=-1, bitorder="little").view("<u8").astype(np.uint64)


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
