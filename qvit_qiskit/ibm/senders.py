"""Who runs a job: IBM's service, or the IBM client's local mode on a device snapshot."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from qiskit.providers import BackendV2

from qvit_qiskit.devices.prices import Mitigation
from qvit_qiskit.exceptions import JobError, RouteError
from qvit_qiskit.ibm.account import connect, find_device
from qvit_qiskit.ibm.calls import (
    Busy,
    Patience,
    Unanswered,
    clean,
    mended_by_user,
    repeat,
    status_code,
    verdict,
    with_deadline,
)
from qvit_qiskit.ibm.item import Item
from qvit_qiskit.profile import FakeProfile, IbmProfile

if TYPE_CHECKING:
    from qiskit_ibm_runtime import QiskitRuntimeService


@dataclass(frozen=True)
class Look:
    """What a job's state is."""

    state: str
    """``"waiting"``, ``"running"``, ``"done"``, ``"failed"`` or ``"cancelled"``."""
    reason: str = ""


@dataclass(frozen=True)
class Bill:
    """What a job was billed, once that is final."""

    seconds: float
    """QPU time."""
    began: str | None = None
    """When it began to run, in ISO 8601 with its offset; None where nobody knows."""


@dataclass(frozen=True)
class Work:
    """One job to be sent."""

    items: Sequence[Item]
    shots: int
    tag: str
    seed: int
    max_seconds: int


class Sender(Protocol):
    """Runs jobs on one device."""

    device: BackendV2
    local: bool
    """Whether jobs run in this process and end with it."""

    def open_workload(self) -> str | None:
        """Open a batch or session for the next jobs; its id."""

    def close_workload(self, identifier: str) -> None:
        """Let a batch or session take no more jobs."""

    def workload_seconds(self, identifier: str) -> float | None:
        """QPU seconds of a session's own clock, 0 for a batch; None while that is not final."""

    def submit(self, work: Work) -> str:
        """Send a job and return its id.

        Raises:
            Unanswered: If it is not known whether the job exists.
            Busy: If no job was made, and it may be sent again later.
            RouteError: If no job was made, and the user must mend something.
        """

    def find(self, tag: str) -> list[str]:
        """Ids of the jobs with a tag, oldest first."""

    def look(self, job: str) -> Look:
        """A job's state."""

    def fetch(self, job: str, items: Sequence[Item], shots: int) -> list[np.ndarray]:
        """Bits of every item, shape (R, shots, n); as many shots as were asked for, rounded up."""

    def bill(self, job: str) -> Bill | None:
        """What a job was billed, None while that is not final."""

    def cancel(self, job: str) -> None:
        """Cancel a job; a finished one is left alone."""

    def queue(self) -> int:
        """Jobs that wait for the device."""

    def calibration(self) -> str:
        """The device's reported errors now, as JSON."""


def sampler_options(profile: FakeProfile | IbmProfile, mitigation: Mitigation) -> dict[str, Any]:
    """What a profile says to the client's sampler."""
    gates, measurements = mitigation.twirls
    options: dict[str, Any] = {
        "twirling": {"enable_gates": gates, "enable_measure": measurements},
        "execution": {"rep_delay": profile.rep_delay},
    }
    if profile.dynamical_decoupling:
        options["dynamical_decoupling"] = {
            "enable": True,
            "sequence_type": profile.dynamical_decoupling,
        }
    return options


def bits_of(result: Any, shapes: Sequence[tuple[int, int]], shots: int) -> list[np.ndarray]:
    """Bits of every circuit from a sampler's result, ``shots`` of each row.

    Args:
        result: The sampler's result.
        shapes: (rows, bits) that were asked of each circuit.
        shots: Executed per row.

    Returns:
        For each circuit shape (rows, shots, bits), bool.

    Raises:
        JobError: If the result has other shapes than were asked for.
    """
    if result is None or len(result) != len(shapes):
        got = "none" if result is None else len(result)
        raise JobError(f"Expected results of {len(shapes)} circuits, but got {got}.")
    out = []
    for (rows, width), found in zip(shapes, result, strict=True):
        data = getattr(found.data, "meas", None)
        if data is None:
            raise JobError("Expected a register 'meas' in the result, but it has none.")
        bits = data.to_bool_array(order="little")  # (..., shots, bits)
        if (math.prod(bits.shape[:-2]), *bits.shape[-2:]) != (rows, shots, width):
            raise JobError(
                f"Expected {shots} bitstrings of {rows} rows and {width} qubits, but the result "
                f"has the shape {bits.shape}."
            )
        out.append(bits.reshape(rows, shots, width))
    return out


_STATES = {
    "INITIALIZING": "waiting",
    "QUEUED": "waiting",
    "RUNNING": "running",
    "DONE": "done",
    "ERROR": "failed",
    "CANCELLED": "cancelled",
}


