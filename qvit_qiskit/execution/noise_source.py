"""The device whose noise is meant: a snapshot, a calibration file, a run, or a processor now."""

from __future__ import annotations

from pathlib import Path

from qiskit.providers import BackendV2

from qvit_qiskit.devices.calibration import device_of
from qvit_qiskit.devices.regions import bundled_device
from qvit_qiskit.exceptions import RouteError
from qvit_qiskit.hardware.journal import Journal
from qvit_qiskit.hardware.stored import compiled_stages
from qvit_qiskit.ibm.account import connect, find_device
from qvit_qiskit.ibm.calls import Patience, repeat
from qvit_qiskit.ibm.sender import properties_json
from qvit_qiskit.profile import IbmProfile


def noise_device(noise: str, base: Path) -> BackendV2:
    """The device that a profile's ``noise`` names.

    Args:
        noise: A bundled snapshot, ``run:`` and a run's folder or its name below ``runs/``, or a
            calibration file ending in ``.json``.
        base: What the file's path is relative to.

    Raises:
        RouteError: If there is no such snapshot or calibration.
        JobError: If the folder is no run's.
    """
    if noise.startswith("run:"):
        return run_device(Path(noise.removeprefix("run:")))
    if noise.endswith(".json"):
        path = base / noise
        try:
            return device_of(path.read_bytes(), str(path))
        except OSError as error:
            raise RouteError(f"Cannot read the calibration {path}: {error.strerror}.") from error
    return bundled_device(noise)


def run_device(folder: Path) -> BackendV2:
    """The device of a run, as it was when the run's last quantum layer was compiled.

    Raises:
        RouteError: If the run is not compiled, or its device reported nothing.
        JobError: If the folder is no run's.
    """
    if not folder.exists() and (Path("runs") / folder).exists():
        folder = Path("runs") / folder
    stages = compiled_stages(Journal.open(folder))
    if not stages:
        raise RouteError(f"The run in {folder} has recorded no calibration yet; resume it first.")
    return stages[-1].device


def live_calibration(profile: IbmProfile, patience: Patience) -> str:
    """What a profile's device reports of itself now, as `device_of` reads it; costs no QPU time.

    Raises:
        RouteError: If the account is missing or refused, or has no such device.
        ServiceError: If the service does not answer.
    """
    device = find_device(connect(profile, patience), profile, patience)
    return repeat("reading the calibration", patience, lambda: properties_json(device))
