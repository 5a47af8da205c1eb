"""``qvit study``."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qvit_qiskit.cli import screen
from qvit_qiskit.cli.options import AsJson, BackendsDir, DataRoot
from qvit_qiskit.shipped import named_spec

if TYPE_CHECKING:
    from qvit_qiskit.study import Cell, Plan, Summary, Watcher
    from qvit_qiskit.study.running.pool import Executor
    from qvit_qiskit.study.running.tasks import Outcome

DEFAULT_OUT = Path("checkpoints")


def study_file(place: Path) -> Path:
    """A study spec's file: by its path, or by its name where it came with the package."""
    return named_spec("docs/studies", place)


StudyFile = Annotated[
    Path,
    typer.Argument(
        help="A study spec, see docs/study.md; or the name of one of the package, e.g. tiny.",
        callback=study_file,
    ),
]
Workers = Annotated[
    int | None, typer.Option(min=1, help="Processes of this machine; by default one a core.")
]
Scheduler = Annotated[
    str | None, typer.Option(help="A Dask scheduler, e.g. tcp://HOST:8786, instead of processes.")
]
Tables = Annotated[
    Path | None, typer.Option(help="Write tables of what is finished into a folder; run nothing.")
]
Freeze = Annotated[
    bool, typer.Option("--freeze", help="Write the configuration's hash to a file; run nothing.")
]


def study(
    spec: StudyFile,
    out: Annotated[
        Path | None, typer.Option(help="The study's folder; checkpoints/study-NAME by default.")
    ] = None,
    workers: Workers = None,
    scheduler: Scheduler = None,
    retry: Annotated[
        int, typer.Option(min=0, help="How often to try failed cells again in this call.")
    ] = 0,
    freeze: Freeze = False,
    tables: Tables = None,
    data_root: DataRoot = None,
    backends_dir: BackendsDir = None,
    json: AsJson = False,
) -> None:
    """Train and judge a grid of models; what is finished is never computed again.

    Example: qvit study docs/studies/tiny.toml --workers 2

    Interrupted or killed, the same command goes on. Its tables: qvit study SPEC --tables FOLDER
    """
    _check(workers, scheduler, freeze, tables, retry)
    folder = out or DEFAULT_OUT / f"study-{spec.stem}"
    screen.load("qvit_qiskit.study")
    if tables is not None:
        _tables(spec, folder, out, tables, json)
        return
    from qvit_qiskit.data import medmnist
    from qvit_qiskit.study import Places, make_plan

    # workers may run elsewhere: what this process means goes with every cell
    places = Places(medmnist.data_root(data_root), backends_dir and backends_dir.absolute())
    with screen.steps("planning"):
        plan = make_plan(spec, places)
    if freeze:
        _freeze(plan, json)
        return
    try:
        summary = _run(plan, folder, _executor(workers, scheduler), retry, json)
    except KeyboardInterrupt:
        print("interrupted; finished cells and epochs are kept.", file=sys.stderr)
        print(f"continue:  {shlex.join(_again(spec, out))}", file=sys.stderr)
        raise typer.Exit(130) from None
    _report(plan, folder, summary, out, json)
    if summary.failed:
        raise typer.Exit(1)


def _check(
    workers: int | None, scheduler: str | None, freeze: bool, tables: Path | None, retry: int
) -> None:
    """Refuse what does not go together before anything is looked up."""
    from qvit_qiskit.exceptions import JobError

    if workers is not None and scheduler is not None:
        raise JobError(
            "Expected --workers or --scheduler: a Dask cluster brings its own workers. Leave one "
            "out."
        )
    if freeze and tables is not None:
        raise JobError("Expected --freeze or --tables, one after the other. Leave one out.")
    given = {"--workers": workers, "--scheduler": scheduler, "--retry": retry}
    for name, value in given.items():
        if value and (freeze or tables is not None):  # 0 retries are the default, and no wish
            other = "--freeze" if freeze else "--tables"
            raise JobError(f"{other} runs nothing, so {name} has no effect. Leave it out.")


def _again(spec: Path, out: Path | None) -> list[str]:
    """The command of this study."""
    return ["qvit", "study", str(spec), *(["--out", str(out)] if out else [])]


def _tables(spec: Path, folder: Path, out: Path | None, target: Path, json: bool) -> None:
    from qvit_qiskit.study.results.output import write_tables

    command = [*_again(spec, out), "--tables", str(target)]
    with screen.steps("making tables"):
        written = write_tables(spec, folder, target, command)
    if json:
        screen.as_json({"folder": folder, "files": [str(path) for path in written]})
        return
    for path in written:
        print(path)


def _freeze(plan: Plan, json: bool) -> None:
    from qvit_qiskit.study import freeze

    path = freeze(plan)
    if json:
        screen.as_json({"configuration": plan.configuration, "file": path})
        return
    print(f"configuration {plan.configuration}")
    print(f"frozen in {path}: commit it before the first evaluation on a test split.")


