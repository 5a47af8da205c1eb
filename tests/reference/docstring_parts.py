"""Docstrings in Google's style, taken apart."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap

TITLES = ("Args", "Returns", "Yields", "Raises", "Example", "Attributes")


def sections(docstring: str | None) -> dict[str, str]:
    """The text below each title; what stands before the first title is that of ``""``."""
    parts: dict[str, list[str]] = {"": []}
    title = ""
    for line in inspect.cleandoc(docstring or "").splitlines():
        if line.removesuffix(":") in TITLES and line.endswith(":"):
            title = line.removesuffix(":")
        else:
            parts.setdefault(title, []).append(line)
    return {title: textwrap.dedent("\n".join(lines)) for title, lines in parts.items()}


def entries(section: str) -> dict[str, str]:
    """What a section says of each name: of an argument, a field or an exception."""
    texts: dict[str, str] = {}
    names: list[str] = []
    for line in section.splitlines():
        begun = re.match(r"(\*{0,2}\w+(?:, \*{0,2}\w+)*):(.*)", line)
        if begun:
            names = [name.strip(" *") for name in begun[1].split(",")]
            texts |= dict.fromkeys(names, begun[2].strip())
        else:
            texts |= {name: f"{texts[name]} {line.strip()}" for name in names}
    return texts


def fields(cls: type) -> dict[str, tuple[str, str]]:
    """The annotated fields that a class itself lists: each one's type and the words about it."""
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    listed = entries(sections(cls.__doc__).get("Attributes", ""))
    out: dict[str, tuple[str, str]] = {}
    for node, below in zip(tree.body, [*tree.body[1:], None], strict=True):
        if isinstance(node, ast.AnnAssign) and not node.target.id.startswith("_"):
            value = getattr(below, "value", None) if isinstance(below, ast.Expr) else None
            words = value.value if isinstance(value, ast.Constant) else ""
            out[node.target.id] = (ast.unparse(node.annotation), words)
    return {name: (kind, words or listed.get(name, "")) for name, (kind, words) in out.items()}
