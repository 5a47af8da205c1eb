"""Jobs and sessions on disk: one JSON file each, written aside and moved into place."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

Record = dict[str, Any]
TERMINAL = ("Completed", "Failed", "Cancelled")


class Store:
    """What survives a kill.

    Records live in memory and in files; every change is written before the lock is given back.
    A job that was running when the process ended is queued again: it had produced nothing.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lock = threading.RLock()
        for kind in ("jobs", "sessions", "params", "results"):
            (folder / kind).mkdir(parents=True, exist_ok=True)
        self.jobs = self._load("jobs")
        self.sessions = self._load("sessions")
        for job in self.jobs.values():
            if job["status"] == "Running":
                self.update(job, status="Queued", running=None)

    def _load(self, kind: str) -> dict[str, Record]:
        records = [json.loads(path.read_text()) for path in (self.folder / kind).glob("*.json")]
        return {record["id"]: record for record in sorted(records, key=lambda r: r["number"])}

    def add(self, kind: str, record: Record) -> Record:
        """Keep a new record; numbers give the order of creation."""
        with self.lock:
            records = self.jobs if kind == "jobs" else self.sessions
            record["kind"] = kind
            record["number"] = 1 + max((r["number"] for r in records.values()), default=0)
            self._write(record)
            records[record["id"]] = record
        return record

    def update(self, record: Record, **changes: Any) -> None:
        """Change fields of a record, on disk first."""
        with self.lock:
            self._write(record | changes)
            record.update(changes)

    def change(self, record: Record, when: Callable[[Record], bool], **changes: Any) -> bool:
        """Change fields if a condition holds under the lock; tell whether it did."""
        with self.lock:
            if not when(record):
                return False
            self.update(record, **changes)
            return True

    def put(self, kind: str, identifier: str, data: bytes) -> None:
        """Keep the parameters or the result of a job."""
        write(self._path(kind, identifier), data)

    def get(self, kind: str, identifier: str) -> bytes | None:
        """The parameters or the result of a job, None if there is none."""
        path = self._path(kind, identifier)
        return path.read_bytes() if path.exists() else None

    def drop(self, kind: str, identifier: str) -> None:
        """Delete the parameters or the result of a job."""
        self._path(kind, identifier).unlink(missing_ok=True)

    def _write(self, record: Record) -> None:
        write(self._path(record["kind"], record["id"]), json.dumps(record).encode())

    def _path(self, kind: str, identifier: str) -> Path:
        return self.folder / kind / f"{identifier}.json"


def write(path: Path, data: bytes) -> None:
    """Write a file whole or not at all."""
    aside = path.with_suffix(f".{threading.get_ident()}.tmp")
    aside.write_bytes(data)
    os.replace(aside, path)  # noqa: PTH105  (atomic)
