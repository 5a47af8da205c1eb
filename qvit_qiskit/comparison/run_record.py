"""A finished run with everything that a comparison asks of it, from its folder alone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path

import numpy as np
from qiskit.primitives import BaseEstimatorV2
from torch import nn

from qvit_qiskit.circuits.measurement_bases import Basis
from qvit_qiskit.comparison.evidence import AnchorSeries, Executions
from qvit_qiskit.comparison.propagation import pooled_calibration
from qvit_qiskit.devices.compiled_circuit import Compiled
from qvit_qiskit.exceptions import JobError
from qvit_qiskit.hardware.shot_shares import SharePool
from qvit_qiskit.hardware.stages.stage import Layout, Rows
from qvit_qiskit.hardware.stages.stored_stage import StoredStage
from qvit_qiskit.hardware.values.readout_factors import calibrated_noise
from qvit_qiskit.inference.passes import Pass
from qvit_qiskit.inference.rows import evaluate
from qvit_qiskit.profile import FakeProfile
from qvit_qiskit.runs.partial_results import partial_results_of
from qvit_qiskit.runs.results import Results, results_of
from qvit_qiskit.runs.run_folder import RunFolder, Source

REHEARSED = "estimated: a rehearsal costs nothing"


@dataclass(frozen=True)
class RunRecord:
    """A run read back: a finished one, or of another its whole quantum layers."""

    path: Path
    folder: RunFolder
    results: Results
    source: Source
    executions: list[Executions]
    """One for each quantum layer that was measured."""
    pool: SharePool | None = None
    """Where rows had unequal shots: the shares of these."""
    shares: tuple[Executions, ...] = ()
    """Of these where the rows of each ran."""

    @property
    def shots_in_words(self) -> str:
        """How many shots a row had."""
        if self.pool is None:
            return f"{self.shots:,} shots a row"
        shots = self.pool.shots
        return f"{shots.min():,} to {shots.max():,} shots a row ({shots.mean():,.0f} on average)"

    @property
    def partial(self) -> str:
        """What of the run was measured, in words; empty where it is finished."""
        if self.folder.reader.finished:
            return ""
        measured, layers = len(self.executions), len(self.folder.reader.order.stage_rows)
        return f"partial: {measured} of {layers} quantum layers measured, the others are exact"

    @property
    def stages(self) -> list[StoredStage]:
        """The quantum layers that were measured."""
        return self.folder.reader.stages[: len(self.executions)]

    @property
    def rehearsal(self) -> bool:
        """Whether the device was a snapshot."""
        return isinstance(self.folder.terms.profile, FakeProfile)

    @property
    def shots(self) -> int:
        """Shots of every executed row, as it was run; where they are unequal the most."""
        terms = self.folder.terms
        if terms.quiet and self.pool:
            return int(self.pool.shots.max())
        return terms.mitigation.executed(terms.shots)

    @property
    def profile_name(self) -> str:
        """The profile, without the path it had on the machine that began the run."""
        return re.split(r"[\\/]", self.folder.order.profile)[-1].removesuffix(".toml")

    @property
    def predicted(self) -> str:
        """Identity of the noise that the device's reported errors predict for this run.

        Made of the errors that were stored with the last layer, of where every layer's circuits
        lie on the chip, of how they are read and whether and how they wait, and of the
        transpiler's version, on which their gates depend.
        """
        return self.folder.reader.predicted_noise(self.folder.order.versions.get("qiskit"))

    @property
    def identity(self) -> str:
        """Eight digits that a copy of the folder shares and no other run has."""
        return self.folder.reader.short_identity

    @property
    def begun(self) -> str:
        """When the run was begun, UTC."""
        return self.folder.reader.begun

    def cost(self) -> tuple[float, str]:
        """QPU seconds, and whether they are billed or estimated."""
        reader = self.folder.reader
        if self.rehearsal:
            return reader.planned_seconds, REHEARSED
        ledger = reader.ledger(self.folder.terms.budget)
        return ledger.spent, "billed" if ledger.final else "estimated: bills are not final"

    def model(self, given: nn.Module | None) -> nn.Module:
        """The model that was evaluated.

        Raises:
            JobError: If it is another one, or of its maker's own code and not given.
        """
        return self.folder.model(given)


def read_recorded(run: Path | str) -> RunRecord:
    """Read a run; of one that is not finished the quantum layers that are.

    Raises:
        JobError: If no quantum layer is whole, it holds a mock device's data, or a file is missing
            or not what the run wrote.
    """
    folder = RunFolder.open(Path(run))
    results = results_of(folder) if folder.reader.finished else partial_results_of(folder)
    if results.device.startswith("mock"):
        raise JobError(
            f"The run in {run} is of {results.device}, which returns random data. Compare runs of "
            "a real device or rehearsals."
        )
    source = folder.source()
    if folder.terms.adaptive or folder.terms.quiet:
        shares = folder.reader.layers[0]
        times = sorted(time for stage in shares for time in stage.times.values())
        stamps = tuple(time.astimezone(UTC).isoformat() for time in times)
        pool = SharePool.of(shares, len(source.labels))
        places = tuple(_executions(folder, stage) for stage in shares)
        # A row has another place on the chip in every share.
        calibrated = pooled_calibration(pool, places)
        where = Executions(shares[0].rows, times=stamps, calibrated=calibrated)
        return RunRecord(Path(run), folder, results, source, [where], pool, places)
    measured = folder.reader.stages[: len(results.layers)]
    executions = [_executions(folder, stage) for stage in measured]
    return RunRecord(Path(run), folder, results, source, executions)


def check_same(runs: Sequence[RunRecord]) -> None:
    """Refuse to compare what cannot be compared.

    Raises:
        JobError: If runs have other images, labels or weights than the first, or one is given
            twice.
    """
    first = runs[0]
    for place, other in enumerate(runs[1:], start=1):
        for earlier in runs[:place]:
            if earlier.identity == other.identity:
                raise JobError(
                    f"Expected different runs, but {other.path} and {earlier.path} hold the same "
                    "one. Name each run once."
                )
        a, b = (run.source.facts.get("dataset") for run in (first, other))
        if a != b:
            raise JobError(
                f"Expected runs of one data set, but {first.path} is of {a or 'other images'} and "
                f"{other.path} of {b or 'other images'}. Compare them one by one."
            )
        same = np.array_equal(first.source.images.numpy(), other.source.images.numpy())
        if not same or not np.array_equal(first.source.labels, other.source.labels):
            raise JobError(
                f"Expected runs of the same images and labels, but those of {other.path} are not "
                f"those of {first.path}. Compare them one by one."
            )
        if first.folder.order.model != other.folder.order.model:
            raise JobError(
                f"Expected runs of one model, but the weights of {other.path} are not those of "
                f"{first.path}. Compare them one by one."
            )


REPRODUCED = 1e-3
"""By how much logits may differ, relative to 1 + |logit|, when they are computed once more."""


def check_reproduced(run: RunRecord, replayed: Pass) -> None:
    """Refuse a folder whose logits do not follow from its recorded outputs.

    Args:
        run: The run, whose folder holds logits.
        replayed: A pass of its model with its recorded outputs.

    Raises:
        JobError: If they do not.
    """
    recorded = run.results.logits
    if recorded.shape != replayed.logits.shape:
        gap = np.inf
    else:
        gap = float(np.max(np.abs(recorded - replayed.logits) / (1 + np.abs(recorded))))
    if not gap < REPRODUCED:
        raise JobError(
            f"The recorded outputs of the quantum layers in {run.path} do not give the recorded "
            f"logits (they differ by {gap:.3g}). The folder mixes files of several runs, or the "
            "model's code has changed: restore it, or pass the model that the run was begun with."
        )


def _executions(run: RunFolder, stage: StoredStage) -> Executions:
    rows, layout = stage.rows, stage.layout
    chunks = {chunk.name: chunk for chunk in layout.chunks}
    jobs = [np.zeros(len(group.rows), int) for group in rows.groups]
    copies = [np.zeros(len(group.rows), int) for group in rows.groups]
    for job, name in enumerate(stage.times):
        for piece in chunks[name].pieces:
            if piece.group >= len(rows.groups):
                continue  # rows that ran a second time
            seats = layout.seats[piece.group][piece.start : piece.stop]
            for copy, seated in enumerate(seats.T):
                jobs[piece.group][seated[seated >= 0]] = job
                copies[piece.group][seated[seated >= 0]] = copy  # −1 is an empty seat
    qubits = [_qubits(layout, rows, g)[copy] for g, copy in enumerate(copies)]
    times = tuple(time.astimezone(UTC).isoformat() for time in stage.times.values())
    mitigation, calibrated = run.terms.mitigation, None
    if mitigation.calibration_rows:
        calibrated = calibrated_noise(rows, layout, stage.counts, mitigation)
    return Executions(rows, qubits, copies, jobs, times, calibrated)


def _qubits(layout: Layout, rows: Rows, group: int) -> np.ndarray:
    """The physical qubit behind each output on each copy, shape (k, K); −1 where it is not one."""
    programs = layout.programs[group]
    qubits = np.full((programs[0].k, len(rows.groups[group].terms)), -1)
    seen = np.zeros(qubits.shape[1], int)  # how many terms make up each output
    for compiled in programs:
        for output, virtual in _read_out(compiled.basis):
            seen[output] += 1
            if virtual is not None:
                qubits[:, output] = _physical(compiled, virtual)
    qubits[:, seen != 1] = -1  # outputs of several terms are no one qubit's
    return qubits


def _read_out(basis: Basis) -> list[tuple[int, int | None]]:
    """Each term's output, and its virtual qubit if it is the parity of one."""
    return [
        (output, mask.bit_length() - 1 if mask.bit_count() == 1 else None)
        for output, _, mask in basis.terms
    ]


