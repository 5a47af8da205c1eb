"""The IBM account, and the device that a profile means."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qiskit.providers import BackendV2

from qvit_qiskit.exceptions import RouteError
from qvit_qiskit.ibm.calls import Patience, clean, repeat
from qvit_qiskit.profile import IbmProfile

if TYPE_CHECKING:
    from qiskit_ibm_runtime import QiskitRuntimeService

_TRIES = 3


def connect(profile: IbmProfile, patience: Patience) -> QiskitRuntimeService:
    """The client for a profile's account; a saved one by name, or the client's own choice.

    Raises:
        RouteError: If there is no account or it is refused.
        ServiceError: If the service does not answer.
    """
    from qiskit_ibm_runtime import QiskitRuntimeService
    from qiskit_ibm_runtime.accounts.exceptions import InvalidAccountError

    logging.getLogger("qiskit_ibm_runtime").setLevel(logging.ERROR)
    wanted: dict[str, Any] = {}
    if profile.account:
        wanted["name"] = profile.account
    if profile.instance:
        wanted["instance"] = profile.instance
    if profile.plan:
        wanted["plans_preference"] = [profile.plan]

    def call() -> QiskitRuntimeService:
        # The client calls a key invalid when its identity service fails once.
        for left in range(_TRIES - 1, -1, -1):
            try:
                return QiskitRuntimeService(**wanted)
            except InvalidAccountError as error:
                if not left:
                    raise RouteError(
                        f"IBM did not accept the account: {clean(error)}. Check the API key and "
                        "the instance; if both are right, try again later."
                    ) from None
        raise AssertionError

    return repeat("connecting to the account", patience, call)


def find_device(
    service: QiskitRuntimeService, profile: IbmProfile, patience: Patience
) -> BackendV2:
    """The device that a profile names, or the least busy one that its filters admit.

    Raises:
        RouteError: If there is none.
    """

    def call() -> BackendV2:
        if profile.device != "least-busy":
            return service.backend(profile.device)
        return service.least_busy(
            min_num_qubits=profile.min_qubits,
            filters=lambda backend: admits(profile, backend),
        )

    device = repeat(f"looking for {profile.device}", patience, call)
    if device.name.startswith("mock_"):
        raise RouteError(f"{device.name} returns random data. Name a real device.")
    return device


def admits(profile: IbmProfile, device: BackendV2) -> bool:
    """Whether a profile's filters for ``least-busy`` admit a device."""
    processor = getattr(device.configuration(), "processor_type", None) or {}
    family = str(processor.get("family", ""))
    wide = device.num_qubits >= profile.min_qubits
    return wide and (profile.family is None or family.lower() == profile.family.lower())


@dataclass(frozen=True)
class Standing:
    """What an account says of itself and of a device, at no QPU cost."""

    instance: str
    plan: str
    used_seconds: float
    left_seconds: float | None
    """None: the plan has no limit."""
    device: str
    qubits: int
    state: str
    queue: int
    rep_delay: float
    devices: tuple[str, ...]
    """All devices of the instance."""


def check(profile: IbmProfile, patience: Patience) -> Standing:
    """Ask the account and the device; nothing is executed.

    Raises:
        RouteError: If the account is missing or refused, or has no such device.
        ServiceError: If the service does not answer.
    """
    service = connect(profile, patience)
    device = find_device(service, profile, patience)
    used = repeat("reading the usage", patience, service.usage)
    status = repeat(f"reading the state of {device.name}", patience, device.status)
    known = repeat("listing instances", patience, service.instances)
    active = repeat("reading the instance", patience, service.active_instance)
    entry: dict[str, Any] = next((dict(i) for i in known if i.get("crn") == active), {})
    listed = repeat("listing devices", patience, service.backends)
    left = used.get("usage_remaining_seconds")
    return Standing(
        instance=str(entry.get("name") or active),
        plan=str(entry.get("plan") or "unknown"),
        used_seconds=float(used.get("usage_consumed_seconds") or 0.0),
        left_seconds=None if left is None else float(left),
        device=device.name,
        qubits=device.num_qubits,
        state=status.status_msg if status.operational else f"not operational, {status.status_msg}",
        queue=int(status.pending_jobs),
        rep_delay=float(device.configuration().default_rep_delay),
        devices=tuple(sorted(b.name for b in listed)),
    )
