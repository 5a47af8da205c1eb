"""What a run has cost and may still cost, so that its budget cannot be overdrawn.

The service charges a job no more than the limit that it was sent with. So a job counts at its
limit from the moment that its submission is written down until its bill is final, also after it
has ended, and only what is left beside all limits is given to the next job.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from qvit_qiskit.devices.prices import MAX_JOB_SECONDS
from qvit_qiskit.hardware.events import (
    Abandonment,
    Absence,
    Failure,
    Intent,
    JobBill,
    Release,
    Surplus,
    Workload,
    WorkloadBill,
)
from qvit_qiskit.hardware.journal import Journal

HEADROOM = 1.5
"""How many times its estimate a job may use, before the run knows any bill."""
LEAST_HEADROOM = 1.25
"""The same at least, once bills are known."""
MOST_HEADROOM = 5.0
"""What a large budget allows a job at most, as a multiple of its estimate."""
SPARE = 1.25
"""How far above the dearest bill so far (as a multiple of its estimate) the next may lie."""
SESSION_IDLE_SECONDS = 60
"""What a session may use beside the limits of its jobs, if the budget has it: its clock runs on
between jobs."""


@dataclass(frozen=True)
class Charge:
    """One job on the run's bill. All times are QPU seconds."""

    tag: str
    estimate: float
    limit: float
    """What the service may charge at most; the estimate for jobs of runs that kept no limit."""
    billed: float | None = None
    """None until the bill is final."""
    workload: str | None = None
    """The batch or session that it was sent in."""
    cut: bool = False
    """Whether it was stopped at its limit."""
    doubtful: bool = False
    """Whether nobody has seen it and the user has given it up: it counts at its limit for a while,
    but not as spent."""

    @property
    def exposure(self) -> float:
        """What must be set aside for it."""
        return self.limit if self.billed is None else self.billed


@dataclass(frozen=True)
class Clock:
    """A session: it is charged by the wall clock while it is active, or a batch, which is not."""

    workload: str
    limit: float = 0.0
    """The session's ``max_time`` in seconds; 0 for a batch, or where none was set."""
    billed: float | None = None
    """Seconds of its own clock once they are final; 0 for a batch."""


@dataclass(frozen=True)
class Ledger:
    """The bill of one run: jobs and sessions against a budget in QPU seconds."""

    budget: float
    charges: Sequence[Charge] = ()
    clocks: Mapping[str, Clock] | None = None

    @property
    def billed(self) -> float:
        """QPU seconds of final bills; a session's own clock counts where it is above its jobs."""
        jobs = sum(charge.billed for charge in self.charges if charge.billed is not None)
        for clock in self._clocks():
            within = sum(c.billed or 0.0 for c in self._inside(clock))
            jobs += max(0.0, (clock.billed or 0.0) - within)
        return float(jobs)

    @property
    def estimated(self) -> float:
        """Estimated QPU seconds of the jobs that have no final bill."""
        return float(sum(charge.estimate for charge in self._open() if not charge.doubtful))

    @property
    def spent(self) -> float:
        """QPU seconds: bills where they are final, estimates where they are not."""
        return self.billed + self.estimated

    @property
    def reserved(self) -> float:
        """What jobs and sessions without a final bill may still cost, in QPU seconds."""
        total = sum(charge.limit for charge in self._open())
        for clock in self._clocks():
            if clock.billed is None and clock.limit:
                inside = self._inside(clock)
                # A job that runs when the session's time is over runs to its end.
                longest = max((charge.limit for charge in inside), default=0.0)
                total += max(0.0, clock.limit + longest - sum(c.exposure for c in inside))
        return float(total)

    @property
    def left(self) -> float:
        """QPU seconds that may be given to further jobs."""
        return self.budget - self.billed - self.reserved

    @property
    def final(self) -> bool:
        """Whether every job and session has its bill."""
        jobs = all(charge.billed is not None for charge in self.charges)
        return jobs and all(clock.billed is not None for clock in self._clocks())

    @property
    def overcharged(self) -> tuple[Charge, ...]:
        """Jobs that were billed more than their limit, which the service should not do."""
        return tuple(c for c in self.charges if c.billed is not None and c.billed > c.limit + 1e-6)

    @property
    def headroom(self) -> float:
        """How many times its estimate the next job may use at least.

        Before any bill `HEADROOM`. Then `SPARE` times the dearest bill as a multiple of its
        estimate; a job that was stopped at its limit shows only that it needs more, so twice its
        limit.
        """
        ended = [c for c in self.charges if c.billed is not None and c.estimate > 0]
        whole = [SPARE * (c.billed or 0.0) / c.estimate for c in ended if not c.cut]
        cut = [2.0 * c.limit / c.estimate for c in ended if c.cut]
        known = max([LEAST_HEADROOM, *whole]) if whole else HEADROOM
        return max([known, *cut])

    def limit(self, estimate: float, share: float = 1.0) -> int:
        """The limit that a job is sent with, as whole seconds, which the service takes.

        Args:
            estimate: Its QPU seconds.
            share: The budget divided by the estimate of the whole run: where there is more than
                the headroom asks for, jobs get their part of it, up to `MOST_HEADROOM`.
        """
        factor = max(self.headroom, min(share, MOST_HEADROOM))
        return whole_seconds(factor * estimate)

    def fits(self, limits: Sequence[int], session: bool) -> int:
        """How many of the next jobs can be sent together, from the first on.

        Args:
            limits: Of the jobs, in QPU seconds.
            session: Whether they are sent in a session of their own.
        """
        count = 0
        while count < len(limits):
            some = limits[: count + 1]
            if (session_cost(some) if session else sum(some)) > self.left + 1e-9:
                break
            count += 1
        return count

    def session_seconds(self, limits: Sequence[int]) -> int:
        """The ``max_time`` of a session for jobs of such limits that fit.

        A job that runs when the time is over runs to its end, so the longest one is set aside.
        """
        wanted = sum(limits) + SESSION_IDLE_SECONDS
        return max(1, min(wanted, math.floor(self.left - max(limits) + 1e-9)))

    def _open(self) -> list[Charge]:
        """Jobs without a final bill; a session whose clock is final costs what that says."""
        over = {clock.workload for clock in self._clocks() if clock.billed}
        return [c for c in self.charges if c.billed is None and c.workload not in over]

    def _clocks(self) -> Sequence[Clock]:
        return list((self.clocks or {}).values())

    def _inside(self, clock: Clock) -> list[Charge]:
        return [charge for charge in self.charges if charge.workload == clock.workload]


