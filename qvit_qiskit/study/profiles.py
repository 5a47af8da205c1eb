"""Profiles by content: what a machine calls by a name must be what the study means by it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from qvit_qiskit.exceptions import ProfileError
from qvit_qiskit.execution import registry
from qvit_qiskit.execution.noise_names import reader_of
from qvit_qiskit.execution.noise_source import noise_device
from qvit_qiskit.execution.profile_route import ProfileRoute
from qvit_qiskit.study.cells import digest


@dataclass(frozen=True)
class Profile:
    """A profile, known by what it says."""

    name: str
    digest: str
    """SHA-256 of its fields and, where its noise is a file's or a run's, of that calibration."""
    shots: int | None = None
    """Of every row; None where values are exact or a profile has no number of them."""


def open_profile(
    name: str, backends_dir: Path | None = None, *, training: bool = False
) -> tuple[Profile, ProfileRoute]:
    """Open a profile of kind ``aer`` or ``fake``, and tell its digest.

    Args:
        name: Its name or path.
        backends_dir: A folder to search first.
        training: Whether models are to be trained on it.

    Raises:
        ProfileError: If it is missing or malformed.
        RouteError: If it costs QPU time, or is not for training.
    """
    route = registry.open(name, backends_dir=backends_dir, training=training)
    return _by_content(name, route), route


def without_idle(name: str, backends_dir: Path | None = None) -> Profile:
    """What studies were planned with before waiting qubits decayed in profiles.

    Args:
        name: The profile's name or path.
        backends_dir: A folder to search first.

    Raises:
        ProfileError: If it is missing or malformed.
        RouteError: If it costs QPU time.
    """
    return _by_content(name, registry.open(name, backends_dir=backends_dir).without_idle())


def _by_content(name: str, route: ProfileRoute) -> Profile:
    said = route.profile.ingredients()
    del said["description"]  # words change nothing that is computed
    noise = said.get("noise") or ""
    if reader_of(noise) or noise.endswith(".json"):
        device = noise_device(noise, route.path.parent)
        properties = device.properties().to_dict()
        said["noise"] = json.dumps(properties, sort_keys=True, default=str)
    return Profile(name, digest(said), said.get("shots"))


def same_profile(
    wanted: Profile, backends_dir: Path | None, *, training: bool = False
) -> ProfileRoute:
    """The route of a profile, which must say here what it said where the study was planned.

    Args:
        wanted: The profile as the study was planned with it.
        backends_dir: A folder to search first.
        training: Whether a model is to be trained on it.

    Raises:
        ProfileError: If it says something else, or is missing.
    """
    profile, route = open_profile(wanted.name, backends_dir, training=training)
    if profile.digest != wanted.digest and route.profile.decays:
        route = route.without_idle()  # planned before profiles had that field
        profile = _by_content(wanted.name, route)
    if profile.digest != wanted.digest:
        raise ProfileError(
            f"The profile {wanted.name!r} in {route.path} is not the one that the study was "
            "planned with. Give every worker the same --backends-dir."
        )
    return route
