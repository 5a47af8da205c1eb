"""Noisy circuits of any width: each Pauli string of the outputs on its own light cone.

A string is followed backwards. On every wire we keep the letters that may stand there; where no
letter but I stands on a wire of a channel, the channel is what remains of it on its other wires:
at the border of a cone it damps. Vectors hold those letters alone. Cones that are the same steps
but for their errors and angles have one shape: they run as one batch, each with its own.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from qiskit.circuit import Parameter

from qvit_qiskit.circuits.measurement_bases import Basis
from qvit_qiskit.devices.regions import Region
from qvit_qiskit.exceptions import CircuitError
from qvit_qiskit.simulation.exact.columns import SplitAngles
from qvit_qiskit.simulation.moments import Moments, as_terms, paired
from qvit_qiskit.simulation.noise.channels import Channel, Errors, Step, gate_errors, with_errors
from qvit_qiskit.simulation.noise.noisy_program import Segment, split
from qvit_qiskit.simulation.noise.string_cones import Letters, StringCone, StringFinder


@dataclass(frozen=True)
class ConeStep:
    """One step of C cones, backwards: a map of vectors over the letters of some wires."""

    wires: tuple[int, ...]
    """Of the cone, the first one most significant."""
    after: tuple[int, ...]
    """How many letters may stand on each of them in front of the step."""
    constant: np.ndarray  # shape: (C, strings before, strings after), or (1, ...)
    cosine: np.ndarray | None = None  # shape: (strings before, strings after)
    sine: np.ndarray | None = None  # the same
    rotations: np.ndarray | None = None  # shape: (C,), int: whose cosines and sines


@dataclass(frozen=True)
class ConeBatch:
    """C Pauli strings whose cones have one shape."""

    outputs: np.ndarray  # shape: (C,), int: the output that each string belongs to
    weights: np.ndarray  # shape: (C,): its coefficient
    qubits: np.ndarray  # shape: (C, w), int: the wire of the circuit under each wire of the cone
    string: tuple[bool, ...]
    """Where the string has a Z; I elsewhere."""
    steps: tuple[ConeStep, ...]
    """From the measurement backwards to the rows' product states."""
    letters: tuple[Letters, ...]
    """By wire of the cone, those that arrive there."""

    @property
    def coefficients(self) -> int:
        """Entries of one vector in the end."""
        return int(np.prod([len(one) for one in self.letters]))


@dataclass(frozen=True)
class NoisyConeProgram:
    """One circuit on one region, measured in one basis, as many small ones."""

    wires: int
    """m, wires of the region."""
    prefix: dict[int, tuple[Step, ...]]
    """As in `NoisyProgram`."""
    angles: SplitAngles
    batches: tuple[ConeBatch, ...]
    reach: tuple[frozenset[int], ...]
    """For each output what it shares with others that may be correlated with it: the steps that
    its cones meet, and (as negative numbers) their wires."""
    text: str
    form: str = "cones"

    def diagonals(self, num_observables: int) -> np.ndarray:
        """Nothing but a shape, since observables are part of the program: (0, observables)."""
        return np.zeros((0, num_observables))

    @property
    def widest(self) -> int:
        """Wires of the widest cone."""
        return max((batch.qubits.shape[1] for batch in self.batches), default=0)

    def describe(self) -> str:
        """One line for people."""
        count = len(self.batches)
        return (
            f"noisy observables evolved backwards, on light cones of up to {self.widest} qubits in "
            f"{count} shape{'' if count == 1 else 's'}, on {self.text}"
        )


