import math
from itertools import pairwise

import numpy as np
import pytest
from reference.statistics import delong_covariance, mid_p
from scipy import stats

from qvit_qiskit.exceptions import DataError
from qvit_qiskit.metrics import accuracy, auc, softmax
from qvit_qiskit.statistics.differences import acc_difference, auc_difference, mcnemar
from qvit_qiskit.statistics.influence import areas, spread
from qvit_qiskit.statistics.resampling import replicates


def rungs(rng, n=120, classes=2, noise=0.7):
    """Labels, and probabilities with and without noise."""
    labels = rng.permutation(np.arange(n) % classes)
    scores = rng.normal(size=(n, classes)) + np.eye(classes)[labels]
    return labels, softmax(scores), softmax(scores + noise * rng.normal(size=scores.shape))


def ends(difference):
    return difference.interval.low, difference.interval.high


@pytest.mark.parametrize("b", range(9))
@pytest.mark.parametrize("c", [0, 1, 4, 11])
def test_mcnemar_equals_its_definition_and_scipys_exact_test(b, c):
    assert mcnemar(b, c) == pytest.approx(mid_p(b, c), abs=1e-12)
    if b != c:
        exact = stats.binomtest(b, b + c).pvalue
        assert mcnemar(b, c) == pytest.approx(exact - stats.binom.pmf(b, b + c, 0.5), abs=1e-12)


@pytest.mark.parametrize("classes", [2, 5])
def test_auc_differences_are_official_and_change_sign(rng, classes):
    labels, first, second = rungs(rng, classes=classes)
    found = auc_difference(labels, first, second)
    assert found.first == pytest.approx(auc(labels, first))
    assert found.second == pytest.approx(auc(labels, second))
    assert found.interval.value == pytest.approx(found.second - found.first)
    assert found.interval.low < found.interval.value < found.interval.high
    back = auc_difference(labels, second, first)
    assert ends(back) == pytest.approx((-found.interval.high, -found.interval.low))
    assert back.p == pytest.approx(found.p)


def test_paired_delong_equals_sums_over_pairs(rng):
    labels, first, second = rungs(rng)
    pair = first[:, 1], second[:, 1]
    terms = [delong_covariance(labels, pair[i], pair[j]) for i in (0, 1) for j in (0, 1)]
    paired = terms[0] + terms[3] - terms[1] - terms[2]
    influence = areas(labels, second).influence - areas(labels, first).influence
    error = spread(influence, labels)
    assert error.error**2 == pytest.approx(paired, rel=1e-10)
    found = auc_difference(labels, first, second)
    variance = paired + 4 / 60**4  # a pair of 60 × 60 swapped each way
    freedom = error.freedom * (variance / paired) ** 2
    reach = stats.t.ppf(0.975, freedom) * math.sqrt(variance)
    assert found.interval.high - found.interval.value == pytest.approx(reach)
    assert found.p == pytest.approx(
        2 * stats.t.sf(abs(found.interval.value) / math.sqrt(variance), freedom)
    )


def drawn(labels, first, second, metric, draws=300):
    """Ends of a percentile bootstrap of a paired difference, images drawn within classes."""

    def differences(counts):
        index = [np.repeat(np.arange(len(labels)), row.astype(int)) for row in counts]
        return [metric(labels[k], second[k]) - metric(labels[k], first[k]) for k in index]

    return np.quantile(replicates(labels, differences, draws, seed=4), [0.025, 0.975])


@pytest.mark.parametrize("classes", [2, 5])
def test_pairing_helps_and_a_bootstrap_agrees(rng, classes):
    labels, first, second = rungs(rng, n=400, classes=classes)
    width = np.ptp(ends(auc_difference(labels, first, second)))
    assert width == pytest.approx(np.ptp(drawn(labels, first, second, auc)), rel=0.2)
    alone = (
        2
        * 1.96
        * math.hypot(*(spread(areas(labels, p).influence, labels).error for p in (first, second)))
    )
    assert width < 0.8 * alone


def test_equal_ranks_are_no_proof_of_equality(rng):
    labels, first, _ = rungs(rng)
    bent = np.stack([1 - first[:, 1] ** 2, first[:, 1] ** 2], axis=1)
    found = auc_difference(labels, first, bent)
    assert (found.interval.value, found.p) == (0.0, 1.0)
    reach = stats.norm.ppf(0.975) * 2 / 60**2  # two swaps among 60 × 60 pairs
    assert ends(found) == pytest.approx((-reach, reach))
    small = auc_difference([0, 0, 1], np.eye(2)[[0, 0, 1]], np.eye(2)[[1, 0, 1]])
    assert small.interval.low < small.interval.value < small.interval.high
    assert math.isnan(small.p)
    assert "p =" not in small.describe()
    none = auc_difference([0, 0], np.eye(2), np.eye(2))
    assert none.interval.describe().startswith("undefined")


