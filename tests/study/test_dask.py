"""A real Dask cluster on this machine: the same bits, and a worker's death costs its cell only."""

import os
import signal
import threading
import time

import pytest
from study.studies import EPOCHS, epochs, same_answers, write_spec

from qvit_qiskit.exceptions import JobError
from qvit_qiskit.study import make_plan, run_study

pytest.importorskip("distributed")

from distributed import LocalCluster

from qvit_qiskit.study.running import dask
from qvit_qiskit.study.running.dask import Dask
from qvit_qiskit.study.running.tasks import CellTask


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dask")
    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, host="127.0.0.1",
        dashboard_address="127.0.0.1:0", local_directory=str(folder), silence_logs="CRITICAL",
    ) as found:  # fmt: skip
        yield found


def test_bits_and_deaths(cluster, tmp_path, whole):
    """A worker is killed within its cell; another one goes on with it from its last epoch."""
    made, undisturbed = whole
    _, quantum = made.cells
    history = tmp_path / "s" / "cells" / quantum.key / "training" / "history.csv"
    killed = []

    def accident():
        """As soon as the quantum cell has two epochs."""
        end = time.monotonic() + 120
        while len(epochs(history)) < 2:
            if time.monotonic() > end:
                return
            time.sleep(0.02)
        (busy,) = (
            worker.address
            for worker in list(cluster.scheduler.workers.values())
            if any(quantum.label in str(task.key) for task in list(worker.processing))
        )
        (nanny,) = (n for n in cluster.workers.values() if n.worker_address == busy)
        os.kill(nanny.pid, signal.SIGKILL)
        killed.extend(epochs(history))

    thread = threading.Thread(target=accident)
    thread.start()
    summary = run_study(made, tmp_path / "s", Dask(cluster.scheduler_address))
    thread.join()
    assert (summary.done, summary.failed) == (2, [])
    assert 1 < len(killed) < EPOCHS
    kept = len(killed) - 1  # the last one may have been cut off before it was kept
    assert epochs(history)[:kept] == killed[:kept]
    same_answers(made, tmp_path / "s", undisturbed)


def test_no_scheduler_is_told(monkeypatch):
    monkeypatch.setattr(dask, "TIMEOUT", 1)
    with pytest.raises(JobError, match=r"no Dask scheduler at tcp://127.0.0.1:9 .*dask scheduler"):
        next(Dask("tcp://127.0.0.1:9")([]))


@pytest.mark.parametrize(
    ("workers", "threads", "told"),
    [(0, None, "has no workers. Start some"), (1, 2, "workers with one thread each, but tcp")],
)
def test_workers_that_do_not_fit(monkeypatch, tmp_path, workers, threads, told):
    monkeypatch.setattr(dask, "TIMEOUT", 5 if workers else 1)
    with (
        LocalCluster(
            n_workers=workers, threads_per_worker=threads, processes=False, protocol="tcp://",
            host="127.0.0.1", dashboard_address="127.0.0.1:0", local_directory=str(tmp_path),
        ) as small,
        pytest.raises(JobError, match=told),
    ):  # fmt: skip
        next(Dask(small.scheduler_address)([]))


def test_a_cell_that_kills_every_worker_has_failed(tmp_path):
    class Killed(Exception):
        pass

    class Future:
        status = "error"

        def exception(self):
            return Killed("Attempted to run it on 4 workers.\nmore")

    made = make_plan(write_spec(tmp_path / "a.toml", seeds=[0], models={"vit": {}}))
    task = CellTask(made.cells[0], tmp_path, "", made.profiles, made.places, made.configuration)
    found = dask._outcome(Future(), task)  # noqa: SLF001 - a step that nothing public does alone
    assert (found.state, found.reason) == ("failed", "Killed: Attempted to run it on 4 workers.")
