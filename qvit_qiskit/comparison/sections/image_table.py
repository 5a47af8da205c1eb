"""A table of images that a page lets its reader sort and filter."""

from __future__ import annotations

from dataclasses import dataclass

from qvit_qiskit.pages.table import fixed


@dataclass(frozen=True)
class ImageCell:
    """What one rung answers to one image."""

    answer: str
    chance: float
    """The probability of the exact rung's answer."""
    changed: bool

    @property
    def probability(self) -> str:
        """The chance as people read it."""
        return fixed(self.chance)


@dataclass(frozen=True)
class ImageLine:
    """One image."""

    number: int
    picture: str
    """Address of a thumbnail, or empty."""
    label: str
    margin: float
    cells: tuple[ImageCell, ...]

    @property
    def changed(self) -> bool:
        """Whether a device answers otherwise."""
        return any(cell.changed for cell in self.cells)


@dataclass(frozen=True)
class ImageTable:
    """A table that a page lets its reader sort and filter."""

    caption: str
    rungs: tuple[str, ...]
    lines: tuple[ImageLine, ...]
    labels: tuple[str, ...]
    """What can be filtered by; empty where images have several labels."""
