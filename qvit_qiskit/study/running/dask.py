"""Cells on a Dask cluster, whose workers share the study's folder with this machine.

A cell runs in a worker's own process, so each worker must have one thread. When a worker dies, the
scheduler gives its cell to another one, which goes on from the last epoch in the folder.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from qvit_qiskit.exceptions import JobError
from qvit_qiskit.study.running.cell_work import work
from qvit_qiskit.study.running.tasks import CellTask, EpochProgress, Outcome

TIMEOUT = 30
"""Seconds to wait for the scheduler, and for its first worker."""


class Dask:
    """An executor on the workers of a scheduler."""

    def __init__(self, address: str) -> None:
        """The scheduler's address, such as ``tcp://192.168.1.5:8786``.

        Raises:
            JobError: If the package ``distributed`` is not installed.
        """
        try:
            import distributed  # noqa: F401
        except ImportError as error:
            raise JobError(
                "Expected the package distributed for --scheduler. Run "
                "`pip install 'qvit-qiskit[study]'`, here and where the workers run."
            ) from error
        self.address = address

    def __call__(self, tasks: Sequence[CellTask]) -> Iterator[EpochProgress | Outcome]:
        """Run cells; tells of cells only, not of epochs.

        Raises:
            JobError: If there is no such scheduler, or it has no workers with one thread.
        """
        from distributed import as_completed

        client = self._client()
        futures: dict[Any, CellTask] = {}
        try:
            for task in tasks:
                name = f"{task.cell.label} {task.session[:8]}-{len(futures)}"

                futures[client.submit(on_worker, task, key=name, pure=False)] = task
            for future in as_completed(list(futures), loop=client.loop):
                yield _outcome(future, futures[future])
        finally:
            client.cancel(list(futures))  # of a caller that went away
            client.close()

    def _client(self) -> Any:
        from distributed import Client

        try:
            client = Client(self.address, timeout=TIMEOUT, set_as_default=False)
        except (OSError, ValueError) as error:
            raise JobError(
                f"There is no Dask scheduler at {self.address} ({type(error).__name__}). Start "
                "one with `dask scheduler`, and workers with `dask worker ADDRESS --nthreads 1`."
            ) from error
        try:
            client.wait_for_workers(1, timeout=TIMEOUT)
        except TimeoutError as error:
            client.close()
            raise JobError(
                f"The Dask scheduler at {self.address} has no workers. Start some with "
                f"`dask worker {self.address} --nthreads 1`."
            ) from error
        workers = client.scheduler_info(n_workers=-1)["workers"]
        wide = [name for name, facts in workers.items() if facts["nthreads"] != 1]
        if wide:
            client.close()
            raise JobError(_one_thread_each(wide[0]))
        return client


def on_worker(task: CellTask) -> Outcome:
    """Finish a cell on a Dask worker."""
    from distributed import get_worker

    worker = get_worker()
    if worker.state.nthreads != 1:  # one that came later
        return Outcome(task.cell.key, "failed", reason=_one_thread_each(worker.address))
    return work(task, lambda _: None)


def _one_thread_each(worker: str) -> str:
    return (
        f"Expected Dask workers with one thread each, but {worker} has more. Start workers with "
        "`--nthreads 1`, as many as there are cores (`--nworkers`)."
    )


def _outcome(future: Any, task: CellTask) -> Outcome:
    if future.status == "finished":
        outcome: Outcome = future.result()
        return outcome
    error = future.exception() if future.status == "error" else "it was cancelled"
    reason = str(error).splitlines()[0].rstrip(".") if str(error) else "no message"
    return Outcome(task.cell.key, "failed", reason=f"{type(error).__name__}: {reason}.")
