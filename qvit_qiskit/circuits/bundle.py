"""Circuits that are evaluated at the same rows, e.g. the Q, K and V projections of one head."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from qvit_qiskit.circuits import QNNCircuit


@dataclass(frozen=True)
class Bundle:
    """One or more circuits, each with its own weights, at R common rows of inputs."""

    circuits: tuple[QNNCircuit, ...]
    weights: tuple[np.ndarray, ...]  # one per circuit, shape (num_weights,)
    inputs: np.ndarray  # shape: (R, num_inputs)


@dataclass(frozen=True)
class BundleGradient:
    """∂L/∂ everything in a `Bundle`."""

    inputs: np.ndarray  # shape: (R, num_inputs), summed over the circuits
    weights: list[np.ndarray]  # one per circuit, summed over the rows


@dataclass(frozen=True)
class Measurement:
    """What an estimator returned for one circuit at R rows."""

    values: np.ndarray
    """Expectation values, shape (R, num_outputs)."""
    stds: np.ndarray
    """Their standard errors, shape (R, num_outputs); 0 where values are exact."""
    covariances: np.ndarray | None
    """Covariances of the values, shape (R, num_outputs, num_outputs)."""


Values = list[list[np.ndarray]]
"""For each bundle and each of its circuits: shape (R, num_outputs)."""
Pullback = Callable[[Values], list[BundleGradient]]


@runtime_checkable
class SupportsVJP(Protocol):
    """A gradient that contracts with a cotangent instead of returning a Jacobian."""

    def vjp(self, bundles: Sequence[Bundle]) -> tuple[Values, Pullback]:
        """Values of all bundles and the function that pulls cotangents of them back."""
