"""Docstrings as Sphinx gets them.

Functions with ``app`` are handlers of autodoc's events: they get the kind, the dotted name and the
value of an object, the directive's options, and the lines of its docstring, which they change, or
its signature, in whose place they return another one.
"""

from __future__ import annotations

import inspect
import re
from typing import Any

from public_names import PACKAGE, public_names

from qvit_qiskit.spec import Spec

NOT_OURS = [
    (r"py:.*", r"(?!qvit_qiskit\.)\w*"),  # short names of types, most of them of other packages
    (r"py:.*", r"(?!qvit_qiskit\.).*"),
    (r"py:class", r"qvit_qiskit\.(circuits|devices|hardware)\..*"),  # of values' own parts
]
"""References that lead out of the reference: to other packages, since the site is built without a
network, and to classes that no public name hands over."""

COLON = "\N{MODIFIER LETTER COLON}"
"""What stands for a colon while napoleon looks at a docstring."""


def without_fields(
    app: Any, what: str, name: str, value: Any, options: Any, lines: list[str]
) -> None:
    """Leave a spec's fields out of its docstring: a table of them stands below it."""
    if _is_spec(value) and "Attributes:" in lines:
        del lines[lines.index("Attributes:") :]


def with_colons_kept(
    app: Any, what: str, name: str, value: Any, options: Any, lines: list[str]
) -> None:
    """Hide colons of an attribute's first line, before which napoleon would see a type."""
    if what in ("attribute", "data", "property") and lines:
        lines[0] = lines[0].replace(":", COLON)


def with_links(app: Any, what: str, name: str, value: Any, options: Any, lines: list[str]) -> None:
    """Public names between single backticks lead to their pages."""
    paths = {one.title: one.path for one in public_names() if one.kind in ("class", "function")}

    def linked(span: re.Match[str]) -> str:
        word = span[1].removesuffix("()").removeprefix(f"{PACKAGE}.")
        known = word in paths and paths[word] != name
        return f":py:obj:`{span[1]} <{paths[word]}>`" if known else span[0]

    lines[:] = [line.replace(COLON, ":") for line in lines]
    lines[:] = [re.sub(r"(?<![`:])`([\w.()]+)`(?!`)", linked, line) for line in lines]


def short_signature(
    app: Any, what: str, name: str, value: Any, options: Any, signature: str, returns: str
) -> tuple[str, str] | None:
    """A spec is made from fields by their names; a signature of forty of them helps nobody."""
    return ("(**fields)", "") if _is_spec(value) else None


def _is_spec(value: Any) -> bool:
    return inspect.isclass(value) and issubclass(value, Spec)
