"""What can happen to a run: each kind of event is a type of its own, and one line of its journal.

Here stands what a line holds, and nowhere else. Lines of earlier versions lack fields that came
later; these have the value here that they had then.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, ClassVar

OPTIONAL = {"optional": True}
"""Of a field that a line leaves out where it has its default."""


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that happened; a line holds its kind, its time, then its fields in their order."""

    kind: ClassVar[str] = ""
    time: str = ""
    """UTC; the journal sets it when it writes the line."""

    def line(self) -> dict[str, Any]:
        """As JSON."""
        stored = {_key(f): getattr(self, f.name) for f in fields(self) if not _left_out(self, f)}
        return {"event": self.kind, **stored}


def _left_out(event: Event, one: Any) -> bool:
    return "optional" in one.metadata and getattr(event, one.name) == one.default


@dataclass(frozen=True, kw_only=True)
class Unknown(Event):
    """An event of a kind that this version does not know: it says nothing of what it knows."""


# What the run is.


@dataclass(frozen=True, kw_only=True)
class Creation(Event):
    """The folder was made."""

    kind: ClassVar[str] = "created"
    format: int
    identity: str | None = field(default=None, metadata=OPTIONAL)
    """Random; runs of earlier versions have none."""


@dataclass(frozen=True, kw_only=True)
class Order(Event):
    """What is to be evaluated, and on what terms."""

    kind: ClassVar[str] = "evaluation"
    terms: dict[str, Any]
    profile: str
    """The profile's file, on the machine that began the run."""
    images: str
    """SHA-256 of the file of images and labels."""
    count: int
    """Images."""
    data: dict[str, Any]
    """What is known of the data set."""
    model: str
    """SHA-256 of the weights."""
    checkpoint: str | None
    """SHA-256 of the kept checkpoint, where there is one."""
    stage_rows: list[int]
    """Rows that an image takes in each quantum layer."""
    versions: dict[str, str]
    plan: dict[str, Any] | None = field(default=None, metadata=OPTIONAL)
    """What was chosen for an accuracy; terms and profile hold it too. None where nothing was."""


@dataclass(frozen=True, kw_only=True)
class RouteOrder(Event):
    """The terms of a run whose stages are the calls of a route."""

    kind: ClassVar[str] = "terms"
    terms: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class NewBudget(Event):
    """The user has changed the budget."""

    kind: ClassVar[str] = "budget"
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Completion(Event):
    """The run is finished."""

    kind: ClassVar[str] = "done"
    predictions: str
    """SHA-256 of the file of logits and labels."""
    unsettled: int | None = field(default=None, metadata=OPTIONAL)
    """Where shots are adaptive: images whose answer is not settled at the end."""


# Stages.


@dataclass(frozen=True, kw_only=True)
class StageRows(Event):
    """What a stage asks is written down."""

    kind: ClassVar[str] = "stage"
    stage: int
    angles: str
    """SHA-256 of the file of parameter values."""
    circuits: str
    """SHA-256 of the file of circuits."""
    terms: list[Any]
    """For each group its observables."""
    pubs: list[int]
    """For each PUB its group."""
    rows: int
    unique: int
    shots: int | None = field(default=None, metadata=OPTIONAL)
    images: list[int] | None = field(default=None, metadata=OPTIONAL)
    projections: list[int] | None = field(default=None, metadata=OPTIONAL)
    """Of a share of shots: how many a row gets; of a further one whose rows it asks."""


@dataclass(frozen=True, kw_only=True)
class Compilation(Event):
    """A stage was compiled for the device, and split into jobs."""

    kind: ClassVar[str] = "compiled"
    stage: int
    device: str
    isa: str
    """SHA-256 of the file of compiled circuits."""
    seats: str
    """SHA-256 of the file that says which row runs where."""
    place: str = field(default="", metadata=OPTIONAL)
    """Where those files are, if the stage was compiled before."""
    programs: list[Any]
    controls: list[Any]
    timing: dict[str, Any]
    shots: int
    level: int | None = field(default=None, metadata=OPTIONAL)
    """The resilience level."""
    twirl_gates: bool | None = field(default=None, metadata=OPTIONAL)
    idle: bool = field(default=False, metadata=OPTIONAL)
    """Whether qubits that wait are taken to decay."""
    dt: float | None = field(default=None, metadata=OPTIONAL)
    """The device's unit of time in seconds."""
    chunks: list[dict[str, Any]]
    calibration: dict[str, str]
    """The file of the device's reported errors, and its SHA-256."""


# Batches and sessions.


@dataclass(frozen=True, kw_only=True)
class Opening(Event):
    """A batch or session is about to be opened."""

    kind: ClassVar[str] = "opening"
    opening: str
    max_seconds: int | None


@dataclass(frozen=True, kw_only=True)
class Unopened(Event):
    """The opening came to nothing."""

    kind: ClassVar[str] = "unopened"
    opening: str


@dataclass(frozen=True, kw_only=True)
class Workload(Event):
    """A batch or session was opened."""

    kind: ClassVar[str] = "workload"
    workload: str
    max_seconds: int | None = None
    """The session's limit; None for a batch."""
    opening: str | None = None


@dataclass(frozen=True, kw_only=True)
class Closure(Event):
    """A batch or session takes no more jobs."""

    kind: ClassVar[str] = "closed"
    workload: str


