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
from qvit_qiskit.simulation.noise.noisy_forms import NoisyForm, NoisyFormEngine, compile_values
from qvit_qiskit.simulation.noise.noisy_program import MAX_WIRES, NoisyProgram, compile_noisy


class OnDevice:
    """Places each circuit on a device's best qubits, and puts their errors into it.

    Args:
        device: With its reported errors.
        seed: Of the transpiler.
        readout: Whether a circuit's last gates run, or are done on the bits.
        idle: Whether waiting qubits decay.
    """

    def __init__(
        self, device: BackendV2, seed: int, readout: Readout = "gates", *, idle: bool = True
    ) -> None:
        self.device, self.seed, self.readout, self.idle = device, seed, readout, idle
        self._regions: Memo[tuple[Region, Basis]] = Memo()

    def __call__(self, circuit: QuantumCircuit, basis: Basis, columns: Columns) -> NoisyProgram:
        """Compile a circuit for a basis, weights unbound.

        Raises:
            CircuitError: If it is too wide, holds more than unitary gates and delays, or delays
                where waiting qubits do not decay.
        """
        region, read, where = self._placed(circuit, basis)
        return compile_noisy(region, circuit.parameters, read, columns, where)

    def values(self, circuit: QuantumCircuit, basis: Basis, columns: Columns) -> NoisyForm:
        """The same for values alone, which wide circuits have on their light cones.

        Args:
            circuit: The circuit, weights unbound.
            basis: The measurement basis.
            columns: Columns of the parameter values that differ from row to row.

        Raises:
            CircuitError: As above.
        """
        region, read, where = self._placed(circuit, basis)
        return compile_values(region, circuit.parameters, read, columns, where)

    def moments(
        self, circuit: QuantumCircuit, basis: Basis, columns: Columns, outputs: int
    ) -> Moments[NoisyConeProgram]:
        """Programs for means and covariances of a circuit that is too wide for bitstrings.

        Args:
            circuit: The circuit, weights unbound.
            basis: The measurement basis.
            columns: Columns of the parameter values that differ from row to row.
            outputs: K.

        Raises:
            CircuitError: As above.
        """
        region, read, where = self._placed(circuit, basis)
        return ConeCompiler(region, circuit.parameters, columns, where).moments(read, outputs)

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


class NoisyCompiler(Compiler[NoisyProgram]):
    """Compiles circuits for bitstrings as whole states, and for values as they are cheaper."""

    most_bits = MAX_WIRES

    def __init__(self, device: OnDevice) -> None:
        super().__init__(device)
        self.device = device

    def describe_values(self, circuit: QNNCircuit) -> str:
        """One line: the form that a circuit's values have when its inputs vary by row."""
        columns = tuple(range(circuit.num_inputs))
        prepared, terms = prepare_with(circuit.canonical, circuit.pauli_terms)
        return self.passes(prepared.circuit, terms, columns)[0][0].describe()

    def _make_moments(
        self, circuit: QuantumCircuit, basis: Basis, columns: Columns, outputs: int
    ) -> Moments[NoisyConeProgram]:
        return self.device.moments(circuit, basis, columns, outputs)

    def _make_passes(
        self, circuit: QuantumCircuit, observables: Sequence[Mapping[str, Any]], columns: Columns
    ) -> list[tuple[Any, np.ndarray]]:
        bases = measurement_bases(observables)
        programs = [self.device.values(circuit, basis, columns) for basis in bases]
        return [(program, program.diagonals(len(observables))) for program in programs]


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
    return ExactEstimator(
        NoisyFormEngine(), NoisyCompiler(OnDevice(device, seed, readout, idle=idle))
    )
