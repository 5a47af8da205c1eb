"""The exact engine as a Qiskit gradient."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from qiskit.circuit import Parameter, QuantumCircuit
from qiskit_machine_learning.gradients import BaseEstimatorGradient, EstimatorGradientResult

from qvit_qiskit.circuits import pauli_terms
from qvit_qiskit.circuits.bundle import Bundle, BundleGradient, Pullback, Values
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
        plans = [self._plan([bundles[k] for k in members]) for members in groups]
        values, pull = self.engine.linearize([request for plan in plans for request in plan])
        values_left = iter(values)
        out: Values = [[] for _ in bundles]
        for members, plan in zip(groups, plans, strict=True):
            total = np.sum([next(values_left) for _ in plan], axis=0)  # (G, K, R)
            for k, own in zip(members, np.split(total, len(members)), strict=True):
                out[k] = list(own.transpose(0, 2, 1))  # each (R, K)

        def pullback(cotangents: Values) -> list[BundleGradient]:
            stacked = [
                np.stack([c.T for k in members for c in cotangents[k]]) for members in groups
            ]
            spread = [g for g, plan in zip(stacked, plans, strict=True) for _ in plan]
            pulled = iter(pull(spread))
            grads: dict[int, BundleGradient] = {}
            for members, plan in zip(groups, plans, strict=True):
                pairs = [next(pulled) for _ in plan]
                inputs = np.sum([pair[0] for pair in pairs], axis=0)  # (n, H, R)
                weights = np.sum([pair[1] for pair in pairs], axis=0)  # (G, P)
                for h, (k, own) in enumerate(
                    zip(members, np.split(weights, len(members)), strict=True)
                ):
                    grads[k] = BundleGradient(inputs[:, h].T, list(own))
            return [grads[k] for k in range(len(bundles))]

        return out, pullback

    def _plan(self, bundles: Sequence[Bundle]) -> list[Request[Any]]:
        first = bundles[0].circuits[0]
        for bundle in bundles:
            check_finite(bundle.inputs, "angles")
            check_finite(np.stack(bundle.weights), "weights")  # before a simulation spreads them
        columns = tuple(range(first.num_inputs))
        programs = self.exact.programs(first.canonical, first.pauli_terms, columns)
        rows = np.stack([bundle.inputs.T for bundle in bundles], axis=1).astype(float)
        shared = np.stack([w for bundle in bundles for w in bundle.weights]).astype(float)
        return [Request(program, rows, shared, diagonal) for program, diagonal in programs]

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
