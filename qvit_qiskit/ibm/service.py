"""IBM's service as a sender of jobs, driven through its client."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from qiskit.providers import BackendV2

from qvit_qiskit.devices.prices import Mitigation
from qvit_qiskit.exceptions import JobError, RouteError, ServiceError
from qvit_qiskit.ibm.account import connect, find_device
from qvit_qiskit.ibm.calls import Busy, Closed, Patience, Unanswered, repeat, verdict, with_deadline
from qvit_qiskit.ibm.causes import CODES, Remedy, cause_of, cause_of_job, clean, status_code
from qvit_qiskit.ibm.item import Item
from qvit_qiskit.ibm.preflight import (
    allowance,
    check_allowance,
    check_device,
    check_plan,
    check_qubits,
    check_size,
)
from qvit_qiskit.ibm.sender import (
    Bill,
    Listed,
    Look,
    Need,
    Result,
    Unusable,
    Work,
    bits_of,
    properties_json,
    sampler_options,
    timings_of,
)
from qvit_qiskit.profile import IbmProfile

if TYPE_CHECKING:
    from qiskit_ibm_runtime import QiskitRuntimeService

T = TypeVar("T")

RENEW_SECONDS = 300.0
"""After this a device is read anew before something is compiled for it or sent to it."""

_STATES = {
    "INITIALIZING": "waiting",
    "QUEUED": "waiting",
    "RUNNING": "running",
    "DONE": "done",
    "ERROR": "failed",
    "CANCELLED": "cancelled",
}


class ServiceSender:
    """IBM's service through its client's sampler, which measures the used qubits only.

    The device is looked up when something is compiled or sent: finished jobs are fetched by their
    ids, also when the device was taken away since.
    """

    local = False

    def __init__(
        self,
        profile: IbmProfile,
        mitigation: Mitigation,
        patience: Patience,
        *,
        device: str | None = None,
    ) -> None:
        self.mitigation, self.patience = mitigation, patience
        self.profile = profile if device is None else profile.model_copy(update={"device": device})
        self.workloads = profile.mode != "job"
        self.sessions = profile.mode == "session"
        self.service: QiskitRuntimeService = connect(profile, patience)
        self._workload: Any = None

    @cached_property
    def device(self) -> BackendV2:
        """The device, with its calibration; see `Sender`."""
        device = find_device(self.service, self.profile, self.patience)
        # The client asks for the calibration on first use, wherever that is.
        self._repeat("reading the calibration", lambda: device.target)
        self.profile = self.profile.model_copy(update={"device": device.name})
        self._read = time.monotonic()
        return device

    def renew(self) -> None:
        """See `Sender`."""
        if "device" in self.__dict__ and time.monotonic() - self._read > RENEW_SECONDS:
            del self.device

    def _repeat(self, action: str, call: Callable[[], T]) -> T:
        return repeat(action, self.patience, call, self._reconnect)

    def _reconnect(self) -> None:
        self.service = connect(self.profile, self.patience)

    def open_workload(self, max_seconds: int | None) -> str:
        """See `Sender`."""
        from qiskit_ibm_runtime import Batch, Session

        mode = self.profile.mode
        kind = Batch if mode == "batch" else Session
        device = self.device
        try:
            call = with_deadline(
                self.patience.deadline, lambda: kind(backend=device, max_time=max_seconds)
            )
        except Exception as error:
            cause = cause_of(error)
            if cause.remedy is not Remedy.AGAIN:
                raise cause.error(f"opening a {mode}") from None
            raise Unanswered(str(cause).rstrip(".")) from None
        self._workload = call
        return str(call.session_id)

    def close_workload(self, identifier: str) -> None:
        """See `Sender`."""
        from qiskit_ibm_runtime import Batch, Session

        kind = Batch if self.profile.mode == "batch" else Session
        workload, self._workload = self._workload, None

        def close() -> None:
            if workload is None and not self._accepts_jobs(identifier):
                return
            session = workload or kind.from_id(session_id=identifier, service=self.service)
            session.close()  # the client takes a 404 for success
            if (session.details() or {}).get("accepting_jobs"):
                raise Unanswered("it still takes jobs")

        self._repeat("closing the " + self.profile.mode, close)

    def empty_workloads(self, after: datetime, before: datetime) -> list[str]:
        """See `Sender`."""
        client = self.service._get_api_client()  # noqa: SLF001 - the service class lists none

        def ask() -> list[str]:
            listing = client._api.workloads_get(  # noqa: SLF001 - for the same reason
                user="me",
                mode=self.profile.mode,
                created_after=after,
                created_before=before,
                limit=50,
            )
            known = [str(each["id"]) for each in listing["workloads"] if each.get("accepting_jobs")]
            return [one for one in known if not client.jobs_get(limit=1, session_id=one)["jobs"]]

        return self._repeat(f"listing {self.profile.mode}s", ask)

    def workload_seconds(self, identifier: str) -> float | None:
        """See `Sender`."""
        if not self.sessions:
            return 0.0

        def ask() -> float | None:
            details = self._details(identifier)
            return float(details["elapsed_time"] or 0.0) if details["state"] == "closed" else None

        return self._repeat("reading the session's usage", ask)

    def _accepts_jobs(self, identifier: str) -> bool:
        return bool(self._details(identifier).get("accepting_jobs"))

    def _details(self, identifier: str) -> dict[str, Any]:
        """What the service says of a batch or session."""
        client = self.service._get_api_client()  # noqa: SLF001 - `from_id` needs the device
        return dict(client.session_details(identifier))

    def submit(self, work: Work) -> str:
        """See `Sender`."""
        from qiskit_ibm_runtime.executor_sampler import Sampler

        options = sampler_options(self.profile, self.mitigation)
        options["max_execution_time"] = work.max_seconds
        options["execution"]["scheduler_timing"] = True
        tags = [*self.profile.tags, work.tag, work.content]
        options["environment"] = {"job_tags": tags, "private": self.profile.private}
        device = self.device
        try:
            sampler = Sampler(mode=self._workload or device, options=options)
            pubs = [item.whole(device.num_qubits) for item in work.items]
            job = with_deadline(self.patience.deadline, lambda: sampler.run(pubs, shots=work.shots))
        except Exception as error:
            meaning = verdict(error)
            if meaning != "unanswered" and cause_of(error).closed:
                raise Closed from None
            if meaning == "busy":
                raise Busy(str(cause_of(error)).rstrip(".")) from None
            if meaning == "refused":
                raise RouteError(f"While a job was submitted: {cause_of(error)}") from None
            raise Unanswered(clean(error)) from None
        return str(job.job_id())

    def find(self, tag: str) -> list[Listed]:
        """See `Sender`."""
        jobs = self._repeat(
            "listing jobs",
            lambda: self.service.jobs(limit=None, job_tags=[tag], descending=False),
        )
        return [Listed(str(job.job_id()), tuple(job.tags)) for job in jobs]

    def look(self, job: str) -> Look:
        """See `Sender`."""
        from qiskit_ibm_runtime.exceptions import RuntimeJobNotFound

        for pause in (0.5, 1.0, None):  # one such answer may be a mistake
            try:
                return self._repeat("looking at a job", lambda: self._look(job))
            except RouteError as error:
                if not isinstance(error.__cause__, RuntimeJobNotFound):
                    raise
            if pause is not None:
                time.sleep(pause)
        return Look("lost", "IBM's service no longer knows the job.")

    def _look(self, job: str) -> Look:
        sent = self.service.job(job)
        state = _STATES[str(sent.status())]
        if state != "failed":
            return Look(state, "it was cancelled." if state == "cancelled" else "")
        code, words = sent._reason_code, sent._reason  # noqa: SLF001 - nothing shows them alone
        cause = cause_of_job(code, str(words or sent.error_message() or ""))
        return Look(state, str(cause), cause.sentence == CODES[1305][1], cause.remedy)

    def fetch(self, job: str, items: Sequence[Item], shots: int) -> Result:
        """See `Sender`."""
        executed = math.prod(self.mitigation.split(shots))
        shapes = [(item.rows, item.compiled.k * len(item.compiled.basis.axes)) for item in items]

        def ask() -> Result:
            sent = self.service.job(job)
            if sent.backend().name != self.profile.device:
                raise RouteError(f"The job {job} ran on another device than the run asked for.")
            result = sent.result()
            bits = bits_of(result, shapes, executed)
            each = [item.split(b) for item, b in zip(items, bits, strict=True)]
            return Result(each, timings_of(result))

        for pause in (0.2, 0.5, None):  # an answer may have been damaged on its way
            try:
                return self._repeat("fetching a result", ask)
            except JobError as error:
                problem = str(error)
            except RouteError as error:
                if status_code(error) != 404:
                    raise
                problem = "IBM's service has no result of it any more."
            except ServiceError as error:
                if not _unreadable(error.__context__):
                    raise
                raise Unusable("the client cannot read its result.") from error
            if pause is not None:
                time.sleep(pause)
        raise Unusable(problem)

    def bill(self, job: str) -> Bill | None:
        """See `Sender`."""

        def ask() -> Bill | None:
            metrics = self.service.job(job).metrics()
            usage, moments = metrics.get("usage", {}), metrics.get("timestamps") or {}
            if usage.get("status", "pending") == "pending":
                return None
            began = _moment(moments.get("running") or moments.get("finished"))
            return Bill(float(usage.get("qpu_charge_time_seconds") or 0.0), began)

        try:
            return self._repeat("reading a bill", ask)
        except RouteError as error:
            if status_code(error) == 404:
                return None  # the job was deleted: nobody will ever say
            raise

    def cancel(self, job: str) -> None:
        """See `Sender`."""
        from qiskit_ibm_runtime.exceptions import RuntimeInvalidStateError, RuntimeJobNotFound

        def ask() -> None:
            try:
                self.service.job(job).cancel()
            except (RuntimeInvalidStateError, RuntimeJobNotFound):
                return  # it has ended by itself, or was deleted

        self._repeat("cancelling a job", ask)

    def preflight(self, need: Need) -> None:
        """See `Sender`."""
        self.renew()
        check_plan(self._plan(), self.profile)
        check_size(need.size)
        check_device(self.device, self.profile, self._repeat)
        check_qubits(self.faulty() & need.qubits, self.device.name)
        check_allowance(
            allowance(self.service, self._repeat),
            need.seconds,
            str(self.service.active_instance()),
        )

    def _plan(self) -> str:
        """The plan of the active instance; only sessions depend on it."""
        if not self.sessions:
            return ""
        known = self._repeat("listing instances", self.service.instances)
        active = self.service.active_instance()
        return next((str(i.get("plan", "")) for i in known if i.get("crn") == active), "")

    def faulty(self) -> set[int]:
        """See `Sender`."""
        properties = self.device.properties()
        gates = (gate.qubits for gate in properties.faulty_gates())
        return {*properties.faulty_qubits(), *(qubit for qubits in gates for qubit in qubits)}

    def queue(self) -> int:
        """See `Sender`; the client tells no job's own position."""
        state = self._repeat("reading the queue", self.device.status)
        return int(state.pending_jobs)

    def calibration(self) -> str:
        """See `Sender`."""
        return self._repeat("reading the calibration", lambda: properties_json(self.device))


def _unreadable(error: BaseException | None) -> bool:
    """Whether an answer came, of which the client could make nothing."""
    kinds = (ValueError, TypeError, KeyError, IndexError, AttributeError)
    return isinstance(error, kinds) and status_code(error) is None


def _moment(text: Any) -> str | None:
    """A time of the service in UTC; None if it is none."""
    try:
        moment = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC).isoformat()
