import math
from itertools import pairwise

import numpy as np
import pytest
from reference.statistics import (
    delong_covariance,
    freedom,
    hanley_mcneil_error,
    left_out_influences,
)
from scipy import stats

from qvit_qiskit.exceptions import DataError
from qvit_qiskit.metrics import accuracy, auc, softmax
from qvit_qiskit.statistics.influence import areas, of_mean, spread
from qvit_qiskit.statistics.intervals import (
    Interval,
    acc_interval,
    auc_interval,
    mean_interval,
    rms_interval,
    score_limits,
    seeds_interval,
    shots_interval,
    wilson,
)
from qvit_qiskit.statistics.resampling import replicates

Z = stats.norm.ppf(0.975)
RETINA = (174 / 400, 66 / 400, 92 / 400, 48 / 400, 20 / 400)


def sample(rng, n=60, shares=(0.3, 0.7), distance=1.2, digits=None):
    """Labels and probabilities; with ``digits``, many are tied."""
    labels = rng.permutation(
        np.repeat(np.arange(len(shares)), np.round(n * np.array(shares)).astype(int))
    )
    scores = rng.normal(size=(len(labels), len(shares))) + distance * np.eye(len(shares))[labels]
    return labels, softmax(scores if digits is None else np.round(scores, digits))


def binary(scores):
    return np.stack([1 - scores, scores], axis=1)


def ends(interval):
    return interval.low, interval.high


# What an interval says


def test_an_interval_says_what_it_covers():
    found = Interval(0.8731, 0.8119, 0.9172, 0.95, "Wilson", ("test images", "shots"))
    assert str(found) == "0.873 [0.812, 0.917]"
    assert found.describe() == (
        "0.873 [0.812, 0.917], 95 % interval over test images and shots (Wilson)"
    )


@pytest.mark.parametrize("classes", [2, 4])
def test_an_auc_of_one_class_is_undefined(classes):
    found = auc_interval(np.ones(6, int), np.full((6, classes), 1 / classes))
    assert math.isnan(found.value)
    assert str(found) == "undefined"
    assert "do not determine" in found.describe()


# Wilson


@pytest.mark.parametrize(("k", "n"), [(0, 7), (7, 7), (1, 40), (226, 400), (155, 156)])
@pytest.mark.parametrize("level", [0.8, 0.95])
def test_wilson_equals_scipys(k, n, level):
    found = wilson(k, n, level)
    theirs = stats.binomtest(k, n).proportion_ci(level, "wilson")
    assert ends(found) == pytest.approx((theirs.low, theirs.high), abs=1e-12)
    assert found.low <= found.value == k / n <= found.high


@pytest.mark.parametrize("classes", [2, 5])
def test_acc_is_the_official_one(rng, classes):
    labels, scores = sample(rng, shares=np.full(classes, 1 / classes))
    found = acc_interval(labels, scores, covers=("test images", "shots"))
    assert found.value == pytest.approx(accuracy(labels, scores), abs=1e-15)
    assert ends(found) == ends(wilson(round(found.value * len(labels)), len(labels)))
    assert found.covers == ("test images", "shots")


# DeLong


@pytest.mark.parametrize("digits", [None, 0])
@pytest.mark.parametrize("shares", [(0.3, 0.7), RETINA, (0.5, 0.5, 0.0)])
def test_the_value_is_the_official_auc(rng, shares, digits):
    labels, scores = sample(rng, shares=shares, digits=digits)
    assert auc_interval(labels, scores).value == pytest.approx(auc(labels, scores), abs=1e-14)


@pytest.mark.parametrize("digits", [None, 0])
def test_delong_equals_sums_over_pairs(rng, digits):
    labels, scores = sample(rng, digits=digits)
    found = areas(labels, scores)
    slow = delong_covariance(labels, scores[:, 1], scores[:, 1])
    error = spread(found.influence, labels).error
    assert error**2 == pytest.approx(slow, rel=1e-12)
    theirs = stats.brunnermunzel(scores[labels == 0, 1], scores[labels == 1, 1])
    assert (found.mean - 0.5) / error == pytest.approx(abs(theirs.statistic), rel=1e-10)


@pytest.mark.parametrize("level", [0.8, 0.95])
def test_the_interval_is_symmetric_in_the_logit(rng, level):
    labels, scores = sample(rng, distance=1.8)
    found = auc_interval(labels, scores, level)
    variance = delong_covariance(labels, scores[:, 1], scores[:, 1])
    reach = math.sqrt(variance) / (found.value * (1 - found.value))
    reach *= stats.t.ppf((1 + level) / 2, freedom(areas(labels, scores).influence, labels))
    odds = math.log(found.value / (1 - found.value))
    expected = [1 / (1 + math.exp(-x)) for x in (odds - reach, odds + reach)]
    assert ends(found) == pytest.approx(tuple(expected), rel=1e-9)


