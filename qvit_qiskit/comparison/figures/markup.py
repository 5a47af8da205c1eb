"""A figure as a piece of an HTML page: the same bytes every time, nothing loaded from outside."""

from __future__ import annotations

import base64
import html
import io
import re

import matplotlib as mpl
from matplotlib.figure import Figure

LARGEST = 300_000
"""Bytes of an inline SVG; a larger figure becomes a PNG."""
RASTER_DPI = 150
"""Of what is drawn in pixels within an SVG."""
PNG_DPI = 200
WIDE = 480
"""Pixels from which on a figure has the class ``wide``; a page may let it scroll."""
SILENT = {"Date": None, "Creator": None, "Format": None, "Type": None}


def embed(figure: Figure, name: str, title: str, largest: int = LARGEST) -> str:
    """The figure as HTML that can stand in a page beside others.

    Args:
        figure: It is drawn, not changed.
        name: Unique on the page: letters, digits and hyphens. All identifiers begin with it.
        title: What the figure shows, for those who do not see it.
        largest: Bytes up to which it is an inline SVG.

    Returns:
        An ``<svg>``, or an ``<img>`` with a PNG in its address. Text is drawn as outlines, so it
        looks the same without the fonts.
    """
    drawing = _svg(figure, name, title)
    return drawing if len(drawing.encode()) <= largest else _png(figure, title)


def _svg(figure: Figure, name: str, title: str) -> str:
    stream = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": name, "svg.fonttype": "path", "svg.image_inline": True}):
        figure.savefig(stream, format="svg", metadata=SILENT, dpi=RASTER_DPI)
    drawing = stream.getvalue()
    drawing = drawing[drawing.index("<svg") :]
    drawing = re.sub(r"<!--.*?-->\s*|<metadata>.*?</metadata>\s*", "", drawing, flags=re.S)
    drawing = _named(drawing, name)
    size = re.search(r'viewBox="([^"]+)"', drawing)
    assert size is not None  # matplotlib always writes it
    width, height = (float(number) * 4 / 3 for number in size[1].split()[2:])  # 1 pt is 4/3 px
    wide = ' class="wide"' if width > WIDE else ""
    opening = (
        f'<svg{wide} viewBox="{size[1]}" width="{width:.0f}" height="{height:.0f}" role="img" '
        f'aria-labelledby="{name}-title"><title id="{name}-title">{html.escape(title)}</title>'
    )
    return opening + drawing[drawing.index(">") + 1 :].strip()


def _named(drawing: str, name: str) -> str:
    """Identifiers with a prefix; those that nothing refers to go, as matplotlib repeats some."""
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', drawing))
    drawing = re.sub(r' id="([^"]*)"', lambda match: match[0] if match[1] in used else "", drawing)
    return re.sub(r'( id="|href="#|url\(#)', rf"\g<1>{name}-", drawing)


def _png(figure: Figure, title: str) -> str:
    stream = io.BytesIO()
    figure.savefig(stream, format="png", metadata={"Software": None}, dpi=PNG_DPI)
    width, height = (round(inches * 96) for inches in figure.get_size_inches())
    wide = ' class="wide"' if width > WIDE else ""
    encoded = base64.b64encode(stream.getvalue()).decode()
    return (
        f'<img{wide} src="data:image/png;base64,{encoded}" width="{width}" height="{height}" '
        f'alt="{html.escape(title)}">'
    )
