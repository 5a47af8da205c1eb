"""Every image: what the exact model and the devices answer, those that changed first."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image

from qvit_qiskit.comparison.comparison import Comparison
from qvit_qiskit.comparison.sections.base import Section
from qvit_qiskit.comparison.sections.image_table import ImageCell, ImageLine, ImageTable

MOST = 500
"""Images on a page; a file of a few megabytes opens anywhere."""
PIXELS = 28
"""A thumbnail's larger side."""
COLOURS = 32
"""Colours of a thumbnail."""


def images(comparison: Comparison) -> Section | None:
    """The table of images; None where nothing is compared with the exact rung."""
    rungs = [answer.rung for answer in comparison.answers]
    if not rungs:
        return None
    answers, exact = comparison.by_image, comparison.exact.name
    count = len(comparison.image_order)
    said = [f"{len(answers[name].changed):,} of {count:,} by {name}" for name in rungs]
    unsure = "those of which the exact model is least sure"
    order = f"Those images come first, and after them {unsure}."
    if not any(len(answers[name].changed) for name in rungs):
        order = f"First come {unsure}."
    text = [f"Answers other than the exact model's: {'; '.join(said)}. {order}"]
    if not comparison.pictures:
        text.append("Pictures of own images are shown on request only: `--pictures`.")
    caption = (
        "Answer of every rung, with its probability of the exact model's answer. The margin is "
        + (
            "twice the distance of the least certain label's probability from one half"
            if comparison.multi_label
            else "how much likelier the exact model's answer is than the next class"
        )
        + "."
    )
    if count > MOST:
        caption += f" The first {MOST} of {count:,}; predictions.csv has all."
    labels = () if comparison.multi_label else comparison.class_names
    names = (exact, *rungs)
    lines = tuple(_line(comparison, image, names) for image in comparison.image_order[:MOST])
    table = ImageTable(caption, names, lines, labels)
    return Section("images", "Image by image", text, images=table)


def _line(comparison: Comparison, image: int, rungs: tuple[str, ...]) -> ImageLine:
    cells = []
    for name in rungs:
        answers = comparison.by_image[name]
        answer = _answer(comparison, answers.answers[image])
        cells.append(ImageCell(answer, float(answers.agreement[image]), image in answers.changed))
    picture = thumbnail(comparison.images[image]) if comparison.pictures else ""
    margin = float(comparison.by_image[rungs[0]].margins[image])
    return ImageLine(image, picture, comparison.named(image), margin, tuple(cells))


def _answer(comparison: Comparison, answer: np.ndarray) -> str:
    if not comparison.multi_label:
        return comparison.class_names[int(answer)]
    named = zip(comparison.class_names, answer, strict=True)
    return ", ".join(name for name, given in named if given) or "none"


def thumbnail(image: np.ndarray) -> str:
    """A small picture as an address that holds its bytes.

    Args:
        image: Shape (C, H, W) with C of 1 or 3, of any range.

    Returns:
        A ``data:`` address of a PNG of at most `PIXELS` a side and `COLOURS` colours.
    """
    low, high = float(image.min()), float(image.max())
    scaled = (image - low) / (high - low) if high > low else np.zeros_like(image)
    # (H, W, C), as Pillow has it
    whole = (255 * scaled).round().astype(np.uint8).transpose(1, 2, 0)
    picture = Image.fromarray(whole[..., 0] if whole.shape[2] == 1 else whole)
    picture.thumbnail((PIXELS, PIXELS))
    stream = io.BytesIO()
    picture.quantize(COLOURS).save(stream, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()
