"""A comparison as files: tables, JSON and a page, the same bytes for the same comparison."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from qvit_qiskit.comparison.comparison import Comparison
from qvit_qiskit.exceptions import DataError
from qvit_qiskit.files import finite, write_text

WRITTEN = ("comparison.json", "report.html")
"""Files by which a folder is known to hold a comparison."""


def as_dict(comparison: Comparison) -> dict[str, Any]:
    """Everything but arrays, as JSON holds it; what is undefined is None."""
    entries = {
        "title": comparison.title,
        "facts": comparison.facts,
        "images": len(comparison.labels),
        "classes": list(comparison.class_names),
        "tolerance": comparison.tolerance,
        "verdicts": _records(comparison.verdicts()),
        "between devices": _records(comparison.between_devices()),
        "rungs": _records(comparison.table()),
        "differences": _records(comparison.differences()),
        "plans": _records(comparison.plans()),
        "corrections": _records(comparison.corrections_gained()),
        "layers": _records(comparison.layers()),
        "attribution": _records(comparison.shares()),
        "bias": _records(comparison.bias()),
        "drift": _records(comparison.drift()),
        "tests": _records(comparison.tests()),
        "changes": _records(comparison.changes()),
        "seed": comparison.seed,
    }
    cleaned: dict[str, Any] = finite(entries)
    return cleaned


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """A frame's lines; what is undefined is None."""
    cleaned: list[dict[str, Any]] = finite(_records(frame))
    return cleaned


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(key): value for key, value in row.items()} for row in frame.to_dict("records")]


def write_comparison(comparison: Comparison, folder: Path) -> list[Path]:
    """Write a comparison into a folder; files of an earlier one are replaced.

    ``report.html`` needs nothing else: no other file, no network. Its figures are in the folder
    ``figures`` besides, as SVG and PDF.

    Args:
        comparison: What to write.
        folder: Made if it is missing.

    Returns:
        The files.

    Raises:
        DataError: If the folder cannot be written, or the page not be drawn; the other files
            are written first.
    """
    written = [*write_tables(comparison, folder), write_report(comparison, folder)]
    return [*written, *write_figures(comparison, folder)]


def write_tables(comparison: Comparison, folder: Path) -> list[Path]:
    """Write a comparison's CSV and JSON files, as `write_comparison` does.

    Args:
        comparison: What is written.
        folder: Where; it is made if it is missing.

    Returns:
        The files, in the order in which they were written.

    Raises:
        DataError: If the folder cannot be written.
    """
    texts = {
        "verdicts.csv": csv(comparison.verdicts()),
        "table.csv": csv(comparison.table()),
        "comparison.json": json.dumps(as_dict(comparison), indent=2, ensure_ascii=False) + "\n",
        "bias.csv": csv(comparison.bias()),
        "attribution.csv": csv(comparison.shares()),
        "predictions.csv": csv(comparison.predictions()),
    }
    if comparison.gains:
        texts["corrections.csv"] = csv(comparison.corrections_gained())
    return write_files(folder, texts)


def write_report(comparison: Comparison, folder: Path) -> Path:
    """Write a comparison's page, ``report.html``.

    Args:
        comparison: What the page shows.
        folder: Where; it is made if it is missing.

    Returns:
        The page's file.

    Raises:
        DataError: If it cannot be drawn, or the folder cannot be written.
    """
    from qvit_qiskit.comparison.page import page

    with _drawing(folder):
        text = page(comparison)
    return write_files(folder, {"report.html": text})[0]


def write_figures(comparison: Comparison, folder: Path) -> list[Path]:
    """Write a comparison's figures into the folder ``figures`` of a folder, as SVG and PDF.

    Args:
        comparison: Whose figures are written.
        folder: Where; it is made if it is missing.

    Raises:
        DataError: If one cannot be drawn, or the folder cannot be written.
    """
    with _drawing(folder):
        return save_figures(comparison, folder / "figures")


def save_figures(
    comparison: Comparison,
    folder: Path | str,
    formats: Sequence[str] = ("svg", "pdf"),
    columns: int = 2,
) -> list[Path]:
    """Write every figure of a comparison's report into a folder, for a paper or a talk.

    Fonts and colours are those of `matplotlib.rcParams`; text of 8 points where these say
    nothing else.

    Args:
        comparison: What `compare` gave.
        folder: Made if it is missing; figures of an earlier call are replaced.
        formats: Of ``"svg"``, ``"pdf"`` and ``"png"``.
        columns: 1 for figures 3.5 inches wide, 2 for 7.2.

    Returns:
        The files, e.g. ``ladder.pdf``: a section of the report, numbered where it has several.

    Raises:
        ConfigError: If there is no such format or width.
        DataError: If the folder cannot be written.

    Example:
        >>> from qvit_qiskit import compare
        >>> from qvit_qiskit.comparison import save_figures
        >>> save_figures(compare("runs/mine"), "figures")  # doctest: +SKIP
    """
    from qvit_qiskit.comparison.sections.drawings import save_drawings

    return save_drawings(comparison, folder, formats, columns)


@contextmanager
def _drawing(folder: Path) -> Iterator[None]:
    """Say what cannot be drawn: matplotlib raises many kinds, some from the user's own style."""
    try:
        yield
    except DataError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(
            f"Cannot draw the report in {folder}: {reason}. The tables beside it are whole; try "
            "again with matplotlib's default style."
        ) from error


def write_models(frame: pd.DataFrame, folder: Path) -> Path:
    """Write what several models differ by, ``models.csv``.

    Args:
        frame: Paired differences of several models, as `model_frame` has them.
        folder: Where; it is made if it is missing.

    Returns:
        The file.

    Raises:
        DataError: If the folder cannot be written.
    """
    return write_files(folder, {"models.csv": csv(frame)})[0]


def write_files(folder: Path, texts: Mapping[str, str]) -> list[Path]:
    """Write text files into a folder, made if it is missing.

    Args:
        folder: Where.
        texts: The files' contents by their names.

    Returns:
        The files, in the order of ``texts``.

    Raises:
        DataError: If the folder cannot be written.
    """
    try:
        # The page's text is complete before the folder is touched.
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            write_text(folder / name, text)
    except OSError as error:
        raise DataError(
            f"Cannot write {folder}: {error.strerror or error}. Name another folder."
        ) from error
    return [folder / name for name in texts]


def csv(frame: pd.DataFrame) -> str:
    """A frame as CSV."""
    return str(frame.to_csv(index=False, float_format="%.9g", lineterminator="\n"))
