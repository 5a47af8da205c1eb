"""What a circuit holds at one moment, so that an edit in place is noticed.

A `QuantumCircuit` can be changed in any way by whoever holds it, and so can the gates in it.
Whatever remembers something about a circuit therefore remembers its content, too, and compares.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from qiskit.circuit import (
    Barrier,
    CircuitInstruction,
    Delay,
    Instruction,
    Measure,
    ParameterExpression,
    QuantumCircuit,
    Reset,
)
from qiskit.circuit.library import UnitaryGate

_IN_RUST = (Barrier, Delay, Measure, Reset, UnitaryGate)
"""Instructions that, like standard gates, a circuit holds by value: Python gets copies of them."""


class Content:
    """A circuit's instructions, operands, parameters, expressions and global phase."""

    def __init__(self, circuit: QuantumCircuit) -> None:
        self._num_qubits, self._num_clbits = circuit.num_qubits, circuit.num_clbits
        # PERF: this comparison in Rust takes 15 µs for 20 gates, one in Python twice that.
        self._data = circuit._data.copy()  # noqa: SLF001 - Qiskit compares circuits' data in Rust here alone
        self._by_value = all(_held_by_value(item) for item in circuit.data)
        self._fingerprint = None if self._by_value else fingerprint(circuit)

    def matches(self, circuit: QuantumCircuit) -> bool:
        """Whether a circuit has this content, too."""
        if (circuit.num_qubits, circuit.num_clbits) != (self._num_qubits, self._num_clbits):
            return False
        if self._by_value:
            return bool(self._data == circuit._data)  # noqa: SLF001 - Qiskit compares circuits' data in Rust here alone
        return bool(fingerprint(circuit) == self._fingerprint)


def _held_by_value(item: CircuitInstruction) -> bool:
    # A label makes no difference to values, but a labelled gate is still held by value.
    return item.is_standard_gate() or isinstance(item.operation, _IN_RUST)


def fingerprint(value: Any, inside: tuple[int, ...] = ()) -> Any:
    """Nested tuples that are equal where two circuits, gates or what they are made of are equal.

    Args:
        value: A circuit, an instruction, or anything that one may hold.
        inside: Identities of the objects that this one stands in, so that circles end.
    """
    if value is None or isinstance(value, bool | int | float | complex | str | bytes | type):
        return (type(value), value)
    if isinstance(value, ParameterExpression):
        return value
    if isinstance(value, np.ndarray | np.generic):
        return ("array", np.shape(value), str(value.dtype), value.tobytes())
    if id(value) in inside:
        return "circle"
    inside = (*inside, id(value))
    if isinstance(value, QuantumCircuit):
        return _of_circuit(value, inside)
    if isinstance(value, list | tuple):
        return tuple(fingerprint(item, inside) for item in value)
    if isinstance(value, dict):
        return tuple((str(k), fingerprint(item, inside)) for k, item in value.items())
    return _of_object(value, inside)


def _of_circuit(circuit: QuantumCircuit, inside: tuple[int, ...]) -> Any:
    place = {bit: k for k, bit in enumerate([*circuit.qubits, *circuit.clbits])}
    items = tuple(
        (
            item.name,
            tuple(place[bit] for bit in (*item.qubits, *item.clbits)),
            fingerprint(item.params if item.is_standard_gate() else item.operation, inside),
        )
        for item in circuit.data
    )
    phase = fingerprint(circuit.global_phase, inside)
    return ("circuit", circuit.num_qubits, circuit.num_clbits, phase, items)


def _of_object(value: Any, inside: tuple[int, ...]) -> Any:
    """An object by its class and attributes; one without attributes by itself."""
    if isinstance(value, _IN_RUST):
        return (type(value), fingerprint(value.params), getattr(value, "unit", None))
    attributes = {
        name: getattr(value, name)
        for kind in type(value).__mro__
        for name in _slots(kind)
        if hasattr(value, name)
    }
    attributes |= getattr(value, "__dict__", {})
    if isinstance(value, Instruction):
        # What a gate does is its definition, made on first use: made here, it cannot appear later.
        attributes["definition"] = _definition(value)
        attributes["params"] = value.params
        attributes.pop("_definition", None)
    if not attributes:
        return value  # e.g. an observable in Rust, compared by its own equality
    return (type(value), *((name, fingerprint(v, inside)) for name, v in attributes.items()))


def _slots(kind: type) -> tuple[str, ...]:
    slots = kind.__dict__.get("__slots__", ())
    names = (slots,) if isinstance(slots, str) else tuple(slots)
    return tuple(name for name in names if not name.startswith("__"))


def _definition(gate: Instruction) -> QuantumCircuit | None:
    try:
        return gate.definition
    except Exception:  # some gates have none while their parameters are unbound
        return None
