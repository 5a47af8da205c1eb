"""Files that come with the package beside its code: profiles, job specs and study specs."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
PACKED = {"backends": "backends", "jobs": "jobs", "docs/studies": "studies"}
"""Folders of a checkout, and what their copies in a wheel are called."""


def shipped_folders(kind: str) -> list[Path]:
    """Where files of a kind lie, first hit wins: the checkout that this is, and the wheel's copy.

    Args:
        kind: A folder of a checkout, such as ``"jobs"``.
    """
    checkout = PACKAGE.parent
    own = [checkout / kind] if (checkout / "pyproject.toml").is_file() else []
    return [*own, PACKAGE / "packaged" / PACKED[kind]]


def named_spec(kind: str, place: Path) -> Path:
    """A spec by its path, or one of ``./KIND`` or of the package by its bare name.

    Args:
        kind: A folder of a checkout, such as ``"jobs"``.
        place: What a user gave: a path, or a name such as ``hello-hardware``.

    Returns:
        The file; what was given where no file is called so.
    """
    if place.suffix or len(place.parts) != 1 or place.exists():
        return place
    files = _files([Path(kind), *shipped_folders(kind)])
    return next((path for path in files if path.stem == place.name), place)


def spec_names(kind: str) -> list[str]:
    """Names of the specs of the package.

    Args:
        kind: A folder of a checkout, such as ``"jobs"``.
    """
    return sorted({path.stem for path in _files(shipped_folders(kind))})


def _files(folders: Iterable[Path]) -> list[Path]:
    return [path for folder in folders for path in sorted(folder.glob("*.toml"))]
