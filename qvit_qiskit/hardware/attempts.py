"""What a run's journal says of each chunk: how far it is, and under which tags it was sent."""

from __future__ import annotations

from typing import Any

from qvit_qiskit.hardware.journal import Event, Journal, digest
from qvit_qiskit.hardware.stage import Chunk

STATES = {
    "intent": "unanswered",
    "submitted": "sent",
    "uncertain": "uncertain",
    "released": "new",
    "given_up": "new",
    "failed": "failed",
    "lost": "lost",
    "finished": "done",
}
"""What the last event of a chunk says."""

ENDED = ("failed", "lost", "given_up")
"""Events of attempts that may have made a job and came to nothing."""


def last_events(journal: Journal) -> dict[str, Event]:
    """By the name of each chunk that was ever sent, the last event that says how far it is."""
    return {event["chunk"]: event for event in journal.events if event["event"] in STATES}


class Attempts:
    """The attempts to have chunks of a run executed, read from and written to its journal."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal

    def state(self, chunk: Chunk) -> str:
        """``new``, ``unanswered``, ``sent``, ``uncertain``, ``failed``, ``lost`` or ``done``."""
        last = self.last(chunk)
        return STATES[last["event"]] if last else "new"

    def last(self, chunk: Chunk, kind: str | None = None) -> Event | None:
        """The last event of a chunk, or its last one of a kind."""
        kinds = [kind] if kind else list(STATES)
        for event in reversed(self.journal.events):
            if event.get("chunk") == chunk.name and event["event"] in kinds:
                return event
        return None

    def note(self, kind: str, chunk: Chunk, **facts: Any) -> Event:
        """Write an event of a chunk."""
        return self.journal.append(kind, chunk=chunk.name, **facts)

    def tag(self, chunk: Chunk) -> str:
        """The tag of the next attempt, by which its job is found again.

        It is a hash of the run's identity, the chunk and the number of attempts that may have made
        a job and came to nothing. So copies of a folder have the same tag for the same attempt,
        and the second one finds the job of the first.
        """
        # A job that is looked for again and again may be called lost more than once.
        ended = {event["tag"] for k in ENDED for event in self.journal.of(k, chunk=chunk.name)}
        text = f"{self.journal.identity} {chunk.name} {len(ended)}"
        return f"qvit-{digest(text.encode())[:32]}"

    def sent(self, chunk: Chunk) -> bool:
        """Whether a job of the chunk is out or has ended, for all that is known."""
        ended = any(self.journal.of(kind, chunk=chunk.name) for kind in ENDED)
        return ended or self.state(chunk) != "new"

    def given_up(self) -> list[Event]:
        """Submissions that were not answered and were sent again: their jobs may yet appear."""
        appeared = {event["tag"] for event in self.journal.of("surplus")}
        return [e for e in self.journal.of("given_up") if e["tag"] not in appeared]