class ServiceSender:
    """IBM's service through its client's sampler, which measures the used qubits only."""

    local = False

    def __init__(
        self,
        profile: IbmProfile,
        mitigation: Mitigation,
        patience: Patience,
        *,
        device: str | None = None,
    ) -> None:
        self.profile, self.mitigation, self.patience = profile, mitigation, patience
        self.service: QiskitRuntimeService = connect(profile, patience)
        if device is not None:
            profile = profile.model_copy(update={"device": device})
        self.device = find_device(self.service, profile, patience)
        # The client asks for the calibration on first use, wherever that is.
        repeat("reading the calibration", patience, lambda: self.device.target)
        self._workload: Any = None

    def open_workload(self) -> str | None:
        """See `Sender`."""
        from qiskit_ibm_runtime import Batch, Session

        if self.profile.mode == "job":
            return None
        kind = Batch if self.profile.mode == "batch" else Session
        try:
            call = with_deadline(self.patience.deadline, lambda: kind(backend=self.device))
        except Exception as error:
            if self.profile.mode == "session" and "1352" in str(error):
                raise RouteError(
                    'The plan of this instance has no sessions. Set mode = "batch" in the '
                    "profile, which is also cheaper for a fixed test set."
                ) from None
            if status_code(error) in (400, 401, 403, 404, 409):
                raise mended_by_user("opening a " + self.profile.mode, error) from None
            raise Unanswered(clean(error)) from None
        self._workload = call
        return str(call.session_id)

    def close_workload(self, identifier: str) -> None:
        """See `Sender`."""
        from qiskit_ibm_runtime import Batch, Session

        kind = Batch if self.profile.mode == "batch" else Session
        workload, self._workload = self._workload, None

        def close() -> None:
            found = workload or kind.from_id(session_id=identifier, service=self.service)
            found.close()  # the client takes a 404 for success
            if (found.details() or {}).get("accepting_jobs"):
                raise Unanswered("it still takes jobs")

        repeat("closing the " + self.profile.mode, self.patience, close)

    def workload_seconds(self, identifier: str) -> float | None:
        """See `Sender`."""
        from qiskit_ibm_runtime import Session

        if self.profile.mode != "session":
            return 0.0

        def ask() -> float | None:
            session = Session.from_id(session_id=identifier, service=self.service)
            found = session.details() or {}
            return float(found["usage_time"] or 0.0) if found["state"] == "closed" else None

        return repeat("reading the session's usage", self.patience, ask)

    def submit(self, work: Work) -> str:
        """See `Sender`."""
        from qiskit_ibm_runtime.executor_sampler import Sampler

        options = sampler_options(self.profile, self.mitigation)
        options["max_execution_time"] = work.max_seconds
        tags = [*self.profile.tags, work.tag]
        options["environment"] = {"job_tags": tags, "private": self.profile.private}
        try:
            sampler = Sampler(mode=self._workload or self.device, options=options)
            pubs = [item.whole(self.device.num_qubits) for item in work.items]
            job = with_deadline(self.patience.deadline, lambda: sampler.run(pubs, shots=work.shots))
        except Exception as error:
            meaning = verdict(error)
            if meaning == "busy":
                raise Busy(clean(error)) from None
            if meaning == "refused":
                raise mended_by_user("a job was submitted", error) from None
            raise Unanswered(clean(error)) from None
        return str(job.job_id())

    def find(self, tag: str) -> list[str]:
        """See `Sender`."""
        found = repeat(
            "listing jobs",
            self.patience,
            lambda: self.service.jobs(limit=None, job_tags=[tag], descending=False),
        )
        return [str(job.job_id()) for job in found]

    def look(self, job: str) -> Look:
        """See `Sender`."""

        def ask() -> Look:
            found = self.service.job(job)
            state = _STATES[str(found.status())]
            reason = found.error_message() if state == "failed" else ""
            return Look(state, " ".join(str(reason or "").split())[:300])

        return repeat("looking at a job", self.patience, ask)

    def fetch(self, job: str, items: Sequence[Item], shots: int) -> list[np.ndarray]:
        """See `Sender`."""
        executed = math.prod(self.mitigation.split(shots))

        def ask() -> list[np.ndarray]:
            found = self.service.job(job)
            if found.backend().name != self.device.name:
                raise RouteError(f"The job {job} ran on another device than the run asked for.")
            shapes = [
                (item.rows, item.compiled.k * len(item.compiled.basis.axes)) for item in items
            ]
            bits = bits_of(found.result(), shapes, executed)
            return [item.split(b) for item, b in zip(items, bits, strict=True)]

        return repeat("fetching a result", self.patience, ask)

    def bill(self, job: str) -> Bill | None:
        """See `Sender`."""

        def ask() -> Bill | None:
            metrics = self.service.job(job).metrics()
            usage, moments = metrics.get("usage", {}), metrics.get("timestamps") or {}
            if usage.get("status", "pending") == "pending":
                return None
            began = _moment(moments.get("running") or moments.get("finished"))
            return Bill(float(usage.get("qpu_charge_time_seconds") or 0.0), began)

        return repeat("reading a bill", self.patience, ask)

    def cancel(self, job: str) -> None:
        """See `Sender`."""
        from qiskit_ibm_runtime.exceptions import RuntimeInvalidStateError

        def ask() -> None:
            try:
                self.service.job(job).cancel()
            except RuntimeInvalidStateError:
                return  # it has ended by itself

        repeat("cancelling a job", self.patience, ask)

    def queue(self) -> int:
        """See `Sender`; the client tells no job's own position."""
        found = repeat("reading the queue", self.patience, self.device.status)
        return int(found.pending_jobs)

    def calibration(self) -> str:
        """See `Sender`."""
        return repeat(
            "reading the calibration", self.patience, lambda: properties_json(self.device)
        )


def _moment(told: Any) -> str | None:
    """A time of the service in UTC; None if it is none."""
    try:
        moment = datetime.fromisoformat(told)
    except (TypeError, ValueError):
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC).isoformat()


def properties_json(device: BackendV2) -> str:
    """A device's reported errors as JSON."""
    properties = device.properties() if hasattr(device, "properties") else None
    return json.dumps(properties.to_dict() if properties else {}, default=str, sort_keys=True)
