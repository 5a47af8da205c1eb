"""Names of noise that a room above knows how to read, such as ``run:`` and the name of a run.

What a route is made of stands below the runs, and does not know them. Who does registers a reader
for such names; the package itself does so for those of runs.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qiskit.providers import BackendV2

_READERS: dict[str, Callable[[str], BackendV2]] = {}


def register(kind: str, reader: Callable[[str], BackendV2]) -> None:
    """Let profiles say ``noise = "KIND:NAME"``.

    Args:
        kind: What stands before the colon.
        reader: Returns the device that a name after the colon means.
    """
    _READERS[kind] = reader


def reader_of(noise: str) -> Callable[[], BackendV2] | None:
    """What reads the device of such a name; None for a name of another make.

    Args:
        noise: As it stands in a profile.
    """
    kind, colon, name = noise.partition(":")
    return partial(_READERS[kind], name) if colon and kind in _READERS else None
