"""Circuits as many small ones: each output is simulated on its own light cone.

Cones that are the same circuit but for the names of qubits and parameters have one shape: they run
together, as further weight sets of one program.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from qvit_qiskit.circuits.angles import AngleTable
from qvit_qiskit.circuits.cones.light_cone import ConeFinder, LightCone
from qvit_qiskit.circuits.lowering import Lowered, OneQubit, Operation, Rotation, lower
from qvit_qiskit.circuits.measurement_bases import Basis, measurement_bases
from qvit_qiskit.simulation.exact.columns import SplitAngles
from qvit_qiskit.simulation.exact.engine import Engine, Pullback, Request
from qvit_qiskit.simulation.exact.program import Program, compile_lowered


@dataclass(frozen=True)
class ConeShape:
    """C light cones that are one small circuit."""

    program: Program
    diagonal: np.ndarray  # shape: (2**c, 1)
    outputs: np.ndarray  # shape: (C,), int: the output that each cone belongs to
    rows: np.ndarray  # shape: (C, P_row of the small circuit), places among the row columns
    shared: np.ndarray  # shape: (C, P_shared of the small circuit), among the shared columns


@dataclass(frozen=True)
class ConeProgram:
    """The outputs of one circuit, each on its light cone."""

    num_qubits: int
    angles: SplitAngles
    shapes: tuple[ConeShape, ...]
    form: str = "cones"

    def diagonals(self, num_observables: int) -> np.ndarray:
        """Nothing but a shape, since observables are part of the program: (0, observables)."""
        return np.zeros((0, num_observables))

    def describe(self) -> str:
        """One line for people."""
        cones = sum(len(shape.outputs) for shape in self.shapes)
        widest = max((shape.program.num_qubits for shape in self.shapes), default=0)
        return (
            f"exact, {cones} light cones of up to {widest} qubits as batched small states of "
            f"{len(self.shapes)} shape{'' if len(self.shapes) == 1 else 's'}"
        )


@dataclass(frozen=True)
class _Cone:
    """A light cone measured in one basis."""

    output: int
    cone: LightCone
    basis: Basis


def compile_cones(
    lowered: Lowered,
    observables: Sequence[Mapping[str, complex]],
    row_columns: Collection[int],
) -> ConeProgram:
    """One small circuit for each output, in each basis that it is measured in.

    Args:
        lowered: The circuit.
        observables: K sums of Pauli strings.
        row_columns: Columns of the parameter values that differ from row to row.
    """
    finder = ConeFinder(lowered)
    table = AngleTable.of(lowered.angles, lowered.parameters)
    row = set(row_columns)
    shapes: dict[object, tuple[_Cone, list[int], list[tuple[int, list[int]]]]] = {}
    for output, observable in enumerate(observables):
        for cone in _by_basis(output, observable, finder):
            columns = _columns(lowered, cone, table)
            key = _key(lowered, cone, table, columns, row)
            first = shapes.setdefault(key, (cone, columns, []))
            first[2].append((output, columns))
    angles = SplitAngles.of(lowered, row_columns)
    made = [_shape(lowered, *parts, row, angles) for parts in shapes.values()]
    return ConeProgram(lowered.num_qubits, angles, tuple(made))


def _by_basis(output: int, observable: Mapping[str, complex], finder: ConeFinder) -> list[_Cone]:
    cones = []
    for basis in measurement_bases([observable]):
        strings = [_string(basis, mask) for _, _, mask in basis.terms]
        cone = finder.cone(strings)
        place = {qubit: k for k, qubit in enumerate(cone.qubits)}
        terms = tuple(
            (0, coefficient, sum(1 << k for q, k in place.items() if mask >> q & 1))
            for _, coefficient, mask in basis.terms
        )
        axes = tuple(basis.axes[q] for q in cone.qubits) or ("Z",)
        cones.append(_Cone(output, cone, Basis(axes, terms)))
    return cones


def _string(basis: Basis, mask: int) -> str:
    return "".join(a if mask >> q & 1 else "I" for q, a in enumerate(basis.axes))[::-1]


def _columns(lowered: Lowered, cone: _Cone, table: AngleTable) -> list[int]:
    """The parameters of a cone, in the order in which they first occur."""
    order: dict[int, None] = {}
    for place in cone.cone.places:
        operation = lowered.operations[place]
        if isinstance(operation, Rotation):
            used = np.flatnonzero(table.depends[operation.index]).tolist()
            order |= dict.fromkeys(used)
    return list(order)


def _key(
    lowered: Lowered, cone: _Cone, table: AngleTable, columns: Sequence[int], row: set[int]
) -> object:
    """What cones of one shape have in common."""
    qubit = {q: k for k, q in enumerate(cone.cone.qubits)}
    column = {c: k for k, c in enumerate(columns)}
    curved = {item.index for item in table.curved}
    parts: list[object] = [cone.basis, tuple(c in row for c in columns)]
    for place in cone.cone.places:
        operation = lowered.operations[place]
        wires = tuple(qubit[q] for q in operation.qubits)
        if not isinstance(operation, Rotation):
            parts.append((_entries(operation), wires))
        elif operation.index in curved:  # by what formula is not compared
            parts.append((operation.axis, wires, operation.index, tuple(columns)))
        else:
            slopes = table.slope[operation.index]
            used = np.flatnonzero(table.depends[operation.index])
            terms = tuple((column[int(c)], float(slopes[c])) for c in used)
            parts.append((operation.axis, wires, float(table.offset[operation.index]), terms))
    return tuple(parts)


def _entries(operation: Operation) -> bytes:
    if isinstance(operation, OneQubit):
        return b"m" + operation.matrix.tobytes()
    assert not isinstance(operation, Rotation)
    return b"p" + operation.source.tobytes() + operation.phase.tobytes()


def _shape(
    lowered: Lowered,
    cone: _Cone,
    columns: Sequence[int],
    members: Sequence[tuple[int, list[int]]],
    row: set[int],
    angles: SplitAngles,
) -> ConeShape:
    small = _small(lowered, cone, columns)
    varying = [k for k, c in enumerate(columns) if c in row]
    fixed = [k for k, c in enumerate(columns) if c not in row]
    program = compile_lowered(small, cone.basis, varying, lambda *_: False)
    every = np.array([c for _, c in members], dtype=int).reshape(len(members), -1)
    place = np.zeros(len(lowered.parameters), dtype=int)
    place[angles.row_columns] = np.arange(len(angles.row_columns))
    place[angles.shared_columns] = np.arange(len(angles.shared_columns))
    return ConeShape(
        program,
        program.diagonals(1),
        np.array([output for output, _ in members]),
        place[every[:, varying]],
        place[every[:, fixed]],
    )


def _small(lowered: Lowered, cone: _Cone, columns: Sequence[int]) -> Lowered:
    """A cone as a circuit of its own, its basis' rotation included."""
    qubit = {q: k for k, q in enumerate(cone.cone.qubits)}
    operations: list[Operation] = []
    angles = []
    for place in cone.cone.places:
        operation = lowered.operations[place]
        operation = replace(operation, qubits=tuple(qubit[q] for q in operation.qubits))
        if isinstance(operation, Rotation):
            angles.append(lowered.angles[operation.index])
            operation = replace(operation, index=len(angles) - 1)
        operations.append(operation)
    operations += lower(cone.basis.rotation()).operations
    parameters = tuple(lowered.parameters[c] for c in columns)
    return Lowered(max(1, len(qubit)), tuple(operations), tuple(angles), parameters)


