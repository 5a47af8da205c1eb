"""``qvit submit``, ``status``, ``resume`` and ``cancel``."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qvit_qiskit.cli import screen
from qvit_qiskit.cli.estimate import (
    Agreement,
    CheckpointFile,
    JobFile,
    Settings,
    Tolerance,
    facts,
    read_stated,
)
from qvit_qiskit.cli.options import AsJson, BackendsDir, DataRoot
from qvit_qiskit.cli.plans import show_plan
from qvit_qiskit.cli.watch import interruptible

if TYPE_CHECKING:
    from qvit_qiskit.data import Split
    from qvit_qiskit.runs import Status
    from qvit_qiskit.runs.job import WrittenJob
    from qvit_qiskit.runs.run_folder import Source

Run = Annotated[Path, typer.Argument(help="A run's folder.")]
Wait = Annotated[bool, typer.Option("--wait", help="Stay until everything is done.")]
BatchSize = Annotated[int, typer.Option(min=1, help="Images per forward pass.")]
PatienceSeconds = Annotated[
    float, typer.Option("--patience", min=0.1, help="Seconds that an outage may last.")
]


def submit(
    job: JobFile,
    checkpoint: CheckpointFile = None,
    tolerance: Tolerance = None,
    agreement: Agreement = None,
    settings: Settings = None,
    run: Annotated[Path | None, typer.Option(help="A new folder; by default in runs/.")] = None,
    wait: Wait = False,
    batch_size: BatchSize = 64,
    patience: PatienceSeconds = 300.0,
    data_root: DataRoot = None,
    backends_dir: BackendsDir = None,
    json: AsJson = False,
) -> None:
    """Price a job, then send its first quantum layer. The folder survives this process.

    Example: qvit submit first-run --wait
    """
    screen.load("qvit_qiskit.runs")
    from qvit_qiskit.ibm.calls import Patience
    from qvit_qiskit.runs import submit as send
    from qvit_qiskit.runs.job import read_written
    from qvit_qiskit.runs.planning.at_submission import Planning

    stated = read_stated(settings, tolerance, agreement)
    written = read_written(job, checkpoint, backends_dir, stated)
    if not written.planned:
        _check_price(written, "" if json else f"{job} (estimate)")
    spec = written.spec
    source, validation = _source(written, data_root)
    folder = run or Path("runs") / f"{job.stem}-{datetime.now():%Y%m%d-%H%M%S}"
    shown = written.planned or not wait  # else the jobs' own line moves
    with (
        interruptible(folder),
        screen.run_progress(wait) as tick,
        screen.steps("planning" if written.planned else "sending", shown=shown) as step,
    ):
        planning = Planning(step, None if json else show_plan, validation)
        status = send(
            written.checkpoint.model,
            source,
            spec.backend,
            folder,
            **spec.keywords(),
            wait=wait,
            batch_size=batch_size,
            backends_dir=backends_dir,
            checkpoint=written.checkpoint.path,
            patience=Patience.of(patience),
            settings=written.settings,
            tick=tick,
            planning=planning,
        )
    _show(status, json)


def _check_price(job: WrittenJob, title: str) -> None:
    """Price a job, say so under a title, and refuse one above its budget."""
    with screen.steps("pricing"):
        priced = job.priced()
    if title:
        screen.facts(title, facts(priced))
    priced.check_budget()


def _source(job: WrittenJob, data_root: Path | None) -> tuple[Source, Split | None]:
    """The images of a job, with what is known of them; and, to check a plan, validation images."""
    from qvit_qiskit.runs.run_folder import Source, facts_of_data

    spec = job.spec
    with screen.steps("reading images"):
        data, images = job.data(data_root)
    source = Source.of(
        images,
        **facts_of_data(data),
        split=spec.split,
        subset=spec.subset,
        subset_seed=spec.subset_seed,
        spec=spec.record(),
    )
    return source, data.split("val") if job.planned and spec.split != "val" else None


def status(run: Run, json: AsJson = False) -> None:
    """Say how far a run is, from its folder alone.

    Example: qvit status runs/hello-hardware-20261122-160000
    """
    screen.load("qvit_qiskit.runs")
    from qvit_qiskit.runs import status as look

    _show(look(run), json)


def resume(
    run: Run,
    wait: Wait = False,
    resubmit: Annotated[
        bool, typer.Option("--resubmit", help="Send a job again that may or may not exist.")
    ] = False,
    budget: Annotated[
        float | None, typer.Option(help="A new budget for the whole run, in QPU seconds.")
    ] = None,
    batch_size: BatchSize = 64,
    patience: PatienceSeconds = 300.0,
    json: AsJson = False,
) -> None:
    """Go on with a run: fetch what is done, send what is next. Nothing is paid twice.

    Example: qvit resume runs/hello-hardware-20261122-160000 --wait
    """
    screen.load("qvit_qiskit.runs")
    from qvit_qiskit.exceptions import JobError
    from qvit_qiskit.ibm.calls import Patience
    from qvit_qiskit.runs import resume as go_on

    if budget is not None and not budget > 0:
        raise JobError(f"Expected a budget above 0 QPU seconds, but got {budget}.")
    with (
        interruptible(run),
        screen.run_progress(wait) as tick,
        screen.steps("fetching and sending", shown=not wait),
    ):
        status = go_on(
            run,
            wait=wait,
            resubmit=resubmit,
            budget_seconds=budget,
            batch_size=batch_size,
            patience=Patience.of(patience),
            tick=tick,
        )
    _show(status, json)


def cancel(run: Run, patience: PatienceSeconds = 300.0, json: AsJson = False) -> None:
    """Cancel a run's jobs that have not ended. The folder can be resumed.

    Example: qvit cancel runs/hello-hardware-20261122-160000
    """
    screen.load("qvit_qiskit.runs")
    from qvit_qiskit.ibm.calls import Patience
    from qvit_qiskit.runs import cancel as stop

    with screen.steps("cancelling"):
        count = stop(run, Patience.of(patience))
    if json:
        screen.as_json({"run": str(run), "cancelled": count})
    else:
        print(f"{count} job(s) of {run} cancelled.")


def _show(status: Status, json: bool) -> None:
    if json:
        scores = status.scores
        screen.as_json(
            {
                "run": str(status.run),
                "state": status.state,
                "device": status.device,
                "stage": status.stage,
                "stages": status.stages,
                **({"share": status.share, "unsettled": status.unsettled} if status.share else {}),
                "jobs_done": status.jobs_done,
                "jobs": status.jobs,
                "executions": status.executions,
                "spent_seconds": status.spent_seconds,
                "budget_seconds": status.budget_seconds,
                "billed_seconds": status.billed_seconds,
                "estimated_seconds": status.estimated_seconds,
                "reserved_seconds": status.reserved_seconds,
                "overcharged": list(status.overcharged),
                **({"plan": status.plan.facts()} if status.plan else {}),
                "auc": scores.auc if scores else None,
                "acc": scores.acc if scores else None,
            }
        )
    else:
        facts = dict(status.card()[1])
        following = facts.pop("next")
        repeats = _repeats(status.run) if status.scores is not None else {}
        screen.facts(str(status.run), {**facts, **repeats, "next": following})


def _repeats(run: Path) -> dict[str, str]:
    """What rows tell that ran a second time: alone, or in every job."""
    from qvit_qiskit.runs import read_results

    facts, results = {}, read_results(run)
    for layer, controls in enumerate(results.controls, start=1):
        for circuit, control in enumerate(controls, start=1):
            where = f"layer {layer}" + (f", circuit {circuit}" if len(controls) > 1 else "")
            size, error = control.difference()
            facts[f"packed against alone, {where}"] = (
                f"RMS difference of outputs {size:.3f} ± {error:.3f} beyond shot noise, "
                f"{len(control.alone)} rows"
            )
    for layer, repeated in enumerate(results.anchors, start=1):
        for circuit, anchors in enumerate(repeated, start=1):
            where = f"layer {layer}" + (f", circuit {circuit}" if len(repeated) > 1 else "")
            jobs, rows, _ = anchors.values.shape
            square, error = anchors.drift()
            errors = square / max(error, 1e-12)  # outputs may be saturated in every job
            facts[f"drift between jobs, {where}"] = (
                f"RMS change of outputs {max(0.0, square) ** 0.5:.3f} beyond shot noise "
                f"({errors:.1f} standard errors), {rows} rows in {jobs} jobs"
                if jobs > 1
                else "not seen: there was one job"
            )
    return facts
