"""Calls to the IBM client: each has a deadline, failures are sorted, and transient ones repeated.

The client waits for answers without limit, does not repeat what was answered with 429, and its
exception classes alone do not say whether a job exists. So calls run in a thread that can be left
behind, and a failure is sorted by its cause (`qvit_qiskit.ibm.causes`).
"""

from __future__ import annotations

import queue
import random
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from qvit_qiskit.exceptions import QvitError, ServiceError
from qvit_qiskit.ibm.causes import Remedy, Stalled, cause_of, chained, status_code

T = TypeVar("T")


@dataclass(frozen=True)
class Patience:
    """How long to wait for IBM's service; all in seconds."""

    deadline: float = 120.0
    """Seconds for one call."""
    outage: float = 300.0
    """Seconds for repetitions of a call that keeps failing."""
    settle: float = 60.0
    """Seconds of looking for a job whose submission was not answered."""
    poll: float = 15.0
    """Seconds between two looks at a waiting job, at most."""

    @classmethod
    def of(cls, seconds: float) -> Patience:
        """Everything scaled from one number: the time an outage may last."""
        return cls(min(120.0, seconds), seconds, min(60.0, seconds), min(15.0, seconds / 4))


class Unanswered(Exception):
    """A submission failed in a way that leaves open whether the job exists."""


class Busy(Exception):
    """The service made no job, and may make it later."""


class Closed(Exception):
    """The batch or session takes no more jobs; this one was not made."""


def with_deadline(seconds: float, call: Callable[[], T]) -> T:
    """Run a call in a thread of its own, and wait no longer than a time for it.

    Args:
        seconds: The longest wait.
        call: What to run; its result or its error becomes the caller's.
    """
    box: queue.SimpleQueue[tuple[bool, Any]] = queue.SimpleQueue()

    def work() -> None:
        try:
            box.put((True, call()))
        except BaseException as error:  # it is raised where somebody waits
            box.put((False, error))

    threading.Thread(target=work, daemon=True).start()
    try:
        fine, answer = box.get(timeout=seconds)
    except queue.Empty:
        raise Stalled(f"no answer within {seconds:g} s") from None
    if not fine:
        raise answer
    result: T = answer
    return result


def repeat(
    action: str,
    patience: Patience,
    call: Callable[[], T],
    reconnect: Callable[[], None] | None = None,
) -> T:
    """Run a call that changes nothing, again and again while its failures may pass.

    Args:
        action: What is being done, for the message.
        patience: Deadline of one call, and how long to go on.
        call: The call.
        reconnect: Signs in anew; done once where the credentials are refused, as they are when a
            token has run out while somebody waited.

    Raises:
        ServiceError: If it keeps failing.
        RouteError: If the failure is the user's to mend.
    """
    end = time.monotonic() + patience.outage
    pause = 0.25
    while True:
        try:
            return with_deadline(patience.deadline, call)
        except QvitError:
            raise
        except Exception as error:
            if reconnect is not None and status_code(error) == 401:
                reconnect()
                reconnect = None
                continue
            cause = cause_of(error)
            if cause.remedy is not Remedy.AGAIN:
                raise cause.error(action) from error
            if time.monotonic() + pause > end:
                raise ServiceError(
                    f"IBM's service failed for {patience.outage:g} s while {action}: {cause} "
                    "Nothing is lost; try again later."
                ) from None
        time.sleep(pause * random.uniform(0.75, 1.25))
        pause = min(2 * pause, 30.0)


def verdict(error: BaseException) -> str:
    """What the failure of a submission means.

    Args:
        error: What the client raised when it was to send a job.

    Returns:
        ``"refused"`` if no job was made and the user must mend something, ``"busy"`` if no job was
        made and it may be sent again later, else ``"unanswered"``: a job may exist.
    """
    from qiskit_ibm_runtime.exceptions import IBMInputValueError, IBMNotAuthorizedError

    cause, code = cause_of(error), status_code(error)
    if not _posted(error):
        return "busy" if cause.remedy is Remedy.AGAIN else "refused"
    if _repeated(error):
        return "unanswered"
    if isinstance(error, IBMInputValueError | IBMNotAuthorizedError):
        return "refused"
    if code is None or code == 408 or not 400 <= code < 500:
        return "unanswered"
    return "busy" if cause.remedy is Remedy.AGAIN else "refused"


def _posted(error: BaseException) -> bool:
    """Whether the request that makes a job may have left.

    Before that the client builds the program, and asks whether the instance and the device take
    jobs; a failure there shows that it was not in the method that sends.
    """
    if isinstance(error, Stalled):
        return True
    traces = (traceback.extract_tb(link.__traceback__) for link in chained(error))
    return any(frame.name == "program_run" for trace in traces for frame in trace)


def _repeated(error: BaseException) -> bool:
    """Whether the client sent a job again by itself: its first attempt may have made it."""
    raw = getattr(_attribute(error, "response"), "raw", None)
    return bool(getattr(getattr(raw, "retries", None), "history", ()))


def _attribute(error: BaseException, name: str) -> Any:
    """An attribute of an exception or of one behind it, None where there is none."""
    values = (getattr(link, name, None) for link in chained(error))
    return next((value for value in values if value is not None), None)
