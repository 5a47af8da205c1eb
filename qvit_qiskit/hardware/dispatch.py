"""Sends a stage's jobs, once each, within a budget; finds them again after any interruption.

Every job is journaled three times: an intent with a tag of its own before it is sent, its id once
the service has answered, its result once that is on the disk. What a chunk's last event is says
all there is to know about it, so a new process goes on where an old one was killed.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from qvit_qiskit.devices.prices import MAX_JOB_SECONDS, Mitigation
from qvit_qiskit.exceptions import JobError, RouteError, ServiceError
from qvit_qiskit.hardware.counts import Counts
from qvit_qiskit.hardware.journal import (
    Event,
    Journal,
    Ledger,
    digest,
    pack_arrays,
    surplus_tag,
    unpack_arrays,
)
from qvit_qiskit.hardware.stage import Chunk, Group, Layout
from qvit_qiskit.ibm.calls import Busy, Patience, Unanswered
from qvit_qiskit.ibm.senders import Sender, Work

_STATE = {
    "intent": "unanswered",
    "submitted": "sent",
    "uncertain": "uncertain",
    "released": "new",
    "failed": "failed",
    "finished": "done",
}
"""What the last event of a chunk says."""


@dataclass(frozen=True)
class Progress:
    """How far a stage is."""

    done: int
    total: int
    running: int
    waiting: int
    queue: int = 0
    """Jobs that wait for the device, other people's too; 0 where nobody asked."""

    @property
    def finished(self) -> bool:
        """Whether all results are on the disk."""
        return self.done == self.total


@dataclass(frozen=True)
class Task:
    """A stage ready to be sent."""

    groups: Sequence[Group]
    layout: Layout
    key: str
    """SHA-256 of everything stored that its results depend on."""
    seed: str
    """What seeds a rehearsal: the angles and where they sit. (QPY would not do: it holds random
    identities of parameters, other ones in every process.)"""


