"""Why a call to IBM's service or a job failed: one sentence, and whether trying again may help.

The client's exception classes tell little: one class stands for a wrong key and for an outage, the
cause of a missing device is only logged, and messages carry JSON, traces or a proxy's web page. So
a failure is sorted by what stands behind the exception: the HTTP status, the service's own error
code and words. What codes mean was taken from IBM's error code registry
(https://quantum.cloud.ibm.com/docs/errors, read in November 2026); one that is not listed here is
sorted by its range there.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from qvit_qiskit.exceptions import QvitError, RouteError, ServiceError


class Stalled(Exception):
    """A call did not return before its deadline; it may have taken effect."""


class Remedy(StrEnum):
    """What may help after a failure."""

    AGAIN = "again"
    """The same may succeed later."""
    CHANGE = "change"
    """Something must be changed first: account, device, size or options."""
    NEVER = "never"
    """This device will refuse the same circuits every time."""


@dataclass(frozen=True)
class Cause:
    """Why something failed."""

    sentence: str
    """What went wrong and what to do, without a full stop."""
    remedy: Remedy
    words: str = ""
    """What the service itself said, in one line without JSON."""
    code: int | None = None
    """The service's own error code."""

    @property
    def closed(self) -> bool:
        """Whether a batch or session was closed before the job was taken."""
        return self.code in (1217, 4001)

    def __str__(self) -> str:
        said = f' (IBM: "{self.words}")' if self.words else ""
        return f"{self.sentence}{said}."

    def error(self, action: str) -> QvitError:
        """The exception for it.

        Args:
            action: What was being done, e.g. ``"listing jobs"``.

        Returns:
            A `ServiceError` where the service failed, a `RouteError` where the user must mend
            something.
        """
        kind = ServiceError if self.remedy is Remedy.AGAIN else RouteError
        return kind(f"While {action}: {self}" if action else str(self))


_AGAIN, _CHANGE, _NEVER = Remedy.AGAIN, Remedy.CHANGE, Remedy.NEVER

CODES: dict[int, tuple[Remedy, str]] = {
    1000: (_AGAIN, "IBM's service had an internal error"),
    1002: (_CHANGE, "the device does not accept the job as it is"),
    1004: (_CHANGE, "the device is not available; name another one"),
    1007: (_CHANGE, "the instance has no such device"),
    1009: (_CHANGE, "the device is not available; name another one"),
    1012: (_AGAIN, "too many jobs of this account wait or run; wait until some have ended"),
    1202: (_AGAIN, "too many jobs were sent within a minute"),
    1214: (_CHANGE, "IBM's service does not run this job with this account or device"),
    1217: (_AGAIN, "the batch or session was closed before the job ran; a new one is opened"),
    1291: (_CHANGE, "IBM's service does not know the job"),
    1305: (_CHANGE, "the job reached its time limit"),
    1352: (_CHANGE, 'the plan of this instance has no sessions; set mode = "batch"'),
    1517: (_AGAIN, "IBM's software failed while it ran the job"),
    1999: (_AGAIN, "IBM's service is under maintenance"),
    3211: (_NEVER, "the device calls the job invalid"),
    3242: (_CHANGE, "the job has too many circuits; make jobs smaller with a lower max_loss"),
    3243: (_CHANGE, "a circuit is too long for the device"),
    3248: (_CHANGE, "the job is too long; make jobs smaller with a lower max_loss"),
    3458: (_AGAIN, "too many jobs of this account wait or run; wait until some have ended"),
    4001: (_AGAIN, "the batch or session was closed before the job ran; a new one is opened"),
    4317: (_CHANGE, "the allowance of this instance is used up"),
    5201: (_CHANGE, "the job took too long on the device; make jobs smaller with a lower max_loss"),
    5202: (_AGAIN, "the job was cancelled"),
    5203: (_AGAIN, "the device failed to run the job"),
    5302: (_CHANGE, "the job's result is too large to be sent; make jobs smaller with a lower "
           "max_loss or fewer shots"),
    6050: (_NEVER, "the device does not run this job with these options"),
    8018: (_CHANGE, "the job needs more of the device's control memory than there is; make jobs "
           "smaller with a lower max_loss"),
    8020: (_CHANGE, "a circuit is longer than the time between executions; raise rep_delay"),
}  # fmt: skip
"""What follows from an error code of the service, and in which words."""

