"""Sends a stage's jobs, once each, within a budget; finds them again after any interruption.

Every job is journaled three times: an intent with its tag before it is sent, its id once the
service has answered, its result once that is on the disk. What a chunk's last event is says all
there is to know about it, so a new process goes on where an old one was killed, and a copy of the
folder finds the jobs of the other by their tags.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace

from qvit_qiskit.devices.prices import Mitigation
from qvit_qiskit.exceptions import JobError, RouteError, ServiceError
from qvit_qiskit.hardware.attempts import Attempts
from qvit_qiskit.hardware.bills import Bills
from qvit_qiskit.hardware.claims import Claims
from qvit_qiskit.hardware.events import (
    Abandonment,
    Closure,
    Doubt,
    Failure,
    Intent,
    Loss,
    Opening,
    Release,
    Submission,
    Unopened,
)
from qvit_qiskit.hardware.journal import digest
from qvit_qiskit.hardware.ledger import Ledger, ledger_of, session_cost
from qvit_qiskit.hardware.result_collection import Collection
from qvit_qiskit.hardware.stages.stage import Chunk, Progress, Task
from qvit_qiskit.ibm.calls import Busy, Closed, Patience, Unanswered
from qvit_qiskit.ibm.causes import Remedy
from qvit_qiskit.ibm.item import request_size
from qvit_qiskit.ibm.preflight import MAX_REQUEST_BYTES
from qvit_qiskit.ibm.sender import Listed, Need, Sender, Work


class Dispatcher:
    """Drives the jobs of a run; one process at a time."""

    def __init__(
        self,
        attempts: Attempts,
        sender: Sender,
        budget: float,
        shots: int,
        mitigation: Mitigation,
        patience: Patience,
        whole: float = 0.0,
    ) -> None:
        """Drive the jobs of a run.

        Args:
            attempts: Of the run's chunks so far.
            sender: Who runs the jobs.
            budget: In QPU seconds.
            shots: Per row.
            mitigation: The resilience level.
            patience: How long to wait for the service.
            whole: The estimate of the whole run in QPU seconds, 0 where nobody has priced it.
        """
        self.attempts, self.sender, self.budget = attempts, sender, budget
        self.journal = attempts.journal
        self.shots, self.mitigation, self.patience = shots, mitigation, patience
        self.whole = whole
        self.share = budget / whole if whole else 1.0
        self.bills = Bills(self.journal, sender)
        self.claims = Claims(attempts, self.bills, patience)
        self.collection = Collection(self.claims, shots, mitigation)

    @property
    def ledger(self) -> Ledger:
        """What the run has cost and may still cost."""
        return ledger_of(self.journal, self.budget)

    def advance(
        self, task: Task, *, resubmit: bool = False, retry: bool = False, wait: bool = False
    ) -> Progress:
        """Send what has not been sent and fits the budget, and store what is done.

        Args:
            task: The stage.
            resubmit: Send again what is uncertain or lost.
            retry: Send again what failed or was cancelled.
            wait: Look for jobs whose submission was not answered for as long as an outage may
                last, before a person is asked.

        Raises:
            JobError: If a job failed, is uncertain or lost, or the budget does not allow the next.
            ServiceError: If the service does not answer.
        """
        self._close_left_open()
        self.claims.look_for_given_up()
        for chunk in task.layout.chunks:
            self._settle(task, chunk, resubmit, retry or self.sender.local, wait=wait)
        self.collection.look(task)
        self.send_new(task)
        return self.collection.look(task)

    # What an earlier process left behind.

    def _settle(self, task: Task, chunk: Chunk, resubmit: bool, retry: bool, *, wait: bool) -> None:
        state, local = self.attempts.state(chunk), self.sender.local
        if (state == "failed" and retry and (resubmit or not self._sure_to_fail(chunk))) or (
            state == "lost" and (resubmit or local)
        ):
            self.journal.append(Release(chunk=chunk.name))
        elif state == "failed":
            raise self.collection.not_finished(self.attempts.last(chunk, Failure))
        elif state == "lost":  # its job or result may be there again
            lost = self.attempts.last(chunk, Loss)
            self.journal.append(Submission(chunk=chunk.name, tag=lost.tag, job=lost.job))
        elif state == "sent" and local:
            tag = self.attempts.last(chunk, Submission).tag
            if not self.sender.find(tag):  # it ended with the process that ran it
                self.journal.append(Release(chunk=chunk.name, tag=tag))
        elif state in ("unanswered", "uncertain"):
            self._settle_unanswered(task, chunk, resubmit, wait=wait)

    def _sure_to_fail(self, chunk: Chunk) -> bool:
        """Whether a chunk's job failed in a way that it would again."""
        return self.attempts.last(chunk, Failure).remedy == Remedy.NEVER

    def _settle_unanswered(self, task: Task, chunk: Chunk, resubmit: bool, *, wait: bool) -> None:
        state = self.attempts.state(chunk)
        tag = self.attempts.last(chunk, Intent).tag
        first = self.patience.settle if state == "unanswered" else 0.0
        longer = self.patience.outage if wait and not resubmit else 0.0
        listed = self.claims.seek(tag, max(first, longer))
        if listed:
            self.claims.adopt(task, chunk, tag, listed)
        elif self.sender.local:
            self.journal.append(Release(chunk=chunk.name, tag=tag))
        elif resubmit:
            self.journal.append(Abandonment(chunk=chunk.name, tag=tag))
        else:
            if state == "unanswered":
                self.journal.append(Doubt(chunk=chunk.name, tag=tag))
            raise JobError(
                f"It is uncertain whether the job of chunk {chunk.name} exists: its submission was "
                f"not answered, and no job has the tag {tag} yet. Look for that tag on the "
                f"platform; if there is none, send it again with `qvit resume --resubmit --wait "
                f"{self.journal.folder}`."
            )

    def _close_left_open(self) -> None:
        for workload in self.claims.workloads_left_open():
            self._close(workload)

    # Sending.

    def send_new(self, task: Task) -> int:
        """Send the chunks that were not sent, as many as fit the budget together.

        Returns:
            How many were sent; 0 also where the next one waits for the bills of others.

        Raises:
            JobError: If nothing is out and the next chunk's limit is above what is left.
        """
        new = [c for c in task.layout.chunks if self.attempts.state(c) == "new"]
        new = [chunk for chunk in new if not self._taken(task, chunk)]
        if not new:
            return 0
        if self.ledger.reserved:
            self.bills.update()
        ledger = self.ledger
        limits = [ledger.limit(chunk.seconds, self.share) for chunk in new]
        if not self.sender.local:
            limits, count = self._fitting(ledger, new, limits)
            if not count and ledger.reserved:
                return 0
            if not count:
                raise self._over_budget(ledger, new[0])
            new, limits = new[:count], limits[:count]
            self.sender.preflight(self._need(task, new))
        sent = self._send_together(task, new, limits, ledger)
        if sent < len(new):  # the service closed the batch or session
            sent += self._send_together(task, new[sent:], limits[sent:], self.ledger)
        if sent < len(new):
            raise ServiceError(
                "IBM's service closed the batch or session twice before all jobs were sent. "
                f"Nothing is lost; `qvit resume {self.journal.folder} --wait` goes on."
            )
        return sent

    def _need(self, task: Task, chunks: Sequence[Chunk]) -> Need:
        """What chunks need; before the first job of a run what the whole run does."""
        seconds = sum(chunk.seconds for chunk in chunks)
        if not self.journal.of(Intent):
            seconds = max(seconds, self.whole)
        sizes = [
            request_size(task.layout.items(chunk, task.groups, self.mitigation), MAX_REQUEST_BYTES)
            for chunk in chunks
        ]
        return Need(seconds, max(sizes), frozenset(task.layout.qubits))

    def _send_together(
        self, task: Task, chunks: Sequence[Chunk], limits: Sequence[int], ledger: Ledger
    ) -> int:
        """Send chunks in a batch or session of their own; how many it took."""
        workload = self._open(ledger, limits)
        try:
            for sent, (chunk, limit) in enumerate(zip(chunks, limits, strict=True)):
                try:
                    self._send(task, chunk, limit, workload)
                except Closed:
                    return sent
        finally:
            if workload:
                self._close(workload)
        return len(chunks)

    def _fitting(
        self, ledger: Ledger, chunks: Sequence[Chunk], generous: list[int]
    ) -> tuple[list[int], int]:
        """The limits of the next chunks and how many fit: generous ones, or those that must be."""
        count = ledger.fits(generous, self.sender.sessions)
        if count == len(chunks):
            return generous, count
        least = [ledger.limit(chunk.seconds) for chunk in chunks]
        tight = ledger.fits(least, self.sender.sessions)
        return (least, tight) if tight > count else (generous, count)

    def _taken(self, task: Task, chunk: Chunk) -> bool:
        """Whether another copy of the folder has sent this attempt; it is adopted then."""
        if self.sender.local:
            return False
        tag = self.attempts.tag(chunk)
        listed = self.sender.find(tag)
        if not listed:
            return False
        self._intend(task, chunk, tag, self.ledger.limit(chunk.seconds, self.share), None)
        self.claims.adopt(task, chunk, tag, listed)
        return True

    def _over_budget(self, ledger: Ledger, chunk: Chunk) -> JobError:
        limit = ledger.limit(chunk.seconds)
        room = session_cost([limit]) if self.sender.sessions else limit
        return JobError(
            f"Chunk {chunk.name} is estimated at {chunk.seconds:.1f} QPU seconds and would be sent "
            f"with a limit of {limit}, {ledger.headroom:.2g} times that, but of the budget of "
            f"{ledger.budget:g} only {max(ledger.left, 0):.1f} are left. What is done is kept; go "
            f"on with `qvit resume {self.journal.folder} --wait --budget "
            f"{ledger.budget - ledger.left + room:.0f}` or more."
        )

    def _open(self, ledger: Ledger, limits: Sequence[int]) -> str | None:
        if not self.sender.workloads:
            return None
        seconds = ledger.session_seconds(limits) if self.sender.sessions else None
        opening = self.journal.append(Opening(opening=uuid.uuid4().hex, max_seconds=seconds))
        try:
            workload = self.sender.open_workload(seconds)
        except Unanswered as error:
            raise ServiceError(
                f"IBM's service did not open a batch or session: {error}. No job was sent; one "
                "that was opened all the same holds no job and costs nothing, and is closed when "
                f"the run goes on. `qvit resume {self.journal.folder} --wait` tries again."
            ) from None
        except RouteError:
            self.journal.append(Unopened(opening=opening.opening))
            raise
        self.claims.opened(opening, workload)
        return workload

    def _close(self, workload: str) -> None:
        self.sender.close_workload(workload)
        self.journal.append(Closure(workload=workload))

    def _intend(self, task: Task, chunk: Chunk, tag: str, limit: int, workload: str | None) -> None:
        self.journal.append(
            Intent(
                chunk=chunk.name,
                tag=tag,
                content=task.content_tag(chunk),
                key=digest(f"{task.key} {chunk.record()}".encode()),
                seconds=chunk.seconds,
                workload=workload,
                executions=chunk.executions,
                max_seconds=limit,
            )
        )

    def _send(self, task: Task, chunk: Chunk, limit: int, workload: str | None) -> None:
        items = task.layout.items(chunk, task.groups, self.mitigation)
        tag, content = self.attempts.tag(chunk), task.content_tag(chunk)
        seed = int(digest(f"{task.seed} {chunk.record()}".encode())[:8], 16)
        work = Work(items, self.shots, tag, content, seed, limit)
        pause, end = 1.0, time.monotonic() + self.patience.outage
        while True:
            self._intend(task, chunk, tag, limit, workload)
            try:
                job = self.sender.submit(work)
            except Busy as error:
                self.journal.append(Release(chunk=chunk.name, tag=tag))
                if time.monotonic() + pause > end:
                    raise ServiceError(
                        f"IBM's service takes no more jobs for now: {error}. Chunk {chunk.name} "
                        f"was not sent; `qvit resume {self.journal.folder} --wait` tries again."
                    ) from None
                time.sleep(pause)
                pause = min(2 * pause, 15.0)
            except Unanswered:
                self._settle_unanswered(task, chunk, resubmit=False, wait=False)
                return
            except (RouteError, Closed):
                self.journal.append(Release(chunk=chunk.name, tag=tag))
                raise
            else:
                self.journal.append(Submission(chunk=chunk.name, tag=tag, job=job))
                self.claims.adopt(task, chunk, tag, self.sender.find(tag) or [Listed(job)])
                return

    def cancel(self, task: Task) -> int:
        """Cancel every job of a stage that has not ended; how many there were."""
        self._close_left_open()
        self.claims.look_for_given_up()
        count = 0
        for chunk in task.layout.chunks:
            if self.attempts.state(chunk) in ("unanswered", "uncertain"):
                tag = self.attempts.last(chunk, Intent).tag
                if listed := self.sender.find(tag):
                    self.claims.adopt(task, chunk, tag, listed)
            if self.attempts.state(chunk) != "sent":
                continue
            sent = self.attempts.last(chunk, Submission)
            self.sender.cancel(sent.job)
            look = self.sender.look(sent.job)
            if look.state == "lost":
                self.collection.lose(chunk, sent, look.reason)
            elif look.state != "done":  # else its result is paid for
                if look.state != "failed":
                    reason = look.reason or "It was cancelled."
                    look = replace(look, state="cancelled", reason=reason)
                self.collection.fail(chunk, sent, look)
                count += look.state == "cancelled"
        return count

    def wait(self, task: Task, tick: Callable[[Progress], None] | None = None) -> None:
        """Look again and again until a stage is finished; send what waits for the bills of others.

        Args:
            task: The stage.
            tick: Called after every look.

        Raises:
            JobError: If a job failed, was cancelled or is lost.
            ServiceError: If the service does not answer, or does not bill what must be billed
                before more is sent.
        """
        pause, moving = 0.2, time.monotonic()
        while True:
            progress = self.collection.look(task)
            if tick:
                queue = self.sender.queue() if progress.waiting else 0
                tick(replace(progress, queue=queue))
            if progress.finished:
                return
            if self.send_new(task):
                pause = 0.2
            elif not (progress.running or progress.waiting):
                if time.monotonic() - moving > self.patience.outage:
                    raise self._unbilled()
                time.sleep(pause)
                pause = min(1.5 * pause, self.patience.poll)
                continue
            moving = time.monotonic()
            time.sleep(pause)
            pause = min(1.5 * pause, self.patience.poll)

    def _unbilled(self) -> ServiceError:
        ledger = self.ledger
        return ServiceError(
            f"IBM has not billed all jobs yet: they may cost {ledger.reserved:.0f} QPU seconds, "
            f"and what is left of the budget of {ledger.budget:g} does not suffice for the next "
            f"one beside that. Nothing is lost; go on later with `qvit resume "
            f"{self.journal.folder} --wait`, or add `--budget SECONDS`."
        )
