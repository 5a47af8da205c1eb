"""Scores over several seeds: against one seed's functions, resampling and arithmetic."""

import math

import numpy as np
import pytest
from scipy import stats

from qvit_qiskit import metrics
from qvit_qiskit.exceptions import DataError
from qvit_qiskit.statistics.differences import acc_difference, auc_difference
from qvit_qiskit.statistics.intervals import acc_interval, auc_interval
from qvit_qiskit.study.results.effects import effect
from qvit_qiskit.study.results.seed_scores import Part, combined, interval, measure

CLASSES = [2, 3]
SEVERAL = "several"


def answers(rng, classes, seeds, images=60, skill=1.0, shared=0.7):
    """Labels and probabilities of models that err on the same images, more or less."""
    if classes == SEVERAL:
        labels = (rng.random((images, 4)) < 0.4).astype(np.int64)
        common = rng.normal(size=(images, 4)) + skill * labels + 0.5 * rng.normal(size=(images, 1))
        logits = common + 0.5 * rng.normal(size=(seeds, images, 4))
        return Part(labels, metrics.sigmoid(logits))
    labels = rng.permutation(np.arange(images) % classes)
    common = rng.normal(size=(images, classes)) + skill * np.eye(classes)[labels]
    own = rng.normal(size=(seeds, images, classes))
    logits = np.sqrt(shared) * common + np.sqrt(1 - shared) * own
    return Part(labels, metrics.softmax(logits))


def other(rng, part, amount=0.8):
    """Another model on the same images."""
    several = part.labels.ndim == 2
    logits = np.log(part.probabilities) + amount * rng.normal(size=part.probabilities.shape)
    if several:
        logits -= np.log1p(-part.probabilities)
    chances = metrics.probabilities(logits, multi_label=several)
    return Part(part.labels, chances, part.weight)


@pytest.mark.parametrize("classes", [*CLASSES, SEVERAL])
def test_one_seed_is_one_training(rng, classes):
    part = answers(rng, classes, 1)
    chances = part.probabilities[0]
    auc, acc = measure("AUC", [part]), measure("ACC", [part])
    expected = auc_interval(part.labels, chances)
    found = interval(auc, [part])
    assert (found.value, found.low, found.high) == pytest.approx(
        (expected.value, expected.low, expected.high), abs=1e-12
    )
    expected, found = acc_interval(part.labels, chances), interval(acc, [part])
    assert (found.value, found.low, found.high) == pytest.approx(
        (expected.value, expected.low, expected.high), abs=1e-12
    )
    assert math.isnan(auc.deviation)


@pytest.mark.parametrize("classes", [*CLASSES, SEVERAL])
def test_one_seed_is_tested_as_one_training(rng, classes):
    part = answers(rng, classes, 1)
    twin = other(rng, part)
    for metric, difference in (("AUC", auc_difference), ("ACC", acc_difference)):
        expected = difference(part.labels, twin.probabilities[0], part.probabilities[0])
        found = effect([(1, measure(metric, [part])), (-1, measure(metric, [twin]))])
        assert found.value == pytest.approx(expected.interval.value, abs=1e-12)
        assert found.base == pytest.approx(expected.first)
        over = found.over_images
        assert over.p == pytest.approx(expected.p, rel=1e-9)
        assert (over.interval.low, over.interval.high) == pytest.approx(
            (expected.interval.low, expected.interval.high), abs=1e-12
        )
        assert math.isnan(found.over_seeds.p)
        assert found.best is found.over_images


def resampled(rng, statistic, labels, draws):
    """Standard error by drawing images within their classes."""
    strata = [np.flatnonzero(labels == k) for k in np.unique(labels)]
    found = []
    for _ in range(draws):
        rows = np.concatenate([rng.choice(members, len(members)) for members in strata])
        found.append(statistic(rows))
    return float(np.std(found, ddof=1))


