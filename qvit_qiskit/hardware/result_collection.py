"""Looks at the jobs of a stage that are out, and stores the results of those that are done."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np

from qvit_qiskit.devices.prices import Mitigation
from qvit_qiskit.exceptions import JobError
from qvit_qiskit.hardware.claims import Claims
from qvit_qiskit.hardware.events import Failure, Finish, Loss, Submission
from qvit_qiskit.hardware.journal import pack_arrays
from qvit_qiskit.hardware.stages.stage import Chunk, Progress, Task
from qvit_qiskit.hardware.values.counts import Counts
from qvit_qiskit.ibm.causes import Remedy
from qvit_qiskit.ibm.item import Item
from qvit_qiskit.ibm.sender import Listed, Look, Result, Unusable


class Collection:
    """What comes back of a run's jobs."""

    def __init__(self, claims: Claims, shots: int, mitigation: Mitigation) -> None:
        self.claims, self.shots, self.mitigation = claims, shots, mitigation
        self.attempts, self.bills = claims.attempts, claims.bills
        self.journal, self.sender = claims.journal, claims.sender

    def look(self, task: Task) -> Progress:
        """Look at every job that was sent; store the results of those that are done.

        Raises:
            JobError: If a job failed, was cancelled or is lost.
        """
        running = waiting = 0
        problem: JobError | None = None
        for chunk in task.layout.chunks:
            if self.attempts.state(chunk) != "sent":
                continue
            sent = self.attempts.last(chunk, Submission)
            look = self.sender.look(sent.job)
            if look.state == "done":
                problem = self.store(task, chunk) or problem
            elif look.state in ("failed", "cancelled"):
                problem = self.fail(chunk, sent, look)
            elif look.state == "lost":
                problem = self.lose(chunk, sent, look.reason)
            else:
                running += look.state == "running"
                waiting += look.state == "waiting"
        if problem:
            raise problem
        done = sum(self.attempts.state(c) == "done" for c in task.layout.chunks)
        return Progress(done, len(task.layout.chunks), running, waiting)

    def store(self, task: Task, chunk: Chunk) -> JobError | None:
        """Store the result of a finished job.

        Args:
            task: The stage that the chunk is of.
            chunk: What was sent; its last job has finished.

        Returns:
            What is wrong with the result, if anything.
        """
        sent = self.attempts.last(chunk, Submission)
        job = sent.job
        if not self.sender.local:
            self.claims.adopt(task, chunk, sent.tag, self.sender.find(sent.tag) or [Listed(job)])
            sent = self.attempts.last(chunk, Submission)
        if sent.job != job:  # an older one was listed since: look at that one next
            return None
        items = task.layout.items(chunk, task.groups, self.mitigation)
        try:
            result = self.sender.fetch(job, items, self.shots)
        except Unusable as error:
            return self.lose(chunk, sent, str(error))
        arrays: dict[str, np.ndarray] = {}
        for item, bits in zip(items, result.bits, strict=True):
            counts = Counts.of(bits)
            arrays |= {
                f"{item.name}/row": counts.row,
                f"{item.name}/state": counts.state,
                f"{item.name}/count": counts.count,
            }
        name = f"results/{chunk.name}.npz"
        sha256 = self.journal.store(name, pack_arrays(arrays))
        timing = self._store_timings(chunk, items, result) if result.timings else None
        self.journal.append(
            Finish(chunk=chunk.name, tag=sent.tag, job=job, file=name, sha256=sha256, timing=timing)
        )
        self.bills.ask(sent.tag, job)
        return None

    def _store_timings(self, chunk: Chunk, items: Sequence[Item], result: Result) -> dict[str, str]:
        """Write how the service scheduled the circuits of a job; where that is."""
        timings = {item.name: timing for item, timing in zip(items, result.timings, strict=True)}
        name = f"results/{chunk.name}.timing.json"
        return {"file": name, "sha256": self.journal.store(name, json.dumps(timings).encode())}

    def fail(self, chunk: Chunk, sent: Submission, look: Look) -> JobError:
        """Write down that a job failed or was cancelled.

        Args:
            chunk: What it was to run.
            sent: The event of its submission.
            look: Its state.

        Returns:
            What to tell the user.
        """
        failure = self.journal.append(
            Failure(
                chunk=chunk.name,
                tag=sent.tag,
                job=sent.job,
                reason=look.reason or "The service gave no reason.",
                way=look.state,
                cut=look.cut,
                remedy=str(look.remedy),
            )
        )
        self.bills.ask(sent.tag, sent.job)
        return self.not_finished(failure)

    def lose(self, chunk: Chunk, sent: Submission, reason: str) -> JobError:
        """Write down that a job, or its result, no longer exists.

        Args:
            chunk: What it was to run.
            sent: The event of its submission.
            reason: Why, a sentence.

        Returns:
            What to tell the user.
        """
        loss = self.journal.append(
            Loss(chunk=chunk.name, tag=sent.tag, job=sent.job, reason=reason)
        )
        self.bills.ask(sent.tag, sent.job)
        return self.lost(loss)

    def not_finished(self, failed: Failure) -> JobError:
        """What to tell of a job that failed or was cancelled."""
        resume = f"`qvit resume {self.journal.folder} --wait`"
        way = f"Send it again with {resume}."
        if failed.cut:
            way += " It gets a higher limit then."
        elif failed.remedy == Remedy.CHANGE:
            way = f"Change that first, where it can be; {resume} sends it again."
        elif failed.remedy == Remedy.NEVER:
            way = (
                "The same would fail again and be billed again, so it is only sent with `qvit "
                f"resume --resubmit --wait {self.journal.folder}`; a new run may have other "
                "circuits or options."
            )
        return JobError(
            f"The job {failed.job} of chunk {failed.chunk} did not finish: {failed.reason} {way}"
        )

    def lost(self, lost: Loss) -> JobError:
        """What to tell of a job that no longer exists, or has no usable result."""
        return JobError(
            f"The job {lost.job} of chunk {lost.chunk} is lost: {lost.reason} Until it is "
            "billed it counts at its limit. Send the chunk again with `qvit resume --resubmit "
            f"--wait {self.journal.folder}`."
        )
