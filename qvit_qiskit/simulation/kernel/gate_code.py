"""A circuit as tables that a compiled loop reads: which amplitudes each gate pairs, and how.

Gates that permute basis states move nothing: they change where amplitudes stand in the tables of
the gates behind them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qvit_qiskit.circuits.lowering import Lowered, Monomial, OneQubit, Rotation

ROW, SHARED, PHASE, MATRIX = range(4)
"""Kinds of gates: by an angle of each row, by an angle that rows share, a diagonal, a matrix."""
AXES = {"x": 0, "y": 1, "z": 2}


@dataclass(frozen=True)
class GateCode:
    """The gates of a circuit behind a product state of real rotations of |0⟩."""

    num_qubits: int
    product: np.ndarray
    """Kind and slot of each qubit's first rotation, −1 where there is none; shape (n, 2)."""
    gates: np.ndarray
    """Kind, axis, slot (of an angle, a diagonal or a matrix) and table of pairs; shape (m, 4)."""
    pairs: np.ndarray
    """Places of the amplitudes that a gate joins, the qubit's bit unset and set; shape
    (tables, 2**(n - 1), 2)."""
    phase_parts: np.ndarray
    """Diagonals by place, real and imaginary parts; shape (diagonals, 2, 2**n)."""
    matrix_parts: np.ndarray
    """One-qubit matrices and their adjoints, each in parts; shape (matrices, 2, 2, 2, 2)."""
    parts: int
    """1 where all amplitudes are real, else 2."""
    places: np.ndarray
    """Where the amplitude of each basis state stands in the end, shape (2**n,)."""

    @classmethod
    def of(cls, lowered: Lowered, row_rotations: tuple[int, ...]) -> GateCode:
        """Write a circuit down as tables.

        Args:
            lowered: The circuit's operations.
            row_rotations: Indices of the rotations whose angles differ from row to row.
        """
        return _Writer(lowered, row_rotations).code()


class _Writer:
    """What is written so far."""

    def __init__(self, lowered: Lowered, row_rotations: tuple[int, ...]) -> None:
        self.lowered, self.n = lowered, lowered.num_qubits
        shared = [k for k in range(len(lowered.angles)) if k not in set(row_rotations)]
        self.slots = {index: (ROW, slot) for slot, index in enumerate(row_rotations)}
        self.slots |= {index: (SHARED, slot) for slot, index in enumerate(shared)}
        self.states = np.arange(2**self.n)
        self.places = self.states.copy()
        self.gates: list[tuple[int, int, int, int]] = []
        self.tables: dict[bytes, int] = {}
        self.pairs: list[np.ndarray] = []
        self.phases: list[np.ndarray] = []
        self.matrices: list[np.ndarray] = []

    def code(self) -> GateCode:
        product, rest = self._product()
        for operation in rest:
            if isinstance(operation, Rotation):
                kind, slot = self.slots[operation.index]
                table = self._table(operation.qubits[0])
                self.gates.append((kind, AXES[operation.axis], slot, table))
            elif isinstance(operation, OneQubit):
                table = self._table(operation.qubits[0])
                self.gates.append((MATRIX, 0, len(self.matrices), table))
                self.matrices.append(operation.matrix)
            else:
                self._permute(operation)
        half = 2 ** (self.n - 1)
        return GateCode(
            num_qubits=self.n,
            product=product,
            gates=np.array(self.gates, dtype=np.int64).reshape(-1, 4),
            pairs=np.array(self.pairs, dtype=np.int64).reshape(-1, half, 2),
            phase_parts=_in_parts(self.phases, (2 * half,)),
            matrix_parts=_in_parts(
                [np.stack([one, one.conj().T]) for one in self.matrices], (2, 2, 2)
            )
            .swapaxes(1, 2)
            .copy(),
            parts=self._parts(),
            places=self.places,
        )

    def _parts(self) -> int:
        axes = [gate[1] for gate in self.gates if gate[0] in (ROW, SHARED)]
        constants = [np.ravel(one) for one in (*self.phases, *self.matrices)]
        real = all(axis == AXES["y"] for axis in axes)
        return 1 if real and not any(np.imag(one).any() for one in constants) else 2

    def _product(self) -> tuple[np.ndarray, list[Rotation | OneQubit | Monomial]]:
        """Each qubit's first rotation about x or y, and the operations that are left.

        RX on |0⟩ is RY on |0⟩ but for a factor −i of the amplitude of |1⟩.
        """
        product = np.full((self.n, 2), -1, dtype=np.int64)
        touched: set[int] = set()
        rest: list[Rotation | OneQubit | Monomial] = []
        turned = np.ones(2**self.n, dtype=complex)
        for operation in self.lowered.operations:
            qubit = operation.qubits[0]
            first = isinstance(operation, Rotation) and qubit not in touched
            touched |= set(operation.qubits)
            if not first or not isinstance(operation, Rotation) or operation.axis == "z":
                rest.append(operation)
                continue
            kind, slot = self.slots[operation.index]
            product[qubit] = (kind, slot)
            if operation.axis == "x":
                turned[self.states >> qubit & 1 == 1] *= -1j
        self._phase(turned)
        return product, rest

    def _table(self, qubit: int) -> int:
        low = self.states[self.states >> qubit & 1 == 0]
        pairs = np.stack([self.places[low], self.places[low | 1 << qubit]], axis=1)
        pairs = pairs[np.argsort(pairs[:, 0])]  # in the order of memory
        key = pairs.tobytes()
        if key not in self.tables:
            self.tables[key] = len(self.pairs)
            self.pairs.append(pairs)
        return self.tables[key]

    def _permute(self, gate: Monomial) -> None:
        own = np.zeros_like(self.states)
        for k, qubit in enumerate(gate.qubits):
            own |= (self.states >> qubit & 1) << k
        source = self.states.copy()
        for k, qubit in enumerate(gate.qubits):
            source = source & ~(1 << qubit) | (gate.source[own] >> k & 1) << qubit
        self.places = self.places[source]
        turned = np.ones(len(self.states), dtype=complex)
        turned[self.places] = gate.phase[own]
        self._phase(turned)

    def _phase(self, turned: np.ndarray) -> None:
        """Multiply amplitudes by factors, given by their places; joined with a diagonal before."""
        if np.all(turned == 1):
            return
        if self.gates and self.gates[-1][0] == PHASE:
            self.phases[self.gates[-1][2]] = self.phases[self.gates[-1][2]] * turned
            return
        self.gates.append((PHASE, 0, len(self.phases), 0))
        self.phases.append(turned)


def _in_parts(arrays: list[np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
    """Real and imaginary parts, shape (len(arrays), 2, *shape)."""
    stacked = np.array(arrays, dtype=complex).reshape(-1, *shape)
    return np.stack([stacked.real, stacked.imag], axis=1)
