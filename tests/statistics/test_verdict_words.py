"""The words of a verdict: by definition, at their edges, and how often they are wrong."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtr, ndtri

from qvit_qiskit import metrics
from qvit_qiskit.exceptions import DataError
from qvit_qiskit.statistics.differences import Difference, acc_difference, auc_difference
from qvit_qiskit.statistics.intervals import IMAGES, Interval
from qvit_qiskit.statistics.verdicts import corrected_level, loss_of, short, verdict_on


def difference(value: float, low: float, high: float, level: float = 0.95) -> Difference:
    """A device's score less the exact model's."""
    interval = Interval(value, low, high, level, "given", IMAGES)
    return Difference("AUC", 0.8, 0.8 + value, interval, 0.5, "given")


@pytest.mark.parametrize(
    ("value", "low", "high", "word"),
    [
        (0.0, -0.004, 0.004, "as good (within 0.005)"),
        (0.02, 0.01, 0.03, "as good (within 0.005)"),  # better than the exact model
        (-0.003, -0.004, -0.002, "as good (within 0.005)"),  # worse too, but within the tolerance
        (0.0, -0.005, 0.005, "undecided"),  # the tolerance itself is a loss that matters
        (-0.02, -0.03, -0.01, "worse by at least 0.010"),
        (-0.02, -0.04, -1e-9, "worse by at least 1e-09"),
        (-0.02, -0.04, 0.0, "undecided"),
        (0.0, -0.1, 0.1, "undecided"),
        (math.nan, math.nan, math.nan, "undecided"),
    ],
)
def test_words(value: float, low: float, high: float, word: str) -> None:
    assert verdict_on(difference(value, low, high), images=100).describe() == word


def test_a_loss_is_a_difference_turned_round() -> None:
    loss = loss_of(difference(-0.02, -0.04, 0.01))
    assert (loss.value, loss.low, loss.high) == (0.02, -0.01, 0.04)


@given(
    st.floats(-0.05, 0.05),
    st.floats(0.001, 0.2),
    st.floats(0.001, 0.05),
    st.integers(10, 1000),
)
def test_the_number_of_images_is_the_smallest_that_decides(
    loss: float, reach: float, tolerance: float, images: int
) -> None:
    """Against a search: intervals shrink as one over the root of the number of images."""
    verdict = verdict_on(difference(-loss, -loss - reach, -loss + reach), tolerance, images=images)
    if verdict.word != "undecided":
        assert verdict.images is None
        return
    assert verdict.images is not None

    def decided(count: float) -> bool:
        less = reach * math.sqrt(images / count)
        return (
            verdict_on(difference(-loss, -loss - less, -loss + less), tolerance, images=images).word
            != "undecided"
        )

    assert decided(1.001 * verdict.images)
    assert not decided(0.89 * verdict.images) or verdict.images <= images * 1.12


def test_the_number_of_shots_is_what_is_left_beside_the_images() -> None:
    """An interval of which half the variance is the shots'."""
    reach = 0.02
    given = difference(0.0, -reach, reach)
    own = Interval(0.8, 0.8 - reach / 2**0.5, 0.8 + reach / 2**0.5, 0.95, "redraws", IMAGES)
    verdict = verdict_on(given, 0.016, images=100, shots=64, over_shots=own)
    assert verdict.shots is not None
    left = reach * math.sqrt(0.5 + 0.5 * 64 / verdict.shots)
    assert left <= 0.016 < reach * math.sqrt(0.5 + 0.5 * 64 / (0.85 * verdict.shots))
    assert verdict_on(given, 0.01, images=100, shots=64, over_shots=own).shots is None
    assert verdict_on(given, 0.016, images=100).shots is None


def test_levels_and_refusals() -> None:
    assert corrected_level(1) == 0.95
    assert corrected_level(5) == pytest.approx(0.99)
    for tolerance in (0.0, -1.0, 1.0, math.nan, math.inf):
        with pytest.raises(DataError, match="tolerance above 0 and below 1"):
            verdict_on(difference(0, -1, 1), tolerance, images=10)
    with pytest.raises(DataError, match="at least one thing"):
        corrected_level(0)
    assert [short(x) for x in (0.005, 0.0, 0.0004, 0.0123)] == ["0.005", "0.000", "0.0004", "0.012"]


@pytest.mark.parametrize(("metric", "scale"), [("AUC", math.sqrt(2)), ("ACC", 2.0)])
@pytest.mark.parametrize("times", [0.0, 1.0])
def test_wrong_words_are_rare(
    metric: str, scale: float, times: float, rng: np.random.Generator
) -> None:
    """300 simulated devices with a true loss of 0, or of the tolerance, on 60 images."""
    tolerance, apart = 0.05, 1.5
    compare = auc_difference if metric == "AUC" else acc_difference
    less = float(scale * ndtri(ndtr(apart / scale) - times * tolerance))
    words = []
    for _ in range(300):
        labels = (rng.random(60) < 0.5).astype(int)
        common, own = rng.normal(size=(2, 60))
        scores = [
            apart * (labels - 0.5) + common,
            less * (labels - 0.5) + 0.97 * common + 0.24 * own,
        ]
        exact, device = (np.stack([1 - p, p], 1) for p in map(metrics.sigmoid, scores))
        words.append(verdict_on(compare(labels, exact, device), tolerance, images=60).word)
    wrong = words.count("worse" if times == 0 else "as good")
    assert wrong <= 300 * 0.025 + 4 * math.sqrt(300 * 0.025)