def _physical(compiled: Compiled, virtual: int) -> list[int]:
    return [copy.qubits[copy.outputs[virtual]] for copy in compiled.copies]


def anchors_of(inner: BaseEstimatorV2, run: RunRecord) -> tuple[AnchorSeries, ...]:
    """The rows that every job of a layer repeated, with their exact outputs.

    Args:
        inner: The exact estimator.
        run: A finished run.

    Returns:
        One for each quantum layer, the circuits of a layer side by side; empty if no rows were
        repeated, or the circuits of a layer have different numbers of outputs.
    """
    anchors = []
    for where, repeated in zip(run.executions, run.results.anchors, strict=True):
        if not repeated or len({each.values.shape[2] for each in repeated}) > 1:
            return ()
        groups = [group for group in where.rows.groups if len(group.rows)]
        asked = [(g.circuit, g.terms, r.parameters) for g, r in zip(groups, repeated, strict=True)]
        anchors.append(
            AnchorSeries(
                np.concatenate([each.values for each in repeated], axis=1),  # (jobs, anchors, K)
                np.concatenate([each.covariances for each in repeated], axis=1),
                np.concatenate([values for values, _ in evaluate(inner, asked)]),  # (anchors, K)
                tuple(time.astimezone(UTC).isoformat() for time in repeated[0].times),
                any(each.calibrated for each in repeated),
            )
        )
    return tuple(anchors)