def close(probabilities):
    """The same ranks of the second class, at distances below what sums to 1 within tolerance."""
    second = 0.2 + 1e-7 * stats.rankdata(probabilities[:, 1])
    rest = np.delete(probabilities, 1, axis=1)
    rest *= ((1 - second) / rest.sum(axis=1))[:, None]
    return np.insert(rest, 1, second, axis=1)


def swapped(labels, probabilities, pairs):
    """With disjoint pairs of neighbours exchanged in the second class's ranks, one of them its."""
    order, found = np.argsort(probabilities[:, 1]), probabilities.copy()
    position = 0
    while pairs and position < len(order) - 1:
        a, b = order[position : position + 2]
        if (labels[a] == 1) != (labels[b] == 1):
            found[[a, b], 1] = found[[b, a], 1]
            pairs, position = pairs - 1, position + 1
        position += 1
    assert pairs == 0
    return found


@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize("n", [40, 400])
def test_no_jump_as_the_first_ranks_differ(rng, n, classes):
    labels, first, _ = rungs(rng, n=n, classes=classes)
    first, reaches = close(first), []
    for pairs in (0, 1, 2, 5 if n > 40 else 3):
        found = auc_difference(labels, first, swapped(labels, first, pairs))
        reaches.append(np.ptp(ends(found)) / 2)
        assert found.interval.low < found.interval.value < found.interval.high
        assert 0 < found.p <= 1
    swap = 1 / ((n / classes) * (n - n / classes))  # how far a swap moves an area
    curves = 1 if classes == 2 else classes
    assert reaches[0] == pytest.approx(stats.norm.ppf(0.975) * 2 * swap / math.sqrt(curves))
    assert min(reaches) == reaches[0]
    assert all(a <= 1.02 * b for a, b in pairwise(reaches))
    assert reaches[1] < 1.5 * reaches[0]
    assert reaches[3] < 4 * reaches[0]


def test_rungs_that_hardly_differ_are_covered(rng):
    """The noise is the same in law before and after, so the true difference is 0."""
    held = []
    for _ in range(200):
        labels = rng.permutation(np.arange(40) % 2)
        scores = rng.normal(size=(40, 2)) + np.eye(2)[labels]
        pair = [softmax(scores + 0.02 * rng.normal(size=scores.shape)) for _ in range(2)]
        found = auc_difference(labels, *pair).interval
        held.append(found.low <= 0 <= found.high)
        assert found.high - found.low < 0.12  # the areas' own intervals are near 0.3 wide
    assert np.mean(held) > 0.94


@pytest.mark.parametrize("classes", [2, 3])
def test_acc_differences_are_walds_with_one_image_more_of_each_disagreement(rng, classes):
    labels, first, second = rungs(rng, classes=classes)
    found = acc_difference(labels, first, second)
    assert found.first == accuracy(labels, first)
    assert found.second == accuracy(labels, second)
    assert found.interval.value == pytest.approx(found.second - found.first)
    change = [
        float(accuracy(labels[i : i + 1], second[i : i + 1]))
        - float(accuracy(labels[i : i + 1], first[i : i + 1]))
        for i in range(len(labels))
    ]
    more = np.array([*change, 1.0, -1.0])
    reach = stats.norm.ppf(0.975) * more.std() / math.sqrt(len(more))
    assert ends(found) == pytest.approx((more.mean() - reach, more.mean() + reach))
    assert found.p == mcnemar(change.count(-1.0), change.count(1.0))


def test_a_bootstrap_of_acc_agrees(rng):
    labels, first, second = rungs(rng, n=400)
    adjusted = ends(acc_difference(labels, first, second))
    assert drawn(labels, first, second, accuracy) == pytest.approx(adjusted, abs=0.012)


def test_no_changed_answer_leaves_a_width(rng):
    labels, first, _ = rungs(rng)
    found = acc_difference(labels, first, first)
    reach = stats.norm.ppf(0.975) * math.sqrt(2) / 122
    assert ends(found) == pytest.approx((-reach, reach))
    assert found.p == 1.0


def test_a_difference_is_a_phrase(rng):
    labels, first, second = rungs(rng)
    text = acc_difference(labels, first, second, covers=("test images", "shots")).describe()
    assert text.startswith("ACC ")
    assert "over test images and shots" in text
    assert "McNemar" in text


@pytest.mark.parametrize("difference", [auc_difference, acc_difference])
def test_other_images_are_refused(rng, difference):
    labels, first, _ = rungs(rng)
    with pytest.raises(DataError, match="same images"):
        difference(labels, first, first[:-1])
    with pytest.raises(DataError, match="labels"):
        difference(labels[:-1], first, first)
    with pytest.raises(DataError, match="between 0 and 1"):
        difference(labels, first, first, level=2)
