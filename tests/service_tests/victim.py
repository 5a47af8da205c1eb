"""A process that dies by SIGKILL at one step of a run's journal, and the small runs it dies in.

As a script it reads orders from its standard input, one JSON object a line. It forks for each, so
that the imports are paid once, and answers with a line that says how the child ended.
"""

from __future__ import annotations

import atexit
import ctypes
import json
import math
import os
import resource
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from service.handle import Service

    from qvit_qiskit.exceptions import QvitError

MOMENTS = ("before", "within", "after")

CALLS = (
    "POST /identity/token",
    "POST /v3/resources/search",
    "GET /catalog/*",
    "GET /backends",
    "GET /backends/*/configuration",
    "GET /backends/*/properties",
    "GET /backends/*/status",
    "GET /instances/usage",
    "POST /sessions",
    "POST /jobs",
    "GET /jobs",
    "GET /jobs/*",
    "GET /jobs/*/results",
    "GET /jobs/*/metrics",
    "PATCH /sessions/*",
    "GET /sessions/*",
)
"""Every call that a run makes in session mode."""

_KINDS: tuple[tuple[str, dict[str, Any]], ...] = (
    *(("status", {"code": code}) for code in (400, 401, 403, 404, 408, 409, 429, 500, 502, 503)),
    ("drop", {"when": "before"}),
    ("drop", {"when": "after"}),
    ("stall", {"when": "before", "seconds": 5.0}),
    ("stall", {"when": "after", "seconds": 5.0}),
    ("slow", {"seconds": 0.2}),
    ("truncate", {}),
    ("garble", {}),
    ("empty", {}),
)
ONCE, FOR_EVER = {"count": 1}, {"count": None}
CALL_FAULTS = tuple(
    (kind, options | count) for count in (ONCE, FOR_EVER) for kind, options in _KINDS
)
"""Faults of one call, all once and all for ever."""

JOB_FAULTS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("job_failure", {"charged": 1.5}),
    ("job_failure", {"when": "queued"}),
    ("cancel", {"when": "queued"}),
    ("cancel", {"when": "running", "charged": 1.5}),
    ("late_results", {"seconds": 0.5}),
    ("late_listing", {"seconds": 1.0}),
    ("late_billing", {"seconds": 1.0}),
    ("surplus", {"copies": 2}),
    ("close_session", {"when": "before"}),
    ("close_session", {"when": "after"}),
    *(("wrong_result", {"variant": v}) for v in ("shots", "rows", "register", "item", "schema")),
    ("wrong_result", {"variant": "shots", "count": None}),
)
"""Faults of a job."""


@dataclass(frozen=True)
class Order:
    """One process: what it does with which folder, and when it dies."""

    folder: str
    profile: str
    """Path of a profile."""
    resume: bool = False
    resubmit: bool = False
    step: int | None = None
    """The step it dies at, counted from 0: an event written or a file stored."""
    moment: str = "after"
    """``"before"``, ``"within"`` (a half line, or a file not yet in its place) or ``"after"``."""
    seconds: float | None = None
    """When it is killed from outside."""
    layers: int = 1
    images: int = 3
    batch_size: int = 32
    threads: int = 1
    split: bool = False
    """Make jobs of two rows, or of one beside its anchor."""
    anchors: int = 0
    """Rows that every job runs besides."""
    file_size: int | None = None
    """Bytes that a file may have: a full disk."""
    powers: bool = True
    """Whether it may write where permissions forbid it, as root may."""


@dataclass(frozen=True)
class End:
    """How a process ended."""

    folder: str
    killed: bool
    error: str | None
    """The exception's class."""
    message: str
    state: str | None
    """The run's."""
    steps: list[str]
    """The events and files that were begun, in order."""


def images(count: int) -> list[tuple[Any, int]]:
    """A data set that is no `Split`."""
    import torch

    draw = torch.Generator().manual_seed(5)
    return [(torch.rand(1, 28, 28, generator=draw), k % 2) for k in range(count)]


def network(layers: int = 1) -> Any:
    """A small CNN that asks for the values of ``layers`` circuits, one after the other."""
    import torch
    from torch import nn

    from qvit_qiskit import QuantumLinear, build_circuit

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.convolution = nn.Conv2d(1, 2, 7, stride=7)
            circuits = [build_circuit("ry-chain", 2, 1) for _ in range(layers)]
            self.quantum = nn.ModuleList(QuantumLinear(circuit) for circuit in circuits)
            self.head = nn.Linear(2, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = torch.tanh(self.convolution(x)).mean((2, 3))
            for layer in self.quantum:
                x = layer(x)
            return self.head(x)

    with torch.random.fork_rng():
        torch.manual_seed(3)
        return Network()


def patience() -> Any:
    """For a service on this machine."""
    from qvit_qiskit.ibm.calls import Patience

    return Patience(deadline=20.0, outage=10.0, settle=0.3, poll=0.1)


def split_jobs() -> float:
    """QPU seconds of a job of two rows at 32 shots."""
    return 2.018


def act(order: Order) -> str:
    """Do what an order says, in this process; the run's state."""
    import torch

    from qvit_qiskit.devices import prices as cost
    from qvit_qiskit.runs import resume, submit

    torch.set_num_threads(order.threads)
    if order.file_size is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (order.file_size, order.file_size))
    if not order.powers:
        give_up_powers()
    if order.split:
        cost.MERGE_SECONDS = split_jobs()
    model = network(order.layers)
    if order.resume:
        found = resume(
            order.folder,
            model,
            wait=True,
            resubmit=order.resubmit,
            batch_size=order.batch_size,
            patience=patience(),
        )
    else:
        found = submit(
            model,
            images(order.images),
            order.profile,
            order.folder,
            budget_seconds=60.0,
            max_loss=0.001,
            anchor_rows=order.anchors,
            wait=True,
            batch_size=order.batch_size,
            patience=patience(),
        )
    return found.state