@dataclass(frozen=True, kw_only=True)
class WorkloadBill(Event):
    """The clock of a batch or session is final."""

    kind: ClassVar[str] = "workload_billed"
    workload: str
    seconds: float


# Jobs, chunk by chunk.


@dataclass(frozen=True, kw_only=True)
class ChunkEvent(Event):
    """Something that says how far a chunk is."""

    state: ClassVar[str]
    """``new``, ``unanswered``, ``sent``, ``uncertain``, ``failed``, ``lost`` or ``done``."""
    chunk: str


@dataclass(frozen=True, kw_only=True)
class End(ChunkEvent):
    """An attempt that may have made a job came to nothing."""

    tag: str


@dataclass(frozen=True, kw_only=True)
class Intent(ChunkEvent):
    """A job is about to be sent."""

    kind: ClassVar[str] = "intent"
    state: ClassVar[str] = "unanswered"
    tag: str
    """By which the job is found."""
    content: str | None = field(default=None, metadata=OPTIONAL)
    """The tag that says what it measures."""
    key: str
    seconds: float
    """Estimated QPU time."""
    workload: str | None = None
    """The batch or session."""
    executions: int
    max_seconds: float | None = None
    """Its limit."""


@dataclass(frozen=True, kw_only=True)
class Submission(ChunkEvent):
    """The service has the job."""

    kind: ClassVar[str] = "submitted"
    state: ClassVar[str] = "sent"
    tag: str
    job: str


@dataclass(frozen=True, kw_only=True)
class Release(ChunkEvent):
    """The chunk is to be sent again; of an attempt with a tag it is known that it made no job."""

    kind: ClassVar[str] = "released"
    state: ClassVar[str] = "new"
    tag: str | None = field(default=None, metadata=OPTIONAL)


@dataclass(frozen=True, kw_only=True)
class Doubt(ChunkEvent):
    """Nobody knows whether the job exists."""

    kind: ClassVar[str] = "uncertain"
    state: ClassVar[str] = "uncertain"
    tag: str


@dataclass(frozen=True, kw_only=True)
class Abandonment(End):
    """The user has given up a job that may exist; its chunk is to be sent again."""

    kind: ClassVar[str] = "given_up"
    state: ClassVar[str] = "new"


@dataclass(frozen=True, kw_only=True)
class Failure(End):
    """The job failed or was cancelled."""

    kind: ClassVar[str] = "failed"
    state: ClassVar[str] = "failed"
    job: str
    reason: str
    way: str = field(default="failed", metadata={"key": "state"})
    """``failed`` or ``cancelled``."""
    cut: bool = False
    """Whether it was stopped at its limit."""
    remedy: str = field(default="again", metadata=OPTIONAL)
    """What may help: ``again``, ``change`` or ``never``; see `ibm.causes.Remedy`."""


@dataclass(frozen=True, kw_only=True)
class Loss(End):
    """The job, or its result, no longer exists."""

    kind: ClassVar[str] = "lost"
    state: ClassVar[str] = "lost"
    job: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Finish(ChunkEvent):
    """The job's counts are on the disk."""

    kind: ClassVar[str] = "finished"
    state: ClassVar[str] = "done"
    tag: str
    job: str
    file: str
    sha256: str
    timing: dict[str, str] | None = field(default=None, metadata=OPTIONAL)
    """The file of how the service scheduled the circuits, and its SHA-256, where it said so."""


# Jobs beside those, and bills.


@dataclass(frozen=True, kw_only=True)
class Absence(Event):
    """A job that was given up has not appeared, and counts no more."""

    kind: ClassVar[str] = "absent"
    tag: str


@dataclass(frozen=True, kw_only=True)
class Surplus(Event):
    """A job that nobody needs; it bears the tag of the one that was kept."""

    kind: ClassVar[str] = "surplus"
    job: str
    tag: str

    @property
    def entry(self) -> str:
        """Its entry on the bill."""
        return f"{self.tag}-surplus-{self.job}"


@dataclass(frozen=True, kw_only=True)
class JobBill(Event):
    """The bill of a job is final."""

    kind: ClassVar[str] = "billed"
    tag: str
    """The job's entry on the bill."""
    job: str
    seconds: float
    began: str | None = field(default=None, metadata=OPTIONAL)
    """When it began to run, where the service says so."""


@dataclass(frozen=True, kw_only=True)
class Cancellation(Event):
    """The user has cancelled what was out."""

    kind: ClassVar[str] = "cancelled"
    jobs: int


KINDS: Mapping[str, type[Event]] = {
    each.kind: each
    for each in (
        *(Creation, Order, RouteOrder, NewBudget, Completion, StageRows, Compilation),
        *(Opening, Unopened, Workload, Closure, WorkloadBill),
        *(Intent, Submission, Release, Doubt, Abandonment, Failure, Loss, Finish),
        *(Absence, Surplus, JobBill, Cancellation),
    )
}


def read_line(line: Mapping[str, Any]) -> Event:
    """The event of a line.

    Args:
        line: As JSON; keys that this version does not know are left out.

    Raises:
        KeyError: If it lacks something.
    """
    kind = KINDS.get(line["event"], Unknown)
    given = {}
    for one in fields(kind):
        key = _key(one)
        if key in line:
            given[one.name] = line[key]
        elif one.default is MISSING:
            raise KeyError(key)
    return kind(**given)


def _key(one: Any) -> str:
    """A field's name in a line."""
    return str(one.metadata.get("key", one.name))
