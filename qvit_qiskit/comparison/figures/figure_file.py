"""Figures as files for a paper or a talk: SVG, PDF or PNG, one or two columns wide."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from qvit_qiskit.comparison.figures.style import WIDTHS
from qvit_qiskit.exceptions import ConfigError, DataError

FORMATS = ("svg", "pdf", "png")
POINTS = 8.0
"""Size of the text, where the user's style does not choose one."""
DPI = 300
HASHED = {
    "svg": {"Date": None},
    "pdf": {"CreationDate": None, "ModDate": None},
    "png": {"Software": None},
}
"""Metadata left out, so that the same figure is the same bytes."""


def check_figures(formats: Sequence[str], columns: int) -> None:
    """Refuse what cannot be drawn.

    Args:
        formats: Of `FORMATS`.
        columns: 1 or 2.

    Raises:
        ConfigError: If a format or the number of columns is none of these.
    """
    unknown = [each for each in formats if each not in FORMATS]
    if unknown or isinstance(formats, str):
        got = formats if isinstance(formats, str) else unknown[0]
        raise ConfigError(f"Expected figures as a list of {', '.join(FORMATS)}, but got {got!r}.")
    if columns not in WIDTHS:
        raise ConfigError(f"Expected figures of 1 or 2 columns, but got {columns!r}.")


def save_figure(figure: Figure, path: Path) -> Path:
    """Write a figure, the same bytes every time; its text stays text.

    Args:
        figure: What to write.
        path: Its ending is the format.

    Raises:
        DataError: If it cannot be written.
    """
    kind = path.suffix[1:]
    try:
        # text stays text, so that a paper's editor can change it; identifiers depend on the name
        with mpl.rc_context(
            {"svg.fonttype": "none", "svg.hashsalt": path.stem, "pdf.fonttype": 42}
        ):
            figure.savefig(path, format=kind, metadata=HASHED[kind], dpi=DPI)
    except OSError as error:
        raise DataError(
            f"Cannot write {path}: {error.strerror or error}. Name another folder."
        ) from error
    return path


def text_size() -> float:
    """Points of the text: the user's, or `POINTS` where matplotlib's default was left alone."""
    chosen = float(mpl.rcParams["font.size"])
    return POINTS if chosen == mpl.rcParamsDefault["font.size"] else chosen
