"""Requests, answers and errors as plain data, apart from sockets."""

from __future__ import annotations

import json
import re
import uuid
from dataclasses import dataclass, field
from typing import Any

PREFIXES = re.compile(r"^/(experimental|api)/v1(?=/)")
"""Base paths of the platform; both lead to the same routes."""


@dataclass(frozen=True)
class Request:
    """One HTTP request."""

    method: str
    path: str
    """Without base path and query."""
    query: dict[str, list[str]] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    """Names in lower case."""
    body: bytes = b""

    @property
    def call(self) -> str:
        """How faults and the log name it, e.g. ``"POST /jobs"``."""
        return f"{self.method} {self.path}"

    def one(self, name: str, default: str | None = None) -> str | None:
        """The first value of a query parameter."""
        return self.query.get(name, [default])[0]

    def flag(self, name: str, default: bool = False) -> bool:
        """A query parameter as a truth value."""
        value = self.one(name)
        return default if value is None else value.lower() in ("true", "1")

    def json(self) -> dict[str, Any]:
        """The body as an object.

        Raises:
            ApiError: If it is none.
        """
        try:
            value = json.loads(self.body or b"{}")
        except ValueError:
            raise ApiError(400, 1000, "The request body is no JSON.") from None
        if not isinstance(value, dict):
            raise ApiError(400, 1000, "The request body is no JSON object.")
        return value


@dataclass
class Response:
    """One HTTP answer."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    cut: bool = False
    """Whether only half of the body is sent before the connection ends."""

    @classmethod
    def of(cls, value: Any, status: int = 200) -> Response:
        """A JSON answer."""
        body = json.dumps(value).encode()
        return cls(status, body, {"Content-Type": "application/json"})

    @classmethod
    def text(cls, value: str, status: int = 200) -> Response:
        """A text answer."""
        return cls(status, value.encode(), {"Content-Type": "text/plain; charset=utf-8"})


class ApiError(Exception):
    """A refusal in the platform's shape."""

    def __init__(
        self, status: int, code: int | str, message: str, solution: str = "", retry_after: int = 0
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.solution = solution
        self.retry_after = retry_after

    def response(self) -> Response:
        """The answer: ``{"trace": …, "errors": [{"code", "message", …}]}``."""
        error = {"code": self.code, "message": str(self), "more_info": "about:blank"}
        if self.solution:
            error["solution"] = self.solution
        answer = Response.of({"trace": uuid.uuid4().hex, "errors": [error]}, self.status)
        if self.retry_after:
            answer.headers["Retry-After"] = str(self.retry_after)
        return answer


class Drop(Exception):
    """The connection ends without an answer."""
