"""A few facts under a title, as a shell and as a notebook show an object."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from html import escape

WIDTH = 80
"""Columns of a shell."""
Facts = Mapping[str, object]


class Card:
    """Shows itself by its title and facts, which a subclass says.

    A frozen dataclass that inherits it needs ``repr=False``.
    """

    def card(self) -> tuple[str, Facts]:
        """The title and the facts, by their names."""
        raise NotImplementedError

    def __repr__(self) -> str:
        """A line for each fact, at most 80 columns wide."""
        return text_card(*self.card())

    def _repr_html_(self) -> str:
        """A table, as notebooks show it."""
        return html_card(*self.card())


def text_card(title: str, facts: Facts, width: int = WIDTH) -> str:
    """Facts in two columns under a title.

    Args:
        title: The first line.
        facts: What to say, by its name.
        width: Columns.

    Returns:
        Lines of at most so many columns, unless a single word is longer.
    """
    room = max(map(len, facts), default=0) + 4
    entries = [
        wrapped(f"{value}", width, f"  {name}".ljust(room), " " * room)
        for name, value in facts.items()
        if f"{value}"
    ]
    return "\n".join([title, *entries])


def wrapped(text: str, width: int, first: str = "", further: str = "") -> str:
    """A text in lines that cut no word: a path or a command can be copied whole.

    Args:
        text: Of one paragraph.
        width: Columns.
        first: What the first line begins with.
        further: What the others begin with.
    """
    return textwrap.fill(
        text,
        width,
        initial_indent=first,
        subsequent_indent=further,
        break_long_words=False,
        break_on_hyphens=False,
    )


def html_card(title: str, facts: Facts) -> str:
    """Facts as a table that can stand in a page beside others.

    Args:
        title: Its caption.
        facts: What to say, by its name.
    """
    # notebooks align cells to the right unless the cell itself says otherwise
    side = "text-align:left;vertical-align:top"
    rows = "".join(
        f'<tr><th scope="row" style="{side}">{escape(name)}</th>'
        f'<td style="{side}">{escape(str(value))}</td></tr>'
        for name, value in facts.items()
    )
    caption = f'<caption style="{side};font-weight:bold">{escape(title)}</caption>'
    return f"<table>{caption}<tbody>{rows}</tbody></table>"
