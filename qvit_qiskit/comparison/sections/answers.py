"""The model's answers: ROC curves, calibration, confusion and attention."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from qvit_qiskit.comparison.comparison import Comparison
from qvit_qiskit.comparison.evidence import Rung
from qvit_qiskit.comparison.figures import attention_maps as attention_figure
from qvit_qiskit.comparison.figures import confusion as confusion_figure
from qvit_qiskit.comparison.figures import reliability as calibration_figure
from qvit_qiskit.comparison.figures import roc as roc_figure
from qvit_qiskit.comparison.sections.base import Drawn, Section
from qvit_qiskit.pages.table import NOTHING, Entry, Table, cell, listed

MOST = 24
"""Images that are named in a table's cell."""


def listed_images(images: Sequence[int], most: int) -> str:
    """Numbers of images, the first ones if there are many.

    Args:
        images: Counted from 0.
        most: How many are named.
    """
    named = [str(image) for image in images[:most]]
    return ", ".join([*named, *(["…"] if len(images) > most else [])]) or NOTHING


def roc(comparison: Comparison) -> Section | None:
    """ROC curves with bands."""
    if np.isnan(comparison.curves[comparison.exact.name].curve).all():
        return None
    names = comparison.class_names
    what = (
        f"How well the probability of “{names[1]}” ranks images of that class above the others."
        if len(names) == 2 and not comparison.multi_label
        else "How well a class's probability ranks its images above the others: the mean over the "
        "classes of the one-versus-rest curves."
    )
    text = [
        what + " Bands cover the choice of test images, with the shots of each: images are drawn "
        "again within their class. They hold each point with 95 % confidence, the whole curve "
        "with less, and they are too narrow in the corners, where few images decide."
    ]
    drawn = Drawn(
        roc_figure.draw(comparison),
        "ROC curves of every rung beside the exact rung's, with 95 % bands",
        "ROC curves with pointwise 95 % bands from a stratified bootstrap of the images.",
    )
    return Section("roc", "ROC curves", text, [drawn])


def calibration(comparison: Comparison) -> Section:
    """Reliability diagrams."""
    two, several = len(comparison.class_names) == 2, comparison.multi_label
    drawn = Drawn(
        calibration_figure.draw(comparison),
        "Reliability diagrams of every rung, with histograms of the predicted probabilities",
        "Above, the observed share against the mean predicted probability in ten bins of equal "
        "width; error bars are 95 % Wilson intervals over the test images of a bin. Below, the "
        "number of images in each bin.",
    )
    name = comparison.class_names[1]
    text = [
        f"Do images belong to class “{name}” as often as its predicted probability says? On the "
        "diagonal they do."
        if two and not several
        else "Do labels apply as often as their predicted probabilities say? All labels are taken "
        "together, and the error bars take them for independent. On the diagonal they do."
        if several
        else "Are answers right as often as the predicted probability says? On the diagonal they "
        "are."
    ]
    return Section("calibration", "Calibration", text, [drawn])


def confusion(comparison: Comparison) -> Section:
    """Confusion matrices and recall."""
    several = comparison.multi_label
    what = "label" if several else "class"
    images = "Images with each label by answer" if several else "Images by true and predicted class"
    drawn = Drawn(
        confusion_figure.draw(comparison),
        "Confusion matrices of every rung",
        f"{images}: counts, and as colour their share of the true {what}. "
        "Counts of these images have no error bars; the table tells how far the recalls carry.",
    )
    confusions = [comparison.confusions[rung.name] for rung in comparison.rungs]
    rows = [
        (
            Entry(name),
            Entry(f"{confusions[0].images[k]}"),
            *(cell(one.recalls[k]) for one in confusions),
        )
        for k, name in enumerate(comparison.class_names)
    ]
    table = Table(
        f"Recall of each {what} with 95 % Wilson intervals over the test images and their shots.",
        (what, "images", *(rung.name for rung in comparison.rungs)),
        rows,
    )
    text = ["Which classes are taken for which, rung by rung."]
    if several:
        text = ["Which labels are missed, rung by rung."]
    return Section(
        "confusion", "Confusion matrices", text, [drawn, table, *change_tables(comparison)]
    )


def change_tables(comparison: Comparison, most: int = MOST) -> list[Table]:
    """Which images each rung answers otherwise than the exact one.

    Args:
        comparison: What is compared.
        most: How many images are named.

    Returns:
        One table, or none where there is no rung but the exact one.
    """
    rows = [
        (
            Entry(rung.name),
            Entry(f"{len(answers.changed):,}"),
            Entry(listed_images(answers.changed, most)),
        )
        for rung in comparison.rungs[1:]
        for answers in [comparison.by_image[rung.name]]
    ]
    if not rows:
        return []
    caption = (
        f"Images that are answered otherwise than by {comparison.exact.name}, counted from 0; "
        "predictions.csv has every answer."
    )
    return [Table(caption, ("rung", "images", "which"), rows)]


def _chosen(comparison: Comparison, rung: Rung) -> str:
    """Which images are shown, and why."""
    shown = comparison.shown
    are = "are images" if len(shown) > 1 else "is image"
    choice = f"Shown {are} {listed([str(image) for image in shown])}, counted from 0"
    if comparison.maps.most_moved:
        return (
            f"{choice}: those whose predicted probabilities moved most from exact to {rung.name}, "
            "and last the one that moved least."
        )
    return f"{choice}."


def attention(comparison: Comparison) -> Section | None:
    """Attention maps over the shown images."""
    if comparison.exact.name not in comparison.attention or not comparison.shown:
        return None
    rung, what = comparison.maps.rung, "labels" if comparison.multi_label else "class"
    text = [
        "The attention that each patch receives, averaged over the queries, over the image. 1 is "
        "what a patch receives if attention is uniform."
    ]
    if not comparison.pictures:
        text.append("Pictures of own images are shown on request only: `--pictures`.")
    if rung:
        text.append(_chosen(comparison, rung))
    if rung and rung.shots:
        text.append(
            f"The maps of {rung.name} come from one measurement with its shot noise and have no "
            "error bars, so a small difference in one map says little."
        )
    pieces = [
        Drawn(
            attention_figure.draw(comparison, place),
            f"Attention maps over image {number}",
            f"Image {number} of {what} “{comparison.named(number)}”"
            + (f": exact, {rung.name}, and {rung.name} minus exact." if rung else "."),
        )
        for place, number in enumerate(comparison.shown)
    ]
    return Section("attention", "Attention over the image", text, [*pieces])
