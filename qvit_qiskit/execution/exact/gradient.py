"""The exact engine as a Qiskit gradient."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from qiskit.circuit import Parameter, QuantumCircuit
from qiskit_machine_learning.gradients import BaseEstimatorGradient, EstimatorGradientResult

from qvit_qiskit.circuits import pauli_terms
from qvit_qiskit.execution.bundle import Bundle, BundleGradient, Pullback, Values
from qvit_qiskit.execution.exact.engine import Request
from qvit_qiskit.execution.exact.estimator import ExactEstimator
from qvit_qiskit.execution.jacobians import alike, scatter
from qvit_qiskit.execution.pubs import check_finite


class AdjointGradient(BaseEstimatorGradient):
    """Exact gradients by the adjoint method, as Jacobians or as vector–Jacobian products.

    Jones and Gacon, arXiv 2009.02823, with the rows contracted before the gates are swept.
    """

    def __init__(self, estimator: ExactEstimator) -> None:
        super().__init__(estimator)
        self.engine, self.compiler = estimator.engine, estimator.compiler

    def vjp(self, bundles: Sequence[Bundle]) -> tuple[Values, Pullback]:
        """Values and pullback of all bundles; they share one Aer job each way."""
        plans = [self._plan(bundle) for bundle in bundles]
        requests = [request for plan in plans for request in plan]
        values, pull = self.engine.linearize(requests)
        out: Values = []
        place = 0
        for bundle, plan in zip(bundles, plans, strict=True):
            total = np.sum(values[place : place + len(plan)], axis=0)
            place += len(plan)
            out.append([total[g].T for g in range(len(bundle.circuits))])

        def pullback(cotangents: Values) -> list[BundleGradient]:
            stacked = [np.stack([c.T for c in one]) for one in cotangents]
            spread = [g for g, plan in zip(stacked, plans, strict=True) for _ in plan]
            pulled = iter(pull(spread))
            grads = []
            for plan in plans:
                pairs = [next(pulled) for _ in plan]
                inputs = np.sum([pair[0] for pair in pairs], axis=0).T
                weights = np.sum([pair[1] for pair in pairs], axis=0)
                grads.append(BundleGradient(inputs, list(weights)))
            return grads

        return out, pullback

    def _plan(self, bundle: Bundle) -> list[Request]:
        first = bundle.circuits[0]
        if any(c is not first for c in bundle.circuits):
            raise ValueError("Expected the circuits of a bundle to be one object.")
        check_finite(bundle.inputs, "angles")
        columns = tuple(range(first.num_inputs))
        found = self.compiler.passes(first.canonical, first.pauli_terms, columns)
        rows = np.ascontiguousarray(bundle.inputs.T, dtype=float)
        shared = np.stack(bundle.weights).astype(float)
        return [Request(program, rows, shared, diagonal) for program, diagonal in found]

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
            for program, diagonal in self.compiler.passes(circuit, [terms], everything):
                request = Request(
                    program, np.ascontiguousarray(values.T), np.zeros((1, 0)), diagonal
                )
                _, pull = self.engine.linearize([request])
                total += pull([np.ones((1, 1, len(members)))])[0][0].T
            scatter(gradients, members, circuit, total, parameters)
        metadata = [{"parameters": wanted} for wanted in parameters]
        return EstimatorGradientResult(gradients, metadata=metadata, options=self._default_options)
