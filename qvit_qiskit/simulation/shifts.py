"""Gradients from an estimator's values alone: broadcast parameter shifts, and SPSA.

Both send one PUB per circuit with all shifts of all rows in it, where Qiskit Machine Learning's
own gradients send one PUB per row, observable and shift.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from qiskit.circuit import Parameter, QuantumCircuit
from qiskit.primitives import BaseEstimatorV2
from qiskit.quantum_info import SparsePauliOp
from qiskit_machine_learning.gradients import BaseEstimatorGradient, EstimatorGradientResult

from qvit_qiskit.circuits import QNNCircuit, pauli_terms
from qvit_qiskit.circuits.angles import AngleTable
from qvit_qiskit.circuits.bundle import Bundle, BundleGradient, Measurement, Pullback, Values
from qvit_qiskit.circuits.lowered_circuit import rebuild
from qvit_qiskit.circuits.lowering import Lowered, lower
from qvit_qiskit.circuits.memo import Memo
from qvit_qiskit.circuits.prepared import Prepared, prepare, qubits_of
from qvit_qiskit.circuits.pubs import check_finite
from qvit_qiskit.simulation.jacobians import alike, scatter


def circuit_pub(circuit: QNNCircuit, inputs: np.ndarray, weights: np.ndarray) -> tuple[Any, ...]:
    """One PUB for all rows and all observables of a circuit.

    Args:
        circuit: The circuit.
        inputs: Shape (R, num_inputs).
        weights: Shape (num_weights,), the same for all rows.

    Returns:
        A PUB whose result has shape (num_outputs, R).
    """
    check_finite(inputs, "angles")
    return (circuit.canonical, column(circuit.observables), _parameters(inputs, weights))


def column(observables: Sequence[SparsePauliOp]) -> list[list[SparsePauliOp]]:
    """Observables as a column, to be broadcast against a row of parameter sets."""
    return [[observable] for observable in observables]


@dataclass(frozen=True)
class _Shiftable:
    """A circuit with one parameter per rotation, so that each occurrence can be shifted."""

    circuit: QuantumCircuit
    order: np.ndarray
    table: AngleTable
    prepared: Prepared

    @classmethod
    def of(cls, circuit: QuantumCircuit, observed: frozenset[int]) -> _Shiftable:
        prepared = prepare(circuit, observed)
        lowered: Lowered = lower(prepared.circuit)
        rebuilt, used = rebuild(lowered.num_qubits, lowered.operations)
        table = AngleTable.of(lowered.angles, lowered.parameters)
        return cls(rebuilt, np.asarray(used, int), table, prepared)

    def observable(self, terms: Mapping[str, complex]) -> Mapping[str, complex]:
        """An observable of the given circuit as one of this circuit."""
        return self.prepared.restrict(terms)

    def shifted(self, values: np.ndarray) -> np.ndarray:
        """All angles, all shifts: (2m, R, m) for parameter values (R, P)."""
        columns = self.table.evaluate(list(values.T))
        angles = np.stack([columns[k] for k in self.order], axis=-1)  # (R, m)
        steps = np.eye(angles.shape[1]) * (np.pi / 2)
        return np.concatenate([angles + steps[:, None], angles - steps[:, None]])

    def chain(self, values: np.ndarray, by_angle: np.ndarray) -> np.ndarray:
        """∂/∂parameters (P, ...) from ∂/∂angles (m, ...)."""
        grads = np.empty_like(by_angle)
        grads[self.order] = by_angle
        return np.stack(self.table.pullback(list(values), list(grads)))


class ParameterShiftGradient(BaseEstimatorGradient):
    """The parameter-shift rule, one PUB for all shifts of all rows.

    Every rotation exp(−iφP/2) is shifted by ±π/2 by itself (Schuld et al., Phys. Rev. A 99,
    032331, 2019) and the chain rule joins them, so repeated parameters, expressions and
    controlled rotations are right.
    """

    def __init__(self, estimator: BaseEstimatorV2) -> None:
        super().__init__(estimator)
        self._shiftable: Memo[_Shiftable] = Memo()

    def vjp(self, bundles: Sequence[Bundle]) -> tuple[Values, Pullback]:
        """Values, and a pullback that sends all shifts of all bundles in one job."""
        values = _values(estimate(self._estimator, bundles))
        # Now, not on the way back: a gradient is that of the circuit whose values were given.
        shiftables = [
            [self._made(c.canonical, c.pauli_terms) for c in bundle.circuits] for bundle in bundles
        ]

        def pullback(cotangents: Values) -> list[BundleGradient]:
            pubs = []
            for bundle, made in zip(bundles, shiftables, strict=True):
                parts = zip(bundle.circuits, bundle.weights, made, strict=True)
                for circuit, weights, shiftable in parts:
                    angles = shiftable.shifted(_parameters(bundle.inputs, weights))
                    observables = [[[shiftable.observable(o)]] for o in circuit.pauli_terms]
                    pubs.append((shiftable.circuit, observables, angles))
            results = iter(self._estimator.run(pubs).result())
            return [
                _join(
                    bundle, self._bundle_gradient(bundle, made, one, [next(results) for _ in one])
                )
                for bundle, made, one in zip(bundles, shiftables, cotangents, strict=True)
            ]

        return values, pullback

    def _made(self, circuit: QuantumCircuit, terms: Sequence[Mapping[str, complex]]) -> _Shiftable:
        return self._shiftable.get(circuit, qubits_of(terms), _Shiftable.of)

    def _bundle_gradient(
        self,
        bundle: Bundle,
        shiftables: Sequence[_Shiftable],
        cotangents: Sequence[np.ndarray],
        results: Sequence[Any],
    ) -> list[np.ndarray]:
        """For each circuit ∂L/∂parameters by row, shape (P, R)."""
        out = []
        parts = zip(bundle.weights, shiftables, cotangents, results, strict=True)
        for weights, shiftable, cotangent, result in parts:
            plus, minus = np.split(result.data.evs, 2, axis=1)  # each (K, m, R)
            by_angle = np.einsum("kmr,rk->mr", 0.5 * (plus - minus), cotangent)  # (m, R)
            values = _parameters(bundle.inputs, weights)
            out.append(shiftable.chain(values.T, by_angle))
        return out

    def _run(
        self,
        circuits: Sequence[QuantumCircuit],
        observables: Sequence[Any],
        parameter_values: Sequence[Sequence[float]],
        parameters: Sequence[Sequence[Parameter]],
        **options: Any,
    ) -> EstimatorGradientResult:
        groups = alike(circuits, observables)
        pubs, sets = [], []
        for members in groups:
            values = np.array([parameter_values[k] for k in members], dtype=float)
            check_finite(values, "parameter values")
            terms = pauli_terms(observables[members[0]])
            shiftable = self._made(circuits[members[0]], [terms])
            angles = shiftable.shifted(values)
            pubs.append((shiftable.circuit, shiftable.observable(terms), angles))
            sets.append((shiftable, values))
        gradients: list[Any] = [None] * len(circuits)
        results = self._estimator.run(pubs).result()
        for members, (shiftable, values), result in zip(groups, sets, results, strict=True):
            plus, minus = np.split(result.data.evs, 2)  # each (m, R)
            total = shiftable.chain(values.T, 0.5 * (plus - minus)).T  # (R, P)
            scatter(gradients, members, circuits[members[0]], total, parameters)
        metadata = [{"parameters": wanted} for wanted in parameters]
        return EstimatorGradientResult(gradients, metadata=metadata, options=self._default_options)


class SPSAGradient(ParameterShiftGradient):
    """Simultaneous perturbation: two evaluations per row and random direction, however wide.

    Unbiased up to O(ε²) but noisy (Spall, IEEE Trans. Autom. Control 37, 332, 1992). Jacobians,
    which only a stock connector asks for, still come from parameter shifts.
    """

    def __init__(
        self, estimator: BaseEstimatorV2, samples: int = 1, epsilon: float = 0.2, seed: int = 0
    ) -> None:
        super().__init__(estimator)
        self.samples, self.epsilon = samples, epsilon
        self.reseed(seed)

    def reseed(self, *seed: int) -> None:
        """Start the random directions anew."""
        self._rng = np.random.default_rng([*seed, 1])

    def vjp(self, bundles: Sequence[Bundle]) -> tuple[Values, Pullback]:
        """Values, and a pullback that sends all directions of all bundles in one job."""
        values = _values(estimate(self._estimator, bundles))

        def pullback(cotangents: Values) -> list[BundleGradient]:
            pubs, directions = [], []
            for bundle in bundles:
                for circuit, weights in zip(bundle.circuits, bundle.weights, strict=True):
                    parameters = _parameters(bundle.inputs, weights)
                    delta = self._directions(bundle.inputs, weights)
                    step = self.epsilon * delta
                    points = np.concatenate([parameters + step, parameters - step])
                    observables = [[[o]] for o in circuit.observables]
                    pubs.append((circuit.canonical, observables, points))
                    directions.append(delta)
            results = iter(zip(directions, self._estimator.run(pubs).result(), strict=True))
            grads = []
            for bundle, one in zip(bundles, cotangents, strict=True):
                by_row = [self._slope(*next(results), cotangent) for cotangent in one]
                grads.append(_join(bundle, by_row))
            return grads

        return values, pullback

    def _directions(self, rows: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Random signs, shape (samples, R, P): one weight direction for all rows of a sample."""
        count, inputs = rows.shape
        shape = (self.samples, count, inputs + len(weights))
        signs = self._rng.integers(0, 2, shape) * 2.0 - 1.0
        signs[:, :, inputs:] = signs[:, :1, inputs:]
        return signs

    def _slope(self, delta: np.ndarray, result: Any, cotangent: np.ndarray) -> np.ndarray:
        plus, minus = np.split(result.data.evs, 2, axis=1)  # each (K, samples, R)
        slope = np.einsum("ksr,rk->sr", plus - minus, cotangent) / (2 * self.epsilon)
        return np.einsum("sr,srp->pr", slope, delta) / len(delta)  # the mean over directions


