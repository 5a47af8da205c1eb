"""A study's folder: the spec, the plan, a cell in each subfolder, and what happened when.

``study.toml`` and ``plan.json`` say what was asked last; ``cells/KEY/`` holds one training with its
``result.json``, which is written last; ``journal.jsonl`` and ``test-evaluations.jsonl`` only grow.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from qvit_qiskit.exceptions import JobError, QvitError
from qvit_qiskit.files import atomic, write_text
from qvit_qiskit.formats import Format
from qvit_qiskit.hardware.journal import pack_arrays, unpack_arrays
from qvit_qiskit.study.logs import append, locked, now, read_lines

PLAN, SPEC, SESSION, RESULT = "plan.json", "study.toml", "session", "result.json"
FORMAT = Format("study folder", 1, JobError, unnumbered=True)
"""The format of the plan and of each result; keys have their own (`cells`)."""
JOURNAL, TESTS = "journal.jsonl", "test-evaluations.jsonl"
PATIENCE = 60.0
"""Seconds to wait for a process of an earlier call to leave a cell."""


@dataclass(frozen=True)
class StudyFolder:
    """The folder of a study; shared by all machines that work on it."""

    path: Path

    def cell(self, key: str) -> Path:
        """The folder of a cell."""
        return self.path / "cells" / key

    @property
    def logits(self) -> Path:
        """Where the teachers' logits are kept, so that workers need no teacher."""
        return self.path / "teachers"

    def result(self, key: str) -> dict[str, Any] | None:
        """What a finished cell has written; none if it is not finished.

        Raises:
            JobError: If the file is damaged, or of a later format.
        """
        path = self.cell(key) / RESULT
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            FORMAT.check(record.get("format"), path)
            if record["key"] != key:
                raise ValueError(f"it is that of the cell {record['key']}")
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise JobError(
                f"{path} is not what this study wrote ({error}). Delete the cell's folder to "
                "compute it again."
            ) from error
        return dict(record)

    def write_result(self, key: str, result: dict[str, Any]) -> None:
        """Keep what a finished cell has to say.

        Args:
            key: Of the cell.
            result: As JSON.
        """
        write_text(self.cell(key) / RESULT, json.dumps(result, indent=1))

    def answers(self, key: str, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Labels (n,) and logits (n, classes) of an evaluation.

        Args:
            key: Of the cell.
            name: Of the file, as the result has it.

        Raises:
            JobError: If the file is missing or damaged.
        """
        path = self.cell(key) / Path(name).name  # a name from a file must not lead elsewhere
        try:
            arrays = unpack_arrays(path.read_bytes())
            return arrays["labels"], arrays["logits"]
        except (OSError, KeyError, QvitError) as error:
            raise JobError(
                f"{path} is not what this study wrote ({error}). Delete the cell's folder and run "
                "the study to compute it again."
            ) from error

    def write_answers(self, key: str, name: str, labels: np.ndarray, logits: np.ndarray) -> None:
        """Keep the answers of an evaluation.

        Args:
            key: Of the cell.
            name: Of the file.
            labels: Shape (n,).
            logits: Shape (n, classes).
        """
        packed = pack_arrays({"logits": logits, "labels": labels})
        with atomic(self.cell(key) / name) as temporary:
            temporary.write_bytes(packed)

    def teacher(self, digest: str, md5: str, split: str) -> dict[str, Any] | None:
        """Read a teacher's own scores on a split; none if they are not known.

        Args:
            digest: The teacher's.
            md5: The data set's.
            split: ``"test"`` or ``"val"``.
        """
        records = read_lines(self._teacher(digest, md5, split))
        return records[0] if records else None

    def keep_teacher(self, digest: str, md5: str, split: str, scores: dict[str, Any]) -> None:
        """Keep a teacher's own scores.

        Args:
            digest: The teacher's.
            md5: The data set's.
            split: ``"test"`` or ``"val"``.
            scores: What is known of the teacher there, as JSON.
        """
        path = self._teacher(digest, md5, split)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, json.dumps(scores) + "\n")

    def _teacher(self, digest: str, md5: str, split: str) -> Path:
        return self.logits / f"scores-{digest[:16]}-{md5[:16]}-{split}.json"

    def plan(self) -> dict[str, Any]:
        """What was asked last.

        Raises:
            JobError: If the folder holds no study, or one of a later format.
        """
        try:
            record = dict(json.loads((self.path / PLAN).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise JobError(
                f"Expected the folder of a study, but {self.path} has no readable {PLAN}. Run the "
                "study first, or name its folder with --out."
            ) from error
        FORMAT.check(record.get("format"), self.path)
        return record

    def spec(self) -> bytes:
        """The spec that was asked last.

        Raises:
            OSError: If it cannot be read.
        """
        return (self.path / SPEC).read_bytes()

    def check_format(self, keys: Iterable[str]) -> None:
        """Stop before anything is written into a folder of a later version.

        Args:
            keys: Of the cells that are asked.

        Raises:
            JobError: If it holds a plan or a result of a later format, or a damaged one.
        """
        if not (self.path / PLAN).exists():  # it is written before any result
            return
        self.plan()
        for key in keys:
            self.result(key)

    def write_plan(self, spec: str, plan: dict[str, Any]) -> None:
        """Keep what is asked now: a copy of the spec and its cells.

        Args:
            spec: The text of the spec's file.
            plan: The cells and everything that they are made of, as JSON.
        """
        write_text(self.path / SPEC, spec)
        write_text(self.path / PLAN, json.dumps(plan, indent=1))

    def note(self, event: str, **details: Any) -> None:
        """Add a line to the journal.

        Args:
            event: What happened, in a word.
            **details: What else the line says, as JSON.
        """
        append(self.path / JOURNAL, {"time": now(), "event": event, **details})

    def note_test(self, **details: Any) -> None:
        """Write down that a model is about to see a test split; any worker may."""
        with locked(self.path / ".tests.lock", PATIENCE):
            append(self.path / TESTS, {"time": now(), **details})

    def tests(self) -> list[dict[str, Any]]:
        """Every evaluation on a test split, in the order of time."""
        return read_lines(self.path / TESTS)

    @contextmanager
    def session(self) -> Iterator[str]:
        """Hold the folder; cells that work for another session stop after their epoch.

        Raises:
            JobError: If another process holds it, or it cannot be written.
        """
        try:
            (self.path / "cells").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise JobError(
                f"Cannot write {self.path}: {error.strerror or error}. Name another folder."
            ) from error
        with locked(self.path / ".lock", 0, f"Another process is working on {self.path}."):
            name = uuid.uuid4().hex
            write_text(self.path / SESSION, name)  # workers of an earlier call see that it is over
            try:
                yield name
            finally:
                (self.path / SESSION).unlink(missing_ok=True)

    def in_session(self, name: str) -> bool:
        """Whether that session still goes on."""
        try:
            return (self.path / SESSION).read_text(encoding="utf-8") == name
        except OSError:
            return False

    @contextmanager
    def holding(self, key: str) -> Iterator[Path]:
        """The folder of a cell, made if it is missing, and nobody else's meanwhile.

        Raises:
            JobError: If another process holds it for too long.
        """
        folder = self.cell(key)
        folder.mkdir(parents=True, exist_ok=True)
        reason = f"A process of an earlier call still works on the cell {key}."
        with locked(folder / ".lock", PATIENCE, reason):
            yield folder
