"""One cell, from nothing or from its last epoch to its result; the same in any process."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable

from qvit_qiskit import __version__
from qvit_qiskit.data import MedImages
from qvit_qiskit.exceptions import DataError, JobError, QvitError
from qvit_qiskit.study.cells import Cell
from qvit_qiskit.study.folder import StudyFolder
from qvit_qiskit.study.folds import fold_of
from qvit_qiskit.study.plan import Places, load_set
from qvit_qiskit.study.profiles import Profile, same_profile
from qvit_qiskit.study.running.cell_evaluation import facts_of, judge, plan_on
from qvit_qiskit.study.running.tasks import CellTask, EpochProgress, Outcome, unevaluated, unplanned
from qvit_qiskit.study.running.teacher_answers import logits_in, recorded_teacher
from qvit_qiskit.training import FitResult, fit, load_checkpoint, resume
from qvit_qiskit.training.history import Epoch
from qvit_qiskit.training.loop import torch_threads
from qvit_qiskit.training.trainer import SETTINGS

TRAINING, ERROR = "training", "error.txt"


Tell = Callable[[EpochProgress], None]


def work(task: CellTask, tell: Tell) -> Outcome:
    """Finish a cell; whatever goes wrong is told, not raised.

    Args:
        task: The cell.
        tell: Called after every epoch.
    """
    started, key = time.perf_counter(), task.cell.key
    folder = StudyFolder(task.folder)
    try:
        if task.version != __version__:
            raise JobError(
                f"The study was planned with version {task.version} of qvit-qiskit, but this "
                f"worker has {__version__}. Install the same."
            )
        # Cells run side by side, so each has one thread and the folder's own teachers.
        with folder.holding(key), torch_threads(1), logits_in(folder.logits):
            done = _finish(task, folder, tell)
        seconds = time.perf_counter() - started
        return Outcome(key, "done" if done else "stopped", seconds)
    except QvitError as error:
        reason = str(error)
    except Exception as error:  # a cell's failure must not end the study
        (folder.cell(key) / ERROR).write_text(traceback.format_exc(), encoding="utf-8")
        lines = str(error).splitlines() or ["no message"]
        reason = f"{type(error).__name__}: {lines[0].rstrip('.')}. See {folder.cell(key) / ERROR}."
    return Outcome(key, "failed", time.perf_counter() - started, reason)


def _finish(task: CellTask, folder: StudyFolder, tell: Tell) -> bool:
    """Train and evaluate what is missing; false if the session ended meanwhile."""
    cell, place = task.cell, folder.cell(task.cell.key)
    result = folder.result(cell.key)
    data = _data(cell, task.places)
    if result is None:
        trained = _train(task, folder, data, tell)
        if trained.interrupted:
            return False
        result = facts_of(cell, trained)
    missing = unevaluated(result, task.profiles)
    wanted = unplanned(result, cell, task.devices)
    if not (missing or wanted):
        return True
    model = load_checkpoint(place / TRAINING).model
    for profile in missing:
        result["evaluations"].append(judge(task, folder, model, data, profile))
    folder.write_result(cell.key, result)  # last: a folder without it is unfinished
    for device in wanted:
        if not folder.in_session(task.session):
            return False
        result.setdefault("plans", []).append(plan_on(task, model, data, device))
        folder.write_result(cell.key, result)  # a plan takes as long as some trainings
    (place / ERROR).unlink(missing_ok=True)
    return True


def _train(task: CellTask, folder: StudyFolder, data: MedImages, tell: Tell) -> FitResult:
    cell, place = task.cell, folder.cell(task.cell.key) / TRAINING
    planned = cell.train.planned_epochs

    def on_epoch(record: Epoch, total: int) -> None:
        tell(EpochProgress(cell.key, record.epoch / planned))
        if not folder.in_session(task.session):
            raise KeyboardInterrupt  # what `fit` understands; the epoch is kept

    profile = Profile(cell.train.backend, cell.backend)
    route = same_profile(profile, task.places.backends_dir, training=True)
    teacher = recorded_teacher(cell.teacher, cell.teacher_name) if cell.teacher else None
    how = cell.train.distill
    other = how.pretrain_dataset if how else None
    more = load_set(other, task.places) if other else None
    if more is not None and cell.pretrain is not None:
        _same(more, cell.pretrain.md5)
    if (place / SETTINGS).exists():
        sets = {cell.dataset: data} | ({other: more} if other and more else {})
        return resume(place, sets.__getitem__, route=route, on_epoch=on_epoch, teacher=teacher)
    return fit(
        cell.config, cell.train, data, folder=place, route=route, on_epoch=on_epoch,
        teacher=teacher, pretrain_data=more,
    )  # fmt: skip


def _data(cell: Cell, places: Places) -> MedImages:
    data = load_set(cell.dataset, places)
    _same(data, cell.source.md5)
    return data if cell.fold is None else fold_of(data, cell.fold, cell.folds)


def _same(data: MedImages, md5: str) -> None:
    if data.md5 != md5:
        raise DataError(
            f"The study was planned with {data.name} of MD5 {md5}, but the file at hand has "
            f"{data.md5}. Give every worker the original file with --data-root."
        )