class Dispatcher:
    """Drives the jobs of a run; one process at a time."""

    def __init__(
        self,
        journal: Journal,
        sender: Sender,
        ledger: Ledger,
        shots: int,
        mitigation: Mitigation,
        patience: Patience,
    ) -> None:
        self.journal, self.sender, self.ledger = journal, sender, ledger
        self.shots, self.mitigation, self.patience = shots, mitigation, patience

    def advance(self, task: Task, *, resubmit: bool = False, retry: bool = False) -> Progress:
        """Send what has not been sent, and store what is done.

        Args:
            task: The stage.
            resubmit: Send again what is uncertain.
            retry: Send again what failed or was cancelled.

        Raises:
            JobError: If a job failed or is uncertain, or the budget does not allow the next one.
            ServiceError: If the service does not answer.
        """
        self._close_left_open()
        for chunk in task.layout.chunks:
            self._settle(chunk, resubmit=resubmit, retry=retry or self.sender.local)
        new = [c for c in task.layout.chunks if self.state(c) == "new"]
        self._send_all(task, new)
        return self.look(task)

    def state(self, chunk: Chunk) -> str:
        """``new``, ``unanswered``, ``sent``, ``uncertain``, ``failed`` or ``done``."""
        last = self._last(chunk)
        return _STATE[last["event"]] if last else "new"

    def _last(self, chunk: Chunk, kind: str | None = None) -> Event | None:
        kinds = [kind] if kind else list(_STATE)
        for event in reversed(self.journal.events):
            if event.get("chunk") == chunk.name and event["event"] in kinds:
                return event
        return None

    # What an earlier process left behind.

    def _settle(self, chunk: Chunk, *, resubmit: bool, retry: bool) -> None:
        state = self.state(chunk)
        if state == "failed" and retry:
            self._note("released", chunk)
            return
        if state == "failed":
            raise self._not_finished(self._last(chunk, "failed") or {})
        if state == "sent" and self.sender.local:
            tag = str((self._last(chunk, "submitted") or {})["tag"])
            if not self.sender.find(tag):  # it ended with the process that ran it
                self._note("released", chunk, tag=tag)
        if state not in ("unanswered", "uncertain"):
            return
        tag = str((self._last(chunk, "intent") or {})["tag"])
        job = self._seek(tag, self.patience.settle if state == "unanswered" else 0.0)
        if job:
            self._adopt(chunk, tag, job)
        elif resubmit or self.sender.local:
            self._note("released", chunk, tag=tag)
        else:
            if state == "unanswered":
                self._note("uncertain", chunk, tag=tag)
            raise JobError(
                f"It is uncertain whether the job of chunk {chunk.name} exists: its submission was "
                f"not answered, and no job has the tag {tag} yet. Look for that tag on the "
                f"platform; if there is none, send it again with `qvit resume --resubmit "
                f"{self.journal.folder}`."
            )

    def _seek(self, tag: str, seconds: float) -> str | None:
        end = time.monotonic() + seconds
        pause = 0.25
        while True:
            found = self.sender.find(tag)
            if found:
                return found[0]
            if time.monotonic() + pause > end:
                return None
            time.sleep(pause)
            pause = min(2 * pause, self.patience.poll)

    def _adopt(self, chunk: Chunk, tag: str, job: str) -> None:
        self._note("submitted", chunk, tag=tag, job=job)
        self._cancel_surplus(tag, job)

    def _cancel_surplus(self, tag: str, job: str) -> None:
        """The client repeats a submission that was answered with an error: keep one job."""
        known = {e["job"] for e in self.journal.of("surplus")}
        for other in self.sender.find(tag):
            if other != job and other not in known:
                self.sender.cancel(other)
                event = self.journal.append("surplus", job=other, tag=tag)
                self._bill(surplus_tag(event), other)

    def _close_left_open(self) -> None:
        closed = {e["workload"] for e in self.journal.of("closed")}
        for event in self.journal.of("workload"):
            if event["workload"] not in closed:
                self._close(event["workload"])

    # Sending.

    def _send_all(self, task: Task, chunks: Sequence[Chunk]) -> None:
        if not chunks:
            return
        self._check_budget(chunks[0])
        workload = self._open()
        try:
            for chunk in chunks:
                self._send(task, chunk, workload)
        finally:
            if workload:
                self._close(workload)

    def _open(self) -> str | None:
        try:
            workload = self.sender.open_workload()
        except Unanswered as error:
            raise ServiceError(
                f"IBM's service did not open a batch or session: {error}. No job was sent; "
                f"`qvit resume {self.journal.folder}` tries again."
            ) from None
        if workload:
            self.journal.append("workload", workload=workload)
        return workload

    def _close(self, workload: str) -> None:
        self.sender.close_workload(workload)
        self.journal.append("closed", workload=workload)

    def _check_budget(self, chunk: Chunk) -> int:
        left = self.ledger.left()
        if not self.sender.local and chunk.seconds > left:
            raise JobError(
                f"Chunk {chunk.name} is estimated at {chunk.seconds:.1f} QPU seconds, but of the "
                f"budget of {self.ledger.budget:g} only {max(left, 0):.1f} are left. What is done "
                f"is kept; go on with `qvit resume {self.journal.folder} --budget SECONDS`."
            )
        return max(1, min(MAX_JOB_SECONDS, int(left)))

    def _send(self, task: Task, chunk: Chunk, workload: str | None) -> None:
        items = task.layout.items(chunk, task.groups, self.mitigation)
        key = digest(f"{task.key} {chunk.record()}".encode())
        pause, end = 1.0, time.monotonic() + self.patience.outage
        while True:
            seconds = self._check_budget(chunk)
            tag = f"qvit-{uuid.uuid4().hex}"
            seed = int(digest(f"{task.seed} {chunk.record()}".encode())[:8], 16)
            work = Work(items, self.shots, tag, seed, seconds)
            self._note(
                "intent",
                chunk,
                tag=tag,
                key=key,
                seconds=chunk.seconds,
                workload=workload,
                executions=chunk.executions,
                max_seconds=seconds,
            )
            try:
                job = self.sender.submit(work)
            except Busy as error:
                self._note("released", chunk, tag=tag)
                if time.monotonic() + pause > end:
                    raise ServiceError(
                        f"IBM's service takes no more jobs for now: {error}. Chunk {chunk.name} "
                        f"was not sent; `qvit resume {self.journal.folder}` tries again."
                    ) from None
                time.sleep(pause)
                pause = min(2 * pause, 15.0)
                continue
            except Unanswered:
                self._settle(chunk, resubmit=False, retry=False)
                return
            except RouteError:
                self._note("released", chunk, tag=tag)
                raise
            self._note("submitted", chunk, tag=tag, job=job)
            self._cancel_surplus(tag, job)
            return

    def _note(self, kind: str, chunk: Chunk, **facts: object) -> None:
        self.journal.append(kind, chunk=chunk.name, **facts)

    # Looking and fetching.

    def look(self, task: Task) -> Progress:
        """Look at every job that was sent; store the results of those that are done."""
        running = waiting = 0
        failed: JobError | None = None
        for chunk in task.layout.chunks:
            if self.state(chunk) != "sent":
                continue
            sent = self._last(chunk, "submitted") or {}
            look = self.sender.look(sent["job"])
            if look.state == "done":
                self._store(task, chunk, sent)
            elif look.state in ("failed", "cancelled"):
                failed = self._fail(chunk, sent, look.state, look.reason)
            else:
                running += look.state == "running"
                waiting += look.state == "waiting"
        if failed:
            raise failed
        done = sum(self.state(c) == "done" for c in task.layout.chunks)
        return Progress(done, len(task.layout.chunks), running, waiting)

    def _store(self, task: Task, chunk: Chunk, sent: Event) -> None:
        self._cancel_surplus(sent["tag"], sent["job"])
        items = task.layout.items(chunk, task.groups, self.mitigation)
        bits = self.sender.fetch(sent["job"], items, self.shots)
        arrays: dict[str, np.ndarray] = {}
        for item, found in zip(items, bits, strict=True):
            counts = Counts.of(found)
            arrays |= {
                f"{item.name}/row": counts.row,
                f"{item.name}/state": counts.state,
                f"{item.name}/count": counts.count,
            }
        name = f"results/{chunk.name}.npz"
        sha256 = self.journal.store(name, pack_arrays(arrays))
        self._note("finished", chunk, tag=sent["tag"], job=sent["job"], file=name, sha256=sha256)
        self._bill(sent["tag"], sent["job"])

    def _fail(self, chunk: Chunk, sent: Event, state: str, reason: str) -> JobError:
        told = reason or ("it was cancelled" if state == "cancelled" else "no reason was given")
        told = told.rstrip(".") + "."
        self._note("failed", chunk, tag=sent["tag"], job=sent["job"], reason=told, state=state)
        self._bill(sent["tag"], sent["job"])
        return self._not_finished(self._last(chunk, "failed") or {})

    def _not_finished(self, failed: Event) -> JobError:
        return JobError(
            f"The job {failed['job']} of chunk {failed['chunk']} did not finish: "
            f"{failed['reason']} Send it again with `qvit resume {self.journal.folder}`."
        )

    def _bill(self, tag: str, job: str) -> None:
        bill = self.sender.bill(job)
        if bill is not None:
            known = {"began": bill.began} if bill.began else {}
            self.journal.append("billed", tag=tag, job=job, seconds=bill.seconds, **known)

    def update_bills(self) -> None:
        """Ask for the bills that were not final before, surplus jobs' and sessions' too."""
        known = {e["job"] for e in self.journal.of("billed")}
        ended = [*self.journal.of("finished"), *self.journal.of("failed")]
        for event in ended:
            if event["job"] not in known:
                self._bill(event["tag"], event["job"])
        for event in self.journal.of("surplus"):
            if event["job"] not in known:
                self._bill(surplus_tag(event), event["job"])
        known = {e["workload"] for e in self.journal.of("workload_billed")}
        for event in self.journal.of("closed"):
            if event["workload"] not in known:
                seconds = self.sender.workload_seconds(event["workload"])
                if seconds is not None:
                    self.journal.append(
                        "workload_billed", workload=event["workload"], seconds=seconds
                    )

    def cancel(self, task: Task) -> int:
        """Cancel every job of a stage that has not ended; how many there were."""
        self._close_left_open()
        count = 0
        for chunk in task.layout.chunks:
            if self.state(chunk) in ("unanswered", "uncertain"):
                tag = str((self._last(chunk, "intent") or {})["tag"])
                for job in self.sender.find(tag)[:1]:
                    self._adopt(chunk, tag, job)
            if self.state(chunk) != "sent":
                continue
            sent = self._last(chunk, "submitted") or {}
            self.sender.cancel(sent["job"])
            look = self.sender.look(sent["job"])
            if look.state != "done":  # else its result is paid for
                state = "failed" if look.state == "failed" else "cancelled"
                self._fail(chunk, sent, state, look.reason)
                count += state == "cancelled"
        return count

    def wait(self, task: Task, tick: Callable[[Progress], None] | None = None) -> None:
        """Look again and again until a stage is finished."""
        pause = 0.2
        while True:
            progress = self.look(task)
            if tick:
                queue = self.sender.queue() if progress.waiting else 0
                tick(replace(progress, queue=queue))
            if progress.finished:
                return
            time.sleep(pause)
            pause = min(1.5 * pause, self.patience.poll)


def counts_of(journal: Journal, chunk: Chunk) -> dict[str, Counts]:
    """The stored counts of a chunk.

    Raises:
        JobError: If they are missing or not what was stored.
    """
    event = journal.of("finished", chunk=chunk.name)[-1]
    arrays = unpack_arrays(journal.load(event["file"], event["sha256"]))
    names = sorted({name.rpartition("/")[0] for name in arrays})
    out = {}
    for name in names:
        row = arrays[f"{name}/row"]
        out[name] = Counts(row, arrays[f"{name}/state"], arrays[f"{name}/count"], int(row[-1]) + 1)
    return out
