"""What a run's journal says of each chunk: how far it is, and under which tags it was sent."""

from __future__ import annotations

from typing import TypeVar, cast

from qvit_qiskit.hardware.events import Abandonment, ChunkEvent, End, Surplus
from qvit_qiskit.hardware.journal import Journal, digest
from qvit_qiskit.hardware.stages.stage import Chunk

C = TypeVar("C", bound=ChunkEvent)


class Attempts:
    """The attempts to have chunks of a run executed.

    Chunks are named, not given, where nothing but the name matters. Each event of the journal is
    looked at once, however often is asked.
    """

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self._read = 0
        """Events that are in what follows."""
        self._last: dict[str, ChunkEvent] = {}
        self._of: dict[tuple[str, type[ChunkEvent]], ChunkEvent] = {}
        self._ended: dict[str, set[str]] = {}

    def _catch_up(self) -> None:
        for event in self.journal.events[self._read :]:
            if isinstance(event, ChunkEvent):
                self._last[event.chunk] = self._of[event.chunk, type(event)] = event
            if isinstance(event, End):
                # A job that is looked for again and again may be called lost more than once.
                self._ended.setdefault(event.chunk, set()).add(event.tag)
        self._read = len(self.journal.events)

    @property
    def latest(self) -> dict[str, ChunkEvent]:
        """By the name of each chunk that was ever sent, the last event that says how far it is."""
        self._catch_up()
        return dict(self._last)

    def state(self, chunk: Chunk) -> str:
        """``new``, ``unanswered``, ``sent``, ``uncertain``, ``failed``, ``lost`` or ``done``."""
        self._catch_up()
        last = self._last.get(chunk.name)
        return last.state if last else "new"

    def find(self, chunk: str, kind: type[C]) -> C | None:
        """The last event of a kind that a chunk has, if it has one.

        Args:
            chunk: Its name.
            kind: The type of the event.
        """
        self._catch_up()
        return cast("C | None", self._of.get((chunk, kind)))

    def last(self, chunk: Chunk, kind: type[C]) -> C:
        """The last event of a kind that a chunk has.

        Args:
            chunk: The chunk.
            kind: The type of the event.

        Raises:
            KeyError: If it has none.
        """
        self._catch_up()
        return cast("C", self._of[chunk.name, kind])

    def tag(self, chunk: Chunk) -> str:
        """The tag of the next attempt, by which its job is found again.

        It is a hash of the run's identity, the chunk and the number of attempts that may have made
        a job and came to nothing. So copies of a folder have the same tag for the same attempt,
        and the second one finds the job of the first.
        """
        self._catch_up()
        ended = len(self._ended.get(chunk.name, ()))
        return f"qvit-{digest(f'{self.journal.identity} {chunk.name} {ended}'.encode())[:32]}"

    def sent(self, chunk: Chunk) -> bool:
        """Whether a job of the chunk is out or has ended, for all that is known."""
        return self.state(chunk) != "new" or chunk.name in self._ended

    def given_up(self) -> list[Abandonment]:
        """Submissions that were not answered and were sent again: their jobs may yet appear."""
        appeared = {event.tag for event in self.journal.of(Surplus)}
        return [event for event in self.journal.of(Abandonment) if event.tag not in appeared]
