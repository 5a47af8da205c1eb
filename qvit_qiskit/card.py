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
    lines = [title]
    for name, value in facts.items():
        lines += textwrap.wrap(
            f"{value}",
            width,
            initial_indent=f"  {name}".ljust(room),
            subsequent_indent=" " * room,
            break_long_words=False,  # a path or a command is copied whole
            break_on_hyphens=False,
        )
    return "\n".join(lines)


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
