"""One voice for names that do not exist."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


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
