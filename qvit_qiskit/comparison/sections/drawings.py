"""The figures of a report as files of their own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from qvit_qiskit.comparison.comparison import Comparison
from qvit_qiskit.comparison.figures.figure_file import check_figures, save_figure, text_size
from qvit_qiskit.comparison.figures.style import of_columns
from qvit_qiskit.comparison.sections import sections
from qvit_qiskit.comparison.sections.base import Drawn
from qvit_qiskit.exceptions import DataError


def drawings(comparison: Comparison) -> dict[str, Figure]:
    """Every figure of a report by the section that it stands in, numbered where there are several.

    Args:
        comparison: What is compared.
    """
    named: dict[str, Figure] = {}
    for section in sections(comparison):
        figures = [piece.figure for piece in section.pieces if isinstance(piece, Drawn)]
        for number, figure in enumerate(figures, start=1):
            named[f"{section.anchor}-{number}" if len(figures) > 1 else section.anchor] = figure
    return named


def save_drawings(
    comparison: Comparison, folder: Path | str, formats: Sequence[str], columns: int
) -> list[Path]:
    """Write every figure of a report, as `export.save_figures` says.

    Args:
        comparison: What is compared.
        folder: Made if it is missing.
        formats: Of ``"svg"``, ``"pdf"`` and ``"png"``.
        columns: 1 or 2, of a paper of two.

    Raises:
        ConfigError: If there is no such format or width.
        DataError: If the folder cannot be written.
    """
    check_figures(formats, columns)
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(
            f"Cannot write {folder}: {error.strerror or error}. Name another folder."
        ) from error
    with of_columns(columns), mpl.rc_context({"font.size": text_size()}):
        figures = drawings(comparison)
        for figure in figures.values():
            # places are worked out once, not again for each format
            figure.draw_without_rendering()
            figure.set_layout_engine("none")
        return [
            save_figure(figure, folder / f"{name}.{kind}")
            for name, figure in figures.items()
            for kind in formats
        ]
