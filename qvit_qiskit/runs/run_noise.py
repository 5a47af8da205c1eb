"""The noise of a run: its device as it was then, and what its own compilation predicts."""

from __future__ import annotations

from pathlib import Path

from qiskit.providers import BackendV2

from qvit_qiskit.exceptions import RouteError
from qvit_qiskit.execution.recorded_noise import RecordedNoise, noise_of
from qvit_qiskit.hardware.run_reader import RunReader


def run_device(run: Path | str) -> BackendV2:
    """The device of a run, as it was when the run's last quantum layer was compiled.

    Args:
        run: The run's folder, or its name below ``runs/``.

    Raises:
        RouteError: If the run is not compiled, or its device reported nothing.
        JobError: If the folder is no run's.
    """
    folder = Path(run)
    if not folder.exists() and (Path("runs") / folder).exists():
        folder = Path("runs") / folder
    stages = RunReader.open(folder).compiled_stages
    if not stages:
        raise RouteError(f"The run in {folder} has recorded no calibration yet; resume it first.")
    return stages[-1].device


def recorded_noise(folder: Path, *, mitigated: bool = False) -> RecordedNoise:
    """The noise that a run's folder predicts for it.

    Args:
        folder: The folder of a run whose quantum layers are compiled.
        mitigated: Whether to predict what the run's resilience level makes of the values.

    Raises:
        JobError: If the folder is no run's, or damaged.
        RouteError: If nothing is compiled, or its device reported nothing.
    """
    stages = RunReader.open(folder).compiled_stages
    if not stages:
        raise RouteError(f"The run in {folder} has compiled nothing yet; resume it first.")
    return noise_of(stages, mitigated=mitigated)