def ledger_of(journal: Journal, budget: float) -> Ledger:
    """The bill of a run as its journal has it.

    Args:
        journal: Of the run.
        budget: In QPU seconds.
    """
    intents: dict[str, Intent] = {}
    """All that were ever written down, by tag: where a job counts, its limit is found here."""
    counting: dict[str, str] = {}
    """For each entry of the bill the tag of its job's intent."""
    given_up: set[str] = set()
    for event in journal.events:
        match event:
            case Intent(tag=tag):
                intents[tag] = event
                counting[tag] = tag
            case Release(tag=str(tag)) | Absence(tag=tag):
                counting.pop(tag, None)
            case Abandonment(tag=tag):
                given_up.add(tag)
            case Surplus(tag=tag):
                counting[event.entry] = tag
                if tag in given_up:  # this is the job of that intent
                    counting.pop(tag, None)
    bills = {event.tag: float(event.seconds) for event in journal.of(JobBill)}
    cut = {event.tag for event in journal.of(Failure) if event.cut}
    charges = [
        Charge(
            entry,
            float(intents[tag].seconds),
            _limit(intents[tag], given_up=entry in given_up),
            bills.get(entry),
            intents[tag].workload,
            entry in cut,
            entry in given_up,
        )
        for entry, tag in counting.items()
        if tag in intents
    ]
    return Ledger(budget, charges, _clocks(journal))


def _clocks(journal: Journal) -> dict[str, Clock]:
    """The batches and sessions of a run, by their ids."""
    bills = {event.workload: float(event.seconds) for event in journal.of(WorkloadBill)}
    limits = {event.workload: float(event.max_seconds or 0) for event in journal.of(Workload)}
    return {
        workload: Clock(workload, limits.get(workload, 0.0), bills.get(workload))
        for workload in limits | bills
    }


def _limit(intent: Intent, *, given_up: bool) -> float:
    """What a job may cost at most.

    Earlier versions sent every job with all that was left of the budget for its limit. Where the
    user has given such a job up, that would leave nothing for the one in its place.
    """
    limit = float(intent.max_seconds or intent.seconds)
    if given_up and intent.content is None:
        return min(limit, float(whole_seconds(HEADROOM * intent.seconds)))
    return limit


def whole_seconds(seconds: float) -> int:
    """A limit as the service takes it: whole seconds, at least one, at most three hours."""
    return max(1, min(MAX_JOB_SECONDS, math.ceil(seconds - 1e-9)))


def session_cost(limits: Sequence[int]) -> int:
    """The least that must be left for a session in which such jobs run one after another.

    All but the last must be able to end within its ``max_time``, which is at least a second, and
    one that runs when that is over runs to its end.
    """
    return max(1, sum(limits) - limits[-1]) + max(limits)
