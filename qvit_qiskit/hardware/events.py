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

KINDS: dict[str, type[Event]] = {}
"""The types of events by the kinds that lines name."""


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that happened; a line holds its kind, its time, then its fields in their order."""

    kind: ClassVar[str] = ""
    time: str = ""
    """UTC; the journal sets it when it writes the line."""

    def __init_subclass__(cls, *, kind: str = "", **more: Any) -> None:
        super().__init_subclass__(**more)
        if kind:
            cls.kind = kind
            KINDS[kind] = cls

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
class Creation(Event, kind="created"):
    """The folder was made."""

    format: int
    identity: str | None = field(default=None, metadata=OPTIONAL)
    """Random; runs of earlier versions have none."""


@dataclass(frozen=True, kw_only=True)
class Order(Event, kind="evaluation"):
    """What is to be evaluated, and on what terms."""

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
class RouteOrder(Event, kind="terms"):
    """The terms of a run whose stages are the calls of a route."""

    terms: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class NewBudget(Event, kind="budget"):
    """The user has changed the budget."""

    seconds: float


@dataclass(frozen=True, kw_only=True)
class Completion(Event, kind="done"):
    """The run is finished."""

    predictions: str
    """SHA-256 of the file of logits and labels."""
    unsettled: int | None = field(default=None, metadata=OPTIONAL)
    """Where shots are adaptive: images whose answer is not settled at the end."""


# Stages.


@dataclass(frozen=True, kw_only=True)
class StageRows(Event, kind="stage"):
    """What a stage asks is written down."""

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
class Compilation(Event, kind="compiled"):
    """A stage was compiled for the device, and split into jobs."""

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
class Opening(Event, kind="opening"):
    """A batch or session is about to be opened."""

    opening: str
    max_seconds: int | None


@dataclass(frozen=True, kw_only=True)
class Unopened(Event, kind="unopened"):
    """The opening came to nothing."""

    opening: str


@dataclass(frozen=True, kw_only=True)
class Workload(Event, kind="workload"):
    """A batch or session was opened."""

    workload: str
    max_seconds: int | None = None
    """The session's limit; None for a batch."""
    opening: str | None = None


@dataclass(frozen=True, kw_only=True)
class Closure(Event, kind="closed"):
    """A batch or session takes no more jobs."""

    workload: str


@dataclass(frozen=True, kw_only=True)
class WorkloadBill(Event, kind="workload_billed"):
    """The clock of a batch or session is final."""

    workload: str
    seconds: float


# Jobs, chunk by chunk.


@dataclass(frozen=True, kw_only=True)
class ChunkEvent(Event):
    """Something that says how far a chunk is."""

    state: ClassVar[str]
    """``new``, ``unanswered``, ``sent``, ``uncertain``, ``failed``, ``lost`` or ``done``."""
    chunk: str

    def __init_subclass__(cls, *, state: str = "", **more: Any) -> None:
        super().__init_subclass__(**more)
        if state:
            cls.state = state


@dataclass(frozen=True, kw_only=True)
class End(ChunkEvent):
    """An attempt that may have made a job came to nothing."""

    tag: str


@dataclass(frozen=True, kw_only=True)
class Intent(ChunkEvent, kind="intent", state="unanswered"):
    """A job is about to be sent."""

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
class Submission(ChunkEvent, kind="submitted", state="sent"):
    """The service has the job."""

    tag: str
    job: str


@dataclass(frozen=True, kw_only=True)
class Release(ChunkEvent, kind="released", state="new"):
    """The chunk is to be sent again; of an attempt with a tag it is known that it made no job."""

    tag: str | None = field(default=None, metadata=OPTIONAL)


@dataclass(frozen=True, kw_only=True)
class Doubt(ChunkEvent, kind="uncertain", state="uncertain"):
    """Nobody knows whether the job exists."""

    tag: str


@dataclass(frozen=True, kw_only=True)
class Abandonment(End, kind="given_up", state="new"):
    """The user has given up a job that may exist; its chunk is to be sent again."""


@dataclass(frozen=True, kw_only=True)
class Failure(End, kind="failed", state="failed"):
    """The job failed or was cancelled."""

    job: str
    reason: str
    way: str = field(default="failed", metadata={"key": "state"})
    """``failed`` or ``cancelled``."""
    cut: bool = False
    """Whether it was stopped at its limit."""
    remedy: str = field(default="again", metadata=OPTIONAL)
    """What may help: ``again``, ``change`` or ``never``; see `ibm.causes.Remedy`."""


@dataclass(frozen=True, kw_only=True)
class Loss(End, kind="lost", state="lost"):
    """The job, or its result, no longer exists."""

    job: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Finish(ChunkEvent, kind="finished", state="done"):
    """The job's counts are on the disk."""

    tag: str
    job: str
    file: str
    sha256: str
    timing: dict[str, str] | None = field(default=None, metadata=OPTIONAL)
    """The file of how the service scheduled the circuits, and its SHA-256, where it said so."""


# Jobs beside those, and bills.


@dataclass(frozen=True, kw_only=True)
class Absence(Event, kind="absent"):
    """A job that was given up has not appeared, and counts no more."""

    tag: str


@dataclass(frozen=True, kw_only=True)
class Surplus(Event, kind="surplus"):
    """A job that nobody needs; it bears the tag of the one that was kept."""

    job: str
    tag: str

    @property
    def entry(self) -> str:
        """Its entry on the bill."""
        return f"{self.tag}-surplus-{self.job}"


@dataclass(frozen=True, kw_only=True)
class JobBill(Event, kind="billed"):
    """The bill of a job is final."""

    tag: str
    """The job's entry on the bill."""
    job: str
    seconds: float
    began: str | None = field(default=None, metadata=OPTIONAL)
    """When it began to run, where the service says so."""


@dataclass(frozen=True, kw_only=True)
class Cancellation(Event, kind="cancelled"):
    """The user has cancelled what was out."""

    jobs: int


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