_RANGES: tuple[tuple[range, Remedy, str], ...] = (
    (range(3400, 3500), _CHANGE, "IBM's service refused the account"),
    (range(6000, 9000), _NEVER, "the device does not run these circuits or options"),
)

_STATUS: dict[int, tuple[Remedy, str]] = {
    -1: (_AGAIN, "there is no connection to IBM's service; check the network"),
    400: (_CHANGE, "IBM's service refused the request"),
    401: (_CHANGE, "IBM refused the credentials; make a new API key on the platform and check "
          "that the instance belongs to it"),
    403: (_CHANGE, "this account may not do that in this instance; check the API key and the "
          "instance"),
    404: (_CHANGE, "IBM's service does not know what was asked for"),
    407: (_CHANGE, "a proxy asks for credentials; set them in the proxy's URL"),
    408: (_AGAIN, "IBM's service was too slow"),
    409: (_CHANGE, "IBM's service refused the request in its present state"),
    413: (_CHANGE, "the request is larger than IBM's service takes; make jobs smaller with a "
          "lower max_loss, or use fewer copies"),
    429: (_AGAIN, "IBM's service takes no more requests for now"),
}  # fmt: skip


def cause_of(error: BaseException) -> Cause:
    """Sort the failure of a call.

    Args:
        error: What the client raised.
    """
    status, text = status_code(error), _texts(error)
    code, words = service_words(text)
    if page := re.search(r"<html|<!doctype", text, re.IGNORECASE):
        return _web_page(status, text[page.start() :])
    if special := _by_class(error, status):
        remedy, sentence = special
        return Cause(sentence, remedy, words, code)
    if re.search("usage exceeds|usage limit|quota", words, re.IGNORECASE) and status == 409:
        return Cause("the allowance of this instance is used up", _CHANGE, words, code)
    if code is not None and code != 1000 and (known := _by_code(code)):
        return Cause(known[1], known[0], words, code)
    if status in _STATUS:
        remedy, sentence = _STATUS[status]
        return Cause(sentence, remedy, words, code)
    if status is not None and 400 <= status < 500:
        return Cause("IBM's service refused the request", _CHANGE, words or clean(error), code)
    if status is not None:
        return Cause("IBM's service failed", _AGAIN, words, code)
    if isinstance(error, Stalled):
        return Cause(f"IBM's service gave {error}", _AGAIN)
    return Cause("IBM's client or service failed", _AGAIN, words or clean(error), code)


def cause_of_job(code: int | None, reason: str) -> Cause:
    """Sort the end of a job that did not finish.

    Args:
        code: The service's error code, None where it gave none.
        reason: What the service said.
    """
    text = re.sub(r"^Error code \d+; ", "", one_line(reason)).rstrip(".")
    known = _by_code(code) if code is not None else None
    if known is None and re.search("maximum execution time|ran too long", text, re.IGNORECASE):
        known = CODES[1305]
    remedy, sentence = known or (_AGAIN, "the job failed")
    return Cause(sentence, remedy, text, code)


def _by_code(code: int) -> tuple[Remedy, str] | None:
    if code in CODES:
        return CODES[code]
    for codes, remedy, sentence in _RANGES:
        if code in codes:
            return remedy, sentence
    return None


