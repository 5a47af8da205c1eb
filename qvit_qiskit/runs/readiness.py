"""Whether a job could be sent now: what `submit` looks at before it opens anything."""

from __future__ import annotations

from dataclasses import dataclass, replace

from qvit_qiskit.exceptions import JobError, RouteError
from qvit_qiskit.ibm.calls import Patience
from qvit_qiskit.ibm.sender import Need
from qvit_qiskit.ibm.service import ServiceSender
from qvit_qiskit.profile import IbmProfile
from qvit_qiskit.runs.job import Job


@dataclass(frozen=True)
class Readiness:
    """Whether a job could be sent now."""

    seconds: float
    """QPU seconds of the whole run, estimated on the device as it is now."""
    executions: int
    jobs: int
    request_bytes: int
    """About how large the request of one job is."""
    problem: RouteError | JobError | None
    """What stands against it; None if it can be sent."""


def check_job(job: Job, patience: Patience, device: str | None = None) -> Readiness:
    """Price a job on its device and look whether it could be sent; nothing is opened.

    Args:
        job: A job for a profile of kind ``ibm``.
        patience: How long to wait for the service.
        device: The device that was chosen, where the profile leaves that open.

    Raises:
        RouteError: If the job is no hardware job, the account is refused, or it has no such device.
        ServiceError: If the service does not answer.
    """
    if not isinstance(job.profile, IbmProfile):
        raise RouteError(
            f"{job.path} is for a profile of kind {job.profile.kind!r}, which needs no account. "
            "`qvit submit` rehearses it at no cost."
        )
    sender = ServiceSender(job.profile, job.profile.mitigation, patience, device=device)
    price = job.price_on(sender.device)
    estimate = price.estimate
    problem: RouteError | JobError | None = None
    try:
        replace(job, price=price).check_budget()
        sender.preflight(Need(estimate.seconds, price.request_bytes))
    except (RouteError, JobError) as error:
        problem = error
    return Readiness(
        estimate.seconds, estimate.executions, estimate.jobs, price.request_bytes, problem
    )
