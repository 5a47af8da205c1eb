"""A circuit compiled for the exact engine, for one choice of which parameters vary by row."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

import numpy as np
import torch
from qiskit.circuit import QuantumCircuit

from qvit_qiskit.exceptions import CircuitError
from qvit_qiskit.execution.exact.angles import AngleTable
from qvit_qiskit.execution.exact.lower import Lowered, Rotation, lower
from qvit_qiskit.execution.exact.readout import Basis
from qvit_qiskit.execution.exact.schedule import LocalLayer, Plan, RowRotations, Shared, schedule
from qvit_qiskit.execution.exact.stages import (
    LocalStage,
    MonomialStage,
    ProductStage,
    RowStage,
    Stage,
    UnitaryStage,
)

MAX_QUBITS = 24
"""A state of 24 qubits takes 256 MiB per row."""


@dataclass(frozen=True)
class Program:
    """The stages of one circuit measured in one basis."""

    num_qubits: int
    stages: tuple[Stage, ...]
    segments: dict[int, Shared]
    """By the place of a `UnitaryStage` in ``stages``: what its unitary is made of."""
    row_rotations: tuple[int, ...]
    row_table: AngleTable
    """Their angles from the row columns, followed by the shared columns if ``mixed``."""
    shared_rotations: tuple[int, ...]
    shared_table: AngleTable
    """Their angles from the shared columns."""
    row_columns: np.ndarray  # shape: (P_row,), columns of the parameter values
    shared_columns: np.ndarray  # shape: (P_shared,)
    mixed: bool
    """Whether some row rotation also depends on a shared parameter."""
    real: bool
    """Whether every amplitude is real, which halves the work."""
    basis: Basis

    def describe(self) -> str:
        """One line for people: which engine this circuit gets."""
        kinds = [type(stage) for stage in self.stages]
        number = "real" if self.real else "complex"
        if UnitaryStage in kinds:
            count = kinds.count(UnitaryStage)
            what = f"{count} shared unitary matri{'x' if count == 1 else 'ces'} from Aer per step"
        else:
            what = f"batched state in torch, {kinds.count(LocalStage)} fused layers"
        rows = f", {kinds.count(RowStage)} re-encodings" if RowStage in kinds else ""
        return f"exact, {what}{rows}, {number} amplitudes"


def pays_as_unitary(num_qubits: int, layers: int) -> bool:
    """Whether a shared segment is cheaper as one unitary from Aer than layer by layer.

    One matrix product costs 4**n per row whatever is in it, a fused layer about n·2**n: narrow or
    deep segments pay (measured, see ``benchmarks/scaling.py``).

    Args:
        num_qubits: n.
        layers: One-qubit layers of the segment.
    """
    return num_qubits <= 4 or (num_qubits <= 6 and layers >= 4)


def compile_program(
    circuit: QuantumCircuit,
    basis: Basis,
    row_columns: Collection[int],
    pays: Callable[[int, int], bool],
) -> Program:
    """Lower and schedule a circuit.

    Args:
        circuit: The circuit; its ``parameters`` order is the order of the value columns.
        basis: The measurement basis; its rotation is appended.
        row_columns: Columns whose values differ from row to row.
        pays: See `pays_as_unitary`.

    Raises:
        CircuitError: If the circuit is too wide or holds more than unitary gates.
    """
    if circuit.num_qubits > MAX_QUBITS:
        raise CircuitError(
            f"Expected at most {MAX_QUBITS} qubits for exact simulation, but got "
            f"{circuit.num_qubits}. Use more heads or a narrower model."
        )
    lowered = lower(circuit.compose(basis.rotation()))
    table = AngleTable.of(lowered.angles, lowered.parameters)
    in_row = np.zeros(len(lowered.parameters), dtype=bool)
    in_row[list(row_columns)] = True
    varies = (table.depends & in_row).any(axis=1)
    mixed = bool((table.depends[varies] & ~in_row).any())
    row = tuple(int(k) for k in np.flatnonzero(varies))
    shared = tuple(int(k) for k in np.flatnonzero(~varies))
    row_columns, shared_columns = np.flatnonzero(in_row), np.flatnonzero(~in_row)
    plan = schedule(lowered, row)
    stages, segments = _stages(plan, frozenset(row), pays)
    return Program(
        num_qubits=lowered.num_qubits,
        stages=stages,
        segments=segments,
        row_rotations=row,
        row_table=table.select(row, [*row_columns, *(shared_columns if mixed else ())]),
        shared_rotations=shared,
        shared_table=table.select(shared, list(shared_columns)),
        row_columns=row_columns,
        shared_columns=shared_columns,
        mixed=mixed,
        real=_is_real(lowered),
        basis=basis,
    )


def _stages(
    plan: Plan, row: frozenset[int], pays: Callable[[int, int], bool]
) -> tuple[tuple[Stage, ...], dict[int, Shared]]:
    n = plan.num_qubits
    stages: list[Stage] = [ProductStage(n, plan.product, row)]
    segments: dict[int, Shared] = {}
    for part in plan.parts:
        if isinstance(part, RowRotations):
            stages.append(RowStage(part))
        elif any(isinstance(x, Rotation) for x in part.operations) and pays(n, part.depth):
            segments[len(stages)] = part
            stages.append(UnitaryStage())
        else:
            for layer in part.layers:
                if isinstance(layer, LocalLayer):
                    stages.append(LocalStage(n, layer))
                else:
                    stages.append(MonomialStage(layer))
    return tuple(stages), segments


def _is_real(lowered: Lowered) -> bool:
    for operation in lowered.operations:
        if isinstance(operation, Rotation):
            if operation.axis != "y":
                return False
        else:
            entries = getattr(operation, "matrix", None)
            entries = operation.phase if entries is None else entries  # type: ignore[union-attr]
            if np.abs(np.imag(entries)).max() > 0:
                return False
    return True


def torch_dtype(real: bool, single: bool) -> torch.dtype:
    """The state's dtype for a program and a precision."""
    if real:
        return torch.float32 if single else torch.float64
    return torch.complex64 if single else torch.complex128
