"""How the code reads, as far as it can be counted: names, arguments, comments, fields."""

from __future__ import annotations

import ast
import io
import tokenize
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import qvit_qiskit.runs.spec
import qvit_qiskit.study.spec
import qvit_qiskit.training.settings  # noqa: F401 - all import their specs
from qvit_qiskit.spec import Spec

PACKAGE = Path(__file__).resolve().parent.parent / "qvit_qiskit"
FILES = sorted(PACKAGE.rglob("*.py"))
TREES = {path.relative_to(PACKAGE).as_posix(): ast.parse(path.read_text()) for path in FILES}
Function = ast.FunctionDef | ast.AsyncFunctionDef

PARTICIPLES = ("found", "told")
PARTICIPLES_LEFT = 20
ARGUMENTS_EXPLAINED = 0.95
COMMENTS_PER_HUNDRED = 2.5


MOST_PARAMETERS = 10
ENTRY_POINTS = {
    "cli/runs.py: submit",
    "cli/compare.py: compare",
    "cli/evaluate.py: evaluate",
    "comparison/assembly.py: compare",
    "runs/planning/planner.py: plan",
    "runs/submission.py: submit",
}
"""What people call by name, with an option for everything that they may want."""


def public(tree: ast.AST) -> Iterator[Function]:
    """Functions and methods without an underscore, those within functions left out.

    Overloads are left out, and methods that a base class in the same file explains.
    """
    classes = {one.name: one for one in ast.iter_child_nodes(tree) if isinstance(one, ast.ClassDef)}
    for node in ast.iter_child_nodes(tree):
        overload = any(
            ast.unparse(one) == "overload" for one in getattr(node, "decorator_list", ())
        )
        if isinstance(node, Function) and not node.name.startswith("_") and not overload:
            yield node
        elif isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            bases = [classes[name] for name in map(ast.unparse, node.bases) if name in classes]
            known = {one.name for base in bases for one in public(base) if explains(one)}
            yield from (one for one in public(node) if one.name not in known)


def parameters(function: Function) -> list[str]:
    """Names of what a caller passes."""
    a = function.args
    several = [one for one in (a.vararg, a.kwarg) if one]
    names = [one.arg for one in (*a.posonlyargs, *a.args, *a.kwonlyargs, *several)]
    return [name for name in names if name not in ("self", "cls")]


def bound(tree: ast.AST) -> Iterator[str]:
    """Every name that a file gives to something, as often as it does."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.arg):
            yield node.arg


def explains(function: Function) -> bool:
    """Whether a docstring has a line for every parameter."""
    text = ast.get_docstring(function) or ""
    _, marker, section = text.partition("Args:\n")
    lines = [line.strip().lstrip("*") for line in section.splitlines()]
    return bool(marker) and all(
        any(line.startswith((f"{name}:", f"{name},", f"{name} ")) for line in lines)
        or any(f", {name}:" in line or f", **{name}:" in line for line in lines)
        for name in parameters(function)
    )


def comments_and_code(text: str) -> tuple[int, int]:
    """Comments for readers, and lines that hold code: docstrings are neither."""
    tree, comments, lines = ast.parse(text), 0, set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            comments += not token.string.startswith(("# noqa", "# type:", "# fmt:"))
        elif token.string.strip() and token.type != tokenize.ENDMARKER:
            lines |= set(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(tree):
        value = node.value if isinstance(node, ast.Expr) else None
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            lines -= set(range(value.lineno, value.end_lineno + 1))
    return comments, len(lines)


def specs(base: type[Spec] = Spec) -> Iterator[type[Spec]]:
    """Everything that a user writes down: profiles, job and study specs, configurations."""
    for one in base.__subclasses__():
        if one.__module__.startswith("qvit_qiskit."):
            yield one
        yield from specs(one)


def test_names_are_nouns():
    names = Counter(name for tree in TREES.values() for name in bound(tree))
    assert sum(names[word] for word in PARTICIPLES) <= PARTICIPLES_LEFT
    assert sorted(bound(ast.parse("def f(found):\n    told = found"))) == ["found", "told"]


def test_public_functions_explain_their_parameters():
    several = [
        (f"{name}: {function.name}", explains(function))
        for name, tree in TREES.items()
        if not name.startswith("cli/")
        for function in public(tree)
        if len(parameters(function)) > 1
    ]
    silent = [name for name, explained in several if not explained]
    assert 1 - len(silent) / len(several) >= ARGUMENTS_EXPLAINED, silent


def test_the_rule_for_parameters_would_notice():
    source = 'def f(a, *, b):\n    """Do.\n\n    Args:\n        a: One.\n{}    """\n'
    assert not explains(ast.parse(source.format("")).body[0])
    assert explains(ast.parse(source.format("        b: Two.\n")).body[0])


def test_only_entry_points_have_many_parameters():
    many = {
        f"{name}: {node.name}"
        for name, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, Function) and len(parameters(node)) > MOST_PARAMETERS
    }
    assert many == ENTRY_POINTS


def test_comments_say_why_often_enough():
    counts = [comments_and_code(path.read_text()) for path in FILES]
    comments, lines = map(sum, zip(*counts, strict=True))
    assert 100 * comments / lines >= COMMENTS_PER_HUNDRED
    assert comments_and_code('"""Text."""\n\nx = 1  # why\ny = """\n"""  # noqa: E1\n') == (1, 3)


def room(name: str) -> str:
    """The room of a file, or of a module by its dotted name."""
    return name.removeprefix("qvit_qiskit.").replace(".", "/").split("/")[0]


def imported_rooms(tree: ast.AST) -> set[str]:
    """The rooms that a file imports from."""
    modules = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    return {room(module) for module in modules if module.startswith("qvit_qiskit.")}


def test_no_two_classes_of_neighbouring_rooms_share_a_name():
    """Neighbours are a room and those that it imports from."""
    needs, places = defaultdict(set), defaultdict(list)
    for name, tree in TREES.items():
        needs[room(name)] |= {room(name)} | imported_rooms(tree)
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(name)
    shared = {
        cls
        for cls, files in places.items()
        for one, other in combinations(files, 2)
        if room(one) in needs[room(other)] or room(other) in needs[room(one)]
    }
    assert shared == set()


def test_every_field_of_a_spec_has_a_line_of_documentation():
    silent = [
        f"{one.__name__}.{name}"
        for one in specs()
        for name, field in one.model_fields.items()
        if not field.description
    ]
    assert silent == []
