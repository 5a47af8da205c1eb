"""How a job comes to be: checks, faults that will befall it, the record."""

from __future__ import annotations

import json
import math
import time
import uuid
from typing import TYPE_CHECKING, Any

from . import billing, sessions
from .accounts import Instance
from .faults import JOB_FAULTS
from .store import Record
from .wire import ApiError, Request

if TYPE_CHECKING:
    from .app import App


BILL = (("factor", 1.0), ("surcharge", 0.0))
"""What shapes a job's bill beside the formula."""


def create(app: App, instance: Instance, request: Request) -> Record:
    """Check a request and keep the job, or the jobs, it asks for; the first is the answer's.

    Raises:
        ApiError: If the platform would refuse it.
    """
    if 0 < app.settings.max_bytes < len(request.body):
        raise ApiError(413, 413, "Request entity too large.")
    asked = request.json()
    _check_rate(app)
    _check_program(app, asked)
    _check_usage(app, instance)
    fates = [f for kind in JOB_FAULTS if (f := app.faults.take("POST /jobs", kind))]
    for fate in fates:
        if fate.kind == "close_session" and fate.options.get("when", "before") == "before":
            _close(app, asked.get("session_id"))
    session = _session(app, instance, asked.get("session_id"))
    record = _record(app, instance, asked)
    copies = 0
    for fate in fates:
        options = fate.options
        delay = float(options.get("seconds", 1.0))
        if fate.kind in ("job_failure", "cancel"):
            record["doom"] = {"kind": fate.kind, "when": "running", **options}
        elif fate.kind == "late_results":
            record["results_delay"] = delay
        elif fate.kind == "late_listing":
            record["listed"] = record["created"] + delay
        elif fate.kind == "late_billing":
            record["billing_delay"] = delay
        elif fate.kind == "bill":
            record["bill"] = {name: float(options.get(name, default)) for name, default in BILL}
        elif fate.kind == "surplus":
            copies = int(options.get("copies", 1))
    with app.store.lock:  # the worker starts nothing in between
        for _ in range(copies):
            _keep(app, record | {"id": str(uuid.uuid4())}, asked)
        job = _keep(app, record, asked)
        if session and any(fate.kind == "close_session" for fate in fates):
            _close(app, session["id"])
    return job


def tags(value: Any) -> list[str]:
    """Tags of a request.

    Raises:
        ApiError: If they are no strings, too many or too long.
    """
    value = value or []
    if not isinstance(value, list) or not all(isinstance(tag, str) for tag in value):
        raise ApiError(400, 1000, "Tags are a list of strings.")
    if len(value) > 8:
        raise ApiError(400, 1204, "The maximum number of tags that a job can have is 8.")
    if any(len(tag) > 86 for tag in value):
        raise ApiError(400, 1205, "A tag has at most 86 characters.")
    return value


def executions(params: Any) -> int:
    """Executions that a program asks for, from its shapes alone.

    Raises:
        ApiError: If the parameters are no program.
    """
    try:
        program = params["quantum_program"]
        shapes = (
            item["shape"]
            if item["item_type"] == "samplex"
            else item["circuit_arguments"]["shape"][:-1]
            for item in program["items"]
        )
        return int(program["shots"]) * sum(math.prod(shape) for shape in shapes)
    except (KeyError, TypeError, ValueError):
        raise ApiError(400, 1002, "Error in the validation process of the job.") from None


def _check_rate(app: App) -> None:
    rate = app.settings.rate_limit
    now = time.time()
    with app.store.lock:
        recent = [job for job in app.store.jobs.values() if job["created"] > now - 60.0]
    if rate and len(recent) >= rate:
        wait = 60.0 - (now - sorted(job["created"] for job in recent)[-rate])
        text = f"Too many requests: {rate} jobs a minute."
        raise ApiError(429, 1202, text, "Reduce the rate.", retry_after=max(1, math.ceil(wait)))


def _check_program(app: App, asked: dict[str, Any]) -> None:
    if asked.get("program_id") != "executor":
        raise ApiError(404, 1216, f"Program not found: {asked.get('program_id')}")
    if asked.get("backend") not in app.devices or asked["backend"] in app.settings.retired:
        raise ApiError(400, 1007, f"Backend {asked.get('backend')} not found.")
    tags(asked.get("tags"))
    count, most = executions(asked.get("params")), app.settings.max_executions
    if count > most:
        text = f"The job has {count} executions, more than the limit of {most}."
        raise ApiError(400, 1002, text, "Split it into smaller jobs.")


def _check_usage(app: App, instance: Instance) -> None:
    limit = billing.limit(app.settings, instance.plan)
    if limit is not None and billing.used(app, instance.crn) >= limit:
        raise ApiError(409, "usage_limit", "Usage exceeds instance limit.")


def _session(app: App, instance: Instance, identifier: str | None) -> Record | None:
    if identifier is None:
        return None
    session = app.store.sessions.get(identifier)
    if session is None or session["crn"] != instance.crn:
        raise ApiError(404, "not_found", f"Session {identifier} not found.")
    sessions.settle(app.store, session)
    if session["state"] == "closed" or not session["accepting_jobs"]:
        raise ApiError(400, 1217, "Session has been closed.", "Create a new session.")
    return session


def _record(app: App, instance: Instance, asked: dict[str, Any]) -> Record:
    return {
        "id": str(uuid.uuid4()),
        "crn": instance.crn,
        "program_id": asked["program_id"],
        "backend": asked["backend"],
        "tags": tags(asked.get("tags")),
        "session_id": asked.get("session_id"),
        "private": bool(asked.get("private")),
        "cost": asked.get("cost"),
        "runtime": asked.get("runtime"),
        "status": "Queued",
        "reason": None,
        "reason_code": None,
        "created": time.time(),
        "running": None,
        "finished": None,
        "executions": executions(asked["params"]),
        "num_qubits": [],
        "estimated": None,
        "program": None,
        "charged": 0.0,
        "executed": 0,
    }


def _keep(app: App, record: Record, asked: dict[str, Any]) -> Record:
    app.store.put("params", record["id"], json.dumps(asked["params"]).encode())
    return app.store.add("jobs", record)


def _close(app: App, identifier: str | None) -> None:
    session = app.store.sessions.get(identifier or "")
    if session:
        sessions.close(app.store, session, "closed by the service")
