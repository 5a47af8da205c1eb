"""The exact engine as a Qiskit gradient."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from itertools import islice
from typing import Any

import numpy as np
from qiskit.circuit import Parameter, QuantumCircuit
from qiskit_machine_learning.gradients import BaseEstimatorGradient, EstimatorGradientResult

from qvit_qiskit.circuits import pauli_terms
from qvit_qiskit.circuits.bundle import (
    Bundle,
    BundleGradient,
    Pullback,
    PullStack,
    Stack,
    Values,
)
from qvit_qiskit.circuits.pubs import check_finite
from qvit_qiskit.simulation.exact.engine import Request
from qvit_qiskit.simulation.exact.estimator import ExactEstimator
from qvit_qiskit.simulation.jacobians import alike, scatter


class AdjointGradient(BaseEstimatorGradient):
    """Exact gradients by the adjoint method, as Jacobians or as vector–Jacobian products.

    Jones and Gacon, arXiv 2009.02823, with the rows contracted before the gates are swept.
    """

    def __init__(self, estimator: ExactEstimator) -> None:
        super().__init__(estimator)
        self.exact, self.engine = estimator, estimator.engine

    def vjp(self, bundles: Sequence[Bundle]) -> tuple[Values, Pullback]:
        """Values and pullback; bundles of one circuit and size run together, in one Aer job."""
        groups = _alike_bundles(bundles)
        totals, pull = self._linearize([_stack([bundles[k] for k in own]) for own in groups])
        out: Values = [[] for _ in bundles]
        for members, total in zip(groups, totals, strict=True):
            for k, own in zip(members, np.split(total, len(members)), strict=True):
                out[k] = list(own.transpose(0, 2, 1))  # each (R, K)

        def pullback(cotangents: Values) -> list[BundleGradient]:
            stacked = [
                np.stack([c.T for k in members for c in cotangents[k]]) for members in groups
            ]
            grads: dict[int, BundleGradient] = {}
            for members, (rows, weights) in zip(groups, pull(stacked), strict=True):
                parts = np.split(weights, len(members))
                for h, (k, own) in enumerate(zip(members, parts, strict=True)):
                    grads[k] = BundleGradient(rows[:, h].T, list(own))
            return [grads[k] for k in range(len(bundles))]

        return out, pullback

    def stacked_vjp(self, stack: Stack) -> tuple[np.ndarray, PullStack]:
        """Values, shape (G, num_outputs, R), and the function that pulls their cotangents back."""
        totals, pull = self._linearize([stack])
        return totals[0], lambda cotangent: pull([cotangent])[0]

    def _linearize(self, stacks: Sequence[Stack]) -> tuple[list[np.ndarray], PullStacks]:
        """Values (G, K, R) of each stack, and their pullback."""
        plans = [self._plan(stack) for stack in stacks]
        values, pull = self.engine.linearize([request for plan in plans for request in plan])
        left = iter(values)
        # one request for each measurement basis
        totals = [reduce(np.add, islice(left, len(plan))) for plan in plans]

        def pullback(cotangents: Sequence[np.ndarray]) -> list[tuple[np.ndarray, np.ndarray]]:
            spread = [g for g, plan in zip(cotangents, plans, strict=True) for _ in plan]
            pulled = iter(pull(spread))
            back = []
            for plan in plans:
                rows, weights = zip(*islice(pulled, len(plan)), strict=True)
                back.append((reduce(np.add, rows), reduce(np.add, weights)))
            return back

        return totals, pullback

    def _plan(self, stack: Stack) -> list[Request[Any]]:
        circuit, rows, weights = stack.circuit, stack.rows, stack.weights
        if not np.isfinite(rows).all():
            for array in rows.transpose(1, 2, 0):
                check_finite(array, "angles")
        check_finite(weights, "weights")  # before a simulation spreads them
        columns = tuple(range(circuit.num_inputs))
        programs = self.exact.programs(circuit.canonical, circuit.pauli_terms, columns)
        return [Request(program, rows, weights, diagonal) for program, diagonal in programs]

    def _run(
        self,
        circuits: Sequence[QuantumCircuit],
        observables: Sequence[Any],
        parameter_values: Sequence[Sequence[float]],
        parameters: Sequence[Sequence[Parameter]],
        **options: Any,
    ) -> EstimatorGradientResult:
        gradients: list[Any] = [None] * len(circuits)
        for members in alike(circuits, observables):
            circuit = circuits[members[0]]
            terms = pauli_terms(observables[members[0]])
            values = np.array([parameter_values[k] for k in members], dtype=float)
            check_finite(values, "parameter values")
            everything = tuple(range(values.shape[1]))
            total = np.zeros_like(values)
            for program, diagonal in self.exact.programs(circuit, [terms], everything):
                _, pull = self.engine.linearize([Request.of(program, values, diagonal)])
                total += pull([np.ones((1, 1, len(members)))])[0][0][:, 0].T
            scatter(gradients, members, circuit, total, parameters)
        metadata = [{"parameters": wanted} for wanted in parameters]
        return EstimatorGradientResult(gradients, metadata=metadata, options=self._default_options)


PullStacks = Callable[[Sequence[np.ndarray]], list[tuple[np.ndarray, np.ndarray]]]
"""As `PullStack`, for several stacks."""


def _stack(bundles: Sequence[Bundle]) -> Stack:
    """Bundles of one circuit and size, together."""
    rows = np.stack([bundle.inputs.T for bundle in bundles], axis=1).astype(float)  # (n, H, R)
    weights = np.stack([w for bundle in bundles for w in bundle.weights]).astype(float)  # (G, P)
    return Stack(bundles[0].circuits[0], weights, rows)


def _alike_bundles(bundles: Sequence[Bundle]) -> list[list[int]]:
    """Indices of the bundles that have one circuit, as many weight sets and as many rows."""
    groups: dict[tuple[int, int, int], list[int]] = {}
    for k, bundle in enumerate(bundles):
        first = bundle.circuits[0]
        if any(circuit is not first for circuit in bundle.circuits):
            raise ValueError("Expected the circuits of a bundle to be one object.")
        key = (id(first), len(bundle.circuits), len(bundle.inputs))
        groups.setdefault(key, []).append(k)
    return list(groups.values())
