"""Bundled device snapshots, and the few qubits of one that a circuit uses.

A 4-qubit circuit on a 156-qubit device is simulated on a `Region`: the circuit transpiled to the
whole device, the qubits it ended on, and the device's target restricted to them. Error rates
stay the device's own; what is lost is nothing but idle qubits.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
from qiskit.circuit import ClassicalRegister, Gate, Parameter, QuantumCircuit
from qiskit.providers import BackendV2, Options
from qiskit.transpiler import InstructionProperties, Target

from qvit_qiskit.devices.timetable import Wait, relaxation_times, waiting_error, waits
from qvit_qiskit.devices.transpiler import check_width, transpile
from qvit_qiskit.exceptions import RouteError
from qvit_qiskit.suggest import unknown


def bundled_names(min_qubits: int = 1, family: str | None = None) -> tuple[str, ...]:
    """Names of the bundled snapshots of a family with at least so many qubits.

    Only their configurations are read: building a device takes a tenth of a second.

    Args:
        min_qubits: The fewest qubits.
        family: A family of processors, such as ``"Heron"``, in any case; None for all.
    """
    from qiskit_ibm_runtime import fake_provider

    names = []
    for name, attribute in _bundled_classes().items():
        kind = getattr(fake_provider, attribute)
        folder, file = getattr(kind, "dirname", None), getattr(kind, "conf_filename", None)
        if folder and file:
            known = json.loads(Path(folder, file).read_text(encoding="utf-8"))
            processor = known.get("processor_type") or {}
            fits = family is None or processor.get("family", "").lower() == family.lower()
            if fits and known.get("n_qubits", 0) >= min_qubits:
                names.append(f"fake_{name}")
    return tuple(sorted(names))


@lru_cache(maxsize=1)
def _bundled_classes() -> dict[str, str]:
    from qiskit_ibm_runtime import fake_provider

    return {
        attribute.removeprefix("Fake").removesuffix("V2").lower(): attribute
        for attribute in dir(fake_provider)
        if attribute.startswith("Fake") and not attribute.startswith("FakeProvider")
    }


@lru_cache(maxsize=8)
def bundled_device(name: str) -> BackendV2:
    """A device snapshot of qiskit-ibm-runtime by name, e.g. ``"fake_boston"``.

    Raises:
        RouteError: If no snapshot has this name.
    """
    from qiskit_ibm_runtime import fake_provider

    classes = _bundled_classes()
    key = name.lower().removeprefix("fake").replace("_", "").removesuffix("v2")
    if key not in classes:
        raise RouteError(unknown("device snapshot", name, (f"fake_{c}" for c in classes)))
    return getattr(fake_provider, classes[key])()


@dataclass(frozen=True)
class Placed:
    """A circuit compiled to some qubits of a device, wherever that device is now."""

    circuit: QuantumCircuit
    """ISA circuit on ``len(qubits)`` qubits, global phase 0."""
    qubits: tuple[int, ...]
    """Physical qubits; wire ``i`` of ``circuit`` is ``qubits[i]``."""
    outputs: tuple[int, ...]
    """The wire of ``circuit`` on which each virtual qubit ends."""

    def two_qubit_gates(self) -> int:
        """Two-qubit gates of the circuit."""
        gates = [item.operation for item in self.circuit.data if isinstance(item.operation, Gate)]
        return sum(gate.num_qubits == 2 for gate in gates)

    def measured(self, fold: int = 1) -> QuantumCircuit:
        """The circuit with its virtual qubits measured, in their order, into ``meas``.

        Args:
            fold: See `folded`.
        """
        return self._read_out(self.folded(fold))

    def folded(self, fold: int) -> QuantumCircuit:
        """The circuit with more two-qubit gates that do nothing but err.

        Args:
            fold: Run every two-qubit gate this odd number of times, its inverse in between.
        """
        gates = QuantumCircuit(self.circuit.num_qubits)
        for item in self.circuit.data:
            wires = [self.circuit.find_bit(q).index for q in item.qubits]
            gates.append(item.operation, wires)
            for _ in range(fold // 2 if len(wires) == 2 else 0):
                for gate in (item.operation.inverse(), item.operation):
                    gates.barrier(wires)
                    gates.append(gate, wires)
        return gates

    def calibration(self) -> QuantumCircuit:
        """Nothing but the measurements, on the same qubits."""
        return self._read_out(QuantumCircuit(self.circuit.num_qubits))

    def _read_out(self, gates: QuantumCircuit) -> QuantumCircuit:
        gates.add_register(ClassicalRegister(len(self.outputs), "meas"))
        gates.measure(list(self.outputs), list(range(len(self.outputs))))
        return gates


@dataclass(frozen=True)
class Region(Placed):
    """A placed circuit with what the device reports of its qubits."""

    target: Target
    """The device's target, restricted to ``qubits``."""
    waits: tuple[Wait, ...] | None = None
    """How long its qubits wait, before the instructions of `measured`; None where that counts for
    nothing."""

    def describe(self, device: str) -> str:
        """One line: which qubits, how many two-qubit gates, which qubits wait without an error."""
        where = ", ".join(str(q) for q in self.qubits)
        text = f"{device}, qubits {where}, {self.two_qubit_gates()} two-qubit gates"
        if broken := self.broken():
            names = ", ".join(str(q) for q in broken)
            text += f"; through {names}, whose one-qubit gates are reported as broken"
        steady = self.undecaying()
        if not steady:
            return text
        names = ", ".join(str(q) for q in steady)
        return f"{text}; T1 or T2 is not reported of {names}, which wait without an error"

    def broken(self) -> list[int]:
        """Qubits of which a gate in use errs every time, by what is reported."""
        errs = {
            wire
            for item in self.circuit.data
            if len(item.qubits) == 1
            for wire in (self.circuit.find_bit(item.qubits[0]).index,)
            if _error(self.target, item.operation.name, (wire,)) >= 1
        }
        return [q for wire, q in enumerate(self.qubits) if wire in errs]

    def undecaying(self) -> list[int]:
        """Qubits whose waits should count, and cannot: T1 or T2 is not reported."""
        if self.waits is None:
            return []
        known = (relaxation_times(self.target, wire) for wire in range(len(self.qubits)))
        return [q for q, times in zip(self.qubits, known, strict=True) if times is None]

    def scheduled(self) -> Region:
        """The same with the waits of its own schedule."""
        return replace(self, waits=waits(self.measured(), self.target))

    def fidelity(self, reads: Sequence[float] | None = None) -> float:
        """The probability that no gate, no wait and no readout fails, by reported errors.

        Args:
            reads: What the readout of each virtual qubit counts; by default once.
        """
        kept = 1.0
        for item in self.circuit.data:
            wires = tuple(self.circuit.find_bit(q).index for q in item.qubits)
            kept *= 1 - _error(self.target, item.operation.name, wires)
        for qubit, wire in enumerate(self.outputs):
            read = 1 - _error(self.target, "measure", (wire,))
            kept *= read if reads is None else read ** reads[qubit]
        for wait in self.waits or ():
            times = relaxation_times(self.target, wait.wire)
            kept *= 1.0 - float(waiting_error(wait.seconds, *times)) if times else 1.0
        return kept

    def readout(self) -> np.ndarray:
        """Confusion matrices by virtual qubit, shape (n, 2, 2): ``[i, read, prepared]``."""
        entries = [self.target["measure"][(wire,)] for wire in self.outputs]
        p01 = np.array([entry.prob_meas1_prep0 for entry in entries])
        p10 = np.array([entry.prob_meas0_prep1 for entry in entries])
        return np.stack([np.stack([1 - p01, p10], -1), np.stack([p01, 1 - p10], -1)], axis=1)


