"""How far a run is, read from its folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from qvit_qiskit import metrics
from qvit_qiskit.card import Card, Facts
from qvit_qiskit.hardware.run_reader import RunReader
from qvit_qiskit.runs.planning.chosen_plan import RunPlan


@dataclass(frozen=True, repr=False)
class Status(Card):
    """How far a run is, as its folder and, where it was asked, the service say.

    Example:
        >>> from qvit_qiskit.runs import status
        >>> now = status("runs/mine")
        >>> now.state, now.stages
        ('finished', 2)
    """

    run: Path
    state: str
    """``"new"``, ``"sent"``, ``"uncertain"``, ``"lost"``, ``"failed"``, ``"cancelled"`` or
    ``"finished"``."""
    device: str
    stage: int
    """The stage that is worked on, from 1."""
    stages: int
    """How many the run has: one for each quantum layer."""
    jobs_done: int
    """Of this stage."""
    jobs: int
    """Of this stage, in all."""
    executions: int
    """Sent so far."""
    spent_seconds: float
    """QPU seconds: bills where they are final, else estimates."""
    budget_seconds: float
    """QPU seconds that the run may cost."""
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
    rehearsed_seconds: float = 0.0
    """Of a rehearsal, which nobody bills: QPU seconds that its jobs are estimated at."""
    share: int = 0
    """Where rows get unequal shots the share of these that is worked on, from 1; else 0."""
    unsettled: int | None = None
    """Of a finished run with adaptive shots: images whose answer was not settled."""
    queue: int = 0
    """Jobs that wait for the device; told while waiting only."""
    plan: RunPlan | None = None
    """What was chosen for a stated accuracy; None where shots were stated."""

    @property
    def seconds(self) -> str:
        """What the run has cost in words; what is an estimate is called one."""
        if self.rehearsed_seconds:
            return (
                f"{self.rehearsed_seconds:.1f} estimated on the device, of a budget of "
                f"{self.budget_seconds:g}; a rehearsal is not billed"
            )
        text = f"{self.billed_seconds:.1f} billed"
        if self.estimated_seconds:
            text += (
                f", {self.estimated_seconds:.1f} estimated for jobs without a bill (at most "
                f"{self.reserved_seconds:.0f}, their limits)"
            )
        return f"{text}, of a budget of {self.budget_seconds:g}"

    @property
    def next_command(self) -> str:
        """The command that goes on with the run, or reads it."""
        if self.scores is not None:
            return f"qvit compare {self.run} --out report"
        return f"qvit resume {self.run} --wait"

    def card(self) -> tuple[str, Facts]:
        """What a shell and a notebook show; `qvit status` shows the same."""
        facts: dict[str, object] = {
            "run": self.run,
            "state": self.state,
            "device": self.device,
            "quantum layer": f"{self.stage} of {self.stages}",
            **({"share of shots": self.share} if self.share else {}),
            "jobs done": f"{self.jobs_done} of {self.jobs} of this "
            f"{'share' if self.share else 'layer'}",
            "executions sent": f"{self.executions:,}",
            "QPU seconds": self.seconds,
        }
        if self.plan is not None:
            facts |= self.plan.facts()
        if self.overcharged:
            facts["billed above a limit"] = "; ".join(self.overcharged)
        if self.anchor_rows:
            facts["anchor rows"] = f"{self.anchor_rows} of each circuit, again in every job"
        if self.scores is not None:
            facts["images"] = self.scores.n
            if self.unsettled is not None:
                facts["answers not settled"] = self.unsettled
            facts |= {"AUC": f"{self.scores.auc:.3f}", "ACC": f"{self.scores.acc:.3f}"}
        return f"Run {self.run.name}", facts | {"next": self.next_command}


def status(run: Path | str) -> Status:
    """What a run's folder says; no network is used.

    Returns:
        Its state, stages, jobs, and QPU seconds spent and allowed.

    Raises:
        JobError: If the folder is unusable.

    Example:
        >>> from qvit_qiskit.runs import status
        >>> status("runs/mine").state
        'finished'
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
        stage=len(reader.layers),
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
        rehearsed_seconds=reader.planned_seconds if terms.profile.kind == "fake" else 0.0,
        share=len(reader.stages) if terms.adaptive or terms.quiet else 0,
        unsettled=reader.unsettled,
        plan=RunPlan.from_record(reader.order.plan) if reader.order.plan else None,
    )
