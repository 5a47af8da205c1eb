"""The parts of a report, and what its sections share."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

import pandas as pd
from matplotlib.figure import Figure

from qvit_qiskit.comparison.comparison import Comparison
from qvit_qiskit.comparison.scores import Scores, scores
from qvit_qiskit.pages.table import Table


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


@dataclass
class Contents:
    """A comparison with what several sections need, worked out once."""

    comparison: Comparison

    @cached_property
    def scores(self) -> list[Scores]:
        """Of every rung."""
        return scores(self.comparison)

    @cached_property
    def tests(self) -> pd.DataFrame:
        """Of bias and drift."""
        return self.comparison.tests()

    @property
    def images(self) -> int:
        """How many."""
        return len(self.comparison.labels)


def lines(frame: pd.DataFrame) -> Iterator[pd.Series]:
    """The lines of a frame."""
    for _, line in frame.iterrows():
        yield line
