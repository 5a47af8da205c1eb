"""How long qubits wait in what the IBM client makes of a circuit, and a simulator that waits.

Where it twirls, the client sends another circuit than it was given: gates that flip readouts; and,
where gates are twirled, layers in boxes, with barriers across all copies on the chip, which hold
qubits up.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

import numpy as np
from qiskit.circuit import QuantumCircuit
from qiskit.transpiler import Target
from qiskit_aer import AerSimulator

from qvit_qiskit.devices.compiled import Compiled
from qvit_qiskit.devices.prices import Mitigation
from qvit_qiskit.devices.timetable import Wait, padded, waits

Between = dict[tuple[int, int], float]
"""By wire and the two-qubit gates that it has behind it: seconds until the next one, waited."""


def template(circuit: QuantumCircuit, mitigation: Mitigation) -> QuantumCircuit:
    """What the client sends for a measured circuit.

    Args:
        circuit: Of a device's gates.
        mitigation: Whether gates and measurements are twirled.
    """
    from qiskit_ibm_runtime.executor_sampler.prepare import prepare
    from qiskit_ibm_runtime.options_models.sampler import SamplerOptions

    options = SamplerOptions()
    options.twirling.enable_gates, options.twirling.enable_measure = mitigation.twirls
    values = np.zeros((1, circuit.num_parameters))
    pub = (circuit, values) if circuit.num_parameters else (circuit,)
    program, _ = prepare([pub], options, shots=64)
    return program.items[0].circuit


def twirled_waits(
    compiled: Compiled, fold: int, mitigation: Mitigation, target: Target
) -> list[Between]:
    """The waits of every copy in the client's template of the whole chip.

    Args:
        compiled: The circuit with its copies.
        fold: How often each two-qubit gate is run.
        mitigation: It twirls gates or measurements.
        target: Of the whole device.

    Returns:
        For each copy its waits, by its own wires.
    """
    sent = template(compiled.wide(fold, target.num_qubits or 0), mitigation)
    whole = between(sent, waits(sent, target))
    found = []
    for copy in compiled.copies:
        wires = {qubit: wire for wire, qubit in enumerate(copy.qubits)}
        mine = {(wires[q], count): s for (q, count), s in whole.items() if q in wires}
        found.append(mine)
    return found


def between(circuit: QuantumCircuit, pauses: tuple[Wait, ...]) -> Between:
    """Waits by the two-qubit gates before them instead of by instructions.

    Twirled circuits differ in their one-qubit gates from what they were made of, and not in these.

    Args:
        circuit: Any.
        pauses: Its waits.
    """
    ended: dict[tuple[int, int], float] = {(w.before, w.wire): w.seconds for w in pauses}
    seen: Counter[int] = Counter()
    found: defaultdict[tuple[int, int], float] = defaultdict(float)
    for place, item in enumerate(circuit.data):
        wires = [circuit.find_bit(qubit).index for qubit in item.qubits]
        for wire in wires:
            if (place, wire) in ended:
                found[wire, seen[wire]] += ended[place, wire]
        if len(wires) == 2 and item.operation.name != "barrier":
            seen.update(wires)
    return dict(found)


def placed(circuit: QuantumCircuit, pauses: Between) -> tuple[Wait, ...]:
    """The inverse of `between`, for a circuit with the same two-qubit gates.

    A wait follows right upon the two-qubit gate before it, since what follows runs late.

    Args:
        circuit: Measurements included.
        pauses: Its waits.
    """
    seen: Counter[int] = Counter()
    left = dict(pauses)
    found = []
    begun: set[int] = set()
    for place, item in enumerate(circuit.data):
        wires = [circuit.find_bit(qubit).index for qubit in item.qubits]
        barrier = item.operation.name == "barrier"
        for wire in wires:
            seconds = left.pop((wire, seen[wire]), None) if wire in begun else None
            if seconds is not None:
                found.append(Wait(place, wire, seconds))
        if not barrier:
            begun.update(wires)
        if len(wires) == 2 and not barrier:
            seen.update(wires)
    return tuple(found)


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
        found = waits(circuit, target) if pauses is None else placed(circuit, pauses)
        return padded(circuit, found)
