"""The pages of the Python reference, one for each public name, and the page that lists them."""

from __future__ import annotations

import re
from types import FunctionType

from field_tables import field_table
from public_names import PublicName, groups

from qvit_qiskit.spec import Spec


def reference_page(one: PublicName) -> str:
    """A page as Markdown around Sphinx's own directives.

    Args:
        one: The name.
    """
    # Two hundred names at the side of every page would hide the rest, and take minutes to write.
    front = "" if one.listed else "---\norphan: true\n---\n\n"
    line = f"`from {one.module} import {one.name}` · [all names](index.md)"
    return f"{front}# {one.title}\n\n{line}\n\n{_body(one)}\n"


def reference_index() -> str:
    """Every public name with its first sentence, by group."""
    parts = [
        "# Python reference",
        "Every public name, by what it is about. Shapes are (B, C, H, W) of images, (B, N, D) of "
        "tokens, (rows, inputs) and (rows, outputs) of circuits; angles are in radians.",
    ]
    for title, names in groups().items():
        rows = [f"| [`{one.title}`](/{one.page}.md) | {_markdown(one)} |" for one in names]
        parts += [f"## {title}", "\n".join(["| name | is |", "|---|---|", *rows])]
    return "\n\n".join(parts) + "\n"


def _body(one: PublicName) -> str:
    if one.kind == "module":
        return _directive("automodule", one.value.__name__, "no-members")
    if one.kind == "data":
        return _directive("autodata", one.origin, "no-value")
    if one.kind == "function":
        return _directive("autofunction", one.path)
    if not issubclass(one.value, Spec):
        return _directive("autoclass", one.path, "members", "member-order: bysource")
    # A search for a field's name finds its table by these, which show nothing themselves.
    named = [
        _directive("py:attribute", f"{one.path}.{name}", "no-typesetting")
        for name in one.value.model_fields
    ]
    parts = [_directive("autoclass", one.path), "## Fields", *named, field_table(one.value)]
    members = [
        _directive(
            "autoproperty" if isinstance(value, property) else "automethod", f"{one.path}.{name}"
        )
        for name, value in vars(one.value).items()
        if isinstance(value, property | FunctionType) and not name.startswith("_")
    ]
    return "\n\n".join(parts + ["## Properties and methods"] * bool(members) + members)


def _directive(name: str, argument: str, *options: str) -> str:
    lines = [f".. {name}:: {argument}", *(f"   :{one.partition(':')[0]}:{one.partition(':')[2]}"
             for one in options)]  # fmt: skip
    return "\n".join(["```{eval-rst}", *lines, "```"])


def _markdown(one: PublicName) -> str:
    """The summary in Markdown, cut after its first sentence."""
    sentence = re.split(r"(?<=\.)\s", one.summary)[0]
    return re.sub(r"``(.+?)``", r"`\1`", sentence).replace("|", "\\|")
