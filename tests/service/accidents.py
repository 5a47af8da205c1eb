"""How the faults of one call change its answer."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from .faults import CALL_FAULTS, Fault, FaultBook
from .misshape import misshape
from .wire import ApiError, Drop, Request, Response

Proceed = Callable[[], Response]


def answer(
    book: FaultBook, request: Request, proceed: Proceed, stopping: threading.Event
) -> Response:
    """The answer to a request, after the fault that hits it, if any.

    Raises:
        Drop: If the connection is to end without an answer.
    """
    fault = book.take(request.call, *CALL_FAULTS)
    if fault is None:
        ghost = book.ghost(request.body, final=True) if request.call == "POST /jobs" else None
        return ghost or proceed()
    if fault.kind == "status":
        return _status(book, fault, request, proceed)
    if fault.kind == "empty":
        return Response(204)
    if fault.kind in ("drop", "stall"):
        if fault.options.get("when", "before") == "after":
            proceed()
        if fault.kind == "stall":
            _wait(fault, stopping)
        raise Drop
    if fault.kind == "slow":
        _wait(fault, stopping)
        return proceed()
    response = proceed()
    if fault.kind == "wrong_result" and response.body:
        response.body = misshape(response.body, fault.options.get("variant", "rows"))
    elif fault.kind == "garble":
        response.body = _garbled(response.body)
    response.cut = fault.kind == "truncate"
    return response


def _status(book: FaultBook, fault: Fault, request: Request, proceed: Proceed) -> Response:
    creates = fault.options.get("creates", False)
    if creates and book.ghost(request.body, final=False) is None:
        book.haunt(request.body, proceed())
    code = int(fault.options.get("code", 503))
    text = fault.options.get("message", "The service could not answer this request.")
    if "body" in fault.options:
        return Response.text(str(fault.options["body"]), code)
    response = ApiError(code, fault.options.get("error", 1000), text).response()
    if fault.options.get("retry_after") is not None:
        response.headers["Retry-After"] = str(fault.options["retry_after"])
    return response


def _wait(fault: Fault, stopping: threading.Event) -> None:
    end = time.monotonic() + float(fault.options.get("seconds", 60.0))
    while time.monotonic() < end and not stopping.is_set():
        time.sleep(0.02)


def _garbled(body: bytes) -> bytes:
    """The body with every third byte of its middle replaced; its length stays."""
    damaged = bytearray(body)
    for place in range(len(body) // 4, 3 * len(body) // 4 + 1, 3):
        if place < len(damaged):
            damaged[place] = 0x00
    return bytes(damaged)
