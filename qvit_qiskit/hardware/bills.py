"""The bills of a run's jobs, batches and sessions, asked for until they are final."""

from __future__ import annotations

from qvit_qiskit.hardware.events import (
    Closure,
    Failure,
    Finish,
    JobBill,
    Loss,
    Surplus,
    WorkloadBill,
)
from qvit_qiskit.hardware.journal import Journal
from qvit_qiskit.ibm.sender import Sender


class Bills:
    """Asks the sender for bills and writes them down."""

    def __init__(self, journal: Journal, sender: Sender) -> None:
        self.journal, self.sender = journal, sender

    def ask(self, entry: str, job: str) -> None:
        """Write down what a job was billed, if that is final and was not known.

        Args:
            entry: The job's entry on the run's bill: its tag, or `Surplus.entry`.
            job: Its id.
        """
        if entry not in self._final():
            self._ask(entry, job)

    def _final(self) -> set[str]:
        return {event.tag for event in self.journal.of(JobBill)}

    def _ask(self, entry: str, job: str) -> None:
        bill = self.sender.bill(job)
        if bill is not None:
            self.journal.append(
                JobBill(tag=entry, job=job, seconds=bill.seconds, began=bill.began or None)
            )

    def surplus(self, job: str, tag: str) -> None:
        """Cancel a job that nobody needs, and put it on the bill.

        Args:
            job: Its id.
            tag: Its tag, which is that of the job that was kept.
        """
        self.sender.cancel(job)
        self.ask(self.journal.append(Surplus(job=job, tag=tag)).entry, job)

    def update(self) -> None:
        """Ask for all bills that were not final before, surplus jobs' and sessions' too."""
        final = self._final()
        for entry, job in self._ended().items():
            if entry not in final:
                self._ask(entry, job)
        clocks = {event.workload for event in self.journal.of(WorkloadBill)}
        for event in self.journal.of(Closure):
            if event.workload not in clocks:
                seconds = self.sender.workload_seconds(event.workload)
                if seconds is not None:
                    self.journal.append(WorkloadBill(workload=event.workload, seconds=seconds))

    def _ended(self) -> dict[str, str]:
        """The job of each entry that has ended."""
        ended = {event.tag: event.job for event in self.journal.of(Finish)}
        ended |= {event.tag: event.job for event in self.journal.of(Failure)}
        ended |= {event.tag: event.job for event in self.journal.of(Loss)}
        return ended | {event.entry: event.job for event in self.journal.of(Surplus)}
