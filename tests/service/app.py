"""The service without its socket: state, routes and the worker."""

from __future__ import annotations

import re
import threading
import time
from collections import deque
from typing import Any

from . import devices
from .accidents import answer
from .accounts import Accounts
from .faults import FaultBook
from .settings import Settings
from .store import Store
from .wire import ApiError, Drop, Request, Response
from .worker import Worker


class App:
    """Everything the routes work on."""

    def __init__(self, settings: Settings) -> None:
        from .routes import ROUTES

        self.settings = settings
        self.devices = devices.load(settings.devices)
        self.accounts = Accounts(settings)
        self.store = Store(settings.store)
        self.faults = FaultBook()
        self.earlier_periods: dict[str, float] = {}
        """Seconds that each instance used before this period began."""
        self.stopping = threading.Event()
        self.worker = Worker(self)
        self.log: deque[dict[str, Any]] = deque(maxlen=10_000)
        """Calls and the status of their answers, 0 where the connection was dropped."""
        self.routes: list[tuple[str, re.Pattern[str], Any]] = [
            (method, re.compile(pattern), handler) for method, pattern, handler in ROUTES
        ]

    def environment(self, port: int) -> dict[str, str]:
        """The variables that point the client here."""
        base = f"http://127.0.0.1:{port}"
        return {
            "QISKIT_IBM_TOKEN": self.settings.token,
            "QISKIT_IBM_INSTANCE": self.accounts.instances[0].crn,
            "QISKIT_IBM_URL": f"{base}/experimental/v1",
            "QISKIT_IBM_CHANNEL": "ibm_quantum_platform",
            "IAM_URL": base,
            "GLOBAL_SEARCH_URL": base,
            "GLOBAL_CATALOG_URL": f"{base}/catalog",
            "NO_PROXY": "127.0.0.1,localhost",
            "USAGE_DATA_OPT_OUT": "True",
        }

    def answer(self, request: Request) -> Response:
        """Answer a request, faults included, and log it.

        Raises:
            Drop: If the connection is to end without an answer.
        """
        if request.path.startswith("/_control/"):
            return self._dispatch(request)
        entry = {"call": request.call, "at": time.time(), "status": 0}
        self.log.append(entry)
        response = answer(self.faults, request, lambda: self._dispatch(request), self.stopping)
        entry["status"] = response.status
        return response

    def _dispatch(self, request: Request) -> Response:
        try:
            for method, pattern, handler in self.routes:
                found = pattern.fullmatch(request.path)
                if method == request.method and found:
                    return handler(self, request, *found.groups())
            raise ApiError(404, "not_found", f"No route for {request.call}.")
        except ApiError as error:
            return error.response()


def serve(app: App, request: Request) -> Response | None:
    """The answer to send, None to drop the connection."""
    try:
        return app.answer(request)
    except Drop:
        return None
