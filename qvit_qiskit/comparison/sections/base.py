"""The parts of a report."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from qvit_qiskit.pages.table import Table

if TYPE_CHECKING:
    from qvit_qiskit.comparison.sections.image_table import ImageTable


@dataclass(frozen=True)
class Drawn:
    """A figure with its words."""

    figure: Figure
    title: str
    """What it shows, for those who do not see it."""
    caption: str
    """How to read it."""


@dataclass(frozen=True)
class Section:
    """A section of a report."""

    anchor: str
    title: str
    text: list[str]
    pieces: list[Drawn | Table] = field(default_factory=list)
    images: ImageTable | None = None
    """After everything else."""
