"""An EstimatorV2 that measures: all commuting observables of a row from the same bitstrings.

Circuits that are too wide for the probabilities of their basis states are measured otherwise: by
Aer's matrix product states where these are small, else by normal draws (see `normal_draws`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Generic, TypeVar

import numpy as np
from qiskit.circuit import QuantumCircuit

from qvit_qiskit.circuits import QNNCircuit
from qvit_qiskit.circuits.measurement_bases import Basis, measurement_bases
from qvit_qiskit.circuits.pubs import FlatPub
from qvit_qiskit.simulation.chain_bits import MAX_DRAWS, can_draw, sampled
from qvit_qiskit.simulation.exact.engine import Measurable, Request, RowEngine
from qvit_qiskit.simulation.exact.estimator import Compiler, varying_columns
from qvit_qiskit.simulation.normal_draws import draw_means
from qvit_qiskit.simulation.row_estimator import Answer, RowEstimator, shots_for

NORMAL = "normal draws with exact means and covariances, not bitstrings,"
"""What stands for bitstrings, in descriptions and metadata."""
_CHUNK_ENTRIES = 2**22
M = TypeVar("M", bound=Measurable)


class BitstringEstimator(RowEstimator, Generic[M]):
    """Expectation values of drawn bitstrings, with the covariance of a row's outputs.

    Every run draws a new stream, so that two chunks of one evaluation are independent at one seed.
    """

    samples = True

    def __init__(
        self, engine: RowEngine[M], compiler: Compiler[M], shots: int, seed: int = 0
    ) -> None:
        self.engine, self.compiler, self.shots = engine, compiler, shots
        self.reseed(seed)

    @property
    def perfect(self) -> bool:
        """Whether there is no readout error."""
        return self.engine.perfect

    def reseed(self, *seed: int) -> None:
        """Start the random streams anew; the same seed gives the same streams."""
        self._streams = np.random.SeedSequence(seed)
        self.drawn = ""

    def describe(self, circuit: QNNCircuit) -> str:
        """One line: where a circuit's bitstrings come from."""
        if circuit.num_qubits <= self.compiler.most_bits:
            return f"bitstrings from: {self.compiler.describe(circuit)}"
        normal = f"{NORMAL} from: {self.compiler.describe_values(circuit)}"
        if self.perfect and can_draw(circuit.canonical, 1, self.shots):
            return (
                f"bitstrings from Aer's matrix product states for up to {MAX_DRAWS:,} shots of all "
                f"rows of a call, else {normal}"
            )
        return normal

    def _begin(self, count: int) -> list[np.random.SeedSequence]:
        return self._streams.spawn(count)

    def _answer(self, flats: Sequence[FlatPub], begun: Any) -> list[Answer]:
        answers = []
        for flat, seed in zip(flats, begun, strict=True):
            shots = shots_for(flat.precision, self.shots)
            if flat.circuit.num_qubits <= self.compiler.most_bits:
                means, covariances = self._moments(flat, shots, seed)
                answers.append(Answer(means, covariances, metadata={"shots": shots}))
            else:
                answers.append(self._wide(flat, shots, seed))
        return answers

    def _wide(self, flat: FlatPub, shots: int, seed: np.random.SeedSequence) -> Answer:
        """Means of a circuit that is too wide for the probabilities of its basis states."""
        count, columns = len(flat.observables), varying_columns(flat.circuit, flat.values)
        bits = self.perfect and can_draw(flat.circuit, len(flat.values), shots)
        means = np.zeros((count, len(flat.values)))
        covariances = np.zeros((count, len(flat.values), count))
        bases = measurement_bases(flat.observables) if len(flat.values) else []
        for basis, own in zip(bases, seed.spawn(len(bases)), strict=True):
            if bits:
                mean, covariance = sampled(flat.circuit, basis, flat.values, count, shots, own)
            else:
                moments = self.compiler.moments(flat.circuit, basis, columns, count)
                mean, covariance = draw_means(self.engine, moments, flat.values, count, shots, own)
            means, covariances = means + mean, covariances + covariance
        if not bits:
            self.drawn = "normal draws"
        drawn = "bitstrings of Aer's matrix product states" if bits else NORMAL
        return Answer(means, covariances, metadata={"shots": shots, "drawn": drawn.rstrip(",")})

    def _moments(
        self, flat: FlatPub, shots: int, seed: np.random.SeedSequence
    ) -> tuple[np.ndarray, np.ndarray]:
        """Means (K, R) and covariances of the means (K, R, K)."""
        count, rows = len(flat.observables), len(flat.values)
        means = np.zeros((count, rows))
        covariances = np.zeros((count, rows, count))
        step = max(1, _CHUNK_ENTRIES // 2**flat.circuit.num_qubits)
        chunks = [slice(a, min(a + step, rows)) for a in range(0, rows, step)]
        columns = varying_columns(flat.circuit, flat.values)
        for basis in measurement_bases(flat.observables):
            program = self.compiler.program(flat.circuit, basis, columns)  # or refuses it
            diagonal = program.basis.diagonal(count)  # of the bits that are measured
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
