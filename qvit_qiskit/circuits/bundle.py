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


@dataclass(frozen=True)
class Stack:
    """One circuit at H arrays of R rows, with G/H sets of weights for each array.

    What several bundles of one circuit and size are together, e.g. all heads of a layer.
    """

    circuit: QNNCircuit
    weights: np.ndarray  # shape: (G, num_weights)
    rows: np.ndarray  # shape: (num_inputs, H, R)


Values = list[list[np.ndarray]]
"""For each bundle and each of its circuits: shape (R, num_outputs)."""
Pullback = Callable[[Values], list[BundleGradient]]


@runtime_checkable
class SupportsVJP(Protocol):
    """A gradient that contracts with a cotangent instead of returning a Jacobian."""

    def vjp(self, bundles: Sequence[Bundle]) -> tuple[Values, Pullback]:
        """Values of all bundles and the function that pulls cotangents of them back."""


PullStack = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
"""From ∂L/∂values (G, num_outputs, R) to ∂L/∂rows and ∂L/∂weights, of the shapes of a `Stack`."""


@runtime_checkable
class SupportsStackedVJP(SupportsVJP, Protocol):
    """A gradient that takes all bundles of one circuit as two arrays."""

    def stacked_vjp(self, stack: Stack) -> tuple[np.ndarray, PullStack]:
        """Values, shape (G, num_outputs, R), and the function that pulls their cotangents back."""
