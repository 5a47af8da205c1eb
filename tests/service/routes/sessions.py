"""Sessions and batches."""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING, Any

from .. import billing, sessions
from ..clock import seconds, stamp
from ..store import Record
from ..wire import ApiError, Request, Response
from .backends import find

if TYPE_CHECKING:
    from ..app import App


def create(app: App, request: Request) -> Response:
    """POST /sessions: mode ``"batch"`` or ``"dedicated"``, which the Open plan has not."""
    instance = app.accounts.check(request)
    asked = request.json()
    mode = asked.get("mode")
    if mode not in ("batch", "dedicated"):
        raise ApiError(400, 1000, "The mode of a session is 'batch' or 'dedicated'.")
    if mode == "dedicated" and instance.plan == "open":
        raise ApiError(
            400,
            1352,
            "You are not authorized to run a session when using the open plan.",
            "Create an instance of a different plan type or use a different execution mode.",
        )
    now = time.time()
    record = {
        "id": str(uuid.uuid4()),
        "crn": instance.crn,
        "mode": mode,
        "backend": find(app, str(asked.get("backend"))).name,
        "max_ttl": int(asked.get("max_ttl") or 28_800),
        "interactive_ttl": app.settings.interactive_ttl if mode == "dedicated" else 1.0,
        "state": "open",
        "accepting_jobs": True,
        "created": now,
        "activated": None,
        "closed": None,
        "timestamps": [{"status": "open", "timestamp": stamp(now)}],
    }
    app.store.add("sessions", record)
    return Response.of(view(app, record))


def workloads(app: App, request: Request) -> Response:
    """GET /workloads: batches and sessions, newest first; the platform lists jobs there, too."""
    instance = app.accounts.check(request)
    with app.store.lock:
        known = [each for each in app.store.sessions.values() if each["crn"] == instance.crn]
    after, before = request.one("created_after"), request.one("created_before")
    mode = request.one("mode")
    shown = [
        _workload(app, each)
        for each in sorted(known, key=lambda each: -each["number"])
        if (not after or each["created"] >= seconds(after))
        and (not before or each["created"] <= seconds(before))
        and mode in (None, _mode(each))
    ]
    limit = int(request.one("limit") or 10)
    return Response.of({"workloads": shown[:limit], "total_count": len(shown), "limit": limit})


def _mode(session: Record) -> str:
    """What the list of workloads calls a session's mode."""
    return {"dedicated": "session"}.get(session["mode"], session["mode"])


def _workload(app: App, session: Record) -> dict[str, Any]:
    sessions.settle(app.store, session)
    status = {"closed": "completed", "active": "in_progress"}.get(session["state"], "pending")
    return {
        "id": session["id"],
        "created": stamp(session["created"]),
        "ended": stamp(session["closed"]),
        "backend": session["backend"],
        "instance": session["crn"],
        "user_id": "IBMid-loopback",
        "accepting_jobs": session["accepting_jobs"],
        "mode": _mode(session),
        "status": status,
    }


def details(app: App, request: Request, identifier: str) -> Response:
    """GET /sessions/{id}."""
    return Response.of(view(app, _own(app, request, identifier)))


def update(app: App, request: Request, identifier: str) -> Response:
    """PATCH /sessions/{id}: the client's ``close()``; queued jobs still run."""
    session = _own(app, request, identifier)
    if request.json().get("accepting_jobs") is False:
        sessions.drain(app.store, session)
    return Response(204)


def close(app: App, request: Request, identifier: str) -> Response:
    """DELETE /sessions/{id}/close: the client's ``cancel()``; queued jobs will not run."""
    sessions.close(app.store, _own(app, request, identifier), "closed by the user")
    return Response(204)


def view(app: App, session: Record) -> dict[str, Any]:
    """A session as the platform tells of it."""
    sessions.settle(app.store, session)
    jobs = sessions.jobs_of(app.store, session)
    return {
        "id": session["id"],
        "backend_name": session["backend"],
        "mode": session["mode"],
        "state": session["state"],
        "state_reason": session.get("why", ""),
        "accepting_jobs": session["accepting_jobs"],
        "interactive_ttl": session["interactive_ttl"],
        "active_ttl": session["max_ttl"],
        "max_ttl": session["max_ttl"],
        "started_at": stamp(session["created"]),
        "activated_at": stamp(session["activated"]),
        "closed_at": stamp(session["closed"]),
        "last_job_started": stamp(max((job["running"] or 0 for job in jobs), default=0) or None),
        "last_job_completed": stamp(max((job["finished"] or 0 for job in jobs), default=0) or None),
        "elapsed_time": billing.elapsed(session, jobs),
        "timestamps": session["timestamps"],
    }


def _own(app: App, request: Request, identifier: str) -> Record:
    instance = app.accounts.check(request)
    session = app.store.sessions.get(identifier)
    if session is None or session["crn"] != instance.crn:
        raise ApiError(404, "not_found", f"Session {identifier} not found.")
    return session


ROUTES = [
    ("GET", r"/workloads", workloads),
    ("POST", r"/sessions", create),
    ("GET", r"/sessions/([^/]+)", details),
    ("PATCH", r"/sessions/([^/]+)", update),
    ("DELETE", r"/sessions/([^/]+)/close", close),
]