def join(
    placed: Sequence[Placed], circuits: Sequence[QuantumCircuit], width: int
) -> QuantumCircuit:
    """Circuits on disjoint qubits of one device as one circuit.

    Args:
        placed: Where each is.
        circuits: Their `Placed.measured` or `Placed.calibration`.
        width: Qubits of the device.

    Returns:
        One circuit with one register ``meas``, copy after copy. Its parameters are those of every
        copy in turn, each in the order of the copy's own. The same input gives the same bytes.
    """
    whole = QuantumCircuit(width, name="rows")
    whole.add_register(ClassicalRegister(sum(c.num_clbits for c in circuits), "meas"))
    start = 0
    for k, (place, circuit) in enumerate(zip(placed, circuits, strict=True)):
        fresh = [
            Parameter(f"copy{k:04d}_{j:04d}", uuid=UUID(int=k << 32 | j))
            for j in range(circuit.num_parameters)
        ]
        named = circuit.assign_parameters(dict(zip(circuit.parameters, fresh, strict=True)))
        clbits = list(range(start, start + circuit.num_clbits))
        whole.compose(named, list(place.qubits), clbits, inplace=True)
        start += circuit.num_clbits
    return whole


def _error(target: Target, name: str, wires: tuple[int, ...]) -> float:
    entries = target[name] if name in target.operation_names else None
    entry = entries.get(wires) if entries else None
    return min(1.0, float(entry.error or 0.0)) if entry else 0.0


LAYOUT_TRIALS = 8
"""Transpilations of which the best is kept: the number of two-qubit gates depends on the seed."""


