"""A run's folder: a journal of events, and files that never change once they are written.

An event is a line of JSON that reaches the disk before anything acts on it; each line ends with a
checksum of itself and of all lines before it. Files are written beside their place and moved there,
and the journal keeps their SHA-256.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import uuid
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from qvit_qiskit.exceptions import JobError
from qvit_qiskit.files import atomic
from qvit_qiskit.formats import Format
from qvit_qiskit.hardware.events import Creation, Event, read_line

FORMAT = Format("run folder", 1, JobError)
NAME = "journal.jsonl"
E = TypeVar("E", bound=Event)


def digest(data: bytes) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


class Journal:
    """The events of one folder, and its files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / NAME
        self.events: list[Event] = []
        self._kinds: dict[type[Event], list[Any]] = {}
        """The same events by their kind."""
        self._first: list[dict[str, Any]] = []
        """The first two lines, as JSON: what copies of the folder share, and no other run has."""
        self._size = 0
        """Bytes of whole lines. What stands behind them was cut off before anything acted on it."""
        self._check = 0
        """The checksum of the last line."""

    @classmethod
    def create(cls, folder: Path) -> Journal:
        """Start a folder.

        Raises:
            JobError: If the folder holds something already, or cannot be written.
        """
        check_new(folder)
        journal = cls(folder)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            journal.path.touch(exist_ok=False)  # of two processes, one
            _to_disk(folder)
            _to_disk(folder.parent)
        except FileExistsError:
            raise _taken(folder) from None
        except OSError as error:
            raise _unwritable(folder, error) from error
        journal.append(Creation(format=FORMAT.number, identity=uuid.uuid4().hex))
        return journal

    @classmethod
    def open(cls, folder: Path) -> Journal:
        """Read a folder; nothing is written.

        Raises:
            JobError: If it is no run folder, of a newer format, or damaged.
        """
        journal = cls(folder)
        try:
            text = journal.path.read_bytes()
        except FileNotFoundError:
            raise JobError(f"{folder} is no run folder: it has no {NAME}.") from None
        except OSError as error:
            raise JobError(f"Cannot read {journal.path}: {error.strerror or error}.") from error
        # The last line may have been cut off by a kill, before anything acted on it.
        for number, line in enumerate(text.split(b"\n")[:-1], start=1):
            try:
                journal._take(line)
            except (ValueError, TypeError, KeyError, AttributeError):
                raise JobError(
                    f"Line {number} of {journal.path} is damaged. Restore the folder from a copy; "
                    "its jobs are still in your IBM account."
                ) from None
        if not journal.events:
            raise JobError(
                f"The run in {folder} was interrupted before anything was written down. Delete "
                "the folder and submit again; nothing was sent."
            )
        return journal

    def _take(self, line: bytes) -> None:
        """Read one line.

        Raises:
            ValueError: If it is damaged, or another one than was written in its place.
            JobError: If the folder has another format.
        """
        facts = json.loads(line)
        if not self.events and facts["event"] == Creation.kind:
            FORMAT.check(facts.get("format"), self.folder)
        check = facts.pop("check")
        if check != self._checksum(facts) or (not self.events and facts["event"] != Creation.kind):
            raise ValueError(check)
        self._keep(read_line(facts), facts, check, len(line) + 1)

    def _keep(self, event: Event, facts: dict[str, Any], check: int, size: int) -> None:
        self.events.append(event)
        self._kinds.setdefault(type(event), []).append(event)
        if len(self._first) < 2:
            self._first.append(facts)
        self._check = check
        self._size += size

    def _checksum(self, facts: dict[str, Any]) -> int:
        return zlib.crc32(json.dumps(facts, allow_nan=False).encode(), self._check)

    def append(self, event: E) -> E:
        """Write an event; when this returns it is on the disk.

        Args:
            event: What happened, without a time.

        Returns:
            The event with its time.

        Raises:
            JobError: If it cannot be written; nothing was acted upon.
        """
        event = replace(event, time=datetime.now(UTC).isoformat(timespec="milliseconds"))
        line = event.line()
        check = self._checksum(line)
        data = json.dumps(line | {"check": check}, allow_nan=False).encode() + b"\n"
        try:
            # Without a buffer: closing one would write the rest of a line that failed.
            with self.path.open("r+b", buffering=0) as stream:
                stream.seek(self._size)
                if b"\n" in stream.read():
                    raise JobError(f"Another process has written to {self.path}. Begin again.")
                stream.truncate(self._size)
                stream.seek(self._size)
                rest = memoryview(data)
                while rest:
                    rest = rest[stream.write(rest) :]
                os.fsync(stream.fileno())
        except OSError as error:
            self._cut()
            raise _unwritable(self.path, error) from error
        self._keep(event, line, check, len(data))
        return event

    def _cut(self) -> None:
        try:
            os.truncate(self.path, self._size)
        except OSError:  # the next event cuts it off
            return

    @property
    def identity(self) -> str:
        """Random, made when the run began: what copies of the folder share, and no other run has.

        Runs of earlier versions wrote none down; theirs is the hash of their first events.
        """
        return str(self._first[0].get("identity") or self.fingerprint)

    @property
    def fingerprint(self) -> str:
        """The hash of the first two events."""
        return digest(json.dumps(self._first).encode())

    def of(self, kind: type[E]) -> list[E]:
        """Events of a kind, in order."""
        return list(self._kinds.get(kind, []))

    def store(self, name: str, data: bytes) -> str:
        """Write a file of the folder.

        Args:
            name: The file's path within the folder.
            data: Its content.

        Returns:
            The content's SHA-256.

        Raises:
            JobError: If it cannot be written.
        """
        path = self.folder / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic(path) as temporary:
                temporary.write_bytes(data)
                _to_disk(temporary)
            for folder in (path.parent, *path.parent.parents):
                _to_disk(folder)
                if folder == self.folder:
                    break
        except OSError as error:
            raise _unwritable(path, error) from error
        return digest(data)

    def load(self, name: str, sha256: str) -> bytes:
        """Read a file of the folder.

        Args:
            name: The file's path within the folder.
            sha256: Of the content that was written.

        Raises:
            JobError: If it is missing or not what was written.
        """
        path = self.folder / name
        try:
            data = path.read_bytes()
        except OSError as error:
            raise JobError(f"Cannot read {path}: {error.strerror}. Restore it.") from error
        if digest(data) != sha256:
            raise JobError(
                f"{path} is not what the run wrote: its checksum differs. Restore it from a copy."
            )
        return data


