"""``qvit estimate``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qvit_qiskit.cli import screen
from qvit_qiskit.cli.options import AsJson, BackendsDir, DataRoot
from qvit_qiskit.shipped import named_spec

if TYPE_CHECKING:
    from collections.abc import Callable

    from qvit_qiskit.runs.adaptive.expected_price import ExpectedPrice
    from qvit_qiskit.runs.job import Job


def job_file(place: Path | None) -> Path | None:
    """A job spec's file: by its path, or by its name where it came with the package."""
    return place and named_spec("jobs", place)


JobFile = Annotated[
    Path,
    typer.Argument(
        help="A job spec, e.g. jobs/mine.toml; or the name of one in ./jobs or of the package, "
        "e.g. hello-hardware.",
        callback=job_file,
    ),
]
CheckpointFile = Annotated[
    Path | None,
    typer.Option(
        "--checkpoint",
        help="The checkpoint, instead of the spec's; zoo:NAME for a trained model of the package.",
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="A field of the spec or its profile, e.g. shots=2048 or k=4; may be repeated.",
    ),
]
Tolerance = Annotated[
    float | None,
    typer.Option(help="AUC that may be lost, e.g. 0.01; by default what the spec says."),
]
Agreement = Annotated[
    float | None,
    typer.Option(help="Share of answers that must be the exact model's, e.g. 0.95."),
]


def read_stated(
    settings: list[str] | None, tolerance: float | None, agreement: float | None
) -> dict[str, Any]:
    """Fields that a command states in place of the spec's; an accuracy stands in place of shots.

    Args:
        settings: Texts ``KEY=VALUE``.
        tolerance: AUC that may be lost.
        agreement: Share of answers that must be the exact model's.

    Raises:
        JobError: If a text is not of that form, or an accuracy is out of range.
    """
    from qvit_qiskit.runs.overrides import read_settings
    from qvit_qiskit.runs.planning.request import Accuracy

    fields = read_settings(settings or [])
    accuracy = {"tolerance": tolerance, "agreement": agreement}
    stated = {name: value for name, value in accuracy.items() if value is not None}
    if stated:  # in place of what the spec asks, shots among it
        Accuracy(**{**dict.fromkeys(accuracy), **stated})
        planned = dict.fromkeys([*accuracy, "quiet_shots", "quiet_projections"])
        fields = {"shots": "auto", **planned, **fields, **stated}
    return fields


def estimate(
    job: JobFile,
    checkpoint: CheckpointFile = None,
    tolerance: Tolerance = None,
    agreement: Agreement = None,
    settings: Settings = None,
    data_root: DataRoot = None,
    backends_dir: BackendsDir = None,
    json: AsJson = False,
) -> None:
    """Price a job offline: executions, QPU seconds, money. Nothing is sent.

    Example: qvit estimate first-run
    """
    screen.load("qvit_qiskit.runs")
    from qvit_qiskit.runs.job import read_job

    stated = read_stated(settings, tolerance, agreement)
    with screen.steps("planning") as step:
        read = read_job(job, checkpoint, backends_dir, stated, data_root, step)
        expected = _expected(read, data_root, step)
    rows = facts(read, expected)
    if json:
        price = read.most
        values: dict[str, Any] = {
            "seconds": price.seconds,
            "executions": price.executions,
            "jobs": price.jobs,
        }
        first = read.first_share
        if first is not None:
            values |= {"first_share_seconds": first.seconds, "adaptive": True}
            values["expected"] = None if isinstance(expected, str) else asdict(expected)
        screen.as_json({**values, "budget_seconds": read.spec.budget_seconds, "facts": rows})
    else:
        screen.facts(f"{job} (estimate)", rows)
    read.check_budget()


def _expected(job: Job, data_root: Path | None, tick: Callable[[str], None]) -> ExpectedPrice | str:
    """What adaptive shots will probably cost, or why that is not known."""
    from qvit_qiskit.exceptions import CircuitError, DataError, RouteError

    try:
        return job.expected_price(data_root, tick) or ""
    # the rest of an estimate needs neither images nor circuits that can be simulated
    except (CircuitError, DataError, RouteError) as error:
        return str(error)


def facts(job: Job, expected: ExpectedPrice | str = "") -> dict[str, Any]:
    """What a person wants to know before sending a job.

    Args:
        job: Read and priced.
        expected: What its adaptive shots will probably cost, or why that is not known.
    """
    from qvit_qiskit.devices.prices import MAX_SUBMISSIONS_PER_MINUTE, prices

    price, profile = job.most, job.profile
    each = price.timing
    money = [f"{plan} {price.money(plan):.2f}" for plan in prices()["per_second"]]
    most = "at most " if job.spec.adaptive else ""
    anchors = {"of them for anchor rows": f"{price.anchor_executions:,}, again in every job"}
    return {
        "profile": job.written.found.path,
        "device": f"{profile.device}, priced as {job.price.snapshot}",
        "images": str(job.price.images),
        "rows (circuits)": f"{price.rows:,} in {price.stages} stage(s)",
        "layout": "; ".join(c.describe() for c in job.price.compiled),
        "shots per circuit": f"{price.shots:,} at resilience level {profile.resilience_level}",
        **_shares(job, expected),
        "executions": f"{most}{price.executions:,}",
        **(job.plan.facts() if job.plan else {}),
        **(anchors if price.anchor_executions else {}),
        "without copies side by side": f"{job.price.unpacked:,}",
        "with a stock EstimatorQNN": f"{job.price.stock:,}",
        "one execution": f"{1e6 * each.execution:.1f} µs, {1e6 * each.rep_delay:.0f} of them delay",
        "jobs": f"{price.jobs} (at most {MAX_SUBMISSIONS_PER_MINUTE} may be sent a minute)",
        "QPU time": f"{most}{price.seconds:,.1f} s",
        "of the Open plan's ten minutes": f"{price.open_plan_share:.1%}",
        f"price, {prices()['currency']} as of {prices()['date']}": ", ".join(money),
        "budget": f"{job.spec.budget_seconds:g} s",
    }


def _shares(job: Job, expected: ExpectedPrice | str) -> dict[str, str]:
    """What is known of unequal shots before any is measured; empty where shots are equal."""
    first, spec, quiet = job.first_share, job.spec, job.price.quiet
    if quiet is not None:
        numbers = ", ".join(map(str, quiet.projections))
        return {"quiet projections": f"{numbers}: {job.price.estimate.quiet_shots:,} shots each"}
    if first is None:
        return {}
    return {
        "adaptive shots": f"{first.shots:,} for all rows, then up to {job.price.estimate.shots:,} "
        f"for images whose answer is not settled with a certainty of {spec.certainty:g}",
        "first share": f"{first.executions:,} executions, {first.seconds:,.1f} s",
        **({"expected": _in_words(expected)} if expected else {}),
    }


def _in_words(expected: ExpectedPrice | str) -> str:
    if isinstance(expected, str):
        return f"not known: {expected}"
    return (
        f"{expected.seconds:,.1f} s, in nine runs of ten between {expected.low:,.1f} and "
        f"{expected.high:,.1f}; {expected.shots:,.0f} shots a row in the mean, "
        f"{expected.unsettled:,.1f} images not settled"
    )
