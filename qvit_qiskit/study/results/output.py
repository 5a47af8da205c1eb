"""A study's tables and figures as files: the same bytes for the same folder."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from qvit_qiskit.comparison.export import csv, write_files
from qvit_qiskit.comparison.figures.markup import SILENT
from qvit_qiskit.comparison.sections import Drawn
from qvit_qiskit.exceptions import DataError, JobError
from qvit_qiskit.study.folder import StudyFolder
from qvit_qiskit.study.results.findings import read_findings
from qvit_qiskit.study.results.report import as_html, as_markdown, default_title, make_report


def write_tables(
    spec: Path, folder: Path, out: Path, command: Sequence[str] | None = None
) -> list[Path]:
    """Write Markdown, CSV, HTML and SVG of what a study has found so far.

    Args:
        spec: The study's spec, which must be what the folder ran last.
        folder: The study's folder.
        out: Where to write; made if it is missing.
        command: What the report says it was made by.

    Returns:
        The files.

    Raises:
        JobError: If the folder is no study's, or of another spec, or a cell is damaged.
        DataError: If no cell is finished, or ``out`` cannot be written.
    """
    _check_spec(spec, folder)
    study = read_findings(folder)
    if not study.runs:
        raise DataError(f"No cell of {spec} is finished in {folder} yet. Run the study first.")
    made_by = command or ["qvit", "study", str(spec), "--tables", str(out)]
    report = make_report(study, made_by, default_title(spec))
    drawings = {
        section.anchor: piece.figure
        for section in report.sections
        for piece in section.pieces
        if isinstance(piece, Drawn)
    }
    pictures = {anchor: f"{anchor}.svg" for anchor in drawings}
    html = as_html(report)  # NOTE: figures are laid out when they are first drawn
    texts = {f"{name}.csv": csv(frame) for name, frame in report.frames.items()}
    texts |= {pictures[anchor]: svg(figure, anchor) for anchor, figure in drawings.items()}
    texts |= {"study.md": as_markdown(report, pictures), "study.html": html}
    return write_files(out, texts)


def _check_spec(spec: Path, folder: Path) -> None:
    try:
        asked, ran = spec.read_bytes(), StudyFolder(folder).spec()
    except OSError as error:
        raise JobError(
            f"Cannot read {error.filename}: {error.strerror}. Expected a study spec and the folder "
            "it ran in; name the folder with --out."
        ) from error
    if asked != ran:
        raise JobError(
            f"{folder} ran another spec than {spec} last. Run this one in it first (finished cells "
            "are not computed again), or name its own folder with --out."
        )


def svg(figure: Figure, name: str) -> str:
    """A figure as a file of its own; text is drawn as outlines.

    Args:
        figure: It is drawn, not changed.
        name: What identifiers within the file are made of, so that its bytes repeat.
    """
    stream = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": name, "svg.fonttype": "path"}):
        figure.savefig(stream, format="svg", metadata=SILENT)
    return stream.getvalue()
