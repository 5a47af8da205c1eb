"""Settings for one evaluation alone: fields of a job spec or of its profile, as KEY=VALUE."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from qvit_qiskit.exceptions import ConfigError, JobError
from qvit_qiskit.profile import FakeProfile, IbmProfile
from qvit_qiskit.runs.spec import JobSpec
from qvit_qiskit.spec import Spec
from qvit_qiskit.suggest import unknown

Written = TypeVar("Written", bound=Spec)


def read_settings(given: Sequence[str]) -> dict[str, Any]:
    """Settings as they are typed on a command line.

    Args:
        given: Each ``KEY=VALUE`` with a value as TOML writes it; a word needs no quotes.

    Returns:
        Values by key, of which nothing is known yet.

    Raises:
        JobError: If one is not of that form, or a key is given twice.
    """
    changes: dict[str, Any] = {}
    for text in given:
        key, equals, value = (part.strip() for part in text.partition("="))
        if not (key.isidentifier() and equals and value):
            raise JobError(f"Expected KEY=VALUE, such as shots=2048, but got {text!r}.")
        if key in changes:
            raise JobError(f"The setting {key} is given twice. Give it once.")
        try:
            changes[key] = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            changes[key] = value
    return changes


def divided(
    settings: Mapping[str, Any], profile: FakeProfile | IbmProfile
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Settings of the job spec, and those of the profile.

    Args:
        settings: By key; a field of both, such as ``shots``, is the spec's.
        profile: Whose fields can be set.

    Raises:
        JobError: If a key is a field of neither; the message names the nearest.
    """
    of_spec, of_profile = set(JobSpec.model_fields), set(type(profile).model_fields)
    for key in settings:
        if key not in of_spec | of_profile:
            raise JobError(unknown("setting", key, sorted(of_spec | of_profile)))
    return (
        {key: value for key, value in settings.items() if key in of_spec},
        {key: value for key, value in settings.items() if key not in of_spec},
    )


def changed(written: Written, settings: Mapping[str, Any]) -> Written:
    """A job spec or a profile with some fields set otherwise.

    Args:
        written: As its file says.
        settings: Values by field.

    Raises:
        JobError: If a value does not fit its field, or there is no such field.
    """
    if not settings:
        return written
    try:
        return type(written).create(**written.model_dump(exclude_unset=True) | dict(settings))
    except ConfigError as error:
        options = " ".join(f"--set {key}={value}" for key, value in settings.items())
        raise JobError(f"{options}: {error}") from error