@pytest.mark.parametrize("classes", CLASSES)
def test_the_error_of_a_mean_over_seeds_is_that_of_resampled_images(rng, classes):
    part = answers(rng, classes, 3, images=90)

    def mean_auc(rows):
        return np.mean([metrics.auc(part.labels[rows], c[rows]) for c in part.probabilities])

    error = measure("AUC", [part]).spread().error
    assert error == pytest.approx(resampled(rng, mean_auc, part.labels, 150), rel=0.25)
    right = np.array([[metrics.accuracy([y], [c]) for y, c in zip(part.labels, cs, strict=True)]
                      for cs in part.probabilities]).mean(axis=0)  # fmt: skip
    acc = measure("ACC", [part])
    assert acc.value == pytest.approx(right.mean())
    assert acc.spread().error == pytest.approx(right.std(ddof=1) / math.sqrt(len(right)))
    # Wilson's with the trials that give that variance
    trials = right.mean() * (1 - right.mean()) / (right.var() / len(right))
    z = stats.norm.ppf(0.975)
    centre = (right.mean() + z**2 / (2 * trials)) / (1 + z**2 / trials)
    found = interval(acc, [part])
    assert (found.low + found.high) / 2 == pytest.approx(centre)


def test_several_labels_of_several_seeds(rng):
    """Influences and shares are those of images; with many seeds the interval narrows little."""
    part = answers(rng, SEVERAL, 3, images=90)

    def mean_auc(rows):
        return np.mean([metrics.auc(part.labels[rows], c[rows]) for c in part.probabilities])

    draws = [rng.integers(0, 90, 90) for _ in range(60)]  # no strata: labels go together
    error = measure("AUC", [part]).spread().error
    assert error == pytest.approx(np.std([mean_auc(rows) for rows in draws]), rel=0.4)
    right = ((part.probabilities > 0.5) == part.labels).mean(axis=(0, 2))
    acc = measure("ACC", [part])
    assert acc.value == pytest.approx(right.mean())
    assert acc.spread().error == pytest.approx(right.std(ddof=1) / math.sqrt(90))
    found = interval(acc, [part])
    reach = stats.t.ppf(0.975, 89) * acc.spread().error
    assert found.high - found.low == pytest.approx(2 * reach, rel=0.1)
    twin = other(rng, part)
    compared = effect([(1, acc), (-1, measure("ACC", [twin]))])
    change = right - ((twin.probabilities > 0.5) == part.labels).mean(axis=(0, 2))
    expected = 2 * stats.norm.sf(abs(change.sum()) / math.sqrt(np.sum(change**2)))
    assert compared.over_images.p == pytest.approx(expected)


def test_a_mean_over_sets_adds_their_variances(rng):
    parts = [answers(rng, 2, 3, images=50), answers(rng, 3, 3, images=80)]
    halves = [Part(part.labels, part.probabilities, 0.5) for part in parts]
    for metric in ("AUC", "ACC"):
        alone = [measure(metric, [part]) for part in parts]
        both = measure(metric, halves)
        assert both.values == pytest.approx((alone[0].values + alone[1].values) / 2)
        errors = [one.spread().error for one in alone]
        assert both.spread().error == pytest.approx(math.hypot(*errors) / 2)
        found = interval(both, halves)
        assert found.low < both.value < found.high


def test_equal_ranks_are_no_proof_of_equality(rng):
    part = answers(rng, 2, 3)
    found = effect([(1, measure("AUC", [part])), (-1, measure("AUC", [part]))])
    assert found.over_images.p == found.over_both.p == 1
    assert found.over_images.interval.low < 0 < found.over_images.interval.high
    expected = auc_difference(part.labels, part.probabilities[0], part.probabilities[0])
    assert found.over_images.interval.low == pytest.approx(expected.interval.low)


def test_degenerate_scores_have_intervals():
    labels = np.arange(20) % 2
    right = np.stack([1.0 - labels, labels], axis=1)
    part = Part(labels, np.stack([right, right]))
    for metric in ("AUC", "ACC"):
        found = interval(measure(metric, [part]), [part])
        assert found.value == 1
        assert 0.7 < found.low < 0.99
        assert found.high == pytest.approx(1)
    same = effect([(1, measure("ACC", [part])), (-1, measure("ACC", [part]))])
    assert same.over_images.p == same.over_both.p == same.over_seeds.p == 1
    assert same.over_images.interval.low < 0 < same.over_both.interval.high
    unknown = effect([(1, measure("AUC", [part])), (-1, measure("AUC", [part]))])
    assert unknown.over_images.p == 1
    assert math.isnan(unknown.over_images.interval.low)
    one = Part(np.zeros(6, np.int64), np.full((2, 6, 2), 0.5))
    assert math.isnan(interval(measure("AUC", [one]), [one]).value)


