"""How the outputs of a circuit are read from bits: after its last gates, or as parities of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from qiskit.circuit import Barrier, Delay, Instruction, QuantumCircuit

from qvit_qiskit.circuits.lowering import holds_delay, lower, made_of
from qvit_qiskit.circuits.measurement_bases import Basis
from qvit_qiskit.circuits.permutation_tail import Affine, split_tail

Readout = Literal["gates", "parity"]
"""``"gates"`` runs every gate; ``"parity"`` leaves the tail out (see `tail`)."""


@dataclass(frozen=True)
class Reading:
    """A circuit in one measurement basis, ready to be placed and measured."""

    circuit: QuantumCircuit
    """What runs before the measurements, the rotation to the basis included. Its parameters are
    some of those of the circuit that was given."""
    basis: Basis
    """The terms, as parities of the bits that are measured."""
    reads: tuple[float, ...] | None = None
    """The share of the terms that use the bit of each qubit, which says what its readout weighs
    beside gates, whose errors reach nearly every term; None where every gate runs: 1 each."""


def reading(circuit: QuantumCircuit, basis: Basis, readout: Readout = "gates") -> Reading:
    """Prepare a circuit for being measured in a basis.

    Args:
        circuit: Gates alone; parameters may be unbound.
        basis: The measurement basis.
        readout: Whether the tail is run or done on the bits.
    """
    rotated = circuit.compose(basis.rotation())
    if readout == "gates":
        return Reading(rotated, basis)
    body, tail = _split(rotated)
    terms = []
    for output, coefficient, mask in basis.terms:
        before, sign = tail.parity(mask)
        terms.append((output, sign * coefficient, before))
    reads = tuple(
        sum(mask >> q & 1 for _, _, mask in terms) / max(1, len(terms))
        for q in range(rotated.num_qubits)
    )
    return Reading(body, Basis(basis.axes, tuple(terms)), reads)


def _split(circuit: QuantumCircuit) -> tuple[QuantumCircuit, Affine]:
    """A circuit without its tail. Gates that hold a part of the tail are taken apart.

    A delay is no part of a tail: its qubit decays meanwhile, and bits with it.
    """
    tail, blocked = Affine.identity(circuit.num_qubits), frozenset[int]()
    waiting = [(i.operation, [circuit.find_bit(q).index for q in i.qubits]) for i in circuit.data]
    kept: list[tuple[Instruction, list[int]]] = []
    while waiting:
        gate, qubits = waiting.pop()
        if isinstance(gate, Barrier):
            if not blocked.isdisjoint(qubits):
                kept.append((gate, qubits))
            continue
        if isinstance(gate, Delay):
            kept.append((gate, qubits))
            blocked = blocked | frozenset(qubits)
            continue
        single = QuantumCircuit(circuit.num_qubits)
        single.append(gate, qubits)
        operations = lower(single).operations
        split = split_tail(operations, tail, blocked)
        held_up = holds_delay(gate)
        if not split.kept and not held_up:
            tail = split.tail
            continue
        parts = made_of(gate) if held_up or len(split.kept) < len(operations) else None
        if parts is not None:
            waiting += _parts(parts, qubits)
            continue
        kept.append((gate, qubits))
        blocked = blocked | frozenset(qubits)
    body = circuit.copy_empty_like()
    for gate, qubits in reversed(kept):
        body.append(gate, qubits)
    return body, tail


def _parts(gates: QuantumCircuit, qubits: list[int]) -> list[tuple[Instruction, list[int]]]:
    """The gates that one is made of, on the qubits of that one."""
    return [(i.operation, [qubits[gates.find_bit(q).index] for q in i.qubits]) for i in gates.data]
