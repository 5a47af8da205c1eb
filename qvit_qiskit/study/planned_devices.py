"""What a study asks of devices: which profiles a trained model is planned on, and what for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, model_validator

from qvit_qiskit.exceptions import JobError, ProfileError
from qvit_qiskit.runs.measured_profile import find_measured
from qvit_qiskit.runs.planning.request import Accuracy
from qvit_qiskit.runs.pricing import pricing_device
from qvit_qiskit.spec import Spec
from qvit_qiskit.study.cells import digest


class PlanSpec(Spec):
    """The table ``[plans]``: trained models are planned on devices, as by `qvit_qiskit.plan`."""

    kind_of_key = "key of plans"

    backends: tuple[str, ...] = Field(min_length=1)
    """Profiles of kind ``ibm`` or ``fake``; planned offline, on the device's snapshot."""
    tolerance: float | None = None
    """AUC that may be lost at most; by default 0.01."""
    agreement: float | None = None
    """Instead, or as well: the share of images that must be answered as the exact model does."""
    settings: dict[str, Any] = Field(default={})
    """Fields of the profiles that are set otherwise, e.g. ``readout = "auto"``."""
    seeds: tuple[Annotated[int, Field(ge=0, lt=2**63)], ...] = ()
    """Seeds whose models are planned; without them all."""

    @model_validator(mode="after")
    def _usable(self) -> PlanSpec:
        if len(set(self.backends)) != len(self.backends):
            raise ValueError(f"backends: expected each value once, got {list(self.backends)}")
        try:
            self.accuracy()
        except JobError as error:
            raise ValueError(str(error).rstrip(".")) from error
        return self

    def accuracy(self) -> Accuracy:
        """What every plan must meet.

        Raises:
            JobError: If a value is out of range.
        """
        return Accuracy.of(self.tolerance, self.agreement)


@dataclass(frozen=True)
class PlannedDevice:
    """A profile on which trained models are planned, and what for."""

    name: str
    """The profile's name or path."""
    digest: str
    """SHA-256 of what the profile says and of what is asked."""
    device: str
    """The snapshot that is planned on."""
    spec: PlanSpec
    """What is asked."""

    def plans(self, seed: int, circuits: int) -> bool:
        """Whether a trained model is planned on the device.

        Args:
            seed: The training's.
            circuits: How many it runs for an image; a model without any has no plan.
        """
        return bool(circuits) and (not self.spec.seeds or seed in self.spec.seeds)


def open_devices(spec: PlanSpec, backends_dir: Path | None) -> tuple[PlannedDevice, ...]:
    """The devices of a study, by what their profiles say here.

    Args:
        spec: What the study asks.
        backends_dir: A folder of profiles to search first.

    Raises:
        JobError: If a setting does not fit.
        ProfileError: If a profile is missing or malformed.
        RouteError: If a profile is of kind ``aer``, or its device is unknown.
    """
    return tuple(_device(name, spec, backends_dir) for name in spec.backends)


def check_same(wanted: PlannedDevice, backends_dir: Path | None) -> None:
    """Refuse a profile that says something else here than where the study was planned.

    Args:
        wanted: The device as the study was planned with it.
        backends_dir: A folder of profiles to search first.

    Raises:
        ProfileError: If it says something else, or is missing.
    """
    if _device(wanted.name, wanted.spec, backends_dir).digest != wanted.digest:
        raise ProfileError(
            f"The profile {wanted.name!r} is not the one that the study was planned with. Give "
            "every worker the same --backends-dir."
        )


def _device(name: str, spec: PlanSpec, backends_dir: Path | None) -> PlannedDevice:
    _, profile = find_measured(name, backends_dir, spec.settings)
    device = pricing_device(profile)  # an unknown one is a mistake, and no answer about a model
    said = profile.ingredients()
    del said["description"]  # words change nothing that is planned
    asked = spec.accuracy()
    key = digest([said, asked.tolerance, asked.agreement])
    return PlannedDevice(name, key, device.name, spec)
