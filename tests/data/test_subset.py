import numpy as np
import pytest

from qvit_qiskit.data.images import Split
from qvit_qiskit.data.subset import strata, stratified_subset, subset_indices
from qvit_qiskit.exceptions import DataError


def counts(labels, size, seed=0):
    chosen = subset_indices(labels, size, seed)
    return np.bincount(labels[chosen], minlength=labels.max() + 1).tolist()


def largest_remainder(tally, size):
    """The textbook rule in fractions of one place: the slow twin."""
    quotas = [size * count / sum(tally) for count in tally]
    places = [int(quota) for quota in quotas]
    order = sorted(range(len(tally)), key=lambda k: places[k] - quotas[k])
    for k in order[: size - sum(places)]:
        places[k] += 1
    return places


@pytest.mark.parametrize("size", [1, 2, 17, 80, 399, 400])
def test_any_size_is_exact_sorted_and_unique(rng, size):
    labels = rng.integers(0, 5, 400)
    chosen = subset_indices(labels, size, seed=1)
    assert len(chosen) == size
    assert (np.diff(chosen) > 0).all()
    tally = np.bincount(labels)
    got = np.bincount(labels[chosen], minlength=5)
    assert (got <= tally).all()
    assert (abs(got - size * tally / 400) < 1).all()


def test_proportions_follow_the_largest_remainder(rng):
    for _ in range(30):
        tally = rng.integers(20, 60, 4)
        labels = rng.permutation(np.repeat(np.arange(4), tally))
        size = int(rng.integers(10, tally.sum()))
        assert counts(labels, size) == largest_remainder(tally.tolist(), size)


def test_a_rare_class_keeps_a_member_when_there_is_room():
    labels = np.repeat([0, 1, 2, 3], [500, 480, 2, 1])
    assert counts(labels, 4) == [1, 1, 1, 1]
    assert counts(labels, 10) == [4, 4, 1, 1]
    assert counts(labels, 3)[2:] == [0, 0]


def test_absent_classes_take_no_place():
    assert counts(np.repeat([1, 4], [10, 10]), 2) == [0, 1, 0, 0, 1]


def test_the_seed_decides(rng):
    labels = rng.integers(0, 3, 200)
    first, again, other = (subset_indices(labels, 50, seed) for seed in (7, 7, 8))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_images_stay_with_their_labels(rng):
    labels = rng.integers(0, 3, 60)
    images = np.zeros((60, 28, 28), np.uint8)
    images[:, 0, 0], images[:, 0, 1] = np.arange(60), labels
    part = stratified_subset(Split(images, labels), 20, seed=0)
    np.testing.assert_array_equal(part.images[:, 0, 1], part.labels)
    np.testing.assert_array_equal(part.images[:, 0, 0], subset_indices(labels, 20, 0))


@pytest.mark.parametrize(("size", "seed"), [(0, 0), (-3, 0), (61, 0), (5, -1)])
def test_refuses_impossible_requests(size, seed):
    with pytest.raises(DataError, match="Expected a s"):
        subset_indices(np.zeros(60, np.int64), size, seed)


def test_several_labels_are_cut_by_the_rarest(rng):
    labels = (rng.random((200, 4)) < (0.5, 0.3, 0.05, 0.2)).astype(np.int64)
    counts = labels.sum(axis=0)
    for row, stratum in zip(labels, strata(labels), strict=True):
        present = np.flatnonzero(row)
        assert stratum == (min(present, key=lambda k: counts[k]) if len(present) else 4)
    chosen = subset_indices(labels, 20, 0)
    assert len(set(chosen.tolist())) == 20
    assert labels[chosen].any(axis=0).all()
    split = Split(np.zeros((200, 6, 6), np.uint8), labels)
    assert stratified_subset(split, 20, 0).labels.shape == (20, 4)
