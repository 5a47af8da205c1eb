"""Evaluations on hardware that outlive the process: begin one, go on with one, look at one."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn
from torch.utils.data import Dataset

from qvit_qiskit import metrics
from qvit_qiskit.data import Split
from qvit_qiskit.devices.prices import Estimate, estimate
from qvit_qiskit.exceptions import JobError
from qvit_qiskit.files import close_to_others
from qvit_qiskit.hardware.dispatch import Progress
from qvit_qiskit.hardware.journal import (
    Journal,
    Ledger,
    locked,
    pack_arrays,
    unpack_arrays,
)
from qvit_qiskit.hardware.run import HardwareRun, Terms
from qvit_qiskit.hardware.stage import Layout
from qvit_qiskit.ibm.calls import Patience
from qvit_qiskit.models.cost import count_rows
from qvit_qiskit.runs.measured_profile import find_measured
from qvit_qiskit.runs.run_folder import (
    CHECKPOINT,
    RunFolder,
    Source,
    own_checkpoint,
    weights_digest,
)
from qvit_qiskit.runs.walk import walk
from qvit_qiskit.training.checkpoint import versions


@dataclass(frozen=True)
class Status:
    """How far a run is, as its folder and, where it was asked, the service say."""

    run: Path
    state: str
    """``"new"``, ``"sent"``, ``"uncertain"``, ``"failed"``, ``"cancelled"`` or ``"finished"``."""
    device: str
    stage: int
    """The stage that is worked on, from 1."""
    stages: int
    jobs_done: int
    """Of this stage."""
    jobs: int
    executions: int
    """Sent so far."""
    spent_seconds: float
    """QPU seconds: bills where they are final, else estimates."""
    budget_seconds: float
    scores: metrics.Scores | None = None
    """Of a finished run."""
    anchor_rows: int = 0
    """Rows of each circuit that every job runs besides."""
    queue: int = 0
    """Jobs that wait for the device; told while waiting only."""


def submit(
    model: nn.Module,
    data: Split | Dataset[Any] | Source,
    backend: str,
    run: Path | str,
    *,
    budget_seconds: float,
    shots: int | None = None,
    max_loss: float = 0.25,
    control_rows: int = 0,
    anchor_rows: int = 0,
    wait: bool = False,
    batch_size: int = 64,
    backends_dir: Path | None = None,
    checkpoint: Path | None = None,
    patience: Patience | None = None,
    tick: Callable[[Status], None] | None = None,
) -> Status:
    """Begin an evaluation on hardware: write it down, then send its first quantum layer.

    Args:
        model: Any module whose quantum layers are ours.
        data: Images and labels.
        backend: A profile of kind ``ibm``, or ``fake`` for a rehearsal.
        run: The run's folder, new or empty.
        budget_seconds: QPU seconds that the run may cost at most.
        shots: Per row, instead of the profile's.
        max_loss: The share of the budget that losing one job may lose. Jobs are not made smaller
            than a minute of QPU time for it.
        control_rows: Where copies share the chip: rows of each circuit that run once more, alone.
        anchor_rows: Rows of each circuit that every job of a stage runs besides, so that drift
            of the device shows (`Results.anchors`).
        wait: Stay until everything is done, instead of returning once the layer is sent.
        batch_size: Images per forward pass.
        backends_dir: A folder of profiles to search first.
        checkpoint: The model's checkpoint, kept in the folder so that `resume` needs no model. A
            model of `build_model` is kept without it.
        patience: How long to wait for the service.
        tick: Called with the state while waiting.

    Raises:
        JobError: If the folder is not empty, or the budget does not suffice.
        RouteError: If the profile is of kind ``aer``, or the account or device is refused.
        ServiceError: If the service does not answer; `resume` goes on.
    """
    found, profile = find_measured(backend, backends_dir)
    _check_budget(budget_seconds)
    _check_rows(control_rows=control_rows, anchor_rows=anchor_rows)
    source = data if isinstance(data, Source) else Source.of(data)
    folder = Path(run)
    shots = shots or profile.shots
    terms = Terms(profile, shots, budget_seconds, max_loss, control_rows, anchor_rows)
    journal = Journal.create(folder)
    if source.own:
        close_to_others(folder)
    with locked(folder):
        _write_down(journal, terms, model, source, checkpoint, str(found.path))
        hardware = HardwareRun(journal, terms, patience)
        return _advance(hardware, model, source, batch_size, wait=wait, tick=tick)


def _check_budget(seconds: float) -> None:
    if not 0 < seconds < math.inf:
        raise JobError(f"Expected a budget above 0 QPU seconds, but got {seconds}.")


def _check_rows(**rows: int) -> None:
    for name, count in rows.items():
        if count < 0:
            raise JobError(f"Expected {name} of at least 0, but got {count}.")


def _write_down(
    journal: Journal,
    terms: Terms,
    model: nn.Module,
    source: Source,
    checkpoint: Path | None,
    profile: str,
) -> None:
    arrays = pack_arrays({"images": source.images.numpy(), "labels": source.labels})
    whole = checkpoint.read_bytes() if checkpoint else own_checkpoint(model)
    journal.append(
        "evaluation",
        terms=terms.record(),
        profile=profile,
        images=journal.store("images.npz", arrays),
        count=len(source.labels),
        data=source.facts,
        model=weights_digest(model),
        checkpoint=journal.store(CHECKPOINT, whole) if whole else None,
        stage_rows=list(count_rows(model, source.images[:1])),
        versions=versions(),
    )


def resume(
    run: Path | str,
    model: nn.Module | None = None,
    *,
    wait: bool = False,
    resubmit: bool = False,
    budget_seconds: float | None = None,
    batch_size: int = 64,
    patience: Patience | None = None,
    tick: Callable[[Status], None] | None = None,
) -> Status:
    """Go on with a run from its folder, in any process, on any machine with the account.

    Args:
        run: The run's folder.
        model: The model, where the run was not begun from a checkpoint.
        wait: Stay until everything is done.
        resubmit: Send a job again of which it is uncertain whether it exists.
        budget_seconds: A new budget for the whole run.
        batch_size: Images per forward pass; need not be that of `submit`.
        patience: How long to wait for the service.
        tick: Called with the state while waiting.

    Raises:
        JobError: If the folder is unusable, a job failed or is uncertain, or the budget does not
            suffice.
        RouteError: If the account or device is refused.
        ServiceError: If the service does not answer; calling again goes on.
    """
    folder = Path(run)
    Journal.open(folder)
    if budget_seconds is not None:
        _check_budget(budget_seconds)
    with locked(folder):
        found = RunFolder.open(folder, budget_seconds)
        hardware = HardwareRun(found.journal, found.terms, patience)
        if found.journal.of("done"):
            if not hardware.ledger.final():
                hardware.update_bills()
            return status(folder)
        if budget_seconds is not None:
            found.journal.append("budget", seconds=budget_seconds)
        return _advance(
            hardware,
            found.model(model),
            found.source(),
            batch_size,
            wait=wait,
            resubmit=resubmit,
            retry=True,
            tick=tick,
        )


def _advance(
    run: HardwareRun,
    model: nn.Module,
    source: Source,
    batch_size: int,
    *,
    wait: bool,
    resubmit: bool = False,
    retry: bool = False,
    tick: Callable[[Status], None] | None = None,
) -> Status:
    while True:
        current = run.stages - 1
        if current >= 0 and not run.finished(current):
            _check_total(run)
            progress = run.advance(current, resubmit=resubmit, retry=retry)
            resubmit = retry = False
            if not progress.finished and not wait:
                return status(run.folder)
            if not progress.finished:
                run.wait(current, tick and partial(_tell, run, tick))
        run.update_bills()
        answers = [run.answers(k) for k in range(run.stages)]
        asked = [run.asked(k) for k in range(run.stages)]
        found = walk(model, source.images, answers, asked, batch_size)
        if isinstance(found, np.ndarray):
            return _finish(run, found, source.labels)
        run.write_stage(found)


def _check_total(run: HardwareRun) -> None:
    """Price everything that is left on the device itself, before its first job is sent.

    Raises:
        JobError: If it is over the budget.
    """
    if run.journal.of("intent") or run.sender.local:
        return
    layout = run.layout(0)
    facts = run.journal.of("evaluation")[0]
    priced = live_estimate(facts, run.terms, layout)
    if priced.seconds > run.terms.budget:
        raise JobError(
            f"On {run.sender.device.name} as it is now the run would cost {priced.seconds:,.1f} "
            f"QPU seconds, more than the budget of {run.terms.budget:g}. Nothing was sent. Use "
            f"fewer shots or images, or `qvit resume {run.folder} --budget SECONDS`."
        )


def live_estimate(facts: dict[str, Any], terms: Terms, layout: Layout) -> Estimate:
    """The price of a run with its first layer's circuits as they lie on the device."""
    rows = [facts["count"] * rows for rows in facts["stage_rows"]]
    return estimate(
        rows,
        terms.shots,
        layout.timing,
        terms.profile.mitigation,
        bases=max(len(program) for program in layout.programs),
        copies=layout.programs[0][0].k,
        control_rows=terms.control_rows,
        anchor_rows=terms.anchor_rows,
        job_seconds=terms.max_loss * terms.budget,
    )


