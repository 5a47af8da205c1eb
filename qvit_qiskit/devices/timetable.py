"""When the instructions of a placed circuit run, and how long its qubits wait between them.

Every instruction runs as late as possible, with the lengths that the device reports: so the IBM
client schedules before it decouples. What the service does without decoupling is not documented.
A qubit's wait before its first instruction is none, since |0⟩ does not decay.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from qiskit.circuit import CircuitInstruction, Delay, QuantumCircuit
from qiskit.transpiler import Target
from qiskit.utils.units import apply_prefix

from qvit_qiskit.exceptions import CircuitError

SHORTEST = 1e-15
"""Seconds; what is shorter is a rounding error of sums of lengths."""


@dataclass(frozen=True)
class Wait:
    """A qubit that has nothing to do until one of a circuit's instructions."""

    before: int
    """The instruction's place in the circuit, its measurements included."""
    wire: int
    seconds: float


def waits(circuit: QuantumCircuit, target: Target) -> tuple[Wait, ...]:
    """How long the qubits of a circuit wait after their first instruction.

    Args:
        circuit: Measurements included, on the wires of the target; delays are instructions, and
            barriers hold every one of their qubits up.
        target: Lengths of instructions; one that is not reported takes no time.

    Returns:
        Waits of qubits whose T1 and T2 are known, those before later instructions first.

    Raises:
        CircuitError: If a delay has no fixed length.
    """
    decay = {wire for wire in range(circuit.num_qubits) if relaxation_times(target, wire)}
    first: dict[int, int] = {}
    for place, item in enumerate(circuit.data):
        if item.operation.name != "barrier":
            for qubit in item.qubits:
                first.setdefault(circuit.find_bit(qubit).index, place)

    def length(item: CircuitInstruction, wires: tuple[int, ...]) -> float:
        if isinstance(item.operation, Delay):
            return delay_seconds(item.operation, target.dt)
        return reported_length(target, item.operation.name, wires)

    return tuple(
        Wait(before, wire, float(seconds))
        for before, wire, seconds in gaps(circuit, length)
        if wire in decay and seconds > SHORTEST and first.get(wire, before) < before
    )


def gaps(
    circuit: QuantumCircuit,
    length: Callable[[CircuitInstruction, tuple[int, ...]], float | np.ndarray],
) -> Iterable[tuple[int, int, float | np.ndarray]]:
    """The times between the instructions of each wire, as late as possible.

    Args:
        circuit: Measurements included.
        length: Seconds of an instruction on its wires; of any shape, e.g. (m,) for m places of the
            circuit at once.

    Yields:
        The place of the later instruction, the wire, and seconds of that shape.
    """
    later: dict[int, tuple[int, float | np.ndarray]] = {}
    # by wire: its next instruction, and from there the seconds to the end of the circuit
    for place in reversed(range(len(circuit.data))):
        item = circuit.data[place]
        wires = tuple(circuit.find_bit(qubit).index for qubit in item.qubits)
        end: float | np.ndarray = 0.0
        for wire in wires:
            if wire in later:
                end = np.maximum(end, later[wire][1])
        for wire in wires:
            if wire in later:
                following, start = later[wire]
                yield following, wire, end - start
        taken = 0.0 if item.operation.name == "barrier" else length(item, wires)
        later |= dict.fromkeys(wires, (place, end + taken))


def reported_length(target: Target, name: str, wires: tuple[int, ...]) -> float:
    """Seconds that an instruction takes; 0 where the target does not say.

    Args:
        target: The device's.
        name: The instruction's.
        wires: Its qubits, in its order.
    """
    entries = target[name] if name in target.operation_names else None
    entry = entries.get(wires) if entries else None
    return float(entry.duration or 0.0) if entry else 0.0


def delay_seconds(delay: Delay, dt: float | None) -> float:
    """Seconds of a delay that stands in a circuit.

    Args:
        delay: In any unit of time.
        dt: Seconds of a device's clock cycle, where they are known.

    Raises:
        CircuitError: If its length is a parameter, or in cycles of a clock that is not known.
    """
    try:
        length = float(delay.duration)
    except (TypeError, ValueError) as error:
        raise CircuitError(
            f"Expected delays of a fixed length under device noise, but got {delay.duration}. Bind "
            "it, or write it in nanoseconds."
        ) from error
    if delay.unit != "dt":
        return float(apply_prefix(length, delay.unit))
    if dt is None:
        raise CircuitError(
            f"Expected delays in units of time, but got {length:g} dt, and the device does not "
            "report its dt. Write it in nanoseconds."
        )
    return length * dt


def relaxation_times(target: Target, wire: int) -> tuple[float, float] | None:
    """T1 and T2 of a qubit in seconds, T2 at most 2·T1; None if either is not reported.

    Args:
        target: The device's.
        wire: The qubit.
    """
    known = target.qubit_properties[wire] if target.qubit_properties else None
    if known is None or not known.t1 or not known.t2:
        return None
    return float(known.t1), float(min(known.t2, 2 * known.t1))


def waiting_error(
    seconds: float | np.ndarray, t1: float | np.ndarray, t2: float | np.ndarray
) -> np.ndarray:
    """The probability that a wait is not without consequence: one less its process fidelity.

    Args:
        seconds: Of the wait, shape (...,).
        t1: In seconds, infinite where the qubit is taken not to decay.
        t2: The same.
    """
    lost, mixed = -np.expm1(-np.divide(seconds, t1)), -np.expm1(-np.divide(seconds, t2))
    return np.asarray(mixed / 2 + lost / 4)


def padded(circuit: QuantumCircuit, pauses: Iterable[Wait]) -> QuantumCircuit:
    """A circuit with its waits as delays.

    Args:
        circuit: Any.
        pauses: Before which of its instructions, and on which wires.
    """
    by_place: dict[int, list[Wait]] = {}
    for wait in pauses:
        by_place.setdefault(wait.before, []).append(wait)
    out = circuit.copy_empty_like()
    for place, item in enumerate(circuit.data):
        for wait in by_place.get(place, ()):
            out.append(Delay(wait.seconds, "s"), [wait.wire])
        out.append(item)
    return out
