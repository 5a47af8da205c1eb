"""Profiles that a run may name: those that measure, on a processor or on a snapshot of one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qiskit.providers import BackendV2

from qvit_qiskit.devices.regions import bundled_device
from qvit_qiskit.exceptions import RouteError
from qvit_qiskit.execution import registry
from qvit_qiskit.execution.registry import Found
from qvit_qiskit.ibm.account import connect, find_device
from qvit_qiskit.ibm.calls import Patience, repeat
from qvit_qiskit.profile import FakeProfile, IbmProfile
from qvit_qiskit.runs.overrides import changed


def find_measured(
    backend: str, backends_dir: Path | None = None, settings: Mapping[str, Any] | None = None
) -> tuple[Found, FakeProfile | IbmProfile]:
    """The profile of a run: of a processor, or of a snapshot for a rehearsal.

    Args:
        backend: Its name.
        backends_dir: A folder of profiles to search first.
        settings: Fields of the profile that are set otherwise.

    Raises:
        JobError: If a setting does not fit.
        ProfileError: If the profile is missing, malformed, or hides a packaged one.
        RouteError: If it is of kind ``aer``.
    """
    entry = registry.find(backend, backends_dir)
    registry.refuse_shadow(entry, backends_dir)
    profile = entry.load()
    if not isinstance(profile, FakeProfile | IbmProfile):
        raise RouteError(
            f"The profile {backend!r} is of kind 'aer' and costs no QPU time, so it needs no run. "
            "Use `qvit evaluate`, or name a profile of kind 'ibm' or 'fake'."
        )
    return entry, changed(profile, settings or {})


def device_now(profile: FakeProfile | IbmProfile, patience: Patience) -> BackendV2:
    """The device of a profile with its calibration of now; a rehearsal's snapshot.

    Args:
        profile: The profile.
        patience: How long to wait for the service.

    Raises:
        RouteError: If the account is missing or refused, or has no such device.
        ServiceError: If the service does not answer.
    """
    if isinstance(profile, FakeProfile):
        return bundled_device(profile.device)
    device = find_device(connect(profile, patience), profile, patience)
    repeat("reading the calibration", patience, lambda: device.target)
    return device
