"""A stage: all rows of one quantum layer, deduplicated, written down, split into jobs."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from qiskit import QuantumCircuit

from qvit_qiskit.execution.cost import (
    SUBJOB_SECONDS,
    Mitigation,
    Timing,
    rows_per_job,
)
from qvit_qiskit.execution.hardware.compiled import Compiled
from qvit_qiskit.execution.hardware.counts import Counts, extrapolate, moments
from qvit_qiskit.execution.pubs import FlatPub


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
        found: dict[int, tuple[int, np.ndarray]] = {}
        for members in keys.values():
            first = pubs[members[0]]
            stacked = np.concatenate([pubs[k].values for k in members])
            rows, inverse = np.unique(stacked, axis=0, return_inverse=True)
            edges = np.cumsum([len(pubs[k].values) for k in members])[:-1]
            for k, own in zip(members, np.split(inverse.ravel(), edges), strict=True):
                found[k] = (len(groups), own)
            groups.append(Group(first.circuit, _real(first.observables), rows))
        return cls(groups, [found[k] for k in range(len(pubs))])

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


@dataclass(frozen=True)
class Item:
    """One PUB of a job: a compiled circuit, on k copies at once, at some executed rows."""

    compiled: Compiled
    fold: int | None
    """How often each two-qubit gate is run; None for the readout's calibration."""
    values: np.ndarray
    """The logical circuit's parameter values, shape (M, k, P)."""
    name: str
    """Under which the counts are stored."""

    @property
    def rows(self) -> int:
        """M."""
        return len(self.values)

    def of_copy(self, copy: int) -> np.ndarray:
        """Parameter values of one copy's circuit, shape (M, P')."""
        columns = list(self.compiled.columns[copy]) if self.fold is not None else []
        return self.values[:, copy, columns]

    def pub(self, circuit: QuantumCircuit, values: np.ndarray) -> tuple[Any, ...]:
        """As a sampler takes it; without parameters there is one row and no values."""
        return (circuit, values) if circuit.num_parameters else (circuit,)

    def whole(self, width: int) -> tuple[Any, ...]:
        """The PUB for a device of so many qubits."""
        copies = range(self.compiled.k)
        values = np.concatenate([self.of_copy(copy) for copy in copies], axis=1)
        return self.pub(self.compiled.wide(self.fold, width), values)

    def split(self, bits: np.ndarray) -> np.ndarray:
        """Bits of the whole register, shape (M, shots, k·n), as (M·k, shots, n)."""
        rows, shots, _ = bits.shape
        apart = bits.reshape(rows, shots, self.compiled.k, -1).swapaxes(1, 2)
        return np.ascontiguousarray(apart).reshape(rows * self.compiled.k, shots, -1)


@dataclass
class Layout:
    """A stage compiled for a device."""

    programs: list[list[Compiled]]
    """For each group one per measurement basis."""
    timing: Timing
    seats: list[np.ndarray]
    """For each group which row sits on which copy, shape (M, k); −1 where nothing is asked."""
    chunks: list[Chunk] = field(default_factory=list)

    def items(self, chunk: Chunk, groups: Sequence[Group], mitigation: Mitigation) -> list[Item]:
        """The PUBs of a chunk: every piece in every basis at every noise factor; calibrations."""
        items: list[Item] = []
        for p, piece in enumerate(chunk.pieces):
            seats = self.seats[piece.group][piece.start : piece.stop]
            values = groups[piece.group].rows[seats.clip(0)]  # empty seats run some row again
            for b, compiled in enumerate(self.programs[piece.group]):
                for fold in mitigation.factors:
                    items.append(Item(compiled, fold, values, f"piece{p}-basis{b}-fold{fold}"))
        for g, b in self._calibrated(chunk) if mitigation.calibration_rows else ():
            compiled = self.programs[g][b]
            nothing = np.zeros((1, compiled.k, 0))
            items.append(Item(compiled, None, nothing, f"group{g}-basis{b}-calibration"))
        return items

    def _calibrated(self, chunk: Chunk) -> list[tuple[int, int]]:
        groups = sorted({piece.group for piece in chunk.pieces})
        return [(g, b) for g in groups for b in range(len(self.programs[g]))]


