"""What passes between a study and its workers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from qvit_qiskit import __version__
from qvit_qiskit.study.cells import Cell
from qvit_qiskit.study.plan import Places
from qvit_qiskit.study.planned_devices import PlannedDevice
from qvit_qiskit.study.profiles import Profile


@dataclass(frozen=True)
class CellTask:
    """A cell to be finished, with all that another process needs to know."""

    cell: Cell
    folder: Path
    session: str
    profiles: tuple[Profile, ...]
    places: Places
    configuration: str
    devices: tuple[PlannedDevice, ...] = ()
    version: str = __version__


@dataclass(frozen=True)
class EpochProgress:
    """An epoch of a cell is done."""

    key: str
    share: float
    """The share of the cell's epochs that is done."""


@dataclass(frozen=True)
class Outcome:
    """A cell is done with, one way or the other."""

    key: str
    state: Literal["done", "failed", "stopped"]
    seconds: float = 0.0
    """Wall time of the training and its evaluations."""
    reason: str = ""
    """Why the cell failed, in one sentence."""


def unevaluated(result: dict[str, Any], profiles: tuple[Profile, ...]) -> list[Profile]:
    """The profiles on which a trained cell has not been evaluated.

    Args:
        result: What the cell's folder says.
        profiles: Those on which the study evaluates.
    """
    known = {entry["digest"] for entry in result["evaluations"]}
    return [profile for profile in profiles if profile.digest not in known]


def unplanned(
    result: dict[str, Any], cell: Cell, devices: tuple[PlannedDevice, ...]
) -> list[PlannedDevice]:
    """The devices on which a trained cell is to be planned and has not been.

    Args:
        result: What the cell's folder says.
        cell: The cell.
        devices: Those that the study asks for.
    """
    known = {entry["digest"] for entry in result.get("plans", ())}
    circuits = result["cost"]["circuits"]
    return [
        device
        for device in devices
        if device.plans(cell.seed, circuits) and device.digest not in known
    ]
