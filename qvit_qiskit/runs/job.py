"""A job spec read, checked and priced: everything that is known before anything is sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qiskit.providers import BackendV2

from qvit_qiskit.data import facts
from qvit_qiskit.exceptions import JobError
from qvit_qiskit.execution.registry import Found
from qvit_qiskit.profile import FakeProfile, IbmProfile
from qvit_qiskit.runs.measured_profile import find_measured
from qvit_qiskit.runs.overrides import changed, divided
from qvit_qiskit.runs.pricing import Price, price
from qvit_qiskit.runs.spec import JobSpec, load_spec
from qvit_qiskit.training.checkpoint import Checkpoint, load_checkpoint


@dataclass(frozen=True)
class Job:
    """A spec with what it names."""

    path: Path
    spec: JobSpec
    found: Found
    """The profile's file."""
    profile: FakeProfile | IbmProfile
    checkpoint: Checkpoint
    price: Price
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the profile that were set otherwise."""

    def check_budget(self) -> None:
        """Stop a job that its own estimate does not allow.

        Raises:
            JobError: If it is over the budget; the message says what would fit.
        """
        seconds, budget = self.price.estimate.seconds, self.spec.budget_seconds
        if seconds <= budget:
            return
        shots, images = self.price.affordable(budget)
        ways = [f"shots = {shots}"] if shots else []
        ways += [f"subset = {images}"] if images else []
        told = f"It would fit with {' or '.join(ways)}, or with a" if ways else "It needs a"
        raise JobError(
            f"The estimate of {seconds:,.1f} QPU seconds is over the budget of {budget:g}. {told} "
            "larger budget_seconds."
        )

    def price_on(self, device: BackendV2) -> Price:
        """What it costs on a device as that is now.

        Raises:
            RouteError: If the device is too small.
        """
        model, spec = self.checkpoint.model, self.spec
        return price(
            model,
            model.stage_rows(),
            self.price.images,
            self.profile,
            spec.shots or self.profile.shots,
            control_rows=spec.control_rows,
            anchor_rows=spec.anchor_rows,
            job_seconds=spec.max_loss * spec.budget_seconds,
            device=device,
        )


def read_job(
    path: Path,
    checkpoint: Path | None = None,
    backends_dir: Path | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Job:
    """Read and price a job; no network, no account, no data set.

    Args:
        path: The job spec.
        checkpoint: Instead of the spec's.
        backends_dir: A folder of profiles to search first.
        settings: Fields of the spec or of its profile that are set otherwise.

    Raises:
        JobError: If the spec is malformed or names no checkpoint, or a setting does not fit.
        ProfileError: If the profile is missing, malformed, or hides a packaged one.
        RouteError: If the profile is of kind ``aer``.
        DataError: If the checkpoint does not fit the data set.
    """
    spec, settings = load_spec(path), settings or {}
    found, profile = find_measured(str(settings.get("backend", spec.backend)), backends_dir)
    of_spec, of_profile = divided(settings, profile)
    spec, profile = changed(spec, of_spec), changed(profile, of_profile)
    place = checkpoint or (path.parent / spec.checkpoint if spec.checkpoint else None)
    if place is None:
        raise JobError(f"{path} names no checkpoint. Pass one with --checkpoint.")
    loaded = load_checkpoint(place)
    known = facts(spec.dataset, size=spec.size, base=path.parent)
    loaded.model.check_data(known.name, known.channels, known.classes, known.pixels)
    if spec.split not in known.sizes:
        raise JobError(
            f"{path}: split: expected one of {', '.join(known.sizes)}, but got {spec.split!r}."
        )
    size = known.sizes[spec.split]
    if spec.subset is not None and spec.subset > size:
        raise JobError(
            f"{path}: subset: {known.name} has {size} images in its {spec.split} split, fewer "
            f"than {spec.subset}."
        )
    model = loaded.model
    if not any(model.stage_rows()):
        raise JobError(
            f"The model of {loaded.path} has no quantum layer, so nothing would be sent. "
            "`qvit evaluate` evaluates it."
        )
    shots = spec.shots or profile.shots
    priced = price(
        model,
        model.stage_rows(),
        spec.subset or size,
        profile,
        shots,
        control_rows=spec.control_rows,
        anchor_rows=spec.anchor_rows,
        job_seconds=spec.max_loss * spec.budget_seconds,
    )
    return Job(path, spec, found, profile, loaded, priced, of_profile)
