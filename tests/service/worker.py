"""The processor: one thread that executes jobs in the order of their creation."""

from __future__ import annotations

import threading
import time
import traceback
from typing import TYPE_CHECKING, Any

from . import billing, sessions
from .store import Record

if TYPE_CHECKING:
    from .app import App

PREPARATION = 2.0
"""Seconds charged for a job that a user stopped while it ran: what preparing it took."""


class Worker(threading.Thread):
    """Takes queued jobs one after another: analyses, executes, stores, bills."""

    def __init__(self, app: App) -> None:
        super().__init__(daemon=True, name="worker")
        self.app = app
        self.held = False
        """While true, jobs stay queued."""
        self.ready = False
        """Whether the simulator is loaded; the first job waits for it."""
        self.busy = False

    def run(self) -> None:
        """Work until the service ends."""
        from . import execution

        self.ready = bool(execution)
        while not self.app.stopping.wait(0.01):
            job = self._next()
            if job is None:
                continue
            self.busy = True
            try:
                self._process(job)
            except Exception as error:
                traceback.print_exc()
                self._end(job, "Failed", 1000, f"The loopback service failed: {error!r}")
            finally:
                self.busy = False

    def queue(self) -> list[Record]:
        """Queued jobs in the order in which they will run."""
        with self.app.store.lock:
            waiting = [job for job in self.app.store.jobs.values() if job["status"] == "Queued"]
        return sorted(waiting, key=lambda job: job["number"])

    def _next(self) -> Record | None:
        due = time.time() - self.app.settings.queue_delay
        ready = (job for job in self.queue() if job["created"] <= due)
        return None if self.held else next(ready, None)

    def _process(self, job: Record) -> None:
        doom = job.get("doom") or {}
        if doom.get("when") == "queued":
            return self._doomed(job, doom)
        session = self.app.store.sessions.get(job["session_id"] or "")
        if session and session["state"] != "closed" and self._over(session):
            sessions.close(self.app.store, session, "max_ttl reached")
        if session and session["state"] == "closed":
            return self._end(job, "Failed", 1217, "Session has been closed.")
        analysis = self._analysed(job)
        if analysis is None:
            return None
        if not self._start(job, session):
            return None
        if doom:
            self._pause(job, time.time())
            return self._doomed(job, doom)
        return self._execute(job, analysis)

    def _analysed(self, job: Record) -> Any:
        """The decoded program with its usage, None if it cannot be executed."""
        from . import analysis

        body = self.app.store.get("params", job["id"]) or b"{}"
        device = self.app.devices[job["backend"]]
        try:
            found = analysis.analyse(body, device, self.app.settings)
        except analysis.Unacceptable as error:
            self._end(job, "Failed", 1002, str(error))
            return None
        self.app.store.update(
            job,
            estimated=found.usage,
            program=found.key,
            executions=found.executions,
            num_qubits=[item.circuit.num_qubits for item in found.program.items],
        )
        return found

    def _execute(self, job: Record, analysis: Any) -> None:
        from . import execution

        started = time.time()
        device = self.app.devices[job["backend"]]
        limit = self._limit(job)
        settings = self.app.settings
        bill = {"factor": settings.bill_factor, "surcharge": settings.bill_surcharge}
        bill |= job.get("bill") or {}
        used = analysis.usage * bill["factor"] + bill["surcharge"]
        if used > limit and not device.mock:
            self._pause(job, started)
            reason = f"Job ran longer than the maximum execution time of {limit} s."
            self._end(job, "Cancelled", 1305, reason, charged=limit)
            return
        settings = self.app.settings
        noise = execution.Noise(gates=not settings.noiseless, waits=not settings.restless)
        result = execution.execute(analysis, device, started, noise)
        self._pause(job, started)
        with self.app.store.lock:
            if job["status"] != "Running":
                return
            self.app.store.put("results", job["id"], result)
            if job["private"]:
                self.app.store.drop("params", job["id"])
            charged = 0.0 if device.mock else used
            self._end(job, "Completed", charged=charged, executed=job["executed"] + 1)

    def _limit(self, job: Record) -> float:
        """QPU seconds that a job may use: its own limit and the platform's."""
        return min(job["cost"] or self.app.settings.max_seconds, self.app.settings.max_seconds)

    def _over(self, session: Record) -> bool:
        """Whether a session's time is used up: no job of it starts any more."""
        used = billing.elapsed(session, sessions.jobs_of(self.app.store, session))
        return session["mode"] == "dedicated" and used >= session["max_ttl"]

    def _start(self, job: Record, session: Record | None) -> bool:
        now = time.time()
        queued = self.app.store.change(
            job, lambda j: j["status"] == "Queued", status="Running", running=now
        )
        if queued and session:
            sessions.activate(self.app.store, session, now)
        return queued

    def _pause(self, job: Record, started: float) -> None:
        """Let a job run as long as the settings ask for, unless it is stopped."""
        end = started + self.app.settings.run_delay
        while time.time() < end and job["status"] == "Running":
            if self.app.stopping.wait(0.01):
                return

    def _doomed(self, job: Record, doom: Record) -> None:
        status = "Failed" if doom["kind"] == "job_failure" else "Cancelled"
        code = doom.get("code", 1517) if status == "Failed" else None
        reason = doom.get("reason", "Internal error while executing the job.")
        text = reason if status == "Failed" else None
        charged = min(self._limit(job), float(doom.get("charged", 0.0)))
        self._end(job, status, code, text, charged=charged)

    def _end(
        self,
        job: Record,
        status: str,
        code: int | None = None,
        reason: str | None = None,
        **changes: Any,
    ) -> None:
        self.app.store.change(
            job,
            lambda j: j["status"] in ("Queued", "Running"),
            status=status,
            reason=reason,
            reason_code=code,
            finished=time.time(),
            **changes,
        )
        session = self.app.store.sessions.get(job["session_id"] or "")
        if session:
            sessions.settle(self.app.store, session)
