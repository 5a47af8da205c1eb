"""How far a run is, read from its folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from qvit_qiskit import metrics
from qvit_qiskit.hardware.reader import RunReader


@dataclass(frozen=True)
class Status:
    """How far a run is, as its folder and, where it was asked, the service say."""

    run: Path
    state: str
    """``"new"``, ``"sent"``, ``"uncertain"``, ``"lost"``, ``"failed"``, ``"cancelled"`` or
    ``"finished"``."""
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
    billed_seconds: float = 0.0
    """QPU seconds of final bills."""
    estimated_seconds: float = 0.0
    """Estimated QPU seconds of the jobs that have no final bill."""
    reserved_seconds: float = 0.0
    """What those may cost at most: their limits, which the service enforces."""
    jobs_out: int = 0
    """Jobs of any stage that were sent and have not ended, for all that is known."""
    overcharged: tuple[str, ...] = ()
    """Jobs that were billed above their limit, a sentence each."""
    scores: metrics.Scores | None = None
    """Of a finished run."""
    anchor_rows: int = 0
    """Rows of each circuit that every job runs besides."""
    queue: int = 0
    """Jobs that wait for the device; told while waiting only."""


def status(run: Path | str) -> Status:
    """What a run's folder says; no network is used.

    Raises:
        JobError: If the folder is unusable.
    """
    folder = Path(run)
    reader = RunReader.open(folder)
    terms = reader.terms
    ledger = reader.ledger(terms.budget)
    compiled = reader.compiled_stages[-1:]
    scores = None
    if reader.finished:
        arrays = reader.predictions()
        scores = metrics.score(arrays["labels"], arrays["logits"])
    return Status(
        run=folder,
        state=reader.state,
        device=reader.device or terms.profile.device,
        stage=len(reader.stages),
        stages=len(reader.order.stage_rows),
        jobs_done=sum(stage.jobs_done for stage in compiled),
        jobs=sum(len(stage.chunk_names) for stage in compiled),
        executions=reader.executions,
        spent_seconds=ledger.spent,
        budget_seconds=terms.budget,
        billed_seconds=ledger.billed,
        estimated_seconds=ledger.estimated,
        reserved_seconds=ledger.reserved,
        jobs_out=reader.jobs_out,
        overcharged=tuple(
            f"{charge.tag} was billed {charge.billed:.1f} QPU seconds, above its limit of "
            f"{charge.limit:g}"
            for charge in ledger.overcharged
        ),
        scores=scores,
        anchor_rows=terms.anchor_rows,
    )
