"""Follow runs until they are finished: fetch what is done, send what is next, outlast outages."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from qvit_qiskit.exceptions import JobError, QvitError, ServiceError
from qvit_qiskit.hardware.journal import Locked
from qvit_qiskit.ibm.calls import Patience
from qvit_qiskit.runs.run_status import Status, status
from qvit_qiskit.runs.submission import resume

UNCERTAIN_SECONDS = 600.0
"""How long a job whose submission was not answered is looked for before a person is asked."""


@dataclass(frozen=True)
class Watched:
    """What became of a run that was watched."""

    run: Path
    status: Status | None
    """Its last state; None where its folder cannot be read."""
    error: QvitError | None = None
    """Why it is no longer watched, if it is not finished."""


def watch(
    runs: Sequence[Path | str],
    *,
    outage: float = 6 * 3600.0,
    poll: float = 15.0,
    patience: Patience | None = None,
    tick: Callable[[Path, Status, str], None] | None = None,
) -> list[Watched]:
    """Follow runs until each is finished or needs a person.

    Every round goes on with each run as `resume` does, without waiting, so that `status` and
    `cancel` work in between. A failure of the service or the network is outlasted. Jobs that failed
    or were cancelled are not sent again: that is a person's to say.

    Args:
        runs: Folders of runs.
        outage: Seconds for which the service may fail without a break before a run is given up.
        poll: Seconds between two rounds, at most.
        patience: How long a single call may take and fail; by default short, as the rounds repeat.
        tick: Called after every look at a run, with its folder, its state and what failed, if
            anything (else an empty text).

    Returns:
        What became of the runs, in their order.

    Example:
        >>> from qvit_qiskit.runs import watch
        >>> [one.status.state for one in watch(["runs/mine"])]
        ['finished']
    """
    ends: dict[Path, Watched] = {}
    folders = list(dict.fromkeys(Path(run) for run in runs))
    failing: dict[Path, float] = {}
    uncertain: dict[Path, float] = {}
    patience = patience or Patience.of(30.0)
    pause = min(1.0, poll)
    while len(ends) < len(folders):
        for folder in folders:
            if folder in ends:
                continue
            end = _look(folder, outage, failing, uncertain, patience, tick)
            if end:
                ends[folder] = end
        if len(ends) < len(folders):
            time.sleep(pause)
            pause = min(1.5 * pause, poll)
    return [ends[folder] for folder in folders]


def _look(
    folder: Path,
    outage: float,
    failing: dict[Path, float],
    uncertain: dict[Path, float],
    patience: Patience,
    tick: Callable[[Path, Status, str], None] | None,
) -> Watched | None:
    """Go on with a run once; its end, if it came to one."""
    problem = ""
    error: QvitError | None = None
    try:
        state = resume(folder, wait=False, retry=False, patience=patience)
        failing.pop(folder, None)
    except ServiceError as caught:
        problem, error = str(caught), caught
        if time.monotonic() - failing.setdefault(folder, time.monotonic()) < outage:
            error = None
    except Locked as caught:
        problem = str(caught)
    except QvitError as caught:
        problem, error = str(caught), caught
    try:
        state = status(folder)
    except JobError as caught:
        return Watched(folder, None, caught)
    if state.state == "uncertain" and error and not isinstance(error, ServiceError):
        since = uncertain.setdefault(folder, time.monotonic())
        error = error if time.monotonic() - since > UNCERTAIN_SECONDS else None
    if tick:
        tick(folder, state, problem)
    finished = state.state == "finished"
    return Watched(folder, state, error) if finished or error else None