def _executor(workers: int | None, scheduler: str | None) -> Executor:
    from qvit_qiskit.study import Pool

    if scheduler is not None:
        from qvit_qiskit.study.running.dask import Dask

        return Dask(scheduler)
    return Pool(workers or _cores())  # one thread each


def _cores() -> int:
    """Cores that this process may use."""
    known = getattr(os, "sched_getaffinity", None)
    return len(known(0)) if known else os.cpu_count() or 1


def _run(plan: Plan, folder: Path, executor: Executor, retry: int, json: bool) -> Summary:
    from qvit_qiskit.study import run_study

    with _watching(quiet=json) as watcher:
        return run_study(plan, folder, executor, retry=retry, watcher=watcher)


@contextmanager
def _watching(quiet: bool) -> Iterator[Watcher]:
    """A bar over all epochs of the grid, weighed by images; above it a line per finished cell."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn
    from rich.progress import TimeRemainingColumn as Left

    from qvit_qiskit.study import Watcher

    console = Console(stderr=True)
    bar = Progress(
        SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(),
        TextColumn("{task.fields[cells]} cells, time left"), Left(),
        console=console, disable=not console.is_terminal,
    )  # fmt: skip
    shown: dict[str, Any] = {}
    shares: dict[str, float] = {}

    def begin(cells: list[Cell], attempt: int) -> None:
        shares.clear()  # a cell that is tried again begins anew
        shown["left"], shown["all"] = len(cells), len(cells)
        label = f"retry {attempt}" if attempt else "study"
        shown["task"] = bar.add_task(
            label, total=sum(c.work for c in cells), cells=f"0/{len(cells)}"
        )

    def progress(cell: Cell, share: float) -> None:
        # epochs of large sets count for more
        bar.advance(shown["task"], cell.work * (share - shares.get(cell.key, 0.0)))
        shares[cell.key] = share

    def end(cell: Cell, outcome: Outcome) -> None:
        progress(cell, 1.0)
        shown["left"] -= 1
        count = f"{shown['all'] - shown['left']}/{shown['all']}"
        bar.update(shown["task"], cells=count)
        line = f"{count}  {cell.label}: {outcome.state} in {outcome.seconds:.1f} s"
        if outcome.state != "done":
            line = f"{count}  {cell.label}: {outcome.state}. {outcome.reason}"
        if not quiet:
            _say(bar, line, failed=outcome.state != "done")

    with bar:
        yield Watcher(begin, _teaching(bar), progress, end)  # type: ignore[arg-type]


def _teaching(bar: Any) -> Callable[[str, int], Callable[[int], None]]:
    def teaching(label: str, images: int) -> Callable[[int], None]:
        task = bar.add_task(label, total=images, cells="0")
        return lambda done: bar.advance(task, done)

    return teaching


def _say(bar: Any, line: str, failed: bool) -> None:
    """A line on the screen, above the bar if there is one."""
    if not bar.disable:
        bar.console.print(line, markup=False, highlight=False, soft_wrap=True)
    else:
        print(line, file=sys.stderr if failed else sys.stdout, flush=True)


def _report(plan: Plan, folder: Path, summary: Summary, out: Path | None, json: bool) -> None:
    from qvit_qiskit.study.results.findings import read_findings
    from qvit_qiskit.study.results.frames import score_frame

    with screen.steps("scoring"):
        # What is finished is shown, also of a study that was interrupted.
        frame = score_frame(read_findings(folder))
    if json:
        screen.as_json(
            {
                "folder": folder,
                "configuration": plan.configuration,
                "cells": summary.cells,
                "finished before": summary.found,
                "finished now": summary.done,
                "failed": [_failure(plan, outcome) for outcome in summary.failed],
                "scores": frame.to_dict("records"),
            }
        )
        return
    if len(frame):
        screen.table(f"{plan.path.stem}, {plan.spec.split} split", [*map(_row, _lines(frame))])
    print(
        f"{summary.found + summary.done} of {summary.cells} cells are finished in {folder} "
        f"({summary.done} by this call, {len(summary.failed)} failed)."
    )
    command = _again(plan.path, out)
    if summary.failed:
        print(f"try again: {shlex.join(command)}")
    else:
        print(f"tables:    {shlex.join([*command, '--tables', 'tables'])}")


def _failure(plan: Plan, outcome: Outcome) -> dict[str, str]:
    labels = {cell.key: cell.label for cell in plan.cells}
    return {"cell": labels[outcome.key], "key": outcome.key, "reason": outcome.reason}


def _lines(frame: Any) -> list[dict[str, Any]]:
    return list(frame.to_dict("records"))


def _row(line: dict[str, Any]) -> dict[str, Any]:
    """A line of the scores, narrow enough for eighty columns."""
    row = {"set": line["set"], "model": line["model"], "heads": line["heads"]}
    row |= {"qubits": line["qubits"], "regime": line["regime"]}
    for metric in ("AUC", "ACC"):
        around = f" ± {line[f'{metric} sd']:.3f}" if line["seeds"] > 1 else ""
        row[metric] = f"{line[metric]:.3f}{around}"
    return row