class ConeCompiler:
    """Follows strings of bits that are read back through one circuit with its errors.

    Args:
        region: The circuit, placed, its basis rotation included.
        parameters: Of the logical circuit; their order is the order of the value columns.
        row_columns: Columns whose values differ from row to row.
        text: Where it runs, for people.
        readout: Shape (n, 2, 2), [qubit, read, prepared]; by default the region's.
        errors_of: What gives the errors of gates; see `gate_errors.reported_errors`.

    Raises:
        CircuitError: If rows enter after the first entangling gate.
    """

    def __init__(
        self,
        region: Region,
        parameters: Sequence[Parameter],
        row_columns: Collection[int],
        text: str,
        readout: np.ndarray | None = None,
        errors_of: Errors = gate_errors,
    ) -> None:
        noisy = with_errors(region.circuit, region.target, parameters, region.waits, errors_of)
        self.angles = SplitAngles.of(noisy.lowered, row_columns)
        self.prefix, parts = split(noisy, set(self.angles.row_rotations), fused=False)
        if len(parts) > 1 or not isinstance(parts[0], Segment):
            raise CircuitError(
                "Expected a circuit of many qubits whose data enter before its first entangling "
                "gate, since others have no light cones under device noise. Use more heads or a "
                "narrower model."
            )
        readout = region.readout() if readout is None else readout
        steps = [*parts[0].steps, *_misreading(readout, region.outputs)]
        self.finder = StringFinder(steps, self.prefix, noisy.num_qubits)
        self.wires, self.outputs, self.text = noisy.num_qubits, region.outputs, text

    def program(self, basis: Basis) -> NoisyConeProgram:
        """The outputs of a basis.

        Args:
            basis: The measurement basis, as the region's bits give it.

        Raises:
            CircuitError: If a cone is too wide.
        """
        shapes: dict[object, list[StringCone]] = {}
        reach = [frozenset[int]()] * (1 + max((k for k, _, _ in basis.terms), default=-1))
        for output, coefficient, mask in basis.terms:
            wires = [wire for qubit, wire in enumerate(self.outputs) if mask >> qubit & 1]
            cone = self.finder.cone(output, coefficient, wires)
            shapes.setdefault(cone.key, []).append(cone)
            reach[output] |= cone.reach
        batches = tuple(_batch(cones) for cones in shapes.values())
        return NoisyConeProgram(
            self.wires, self.prefix, self.angles, batches, tuple(reach), self.text
        )

    def moments(self, basis: Basis, outputs: int) -> Moments[NoisyConeProgram]:
        """The outputs of a basis, and the products of two that their covariances need.

        Args:
            basis: The measurement basis, as the region's bits give it.
            outputs: K.

        Raises:
            CircuitError: If a cone is too wide.
        """
        means = self.program(basis)
        reach = [*means.reach, *[frozenset[int]()] * (outputs - len(means.reach))]
        pairs, products = paired(basis, reach)
        try:
            both = self.program(Basis(basis.axes, as_terms(products)))
        except CircuitError as error:
            raise CircuitError(
                "Expected pairs of outputs that depend on few qubits together, since shots of so "
                "wide a circuit under device noise are drawn with their covariances, but some "
                "depend on too many. Use ry-chain, fewer layers or a narrower model; exact values "
                'under noise need no pairs (a profile of kind "aer" without shots).'
            ) from error
        return Moments(means, both, pairs)


def _misreading(readout: np.ndarray, outputs: Sequence[int]) -> list[Channel]:
    """Readout errors as channels behind the last gates; they matter to Z alone."""
    channels = []
    for (kept, _), wire in zip(readout, outputs, strict=True):
        right, wrong = float(kept[0]), float(kept[1])  # read 0, prepared 0 and 1
        matrix = np.diag([1.0, right - wrong, right - wrong, right - wrong])
        matrix[3, 0] = right + wrong - 1
        channels.append(Channel(matrix, (wire,)))
    return channels


def _batch(cones: Sequence[StringCone]) -> ConeBatch:
    """Cones of one shape as one."""
    steps = []
    for maps in zip(*(cone.maps for cone in cones), strict=True):
        first = maps[0]
        if first.sine is None:
            constants = np.stack([one.constant for one in maps])
            steps.append(ConeStep(first.wires, first.after, constants))
        else:
            rotations = np.array([one.rotation for one in maps])
            steps.append(ConeStep(first.wires, first.after, first.constant[None], first.cosine,
                                  first.sine, rotations))  # fmt: skip
    return ConeBatch(
        outputs=np.array([cone.output for cone in cones]),
        weights=np.array([cone.weight for cone in cones]),
        qubits=np.array([cone.qubits for cone in cones]),
        string=cones[0].string,
        steps=tuple(steps),
        letters=cones[0].letters,
    )
