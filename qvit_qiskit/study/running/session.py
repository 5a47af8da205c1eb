"""Run a study: every cell once, whatever happens in between."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from qvit_qiskit.exceptions import JobError
from qvit_qiskit.study.cells import Cell
from qvit_qiskit.study.earlier_profiles import as_begun
from qvit_qiskit.study.folder import FORMAT, StudyFolder
from qvit_qiskit.study.frozen_configuration import check_frozen
from qvit_qiskit.study.plan import Plan
from qvit_qiskit.study.running.pool import Executor, in_process
from qvit_qiskit.study.running.tasks import CellTask, EpochProgress, Outcome, unevaluated, unplanned
from qvit_qiskit.study.running.teacher_answers import Teaching, teach


@dataclass
class Watcher:
    """What a caller hears of a running study; any of it may be left out.

    Example:
        >>> from pathlib import Path
        >>> from qvit_qiskit.study import Watcher, make_plan, run_study
        >>> watcher = Watcher(end=lambda cell, outcome: print(cell.model, "is done"))
        >>> _ = run_study(make_plan(Path("tiny.toml")), "tables", watcher=watcher)
        vit is done
        vit is done
    """

    begin: Callable[[Sequence[Cell], int], None] = lambda cells, attempt: None
    """The cells that will run; 0 for the first time, 1 for the first retry, …"""
    teaching: Teaching = lambda label, images: lambda done: None
    """A teacher is asked about so many images; returns what hears how many are done."""
    progress: Callable[[Cell, float], None] = lambda cell, share: None
    """A share of a cell's epochs is done."""
    end: Callable[[Cell, Outcome], None] = lambda cell, outcome: None
    """A cell is done with."""


@dataclass
class Summary:
    """What a call has done.

    Example:
        >>> from pathlib import Path
        >>> from qvit_qiskit.study import make_plan, run_study
        >>> summary = run_study(make_plan(Path("tiny.toml")), "tables")
        >>> summary.cells, summary.failed
        (2, [])
    """

    cells: int
    """How many the plan has."""
    found: int
    """Cells that were finished before."""
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    """The last one of every cell that ran, by key."""

    @property
    def failed(self) -> list[Outcome]:
        """The cells that are not finished."""
        return [outcome for outcome in self.outcomes.values() if outcome.state != "done"]

    @property
    def done(self) -> int:
        """Cells that this call has finished."""
        return len(self.outcomes) - len(self.failed)


def run_study(
    plan: Plan,
    folder: Path | str,
    executor: Executor = in_process,
    *,
    retry: int = 0,
    watcher: Watcher | None = None,
) -> Summary:
    """Finish every cell of a plan that is not finished in the folder.

    Args:
        plan: What to do.
        folder: Where; made if it is missing. Cells of another plan in it are left alone.
        executor: On what: `pool.Pool`, `dask.Dask`, or this process.
        retry: How often a failed cell is tried again at the end of this call.
        watcher: Hears what happens.

    Returns:
        What was done, cell by cell.

    Raises:
        JobError: If another process works on the folder, or the configuration is not the frozen
            one.
        ConfigError: If a teacher does not fit its data set.
        ProfileError: If a profile is missing by now, or malformed.
        RouteError: If a profile cannot be opened any more.
        KeyboardInterrupt: If interrupted; the next call goes on with the last epoch of each cell.

    Example:
        >>> from pathlib import Path
        >>> from qvit_qiskit.study import make_plan, run_study
        >>> run_study(make_plan(Path("tiny.toml")), "tables").done
        2
    """
    if retry < 0:
        raise JobError(f"Expected 0 or more retries, but got {retry}.")
    watcher, place = watcher or Watcher(), StudyFolder(Path(folder).absolute())
    plan = as_begun(plan, place)  # a study goes on with the profiles that it began with
    check_frozen(plan)
    place.check_format(cell.key for cell in plan.cells)  # a later version's folder stays untouched
    with place.session() as session:
        place.write_plan(plan.path.read_text(encoding="utf-8"), as_dict(plan))
        left = [cell for cell in plan.cells if _unfinished(place, plan, cell)]
        summary = Summary(len(plan.cells), len(plan.cells) - len(left))
        place.note("begun", cells=len(plan.cells), unfinished=len(left))
        for attempt in range(retry + 1):
            if left:
                watcher.begin(left, attempt)
                teach(plan, left, place, watcher.teaching)
                tasks = [_task(plan, cell, place, session) for cell in left]
                _attempt(executor, tasks, place, watcher, summary)
            left = [cell for cell in left if summary.outcomes[cell.key].state != "done"]
        place.note("ended", done=summary.done, failed=len(summary.failed))
    return summary


def _attempt(
    executor: Executor,
    tasks: Sequence[CellTask],
    place: StudyFolder,
    watcher: Watcher,
    summary: Summary,
) -> None:
    cells = {task.cell.key: task.cell for task in tasks}
    events = executor(tasks)
    try:
        for event in events:
            cell = cells[event.key]
            if isinstance(event, EpochProgress):
                watcher.progress(cell, event.share)
                continue
            place.note(event.state, label=cell.label, **asdict(event))
            summary.outcomes[cell.key] = event
            watcher.end(cell, event)
    except KeyboardInterrupt:
        place.note("interrupted")
        raise
    finally:
        with suppress(AttributeError):
            events.close()  # type: ignore[attr-defined]


def _unfinished(place: StudyFolder, plan: Plan, cell: Cell) -> bool:
    result = place.result(cell.key)
    if result is None:
        return True
    return bool(unevaluated(result, plan.profiles) or unplanned(result, cell, plan.devices))


def _task(plan: Plan, cell: Cell, place: StudyFolder, session: str) -> CellTask:
    return CellTask(
        cell, place.path, session, plan.profiles, plan.places, plan.configuration, plan.devices
    )


def as_dict(plan: Plan) -> dict[str, Any]:
    """A plan as the folder keeps it, for tables that need neither data nor teachers."""
    names = ("dataset", "model", "heads", "qubits", "regime", "seed", "fold", "label", "key")
    return {
        "format": FORMAT.number,
        "spec": plan.spec.model_dump(mode="json"),
        "configuration": plan.configuration,
        "profiles": [asdict(profile) for profile in plan.profiles],
        "devices": [{"name": device.name, "digest": device.digest} for device in plan.devices],
        "frozen": plan.spec.split == "test" and plan.spec.frozen is not None,
        "teachers": [
            list(pair)
            for pair in dict.fromkeys(
                (cell.teacher.digest, cell.source.md5) for cell in plan.cells if cell.teacher
            )
        ],
        "md5": {cell.dataset: cell.source.md5 for cell in plan.cells},
        "cells": [{name: getattr(cell, name) for name in names} for cell in plan.cells],
    }