@pytest.mark.parametrize("digits", [None, 0])
def test_influences_equal_those_of_leaving_images_out(rng, digits):
    labels, scores = sample(rng, n=40, shares=(0.5, 0.3, 0.2), digits=digits)
    np.testing.assert_allclose(
        areas(labels, scores).influences, left_out_influences(labels, scores), atol=1e-12
    )


def test_the_joint_error_of_five_classes_is_that_of_repeated_test_sets(rng):
    """Classes share images; the error that follows is compared with the spread of 500 sets."""
    values, errors = [], []
    for _ in range(500):
        labels = rng.choice(5, 200, p=RETINA)
        found = areas(labels, softmax(rng.normal(size=(200, 5)) + np.eye(5)[labels]))
        values.append(found.mean)
        errors.append(spread(found.influence, labels).error)
    assert np.sqrt(np.nanmean(np.square(errors))) == pytest.approx(np.std(values), rel=0.12)


def test_two_columns_or_a_third_empty_class_are_the_same_curve(rng):
    labels, scores = sample(rng)
    wide = np.concatenate([scores, np.zeros((len(scores), 1))], axis=1)
    assert ends(auc_interval(labels, wide)) == pytest.approx(ends(auc_interval(labels, scores)))


def test_only_the_order_of_scores_counts(rng):
    labels, scores = sample(rng)
    found = auc_interval(labels, scores)
    bent = auc_interval(labels, binary(scores[:, 1] ** 3))
    assert (bent.value, *ends(bent)) == pytest.approx((found.value, *ends(found)), abs=1e-12)


def test_flipped_labels_and_shuffled_images_change_nothing(rng):
    labels, scores = sample(rng)
    found = ends(auc_interval(labels, scores))
    assert ends(auc_interval(1 - labels, scores[:, ::-1])) == pytest.approx(found, abs=1e-12)
    order = rng.permutation(len(labels))
    assert ends(auc_interval(labels[order], scores[order])) == pytest.approx(found, abs=1e-12)
    mirrored = auc_interval(labels, scores[:, ::-1])
    assert (1 - mirrored.high, 1 - mirrored.low) == pytest.approx(found, abs=1e-12)


def test_degrees_of_freedom_are_satterthwaites_unless_tails_are_heavy(rng):
    groups = np.repeat([0, 1], [9, 30])
    even = np.concatenate([np.linspace(-1, 1, 9), 2 * np.linspace(-1, 1, 30)])
    a, b = np.sum(even[:9] ** 2), np.sum(even[9:] ** 2)
    assert spread(even, groups).freedom == pytest.approx((a + b) ** 2 / (a * a / 8 + b * b / 29))
    tail = np.where(np.arange(39) == 20, 30.0, even)
    assert spread(tail, groups).freedom < 3
    skewed, three = rng.lognormal(size=60), 2 * rng.integers(0, 3, 60)  # labels may leave gaps
    assert spread(skewed, three).freedom == pytest.approx(freedom(skewed, three))
    theirs = stats.ttest_1samp(even[:9] + 1, 0)
    assert of_mean(even[:9] + 1).p(1.0) == pytest.approx(theirs.pvalue, rel=1e-9)


# Where DeLong has nothing to go by


@pytest.mark.parametrize(("m", "n"), [(2, 3), (42, 114), (300, 100)])
@pytest.mark.parametrize("area", [0.3, 0.9, 1.0])
def test_score_limits_are_just_significant(rng, m, n, area):
    labels = np.repeat([1, 0], [m, n])
    found = areas(labels, binary(rng.uniform(size=m + n)))
    found.values[:] = area
    low, high = score_limits(found, 0.95)
    assert area - low == pytest.approx(Z * hanley_mcneil_error(low, m, n), rel=1e-6)
    if area < 1:
        assert high - area == pytest.approx(Z * hanley_mcneil_error(high, m, n), rel=1e-6)
    assert 0 < low < area <= high <= 1


def test_a_perfect_auc_keeps_an_error_that_shrinks_with_the_images():
    lows = []
    for n in (2, 10, 100, 1000):
        labels = np.repeat([0, 1], n)
        found = auc_interval(labels, binary(np.linspace(0, 1, 2 * n)))
        assert (found.value, found.high) == (1.0, 1.0)
        assert "Newcombe" in found.method
        lows.append(found.low)
    assert lows[0] > 0.1
    assert all(a < b for a, b in pairwise(lows))
    worst = auc_interval(labels, binary(np.linspace(1, 0, 2 * n)))
    assert ends(worst) == pytest.approx((0.0, 1 - found.low))


