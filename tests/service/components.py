"""A circuit as independent pieces: what no gate connects is simulated apart."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
from qiskit.circuit import Parameter, ParameterExpression
from scipy import sparse
from scipy.sparse.csgraph import reverse_cuthill_mckee

MAX_STATE_QUBITS = 24
"""Wider pieces are simulated as matrix product states."""


@dataclass(frozen=True)
class Component:
    """Qubits that gates connect, with their measurements."""

    circuit: QuantumCircuit
    """On these qubits only; every parameter is a plain one. Global phase 0: Aer mixes up
    parameterised ones when several bindings are given, and none changes a measurement."""
    qubits: tuple[int, ...]
    """Physical qubits; wire ``i`` is ``qubits[i]``."""
    clbits: tuple[int, ...]
    """Bits of the whole circuit; bit ``i`` is ``clbits[i]``."""
    values: dict[Parameter, np.ndarray]
    """Values of the circuit's parameters, each of shape (P,)."""


def split(circuit: QuantumCircuit, table: np.ndarray) -> list[Component]:
    """Pieces of a circuit that measure something.

    Args:
        circuit: A circuit without control flow.
        table: Values of ``circuit.parameters``, shape (P, number of parameters).
    """
    items = [item for item in circuit.data if item.operation.name != "barrier"]
    roots = _Roots()
    bits = [(*item.qubits, *item.clbits) for item in items]
    for together in bits:
        for bit in together[1:]:
            roots.join(together[0], bit)
    groups: dict[Any, list[int]] = {}
    for index, together in enumerate(bits):
        groups.setdefault(roots.find(together[0]), []).append(index)
    columns = {p: table[:, i] for i, p in enumerate(circuit.parameters)}
    pieces = [_piece(circuit, [items[i] for i in group], columns) for group in groups.values()]
    return sorted((p for p in pieces if p.clbits), key=lambda piece: piece.qubits)


class _Roots:
    """Disjoint sets of bits."""

    def __init__(self) -> None:
        self.parents: dict[Any, Any] = {}

    def find(self, bit: Any) -> Any:
        while (parent := self.parents.get(bit, bit)) is not bit:
            bit = parent
        return bit

    def join(self, a: Any, b: Any) -> None:
        a, b = self.find(a), self.find(b)
        if a is not b:
            self.parents[b] = a


def _piece(circuit: QuantumCircuit, items: list[Any], columns: dict[Any, np.ndarray]) -> Component:
    qubits = _in_line([[circuit.find_bit(q).index for q in item.qubits] for item in items])
    clbits = sorted({circuit.find_bit(c).index for item in items for c in item.clbits})
    wires = {physical: wire for wire, physical in enumerate(qubits)}
    places = {bit: place for place, bit in enumerate(clbits)}
    small = QuantumCircuit(QuantumRegister(len(qubits)), ClassicalRegister(len(clbits)))
    known: dict[str, Parameter] = {}
    values: dict[Parameter, np.ndarray] = {}
    for item in items:
        operation = item.operation
        if any(isinstance(p, ParameterExpression) for p in operation.params):
            operation = operation.copy()
            operation.params = [_plain(p, columns, known, values) for p in operation.params]
        small.append(
            operation,
            [wires[circuit.find_bit(q).index] for q in item.qubits],
            [places[circuit.find_bit(c).index] for c in item.clbits],
        )
    return Component(small, tuple(qubits), tuple(clbits), values)


def _in_line(gates: list[list[int]]) -> list[int]:
    """Physical qubits, ascending; of many, neighbours side by side, for matrix product states."""
    qubits = sorted({qubit for gate in gates for qubit in gate})
    if len(qubits) <= MAX_STATE_QUBITS:
        return qubits
    place = {qubit: k for k, qubit in enumerate(qubits)}
    couplings = sparse.lil_matrix((len(qubits), len(qubits)), dtype=np.int8)
    for gate in gates:
        for first, second in combinations(sorted(gate), 2):
            couplings[place[first], place[second]] = couplings[place[second], place[first]] = 1
    order = reverse_cuthill_mckee(couplings.tocsr(), symmetric_mode=True)
    return [qubits[k] for k in order]


def _plain(
    parameter: Any,
    columns: dict[Any, np.ndarray],
    known: dict[str, Parameter],
    values: dict[Parameter, np.ndarray],
) -> Any:
    """A gate's parameter as a number or a fresh plain parameter with its values."""
    if not isinstance(parameter, ParameterExpression):
        return parameter
    if not parameter.parameters:
        return float(parameter)
    text = str(parameter)
    if text not in known:
        known[text] = Parameter(f"v{len(known):06d}")
        values[known[text]] = evaluate(parameter, columns)
    return known[text]


def evaluate(expression: ParameterExpression, columns: dict[Any, np.ndarray]) -> np.ndarray:
    """An expression for all parameter sets at once, shape (P,)."""
    if isinstance(expression, Parameter):
        return columns[expression]
    names = sorted(expression.parameters, key=lambda parameter: parameter.name)
    rows = zip(*(columns[name] for name in names), strict=True)
    bound = (expression.bind(dict(zip(names, row, strict=True))) for row in rows)
    return np.array([float(value) for value in bound])
