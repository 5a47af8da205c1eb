"""The IBM account, and the device that a profile means."""

from __future__ import annotations

import json
import logging
import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qiskit.providers import BackendV2

from qvit_qiskit.exceptions import RouteError
from qvit_qiskit.ibm.calls import Patience, repeat
from qvit_qiskit.ibm.causes import clean, one_line
from qvit_qiskit.profile import IbmProfile

if TYPE_CHECKING:
    from qiskit_ibm_runtime import QiskitRuntimeService


def connect(profile: IbmProfile, patience: Patience) -> QiskitRuntimeService:
    """The client for a profile's account; a saved one by name, or the client's own choice.

    Args:
        profile: Names the account, the instance or the plan, where it does.
        patience: How long to wait for the service.

    Raises:
        RouteError: If there is no account, it is refused, or its file is damaged.
        ServiceError: If the service does not answer.
    """
    from qiskit_ibm_runtime import QiskitRuntimeService

    logging.getLogger("qiskit_ibm_runtime").setLevel(logging.ERROR)
    instance = profile.instance or os.environ.get("QISKIT_IBM_INSTANCE")
    _check_crn(instance)
    _check_file()
    wanted: dict[str, Any] = {}
    if profile.account:
        wanted["name"] = profile.account
    if profile.instance:
        wanted["instance"] = profile.instance
    if profile.plan:
        wanted["plans_preference"] = [profile.plan]

    def call() -> QiskitRuntimeService:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return QiskitRuntimeService(**wanted)
        except AccountNotFoundError as error:
            raise _no_account(profile) from error
        except IBMInputValueError as error:
            raise RouteError(
                f"The account has no instance {instance or profile.plan}. The platform's page of "
                f'instances shows their names and CRNs (IBM: "{clean(error)}").'
            ) from error

    from qiskit_ibm_runtime.accounts.exceptions import AccountNotFoundError
    from qiskit_ibm_runtime.exceptions import IBMInputValueError

    return repeat("connecting to the account", patience, call)


def _no_account(profile: IbmProfile) -> RouteError:
    if profile.account:
        return RouteError(
            f"No IBM Quantum account was found under the name {profile.account!r}. Save one with "
            f"`QiskitRuntimeService.save_account(name={profile.account!r}, token=…, instance=…)`, "
            "or name one of those that `QiskitRuntimeService.saved_accounts()` lists."
        )
    return RouteError(
        "No IBM Quantum account was found. Save one with "
        "`QiskitRuntimeService.save_account(token=…, instance=…)`, or set QISKIT_IBM_TOKEN and "
        "QISKIT_IBM_INSTANCE."
    )


CRN_PARTS = 10
"""Parts of a cloud resource name, with colons between them."""


def _check_crn(instance: str | None) -> None:
    """Refuse a malformed cloud resource name; the client would call it another account's."""
    if instance and instance.startswith("crn:") and instance.count(":") != CRN_PARTS - 1:
        raise RouteError(
            f"The instance {instance} is no whole CRN: it has {instance.count(':') + 1} parts "
            f"between colons, but should have {CRN_PARTS} (it ends in two colons). Copy it again "
            "from the platform's page of instances."
        )


def _check_file() -> None:
    """Refuse a damaged file of saved accounts by its name; the client fails without a word."""
    path = Path.home() / ".qiskit" / "qiskit-ibm.json"
    try:
        saved = json.loads(path.read_text())
    except FileNotFoundError:
        return
    except OSError as error:
        raise RouteError(f"Cannot read the saved accounts in {path}: {error.strerror}.") from error
    except ValueError:
        saved = None
    if not isinstance(saved, dict):
        raise RouteError(
            f"The file of saved accounts, {path}, is damaged. Mend or delete it, then save the "
            "account again with `QiskitRuntimeService.save_account(…)`."
        )


def find_device(
    service: QiskitRuntimeService, profile: IbmProfile, patience: Patience
) -> BackendV2:
    """The device that a profile names, or the least busy one that its filters admit.

    Args:
        service: The client.
        profile: Names the device or the filters.
        patience: How long to wait for the service.

    Raises:
        RouteError: If there is none.
        ServiceError: If the service does not answer.
    """
    from qiskit.providers.exceptions import QiskitBackendNotFoundError

    def search() -> BackendV2:
        if profile.device != "least-busy":
            return service.backend(profile.device)
        return service.least_busy(
            min_num_qubits=profile.min_qubits,
            filters=lambda backend: admits(profile, backend),
        )

    def call() -> BackendV2:
        with ClientLog() as log:
            try:
                return search()
            except QiskitBackendNotFoundError as error:
                missing = error
        if log.failed:  # the client takes what it could not read for what is not there
            service.usage()  # raises what keeps the instance from answering
            raise RuntimeError(f"the client could not read {log.failed}")
        raise RouteError(
            f"The instance has no such device as {profile.device}. `qvit backends check` lists "
            "those it has; name one of them in the profile."
            if profile.device != "least-busy"
            else f"No device of the instance has {profile.min_qubits} qubits or more"
            + (f" and is a {profile.family}" if profile.family else "")
            + " and is online. Change min_qubits or family in the profile, or name a device."
        ) from missing

    device = repeat(f"looking for {profile.device}", patience, call)
    if device.name.startswith("mock_"):
        raise RouteError(f"{device.name} returns random data. Name a real device.")
    return device


class ClientLog(logging.Handler):
    """Listens to the client's warnings: it only logs that it could not read a device.

    A context manager; what is heard is not printed.
    """

    PATTERNS = ("Unable to create configuration for", "could not be instantiated", "Invalid inst")

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.failed: str = ""
        """What the client could not read, in its own words; empty if nothing failed."""
        self._logger = logging.getLogger("qiskit_ibm_runtime")

    def __enter__(self) -> ClientLog:
        self._before = self._logger.level, self._logger.propagate, self._logger.handlers
        self._logger.setLevel(logging.WARNING)
        self._logger.propagate, self._logger.handlers = False, [self]
        return self

    def __exit__(self, *exception: object) -> None:
        level, self._logger.propagate, self._logger.handlers = self._before
        self._logger.setLevel(level)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a warning that says what could not be read."""
        text = record.getMessage()
        if any(pattern in text for pattern in self.PATTERNS):
            self.failed = one_line(text)


def admits(profile: IbmProfile, device: BackendV2) -> bool:
    """Whether a profile's filters for ``least-busy`` admit a device.

    Args:
        profile: Says the family of processors and the fewest qubits.
        device: The device that is asked about.
    """
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

    Args:
        profile: Names the account and the device.
        patience: How long to wait for the service, and how often to ask again.

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
