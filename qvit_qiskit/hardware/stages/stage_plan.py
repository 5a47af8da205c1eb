"""How a stage is run: its circuits compiled, rows seated on copies, and all split into jobs.

Nothing is written and nothing is sent here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from qiskit.providers import BackendV2

from qvit_qiskit.devices.compiled_circuit import compile_bases, copies_of, longest_timing
from qvit_qiskit.devices.placement import Placement
from qvit_qiskit.devices.prices import SUBJOB_SECONDS, Mitigation, Timing, rows_per_job
from qvit_qiskit.hardware.stages.stage import Chunk, Group, Layout, Piece
from qvit_qiskit.hardware.terms import Terms
from qvit_qiskit.simulation.noise.readout_choice import compile_readout


@dataclass(frozen=True)
class StagePlan:
    """How a stage is run."""

    layout: Layout
    """Its programs: those of the groups, then those of the controls."""
    controls: dict[int, np.ndarray]
    """For a group the places of the rows that run a second time, alone on the chip."""

    def arrays(self) -> dict[str, np.ndarray]:
        """The seats of rows and anchors, as they are stored."""
        arrays = {f"seats{g}": seats for g, seats in enumerate(self.layout.seats)}
        return arrays | {f"anchors{g}": seats for g, seats in self.layout.anchors.items()}


def plan_stage(
    name: str, groups: Sequence[Group], device: BackendV2, terms: Terms, shots: int
) -> StagePlan:
    """Compile a stage for a device and divide it into jobs.

    Args:
        name: A prefix for the jobs' names.
        groups: What is asked.
        device: With its calibration.
        terms: Of the run.
        shots: Of every row.

    Raises:
        RouteError: If the device is too small, or fewer copies fit than are asked for.
    """
    profile, mitigation = terms.profile, terms.mitigation
    programs = [
        compile_readout(g.circuit, g.terms, g.rows, device, profile.placement, profile.readout,
                        mitigation, shots)
        for g in groups
    ]  # fmt: skip
    counts = [len(g.rows) for g in groups]
    packed = any(program[0].k > 1 for program in programs)
    controls = sample_rows(groups, terms.control_rows if packed else 0, profile.seed)
    for g, picked in controls.items():
        alone = Placement(profile.placement.seed, idle=profile.idle)
        way = programs[g][0].readout
        programs.append(compile_bases(groups[g].circuit, groups[g].terms, device, alone, way))
        counts.append(len(picked))
    seats = [
        seat(count, program[0].k, profile.seed)
        for count, program in zip(counts, programs, strict=True)
    ]
    anchors = {
        g: seat(len(picked), programs[g][0].k, profile.seed, picked)
        for g, picked in sample_rows(groups, terms.anchor_rows, profile.seed).items()
    }
    timing = longest_timing(copies_of(programs), device, profile.rep_delay)
    loads = [
        Load(len(seats[g]), len(program), len(anchors.get(g, ())))
        for g, program in enumerate(programs)
    ]
    most = terms.max_loss * terms.budget
    chunks = plan_chunks(name, loads, timing, shots, mitigation, most)
    return StagePlan(Layout(programs, timing, seats, chunks, anchors), controls)


@dataclass(frozen=True)
class Load:
    """What a group puts on a device."""

    rows: int
    """Executed rows, each of which holds one row for every copy."""
    bases: int
    """Circuits of a row, one per measurement basis."""
    anchors: int = 0
    """Executed rows that every job runs besides."""


def plan_chunks(
    name: str,
    loads: Sequence[Load],
    timing: Timing,
    shots: int,
    mitigation: Mitigation,
    max_seconds: float,
) -> list[Chunk]:
    """Split a stage into jobs.

    Args:
        name: A prefix for the chunks' names.
        loads: What each group puts on the device.
        timing: Of one execution.
        shots: Asked for per row.
        mitigation: The resilience level.
        max_seconds: QPU seconds that losing one job may lose, if rows can be split that far.
    """
    each = math.prod(mitigation.split(shots))
    per_row = [load.bases * each * mitigation.circuits_per_row for load in loads]
    extra = [load.bases * each * mitigation.calibration_rows for load in loads]
    common = sum(
        load.anchors * n + e
        for load, n, e in zip(loads, per_row, extra, strict=True)
        if load.anchors
    )
    # Where anchors run a job is calibrated with them.
    extra = [0 if load.anchors else e for load, e in zip(loads, extra, strict=True)]
    room = rows_per_job(1, common, timing, max_seconds)
    total = sum(load.rows * n + e for load, n, e in zip(loads, per_row, extra, strict=True))
    goal = math.ceil(total / max(1, math.ceil(total / room)))  # jobs of about equal size
    jobs: list[tuple[list[Piece], int]] = []
    pieces: list[Piece] = []
    used = 0  # executions beside what all jobs have in common
    for g, load in enumerate(loads):
        start = 0
        while start < load.rows:
            wanted = math.ceil((goal - used - extra[g]) / per_row[g])
            possible = (room - used - extra[g]) // per_row[g]
            fit = max(0 if pieces else 1, min(wanted, possible))  # a job has a row at least
            if fit:
                stop = min(load.rows, start + fit)
                pieces.append(Piece(g, start, stop))
                used += (stop - start) * per_row[g] + extra[g]
                start = stop
            if not fit or used >= goal:
                jobs.append((pieces, used + common))
                pieces, used = [], 0
    if pieces:
        jobs.append((pieces, used + common))
    return [
        Chunk(f"{name}-{k}", tuple(own), count, SUBJOB_SECONDS + count * timing.execution)
        for k, (own, count) in enumerate(jobs)
    ]


def seat(rows: int, copies: int, seed: int, places: np.ndarray | None = None) -> np.ndarray:
    """Which row runs on which copy.

    Rows are shuffled, so that neither a copy's bias nor a job's sits on one token's place in its
    image, or on some angles: rows come sorted.

    Args:
        rows: U rows.
        copies: k.
        seed: Of the shuffle.
        places: The rows' places in their group, shape (U,), where they are a part of it.

    Returns:
        Shape (⌈U/k⌉, k), −1 in seats that are left over.
    """
    order = np.random.default_rng(seed).permutation(rows)
    out = np.full((-(-rows // copies), copies), -1)
    out.ravel()[:rows] = order if places is None else places[order]
    return out


def sample_rows(groups: Sequence[Group], count: int, seed: int) -> dict[int, np.ndarray]:
    """So many rows of each group, drawn at random.

    Args:
        groups: The groups.
        count: Rows of each, or all where there are fewer.
        seed: Of the draw.

    Returns:
        For each group the rows' places in it, ascending; groups without any are left out.
    """
    rng = np.random.default_rng(seed)
    picked = [
        np.sort(rng.choice(len(g.rows), min(count, len(g.rows)), replace=False)) for g in groups
    ]
    return {g: places for g, places in enumerate(picked) if len(places)}
