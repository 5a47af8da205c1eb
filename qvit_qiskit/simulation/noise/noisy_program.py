"""A noisy circuit compiled for one choice of which parameters vary by row."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
from qiskit.circuit import Parameter

from qvit_qiskit.circuits.lowering import Rotation
from qvit_qiskit.circuits.measurement_bases import Basis
from qvit_qiskit.circuits.order import take
from qvit_qiskit.devices.regions import Region
from qvit_qiskit.exceptions import CircuitError
from qvit_qiskit.simulation.exact.columns import SplitAngles
from qvit_qiskit.simulation.noise.channels import (
    Errors,
    NoisyCircuit,
    Step,
    fuse,
    gate_errors,
    with_errors,
)

MAX_WIRES = 12
"""A Pauli vector of 12 wires takes 128 MiB."""


@dataclass(frozen=True)
class Segment:
    """Steps that are the same for every row."""

    steps: tuple[Step, ...]


@dataclass(frozen=True)
class RowTurns:
    """Rotations whose angle differs from row to row, after the first entangling gate."""

    steps: tuple[Rotation, ...]


@dataclass(frozen=True)
class NoisyProgram:
    """One circuit on one region, measured in one basis.

    A product state for each row, then segments that all rows share, with row rotations between
    them where the circuit uploads its data again. The last segment acts on the observables.
    """

    wires: int
    """m, wires of the region."""
    prefix: dict[int, tuple[Step, ...]]
    """By wire: what acts on |0⟩ before the wire is entangled, up to its last row rotation; as steps
    on a wire 0 of its own."""
    parts: tuple[Segment | RowTurns, ...]
    """The last one is a segment."""
    angles: SplitAngles
    outputs: tuple[int, ...]
    """The wire of each qubit that is read out."""
    readout: np.ndarray  # shape: (n, 2, 2), [qubit, read, prepared]
    basis: Basis
    text: str
    form: str = "state"

    @property
    def num_qubits(self) -> int:
        """n, qubits that are read out."""
        return len(self.outputs)

    def diagonals(self, num_observables: int) -> np.ndarray:
        """The observables on the basis states before readout, shape (2**n, observables)."""
        return self.read(self.basis.diagonal(num_observables))

    def read(self, diagonal: np.ndarray) -> np.ndarray:
        """What functions of the bits that are read are, as functions of the true ones."""
        return misread(diagonal, self.readout.transpose(0, 2, 1))

    def z_strings(self) -> np.ndarray:
        """The Pauli index of the Z string of every mask of qubits, shape (2**n,)."""
        masks = np.arange(2**self.num_qubits)
        digits = [((masks >> k) & 1) * 3 * 4**wire for k, wire in enumerate(self.outputs)]
        return np.asarray(np.sum(digits, axis=0))

    def describe(self) -> str:
        """One line for people."""
        return f"noisy observables evolved backwards, on {self.text}"


def misread(table: np.ndarray, readout: np.ndarray) -> np.ndarray:
    """Apply each qubit's confusion matrix.

    Args:
        table: By basis state, shape (2**n, columns).
        readout: Shape (n, 2, 2), ``[qubit, read, prepared]``.
    """
    columns = table.shape[1]
    for qubit, confusion in enumerate(readout):
        view = table.reshape(-1, 2, 2**qubit, columns)
        table = np.einsum("ab,hblr->halr", confusion, view).reshape(-1, columns)
    return table


def compile_noisy(
    region: Region,
    parameters: Sequence[Parameter],
    basis: Basis,
    row_columns: Collection[int],
    text: str,
    readout: np.ndarray | None = None,
    errors_of: Errors = gate_errors,
) -> NoisyProgram:
    """Put the errors of a region into its circuit, and separate rows from what they share.

    Args:
        region: The circuit, placed, its basis rotation included.
        parameters: Of the logical circuit; their order is the order of the value columns.
        basis: The measurement basis.
        row_columns: Columns whose values differ from row to row.
        text: Where it runs, for people.
        readout: Shape (n, 2, 2), [qubit, read, prepared]; by default the region's.
        errors_of: What gives the errors of gates; see `gate_errors.reported_errors`.

    Raises:
        CircuitError: If the circuit is too wide or holds more than unitary gates.
    """
    if region.circuit.num_qubits > MAX_WIRES:
        raise CircuitError(
            f"Expected at most {MAX_WIRES} qubits under device noise, but got "
            f"{region.circuit.num_qubits}. Use more heads or a narrower model."
        )
    noisy = with_errors(region.circuit, region.target, parameters, region.waits, errors_of)
    angles = SplitAngles.of(noisy.lowered, row_columns)
    row = set(angles.row_rotations)
    prefix, parts = split(noisy, row)
    return NoisyProgram(
        wires=noisy.num_qubits,
        prefix=prefix,
        parts=parts,
        angles=angles,
        outputs=region.outputs,
        readout=region.readout() if readout is None else readout,
        basis=basis,
        text=text,
    )


def split(
    noisy: NoisyCircuit, row: set[int], *, fused: bool = True
) -> tuple[dict[int, tuple[Step, ...]], tuple[Segment | RowTurns, ...]]:
    """What each wire does before it is entangled, and the parts that follow.

    Args:
        noisy: The circuit.
        row: Rotations whose angles differ from row to row.
        fused: Whether neighbouring channels of a segment are joined.
    """

    def varies(step: Step) -> bool:
        return isinstance(step, Rotation) and step.index in row

    single, rest = take(noisy.steps, lambda step: len(step.qubits) == 1)
    prefix: dict[int, tuple[Step, ...]] = {}
    after: list[Step] = []
    for wire in range(noisy.num_qubits):
        own = [step for step in single if step.qubits == (wire,)]
        cut = max((k + 1 for k, step in enumerate(own) if varies(step)), default=0)
        if cut:
            prefix[wire] = tuple(replace(step, qubits=(0,)) for step in fuse(own[:cut]))
        after += own[cut:]  # steps on different wires commute
    rest = (*after, *rest)
    parts: list[Segment | RowTurns] = []
    while rest:
        shared, rest = take(rest, lambda step: not varies(step))
        parts.append(Segment(tuple(fuse(shared)) if fused else shared))
        turns, rest = take(rest, varies)
        if turns:
            parts.append(RowTurns(tuple(t for t in turns if isinstance(t, Rotation))))
    if not parts or isinstance(parts[-1], RowTurns):
        parts.append(Segment(()))
    return prefix, tuple(parts)
