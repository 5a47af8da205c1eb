"""Many runs struck by faults at once: each in a process of its own, beside a service of its own.

A struck run mostly waits for answers that do not come, so a few processes share a core well.
"""

from __future__ import annotations

import multiprocessing
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from service_tests.victim import CALL_FAULTS, CALLS, JOB_FAULTS, MOMENTS, ordeal

if TYPE_CHECKING:
    from service.handle import Service

    from qvit_qiskit.exceptions import QvitError

PROCESSES = 6


@dataclass(frozen=True)
class Trial:
    """One run and what strikes it."""

    call: str
    fault: str
    options: Mapping[str, Any]
    moment: str = "before"
    mode: str = "session"

    def __str__(self) -> str:
        options = " ".join(f"{key}={value}" for key, value in self.options.items())
        return f"{self.call or 'a job'}: {self.fault} {options}, {self.moment}, {self.mode} mode"


@dataclass(frozen=True)
class Outcome:
    """How a trial ended."""

    trial: Trial
    errors: list[QvitError] | None = field(default_factory=list)
    """What ended commands; None if the call was not made after the moment."""
    failure: str = ""


LATER = (
    "GET /backends/*/status",
    "GET /instances/usage",
    "POST /jobs",
    "GET /jobs",
    "GET /jobs/*",
    "GET /jobs/*/results",
    "GET /jobs/*/metrics",
    "PATCH /sessions/*",
    "GET /sessions/*",
)
"""Calls that a run still makes when its first job was accepted."""


def moments(call: str) -> tuple[str, ...]:
    """The moments at which a call can be struck: some are made at the beginning only."""
    return MOMENTS if call in LATER else MOMENTS[:1]


def every_trial(mode: str = "session") -> list[Trial]:
    """Every fault at every call at every moment."""
    return [
        Trial(call, fault, options, moment, mode)
        for call in CALLS
        for moment in moments(call)
        for fault, options in CALL_FAULTS
    ]


def job_trials(mode: str) -> list[Trial]:
    """Every fault of a job."""
    return [Trial("", fault, options, mode=mode) for fault, options in JOB_FAULTS]


def share(every: int = 6) -> list[Trial]:
    """One fault of so many for each call and moment; at each moment every fault strikes some call.

    Args:
        every: At most the nine calls that are made at every moment.
    """
    return [
        Trial(call, fault, options, moment)
        for shift, moment in enumerate(MOMENTS)
        for place, call in enumerate(call for call in CALLS if moment in moments(call))
        for number, (fault, options) in enumerate(CALL_FAULTS)
        if (number + place + 2 * shift) % every == 0
    ]


def outcomes(trials: Iterable[Trial], processes: int = PROCESSES) -> Iterator[Outcome]:
    """Try all, in their order."""
    context = multiprocessing.get_context("spawn")
    with (
        tempfile.TemporaryDirectory() as folder,
        ProcessPoolExecutor(processes, context, _begin, (folder,)) as pool,
    ):
        yield from pool.map(_try, trials)


_service: Service
_folder: Path


def _begin(folder: str) -> None:
    global _service, _folder
    import torch
    from service.handle import start_service
    from urllib3.util.retry import Retry

    torch.set_num_threads(1)
    Retry.sleep = lambda self, response=None: None  # type: ignore[method-assign]  # no pauses
    _folder = Path(tempfile.mkdtemp(dir=folder))
    _service = start_service(_folder / "store")  # it ends with this process
    _service.wait_ready()
    os.environ.update(_service.environment)


def _try(trial: Trial) -> Outcome:
    profile = _folder / f"{trial.mode}.toml"
    profile.write_text(f'kind = "ibm"\ndevice = "ibm_torino"\nmode = "{trial.mode}"\nshots = 32\n')
    folder = Path(tempfile.mkdtemp(dir=_folder)) / "run"
    options = ({"call": trial.call} if trial.call else {}) | dict(trial.options)
    layers = 2 if trial.moment == "after" else 1  # after a stage there is another one
    _service.begin_period()
    try:
        errors = ordeal(_service, folder, str(profile), trial.fault, options, trial.moment, layers)
        return Outcome(trial, errors)
    except Exception as error:
        with suppress(Exception):
            _service.clear()
        return Outcome(trial, failure=f"{type(error).__name__}: {error}"[:1000])
