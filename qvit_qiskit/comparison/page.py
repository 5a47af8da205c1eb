"""A comparison as one HTML page that needs nothing else: no other file, no network, no script."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from importlib import resources

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from qvit_qiskit.comparison.comparison import Comparison
from qvit_qiskit.comparison.figures.embed import embed
from qvit_qiskit.comparison.sections import Drawn, Section, sections
from qvit_qiskit.pages.table import Table

TEMPLATE = "templates/report.html.j2"


@dataclass(frozen=True)
class Picture:
    """A figure of a page as it stands in the HTML."""

    name: str
    """Of the caption, unique on the page."""
    drawing: Markup
    caption: str
    kind: str = "picture"


@dataclass(frozen=True)
class _Shown:
    """A section with its figures drawn."""

    anchor: str
    title: str
    text: list[str]
    pieces: list[Picture | Table] = field(default_factory=list)


def page(comparison: Comparison) -> str:
    """The report of a comparison.

    Figures are inline; text is escaped wherever it comes from. Parts for which there is no data
    are left out. The bytes depend on the comparison, on matplotlib's version and on its style.

    Args:
        comparison: What is compared.

    Returns:
        An HTML document. Its own security policy forbids it to load anything.
    """
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    text = resources.files("qvit_qiskit.comparison").joinpath(TEMPLATE).read_text(encoding="utf-8")
    return environment.from_string(text).render(
        title=comparison.title,
        facts=comparison.facts,
        sections=numbered(sections(comparison)),
    )


def numbered(found: list[Section]) -> list[_Shown]:
    """Figures drawn, and numbered through the page like the tables."""
    figures = tables = 0
    shown = []
    for section in found:
        ready = _Shown(section.anchor, section.title, section.text)
        for piece in section.pieces:
            if isinstance(piece, Drawn):
                figures += 1
                ready.pieces.append(_picture(piece, figures))
            else:
                tables += 1
                caption = f"Table {tables}. {piece.caption}"
                name = f"table-{tables}"
                ready.pieces.append(replace(piece, caption=caption, name=name))
        shown.append(ready)
    return shown


def _picture(piece: Drawn, number: int) -> Picture:
    name = f"figure-{number}"
    # `embed` escapes the title; everything else in a drawing is matplotlib's
    drawing = Markup(embed(piece.figure, name, piece.title))
    return Picture(f"{name}-caption", drawing, f"Figure {number}. {piece.caption}")