def _to_disk(path: Path) -> None:
    """Flush a file or, where the file system can, the entries of a folder.

    Network, FUSE and Windows disks refuse to open or to flush a folder (EINVAL, EACCES, …); they
    keep its entries in order by themselves or not at all, and a file in it is flushed all the same.
    """
    folder = path.is_dir()
    try:
        descriptor = os.open(path, os.O_RDONLY if folder else os.O_RDWR)
    except OSError:
        if folder:
            return
        raise
    try:
        os.fsync(descriptor)
    except OSError as error:
        if not folder or error.errno in (errno.EIO, errno.ENOSPC, errno.EDQUOT):
            raise
    finally:
        os.close(descriptor)


def _unwritable(path: Path, error: OSError) -> JobError:
    return JobError(
        f"Cannot write {path}: {error.strerror or error}. Nothing was lost; make room or mend the "
        "permissions, then `qvit resume`."
    )


class Locked(JobError):
    """Another process works on a run's folder."""


@contextmanager
def locked(folder: Path, seconds: float = 0.0) -> Iterator[None]:
    """Keep other processes from changing a run's folder.

    Args:
        folder: The run's folder.
        seconds: How long to wait for another process that holds it.

    Raises:
        Locked: If another process holds it.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=seconds)
    except Timeout:
        raise Locked(
            f"Another process is working on {folder}. Wait for it, or look with `qvit status`."
        ) from None
    except OSError as error:
        raise _unwritable(folder / ".lock", error) from error
    try:
        yield
    finally:
        lock.release()


def pack_arrays(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Arrays as one npz file, the same bytes for the same arrays."""
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]
    return stream.getvalue()


def unpack_arrays(data: bytes) -> dict[str, np.ndarray]:
    """Arrays of an npz file; no pickle is read.

    Raises:
        JobError: If it holds anything else.
    """
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (ValueError, OSError, EOFError, AttributeError, zipfile.BadZipFile, zlib.error):
        raise JobError("A file of the run holds no arrays. Restore it from a copy.") from None


def check_new(folder: Path) -> None:
    """Refuse a folder that holds something already.

    Args:
        folder: Where a run is to begin.

    Raises:
        JobError: If it does, or cannot be read.
    """
    try:
        if folder.exists() and any(folder.iterdir()):
            raise _taken(folder)
    except OSError as error:
        raise _unwritable(folder, error) from error


def _taken(folder: Path) -> JobError:
    return JobError(
        f"The run folder {folder} is not empty. Name a new one, or go on with the run in "
        f"it: `qvit resume {folder}`."
    )
