"""Calls to the IBM client: each has a deadline, failures are sorted, and transient ones repeated.

The client waits for answers without limit, does not repeat what was answered with 429, and its
exception classes alone do not say whether a job exists. So calls run in a thread that can be left
behind, and a failure is sorted by its HTTP status.
"""

from __future__ import annotations

import os
import queue
import random
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from qvit_qiskit.exceptions import RouteError, ServiceError

T = TypeVar("T")


@dataclass(frozen=True)
class Patience:
    """How long to wait for IBM's service, in seconds."""

    deadline: float = 120.0
    """One call."""
    outage: float = 300.0
    """Repetitions of a call that keeps failing."""
    settle: float = 60.0
    """Looking for a job whose submission was not answered."""
    poll: float = 15.0
    """Between two looks at a waiting job, at most."""

    @classmethod
    def of(cls, seconds: float) -> Patience:
        """Everything scaled from one number: the time an outage may last."""
        return cls(min(120.0, seconds), seconds, min(60.0, seconds), min(15.0, seconds / 4))


class Unanswered(Exception):
    """A submission failed in a way that leaves open whether the job exists."""


class Busy(Exception):
    """The service made no job, and may make it later."""


class Stalled(Exception):
    """A call did not return before its deadline; it may have taken effect."""


def with_deadline(seconds: float, call: Callable[[], T]) -> T:
    """Run a call in a thread of its own.

    Raises:
        Stalled: If it takes longer. The thread is left behind and ends with the process.
    """
    box: queue.SimpleQueue[tuple[bool, Any]] = queue.SimpleQueue()

    def work() -> None:
        try:
            box.put((True, call()))
        except BaseException as error:
            box.put((False, error))

    threading.Thread(target=work, daemon=True).start()
    try:
        fine, found = box.get(timeout=seconds)
    except queue.Empty:
        raise Stalled(f"no answer within {seconds:g} s") from None
    if not fine:
        raise found
    result: T = found
    return result


def repeat(what: str, patience: Patience, call: Callable[[], T]) -> T:
    """Run a call that changes nothing, again and again while its failures are transient.

    Args:
        what: What is being done, for the message.
        patience: Deadline of one call, and how long to go on.
        call: The call.

    Raises:
        ServiceError: If it keeps failing.
        RouteError: If the failure is the user's to mend.
    """
    end = time.monotonic() + patience.outage
    pause = 0.25
    while True:
        try:
            return with_deadline(patience.deadline, call)
        except Exception as error:
            if not transient(error):
                raise mended_by_user(what, error) from None
            if time.monotonic() + pause > end:
                raise ServiceError(
                    f"IBM's service failed for {patience.outage:g} s while {what}: "
                    f"{clean(error)}. Nothing is lost; try again later."
                ) from None
        time.sleep(pause * random.uniform(0.75, 1.25))
        pause = min(2 * pause, 30.0)


def status_code(error: BaseException | None) -> int | None:
    """The HTTP status behind an exception; −1 if there was no answer, None if it is no such."""
    while error is not None:
        code = getattr(error, "status_code", None)
        if isinstance(code, int):
            return code
        code = getattr(getattr(error, "response", None), "status_code", None)
        if isinstance(code, int):
            return code
        error = error.__cause__ or error.__context__
    return None


def transient(error: BaseException) -> bool:
    """Whether the same call may succeed later."""
    from qiskit.providers.exceptions import QiskitBackendNotFoundError
    from qiskit_ibm_runtime.accounts.exceptions import AccountNotFoundError
    from qiskit_ibm_runtime.exceptions import (
        IBMInputValueError,
        IBMNotAuthorizedError,
        RuntimeInvalidStateError,
        RuntimeJobNotFound,
    )

    final = (
        IBMInputValueError,
        IBMNotAuthorizedError,
        AccountNotFoundError,
        QiskitBackendNotFoundError,
        RuntimeInvalidStateError,
        RuntimeJobNotFound,
        RouteError,
    )
    if isinstance(error, final):
        return False
    code = status_code(error)
    return code is None or code in (-1, 408, 429) or code >= 500


def verdict(error: BaseException) -> str:
    """What the failure of a submission means.

    Returns:
        ``"refused"`` if no job was made and the user must mend something, ``"busy"`` if no job was
        made and it may be sent again later, else ``"unanswered"``: a job may exist.
    """
    from qiskit_ibm_runtime.exceptions import IBMInputValueError, IBMNotAuthorizedError

    code = status_code(error)
    # Before it sends a job the client asks whether the instance and the device take any.
    request = _found(error, "request")
    sent = not (request and request.method == "GET" and _ASKED.search(request.url))
    if sent and _repeated(error):
        return "unanswered"
    if code == 429 or (not sent and transient(error)):
        return "busy"
    if isinstance(error, IBMInputValueError | IBMNotAuthorizedError) or not sent:
        return "refused"
    final = code is not None and 400 <= code < 500 and code != 408
    return "refused" if final else "unanswered"


_ASKED = re.compile(r"/(instances/usage|backends/[^/]+/status)(\?|$)")


def _repeated(error: BaseException) -> bool:
    """Whether the client sent a job again by itself: its first attempt may have made it."""
    raw = getattr(_found(error, "response"), "raw", None)
    return bool(getattr(getattr(raw, "retries", None), "history", ()))


def _found(error: BaseException | None, name: str) -> Any:
    """An attribute of an exception or of one behind it."""
    while error is not None:
        found = getattr(error, name, None)
        if found is not None:
            return found
        error = error.__cause__ or error.__context__
    return None


def mended_by_user(what: str, error: BaseException) -> RouteError:
    """One sentence for a failure that only the user can mend."""
    from qiskit.providers.exceptions import QiskitBackendNotFoundError
    from qiskit_ibm_runtime.accounts.exceptions import AccountNotFoundError
    from qiskit_ibm_runtime.exceptions import IBMNotAuthorizedError

    if isinstance(error, RouteError):
        return error
    if isinstance(error, AccountNotFoundError):
        return RouteError(
            "No IBM Quantum account was found. Save one with "
            "`QiskitRuntimeService.save_account(token=…, instance=…)`, or set QISKIT_IBM_TOKEN and "
            "QISKIT_IBM_INSTANCE."
        )
    if isinstance(error, IBMNotAuthorizedError) or status_code(error) in (401, 403):
        return RouteError(
            f"IBM refused the credentials while {what}. Make a new API key on the platform, and "
            "check that the instance belongs to it."
        )
    if isinstance(error, QiskitBackendNotFoundError):
        return RouteError(
            f"The instance has no such device ({clean(error)}). `qvit backends check` lists those "
            "it has; name one of them in the profile."
        )
    return RouteError(f"IBM's service refused while {what}: {clean(error)}.")


_SECRET = re.compile(r"(Bearer\s+)\S+|(apikey=)[^&\s]+", re.IGNORECASE)


def clean(error: BaseException) -> str:
    """An exception's text in one line, without credentials."""
    told = getattr(error, "message", None) or error  # IBM's exceptions print a repr
    text = " ".join(str(told).split()) or type(error).__name__
    token = os.environ.get("QISKIT_IBM_TOKEN")
    if token:
        text = text.replace(token, "***")
    text = _SECRET.sub(lambda m: f"{m.group(1) or m.group(2)}***", text).rstrip(".")
    return text if len(text) <= 300 else f"{text[:297]}…"
