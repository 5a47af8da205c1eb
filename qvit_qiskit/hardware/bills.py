"""The bills of a run's jobs, batches and sessions, asked for until they are final."""

from __future__ import annotations

from qvit_qiskit.hardware.journal import Event, Journal
from qvit_qiskit.hardware.ledger import surplus_tag
from qvit_qiskit.ibm.sender import Sender


class Bills:
    """Asks the sender for bills and writes them down."""

    def __init__(self, journal: Journal, sender: Sender) -> None:
        self.journal, self.sender = journal, sender

    def ask(self, entry: str, job: str) -> None:
        """Write down what a job was billed, if that is final and was not known.

        Args:
            entry: The job's entry on the run's bill: its tag, or `surplus_tag`.
            job: Its id.
        """
        if self.journal.of("billed", tag=entry):
            return
        bill = self.sender.bill(job)
        if bill is not None:
            began = {"began": bill.began} if bill.began else {}
            self.journal.append("billed", tag=entry, job=job, seconds=bill.seconds, **began)

    def surplus(self, job: str, tag: str) -> None:
        """Cancel a job that nobody needs, and put it on the bill."""
        self.sender.cancel(job)
        event = self.journal.append("surplus", job=job, tag=tag)
        self.ask(surplus_tag(event), job)

    def update(self) -> None:
        """Ask for all bills that were not final before, surplus jobs' and sessions' too."""
        ended = {
            surplus_tag(event) if event["event"] == "surplus" else event["tag"]: event["job"]
            for event in self._ended()
        }
        for entry, job in ended.items():
            self.ask(entry, job)
        clocks = {event["workload"] for event in self.journal.of("workload_billed")}
        for event in self.journal.of("closed"):
            if event["workload"] not in clocks:
                seconds = self.sender.workload_seconds(event["workload"])
                if seconds is not None:
                    self.journal.append(
                        "workload_billed", workload=event["workload"], seconds=seconds
                    )

    def _ended(self) -> list[Event]:
        kinds = ("finished", "failed", "lost", "surplus")
        return [event for kind in kinds for event in self.journal.of(kind)]
