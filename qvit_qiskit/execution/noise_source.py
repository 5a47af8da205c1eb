"""The device whose noise is meant: a snapshot, a calibration file, or a processor now."""

from __future__ import annotations

from pathlib import Path

from qiskit.providers import BackendV2

from qvit_qiskit.devices.calibration import device_of
from qvit_qiskit.devices.regions import bundled_device
from qvit_qiskit.exceptions import RouteError
from qvit_qiskit.execution.noise_names import reader_of
from qvit_qiskit.ibm.account import connect, find_device
from qvit_qiskit.ibm.calls import Patience, repeat
from qvit_qiskit.ibm.sender import properties_json
from qvit_qiskit.profile import IbmProfile


def noise_device(noise: str, base: Path) -> BackendV2:
    """The device that a profile's ``noise`` names.

    Args:
        noise: A bundled snapshot, a calibration file ending in ``.json``, or a name that another
            room has registered a reader for, such as ``run:`` and a run's folder.
        base: What the file's path is relative to.

    Raises:
        RouteError: If there is no such snapshot or calibration.
        JobError: If the folder is no run's.
    """
    reader = reader_of(noise)
    if reader is not None:
        return reader()
    if noise.endswith(".json"):
        path = base / noise
        try:
            return device_of(path.read_bytes(), str(path))
        except OSError as error:
            raise RouteError(f"Cannot read the calibration {path}: {error.strerror}.") from error
    return bundled_device(noise)


def live_calibration(profile: IbmProfile, patience: Patience) -> str:
    """What a profile's device reports of itself now, as `device_of` reads it; costs no QPU time.

    Args:
        profile: Names the account and the device.
        patience: How long to wait for the service, and how often to ask again.

    Returns:
        The device's properties as JSON text.

    Raises:
        RouteError: If the account is missing or refused, or has no such device.
        ServiceError: If the service does not answer.
    """
    device = find_device(connect(profile, patience), profile, patience)
    return repeat("reading the calibration", patience, lambda: properties_json(device))
