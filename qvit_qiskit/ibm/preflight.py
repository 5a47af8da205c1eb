"""What is looked at before a job is sent, so that nothing is opened that cannot be used."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qiskit.providers import BackendV2

from qvit_qiskit.exceptions import RouteError
from qvit_qiskit.profile import IbmProfile

if TYPE_CHECKING:
    from qiskit_ibm_runtime import QiskitRuntimeService

MAX_REQUEST_BYTES = 300_000_000
"""Size of a job's inputs (https://github.com/Qiskit/documentation/issues/5369, July 2026)."""

Ask = Callable[[str, Callable[[], Any]], Any]
"""Runs a call to the service, named for messages, with patience."""


@dataclass(frozen=True)
class Allowance:
    """What an instance may still use. All times are QPU seconds."""

    remaining: float | None
    """Before jobs that are pending; None where the plan has no limit."""
    pending: float
    """What the account's pending jobs may use: their limits, else the service's estimates."""
    jobs: int
    """How many jobs are pending."""

    @property
    def free(self) -> float | None:
        """What is left when all pending jobs use their limits, None without a limit."""
        return None if self.remaining is None else max(0.0, self.remaining - self.pending)


def allowance(service: QiskitRuntimeService, ask: Ask) -> Allowance:
    """What the active instance may still use.

    Args:
        service: The client.
        ask: Runs its calls.

    Raises:
        RouteError: If the account is refused.
        ServiceError: If the service does not answer.
    """
    usage = ask("reading the usage", service.usage)
    remaining = usage.get("usage_remaining_seconds")
    if remaining is None:
        return Allowance(None, 0.0, 0)
    client = service._get_api_client()  # noqa: SLF001 - its list of jobs leaves their limits out
    listing = ask("listing pending jobs", lambda: client.jobs_get(limit=200, pending=True))
    jobs = listing.get("jobs", [])
    limits = [float(j.get("cost") or j.get("estimated_running_time_seconds") or 0) for j in jobs]
    return Allowance(float(remaining), sum(limits), len(jobs))


def check_device(device: BackendV2, profile: IbmProfile, ask: Ask) -> None:
    """Refuse a device that takes no jobs now, or not with a profile's delay.

    Args:
        device: The client's device.
        profile: Its ``rep_delay`` must lie within the device's range.
        ask: Runs calls to the service.

    Raises:
        RouteError: If the device takes no such jobs.
        ServiceError: If the service does not answer.
    """
    status = ask(f"reading the state of {device.name}", device.status)
    if not status.operational or status.status_msg not in ("active", "online", ""):
        raise RouteError(
            f"{device.name} takes no jobs now: the service calls it "
            f"{status.status_msg or 'not operational'}. Nothing was sent; try again later, or name "
            "another device in the profile (`qvit backends check` lists them)."
        )
    low, high = getattr(device.configuration(), "rep_delay_range", None) or (0.0, float("inf"))
    delay = profile.rep_delay
    if delay is not None and not low <= delay <= high:
        raise RouteError(
            f"rep_delay = {delay:g} s is outside of what {device.name} can do, {low:g} to {high:g} "
            "s. Change or remove it in the profile; nothing was sent."
        )


def check_size(size: int) -> None:
    """Refuse a request that the service would not take.

    Args:
        size: About how many bytes it has.

    Raises:
        RouteError: If it is too large.
    """
    if size > MAX_REQUEST_BYTES:
        raise RouteError(
            f"A job would be a request of about {size / 1e6:,.0f} MB, but IBM's service takes at "
            f"most {MAX_REQUEST_BYTES / 1e6:,.0f}. Nothing was sent; make jobs smaller with a "
            "lower max_loss, or ask for more shots of fewer images."
        )


def check_qubits(faulty: Collection[int], device: str) -> None:
    """Refuse circuits that lie on qubits that do not work.

    Args:
        faulty: Those among them.
        device: Its name, for the message.

    Raises:
        RouteError: If there are any.
    """
    if faulty:
        raise RouteError(
            f"Qubits {sorted(faulty)} of {device} have become faulty since this layer was compiled "
            "for them. Nothing was sent; resuming compiles it anew, where none of its jobs is out."
        )


def check_allowance(allowance: Allowance, seconds: float, instance: str) -> None:
    """Refuse jobs for which the instance has no time left.

    Args:
        allowance: What the instance may still use.
        seconds: Estimated QPU seconds of what is to be sent.
        instance: Its name, for the message.

    Raises:
        RouteError: If it is too little.
    """
    if allowance.free is None or seconds <= allowance.free:
        return
    pending = (
        f", {allowance.pending:.0f} of them for {allowance.jobs} pending jobs"
        if allowance.pending
        else ""
    )
    raise RouteError(
        f"The instance {instance} has {allowance.remaining:.0f} QPU seconds left{pending}, but "
        f"what is to be sent is estimated at {seconds:.1f}. Nothing was sent; wait for the next "
        "period, cancel pending jobs, name another instance, or ask for fewer shots or images."
    )


def check_plan(plan: str, profile: IbmProfile) -> None:
    """Refuse sessions where the plan has none.

    Args:
        plan: The instance's plan, as IBM calls it.
        profile: Says how jobs are grouped.

    Raises:
        RouteError: If the profile asks for a session on the Open plan.
    """
    if profile.mode == "session" and plan.lower() == "open":
        raise RouteError(
            'The plan of this instance has no sessions. Set mode = "batch" in the profile, which '
            "is also cheaper for a fixed test set."
        )
