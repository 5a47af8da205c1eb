"""How long qubits wait in what the IBM client makes of a circuit.

Where it twirls, the client sends another circuit than it was given: gates that flip readouts; and,
where gates are twirled, layers in boxes, with barriers across all copies on the chip, which hold
qubits up.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field

import numpy as np
from qiskit.circuit import QuantumCircuit
from qiskit.transpiler import Target

from qvit_qiskit.devices.compiled_circuit import Compiled
from qvit_qiskit.devices.prices import Mitigation
from qvit_qiskit.devices.regions import Region
from qvit_qiskit.devices.timetable import Wait, waits

Between = dict[tuple[int, int], float]
"""By wire and the two-qubit gates that it has behind it: seconds until the next one, waited."""


@dataclass
class SentWaits:
    """The waits of circuits in what is sent for them to one device; each template is made once."""

    mitigation: Mitigation
    target: Target
    """Of the whole device."""
    _templates: dict[tuple[int, int], list[Between]] = field(default_factory=dict)
    _kept: list[Compiled] = field(default_factory=list)
    """What the templates are known by; as long as it lives, nothing else has its identity."""

    def of(self, compiled: Compiled, copy: int, fold: int, region: Region) -> tuple[Wait, ...]:
        """The waits of a copy, by the instructions of its own measured circuit.

        Args:
            compiled: The circuit with all its copies.
            copy: Which of them.
            fold: How often each two-qubit gate is run.
            region: The copy with as many two-qubit gates; barriers may lack.
        """
        if not any(self.mitigation.twirls):
            return region.scheduled().waits or ()
        return placed(region.measured(), self.between(compiled, fold)[copy])

    def between(self, compiled: Compiled, fold: int) -> list[Between]:
        """The waits of every copy in the client's template, by its own wires.

        Args:
            compiled: The circuit with all its copies.
            fold: How often each two-qubit gate is run.
        """
        key = (id(compiled), fold)
        if key not in self._templates:
            self._kept.append(compiled)
            self._templates[key] = twirled_waits(compiled, fold, self.mitigation, self.target)
        return self._templates[key]


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
    by_copy = []
    for copy in compiled.copies:
        wires = {qubit: wire for wire, qubit in enumerate(copy.qubits)}
        mine = {(wires[q], count): s for (q, count), s in whole.items() if q in wires}
        by_copy.append(mine)
    return by_copy


def between(circuit: QuantumCircuit, pauses: tuple[Wait, ...]) -> Between:
    """Waits by the two-qubit gates before them instead of by instructions.

    Twirled circuits differ in their one-qubit gates from what they were made of, and not in these.

    Args:
        circuit: Any.
        pauses: Its waits.
    """
    ended: dict[tuple[int, int], float] = {(w.before, w.wire): w.seconds for w in pauses}
    seen: Counter[int] = Counter()
    waits_between: defaultdict[tuple[int, int], float] = defaultdict(float)
    for place, item in enumerate(circuit.data):
        wires = [circuit.find_bit(qubit).index for qubit in item.qubits]
        for wire in wires:
            if (place, wire) in ended:
                waits_between[wire, seen[wire]] += ended[place, wire]
        if len(wires) == 2 and item.operation.name != "barrier":
            seen.update(wires)
    return dict(waits_between)


def placed(circuit: QuantumCircuit, pauses: Between) -> tuple[Wait, ...]:
    """The inverse of `between`, for a circuit with the same two-qubit gates.

    A wait follows right upon the two-qubit gate before it, since what follows runs late.

    Args:
        circuit: Measurements included.
        pauses: Its waits.
    """
    seen: Counter[int] = Counter()
    left = dict(pauses)
    waits_placed = []
    begun: set[int] = set()
    for place, item in enumerate(circuit.data):
        wires = [circuit.find_bit(qubit).index for qubit in item.qubits]
        barrier = item.operation.name == "barrier"
        for wire in wires:
            seconds = left.pop((wire, seen[wire]), None) if wire in begun else None
            if seconds is not None:
                waits_placed.append(Wait(place, wire, seconds))
        if not barrier:
            begun.update(wires)
        if len(wires) == 2 and not barrier:
            seen.update(wires)
    return tuple(waits_placed)
