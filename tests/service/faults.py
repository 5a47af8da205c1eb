"""Faults that are switched on from outside, and which call each of them hits."""

from __future__ import annotations

import hashlib
import re
import threading
from dataclasses import dataclass, field
from typing import Any

from .wire import Response

CALL_FAULTS = {
    "status": "an HTTP status: code=503, error=1000, message=…, body=…, retry_after=None, "
    "creates=False",
    "drop": "the connection ends without an answer: when='before'|'after' the call took effect",
    "stall": "no answer for seconds=…, then the connection ends: when='before'|'after'",
    "slow": "the answer comes after seconds=…",
    "truncate": "half of the answer, then the connection ends",
    "garble": "an answer whose body is damaged, its length right",
    "empty": "204 without a body",
    "wrong_result": "a result of variant='shots'|'rows'|'register'|'item'|'schema'",
}
"""Faults of one call; ``call`` says of which, e.g. ``"GET /jobs/*/results"``."""

JOB_FAULTS = {
    "job_failure": "the job fails: code=1517, reason=…, charged=0.0, when='running'|'queued'",
    "cancel": "somebody else cancels the job: when='queued'|'running', charged=0.0",
    "late_results": "no result until seconds=… after completion",
    "late_listing": "the job is in no list until seconds=… after its creation",
    "late_billing": "usage is pending until seconds=… after the end",
    "bill": "the job uses factor=1.0 times the formula and surcharge=0.0 s beside",
    "surplus": "copies=1 more jobs of the same content and tags are created",
    "close_session": "the server closes the job's session: when='before'|'after' it is accepted",
}
"""Faults of a job, drawn when it is created."""

SERVICE_FAULTS = {"expire_tokens": "every token issued so far is refused"}
"""Faults that take effect at once."""

RETRIES = 5
"""How often the client repeats a POST that was answered with a 5xx."""


@dataclass
class Fault:
    """One fault: what, where, and for how many calls."""

    number: int
    kind: str
    call: str
    count: int | None
    """How many calls it hits, None for all."""
    after: int
    """How many matching calls pass first."""
    options: dict[str, Any]
    hits: int = 0

    def matches(self, call: str) -> bool:
        """Whether a call is meant: ``*`` is one segment of a path, ``**`` is any rest."""
        parts = [_PIECES[p] if p in _PIECES else re.escape(p) for p in _split(self.call)]
        return re.fullmatch("".join(parts), call) is not None

    def told(self) -> dict[str, Any]:
        """The fault as the control endpoint tells of it."""
        return {
            "number": self.number,
            "kind": self.kind,
            "call": self.call,
            "count": self.count,
            "after": self.after,
            "hits": self.hits,
            **self.options,
        }


_PIECES = {"**": ".*", "*": "[^/]+"}


def _split(pattern: str) -> list[str]:
    return [piece for piece in re.split(r"(\*\*|\*)", pattern) if piece]


@dataclass
class Ghost:
    """A job that a failing POST created; the repeats of that POST mean the same job."""

    response: Response
    repeats: int = RETRIES


@dataclass
class FaultBook:
    """All faults that are switched on."""

    faults: list[Fault] = field(default_factory=list)
    ghosts: dict[str, Ghost] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)
    number: int = 0

    def add(self, kind: str, options: dict[str, Any]) -> Fault:
        """Switch a fault on; ``count`` and ``after`` count the calls it matches.

        Raises:
            ValueError: If the kind is unknown, or a fault of calls names none.
        """
        options = dict(options)
        if kind in JOB_FAULTS:
            options["call"] = "POST /jobs"
        elif kind not in CALL_FAULTS:
            known = [*CALL_FAULTS, *JOB_FAULTS, *SERVICE_FAULTS]
            raise ValueError(f"Expected a fault of {known}, but got {kind!r}.")
        elif "call" not in options:
            default = {"wrong_result": "GET /jobs/*/results", "empty": "GET /jobs/*/results"}
            if kind not in default:
                raise ValueError(f"The fault {kind!r} needs call=, e.g. call='POST /jobs'.")
            options["call"] = default[kind]
        with self.lock:
            self.number += 1
            call, count = options.pop("call"), options.pop("count", 1)
            fault = Fault(self.number, kind, call, count, options.pop("after", 0), options)
            self.faults.append(fault)
        return fault

    def clear(self) -> None:
        """Switch all faults off."""
        with self.lock:
            self.faults.clear()
            self.ghosts.clear()

    def take(self, call: str, *kinds: str) -> Fault | None:
        """The fault that hits this call, if any; it is used up once."""
        with self.lock:
            for fault in self.faults:
                if fault.kind not in kinds or not fault.matches(call):
                    continue
                if fault.after > 0:
                    fault.after -= 1
                elif fault.count is None or fault.count > fault.hits:
                    fault.hits += 1
                    return fault
        return None

    def ghost(self, body: bytes, *, final: bool) -> Response | None:
        """The answer of the job that an earlier failure of the same POST created.

        The client repeats a POST after a 5xx, and the platform promises that this is safe: the
        repeats of one call find one job. What is sent again later is a new call.
        """
        key = hashlib.sha256(body).hexdigest()
        with self.lock:
            ghost = self.ghosts.get(key)
            if ghost is None:
                return None
            ghost.repeats -= 1
            if final or ghost.repeats <= 0:
                del self.ghosts[key]
            return ghost.response

    def haunt(self, body: bytes, response: Response) -> None:
        """Remember the job that a failing POST created."""
        with self.lock:
            self.ghosts[hashlib.sha256(body).hexdigest()] = Ghost(response)
