"""A Qiskit circuit as three kinds of operation: rotations, one-qubit matrices, monomials.

Every standard gate reduces to these by its own definition. Global phases are dropped, since no
expectation value and no derivative of one depends on them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from qiskit.circuit import (
    AnnotatedOperation,
    Barrier,
    ControlFlowOp,
    ControlledGate,
    Delay,
    Gate,
    Instruction,
    Measure,
    Parameter,
    ParameterExpression,
    QuantumCircuit,
    Reset,
)
from qiskit.circuit.library import (
    DiagonalGate,
    GlobalPhaseGate,
    IGate,
    Initialize,
    PermutationGate,
    PhaseGate,
    RXGate,
    RYGate,
    RZGate,
    U1Gate,
    U3Gate,
    UGate,
    UnitaryGate,
)

from qvit_qiskit.exceptions import CircuitError

# Gates are known by type: a composite gate may bear any name.
_DROPPED = (Barrier, Delay, IGate, GlobalPhaseGate)
_REFUSED = (Measure, Reset, Initialize, ControlFlowOp)
_AXES = {RXGate: "x", RYGate: "y", RZGate: "z", PhaseGate: "z", U1Gate: "z"}
_MATRICES = (UnitaryGate, PermutationGate, DiagonalGate)
"""Library gates outside the standard ones whose matrix and definition say the same."""
_STANDARD = "qiskit.circuit.library.standard_gates."
_MAX_MATRIX_QUBITS = 6


@dataclass(frozen=True)
class Rotation:
    """exp(−i φ P / 2) for the Pauli P of ``axis``; φ is ``angles[index]`` of the circuit."""

    axis: str
    qubits: tuple[int, ...]
    index: int


@dataclass(frozen=True)
class OneQubit:
    """A constant one-qubit matrix."""

    matrix: np.ndarray  # shape: (2, 2), complex
    qubits: tuple[int, ...]
    gate: Gate


@dataclass(frozen=True)
class Monomial:
    """A constant gate with one entry per row, e.g. CX or CZ: ``out[i] = phase[i] * in[source[i]]``.

    Bit ``k`` of ``i`` belongs to ``qubits[k]``.
    """

    source: np.ndarray  # shape: (2**k,), int
    phase: np.ndarray  # shape: (2**k,), complex
    qubits: tuple[int, ...]
    gate: Gate

    @cached_property
    def matrix(self) -> np.ndarray:
        """The gate as a matrix, shape (2**k, 2**k), complex."""
        matrix = np.zeros((len(self.source),) * 2, dtype=complex)
        matrix[np.arange(len(matrix)), self.source] = self.phase
        return matrix


Operation = Rotation | OneQubit | Monomial


@dataclass(frozen=True)
class Lowered:
    """A circuit's operations in order, with the expressions of its rotation angles."""

    num_qubits: int
    operations: tuple[Operation, ...]
    angles: tuple[ParameterExpression, ...]
    """The angle of every `Rotation`, by its ``index``."""
    parameters: tuple[Parameter, ...]
    """``circuit.parameters``, the order in which values are given."""


def lower(circuit: QuantumCircuit) -> Lowered:
    """Reduce a circuit to rotations, one-qubit matrices and monomials.

    Raises:
        CircuitError: If an instruction is no unitary gate; the message names it.
    """
    operations: list[Operation] = []
    angles: list[ParameterExpression] = []
    _walk(circuit, list(range(circuit.num_qubits)), operations, angles)
    parameters = tuple(circuit.parameters)
    return Lowered(circuit.num_qubits, tuple(operations), tuple(angles), parameters)


def merge_rotations(lowered: Lowered) -> Lowered:
    """Join rotations about one axis that follow each other on a qubit: RY(x)·RY(w) = RY(x + w)."""
    operations: list[Operation] = []
    angles: list[ParameterExpression] = []
    last: dict[int, int] = {}  # qubit -> place of its latest operation
    for operation in lowered.operations:
        before = operations[last[operation.qubits[0]]] if operation.qubits[0] in last else None
        if isinstance(operation, Rotation):
            angle = lowered.angles[operation.index]
            if isinstance(before, Rotation) and before.axis == operation.axis:
                angles[before.index] = angles[before.index] + angle
                continue
            operation = replace(operation, index=len(angles))
            angles.append(angle)
        last |= dict.fromkeys(operation.qubits, len(operations))
        operations.append(operation)
    return replace(lowered, operations=tuple(operations), angles=tuple(angles))


def _walk(
    circuit: QuantumCircuit,
    wires: Sequence[int],
    operations: list[Operation],
    angles: list[ParameterExpression],
) -> None:
    for item in circuit.data:
        qubits = tuple(wires[circuit.find_bit(bit).index] for bit in item.qubits)
        gate = item.operation
        kind = getattr(gate, "base_class", type(gate))
        if issubclass(kind, _DROPPED):
            continue
        if item.clbits or issubclass(kind, _REFUSED):
            raise refusal(gate.name)
        if isinstance(gate, AnnotatedOperation):
            raise CircuitError(
                f"Expected gates, but got the annotated operation {gate.name!r}. Transpile the "
                "circuit first, or append the gate with annotated=False."
            )
        if kind in _AXES:
            _rotation(_AXES[kind], gate.params[0], qubits, operations, angles)
        elif kind in (UGate, U3Gate):
            theta, phi, lam = gate.params
            for axis, angle in (("z", lam), ("y", theta), ("z", phi)):
                _rotation(axis, angle, qubits, operations, angles)
        else:
            _constant_or_definition(gate, qubits, operations, angles)


