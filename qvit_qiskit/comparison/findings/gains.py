"""What the correction by anchors gained: in the outputs beyond shot noise, and in the scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from qvit_qiskit.comparison.correction import Common
from qvit_qiskit.comparison.evidence import Evidence, Rung
from qvit_qiskit.comparison.findings.image_answers import ImageAnswers
from qvit_qiskit.comparison.findings.parts import LayerError, Parts, squares_of
from qvit_qiskit.comparison.findings.scores import covered
from qvit_qiskit.statistics.differences import Difference, acc_difference, auc_difference
from qvit_qiskit.statistics.intervals import Interval, mean_interval


@dataclass(frozen=True)
class LayerGain:
    """Mean square errors of one quantum layer's outputs, as measured and corrected."""

    layer: int
    """Counted from 1."""
    common: Common
    """What the anchors say."""
    before: Interval
    """Beyond shot noise, as measured."""
    after: Interval
    """Beyond shot noise, corrected."""
    change: Interval
    """Of that, image by image."""
    change_with_shots: Interval
    """Of the whole, whose shot noise the correction stretches."""


@dataclass(frozen=True)
class Gain:
    """A rung corrected by its anchors against the same as measured."""

    rung: str
    """The corrected one."""
    than: str
    layers: tuple[LayerGain, ...]
    differences: tuple[Difference, Difference]
    """AUC and ACC of the corrected rung less those as measured."""


def gains(
    evidence: Evidence, images: Mapping[str, ImageAnswers], errors: Sequence[LayerError]
) -> tuple[Gain, ...]:
    """What every correction gained.

    Args:
        evidence: What is compared.
        images: What its rungs answer, image by image.
        errors: Of the quantum layers of its rungs, with their parts.
    """
    rungs = {rung.name: rung for rung in evidence.rungs}
    parts = {(one.rung, one.layer): one.parts for one in errors}
    gained = []
    for one in evidence.corrections:
        measured, corrected = rungs[one.than], rungs[one.rung]
        before, after = (images[name].probabilities for name in (one.than, one.rung))
        auc, acc = (
            difference(evidence.labels, before, after, covers=covered(corrected))
            for difference in (auc_difference, acc_difference)
        )
        layers = []
        for layer, common in enumerate(one.layers, start=1):
            known = [parts[name, layer] for name in (one.than, one.rung)]
            changes = _changes(measured, corrected, layer - 1, len(evidence.labels))
            layers.append(LayerGain(layer, common, *_beyond(known, changes, corrected)))
        gained.append(Gain(one.rung, one.than, tuple(layers), (auc, acc)))
    return tuple(gained)


@dataclass(frozen=True)
class _Changes:
    """Mean squares by image, each of shape (images,)."""

    before: np.ndarray
    beyond: np.ndarray
    whole: np.ndarray


def _changes(measured: Rung, corrected: Rung, layer: int, images: int) -> _Changes:
    """What was left beyond shot noise, and how that and the whole changed."""
    whole, shots = squares_of(measured, layer, images)
    left, stretched = squares_of(corrected, layer, images)
    before = whole - shots  # may be negative: both are estimates
    return _Changes(before, left - stretched - before, left - whole)


def _beyond(
    parts: Sequence[Parts | None], changes: _Changes, corrected: Rung
) -> tuple[Interval, Interval, Interval, Interval]:
    """Before, after, and both changes; what the parts of the error say already is taken there."""
    first, second = parts
    assert first is not None
    assert second is not None

    def mean(values: np.ndarray) -> Interval:
        return mean_interval(values, scale="identity", covers=covered(corrected))

    before = first.rest if first.reported is None else mean(changes.before)
    return before, second.rest, mean(changes.beyond), mean(changes.whole)
