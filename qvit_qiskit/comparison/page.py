"""A comparison as one HTML page that needs nothing else: no other file, no network.

Its only script sorts, filters and pages the table of images; the page allows that one by its hash
and no other.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Collection
from dataclasses import dataclass, field, replace

from markupsafe import Markup

from qvit_qiskit.comparison.comparison import Comparison
from qvit_qiskit.comparison.figures.markup import embed
from qvit_qiskit.comparison.fragment import TEMPLATES, environment
from qvit_qiskit.comparison.sections import Drawn, Section, sections
from qvit_qiskit.comparison.sections.image_table import ImageTable
from qvit_qiskit.comparison.summary import between_devices, rule, summaries
from qvit_qiskit.pages.table import Table

UNFOLDED = {"images", "ladder"}
"""Sections of a comparison that are open from the beginning."""

WORDS = {
    "rung": "One way in which the same model with the same weights was evaluated: exactly, with "
    "shot noise, with the errors that a device reports, or on the device.",
    "row": "One circuit with its angles: one token of one image, for Q, K or V of one head.",
    "copy": "One of several circuits side by side on the chip, each with another row.",
    "quantum layer": "All circuits of one attention layer; the chip runs one after another, since "
    "each needs the outputs of the one before.",
    "job": "The rows that were sent together.",
    "output": "An expectation value that a circuit gives, between −1 and 1.",
}
"""What the page's own words mean."""


@dataclass(frozen=True)
class Picture:
    """A figure of a page as it stands in the HTML."""

    name: str
    """The caption's name, unique on the page."""
    drawing: Markup
    caption: str
    kind: str = "picture"


@dataclass(frozen=True)
class _Shown:
    """A section with its figures drawn."""

    anchor: str
    title: str
    text: list[str]
    folded: bool
    """Whether only the title is shown until a reader opens it."""
    images: ImageTable | None
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
    parts, outcome = sections(comparison), comparison.outcome
    return render(
        comparison.title,
        comparison.facts,
        numbered(parts, {part.anchor for part in parts} - UNFOLDED),
        answers=summaries(outcome),
        between=between_devices(outcome),
        rule=rule(outcome),
        words=WORDS,
    )


def render(title: str, facts: dict[str, str], parts: list[_Shown], **first: object) -> str:
    """A page of sections.

    Args:
        title: Of the page.
        facts: What it is made of; they come last.
        parts: The sections, numbered.
        **first: What stands before the sections: `answers`, `between`, `rule` and `words`.

    Returns:
        An HTML document.
    """
    made = environment()
    script, *_ = TEMPLATES.get_source(made, "report.js")
    nothing: dict[str, object] = {"answers": (), "between": "", "rule": "", "words": {}}
    return made.get_template("report.html.j2").render(
        title=title,
        facts=facts,
        sections=parts,
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        **nothing | first,
    )


def numbered(sections: list[Section], folded: Collection[str] = ()) -> list[_Shown]:
    """Draw the sections' figures, and number them through the page like the tables.

    Args:
        sections: In the order of the page.
        folded: Anchors of the sections that are shown closed.
    """
    figures = tables = 0
    shown = []
    for section in sections:
        ready = _Shown(
            section.anchor, section.title, section.text, section.anchor in folded, section.images
        )
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