class ConeEngine:
    """Runs requests whose programs are `ConeProgram`s, on an engine of whole states."""

    def __init__(self, states: Engine) -> None:
        self.states = states

    def values(self, requests: Sequence[Request[ConeProgram]]) -> list[np.ndarray]:
        """Expectation values of every request, each of shape (G, observables, R)."""
        small = [_requests(request) for request in requests]
        parts_left = iter(self.states.values([one for parts in small for one in parts]))
        return [_gather(request, [next(parts_left) for _ in request.program.shapes])
                for request in requests]  # fmt: skip

    def linearize(
        self, requests: Sequence[Request[ConeProgram]]
    ) -> tuple[list[np.ndarray], Pullback]:
        """Values and their vector–Jacobian product, as `Engine.linearize`."""
        small = [_requests(request) for request in requests]
        values, pull = self.states.linearize([one for parts in small for one in parts])
        parts_left = iter(values)
        gathered = [_gather(request, [next(parts_left) for _ in request.program.shapes])
                    for request in requests]  # fmt: skip

        def pullback(cotangents: Sequence[np.ndarray]) -> list[tuple[np.ndarray, np.ndarray]]:
            parts = [
                _spread(shape, cotangent)
                for request, cotangent in zip(requests, cotangents, strict=True)
                for shape in request.program.shapes
            ]
            pulled = iter(pull(parts))
            return [_scatter(request, [next(pulled) for _ in request.program.shapes])
                    for request in requests]  # fmt: skip

        return gathered, pullback


def _requests(request: Request[ConeProgram]) -> list[Request[Program]]:
    """A request for every shape: cone by cone the arrays of rows, and their weight sets."""
    out = []
    for shape in request.program.shapes:
        cones = len(shape.outputs)
        rows = request.rows[shape.rows.T]  # (P, C, H, R)
        flat = rows.reshape(len(rows), cones * request.rows.shape[1], request.num_rows)
        shared = request.shared[:, shape.shared].swapaxes(0, 1)  # (C, G, P)
        weights = shared.reshape(cones * len(request.shared), shape.shared.shape[1])
        out.append(Request(shape.program, flat, weights, shape.diagonal))
    return out


def _gather(request: Request[ConeProgram], values: Sequence[np.ndarray]) -> np.ndarray:
    """Outputs from the values of all shapes, each (C·G, 1, R)."""
    groups, rows = len(request.shared), request.num_rows
    out = np.zeros((request.diagonal.shape[1], groups, rows))
    for shape, own in zip(request.program.shapes, values, strict=True):
        np.add.at(out, shape.outputs, own.reshape(-1, groups, rows))
    return out.swapaxes(0, 1)


def _spread(shape: ConeShape, cotangent: np.ndarray) -> np.ndarray:
    """The share of a shape in ∂L/∂outputs, shape (C·G, 1, R)."""
    own = cotangent.swapaxes(0, 1)[shape.outputs]  # (C, G, R)
    return np.ascontiguousarray(own.reshape(-1, 1, own.shape[-1]))


def _scatter(
    request: Request[ConeProgram], pulled: Sequence[tuple[np.ndarray, np.ndarray]]
) -> tuple[np.ndarray, np.ndarray]:
    by_row, by_shared = np.zeros_like(request.rows), np.zeros_like(request.shared)
    for shape, (rows, shared) in zip(request.program.shapes, pulled, strict=True):
        cones = len(shape.outputs)
        own = rows.reshape(len(rows), cones, *request.rows.shape[1:])
        np.add.at(by_row, shape.rows.T, own)
        grads = shared.reshape(cones, len(by_shared), shape.shared.shape[1])
        np.add.at(by_shared.T, shape.shared, grads.swapaxes(1, 2))
    return by_row, by_shared