def seat(rows: int, copies: int, seed: int) -> np.ndarray:
    """Which row runs on which copy.

    Rows are shuffled, so that a copy's bias does not sit on one token's place in its image.

    Args:
        rows: U rows.
        copies: k.
        seed: Of the shuffle.

    Returns:
        Shape (⌈U/k⌉, k), −1 in seats that are left over. One copy keeps the order.
    """
    order = np.arange(rows)
    if copies > 1:
        order = np.random.default_rng(seed).permutation(rows)
    out = np.full((-(-rows // copies), copies), -1)
    out.ravel()[:rows] = order
    return out


def plan_chunks(
    name: str,
    executed: Sequence[int],
    programs: Sequence[Sequence[Compiled]],
    timing: Timing,
    shots: int,
    mitigation: Mitigation,
    max_seconds: float,
) -> list[Chunk]:
    """Split a stage into jobs.

    Args:
        name: A prefix for the chunks' names.
        executed: Executed rows of each group.
        programs: Their compiled circuits.
        timing: Of one execution.
        shots: Asked for per row.
        mitigation: The resilience level.
        max_seconds: QPU seconds that losing one job may lose, if rows can be split that far.
    """
    each = math.prod(mitigation.split(shots))
    per_row = [len(p) * each * mitigation.circuits_per_row for p in programs]
    extra = [len(p) * each * mitigation.calibration_rows for p in programs]
    room = rows_per_job(1, 0, timing, max_seconds)
    total = sum(rows * n + e for rows, n, e in zip(executed, per_row, extra, strict=True))
    jobs = max(1, math.ceil(total / room))
    goal = math.ceil(total / jobs)  # jobs of about equal size
    chunks: list[Chunk] = []
    pieces: list[Piece] = []
    used = 0

    def close() -> None:
        nonlocal pieces, used
        if pieces:
            seconds = SUBJOB_SECONDS + used * timing.execution
            chunks.append(Chunk(f"{name}-{len(chunks)}", tuple(pieces), used, seconds))
        pieces, used = [], 0

    for g, rows in enumerate(executed):
        start = 0
        while start < rows:
            left = goal - used - extra[g]
            fit = max(0 if pieces else 1, math.ceil(left / per_row[g]))
            if fit * per_row[g] + extra[g] + used > room and (pieces or fit > 1):
                fit = max(0 if pieces else 1, (room - used - extra[g]) // per_row[g])
            if fit <= 0:
                close()
                continue
            stop = min(rows, start + fit)
            pieces.append(Piece(g, start, stop))
            used += (stop - start) * per_row[g] + extra[g]
            start = stop
            if used >= goal:
                close()
    close()
    return chunks


def values_of(
    layout: Layout,
    counted: Sequence[dict[str, Counts]],
    groups: Sequence[Group],
    mitigation: Mitigation,
) -> list[tuple[np.ndarray, np.ndarray]]:
    """For each group the means (U, K) and their covariances (U, K, K).

    Args:
        layout: The stage as it was compiled.
        counted: The counts of every chunk, by the names of its items.
        groups: What was asked.
        mitigation: The resilience level.
    """
    out = [
        (
            np.zeros((len(group.rows), len(group.terms))),
            np.zeros((len(group.rows), len(group.terms), len(group.terms))),
        )
        for group in groups
    ]
    for chunk, counts in zip(layout.chunks, counted, strict=True):
        for p, piece in enumerate(chunk.pieces):
            means, covariances = out[piece.group]
            seats = layout.seats[piece.group][piece.start : piece.stop].ravel()
            taken = seats >= 0
            for b, compiled in enumerate(layout.programs[piece.group]):
                calibration = counts.get(f"group{piece.group}-basis{b}-calibration")
                found = [
                    moments(compiled.basis, means.shape[1], counts[name], calibration)
                    for name in (f"piece{p}-basis{b}-fold{fold}" for fold in mitigation.factors)
                ]
                mean, covariance = extrapolate(found, mitigation.factors)
                means[seats[taken]] += mean[taken]
                covariances[seats[taken]] += covariance[taken]
    return out
