"""Where bitstrings come from: the exact engine, or Aer with device noise."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from qiskit.circuit import QuantumCircuit
from qiskit.providers import BackendV2

from qvit_qiskit.circuits import QNNCircuit
from qvit_qiskit.exceptions import RouteError
from qvit_qiskit.execution.devices import Region
from qvit_qiskit.execution.exact.engine import Engine, Request
from qvit_qiskit.execution.exact.estimator import Compiler, varying_columns
from qvit_qiskit.execution.exact.readout import Basis
from qvit_qiskit.execution.memo import Memo
from qvit_qiskit.execution.packing import place


class BitstringSource(Protocol):
    """Relative frequencies of basis states, measured in a basis."""

    def frequencies(
        self,
        circuit: QuantumCircuit,
        basis: Basis,
        values: np.ndarray,
        shots: int | None,
        seed: np.random.SeedSequence,
    ) -> np.ndarray:
        """Frequencies for every row.

        Args:
            circuit: The circuit, without measurements.
            basis: The measurement basis.
            values: Parameter values, shape (R, P).
            shots: Bitstrings per row; ``None`` asks for exact probabilities.
            seed: The stream for this call.

        Returns:
            Shape (2**n, R), little-endian; columns add up to 1.
        """

    def describe(self, circuit: QNNCircuit, basis: Basis) -> str:
        """One line for people: how a circuit is run."""


class ExactSource:
    """Noiseless: a multinomial draw from the exact engine's probabilities."""

    def __init__(self, engine: Engine, compiler: Compiler) -> None:
        self.engine, self.compiler = engine, compiler

    def frequencies(
        self,
        circuit: QuantumCircuit,
        basis: Basis,
        values: np.ndarray,
        shots: int | None,
        seed: np.random.SeedSequence,
    ) -> np.ndarray:
        """See `BitstringSource`."""
        columns = varying_columns(circuit, values)
        program = self.compiler.program(circuit, basis, columns)
        request = Request.of(program, values, diagonal=np.zeros((1, 0)))
        return draw(self.engine.probabilities(request)[0], shots, seed)

    def describe(self, circuit: QNNCircuit, basis: Basis) -> str:
        """See `BitstringSource`."""
        return f"bitstrings from: {self.compiler.describe(circuit, basis)}"


class NoisySource:
    """A device's gate and readout errors, by Aer's density-matrix method on the used qubits."""

    def __init__(self, device: BackendV2, seed: int) -> None:
        self.device, self.seed = device, seed
        self._compiled: Memo[tuple[Region, Any]] = Memo()

    def frequencies(
        self,
        circuit: QuantumCircuit,
        basis: Basis,
        values: np.ndarray,
        shots: int | None,
        seed: np.random.SeedSequence,
    ) -> np.ndarray:
        """See `BitstringSource`."""
        region, simulator = self._compiled.get(circuit, basis, self._compile)
        order = {p: k for k, p in enumerate(circuit.parameters)}
        binds = {p: values[:, order[p]].tolist() for p in region.circuit.parameters}
        result = simulator.run(region.circuit, parameter_binds=[binds] if binds else None).result()
        if not result.success:
            raise RouteError(
                f"Aer could not simulate {circuit.num_qubits} qubits with noise: {result.status}. "
                "Density matrices take 16 * 4**n bytes; choose a narrower model."
            )
        found = [result.data(k)["probabilities"] for k in range(len(values) if binds else 1)]
        table = np.stack([np.asarray(p) for p in found], axis=1)
        table = np.broadcast_to(table, (len(table), len(values)))
        return draw(misread(table, region.readout()), shots, seed)

    def describe(self, circuit: QNNCircuit, basis: Basis) -> str:
        """See `BitstringSource`."""
        region = self._compiled.get(circuit.canonical, basis, self._compile)[0]
        return f"density matrices on {region.describe(self.device.name)}"

    def _compile(self, circuit: QuantumCircuit, basis: Basis) -> tuple[Region, Any]:
        from qiskit_aer import AerSimulator
        from qiskit_aer.library import SaveProbabilities

        region = place(circuit.compose(basis.rotation()), self.device, self.seed)
        save = SaveProbabilities(len(region.outputs))
        region.circuit.append(save, region.outputs)
        # Pinned: "automatic" would switch wide circuits to random trajectories.
        simulator = AerSimulator.from_backend(region.backend(), method="density_matrix")
        return region, simulator


def draw(probabilities: np.ndarray, shots: int | None, seed: np.random.SeedSequence) -> np.ndarray:
    """Multinomial frequencies per column, or the probabilities themselves without shots.

    Args:
        probabilities: Shape (2**n, R).
        shots: Draws per row.
        seed: The random stream.
    """
    if shots is None:
        return probabilities
    clipped = np.clip(probabilities.T, 0.0, None)
    clipped /= clipped.sum(axis=1, keepdims=True)
    return np.random.default_rng(seed).multinomial(shots, clipped).T / shots


def misread(probabilities: np.ndarray, readout: np.ndarray) -> np.ndarray:
    """Apply each qubit's confusion matrix.

    Args:
        probabilities: Shape (2**n, R).
        readout: Shape (n, 2, 2), ``[qubit, read, prepared]``.
    """
    rows = probabilities.shape[1]
    for qubit, confusion in enumerate(readout):
        view = probabilities.reshape(-1, 2, 2**qubit, rows)
        probabilities = np.einsum("ab,hblr->halr", confusion, view).reshape(-1, rows)
    return probabilities
