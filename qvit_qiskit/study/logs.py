"""Files that several processes write: locks, and logs of JSON lines that only grow."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from qvit_qiskit.exceptions import JobError


@contextmanager
def locked(path: Path, patience: float, reason: str = "") -> Iterator[None]:
    """Hold a file's lock.

    Args:
        path: The file.
        patience: Seconds to wait for another process.
        reason: The beginning of the error.

    Raises:
        JobError: If another process holds it for longer, or it cannot be held.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(path)
    try:
        lock.acquire(timeout=patience)
    except Timeout:
        raise JobError(f"{reason or f'{path} is held.'} Wait for it, then run again.") from None
    except OSError as error:
        raise JobError(f"Cannot lock {path}: {error.strerror or error}.") from error
    try:
        yield
    finally:
        lock.release()


def now() -> str:
    """The time in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def append(path: Path, record: dict[str, Any]) -> None:
    """Add a line of JSON that is on the disk before anything acts on it.

    A line that a kill cut off earlier is ended first.

    Args:
        path: The log; it is made if it is missing.
        record: What the line says.
    """
    line = json.dumps(record) + "\n"
    with path.open("ab+") as file:
        if file.tell():
            file.seek(-1, os.SEEK_END)
            line = line if file.read(1) == b"\n" else f"\n{line}"
        file.write(line.encode())
        file.flush()
        os.fsync(file.fileno())  # a machine may lose power after the cell has started


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Whole lines of JSON; what a kill cut off is left out."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return []
    records = []
    for line in text.splitlines():
        try:
            records.append(dict(json.loads(line)))
        except (ValueError, TypeError):
            continue
    return records
