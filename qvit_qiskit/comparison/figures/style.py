"""How rungs look: colour, marker and line together, so that no figure needs colour alone.

Fonts, sizes and the foreground are the user's (`matplotlib.rcParams`, style sheets included); sizes
that differ are relative ("small"). The one thing chosen here is the colour of each kind of rung:
Okabe and Ito's palette (https://jfly.uni-koeln.de/color/), which people with any colour vision tell
apart, and the foreground for the exact rung.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from qvit_qiskit.comparison.comparison import Comparison

WIDTHS = {1: 3.5, 2: 7.2}
"""Inches of a figure that is as wide as one column of a paper of two, or as both."""
_WIDTH = ContextVar("width", default=WIDTHS[2])


ERROR = "mean error of ⟨P⟩"
"""Of outputs: expectation values of observables with eigenvalues ±1, without a unit."""


@dataclass(frozen=True)
class Look:
    """How one rung is drawn, in every figure alike."""

    color: str
    marker: str
    line: Any
    """A line style as matplotlib takes it."""


OF_KIND = {
    "shot noise": Look("#56B4E9", "s", (0, (5, 1.5))),
    "device noise": Look("#0072B2", "^", (0, (3, 1, 1, 1))),
    "hardware": Look("#D55E00", "D", "-"),
    "corrected": Look("#009E73", "h", (0, (6, 1))),
}
SPARE = (
    Look("#009E73", "v", (0, (1, 1))),
    Look("#E69F00", "P", (0, (5, 1, 1, 1, 1, 1))),
    Look("#CC79A7", "X", (0, (8, 2))),
    Look("#F0E442", "*", (0, (2, 2))),
)
"""For a second rung of one kind."""


def looks(comparison: Comparison) -> dict[str, Look]:
    """The look of every rung by its name; the exact one is drawn in the text's colour."""
    spare = cycle(SPARE)
    looks_of_rungs: dict[str, Look] = {}
    free = dict(OF_KIND)
    for rung in comparison.rungs:
        if rung is comparison.exact:
            looks_of_rungs[rung.name] = Look(str(mpl.rcParams["text.color"]), "o", "-")
        else:
            looks_of_rungs[rung.name] = free.pop(rung.kind) if rung.kind in free else next(spare)
    return looks_of_rungs


@contextmanager
def of_columns(columns: int) -> Iterator[None]:
    """Draw figures as wide as one column of a paper or as two; without it, as two.

    Args:
        columns: 1 or 2.
    """
    token = _WIDTH.set(WIDTHS[columns])
    try:
        yield
    finally:
        _WIDTH.reset(token)


def width() -> float:
    """Inches that a figure may be wide."""
    return _WIDTH.get()


def abreast(count: int, side: float, most: int = 99) -> int:
    """How many panels stand side by side.

    Args:
        count: How many panels there are, at least one.
        side: Inches of a panel.
        most: How many there may be at the greatest width.
    """
    return max(1, min(count, most, int((width() + 0.1) / side)))


def canvas(height: float, wide: float | None = None) -> Figure:
    """An empty figure that belongs to no window and changes nothing global.

    Args:
        height: Inches.
        wide: Inches, at most `width`, which it is by default.
    """
    return Figure(figsize=(min(wide or width(), width()), height), layout="constrained")


def finish_rows(panel: Any, margin: float) -> None:
    """Give a panel whose rows have names its faint vertical lines.

    Args:
        panel: Of matplotlib.
        margin: What stays free at the left and right, as a part of the values' range.
    """
    panel.grid(axis="x", alpha=0.3, linewidth=0.6)
    panel.tick_params(axis="y", length=0)
    panel.margins(x=margin)
    panel.locator_params(axis="x", nbins=5)


def explain_bars(figure: Figure, thin: str, thick: str) -> None:
    """Say what thin and thick bars are, above the panels, where it hides nothing.

    Args:
        figure: With its panels.
        thin: What thin bars are.
        thick: What thick bars are.
    """
    lines = [
        Line2D([], [], color="0.35", linewidth=1.2),
        Line2D([], [], color="0.35", linewidth=4, alpha=0.45),
    ]
    figure.legend(
        lines, [thin, thick], loc="outside upper right", ncols=abreast(2, 3.0),
        fontsize="small", frameon=False,
    )  # fmt: skip


def plain(text: str) -> str:
    """A text that matplotlib draws as it stands: no mathematics, no control characters.

    A leading underscore would hide an entry from a legend; a space stands before it.
    """
    clean = re.sub(r"[\x00-\x1f\x7f-\x9f]", " ", text).replace("$", r"\$")
    return f" {clean}" if clean.startswith("_") else clean


def short(text: str, length: int = 24) -> str:
    """`plain`, cut after so many characters.

    Args:
        text: A name that somebody else chose.
        length: The most characters, the ellipsis included.
    """
    return plain(text if len(text) <= length else text[: length - 1].rstrip() + "…")


def folded(text: str, width: int = 14, lines: int = 2) -> str:
    """`plain`, in lines of so many characters; what does not fit is cut.

    Args:
        text: A name that somebody else chose.
        width: The most characters of a line.
        lines: The most lines.
    """
    return plain_lines(textwrap.wrap(text, width, max_lines=lines, placeholder="…"))


def wrapped(text: str) -> str:
    """`plain`, in as many lines as a figure's width asks for."""
    return plain_lines(textwrap.wrap(text, int(12 * width())))


def plain_lines(lines: list[str]) -> str:
    """Lines of a label, each `plain`."""
    return "\n".join(plain(line) for line in lines)