def _finish(run: HardwareRun, logits: np.ndarray, labels: np.ndarray) -> Status:
    arrays = pack_arrays({"logits": logits, "labels": labels})
    sha256 = run.journal.store("predictions.npz", arrays)
    run.journal.append("done", predictions=sha256)
    return status(run.folder)


def _tell(run: HardwareRun, tick: Callable[[Status], None], progress: Progress) -> None:
    tick(replace(status(run.folder), queue=progress.queue))


def cancel(run: Path | str, patience: Patience | None = None) -> int:
    """Cancel the jobs of a run that have not ended; the folder can be resumed.

    Returns:
        How many jobs were cancelled.

    Raises:
        JobError: If the folder is unusable, or another process works on it.
    """
    folder = Path(run)
    Journal.open(folder)
    with locked(folder):
        found = RunFolder.open(folder)
        return HardwareRun(found.journal, found.terms, patience).cancel()


def status(run: Path | str) -> Status:
    """What a run's folder says; no network is used.

    Raises:
        JobError: If the folder is unusable.
    """
    folder = Path(run)
    found = RunFolder.open(folder)
    journal, terms = found.journal, found.terms
    compiled = journal.of("compiled")
    chunks = [c["name"] for c in compiled[-1]["chunks"]] if compiled else []
    done = {e["chunk"] for e in journal.of("finished")}
    finished = journal.of("done")
    never = {e["tag"] for e in journal.of("released") if "tag" in e}
    scores = None
    if finished:
        arrays = unpack_arrays(journal.load("predictions.npz", finished[-1]["predictions"]))
        scores = metrics.score(arrays["labels"], arrays["logits"])
    return Status(
        run=folder,
        state="finished" if finished else _state(journal),
        device=compiled[-1]["device"] if compiled else terms.profile.device,
        stage=len(journal.of("stage")),
        stages=len(found.facts["stage_rows"]),
        jobs_done=sum(name in done for name in chunks),
        jobs=len(chunks),
        executions=sum(e["executions"] for e in journal.of("intent") if e["tag"] not in never),
        spent_seconds=Ledger(journal, terms.budget).spent(),
        budget_seconds=terms.budget,
        scores=scores,
        anchor_rows=terms.anchor_rows,
    )


def _state(journal: Journal) -> str:
    told = {"intent": "uncertain", "uncertain": "uncertain", "failed": "failed"}
    told |= {"submitted": "sent", "finished": "sent"}
    last: dict[str, str] = {}
    for event in journal.events:
        if event["event"] in told:
            last[event["chunk"]] = event.get("state", told[event["event"]])
        elif event["event"] == "released":
            last.pop(event["chunk"], None)
    for state in ("uncertain", "failed", "cancelled", "sent"):
        if state in last.values():
            return state
    return "new"