def _rotation(
    axis: str,
    angle: ParameterExpression | float,
    qubits: tuple[int, ...],
    operations: list[Operation],
    angles: list[ParameterExpression],
) -> None:
    if isinstance(angle, ParameterExpression) and angle.parameters:
        _check_real(angle)
        operations.append(Rotation(axis, qubits, len(angles)))
        angles.append(angle)
    else:
        matrix = rotation_matrix(axis, np.asarray(_real(angle)))
        operations.append(OneQubit(matrix, qubits, UnitaryGate(matrix)))


def _check_real(angle: ParameterExpression) -> None:
    """Refuse ``1j * x``: what is complex at one point is not an angle."""
    point = {parameter: 0.37 for parameter in angle.parameters}
    if complex(angle.bind(point).numeric()).imag:
        raise CircuitError(
            f"Expected real angles, but got {angle}. Write it without imaginary numbers."
        )


def _real(angle: ParameterExpression | complex) -> float:
    """A bound angle.

    Raises:
        CircuitError: If it is complex, NaN or infinite.
    """
    value = complex(angle)
    if value.imag or not np.isfinite(value):
        raise CircuitError(f"Expected angles that are finite real numbers, but got {value}.")
    return value.real


def _constant_or_definition(
    gate: Instruction,
    qubits: tuple[int, ...],
    operations: list[Operation],
    angles: list[ParameterExpression],
) -> None:
    if not isinstance(gate, Instruction) and hasattr(gate, "to_instruction"):
        gate = gate.to_instruction()  # e.g. a Clifford
    params = getattr(gate, "params", ())
    parametric = any(isinstance(p, ParameterExpression) and p.parameters for p in params)
    small = isinstance(gate, Gate) and not parametric and len(qubits) <= _MAX_MATRIX_QUBITS
    if small and (_is_matrix(gate) or _definition(gate) is None):
        matrix = _matrix(gate)
        if matrix is not None and len(qubits) == 1:
            operations.append(OneQubit(matrix, qubits, gate))
            return
        monomial = None if matrix is None else _monomial(matrix, qubits, gate)
        if monomial is not None:
            operations.append(monomial)
            return
    definition = _definition(gate)
    if definition is None:
        raise refusal(gate.name)
    _walk(definition, qubits, operations, angles)


def _is_matrix(gate: Instruction) -> bool:
    """Whether a gate is known by its matrix. Any other is what its own definition says.

    An evolution gate's matrix is exact, its definition a product formula, and devices and Aer run
    the definition; gates made of such gates inherit both.
    """
    kind = getattr(gate, "base_class", type(gate))
    if isinstance(gate, ControlledGate) and not _is_matrix(gate.base_gate):
        return False
    return kind in _MATRICES or kind.__module__.startswith(_STANDARD)


def made_of(gate: Instruction) -> QuantumCircuit | None:
    """What a gate of the user's own is made of; None for the standard gates."""
    return None if _is_matrix(gate) else _definition(gate)


def holds_delay(gate: Instruction) -> bool:
    """Whether a gate is a delay, or one is in its definition, however deep."""
    if isinstance(gate, Delay):
        return True
    parts = made_of(gate)
    return parts is not None and any(holds_delay(item.operation) for item in parts.data)


def _definition(gate: Instruction) -> QuantumCircuit | None:
    """What a gate is made of; None if it does not say.

    Raises:
        CircuitError: If it cannot say so while its parameters are unbound.
    """
    try:
        return getattr(gate, "definition", None)
    except Exception as error:  # each library gate raises in its own way
        raise CircuitError(
            f"Expected gates that are defined for any parameter values, but {gate.name!r} is not "
            "while they are unbound. Bind them, or write it with rotation gates."
        ) from error


def _matrix(gate: Gate) -> np.ndarray | None:
    try:
        return np.array(gate.to_matrix(), dtype=complex)  # Qiskit's own are read-only
    except Exception:  # Qiskit raises CircuitError or its own for gates without a matrix
        return None


def _monomial(matrix: np.ndarray, qubits: tuple[int, ...], gate: Gate) -> Monomial | None:
    present = np.abs(matrix) > 1e-14
    if not (present.sum(axis=0) == 1).all() or not (present.sum(axis=1) == 1).all():
        return None
    source = present.argmax(axis=1)
    # Aer knows gates by name, and a gate of the user's own may bear any.
    known = gate if _is_matrix(gate) else UnitaryGate(matrix)
    return Monomial(source, matrix[np.arange(len(matrix)), source], qubits, known)


def refusal(name: str) -> CircuitError:
    """What to say of an instruction that is no unitary gate."""
    return CircuitError(
        f"Expected a circuit of unitary gates, but got the instruction {name!r}. Remove it; or "
        'evaluate, without gradients, on a profile with engine = "aer" (aer-reference), which '
        "simulates every instruction Aer knows."
    )


def rotation_matrix(axis: str, angle: np.ndarray) -> np.ndarray:
    """exp(−i φ P / 2) for angles of any shape.

    Args:
        axis: ``"x"``, ``"y"`` or ``"z"``.
        angle: φ in radians, any shape (...,).

    Returns:
        Complex matrices, shape (..., 2, 2).
    """
    c, s = np.cos(angle / 2), np.sin(angle / 2)
    out = np.zeros((*np.shape(angle), 2, 2), dtype=complex)
    if axis == "z":
        out[..., 0, 0], out[..., 1, 1] = c - 1j * s, c + 1j * s
        return out
    out[..., 0, 0] = out[..., 1, 1] = c
    out[..., 0, 1], out[..., 1, 0] = (-1j * s, -1j * s) if axis == "x" else (-s, s)
    return out


PAULI = {
    "x": np.array([[0, 1], [1, 0]], dtype=complex),
    "y": np.array([[0, -1j], [1j, 0]]),
    "z": np.array([[1, 0], [0, -1]], dtype=complex),
}
"""The generators of the rotations."""
