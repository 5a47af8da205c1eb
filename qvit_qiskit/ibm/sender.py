"""What a sender of jobs is: IBM's service, or the IBM client's local mode on a snapshot."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import numpy as np
from qiskit.providers import BackendV2

from qvit_qiskit.devices.prices import Mitigation
from qvit_qiskit.exceptions import JobError
from qvit_qiskit.ibm.causes import Remedy
from qvit_qiskit.ibm.item import Item
from qvit_qiskit.profile import FakeProfile, IbmProfile


@dataclass(frozen=True)
class Look:
    """What a job's state is."""

    state: str
    """``"waiting"``, ``"running"``, ``"done"``, ``"failed"``, ``"cancelled"``, or ``"lost"`` where
    the service no longer knows the job."""
    reason: str = ""
    """Why it failed or was cancelled: a sentence that ends in a full stop."""
    cut: bool = False
    """Whether it was stopped at its time limit."""
    remedy: Remedy = Remedy.AGAIN
    """What may help where it failed."""


@dataclass(frozen=True)
class Bill:
    """What a job was billed, once that is final."""

    seconds: float
    """QPU time."""
    began: str | None = None
    """When it began to run, in ISO 8601 with its offset; None where nobody knows."""


@dataclass(frozen=True)
class Need:
    """What jobs need that are about to be sent."""

    seconds: float
    """Estimated QPU time."""
    size: int = 0
    """About how many bytes the largest request has."""
    qubits: frozenset[int] = frozenset()
    """Of the device."""


@dataclass(frozen=True)
class Listed:
    """A job that the service lists under a tag."""

    job: str
    tags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Work:
    """One job to be sent."""

    items: Sequence[Item]
    shots: int
    tag: str
    """Who sends it: the run, the chunk and the attempt; the same in every copy of the folder."""
    content: str
    """A second tag: what it measures, so that a job found by its tag is known to be this one."""
    seed: int
    max_seconds: int
    """The limit, in QPU seconds, that the service enforces."""


@dataclass(frozen=True)
class Result:
    """What a finished job gives back."""

    bits: list[np.ndarray]
    """Of every item, shape (R, shots, n); as many shots as were asked for, rounded up."""
    timings: tuple[dict[str, Any], ...] = ()
    """For every item how the service scheduled its circuit: ``circuit_duration`` in cycles of the
    device's clock, and ``timing``, its lines for each instruction; empty where nobody says."""


class Unusable(JobError):
    """A finished job has no result that can be used, and asking again does not help."""


class Sender(Protocol):
    """Runs jobs on one device."""

    local: bool
    """Whether jobs run in this process and end with it."""

    workloads: bool
    """Whether jobs are sent in batches or sessions."""

    sessions: bool
    """Whether workloads are sessions, which are billed by the wall clock."""

    @property
    def device(self) -> BackendV2:
        """What jobs run on."""

    def open_workload(self, max_seconds: int | None) -> str:
        """Open a batch or session for the next jobs; its id.

        Args:
            max_seconds: How long a session may last.

        Raises:
            Unanswered: If it is not known whether one was opened.
            RouteError: If none was, and the user must mend something.
        """

    def close_workload(self, identifier: str) -> None:
        """Let a batch or session take no more jobs."""

    def empty_workloads(self, after: datetime, before: datetime) -> list[str]:
        """Batches or sessions of the user that take jobs and hold none.

        Args:
            after: They were opened after this.
            before: They were opened before this.
        """

    def workload_seconds(self, identifier: str) -> float | None:
        """QPU seconds of a session's own clock, 0 for a batch; None while that is not final."""

    def submit(self, work: Work) -> str:
        """Send a job and return its id.

        Raises:
            Unanswered: If it is not known whether the job exists.
            Busy: If no job was made, and it may be sent again later.
            Closed: If no job was made, as the batch or session takes no more.
            RouteError: If no job was made, and the user must mend something.
        """

    def find(self, tag: str) -> list[Listed]:
        """The jobs with a tag, oldest first."""

    def look(self, job: str) -> Look:
        """A job's state."""

    def fetch(self, job: str, items: Sequence[Item], shots: int) -> Result:
        """The result of a finished job.

        Args:
            job: Its id.
            items: What it was made of.
            shots: Bitstrings per row that were asked.

        Raises:
            Unusable: If there is no result, or another one than was asked for.
        """

    def bill(self, job: str) -> Bill | None:
        """What a job was billed, None while that is not final."""

    def cancel(self, job: str) -> None:
        """Cancel a job; a finished one is left alone."""

    def renew(self) -> None:
        """Read the device anew before something is compiled, if that was long ago."""

    def preflight(self, need: Need) -> None:
        """Look whether jobs can be sent, before anything is opened.

        Raises:
            RouteError: If the account or the device does not allow it.
        """

    def faulty(self) -> set[int]:
        """Qubits that do not work, themselves or in one of their gates, when last looked at."""

    def queue(self) -> int:
        """Jobs that wait for the device."""

    def calibration(self) -> str:
        """The device's reported errors now, as JSON."""


def sampler_options(profile: FakeProfile | IbmProfile, mitigation: Mitigation) -> dict[str, Any]:
    """What a profile says to the client's sampler.

    Args:
        profile: Its delays and decoupling.
        mitigation: Its resilience level, which says what is twirled.

    Returns:
        Options as `SamplerV2` takes them.
    """
    gates, measurements = mitigation.twirls
    options: dict[str, Any] = {
        "twirling": {"enable_gates": gates, "enable_measure": measurements},
        "execution": {"rep_delay": profile.rep_delay},
    }
    if profile.dynamical_decoupling:
        options["dynamical_decoupling"] = {
            "enable": True,
            "sequence_type": profile.dynamical_decoupling,
        }
    return options


def bits_of(result: Any, shapes: Sequence[tuple[int, int]], shots: int) -> list[np.ndarray]:
    """Bits of every circuit from a sampler's result, ``shots`` of each row.

    Args:
        result: The sampler's result.
        shapes: (rows, bits) that were asked of each circuit.
        shots: Executed per row.

    Returns:
        For each circuit shape (rows, shots, bits), bool.

    Raises:
        JobError: If the result has other shapes than were asked for.
    """
    if result is None or len(result) != len(shapes):
        got = "none" if result is None else len(result)
        raise JobError(f"Expected results of {len(shapes)} circuits, but got {got}.")
    out = []
    for (rows, width), pub in zip(shapes, result, strict=True):
        data = getattr(pub.data, "meas", None)
        if data is None:
            raise JobError("Expected a register 'meas' in the result, but it has none.")
        bits = data.to_bool_array(order="little")  # (..., shots, bits)
        if (math.prod(bits.shape[:-2]), *bits.shape[-2:]) != (rows, shots, width):
            raise JobError(
                f"Expected {shots} bitstrings of {rows} rows and {width} qubits, but the result "
                f"has the shape {bits.shape}."
            )
        out.append(bits.reshape(rows, shots, width))  # a single row comes without its axis
    return out


def timings_of(result: Any) -> tuple[dict[str, Any], ...]:
    """How the service scheduled each circuit, from a sampler's result; see `Result`."""
    timings = [one.metadata.get("compilation", {}).get("scheduler_timing") for one in result]
    return tuple(timings) if all(timings) else ()


def properties_json(device: BackendV2) -> str:
    """A device's reported errors as JSON."""
    properties = device.properties() if hasattr(device, "properties") else None
    return json.dumps(properties.to_dict() if properties else {}, default=str, sort_keys=True)