@pytest.mark.parametrize("sizes", [(1, 1), (1, 20), (2, 2), (1, 5, 20)])
def test_tiny_classes_have_wide_intervals(rng, sizes):
    labels = np.repeat(np.arange(len(sizes)), sizes)
    found = auc_interval(labels, softmax(rng.normal(size=(len(labels), len(sizes)))))
    assert 0 <= found.low <= found.value <= found.high <= 1
    assert found.high - found.low > 0.2


# The bootstrap


def test_resamples_are_those_of_the_seed_and_uniform(rng, monkeypatch):
    labels, _ = sample(rng)
    seen = []
    for seed in (1, 1, 2):
        counts = replicates(labels, lambda counts: counts, 100, seed)
        np.testing.assert_array_equal(counts.sum(axis=1), len(labels))
        for k in np.unique(labels):  # images are drawn within their class
            np.testing.assert_array_equal(counts[:, labels == k].sum(axis=1), sum(labels == k))
        seen.append(counts.tolist())
    assert seen[0] == seen[1] != seen[2]
    totals = replicates(labels, lambda counts: counts[:, 0], 4000, seed=5)
    size = np.count_nonzero(labels == labels[0])
    expected = 4000 * stats.binom.pmf(range(4), size, 1 / size)
    np.testing.assert_allclose(np.bincount(totals.astype(int))[:4], expected, rtol=0.2)
    monkeypatch.setattr("qvit_qiskit.statistics.resampling.BLOCK", 1000)  # 16 resamples at a time
    small = replicates(labels, lambda counts: np.full(len(counts), len(counts)), 100, seed=1)
    assert len(small) == 100
    assert small.max() == 16


# Shots


def test_shots_use_the_redraws_deviation_around_the_recorded_value(rng):
    draws = 0.78 + 0.01 * rng.standard_normal(400)  # below the value, as noise upon noise is
    found = shots_interval(0.8, draws)
    reach = stats.t.ppf(0.975, 399) * draws.std(ddof=1)
    assert ends(found) == pytest.approx((0.8 - reach, 0.8 + reach), rel=0.02)
    assert found.covers == ("shots",)
    plain = shots_interval(3.0, draws + 2, scale="identity")
    assert ends(plain) == pytest.approx((3.0 - reach, 3.0 + reach))


def test_redraws_around_truths_of_their_own_deviate_within_groups(rng):
    within = 0.01 * rng.standard_normal((8, 50))
    moved = 0.7 + 0.05 * rng.standard_normal((8, 1)) + within
    found = shots_interval(3.0, moved.ravel(), scale="identity", groups=8)
    reach = stats.t.ppf(0.975, 392) * np.sqrt(within.var(axis=1, ddof=1).mean())
    assert ends(found) == pytest.approx((3.0 - reach, 3.0 + reach))
    one = shots_interval(0.7, moved[0], groups=1)
    assert ends(one) == ends(shots_interval(0.7, moved[0]))


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_saturated_values_keep_a_width_when_redraws_differ(value):
    draws = np.abs(value - np.array([0.0, 0.0, 0.01, 0.0, 0.02]))
    found = shots_interval(value, draws)
    assert 0.01 < found.high - found.low < 0.2
    assert 0 <= found.low <= value <= found.high <= 1


def test_redraws_that_agree_or_are_undefined():
    assert ends(shots_interval(0.75, [0.75] * 9)) == (0.75, 0.75)
    assert math.isnan(shots_interval(math.nan, [math.nan] * 9).low)


@pytest.mark.parametrize("value", [0.0, 0.75, 1.0])
def test_with_a_step_redraws_that_agree_keep_a_width(value):
    """As wide as if one of N + 2 redraws had moved by a step; redraws that differ are wider."""
    step, reaches = 1 / 400, []
    for count in (10, 100, 1000):
        low, high = ends(shots_interval(value, [value] * count, step=step))
        assert 0 <= low <= value <= high <= 1
        assert high - low < 6 * step
        reaches.append(high - low)
    assert reaches[0] > reaches[1] > reaches[2] > 0
    moved = [abs(value - step), *[value] * 99]
    assert np.ptp(ends(shots_interval(value, moved, step=step))) >= reaches[1]
    found = shots_interval(3.0, [3.0] * 18, scale="identity", step=0.5)
    reach = stats.t.ppf(0.975, 17) * 0.5 * math.sqrt(0.05 * 0.95)
    assert ends(found) == pytest.approx((3.0 - reach, 3.0 + reach))


