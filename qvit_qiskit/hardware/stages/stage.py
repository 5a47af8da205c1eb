"""A stage: all rows of one quantum layer, deduplicated, and how they lie on a device."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from qiskit import QuantumCircuit

from qvit_qiskit.circuits.pubs import FlatPub
from qvit_qiskit.devices.compiled_circuit import Compiled, copies_of
from qvit_qiskit.devices.prices import Mitigation, Timing
from qvit_qiskit.hardware.journal import digest
from qvit_qiskit.hardware.values.counts import Counts, extrapolate, moments
from qvit_qiskit.ibm.item import Item

Answers = list[tuple[np.ndarray, np.ndarray]]
"""For each PUB or group the means (R, K) of its rows and their covariances (R, K, K)."""
CONTENT_TAG = "qvit-is-"
"""How tags begin that say what a job measures."""


@dataclass(frozen=True)
class Group:
    """One circuit with its observables, at U different rows."""

    circuit: QuantumCircuit
    terms: list[dict[str, float]]
    rows: np.ndarray  # shape: (U, P), in the order of circuit.parameters


@dataclass(frozen=True)
class Rows:
    """What a stage is asked: groups, and for each PUB its group and its rows of it."""

    groups: list[Group]
    pubs: list[tuple[int, np.ndarray]]

    @classmethod
    def gather(cls, pubs: Sequence[FlatPub]) -> Rows:
        """Join PUBs of one circuit and drop rows that occur before."""
        keys: dict[Any, list[int]] = {}
        for k, pub in enumerate(pubs):
            terms = json.dumps([sorted(o.items()) for o in _real(pub.observables)])
            keys.setdefault((id(pub.circuit), terms), []).append(k)
        groups: list[Group] = []
        places: dict[int, tuple[int, np.ndarray]] = {}
        for members in keys.values():
            first = pubs[members[0]]
            stacked = np.concatenate([pubs[k].values for k in members])
            rows, inverse = np.unique(stacked, axis=0, return_inverse=True)
            # where each PUB's rows end
            edges = np.cumsum([len(pubs[k].values) for k in members])[:-1]
            for k, own in zip(members, np.split(inverse.ravel(), edges), strict=True):
                places[k] = (len(groups), own)
            groups.append(Group(first.circuit, _real(first.observables), rows))
        return cls(groups, [places[k] for k in range(len(pubs))])

    def executed(self, parts: Sequence[np.ndarray]) -> list[np.ndarray]:
        """What is known of the PUBs' rows, by group: rows that are equal are one there.

        Args:
            parts: For each PUB something of its rows, shape (R, ...).

        Returns:
            For each group the same of its rows, shape (U, ...).
        """
        shapes = {g: part.shape[1:] for (g, _), part in zip(self.pubs, parts, strict=True)}
        out = [np.zeros((len(group.rows), *shapes[g])) for g, group in enumerate(self.groups)]
        for (g, index), part in zip(self.pubs, parts, strict=True):
            out[g][index] = part
        return out

    def arrays(self) -> dict[str, np.ndarray]:
        """Everything numerical, by name."""
        out = {f"rows{g}": group.rows for g, group in enumerate(self.groups)}
        return out | {f"pub{k}": rows for k, (_, rows) in enumerate(self.pubs)}


def _real(observables: Sequence[Any]) -> list[dict[str, float]]:
    return [{p: float(np.real(c)) for p, c in o.items()} for o in observables]


@dataclass(frozen=True)
class Piece:
    """Executed rows ``start … stop - 1`` of a group; each holds one row for every copy."""

    group: int
    start: int
    stop: int


@dataclass(frozen=True)
class Chunk:
    """What one job runs."""

    name: str
    pieces: tuple[Piece, ...]
    executions: int
    seconds: float
    """Estimated QPU time."""

    def record(self) -> dict[str, Any]:
        """As JSON."""
        pieces = [[p.group, p.start, p.stop] for p in self.pieces]
        return {
            "name": self.name,
            "pieces": pieces,
            "executions": self.executions,
            "seconds": self.seconds,
        }

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Chunk:
        """The inverse of `record`."""
        pieces = tuple(Piece(*piece) for piece in record["pieces"])
        return cls(record["name"], pieces, record["executions"], record["seconds"])


@dataclass
class Layout:
    """A stage compiled for a device."""

    programs: list[list[Compiled]]
    """For each group one per measurement basis."""
    timing: Timing
    seats: list[np.ndarray]
    """For each group which row sits on which copy, shape (M, k); −1 where nothing is asked."""
    chunks: list[Chunk] = field(default_factory=list)
    anchors: dict[int, np.ndarray] = field(default_factory=dict)
    """For a group the seats of the rows that every chunk runs besides, shape (M', k)."""

    @property
    def qubits(self) -> set[int]:
        """All qubits of the device that it uses."""
        return {qubit for copy in copies_of(self.programs) for qubit in copy.qubits}

    def items(self, chunk: Chunk, groups: Sequence[Group], mitigation: Mitigation) -> list[Item]:
        """The PUBs of a chunk: its rows and anchors in every basis at every fold; calibrations.

        Args:
            chunk: Which rows.
            groups: The circuits of the stage with all rows.
            mitigation: Says how often gates are folded, and whether readout is calibrated.
        """
        parts = [
            (f"piece{p}", piece.group, self.seats[piece.group][piece.start : piece.stop])
            for p, piece in enumerate(chunk.pieces)
        ]
        parts += [(f"anchors{g}", g, seats) for g, seats in self.anchors.items()]
        items: list[Item] = []
        for name, g, seats in parts:
            values = groups[g].rows[seats.clip(0)]  # empty seats run some row again
            for b, compiled in enumerate(self.programs[g]):
                for fold in mitigation.factors:
                    items.append(Item(compiled, fold, values, f"{name}-basis{b}-fold{fold}"))
        for g in sorted({g for _, g, _ in parts}) if mitigation.calibration_rows else ():
            for b, compiled in enumerate(self.programs[g]):
                nothing = np.zeros((1, compiled.k, 0))
                items.append(Item(compiled, None, nothing, f"group{g}-basis{b}-calibration"))
        return items

    def measured(
        self, name: str, group: int, counts: dict[str, Counts], outputs: int, mitigation: Mitigation
    ) -> tuple[np.ndarray, np.ndarray]:
        """What a chunk's counts give for some of its rows, one for each of their seats in turn.

        Args:
            name: How `items` named them, without basis and fold.
            group: Their group.
            counts: Of the chunk.
            outputs: K of the group.
            mitigation: The resilience level.

        Returns:
            Means (M·k, K) and covariances (M·k, K, K).
        """
        parts = []
        for b, compiled in enumerate(self.programs[group]):
            calibration = counts.get(f"group{group}-basis{b}-calibration")
            folds = [counts[f"{name}-basis{b}-fold{fold}"] for fold in mitigation.factors]
            each = [moments(compiled.basis, outputs, c, calibration) for c in folds]
            parts.append(extrapolate(each, mitigation.factors))
        return np.sum([m for m, _ in parts], axis=0), np.sum([c for _, c in parts], axis=0)


@dataclass(frozen=True)
class Progress:
    """How far a stage is."""

    done: int
    total: int
    running: int
    waiting: int
    queue: int = 0
    """Jobs that wait for the device, other people's too; 0 where nobody asked."""

    @property
    def finished(self) -> bool:
        """Whether all results are on the disk."""
        return self.done == self.total


@dataclass(frozen=True)
class Task:
    """A stage ready to be sent."""

    groups: Sequence[Group]
    layout: Layout
    key: str
    """SHA-256 of everything stored that its results depend on."""
    seed: str
    """What seeds a rehearsal: the angles and where they sit. (QPY would not do: it holds random
    identities of parameters, other ones in every process.)"""
    content: str
    """What is measured, the same in every process: `seed`, the qubits in their order, shots."""

    def content_tag(self, chunk: Chunk) -> str:
        """A tag that says what a chunk's job measures."""
        return f"{CONTENT_TAG}{digest(f'{self.content} {chunk.record()}'.encode())[:24]}"


def values_of(
    layout: Layout,
    counted: Sequence[dict[str, Counts]],
    groups: Sequence[Group],
    mitigation: Mitigation,
) -> Answers:
    """For each group the means (U, K) and their covariances (U, K, K).

    Args:
        layout: The stage as it was compiled.
        counted: The counts of every chunk, by the names of its items.
        groups: What was asked.
        mitigation: The resilience level.
    """
    out = []
    for group in groups:
        rows, outputs = len(group.rows), len(group.terms)
        out.append((np.zeros((rows, outputs)), np.zeros((rows, outputs, outputs))))
    for chunk, counts in zip(layout.chunks, counted, strict=True):
        for p, piece in enumerate(chunk.pieces):
            means, covariances = out[piece.group]
            values = layout.measured(f"piece{p}", piece.group, counts, means.shape[1], mitigation)
            seats = layout.seats[piece.group][piece.start : piece.stop].ravel()
            taken = seats >= 0
            means[seats[taken]] = values[0][taken]
            covariances[seats[taken]] = values[1][taken]
    return out
