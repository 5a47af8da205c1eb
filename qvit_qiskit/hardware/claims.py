"""Which of the service's jobs, batches and sessions are a run's own.

Jobs are found by their tags; of several the oldest is kept. Batches and sessions have no tags: one
whose opening was not answered is known by the time of its opening, and by holding no job.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from qvit_qiskit.exceptions import JobError, RouteError
from qvit_qiskit.hardware.attempts import Attempts
from qvit_qiskit.hardware.bills import Bills
from qvit_qiskit.hardware.events import (
    Absence,
    Closure,
    Event,
    Opening,
    Submission,
    Surplus,
    Unopened,
    Workload,
)
from qvit_qiskit.hardware.stages.stage import CONTENT_TAG, Chunk, Task
from qvit_qiskit.ibm.calls import Patience
from qvit_qiskit.ibm.sender import Listed

ABSENT = timedelta(hours=1)
"""After this a job whose submission was not answered, and that was given up, no longer counts."""


CLOCKS = timedelta(seconds=60)
"""By how much this machine's clock may differ from the service's."""


class Claims:
    """Finds the jobs of a run by their tags."""

    def __init__(self, attempts: Attempts, bills: Bills, patience: Patience) -> None:
        self.attempts, self.bills, self.patience = attempts, bills, patience
        self.journal, self.sender = bills.journal, bills.sender

    def seek(self, tag: str, seconds: float) -> list[Listed]:
        """The jobs with a tag; where there are none yet, they are looked for again.

        Args:
            tag: What the jobs were sent with.
            seconds: How long to look.
        """
        end = time.monotonic() + seconds
        pause = 0.25
        while True:
            listed = self.sender.find(tag)
            if listed or time.monotonic() + pause > end:
                return listed
            time.sleep(pause)
            pause = min(2 * pause, self.patience.poll)

    def adopt(self, task: Task, chunk: Chunk, tag: str, listed: Sequence[Listed]) -> None:
        """Take the oldest job under a tag for the chunk's own; further ones are surplus.

        Args:
            task: The stage that the chunk is of.
            chunk: What was sent.
            tag: What it was sent with.
            listed: The jobs that the service lists under the tag, oldest first.

        Raises:
            JobError: If a copy of the folder sent something else under the tag.
        """
        content = task.content_tag(chunk)
        sent = self.attempts.find(chunk.name, Submission)
        own = sent.job if sent and sent.tag == tag else ""  # not an earlier attempt's
        if own and own not in [one.job for one in listed]:  # it is not listed yet
            listed = [*listed, Listed(own)]
        for other in listed:
            named = [t for t in other.tags if t.startswith(CONTENT_TAG)]
            if named and named[0] != content:
                raise JobError(
                    f"A copy of the folder {self.journal.folder} has sent chunk {chunk.name} as "
                    f"the job {other.job}, compiled for other qubits. Go on with that copy; this "
                    "one can only be deleted."
                )
        kept = self._kept(listed)
        if kept != own:
            self.journal.append(Submission(chunk=chunk.name, tag=tag, job=kept))
        known = {event.job for event in self.journal.of(Surplus)}
        for other in listed:
            if other.job != kept and other.job not in known:
                self.bills.surplus(other.job, tag)

    def _kept(self, listed: Sequence[Listed]) -> str:
        """Which of several equal jobs is kept: the oldest of those that have not come to nothing.

        There are several where the client repeated a submission that was answered with an error,
        or where two copies of a folder were resumed at once; all keep the same one.
        """
        if len(listed) > 1:
            for one in listed:
                if self.sender.look(one.job).state not in ("failed", "cancelled", "lost"):
                    return one.job
        return listed[0].job

    def workloads_left_open(self) -> list[str]:
        """Batches and sessions that an earlier process opened and did not close.

        Those whose opening was not answered are among them, once the service lists them.
        """
        unanswered = self._unanswered_openings()
        if unanswered:
            listed = self._empty_workloads(unanswered)
            if len(listed) > len(unanswered):  # some are another's who is about to send jobs
                listed = []
            for opening, workload in zip(unanswered, listed, strict=False):
                self.opened(opening, workload)
            for opening in unanswered[len(listed) :]:
                if datetime.now(UTC) - _moment(opening) > ABSENT:
                    self.journal.append(Unopened(opening=opening.opening))
        closed = {event.workload for event in self.journal.of(Closure)}
        known = [event.workload for event in self.journal.of(Workload)]
        return [workload for workload in known if workload not in closed]

    def opened(self, opening: Opening, workload: str) -> None:
        """Write down which batch or session an opening made.

        Args:
            opening: The event that was written before.
            workload: Its id.
        """
        self.journal.append(
            Workload(workload=workload, max_seconds=opening.max_seconds, opening=opening.opening)
        )

    def _unanswered_openings(self) -> list[Opening]:
        answered = {event.opening for event in self.journal.of(Workload)}
        answered |= {event.opening for event in self.journal.of(Unopened)}
        return [event for event in self.journal.of(Opening) if event.opening not in answered]

    def _empty_workloads(self, openings: Sequence[Opening]) -> list[str]:
        """The batches or sessions without a job that were opened when these were, oldest first."""
        known = {event.workload for event in self.journal.of(Workload)}
        listed: dict[str, None] = {}
        for opening in openings:
            begun = _moment(opening)
            end = begun + timedelta(seconds=self.patience.deadline)
            try:
                empty = self.sender.empty_workloads(begun - CLOCKS, end + CLOCKS)
            except RouteError:  # some accounts may not list them
                return []
            listed |= dict.fromkeys(one for one in empty if one not in known)
        return list(listed)

    def look_for_given_up(self) -> None:
        """Cancel jobs that were listed only after they were given up, and put them on the bill."""
        for event in self.attempts.given_up():
            listed = self.sender.find(event.tag)
            for one in listed:
                self.bills.surplus(one.job, event.tag)
            age = datetime.now(UTC) - _moment(event)
            absent = {event.tag for event in self.journal.of(Absence)}
            if not listed and age > ABSENT and event.tag not in absent:
                self.journal.append(Absence(tag=event.tag))


def _moment(event: Event) -> datetime:
    return datetime.fromisoformat(event.time)
