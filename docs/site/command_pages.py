"""A page for every command of ``qvit``, from the command itself."""

from __future__ import annotations

import re
from typing import Any

from typer.main import get_command

from qvit_qiskit.cli.app import app

MOST_OF_A_LABEL = 30
"""Characters before an example in a command's help; longer ones are sentences."""


def commands() -> dict[str, Any]:
    """Every command by what a user types after ``qvit``: ``"train"``, ``"backends show"``."""
    found: dict[str, Any] = {}
    for name, command in get_command(app).commands.items():
        found[name] = command
        for part, inner in getattr(command, "commands", {}).items():
            found[f"{name} {part}"] = inner
    return found


def page(name: str) -> str:
    """The address of a command's page.

    Args:
        name: What a user types after ``qvit``.
    """
    return f"commands/{name.replace(' ', '-')}"


def command_page(name: str, command: Any) -> str:
    """A command's page as Markdown: what it does, its usage, arguments and options.

    Args:
        name: What a user types after ``qvit``.
        command: The command.
    """
    context = command.make_context(f"qvit {name}", [], resilient_parsing=True)
    command = context.command  # a command may be built when it is called
    parts = [f"# qvit {name}", _prose(command.help or "")]
    usage = " ".join(command.collect_usage_pieces(context))
    parts.append(f"```text\nqvit {name} {usage}\n```")
    for title, kind in (("Arguments", "argument"), ("Options", "option")):
        rows = [
            _row(*record)
            for one in command.get_params(context)
            if one.param_type_name == kind and (record := one.get_help_record(context))
        ]
        if rows:
            parts += [f"## {title}", "\n".join(["| name | meaning |", "|---|---|", *rows])]
    return "\n\n".join(parts) + "\n"


def command_index() -> str:
    """The page that lists them, with the first line of each."""
    rows = [
        f"| [`qvit {name}`](/{page(name)}.md) | {summary(command)} |"
        for name, command in commands().items()
    ]
    head = (
        "# Commands\n\n`qvit COMMAND --help` prints what stands on these pages. A command exits "
        "with 0 on success, 2 on bad input and 1 where a service failed; the message says what to "
        "do next."
    )
    return "\n\n".join([head, "\n".join(["| command | to |", "|---|---|", *rows])]) + "\n"


def summary(command: Any) -> str:
    """The first sentence of a command's help.

    Args:
        command: The command.
    """
    return re.split(r"(?<=\.)\s", " ".join((command.help or "").split()))[0]


def _prose(text: str) -> str:
    """Help as Markdown; examples become code."""
    blocks = []
    for paragraph in text.strip().split("\n\n"):
        line = " ".join(paragraph.split())
        label, colon, example = line.partition(": qvit ")
        if colon and len(label) < MOST_OF_A_LABEL:
            blocks.append(f"{label}:\n\n```\nqvit {example}\n```")
        else:
            blocks.append(_plain(line))
    return "\n\n".join(blocks)


def _row(names: str, meaning: str) -> str:
    return f"| `{names.replace('|', '&#124;')}` | {_plain(meaning)} |"


def _plain(text: str) -> str:
    """Text in which nothing is markup but code between backticks."""
    parts = re.split(r"(`[^`]*`)", text)
    escaped = [one if k % 2 else re.sub(r"([*_<|\[\]{}])", r"\\\1", one)
               for k, one in enumerate(parts)]  # fmt: skip
    return "".join(escaped)
