"""Circuits placed on a device, compiled with its errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from qiskit.circuit import QuantumCircuit
from qiskit.providers import BackendV2

from qvit_qiskit.circuits import QNNCircuit
from qvit_qiskit.circuits.lowering import holds_delay
from qvit_qiskit.circuits.measurement_bases import Basis, measurement_bases
from qvit_qiskit.circuits.memo import Memo
from qvit_qiskit.circuits.parity_readout import Readout, reading
from qvit_qiskit.circuits.prepared import prepare_with
from qvit_qiskit.devices.packing import place
from qvit_qiskit.devices.regions import Region
from qvit_qiskit.exceptions import CircuitError
from qvit_qiskit.simulation.exact.estimator import Columns, Compiler, ExactEstimator
from qvit_qiskit.simulation.moments import Moments
from qvit_qiskit.simulation.noise.noisy_cones import ConeCompiler, NoisyConeProgram
from qvit_qiskit.simulation.noise.noisy_forms import NoisyFormEngine, compile_values
from qvit_qiskit.simulation.noise.noisy_program import MAX_WIRES, NoisyProgram, compile_noisy


class NoisyCompiler(Compiler[NoisyProgram]):
    """Places each circuit on a device's best qubits, and puts their errors into it.

    Circuits are compiled for bitstrings as whole states, and for values as they are cheaper.

    Args:
        device: With its reported errors.
        seed: Of the transpiler.
        readout: Whether a circuit's last gates run, or are done on the bits.
        idle: Whether waiting qubits decay.
    """

    most_bits = MAX_WIRES

    def __init__(
        self, device: BackendV2, seed: int, readout: Readout = "gates", *, idle: bool = True
    ) -> None:
        super().__init__(self._whole)
        self.device, self.seed, self.readout, self.idle = device, seed, readout, idle
        self._regions: Memo[tuple[Region, Basis]] = Memo()

    def describe_values(self, circuit: QNNCircuit) -> str:
        """One line: the form that a circuit's values have when its inputs vary by row."""
        columns = tuple(range(circuit.num_inputs))
        prepared, terms = prepare_with(circuit.canonical, circuit.pauli_terms)
        return self.passes(prepared.circuit, terms, columns)[0][0].describe()

    def _whole(self, circuit: QuantumCircuit, basis: Basis, columns: Columns) -> NoisyProgram:
        region, read, where = self._placed(circuit, basis)
        return compile_noisy(region, circuit.parameters, read, columns, where)

    def _make_moments(
        self, circuit: QuantumCircuit, basis: Basis, columns: Columns, outputs: int
    ) -> Moments[NoisyConeProgram]:
        region, read, where = self._placed(circuit, basis)
        return ConeCompiler(region, circuit.parameters, columns, where).moments(read, outputs)

    def _make_passes(
        self, circuit: QuantumCircuit, observables: Sequence[Mapping[str, Any]], columns: Columns
    ) -> list[tuple[Any, np.ndarray]]:
        programs = []
        for basis in measurement_bases(observables):
            region, read, where = self._placed(circuit, basis)
            programs.append(compile_values(region, circuit.parameters, read, columns, where))
        return [(program, program.diagonals(len(observables))) for program in programs]

    def _placed(self, circuit: QuantumCircuit, basis: Basis) -> tuple[Region, Basis, str]:
        """Where a circuit runs, the basis as the bits there give it, and where that is in words."""
        if not self.idle and any(holds_delay(item.operation) for item in circuit.data):
            raise CircuitError(
                "Expected a circuit without delays, since waiting qubits do not decay with "
                "idle = false. Remove them, or set idle = true in the profile."
            )
        region, read = self._regions.get(circuit, basis, self._place)
        where = region.describe(self.device.name)
        if self.readout == "parity":
            where += ", outputs read as parities"
        return region, read, where

    def _place(self, circuit: QuantumCircuit, basis: Basis) -> tuple[Region, Basis]:
        """Where it runs, and the basis as the bits there give it."""
        read = reading(circuit, basis, self.readout)
        region = place(read.circuit, self.device, self.seed, read.reads, idle=self.idle)
        return region, read.basis


def noisy(
    device: BackendV2, seed: int = 0, readout: Readout = "gates", *, idle: bool = True
) -> ExactEstimator:
    """Exact values under the noise of a device.

    Args:
        device: A device or a snapshot of one.
        seed: Of the transpiler.
        readout: Whether a circuit's last gates run, or are done on the bits.
        idle: Whether waiting qubits decay.
    """
    return ExactEstimator(NoisyFormEngine(), NoisyCompiler(device, seed, readout, idle=idle))
