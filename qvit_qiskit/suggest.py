"""One voice for names that do not exist and values that do not fit."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import ValidationError


def unknown(kind: str, name: str, valid: Iterable[str]) -> str:
    """A sentence for an unknown name: what was asked for, the nearest match, and the choices.

    Args:
        kind: What the name stands for, e.g. ``"circuit family"``.
        name: What was given.
        valid: The names that exist.
    """
    choices = sorted(valid)
    near = difflib.get_close_matches(name, choices, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return f"Unknown {kind} {name!r}.{hint} Choose from: {', '.join(choices) or '(none)'}."


def first_complaint(error: ValidationError) -> str:
    """The first error of a pydantic validation as one sentence."""
    detail: Any = error.errors()[0]
    where = ".".join(str(part) for part in detail["loc"])
    message = str(detail["msg"]).removeprefix("Value error, ")
    message = message.replace("valid tuple", "valid list")  # what TOML has
    got = "" if detail["type"] in {"missing", "value_error"} else f", but got {detail['input']!r}"
    return f"{where + ': ' if where else ''}{message}{got}."