def estimate(estimator: BaseEstimatorV2, bundles: Sequence[Bundle]) -> list[list[Measurement]]:
    """Evaluate all circuits of all bundles in one estimator call, with a PUB for each.

    Args:
        estimator: What they run on.
        bundles: Circuits with their weights, at rows (R, num_inputs) that they share.

    Returns:
        For each bundle and circuit what was measured.
    """
    pubs = [
        circuit_pub(circuit, bundle.inputs, weights)
        for bundle in bundles
        for circuit, weights in zip(bundle.circuits, bundle.weights, strict=True)
    ]
    results = iter(estimator.run(pubs).result())
    return [[_measurement(next(results).data) for _ in b.circuits] for b in bundles]


def _measurement(data: Any) -> Measurement:
    covariances = getattr(data, "covariances", None)
    if covariances is not None:
        covariances = covariances.transpose(1, 0, 2)
    return Measurement(np.asarray(data.evs).T, np.asarray(data.stds).T, covariances)


def _values(measurements: list[list[Measurement]]) -> Values:
    return [[m.values for m in one] for one in measurements]


def _parameters(inputs: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return np.hstack([inputs, np.broadcast_to(weights, (len(inputs), len(weights)))])


def _join(bundle: Bundle, by_row: Sequence[np.ndarray]) -> BundleGradient:
    """Sum ∂L/∂parameters (P, R) of the circuits: inputs over circuits, weights over rows."""
    count = bundle.inputs.shape[1]
    inputs = sum(grad[:count].T for grad in by_row)
    return BundleGradient(np.asarray(inputs), [grad[count:].sum(axis=1) for grad in by_row])
