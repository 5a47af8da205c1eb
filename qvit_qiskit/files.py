"""Files that are either whole or not there, and what may stand in them."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """A temporary file beside ``path`` that takes its place when the block ends without error.

    Args:
        path: The file to write.
    """
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(descriptor)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def close_to_others(folder: Path) -> None:
    """Leave a folder to its owner alone, as it is for copies and pictures of own images.

    Where a file system knows no such rights, nothing happens.

    Args:
        folder: An existing folder.
    """
    with suppress(OSError):
        folder.chmod(0o700)


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8 that is whole or not there.

    Args:
        path: The file; what it held before is replaced.
        text: All that it holds afterwards.
    """
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def finite(value: Any) -> Any:
    """A nested value with null in the place of numbers that JSON does not know."""
    if isinstance(value, Mapping):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
