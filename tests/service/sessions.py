"""Batches and sessions: what states they go through."""

from __future__ import annotations

import time
from typing import Any

from .clock import stamp
from .store import TERMINAL, Record, Store


def jobs_of(store: Store, session: Record) -> list[Record]:
    """The jobs of a session in the order of their creation."""
    with store.lock:
        return [job for job in store.jobs.values() if job["session_id"] == session["id"]]


def activate(store: Store, session: Record, now: float) -> None:
    """A job of the session starts."""
    if session["state"] != "active":
        activated = session["activated"] or now
        _move(store, session, "active", now, activated=activated)


def settle(store: Store, session: Record) -> None:
    """Apply what time and finished jobs do to a session."""
    now = time.time()
    if session["state"] == "closed":
        return
    jobs = jobs_of(store, session)
    pending = any(job["status"] not in TERMINAL for job in jobs)
    if now > session["created"] + session["max_ttl"]:
        close(store, session, "max_ttl reached")
    elif not session["accepting_jobs"] and not pending:
        _move(store, session, "closed", now, closed=now)
    elif session["state"] == "active" and not pending:
        last = max((job["finished"] or 0 for job in jobs), default=now)
        if now > last + session["interactive_ttl"]:
            _move(store, session, "inactive", last + session["interactive_ttl"])


def drain(store: Store, session: Record) -> None:
    """Take no more jobs; those that are queued still run."""
    store.update(session, accepting_jobs=False)
    settle(store, session)


def close(store: Store, session: Record, reason: str) -> None:
    """Close at once: queued jobs will not run."""
    now = time.time()
    with store.lock:
        if session["state"] != "closed":
            _move(store, session, "closed", now, closed=now, accepting_jobs=False, why=reason)
        for job in jobs_of(store, session):
            store.change(
                job,
                lambda j: j["status"] == "Queued",
                status="Failed",
                reason="Session has been closed.",
                reason_code=1217,
                finished=now,
            )


def _move(store: Store, session: Record, state: str, now: float, **changes: Any) -> None:
    timestamps = [*session["timestamps"], {"status": state, "timestamp": stamp(now)}]
    store.update(session, state=state, timestamps=timestamps, **changes)