def give_up_powers() -> None:
    """Let permissions count for this process, root's too; it gives up its capabilities."""
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # the third version of the call, this process
    nothing = (ctypes.c_uint32 * 6)()
    if ctypes.CDLL(None, use_errno=True).capset(header, nothing):
        raise OSError(ctypes.get_errno(), "capset")


def arm(step: int | None, moment: str) -> list[str]:
    """Let this process die at a step; the names of the steps, as they are begun."""
    from qvit_qiskit.hardware.events import Event
    from qvit_qiskit.hardware.journal import Journal

    steps: list[str] = []

    def watched(original: Callable[..., Any]) -> Callable[..., Any]:
        def call(journal: Journal, what: Event | str, *data: bytes) -> Any:
            steps.append(what if isinstance(what, str) else what.kind)
            doomed = len(steps) - 1 == step
            if doomed and moment == "before":
                die()
            if doomed and moment == "within" and original is store:
                Path.replace = die  # type: ignore[assignment, method-assign]
            size = journal.path.stat().st_size
            result = original(journal, what, *data)
            if doomed and moment == "within":
                os.truncate(journal.path, (size + journal.path.stat().st_size) // 2)
            if doomed:
                die()
            return result

        return call

    store = Journal.store
    Journal.append = watched(Journal.append)  # type: ignore[method-assign]
    Journal.store = watched(store)  # type: ignore[method-assign]
    return steps


def die(*_: object) -> None:
    """Nothing that stands in a ``finally`` runs."""
    os.kill(os.getpid(), signal.SIGKILL)


def outputs(folder: Path) -> dict[str, bytes]:
    """The results of a finished run by name; half-written files beside them are not of it."""
    files = [*(folder / "results").glob("[!.]*"), folder / "predictions.npz"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


class Audit:
    """What a run may have done to the service since this object was made."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self._known = {job["id"] for job in service.jobs()}
        self._sessions = {session["id"] for session in service.sessions()}

    def jobs(self) -> list[dict[str, Any]]:
        """Jobs made since then."""
        return [job for job in self.service.jobs() if job["id"] not in self._known]

    def sessions(self) -> list[dict[str, Any]]:
        """Batches and sessions made since then."""
        return [one for one in self.service.sessions() if one["id"] not in self._sessions]

    def programs(self) -> Counter[str]:
        """How often each program was executed since then."""
        self.service.wait_idle()
        found: Counter[str] = Counter()
        for job in self.service.executed():
            if job["id"] not in self._known:
                found[job["program"]] += job["times"]
        return found

    def check(self, folder: Path) -> None:
        """Nothing was sent unannounced, is left open, or is missing from the bill.

        Raises:
            AssertionError: If something was.
        """
        from qvit_qiskit.hardware.events import Intent, WorkloadBill
        from qvit_qiskit.hardware.journal import Journal
        from qvit_qiskit.hardware.ledger import ledger_of

        journal, jobs = Journal.open(folder), self.jobs()
        announced = {event.tag for event in journal.of(Intent)}
        assert all(announced & set(job["tags"]) for job in jobs), (announced, jobs)
        for session in self.sessions():
            assert not session["accepting_jobs"], session
        charged = sum(job["charged"] for job in jobs)
        clock = sum(event.seconds for event in journal.of(WorkloadBill))
        spent = ledger_of(journal, math.inf).spent
        assert charged - 1e-6 <= spent <= max(charged, clock) + 1e-6, (charged, clock, spent)


def ordeal(
    service: Service,
    folder: Path,
    profile: str,
    fault: str,
    options: Mapping[str, Any],
    moment: str = "before",
    layers: int = 1,
) -> list[QvitError] | None:
    """Strike a run with a fault; go on with it once the fault is over, until it is finished.

    Args:
        service: What answers, and whose fault it is.
        folder: Of the run.
        profile: Path of a profile.
        fault: A kind of `service.faults`.
        options: The fault's.
        moment: When the fault begins: ``"before"`` anything is asked, ``"within"`` the first stage
            (its job was accepted) or ``"after"`` it (its results are stored).
        layers: Quantum layers, each a stage.

    Returns:
        The errors that ended commands, one after the other; None if nothing was struck, because
        the call is not made after that moment or in that mode.

    Raises:
        AssertionError: If an error is no single sentence, a job is not accounted for, or a program
            was executed twice.
    """
    from qvit_qiskit.exceptions import JobError, RouteError, ServiceError
    from qvit_qiskit.hardware.events import Finish, Submission
    from qvit_qiskit.ibm.calls import Patience
    from qvit_qiskit.runs import resume, submit

    short = Patience(deadline=6.0, outage=3.0, settle=0.2, poll=0.1)
    audit = Audit(service)
    told: list[QvitError] = []
    struck = 0
    state = ""
    with ExitStack() as stack:
        if moment == "before":
            service.inject(fault, **options)
        else:
            kind = Submission if moment == "within" else Finish
            stack.enter_context(at_event(kind, lambda: service.inject(fault, **options)))
        while state != "finished":
            try:
                if not told:
                    data, model = images(3), network(layers)
                    state = submit(
                        model, data, profile, folder, budget_seconds=60, wait=True, patience=short
                    ).state
                else:
                    again = "uncertain" in str(told[-1])
                    state = resume(
                        folder, network(layers), wait=True, resubmit=again, patience=patience()
                    ).state
            except (JobError, RouteError, ServiceError) as error:
                told.append(error)
            assert all("\n" not in str(error) for error in told)
            assert all(str(error).endswith(".") for error in told)
            assert len(told) < 3, told
            struck += sum(found["hits"] for found in service.faults())
            service.clear()
    executed = audit.programs()
    assert len(executed) == layers
    assert fault == "surplus" or set(executed.values()) == {1}
    audit.check(folder)
    return told if struck else None


@contextmanager
def at_event(kind: type[Any], action: Callable[[], object]) -> Iterator[None]:
    """Do something once, when an event of a kind has been written to a journal."""
    from qvit_qiskit.hardware.journal import Journal

    append, pending = Journal.append, [action]

    def watched(journal: Journal, event: Any) -> Any:
        result = append(journal, event)
        if isinstance(event, kind) and pending:
            pending.pop()()
        return result

    Journal.append = watched  # type: ignore[method-assign]
    try:
        yield
    finally:
        Journal.append = append  # type: ignore[method-assign]


class Victims:
    """Processes for orders, in an environment that points at a service; a context manager."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            env={**os.environ, **environment, "OMP_NUM_THREADS": "1", "RAYON_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Victims:
        return self

    def __exit__(self, *exception: object) -> None:
        self._process.communicate()

    def run(self, order: Order) -> End:
        """Start a process and wait for its end."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(asdict(order)) + "\n")
        self._process.stdin.flush()
        return End(order.folder, **json.loads(self._process.stdout.readline()))

    def recover(self, order: Order, **changes: Any) -> list[End]:
        """Go on with what a killed process left, as its user would; the ends of all processes.

        Raises:
            AssertionError: If the run does not finish.
        """
        going = replace(order, resume=True, step=None, seconds=None, **changes)
        ends = [self.run(going)]
        if "nothing was sent" in ends[-1].message or "is no run folder" in ends[-1].message:
            again = replace(going, resume=False, folder=f"{order.folder}-again")
            ends.append(self.run(again))
        elif "uncertain" in ends[-1].message:
            ends.append(self.run(replace(going, resubmit=True)))
        assert ends[-1].state == "finished", ends
        return ends


@cache
def shared_victims(**environment: str) -> Victims:
    """The same for all tests of this process: its imports take seconds."""
    victims = Victims(environment)
    atexit.register(victims.__exit__)
    return victims


def _serve() -> None:
    """Read orders and fork for each."""
    for name in ("qiskit_ibm_runtime.executor_sampler", "sklearn.metrics", "qvit_qiskit.runs"):
        import_module(name)

    answers = os.dup(1)
    os.dup2(2, 1)
    for line in sys.stdin:
        order = Order(**json.loads(line))
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            _live(order, writing)
        os.close(writing)
        if order.seconds is not None:
            timer = threading.Timer(order.seconds, os.kill, (child, signal.SIGKILL))
            timer.start()
        told = {"error": None, "message": "", "state": None, "steps": []}
        with os.fdopen(reading) as stream:
            for part in stream:
                told |= json.loads(part)
        killed = os.WIFSIGNALED(os.waitpid(child, 0)[1])
        if order.seconds is not None:
            timer.cancel()
            timer.join()
        os.write(answers, (json.dumps({"killed": killed, **told}) + "\n").encode())


def _live(order: Order, writing: int) -> None:
    """The life of a child: it never returns."""
    told: dict[str, Any] = {}
    steps = arm(order.step, order.moment)
    try:
        told["state"] = act(order)
    except BaseException as error:
        told |= {"error": type(error).__name__, "message": str(error)}
    with suppress(OSError):
        os.write(writing, (json.dumps(told | {"steps": steps}) + "\n").encode())
    os._exit(0)


if __name__ == "__main__":
    _serve()
