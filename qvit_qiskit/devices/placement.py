"""How circuits are laid on a device: on one region, or on several side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from qiskit import QuantumCircuit
from qiskit.providers import BackendV2

from qvit_qiskit.devices.packing import pack, place
from qvit_qiskit.devices.regions import Region


@dataclass(frozen=True)
class Placement:
    """How circuits are laid on a device."""

    seed: int = 0
    k: int | Literal["auto"] = 1
    """Copies of a circuit that run side by side, with different rows."""
    buffer: int = 0
    """Free qubits between two copies, at least."""
    min_fidelity: float = 0.0
    """Of each copy, at least."""
    idle: bool = True
    """Whether waiting qubits decay, and places are chosen with that in mind."""

    @property
    def packs(self) -> bool:
        """Whether there may be several copies."""
        return self.k != 1

    def regions(
        self, circuit: QuantumCircuit, device: BackendV2, reads: Sequence[float] | None = None
    ) -> list[Region]:
        """Where the copies of a circuit go, best first.

        Args:
            circuit: Gates alone; parameters may be unbound.
            device: The device.
            reads: What the readout of each qubit of the circuit counts; by default once.

        Raises:
            RouteError: If the device is too small, or fewer copies fit than are asked for.
        """
        if not self.packs:
            return [place(circuit, device, self.seed, reads, idle=self.idle)]
        packing = pack(
            circuit,
            device,
            k=self.k,
            buffer=self.buffer,
            min_fidelity=self.min_fidelity,
            seed=self.seed,
            reads=reads,
            idle=self.idle,
        )
        return list(packing.regions)
