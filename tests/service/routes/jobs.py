"""Jobs: create, list, read, results, cancel, delete, tags, logs, metrics."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from .. import billing, clock, creation
from ..store import TERMINAL, Record
from ..wire import ApiError, Request, Response
from ..worker import PREPARATION

if TYPE_CHECKING:
    from ..app import App


def create(app: App, request: Request) -> Response:
    """POST /jobs."""
    instance = app.accounts.check(request)
    job = creation.create(app, instance, request)
    return Response.of({"id": job["id"], "backend": job["backend"], **_private(job)})


def listing(app: App, request: Request) -> Response:
    """GET /jobs: filtered, newest first, by pages."""
    instance = app.accounts.check(request)
    with app.store.lock:
        jobs = [job for job in app.store.jobs.values() if job["crn"] == instance.crn]
    found = [job for job in jobs if _listed(request, job)]
    found.sort(key=lambda job: job["number"], reverse=request.one("sort") != "ASC")
    offset = int(request.one("offset") or 0)
    limit = int(request.one("limit") or 200)
    limit = limit if 1 <= limit <= 200 else 200
    page = [view(job) for job in found[offset : offset + limit]]
    return Response.of({"jobs": page, "count": len(found), "limit": limit, "offset": offset})


def details(app: App, request: Request, identifier: str) -> Response:
    """GET /jobs/{id}; the parameters of private jobs are never returned."""
    job = _own(app, request, identifier)
    answer = view(job)
    if not request.flag("exclude_params") and not job["private"]:
        answer["params"] = json.loads(app.store.get("params", identifier) or b"{}")
    return Response.of(answer)


def results(app: App, request: Request, identifier: str) -> Response:
    """GET /jobs/{id}/results: 204 before there are any; those of private jobs are read once."""
    job = _own(app, request, identifier)
    if job.get("expired"):
        raise ApiError(404, "not_found", f"The results of job {identifier} have expired.")
    if job["status"] in ("Failed", "Cancelled"):
        return Response.text(job["reason"] or "")
    late = (job["finished"] or 0) + job.get("results_delay", 0.0)
    if job["status"] != "Completed" or time.time() < late:
        return Response(204)
    with app.store.lock:
        body = app.store.get("results", identifier)
        if body is None:
            return Response(204)
        if job["private"]:
            app.store.drop("results", identifier)
    return Response(200, body, {"Content-Type": "application/json"})


def cancel(app: App, request: Request, identifier: str) -> Response:
    """POST /jobs/{id}/cancel."""
    stop(app, _own(app, request, identifier))
    return Response(204)


def stop(app: App, job: Record) -> None:
    """Cancel a job, charging what it used so far.

    Raises:
        ApiError: 409 if it has ended.
    """
    with app.store.lock:
        if job["status"] in TERMINAL:
            raise ApiError(409, 1009, f"Job {job['id']} is in status {job['status']}.")
        used = min(PREPARATION, job["cost"] or PREPARATION)
        charged = used if job["status"] == "Running" else 0.0
        app.store.update(job, status="Cancelled", finished=time.time(), charged=charged)


def delete(app: App, request: Request, identifier: str) -> Response:
    """DELETE /jobs/{id}; what it used stays on the bill."""
    job = _own(app, request, identifier)
    if job["status"] not in TERMINAL:
        raise ApiError(400, 1000, f"Job {identifier} has not ended.", "Cancel it first.")
    remove(app, job)
    return Response(204)


def remove(app: App, job: Record) -> None:
    """Delete a job; what it used stays on the bill."""
    app.store.update(job, deleted=True)
    app.store.drop("params", job["id"])
    app.store.drop("results", job["id"])


def tags(app: App, request: Request, identifier: str) -> Response:
    """PUT /jobs/{id}/tags."""
    job = _own(app, request, identifier)
    app.store.update(job, tags=creation.tags(request.json().get("tags")))
    return Response(204)


def logs(app: App, request: Request, identifier: str) -> Response:
    """GET /jobs/{id}/logs."""
    job = _own(app, request, identifier)
    if job["status"] not in TERMINAL:
        raise ApiError(404, "not_found", f"Job {identifier} has no logs yet.")
    line = f"{clock.stamp(job['finished'])} {job['status']} {job['reason'] or ''}".rstrip()
    return Response.text(line + "\n")


def metrics(app: App, request: Request, identifier: str) -> Response:
    """GET /jobs/{id}/metrics."""
    job = _own(app, request, identifier)
    moments = ("created", "running", "finished")
    waiting = [queued["id"] for queued in app.worker.queue()]
    place = waiting.index(identifier) + 1 if identifier in waiting else None
    return Response.of(
        {
            "timestamps": {name: clock.stamp(job[name]) for name in moments},
            "usage": billing.reported(job, app.settings),
            "executions": job["executions"],
            "num_circuits": len(job["num_qubits"]),
            "num_qubits": job["num_qubits"],
            "position_in_queue": place,
            "position_in_provider": place,
        }
    )


def view(job: Record) -> dict[str, Any]:
    """A job as the platform tells of it, without its parameters."""
    state = {"status": job["status"], "reason": job["reason"], "reason_code": job["reason_code"]}
    answer = {
        "id": job["id"],
        "backend": job["backend"],
        "state": {name: value for name, value in state.items() if value is not None},
        "program": {"id": job["program_id"]},
        "created": clock.stamp(job["created"]),
        "runtime": job["runtime"],
        "session_id": job["session_id"],
        "tags": job["tags"],
        "cost": job["cost"],
        "estimated_running_time_seconds": job["estimated"],
        "user_id": "IBMid-loopback",
        **_private(job),
    }
    return {name: value for name, value in answer.items() if value is not None}


def _private(job: Record) -> dict[str, Any]:
    return {"private": True} if job["private"] else {}


def _own(app: App, request: Request, identifier: str) -> Record:
    instance = app.accounts.check(request)
    job = app.store.jobs.get(identifier)
    if job is None or job["crn"] != instance.crn or job.get("deleted"):
        raise ApiError(404, 1291, f"Job not found. Job ID: {identifier}")
    return job


def _listed(request: Request, job: Record) -> bool:
    """Whether a job passes the filters; tags must all be there."""
    if job.get("deleted") or time.time() < job.get("listed", 0.0):
        return False
    if job["backend"].startswith("mock_") and not request.flag("include_mocks"):
        return False
    filters = {"backend": "backend", "program": "program_id", "session_id": "session_id"}
    for parameter, name in filters.items():
        wanted = request.one(parameter)
        if wanted is not None and job[name] != wanted:
            return False
    pending = job["status"] not in TERMINAL
    if request.flag("pending", pending) != pending:
        return False
    if not set(request.query.get("tags", [])) <= set(job["tags"]):
        return False
    after, before = request.one("created_after"), request.one("created_before")
    if after and job["created"] < clock.seconds(after):
        return False
    return not (before and job["created"] > clock.seconds(before))


ROUTES = [
    ("POST", r"/jobs", create),
    ("GET", r"/jobs", listing),
    ("GET", r"/jobs/([^/]+)", details),
    ("DELETE", r"/jobs/([^/]+)", delete),
    ("GET", r"/jobs/([^/]+)/results", results),
    ("POST", r"/jobs/([^/]+)/cancel", cancel),
    ("PUT", r"/jobs/([^/]+)/tags", tags),
    ("GET", r"/jobs/([^/]+)/logs", logs),
    ("GET", r"/jobs/([^/]+)/metrics", metrics),
]
