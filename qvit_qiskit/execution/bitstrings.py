"""An EstimatorV2 that measures: all commuting observables of a row from the same bitstrings."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Generic

import numpy as np
from qiskit.circuit import QuantumCircuit
from qiskit.primitives import BaseEstimatorV2, DataBin, PrimitiveJob, PrimitiveResult, PubResult
from qiskit.primitives.containers.estimator_pub import EstimatorPub, EstimatorPubLike

from qvit_qiskit.circuits import QNNCircuit
from qvit_qiskit.execution.exact.engine import P, Request, RowEngine
from qvit_qiskit.execution.exact.estimator import Compiler, varying_columns
from qvit_qiskit.execution.exact.readout import Basis, measurement_bases
from qvit_qiskit.execution.pubs import FlatPub, flatten

_CHUNK_ENTRIES = 2**22


class BitstringEstimator(BaseEstimatorV2, Generic[P]):
    """Expectation values of drawn bitstrings, with the covariance of a row's outputs.

    A PUB's data have ``evs`` and ``stds`` of the PUB's shape and ``covariances`` of shape
    (*pub.shape, K): the covariance of this value with the row's K observables, in the order of the
    raveled observables array. Every run draws a new stream, so that two chunks of one evaluation
    are independent at one seed.
    """

    def __init__(
        self, engine: RowEngine[P], compiler: Compiler[P], shots: int, seed: int = 0
    ) -> None:
        self.engine, self.compiler, self.shots = engine, compiler, shots
        self.reseed(seed)

    def reseed(self, *seed: int) -> None:
        """Start the random streams anew; the same seed gives the same streams."""
        self._streams = np.random.SeedSequence(seed)

    def run(
        self, pubs: Iterable[EstimatorPubLike], *, precision: float | None = None
    ) -> PrimitiveJob[PrimitiveResult[PubResult]]:
        """Evaluate PUBs.

        Args:
            pubs: The PUBs.
            precision: If given (here or in a PUB), 1/precision² shots instead of the profile's.
        """
        coerced = [EstimatorPub.coerce(pub, precision) for pub in pubs]
        seeds = self._streams.spawn(len(coerced))
        job = PrimitiveJob(self._run, coerced, seeds)
        job._submit()
        return job

    def describe(self, circuit: QNNCircuit) -> str:
        """One line: where a circuit's bitstrings come from."""
        basis = measurement_bases(circuit.pauli_terms)[0]
        return f"bitstrings from: {self.compiler.describe(circuit, basis)}"

    def _run(
        self, pubs: list[EstimatorPub], seeds: list[np.random.SeedSequence]
    ) -> PrimitiveResult[PubResult]:
        return PrimitiveResult([self._run_pub(p, s) for p, s in zip(pubs, seeds, strict=True)])

    def _run_pub(self, pub: EstimatorPub, seed: np.random.SeedSequence) -> PubResult:
        flat = flatten(pub)
        shots = math.ceil(1 / pub.precision**2) if pub.precision else self.shots
        values, covariances = self._moments(flat, shots, seed)
        evs = flat.pick(values)
        diagonal = np.einsum("krk->kr", covariances)
        data = DataBin(
            evs=evs,
            stds=flat.pick(np.sqrt(np.clip(diagonal, 0.0, None))),
            covariances=flat.pick(covariances),
            shape=flat.shape,
        )
        return PubResult(data, metadata={"shots": shots})

    def _moments(
        self, flat: FlatPub, shots: int, seed: np.random.SeedSequence
    ) -> tuple[np.ndarray, np.ndarray]:
        """Means (K, R) and covariances of the means (K, R, K)."""
        count, rows = len(flat.observables), len(flat.values)
        means = np.zeros((count, rows))
        covariances = np.zeros((count, rows, count))
        step = max(1, _CHUNK_ENTRIES // 2**flat.circuit.num_qubits)
        chunks = [slice(a, min(a + step, rows)) for a in range(0, rows, step)]
        for basis in measurement_bases(flat.observables):
            diagonal = basis.diagonal(count)
            for chunk, stream in zip(chunks, seed.spawn(len(chunks)), strict=True):
                probabilities = self._probabilities(flat.circuit, basis, flat.values[chunk])
                frequencies = draw(probabilities, shots, stream)
                mean = diagonal.T @ frequencies  # (K, r)
                means[:, chunk] += mean
                for k in range(count):
                    second = (diagonal * diagonal[:, k : k + 1]).T @ frequencies  # (K, r)
                    covariances[k, chunk] += ((second - mean * mean[k]) / shots).T
        return means, covariances

    def _probabilities(
        self, circuit: QuantumCircuit, basis: Basis, values: np.ndarray
    ) -> np.ndarray:
        program = self.compiler.program(circuit, basis, varying_columns(circuit, values))
        request = Request.of(program, values, diagonal=np.zeros((1, 0)))
        return self.engine.probabilities(request)[0]


def draw(probabilities: np.ndarray, shots: int, seed: np.random.SeedSequence) -> np.ndarray:
    """Multinomial frequencies of every column.

    Args:
        probabilities: Shape (2**n, R).
        shots: Draws per row.
        seed: The random stream.
    """
    clipped = np.clip(probabilities.T, 0.0, None)
    clipped /= clipped.sum(axis=1, keepdims=True)
    return np.random.default_rng(seed).multinomial(shots, clipped).T / shots