def best_region(
    circuit: QuantumCircuit,
    device: BackendV2,
    seed: int,
    reads: Sequence[float] | None = None,
    *,
    idle: bool = True,
) -> Region:
    """The best of several transpilations by reported errors; the first of equals.

    Args:
        circuit: Gates and delays alone; parameters may be unbound.
        device: Where.
        seed: Of the transpiler.
        reads: What the readout of each qubit of the circuit counts; by default once.
        idle: Whether waiting qubits decay.

    Raises:
        RouteError: If the device has too few qubits.
    """
    seeds = np.random.SeedSequence(seed).generate_state(LAYOUT_TRIALS, dtype=np.uint32) >> 1
    regions = [compile_region(circuit, device, int(s)) for s in seeds]
    if idle:
        regions = [region.scheduled() for region in regions]
    return max(regions, key=lambda region: region.fidelity(reads))


def compile_region(circuit: QuantumCircuit, device: BackendV2, seed: int) -> Region:
    """Transpile to a device and keep the qubits that the circuit uses.

    Parameters stay unbound. A global phase is dropped: it changes no measurement, and Aer mixes
    up parameterised ones when several bindings are given.

    Args:
        circuit: The circuit, without measurements.
        device: Where it is to lie.
        seed: Of the transpiler.

    Raises:
        RouteError: If the device has too few qubits.
    """
    check_width(circuit, device)
    isa = transpile(circuit, backend=device, optimization_level=3, seed_transpiler=seed)
    final = isa.layout.final_index_layout(filter_ancillas=True)
    touched = {isa.find_bit(q).index for item in isa.data for q in item.qubits}
    qubits = tuple(sorted(touched | set(final)))
    place = {physical: wire for wire, physical in enumerate(qubits)}
    small = QuantumCircuit(len(qubits))
    for item in isa.data:
        if item.operation.name != "barrier":
            wires = [place[isa.find_bit(q).index] for q in item.qubits]
            small.append(item.operation, wires)
    outputs = tuple(place[physical] for physical in final)
    return Region(small, qubits, outputs, region_target(device, qubits))


def region_target(device: BackendV2, qubits: Sequence[int]) -> Target:
    """A device's target restricted to some qubits, with both readout errors of each.

    Args:
        device: The device.
        qubits: Physical qubits; their order is that of the new target's.
    """
    return _with_readout(slice_target(device.target, qubits), device, qubits)


def region_backend(device: BackendV2, qubits: Sequence[int]) -> BackendV2:
    """Some qubits of a device as a backend that `AerSimulator.from_backend` accepts.

    Args:
        device: The device.
        qubits: Physical qubits; their order is that of the backend's.
    """
    return TargetDevice(region_target(device, qubits))


def slice_target(target: Target, qubits: Sequence[int]) -> Target:
    """A target restricted to some qubits, renumbered, errors kept.

    Args:
        target: The whole device's.
        qubits: Physical qubits; their order is that of the new target's.
    """
    place = {physical: wire for wire, physical in enumerate(qubits)}
    properties = target.qubit_properties
    small = Target(
        num_qubits=len(qubits),
        dt=target.dt,
        qubit_properties=[properties[q] for q in qubits] if properties else None,
    )
    for name in target.operation_names:
        entries = target[name]
        if entries is None or None in entries:
            continue
        kept = {
            tuple(place[q] for q in wires): entry
            for wires, entry in entries.items()
            if all(q in place for q in wires)
        }
        if kept:
            small.add_instruction(target.operation_from_name(name), kept)
    return small


class _MeasureProperties(InstructionProperties):
    """A measurement's errors by prepared state; Aer's noise models read these attributes."""

    prob_meas1_prep0: float
    prob_meas0_prep1: float


def _with_readout(target: Target, device: BackendV2, qubits: Sequence[int]) -> Target:
    """Give a sliced target the two readout errors of every qubit.

    A `Target` keeps their mean; the device's properties know both.
    """
    properties = device.properties() if hasattr(device, "properties") else None
    for wire, physical in enumerate(qubits):
        old = target["measure"][(wire,)]
        mean = float(old.error or 0.0)
        known = properties.qubit_property(physical) if properties else {}
        new = _MeasureProperties(duration=old.duration, error=old.error)
        new.prob_meas1_prep0 = known.get("prob_meas1_prep0", (mean,))[0]
        new.prob_meas0_prep1 = known.get("prob_meas0_prep1", (mean,))[0]
        target.update_instruction_properties("measure", (wire,), new)
    return target


class TargetDevice(BackendV2):
    """A backend that only carries a target, e.g. for `AerSimulator.from_backend`."""

    def __init__(self, target: Target, name: str = "region") -> None:
        super().__init__(name=name)
        self._target = target

    @property
    def target(self) -> Target:
        """Gates with their errors and durations."""
        return self._target

    @property
    def max_circuits(self) -> None:
        """No limit."""
        return None

    @classmethod
    def _default_options(cls) -> Options:
        return Options(shots=1024)

    def run(self, run_input: Any, **options: Any) -> Any:
        """Never: it exists for its target."""
        raise NotImplementedError
