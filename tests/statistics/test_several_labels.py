"""Intervals and differences where an image may have several labels."""

import numpy as np
import pytest

from qvit_qiskit import metrics
from qvit_qiskit.metrics import sigmoid
from qvit_qiskit.statistics.differences import acc_difference, auc_difference, mcnemar
from qvit_qiskit.statistics.influence import areas
from qvit_qiskit.statistics.intervals import acc_interval, auc_interval, share_interval, wilson
from qvit_qiskit.statistics.resampling import replicates


def draw(rng, n=80, labels=5):
    """Labels that go together, and two rungs' probabilities that go together, too."""
    sick = rng.normal(size=(n, 1))
    truth = (rng.random((n, labels)) < 1 / (1 + np.exp(1 - sick))).astype(np.int64)
    truth[:2] = [[0] * labels, [1] * labels]
    first = truth + 0.7 * rng.normal(size=(n, 1)) + 0.7 * rng.normal(size=(n, labels)) - 0.5
    return truth, sigmoid(first), sigmoid(first + 0.4 * rng.normal(size=(n, labels)))


def test_influences_are_what_an_image_moves(rng):
    """Against the jackknife: leaving an image out moves the mean area against its influence."""
    truth, chances, _ = draw(rng, 60, 3)
    found = areas(truth, chances)
    assert found.mean == pytest.approx(metrics.auc(truth, chances), abs=1e-12)
    left = np.array(
        [metrics.auc(np.delete(truth, i, 0), np.delete(chances, i, 0)) for i in range(60)]
    )
    assert np.corrcoef(found.influence, found.mean - left)[0, 1] > 0.99
    jackknife = 59 / 60 * np.sum((left - left.mean()) ** 2)
    assert np.sum(found.influence**2) == pytest.approx(jackknife, rel=0.1)


def test_delong_and_a_bootstrap_agree(rng):
    truth, first, second = draw(rng, 150)
    one = np.zeros(150, int)
    for found, metric in (
        (auc_interval(truth, first), lambda k: metrics.auc(truth[k], first[k])),
        (
            auc_difference(truth, first, second).interval,
            lambda k: metrics.auc(truth[k], second[k]) - metrics.auc(truth[k], first[k]),
        ),
        (
            acc_difference(truth, first, second).interval,
            lambda k: metrics.accuracy(truth[k], second[k]) - metrics.accuracy(truth[k], first[k]),
        ),
    ):
        assert found.value == pytest.approx(metric(np.arange(150)))
        draws = replicates(
            one,
            lambda c, m=metric: [m(np.repeat(np.arange(150), r.astype(int))) for r in c],
            300,
            0,
        )
        low, high = np.quantile(draws, [0.025, 0.975])
        assert found.high - found.low == pytest.approx(high - low, rel=0.25)


def test_answers_to_one_image_are_not_taken_for_independent(rng):
    """Labels that are all right or all wrong tell as much as one label does."""
    hits = rng.random(60) < 0.8
    several, single = share_interval(np.tile(hits[:, None], 7)), share_interval(hits)
    assert several.value == single.value
    assert several.high - several.low == pytest.approx(single.high - single.low, rel=0.06)
    apart = share_interval(rng.random((60, 7)) < 0.8)
    assert apart.high - apart.low < 0.6 * (single.high - single.low)
    none = share_interval(np.ones((60, 7)))
    assert (none.low, none.high) == (wilson(60, 60).low, 1.0)


def test_differences_with_one_label_are_those_of_single_labels(rng):
    """Two columns that say the same are one label twice."""
    truth, first, second = (np.repeat(part[:, :1], 2, axis=1) for part in draw(rng, 90))
    found = acc_difference(truth, first, second)
    single = [np.stack([1 - p[:, 0], p[:, 0]], axis=1) for p in (first, second)]
    plain = acc_difference(truth[:, 0], *single)
    assert found.interval.value == pytest.approx(plain.interval.value)
    assert found.first == plain.first
    width, usual = (i.high - i.low for i in (found.interval, plain.interval))
    assert width == pytest.approx(usual, rel=0.1)  # half an image is added instead of a whole one
    assert acc_difference(truth, first, first).p == 1.0 == mcnemar(0, 0)
    assert acc_interval(truth, first).value == metrics.accuracy(truth, first)


def test_a_difference_of_equal_ranks_keeps_a_width(rng):
    truth, first, _ = draw(rng, 40)
    found = auc_difference(truth, first, first)
    assert found.interval.value == 0
    assert 0 < found.interval.high < 0.05
