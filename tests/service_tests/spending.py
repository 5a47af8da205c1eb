"""Runs of a small network with bills, kills and failures at random: does the budget hold?"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from service import billing
from service_tests.victim import Audit, images, network

from qvit_qiskit.exceptions import QvitError
from qvit_qiskit.hardware.events import Event, Finish, JobBill
from qvit_qiskit.hardware.journal import Journal
from qvit_qiskit.hardware.ledger import ledger_of
from qvit_qiskit.ibm.calls import Patience
from qvit_qiskit.runs import Status, resume, submit

if TYPE_CHECKING:
    from service.handle import Service

SOON = Patience(deadline=20.0, outage=2.0, settle=0.3, poll=0.1)


def begin(folder: Path, backend: str, budget: float = 60.0, layers: int = 1, **keys: Any) -> Status:
    """Submit the small run and wait for it.

    Args:
        folder: Of the run.
        backend: The profile.
        budget: QPU seconds.
        layers: Quantum layers of the network.
        **keys: Further arguments of `submit`.
    """
    keys = {"budget_seconds": budget, "wait": True, "patience": SOON} | keys
    return submit(network(layers), images(3), backend, folder, **keys)


def go_on(folder: Path, **keys: Any) -> Status:
    """Resume the small run and wait for it."""
    return resume(folder, network(), **({"wait": True, "patience": SOON} | keys))


def billed(audit: Audit) -> float:
    """What the service has charged since an audit began: jobs, and sessions by their clock."""
    jobs, sessions = audit.jobs(), audit.sessions()
    return sum(billing.consumed(crn, jobs, sessions) for crn in {job["crn"] for job in jobs})


class Killed(BaseException):
    """Ends a run in the middle, as a kill does: nothing catches it."""


@contextmanager
def killed(step: int | None, *, before: bool) -> Iterator[None]:
    """Let the run die at a step of its journal, before or after the event is on the disk."""
    steps = iter(range(10_000))
    original = Journal.append

    def append(journal: Journal, event: Event) -> Event:
        doomed = next(steps) == step
        if doomed and before:
            raise Killed
        written = original(journal, event)
        if doomed:
            raise Killed
        return written

    with pytest.MonkeyPatch.context() as patch, suppress(Killed):
        patch.setattr(Journal, "append", append)
        yield


def trial(
    service: Service, folder: Path, backend: str, mode: str, rng: np.random.Generator
) -> None:
    """One run with random bills, kills and failures, gone on with until it is finished or not.

    Raises:
        AssertionError: If more was billed than the budget, or a finished result was lost.
    """
    budget = float(rng.uniform(5, 40))
    finished: set[str] = set()
    audit = Audit(service)
    service.configure(billing_delay=float(rng.choice([0.0, 0.3, 1e9])))
    for attempt in range(int(rng.integers(3, 7))):
        service.clear()
        service.configure(
            bill_factor=float(rng.uniform(0.3, 5.0)), bill_surcharge=float(rng.choice([0.0, 2.0]))
        )
        fault = rng.choice(["none", "job_failure", "cancel", "drop", "late_listing", "status"])
        if fault in ("job_failure", "cancel"):
            service.inject(fault, charged=float(rng.uniform(0, 9)))
        elif fault == "drop":
            service.inject("drop", call="POST /jobs", when=str(rng.choice(["before", "after"])))
        elif fault == "late_listing":
            service.inject("late_listing", seconds=1.0)
            service.inject("drop", call="POST /jobs", when="after")
        elif fault == "status":
            service.inject("status", call="POST /jobs", code=500, creates=bool(rng.random() < 0.5))
        state = ""
        step = int(rng.integers(4, 30)) if rng.random() < 0.5 else None
        with killed(step, before=bool(rng.random() < 0.5)), suppress(QvitError):
            if attempt == 0:
                state = begin(folder, backend, budget, max_loss=0.001).state
            else:
                state = go_on(folder, resubmit=bool(rng.random() < 0.5)).state
        if state == "finished":
            break
        journal = Journal.open(folder)
        done = {event.chunk for event in journal.of(Finish)}
        assert finished <= done
        finished = done
        charged = billed(audit)
        assert charged <= budget + 1e-9, (mode, budget, charged)
    service.clear()
    service.configure(billing_delay=0.0)
    time.sleep(0.05)
    service.wait_idle()
    assert billed(audit) <= budget + 1e-9
    journal = Journal.open(folder)
    ledger = ledger_of(journal, budget)
    jobs = [event.job for event in journal.of(JobBill)]
    assert len(jobs) == len(set(jobs))  # none is on the bill twice
    assert ledger.billed + ledger.reserved <= budget + 1e-9 or not ledger.charges
