"""Every field of what a user writes down as a table: profiles, specs and configurations."""

from __future__ import annotations

import re
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from qvit_qiskit.spec import Spec

LIMITS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<", "min_length": "length ≥"}


def field_table(spec: type[Spec]) -> str:
    """A Markdown table of a spec's fields: name, what it takes, its default, what it means.

    Args:
        spec: The class.
    """
    rows = [
        f"| `{name}` | {_takes(field)} | {_default(field)} | {_meaning(field)} |"
        for name, field in spec.model_fields.items()
    ]
    return "\n".join(["| field | takes | default | meaning |", "|---|---|---|---|", *rows])


def _takes(field: FieldInfo) -> str:
    """The type as a user reads it, with its bounds."""
    name = field.annotation if isinstance(field.annotation, type) else str(field.annotation)
    plain = name.__name__ if isinstance(name, type) else name
    plain = re.sub(r"\b(?:[a-z_]\w*\.)+(?=[A-Z])", "", plain)  # modules
    plain = re.sub(r"Literal\[(.*?)\]", lambda found: found[1].replace(", ", " | "), plain)
    limits = _limits(field.metadata) + _limits(_inner(field.annotation))
    plain = re.sub(r"Annotated\[(\w+), .*?\)\]\)?\]?", r"\1", plain)
    cell = f"`{plain}`" + (f", {' and '.join(dict.fromkeys(limits))}" if limits else "")
    return cell.replace("|", "\\|")


def _inner(annotation: Any) -> list[Any]:
    """What is said of the parts of an annotation, such as that of ``Shots | None``."""
    found: list[Any] = []
    for part in (annotation, *getattr(annotation, "__args__", ())):
        for one in getattr(part, "__metadata__", ()):
            found += getattr(one, "metadata", [one])
    return found


def _limits(metadata: list[Any]) -> list[str]:
    """Bounds such as "≥ 1"."""
    return [
        f"{sign} {getattr(one, key):,}"
        for one in metadata
        for key, sign in LIMITS.items()
        if getattr(one, key, None) is not None
    ]


def _default(field: FieldInfo) -> str:
    """The default, or that there is none."""
    if field.default_factory is not None:
        made = field.default_factory()  # type: ignore[call-arg]
        return f"`{made!r}`"
    if field.default is PydanticUndefined:
        return "must be given"
    shown = repr(field.default) if not isinstance(field.default, str) else f'"{field.default}"'
    return f"`{shown}`".replace("|", "\\|")


def _meaning(field: FieldInfo) -> str:
    """Its line of documentation, as Markdown."""
    text = " ".join((field.description or "").split())
    return re.sub(r"``(.+?)``", r"`\1`", text).replace("|", "\\|")
