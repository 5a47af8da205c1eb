"""Every field of what a user writes down as a table: profiles, specs and configurations."""

from __future__ import annotations

import re
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

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
    limits = _limits(field.metadata) + _limits(_inner(field.annotation))
    bounds = f", {' and '.join(dict.fromkeys(limits))}" if limits else ""
    return f"`{_words(field.annotation)}`{bounds}".replace("|", "\\|")


def _words(annotation: Any) -> str:
    """A type in words that stand for it in a file: ``int | "auto" | None``."""
    parts = get_args(annotation)
    if get_origin(annotation) is Literal:
        return " | ".join(f'"{one}"' if isinstance(one, str) else repr(one) for one in parts)
    if get_origin(annotation) is Annotated:
        return _words(parts[0])
    if get_origin(annotation) in (Union, UnionType):
        return " | ".join(map(_words, parts))
    if parts:
        inside = ", ".join("…" if one is Ellipsis else _words(one) for one in parts)
        return f"{get_origin(annotation).__name__}[{inside}]"
    return "None" if annotation is NoneType else getattr(annotation, "__name__", str(annotation))


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
        f"{sign} {_number(getattr(one, key))}"
        for one in metadata
        for key, sign in LIMITS.items()
        if getattr(one, key, None) is not None
    ]


def _number(value: float) -> str:
    """A bound as a person reads it."""
    return "2⁶³" if value == 2**63 else f"{value:,}"


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
