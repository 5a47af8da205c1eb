"""What a job uses and what is charged, by the platform's documented formula."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from .settings import Settings
from .store import TERMINAL, Record

if TYPE_CHECKING:
    from .app import App


def usage(settings: Settings, items: Iterable[tuple[int, float]], rep_delay: float) -> float:
    """QPU seconds of a job: 2 s per sub-job + (rep_delay + circuit duration) x executions.

    Args:
        settings: Seconds and size of a sub-job.
        items: Executions and circuit duration in seconds of each item of the program.
        rep_delay: Delay between executions in seconds.
    """
    items = list(items)
    executions = sum(n for n, _ in items)
    size = settings.subjob_executions or executions or 1
    subjobs = max(1, math.ceil(executions / size))
    return settings.subjob_seconds * subjobs + sum(n * (rep_delay + d) for n, d in items)


def reported(job: Record, settings: Settings) -> dict[str, Any]:
    """The ``usage`` of a job's metrics: pending until its billing is final."""
    final = job["status"] in TERMINAL and time.time() >= (
        (job["finished"] or 0) + max(settings.billing_delay, job.get("billing_delay", 0.0))
    )
    return {
        "qpu_charge_time_seconds": job["charged"] if final else 0.0,
        "status": "complete" if final else "pending",
    }


def elapsed(session: Record, jobs: Iterable[Record]) -> float:
    """Seconds a session or batch has used.

    A batch uses what its jobs use. A session uses the wall clock while it is active; jobs count
    by their QPU seconds, for they run faster here, and idle time as it passes.
    """
    jobs = list(jobs)
    charged = sum(job["charged"] for job in jobs)
    if session["mode"] == "batch" or not session["activated"]:
        return charged
    end = session["closed"] or time.time()
    if not session["closed"] and not any(job["status"] == "Running" for job in jobs):
        last = max((job["finished"] or 0 for job in jobs), default=session["activated"])
        end = min(end, last + session["interactive_ttl"])
    busy = sum((job["finished"] or end) - job["running"] for job in jobs if job["running"])
    return charged + max(0.0, end - session["activated"] - busy)


def consumed(crn: str, jobs: Iterable[Record], sessions: Iterable[Record]) -> float:
    """Seconds that an instance has used: jobs and batches by job, sessions by their clock."""
    dedicated = {s["id"]: s for s in sessions if s["crn"] == crn and s["mode"] == "dedicated"}
    inside: dict[str, list[Record]] = {identifier: [] for identifier in dedicated}
    total = 0.0
    for job in jobs:
        if job["crn"] == crn and job["session_id"] in dedicated:
            inside[job["session_id"]].append(job)
        elif job["crn"] == crn:
            total += job["charged"]
    return total + sum(elapsed(dedicated[name], inside[name]) for name in dedicated)


def used(app: App, crn: str) -> float:
    """Seconds that an instance has used in this period."""
    with app.store.lock:
        jobs, sessions = list(app.store.jobs.values()), list(app.store.sessions.values())
    before = app.earlier_periods.get(crn, 0.0)
    return app.settings.consumed + consumed(crn, jobs, sessions) - before


def begin_period(app: App) -> None:
    """Let no instance have used anything yet, as on the first day of its 28."""
    with app.store.lock:
        jobs, sessions = list(app.store.jobs.values()), list(app.store.sessions.values())
    app.earlier_periods = {
        one.crn: consumed(one.crn, jobs, sessions) for one in app.accounts.instances
    }


def limit(settings: Settings, plan: str) -> float | None:
    """Seconds an instance may use, None without a limit."""
    if settings.allowance is not None:
        return settings.allowance
    return 600.0 if plan == "open" else None
