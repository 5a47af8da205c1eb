"""Cells in this process, or on worker processes of this machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import wait
from typing import TYPE_CHECKING

from qvit_qiskit.exceptions import JobError
from qvit_qiskit.study.running.workers import Worker

if TYPE_CHECKING:
    from qvit_qiskit.study.running.tasks import CellTask, EpochProgress, Outcome

Executor = Callable[[Sequence["CellTask"]], "Iterator[EpochProgress | Outcome]"]
"""Runs cells in any order; tells of every epoch, if it can, and of every cell's end."""


def in_process(tasks: Sequence[CellTask]) -> Iterator[EpochProgress | Outcome]:
    """One cell after the other in this process.

    Yields:
        Every epoch of a cell, then how the cell ended.

    Raises:
        KeyboardInterrupt: If a training was interrupted; it is kept.

    Example:
        >>> from pathlib import Path
        >>> from qvit_qiskit.study import in_process, make_plan, run_study
        >>> run_study(make_plan(Path("tiny.toml")), "tables", in_process).done
        2
    """
    from qvit_qiskit.study.running.cell_work import work

    for task in tasks:
        progress: list[EpochProgress] = []
        outcome = work(task, progress.append)
        yield from progress
        if outcome.state == "stopped":
            raise KeyboardInterrupt
        yield outcome


class Pool:
    """An executor on worker processes.

    Example:
        >>> from qvit_qiskit.study import Pool
        >>> executor = Pool(2)  # for run_study(plan, folder, executor)
    """

    def __init__(self, workers: int) -> None:
        """So many workers at most.

        Raises:
            JobError: If there would be none.
        """
        if workers < 1:
            raise JobError(f"Expected at least one worker, but got {workers}.")
        self.workers = workers

    def __call__(self, tasks: Sequence[CellTask]) -> Iterator[EpochProgress | Outcome]:
        """Run cells; when the caller goes away, running ones keep their last epoch."""
        left = list(reversed(tasks))
        busy: list[Worker] = []
        try:
            busy += [Worker() for _ in range(min(self.workers, len(left)))]
            for worker in busy:
                worker.give(left.pop())
            while busy:
                for worker in _ready(busy):
                    event = worker.hear()
                    yield event
                    if not worker.idle:
                        continue
                    if left and not worker.alive:  # its cell has failed, and the others need hands
                        worker.kill()
                        busy[busy.index(worker)] = worker = Worker()
                    if left:
                        worker.give(left.pop())
                    else:
                        busy.remove(worker)
                        worker.dismiss()
        finally:
            for worker in busy:
                worker.kill()


def _ready(workers: list[Worker]) -> list[Worker]:
    ready = wait([worker.line for worker in workers])
    return [worker for worker in workers if worker.line in ready]
