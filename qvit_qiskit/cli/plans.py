"""``qvit plan``."""

from __future__ import annotations

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
    read_stated,
)
from qvit_qiskit.cli.options import AsJson, BackendsDir, DataRoot

if TYPE_CHECKING:
    from qvit_qiskit.runs.planning.chosen_plan import RunPlan


def plan(
    job: JobFile,
    checkpoint: CheckpointFile = None,
    tolerance: Tolerance = None,
    agreement: Agreement = None,
    settings: Settings = None,
    out: Annotated[
        Path | None, typer.Option(help="A folder for the planned spec, a picture and JSON.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace what --out holds of an earlier plan.")
    ] = False,
    data_root: DataRoot = None,
    backends_dir: BackendsDir = None,
    json: AsJson = False,
) -> None:
    """Find the cheapest way to run a job that keeps a stated accuracy. Nothing is sent.

    Shots, copies on the chip, resilience level and readout are chosen on the device's snapshot,
    but for those that the spec, the profile or --set states. Labels are not used.

    Example: qvit plan first-run --tolerance 0.02
    """
    screen.load("qvit_qiskit.runs")
    from qvit_qiskit.runs.job import read_written
    from qvit_qiskit.runs.planning.plan_folder import check_free, write_plan
    from qvit_qiskit.zoo.names import shown_name

    stated = read_stated(settings, tolerance, agreement)
    written = read_written(job, checkpoint, backends_dir, stated)
    if out is not None:
        check_free(out, overwrite=overwrite)
    with screen.steps("planning") as step:
        chosen = written.plan(data_root, tick=step)
    files = write_plan(out, chosen, written) if out is not None else []
    if json:
        screen.as_json({**chosen.record(), "files": files})
        return
    show_plan(chosen)
    if out is not None:
        screen.lines(
            [f"Send it: qvit submit {files[0]} --checkpoint {shown_name(written.checkpoint.path)}"]
        )


def show_plan(chosen: RunPlan) -> None:
    """The answer first, then the options around it.

    Args:
        chosen: The plan.
    """
    from qvit_qiskit.runs.planning.chosen_plan import rows_of

    screen.lines(chosen.lines())
    screen.table("Candidates, cheapest first", rows_of(chosen.shown(16), chosen.choice))
