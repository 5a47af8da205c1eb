"""Processes that finish cells, one at a time.

They are started by ``spawn`` with one thread each for BLAS, OpenMP and Rayon, which libraries read
when they are loaded. A worker that dies costs its cell only; when the parent dies, however it does,
so do its workers.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import TYPE_CHECKING, Any

from qvit_qiskit.study.running.process_environment import ONE_THREAD, environment

if TYPE_CHECKING:
    from qvit_qiskit.study.running.tasks import CellTask, EpochProgress, Outcome


class Worker:
    """A process and the line to it; a line whose other end is gone is ready, too."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.line, other = context.Pipe()
        self.process: SpawnProcess = context.Process(target=_serve, args=(other,), daemon=True)
        with environment(ONE_THREAD), _deaf():
            self.process.start()
        other.close()  # so that the line ends when the process does
        self.task: CellTask | None = None

    @property
    def idle(self) -> bool:
        """Whether the worker has no cell."""
        return self.task is None

    @property
    def alive(self) -> bool:
        """Whether its process runs."""
        return self.process.is_alive()

    def give(self, task: CellTask) -> None:
        """Hand it a cell; it must be idle."""
        self.task = task
        with suppress(OSError):  # a worker that died already is noticed in `hear`
            self.line.send(task)

    def hear(self) -> EpochProgress | Outcome:
        """Its next word; of a dead worker, that its cell has failed."""
        from qvit_qiskit.study.running.tasks import Outcome

        assert self.task is not None
        try:
            event = self.line.recv()
        except (EOFError, OSError):
            self.process.join()
            event = Outcome(self.task.cell.key, "failed", reason=_epitaph(self.process.exitcode))
        if isinstance(event, Outcome):
            self.task = None
        return event

    def dismiss(self) -> None:
        """Let it end by itself, within ten seconds."""
        with suppress(OSError):
            self.line.send(None)
        self.process.join(timeout=10)
        self.kill()

    def kill(self) -> None:
        """End it now; its cell keeps the last epoch."""
        self.process.kill()  # a cell resumes from its folder, so nothing need end well
        self.process.join()
        self.line.close()


_KILLED = getattr(signal, "SIGKILL", 9)  # Windows has no such name


def _epitaph(code: int | None) -> str:
    if code is not None and code < 0:
        known = {int(one): one.name for one in signal.Signals}
        name = known.get(-code, f"signal {-code}")  # real-time signals have no name
        hint = " (was there enough memory?)" if -code == _KILLED else ""
        return f"Its worker process was ended by {name}{hint}."
    return f"Its worker process ended with exit code {code}."


@contextmanager
def _deaf() -> Iterator[None]:
    """Processes started here never hear Ctrl-C: it is the parent's, which hears it afterwards."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows: Ctrl-C ends the workers, too
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(line: Connection[Any, Any]) -> None:
    """What a worker process does: cells, until it gets none."""
    _die_with_parent()
    from qvit_qiskit.study.running.cell_work import work

    with suppress(EOFError, BrokenPipeError):
        while (task := line.recv()) is not None:
            line.send(work(task, line.send))


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
