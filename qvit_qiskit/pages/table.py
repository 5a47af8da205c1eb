"""Numbers as people read them: rounded to what their interval supports."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qvit_qiskit.statistics.intervals import Interval

NOTHING = "–"
RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True)
class Entry:
    """A value and, where it has one, its interval."""

    text: str
    interval: str = ""


@dataclass(frozen=True)
class Table:
    """A table of a page; the first cell of a row is its heading."""

    caption: str
    heads: tuple[str, ...]
    rows: Sequence[tuple[Entry, ...]]
    name: str = ""
    """Unique on the page."""
    kind: str = "table"


def fixed(value: float, decimals: int = 3) -> str:
    """A number with a true minus sign; a dash for one that is not known.

    Args:
        value: The number; NaN and infinities are not known.
        decimals: Digits after the point.
    """
    if not math.isfinite(value):
        return NOTHING
    text = f"{value:,.{decimals}f}"
    # no negative zero
    return text.lstrip("-") if float(text.replace(",", "")) == 0 else text.replace("-", "−")


def limits(value: float, low: float, high: float) -> Entry:
    """A value with its interval, to two digits of the interval's width but at least 3 decimals.

    Below a thousandth all three share a power of ten.

    Args:
        value: The value; NaN gives a dash without an interval.
        low: The interval's lower end.
        high: Its upper end.
    """
    if math.isnan(value):
        return Entry(NOTHING)
    size = max(map(abs, (value, low, high)))
    power = math.floor(math.log10(size)) if 0 < size < 1e-3 else 0  # else digits would be zeros
    width = (high - low) / 10**power
    least = 1 if power else 3
    decimals = max(1 - math.floor(math.log10(width)), least) if width > 0 else least
    number, *ends = (fixed(x / 10**power, min(decimals, 7)) for x in (value, low, high))
    times = f" × 10{str(power).translate(RAISED)}" if power else ""
    return Entry(f"{number}{times}", f"[{', '.join(ends)}]{times}")


def cell(interval: Interval | None, scale: float = 1.0) -> Entry:
    """An interval as a cell, times a scale; a dash where there is none.

    Args:
        interval: A value with its limits, or nothing.
        scale: One over the unit of the table, e.g. 1000 for thousandths.

    Returns:
        The cell.
    """
    if interval is None:
        return Entry(NOTHING)
    return limits(*(scale * one for one in (interval.value, interval.low, interval.high)))


def unchanged(interval: Interval, draws: int) -> str:
    """What stands for an interval over shots without width; empty for any other.

    Where no redraw changes a value, the redraws do not tell how well it is known.

    Args:
        interval: An interval over redraws of the shots.
        draws: How many redraws there were.
    """
    return f"no redraw of {draws} changed it" if interval.low == interval.high else ""


def p_value(p: float) -> str:
    """Two digits, and no false precision below a thousandth."""
    if math.isnan(p):
        return NOTHING
    return "<\u00a00.001" if p < 0.001 else f"{p:.2g}"


def listed(words: Sequence[str]) -> str:
    """Words joined as in a sentence."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} and {words[-1]}"