def _by_class(error: BaseException, status: int | None) -> tuple[Remedy, str] | None:
    """What only the exception's class tells."""
    from qiskit_ibm_runtime.accounts.exceptions import AccountNotFoundError, InvalidAccountError
    from qiskit_ibm_runtime.exceptions import IBMInputValueError, RuntimeJobNotFound
    from requests.exceptions import ConnectionError as NoConnection

    chain = list(chained(error))
    if any(isinstance(e, NoConnection) for e in chain):
        return _STATUS[-1]
    if isinstance(error, InvalidAccountError):  # also where IBM's identity service failed
        refused = status in (400, 401, 403)
        if refused:
            return _CHANGE, "IBM does not know the API key. Check the API key, or make a new one"
        return _AGAIN, "IBM's identity service did not answer"
    if isinstance(error, AccountNotFoundError):
        return _CHANGE, (
            "no such IBM Quantum account is saved; save one with "
            "`QiskitRuntimeService.save_account(name=…, token=…, instance=…)`, or set "
            "QISKIT_IBM_TOKEN and QISKIT_IBM_INSTANCE"
        )
    if isinstance(error, RuntimeJobNotFound):
        return CODES[1291]
    if isinstance(error, IBMInputValueError):
        return _CHANGE, f"IBM's client does not accept the request: {clean(error)}"
    return None


def _web_page(status: int | None, page: str) -> Cause:
    title = re.search(r"<title>(.*?)</title>", page, re.IGNORECASE | re.DOTALL)
    words = one_line(title[1]) if title else ""
    if status == 413:
        remedy, sentence = _STATUS[413]
        return Cause(sentence, remedy, words)
    if status is not None and status >= 500:
        return Cause("IBM's service failed", _AGAIN, words)
    where = f" with HTTP status {status}" if status else ""
    sentence = (
        f"a web page answered{where} in place of IBM's service, as proxies and firewalls do; ask "
        "whoever runs the network to let requests to *.quantum.cloud.ibm.com through, or make "
        "jobs smaller"
    )
    return Cause(sentence, _CHANGE, words)


def chained(error: BaseException | None) -> Iterator[BaseException]:
    """An exception and those behind it."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def status_code(error: BaseException | None) -> int | None:
    """The HTTP status behind an exception; −1 if there was no answer, None if it is no such."""
    for link in chained(error):
        for holder in (link, getattr(link, "response", None)):
            code = getattr(holder, "status_code", None)
            if isinstance(code, int):
                return code
    return None


def service_words(text: str) -> tuple[int | None, str]:
    """The service's own error code and message within a longer text.

    Args:
        text: E.g. an exception's text, with the service's JSON somewhere in it.

    Returns:
        The code, None if there is none or it is no number; the message in one line, or ``""``.
    """
    for place in (match.start() for match in re.finditer(r"\{", text)):
        try:
            record, _ = json.JSONDecoder().raw_decode(text[place:])
        except ValueError:
            continue
        if isinstance(record, dict) and (entry := _entry(record)):
            code = entry.get("code", entry.get("errorCode"))
            words = str(entry.get("message", entry.get("errorMessage", "")))
            return _number(code), one_line(words).rstrip(".")
    return None, ""


def _entry(record: dict[str, Any]) -> dict[str, Any] | None:
    """The first error of the service's JSON, in one of its shapes."""
    errors = record.get("errors", record.get("error", record if "errorMessage" in record else None))
    entry = errors[0] if isinstance(errors, list) and errors else errors
    return entry if isinstance(entry, dict) else None


def _number(code: Any) -> int | None:
    return int(code) if str(code).isdigit() else None


def _texts(error: BaseException) -> str:
    """The texts of an exception and of those behind it; IBM's print a repr, so not `str`."""
    return " ".join(str(getattr(e, "message", None) or e) for e in chained(error))


_SECRET = re.compile(r"(Bearer\s+)\S+|(apikey=)[^&\s]+", re.IGNORECASE)


def one_line(text: str, length: int = 300) -> str:
    """A text in one line without credentials, cut to a length.

    Args:
        text: What somebody else's error says.
        length: The most characters.
    """
    text = " ".join(text.split())
    token = os.environ.get("QISKIT_IBM_TOKEN")
    if token:
        text = text.replace(token, "***")
    text = _SECRET.sub(lambda m: f"{m.group(1) or m.group(2)}***", text)
    return text if len(text) <= length else f"{text[: length - 1]}…"


def clean(error: BaseException) -> str:
    """An exception's text in one line, without credentials, JSON or a full stop."""
    text = str(getattr(error, "message", None) or error)
    text = text.split(" {", 1)[0] if service_words(text)[1] else text
    return one_line(text).rstrip(".") or type(error).__name__
