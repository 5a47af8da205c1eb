"""Teachers are asked before the first cell runs; what they say is in the folder for all workers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from qvit_qiskit.data import MedImages, Split
from qvit_qiskit.exceptions import CheckpointError
from qvit_qiskit.metrics import score
from qvit_qiskit.study.cells import Cell, TeacherSource
from qvit_qiskit.study.folder import StudyFolder
from qvit_qiskit.study.folds import fold_of
from qvit_qiskit.study.plan import Plan, load_set, teacher_of
from qvit_qiskit.study.running.process_environment import environment
from qvit_qiskit.training import Teacher
from qvit_qiskit.training.checkpoint import versions
from qvit_qiskit.training.phases import plan as phases_of
from qvit_qiskit.training.teachers import logits

CACHE = "QVIT_CACHE"
"""The variable that says where teachers' logits are kept."""

Teaching = Callable[[str, int], Callable[[int], None]]
"""Hears that a teacher is asked about so many images; returns what hears how many are done."""


def teach(plan: Plan, cells: Sequence[Cell], place: StudyFolder, teaching: Teaching) -> None:
    """Ask every teacher once, and keep what it says in the study's folder.

    Args:
        plan: The study.
        cells: Those whose teachers are asked.
        place: Its folder.
        teaching: Hears of it.

    Raises:
        ConfigError: If its classes do not fit.
    """
    seen: set[tuple[Any, ...]] = set()
    for cell in cells:
        how = cell.train.distill
        if cell.teacher_name is None or how is None:
            continue
        subject = (cell.teacher, cell.dataset, cell.fold, how.pretrain_dataset, how.teaches_labels)
        if subject in seen:
            continue
        seen.add(subject)
        data = load_set(cell.dataset, plan.places)
        data = data if cell.fold is None else fold_of(data, cell.fold, cell.folds)
        other = load_set(how.pretrain_dataset, plan.places) if how.pretrain_dataset else None
        phases = phases_of(
            cell.config, cell.train, data, other, partial(teacher_of, cell.teacher_name)
        )
        taught = [phase.data for phase in phases if phase.teacher]
        for images in taught:
            _ask(cell.teacher_name, images, place, teaching)
        if any(images is data for images in taught):  # else it teaches another set alone
            _judge(plan, cell, place)


def _ask(name: str, data: MedImages, place: StudyFolder, teaching: Teaching) -> None:
    teacher = teacher_of(name)
    assert teacher.digest is not None
    key = logits.key(teacher.digest, teacher.preprocessing, data, "train")
    with logits_in(place.logits):
        if logits.load(key, len(data.train)) is not None:
            return
    tick = teaching(f"teacher {name} on {data.name}", len(data.train))
    answers = teacher.logits(data, tick=tick)  # perhaps from the user's own cache
    with logits_in(place.logits):
        logits.store(key, answers)


def _judge(plan: Plan, cell: Cell, place: StudyFolder) -> None:
    """The teacher's own scores on the official split that the study is judged on."""
    assert cell.teacher is not None
    assert cell.teacher_name is not None
    split, name = cell.split, cell.teacher_name
    if place.teacher(cell.teacher.digest, cell.source.md5, split) is not None:
        return
    data = load_set(cell.dataset, plan.places)
    if split == "test":
        place.note_test(
            cell=None, label=f"teacher {name} on {cell.dataset}", profile=None,
            git=versions().get("git"), configuration=plan.configuration,
        )  # fmt: skip
    scores = score(data.split(split).labels, teacher_of(name).logits(data, split))
    record = {
        "teacher": name, "digest": cell.teacher.digest, "set": cell.dataset, "split": split,
        "images": scores.n, "AUC": scores.auc, "ACC": scores.acc,
    }  # fmt: skip
    place.keep_teacher(cell.teacher.digest, cell.source.md5, split, record)


def recorded_teacher(source: TeacherSource, name: str | None) -> Teacher:
    """A teacher whose logits are in the study's folder already; it is not asked itself.

    Args:
        source: Its digests, by which the folder knows its logits.
        name: What the spec calls it.
    """

    def absent(split: Split, tell: Callable[[int], None]) -> np.ndarray:
        raise CheckpointError(
            f"The logits of the teacher {name} are not in the study's folder. Is it shared with "
            "all workers? Run the study again to compute them."
        )

    return Teacher(name or "teacher", absent, source.digest, source.preprocessing)


def logits_in(folder: Path) -> AbstractContextManager[None]:
    """Keep teachers' logits in a folder; the variable is restored afterwards."""
    return environment({CACHE: str(folder)})
