"""A circuit compiled for the exact engine, for one choice of which parameters vary by row."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from qiskit.circuit import QuantumCircuit

from qvit_qiskit.circuits.lowering import Lowered, Rotation, lower, merge_rotations
from qvit_qiskit.circuits.measurement_bases import Basis
from qvit_qiskit.circuits.permutation_tail import without_tail
from qvit_qiskit.exceptions import CircuitError
from qvit_qiskit.simulation.exact.columns import SplitAngles
from qvit_qiskit.simulation.exact.schedule import (
    LocalLayer,
    Plan,
    RowRotations,
    SharedSegment,
    schedule,
)
from qvit_qiskit.simulation.exact.stages import (
    LocalStage,
    MonomialStage,
    ProductStage,
    RowStage,
    Stage,
    UnitaryStage,
)
from qvit_qiskit.simulation.kernel.availability import pays
from qvit_qiskit.simulation.kernel.gate_code import GateCode

MAX_QUBITS = 24
"""A state of 24 qubits takes 256 MiB per row."""


@dataclass(frozen=True)
class Program:
    """The stages of one circuit measured in one basis."""

    num_qubits: int
    stages: tuple[Stage, ...]
    segments: dict[int, SharedSegment]
    """By the place of a `UnitaryStage` in ``stages``: what its unitary is made of."""
    angles: SplitAngles
    real: bool
    """Whether every amplitude is real, which halves the work."""
    basis: Basis
    order: np.ndarray | None
    """Basis state i is entry ``order[i]`` of the final state; None: it is entry i."""
    lowered: Lowered
    """The operations that were scheduled, for the compiled loops."""
    form: str = "state"

    @cached_property
    def code(self) -> GateCode:
        """The circuit as the compiled loops read it."""
        return GateCode.of(self.lowered, self.angles.row_rotations)

    def diagonals(self, num_observables: int) -> np.ndarray:
        """The observables on the final state, shape (2**n, observables)."""
        plain = self.basis.diagonal(num_observables)
        if self.order is None:
            return plain
        out = np.empty_like(plain)
        out[self.order] = plain
        return out

    def describe_values(self) -> str:
        """One line for people: which engine its expectation values get."""
        if not pays(self.num_qubits):
            return self.describe()
        number = "real" if self.real else "complex"
        return f"exact, compiled loops over {len(self.code.gates)} gates, {number} amplitudes"

    def describe(self) -> str:
        """One line for people: the stages that a state runs through."""
        kinds = [type(stage) for stage in self.stages]
        number = "real" if self.real else "complex"
        if UnitaryStage in kinds:
            count = kinds.count(UnitaryStage)
            what = f"{count} shared unitary matri{'x' if count == 1 else 'ces'} from Aer per step"
        else:
            count = kinds.count(LocalStage)
            what = f"batched state in torch, {count} fused layer{'' if count == 1 else 's'}"
        rows = f", {kinds.count(RowStage)} re-encodings" if RowStage in kinds else ""
        return f"exact, {what}{rows}, {number} amplitudes"


def pays_as_unitary(num_qubits: int, layers: int) -> bool:
    """Whether a shared segment is cheaper as one unitary from Aer than layer by layer.

    One matrix product costs 4**n per row whatever is in it, a fused layer about n·2**n, and an
    Aer job about 2 ms: deep segments of few qubits pay (measured, see ``benchmarks/scaling.py``).

    Args:
        num_qubits: n.
        layers: One-qubit layers of the segment.
    """
    return 4 <= num_qubits <= 6 and layers >= 3


def compile_program(
    circuit: QuantumCircuit,
    basis: Basis,
    row_columns: Collection[int],
    pays: Callable[[int, int], bool] = pays_as_unitary,
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
    return compile_lowered(lower(circuit.compose(basis.rotation())), basis, row_columns, pays)


def compile_lowered(
    lowered: Lowered,
    basis: Basis,
    row_columns: Collection[int],
    pays: Callable[[int, int], bool] = pays_as_unitary,
) -> Program:
    """Schedule operations, the basis' rotation being among them.

    Args:
        lowered: The circuit.
        basis: The measurement basis.
        row_columns: Columns whose values differ from row to row.
        pays: See `pays_as_unitary`.
    """
    # Bits that are only moved before they are read permute a diagonal observable's entries.
    lowered, tail = without_tail(lowered)
    angles = SplitAngles.of(lowered, row_columns)
    plan = schedule(lowered, angles.row_rotations)
    shared_parts = [part for part in plan.parts if isinstance(part, SharedSegment)]
    if not all(_as_unitary(part, plan.num_qubits, pays) for part in shared_parts):
        # Layer by layer every one-qubit layer costs a pass over the states: have fewer of them.
        lowered = merge_rotations(lowered)
        angles = SplitAngles.of(lowered, row_columns)
        plan = schedule(lowered, angles.row_rotations, greedy=True)
    stages, segments = _stages(plan, frozenset(angles.row_rotations), pays)
    return Program(
        num_qubits=lowered.num_qubits,
        stages=tuple(stages),
        segments=segments,
        angles=angles,
        real=_is_real(lowered),
        basis=basis,
        order=None if tail.trivial else tail.order(),
        lowered=lowered,
    )


def _as_unitary(
    part: SharedSegment | RowRotations, num_qubits: int, pays: Callable[[int, int], bool]
) -> bool:
    return (
        isinstance(part, SharedSegment)
        and any(isinstance(x, Rotation) for x in part.operations)
        and pays(num_qubits, part.depth)
    )


def _stages(
    plan: Plan, row: frozenset[int], pays: Callable[[int, int], bool]
) -> tuple[list[Stage], dict[int, SharedSegment]]:
    n = plan.num_qubits
    stages: list[Stage] = [ProductStage(n, plan.product, row)]
    segments: dict[int, SharedSegment] = {}
    for part in plan.parts:
        if isinstance(part, RowRotations):
            stages.append(RowStage(part))
        elif _as_unitary(part, n, pays):
            segments[len(stages)] = part
            stages.append(UnitaryStage(n, part))
        else:
            for layer in part.layers:
                if isinstance(layer, LocalLayer):
                    stages.append(LocalStage(n, layer))
                else:
                    stages.append(MonomialStage(layer))
    return stages, segments


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
    """The state's dtype for a program and a precision.

    Args:
        real: Whether all amplitudes are real.
        single: Whether 32 bits a number are enough.
    """
    if real:
        return torch.float32 if single else torch.float64
    return torch.complex64 if single else torch.complex128