def test_the_wrong_class_half_of_the_time_is_no_certainty():
    """Each image is right from one seed of two: no variance over images, yet few answers."""
    labels = np.arange(10) % 2
    right = np.stack([1.0 - labels, labels], axis=1)
    part = Part(labels, np.stack([right, 1 - right]))
    found = interval(measure("ACC", [part]), [part])
    assert found.value == 0.5
    expected = stats.binomtest(10, 20).proportion_ci(method="wilson")
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_pairs_over_seeds_are_a_t_test(rng):
    part = answers(rng, 2, 5)
    twin = other(rng, part)
    for metric in ("AUC", "ACC"):
        one, two = measure(metric, [part]), measure(metric, [twin])
        found = effect([(1, one), (-1, two)])
        expected = stats.ttest_rel(one.values, two.values)
        assert found.over_seeds.p == pytest.approx(expected.pvalue)
        limits = expected.confidence_interval(0.95)
        told = found.over_seeds.interval
        assert (told.low, told.high) == pytest.approx((limits.low, limits.high))
        assert found.relative == pytest.approx(found.value / two.value)


def test_over_both_is_the_sum_of_variances(rng):
    part = answers(rng, 2, 5)
    twin = other(rng, part)
    one, two = measure("AUC", [part]), measure("AUC", [twin])
    found = effect([(1, one), (-1, two)])
    difference = combined([(1, one), (-1, two)])
    images = difference.spread().plus(4 / (30 * 30) ** 2)
    seeds = float((one.values - two.values).std(ddof=1)) / math.sqrt(5)
    variances = [(images.error**2, images.freedom), (seeds**2, 4)]
    error = math.sqrt(sum(v for v, _ in variances))
    freedom = error**4 / sum(v**2 / f for v, f in variances)
    expected = stats.t(freedom, loc=found.value, scale=error).interval(0.95)
    told = found.over_both.interval
    assert (told.low, told.high) == pytest.approx(expected)
    assert found.over_both.p == pytest.approx(2 * stats.t.sf(abs(found.value) / error, freedom))


def test_over_both_rejects_rarely_where_there_is_no_difference(rng):
    """Two models of equal skill with own seeds and shared images: 5 % at the nominal level."""
    rejected, runs = 0, 150
    for _ in range(runs):
        images, seeds = 50, 4
        labels = np.arange(images) % 2
        hard = rng.normal(size=(images, 1))
        sides = []
        for _ in range(2):
            skill = 1 + 0.3 * rng.normal(size=(seeds, 1, 1))
            noise = 0.7 * rng.normal(size=(seeds, images, 1))
            logit = skill * (2 * labels - 1)[None, :, None] + hard + noise
            sides.append(Part(labels, metrics.softmax(np.concatenate([-logit, logit], axis=2))))
        found = effect([(1, measure("AUC", [sides[0]])), (-1, measure("AUC", [sides[1]]))])
        rejected += found.over_both.p < 0.05
    assert rejected <= stats.binom.ppf(0.9999, runs, 0.05)


def test_differences_of_differences_are_linear(rng):
    parts = [answers(rng, 2, 3)]
    models = [measure("AUC", [p]) for p in (parts[0], *(other(rng, parts[0]) for _ in range(3)))]
    terms = [(1, models[0]), (-1, models[1]), (-1, models[2]), (1, models[3])]
    found = effect(terms)
    by_seed = sum(factor * model.values for factor, model in terms)
    assert found.value == pytest.approx(by_seed.mean())
    assert math.isnan(found.base)
    assert math.isnan(found.relative)


def test_models_on_other_images_are_not_compared(rng):
    one = answers(rng, 2, 3)
    for wrong in (
        Part(1 - one.labels, one.probabilities),
        Part(one.labels, one.probabilities[:2]),
        Part(one.labels[:40], one.probabilities[:, :40]),
    ):
        with pytest.raises(DataError, match="the same seeds and images"):
            effect([(1, measure("AUC", [one])), (-1, measure("AUC", [wrong]))])