def test_a_step_changes_nothing_where_redraws_differ_by_more(rng):
    draws = 0.78 + 0.01 * rng.standard_normal(100)
    assert ends(shots_interval(0.8, draws, step=1e-3)) == ends(shots_interval(0.8, draws))


# Seeds and means


def test_seeds_are_students(rng):
    values = rng.normal(0.8, 0.02, 5)
    theirs = stats.ttest_1samp(values, 0).confidence_interval(0.9)
    found = seeds_interval(values, 0.9)
    assert ends(found) == pytest.approx((theirs.low, theirs.high))
    assert found.covers == ("seeds",)


def test_rows_of_an_image_are_no_independent_values(rng):
    """Repeating an image's rows adds nothing to what is known."""
    values = rng.exponential(size=(30, 4))
    found = mean_interval(values)
    assert ends(mean_interval(np.tile(values, (1, 6)))) == pytest.approx(ends(found))
    assert ends(mean_interval(values.mean(axis=1))) == pytest.approx(ends(found))
    naive = mean_interval(values.ravel())
    assert naive.high - naive.low != pytest.approx(found.high - found.low)


def test_means_scale_and_shift(rng):
    values = rng.uniform(size=50)
    low, high = ends(mean_interval(values))
    assert ends(mean_interval(1000 * values)) == pytest.approx((1000 * low, 1000 * high))
    low, high = ends(mean_interval(values, scale="identity"))
    theirs = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert (low, high) == pytest.approx((theirs.low, theirs.high))  # light tails: the plain t
    assert ends(mean_interval(values - 2, scale="identity")) == pytest.approx((low - 2, high - 2))
    assert ends(mean_interval(np.zeros(9))) == (0.0, 0.0)


def test_the_rms_is_the_root_of_the_mean_square(rng):
    errors = rng.normal(size=(40, 3, 2))
    found, square = rms_interval(errors), mean_interval(errors**2)
    assert found.value == pytest.approx(np.sqrt(np.mean(errors**2)))
    assert ends(found) == pytest.approx(tuple(np.sqrt(ends(square))))


def test_skewed_means_are_covered(rng):
    """The plain t interval holds the mean in about 90 of 100 such samples."""
    held = [low <= math.exp(0.5) <= high for low, high in _lognormal_limits(rng)]
    assert np.mean(held) > 0.915


def _lognormal_limits(rng):
    return (ends(mean_interval(rng.lognormal(size=40))) for _ in range(1000))


@pytest.mark.parametrize("distance", [0.5, 2.4])
def test_aucs_are_covered(rng, distance):
    truth = stats.norm.cdf(distance / math.sqrt(2))
    held = []
    for _ in range(500):
        labels = np.repeat([0, 1], [114, 42])
        found = auc_interval(labels, binary(stats.norm.cdf(rng.normal(distance * labels))))
        held.append(found.low <= truth <= found.high)
    assert 0.92 < np.mean(held) < 0.98


# Bad input


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: wilson(1, 2, level=95), "between 0 and 1"),
        (lambda: wilson(3, 2), "successes"),
        (lambda: auc_interval([0, 1], [[0.5, 0.5]]), "shape"),
        (lambda: auc_interval([0, 1], np.eye(2), level=1.0), "between 0 and 1"),
        (lambda: replicates(np.zeros(3, int), len, 10, 0), "100 resamples"),
        (lambda: seeds_interval([0.8]), "at least two seeds"),
        (lambda: shots_interval(0.8, [0.8]), "at least two redraws"),
        (lambda: shots_interval(1.8, [1.8, 1.9]), "identity"),
        (lambda: shots_interval(0.8, [0.8] * 4, groups=3), "groups of equal size"),
        (lambda: shots_interval(0.8, [0.8] * 4, groups=4), "at least two redraws"),
        (lambda: shots_interval(0.8, [0.8] * 4, groups=0), "0 groups of 4 redraws"),
        (lambda: shots_interval(0.8, [0.8, 0.8], step=0), "positive step"),
        (lambda: shots_interval(0.8, [0.8, 0.8], step=2), "at most 1"),
        (lambda: shots_interval(0.8, [0.8, 0.8], scale="log"), "Unknown scale 'log'"),
        (lambda: mean_interval([1.0, 2.0], scale="logit"), "Unknown scale 'logit'"),
        (lambda: mean_interval([1.0, -1.0]), "identity"),
        (lambda: mean_interval([1.0]), "at least two images"),
        (lambda: mean_interval([1.0, 2.0], level=0.0), "between 0 and 1"),
    ],
)
def test_bad_input_is_refused(call, words):
    with pytest.raises(DataError, match=words):
        call()
