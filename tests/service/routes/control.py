"""What tests ask of the service itself; no part of the platform, no authentication."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from .. import billing, sessions
from ..faults import SERVICE_FAULTS
from ..store import TERMINAL
from ..wire import ApiError, Request, Response
from .jobs import remove, stop

if TYPE_CHECKING:
    from ..app import App


def health(app: App, request: Request) -> Response:
    """GET /_control/health."""
    return Response.of({"pid": os.getpid(), "ready": app.worker.ready, "busy": app.worker.busy})


def faults(app: App, request: Request) -> Response:
    """GET /_control/faults: the faults that are on, with their hits."""
    return Response.of([fault.told() for fault in app.faults.faults])


def inject(app: App, request: Request) -> Response:
    """POST /_control/faults: ``{"kind", "call", "count", "after", …}``."""
    asked = request.json()
    kind = str(asked.pop("kind", ""))
    if kind in SERVICE_FAULTS:
        app.accounts.expire()
        return Response.of({"kind": kind})
    try:
        return Response.of(app.faults.add(kind, asked).told())
    except ValueError as error:
        raise ApiError(400, "fault", str(error)) from None


def clear(app: App, request: Request) -> Response:
    """DELETE /_control/faults: no faults, nothing held."""
    app.faults.clear()
    app.worker.held = False
    return Response(204)


def jobs(app: App, request: Request) -> Response:
    """GET /_control/jobs: all records in the order of their creation, deleted ones too."""
    with app.store.lock:
        return Response.of(sorted(app.store.jobs.values(), key=lambda job: job["number"]))


def all_sessions(app: App, request: Request) -> Response:
    """GET /_control/sessions: all records in the order of their creation."""
    with app.store.lock:
        known = list(app.store.sessions.values())
    return Response.of(sorted(known, key=lambda session: session["number"]))


def executed(app: App, request: Request) -> Response:
    """GET /_control/executed: what was executed, job by job."""
    names = ("id", "program", "executions", "charged", "tags", "backend")
    with app.store.lock:
        done = [job for job in app.store.jobs.values() if job["executed"]]
        rows = [{name: job[name] for name in names} | {"times": job["executed"]} for job in done]
    return Response.of(rows)


def requests(app: App, request: Request) -> Response:
    """GET /_control/requests, or those of ``?call=POST /jobs``."""
    call = request.one("call")
    return Response.of([entry for entry in list(app.log) if call in (None, entry["call"])])


def period(app: App, request: Request) -> Response:
    """POST /_control/period: a new one, in which no instance has used anything."""
    billing.begin_period(app)
    return Response(204)


def forget(app: App, request: Request) -> Response:
    """DELETE /_control/requests."""
    app.log.clear()
    return Response(204)


def hold(app: App, request: Request) -> Response:
    """POST /_control/hold: ``{"held": true}`` keeps jobs in the queue."""
    app.worker.held = bool(request.json().get("held", True))
    return Response(204)


def tune(app: App, request: Request) -> Response:
    """POST /_control/settings."""
    try:
        app.settings.tune(request.json())
    except ValueError as error:
        raise ApiError(400, "settings", str(error)) from None
    return Response(204)


def cancel(app: App, request: Request, identifier: str) -> Response:
    """POST /_control/jobs/{id}/cancel: somebody else cancels."""
    if identifier not in app.store.jobs:
        raise ApiError(404, "not_found", f"No job {identifier}.")
    if app.store.jobs[identifier]["status"] not in TERMINAL:
        stop(app, app.store.jobs[identifier])
    return Response(204)


def delete(app: App, request: Request, identifier: str) -> Response:
    """DELETE /_control/jobs/{id}: somebody else deletes it."""
    remove(app, app.store.jobs[identifier])
    return Response(204)


def expire(app: App, request: Request, identifier: str) -> Response:
    """POST /_control/jobs/{id}/expire: its results are kept no longer."""
    app.store.update(app.store.jobs[identifier], expired=True)
    app.store.drop("results", identifier)
    return Response(204)


def close(app: App, request: Request, identifier: str) -> Response:
    """POST /_control/sessions/{id}/close: the server closes a session."""
    if identifier not in app.store.sessions:
        raise ApiError(404, "not_found", f"No session {identifier}.")
    sessions.close(app.store, app.store.sessions[identifier], "closed by the service")
    return Response(204)


ROUTES = [
    ("GET", r"/_control/health", health),
    ("GET", r"/_control/faults", faults),
    ("POST", r"/_control/faults", inject),
    ("DELETE", r"/_control/faults", clear),
    ("GET", r"/_control/jobs", jobs),
    ("GET", r"/_control/sessions", all_sessions),
    ("GET", r"/_control/executed", executed),
    ("GET", r"/_control/requests", requests),
    ("DELETE", r"/_control/requests", forget),
    ("POST", r"/_control/period", period),
    ("POST", r"/_control/hold", hold),
    ("POST", r"/_control/settings", tune),
    ("POST", r"/_control/jobs/([^/]+)/cancel", cancel),
    ("DELETE", r"/_control/jobs/([^/]+)", delete),
    ("POST", r"/_control/jobs/([^/]+)/expire", expire),
    ("POST", r"/_control/sessions/([^/]+)/close", close),
]
