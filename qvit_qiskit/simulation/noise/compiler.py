"""Circuits placed on a device, compiled with its errors."""

from __future__ import annotations

from qiskit.circuit import Delay, QuantumCircuit
from qiskit.providers import BackendV2

from qvit_qiskit.circuits.memo import Memo
from qvit_qiskit.circuits.reading import Readout, reading
from qvit_qiskit.circuits.readout import Basis
from qvit_qiskit.devices.packing import place
from qvit_qiskit.devices.regions import Region
from qvit_qiskit.exceptions import CircuitError
from qvit_qiskit.simulation.exact.estimator import Columns, Compiler, ExactEstimator
from qvit_qiskit.simulation.noise.noisy_engine import NoisyEngine
from qvit_qiskit.simulation.noise.noisy_program import NoisyProgram, compile_noisy


class OnDevice:
    """Places each circuit on a device's best qubits, and puts the errors behind its gates."""

    def __init__(self, device: BackendV2, seed: int, readout: Readout = "gates") -> None:
        self.device, self.seed, self.readout = device, seed, readout
        self._regions: Memo[tuple[Region, Basis]] = Memo()

    def __call__(self, circuit: QuantumCircuit, basis: Basis, columns: Columns) -> NoisyProgram:
        """Compile a circuit for a basis, weights unbound.

        Raises:
            CircuitError: If it is too wide, waits, or holds more than unitary gates.
        """
        if any(isinstance(item.operation, Delay) for item in circuit.data):
            raise CircuitError(
                "Expected a circuit without delays: idle decoherence is not part of this noise "
                "model. Remove them, or simulate the circuit with Aer's own noise model."
            )
        region, read = self._regions.get(circuit, basis, self._place)
        where = region.describe(self.device.name)
        if self.readout == "parity":
            where += ", outputs read as parities"
        return compile_noisy(region, circuit.parameters, read, columns, where)

    def _place(self, circuit: QuantumCircuit, basis: Basis) -> tuple[Region, Basis]:
        """Where it runs, and the basis as the bits there give it."""
        read = reading(circuit, basis, self.readout)
        return place(read.circuit, self.device, self.seed, read.reads), read.basis


def noisy(device: BackendV2, seed: int = 0, readout: Readout = "gates") -> ExactEstimator:
    """Exact values under the noise of a device.

    Args:
        device: A device or a snapshot of one.
        seed: Of the transpiler.
        readout: Whether a circuit's last gates run, or are done on the bits.
    """
    return ExactEstimator(NoisyEngine(), Compiler(OnDevice(device, seed, readout)))
