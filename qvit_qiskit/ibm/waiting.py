"""A simulator on which qubits relax while they wait."""

from __future__ import annotations

from typing import Any

from qiskit.circuit import QuantumCircuit
from qiskit.transpiler import Target
from qiskit_aer import AerSimulator

from qvit_qiskit.devices.client_template import Between, placed
from qvit_qiskit.devices.timetable import padded, waits


class WaitingSimulator(AerSimulator):
    """Aer's simulator of some qubits of a device, which relax while they wait."""

    waiting: tuple[Target, Between | None] | None = None
    """Lengths of the instructions; and the waits of its circuits, where these are not their own."""

    @classmethod
    def of(cls, device: Any, pauses: Between | None = None) -> WaitingSimulator:
        """A simulator with the noise of a device.

        Args:
            device: With a target.
            pauses: The waits of what will run on it; by default each circuit's own schedule.
        """
        simulator = cls.from_backend(device)
        simulator.waiting = (device.target, pauses)
        return simulator

    def run(self, circuits: Any, *arguments: Any, **options: Any) -> Any:
        """As `AerSimulator.run`, with waits as delays, which its noise model relaxes."""
        alone = isinstance(circuits, QuantumCircuit)
        listed = [self._padded(each) for each in ([circuits] if alone else circuits)]
        return super().run(listed[0] if alone else listed, *arguments, **options)

    def _padded(self, circuit: QuantumCircuit) -> QuantumCircuit:
        if self.waiting is None:
            return circuit
        target, pauses = self.waiting
        delays = waits(circuit, target) if pauses is None else placed(circuit, pauses)
        return padded(circuit, delays)
