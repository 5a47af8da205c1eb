"""Circuits placed on a device, compiled with its errors."""

from __future__ import annotations

from qiskit.circuit import Delay, QuantumCircuit
from qiskit.providers import BackendV2

from qvit_qiskit.circuits.memo import Memo
from qvit_qiskit.circuits.readout import Basis
from qvit_qiskit.devices.packing import place
from qvit_qiskit.devices.regions import Region
from qvit_qiskit.exceptions import CircuitError
from qvit_qiskit.simulation.exact.estimator import Columns, Compiler, ExactEstimator
from qvit_qiskit.simulation.noise.noisy_engine import NoisyEngine
from qvit_qiskit.simulation.noise.noisy_program import NoisyProgram, compile_noisy


class OnDevice:
    """Places each circuit on a device's best qubits, and puts the errors behind its gates."""

    def __init__(self, device: BackendV2, seed: int) -> None:
        self.device, self.seed = device, seed
        self._regions: Memo[Region] = Memo()

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
        region = self._regions.get(circuit, basis, self._place)
        where = region.describe(self.device.name)
        return compile_noisy(region, circuit.parameters, basis, columns, where)

    def _place(self, circuit: QuantumCircuit, basis: Basis) -> Region:
        return place(circuit.compose(basis.rotation()), self.device, self.seed)


def noisy(device: BackendV2, seed: int = 0) -> ExactEstimator:
    """Exact values under the noise of a device.

    Args:
        device: A device or a snapshot of one.
        seed: Of the transpiler.
    """
    return ExactEstimator(NoisyEngine(), Compiler(OnDevice(device, seed)))
