"""``qvit watch``, and what an interrupted wait says."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qvit_qiskit.cli import screen

if TYPE_CHECKING:
    from qvit_qiskit.runs import Status

INTERRUPTED = 130
"""Exit code of a command that was stopped with Ctrl-C, as shells have it."""


def watch(
    runs: Annotated[
        list[Path] | None, typer.Argument(help="Folders of runs; without any, list runs/.")
    ] = None,
    hours: Annotated[
        float, typer.Option(min=0.0, help="Hours that the service may fail without a break.")
    ] = 6.0,
    notify: Annotated[
        str | None,
        typer.Option(help="A command to run at the end, with the runs' folders as arguments."),
    ] = None,
    patience: Annotated[
        float, typer.Option(min=0.1, help="Seconds that a single call may keep failing.")
    ] = 30.0,
) -> None:
    """Follow runs until they are finished: fetch what is done, send the next quantum layers.

    Example: qvit watch runs/hello-hardware-20261122-160000 --notify ./tell-me.sh
    """
    screen.load("qvit_qiskit.runs")
    from qvit_qiskit.exceptions import ServiceError
    from qvit_qiskit.ibm.calls import Patience
    from qvit_qiskit.runs import watch as follow

    if not runs:
        _list(Path("runs"))
        return
    lines: dict[Path, str] = {}

    with interruptible(*runs), screen.watching("watching") as show:

        def tick(folder: Path, state: Status, problem: str) -> None:
            line = f"{folder}: {_line(state)}" + (f"; {problem}" if problem else "")
            if lines.get(folder) != line:
                lines[folder] = line
                show(line)

        ends = follow(runs, outage=3600 * hours, patience=Patience.of(patience), tick=tick)
    failed = [end for end in ends if end.error]
    for end in failed:
        print(f"error: {end.error}", file=sys.stderr)
    if notify:
        subprocess.run([notify, *(str(end.run) for end in ends)], check=False)
    if failed:
        service = all(isinstance(end.error, ServiceError) for end in failed)
        raise typer.Exit(1 if service else 2)


def _list(folder: Path) -> None:
    """A line for each run in a folder."""
    from qvit_qiskit.exceptions import JobError
    from qvit_qiskit.hardware.run_reader import run_folders
    from qvit_qiskit.runs import status

    runs = run_folders(folder)
    if not runs:
        print(f"There are no runs in {folder}/. `qvit submit` begins one.")
    for run in runs:
        try:
            screen.line(f"{run}: {_line(status(run))}")
        except JobError as error:
            screen.line(f"{run}: {error}")


def _line(status: Status) -> str:
    """A run's state in a few words."""
    cost = f"{status.billed_seconds:.1f} QPU s billed"
    if status.rehearsed_seconds:
        cost = f"{status.rehearsed_seconds:.1f} QPU s estimated"
    return (
        f"{status.state}, quantum layer {status.stage} of {status.stages}, {status.jobs_done} of "
        f"{status.jobs} jobs, {cost} of {status.budget_seconds:g}"
    )


@contextmanager
def interruptible(*folders: Path) -> Iterator[None]:
    """Say what is out, what it may cost and how to go on when somebody presses Ctrl-C.

    Args:
        folders: Of the runs that are waited for.
    """
    try:
        yield
    except KeyboardInterrupt:
        print(file=sys.stderr)
        for folder in folders:
            print(_interruption(folder), file=sys.stderr)
        raise typer.Exit(INTERRUPTED) from None


def _interruption(folder: Path) -> str:
    from qvit_qiskit.exceptions import JobError
    from qvit_qiskit.runs import status

    try:
        state = status(folder)
    except JobError:
        return f"Stopped before anything of {folder} was sent."
    if state.state == "finished":
        return f"The run in {folder} is finished: `qvit status {folder}`."
    out = f"No job of {folder} is out"
    if state.jobs_out:
        out = f"{state.jobs_out} job(s) of {folder} are out"
    if state.reserved_seconds:
        ended = "" if state.jobs_out else "; those that have ended are not billed yet"
        out += f"{ended} and may still cost up to {state.reserved_seconds:.0f} QPU seconds"
    return (
        f"Stopped waiting. {out}; {state.billed_seconds:.1f} are billed. Go on with `qvit resume "
        f"{folder} --wait`, or stop its jobs with `qvit cancel {folder}`."
    )
