"""How far a run is, read from its folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from qvit_qiskit import metrics
from qvit_qiskit.hardware.attempts import STATES, last_events
from qvit_qiskit.hardware.journal import Journal, unpack_arrays
from qvit_qiskit.hardware.ledger import ledger_of
from qvit_qiskit.runs.run_folder import RunFolder


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
    found = RunFolder.open(folder)
    journal, terms = found.journal, found.terms
    compiled = journal.of("compiled")
    chunks = [c["name"] for c in compiled[-1]["chunks"]] if compiled else []
    done = {e["chunk"] for e in journal.of("finished")}
    finished = journal.of("done")
    ledger = ledger_of(journal, terms.budget)
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
        executions=_executions(journal),
        spent_seconds=ledger.spent,
        budget_seconds=terms.budget,
        billed_seconds=ledger.billed,
        estimated_seconds=ledger.estimated,
        reserved_seconds=ledger.reserved,
        jobs_out=sum(state in ("sent", "uncertain") for state in _last(journal).values()),
        overcharged=tuple(
            f"{charge.tag} was billed {charge.billed:.1f} QPU seconds, above its limit of "
            f"{charge.limit:g}"
            for charge in ledger.overcharged
        ),
        scores=scores,
        anchor_rows=terms.anchor_rows,
    )


def _executions(journal: Journal) -> int:
    """Executions of all jobs that were sent, for all that is known."""
    sent: dict[str, int] = {}
    for event in journal.events:
        if event["event"] == "intent":
            sent[event["tag"]] = event["executions"]
        elif event["event"] in ("released", "given_up"):
            sent.pop(event.get("tag", ""), None)
    return sum(sent.values())


def _last(journal: Journal) -> dict[str, str]:
    """For each chunk that was sent and not taken back how far it is."""
    told = {**STATES, "intent": "uncertain"}
    last = {name: e for name, e in last_events(journal).items() if told[e["event"]] != "new"}
    return {name: event.get("state", told[event["event"]]) for name, event in last.items()}


def _state(journal: Journal) -> str:
    states = set(_last(journal).values())
    for state in ("uncertain", "lost", "failed", "cancelled"):
        if state in states:
            return state
    return "sent" if states else "new"
