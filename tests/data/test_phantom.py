import numpy as np
import pytest

from qvit_qiskit.data.phantom import phantom
from qvit_qiskit.exceptions import DataError
from qvit_qiskit.metrics import auc


@pytest.fixture(scope="module")
def data():
    return phantom()


def test_has_the_format_of_medmnist(data):
    assert [len(data.split(word)) for word in ("train", "val", "test")] == [600, 120, 200]
    assert data.train.images.shape == (600, 28, 28)
    assert data.class_names == ("benign-like", "malignant-like")
    assert (data.task, data.channels, data.synthetic) == ("binary-class", 1, True)
    assert np.bincount(data.train.labels).tolist() == [300, 300]


def test_the_seed_decides_everything():
    a, b, c = (phantom(seed, (6, 4, 5)) for seed in (3, 3, 4))
    assert a.md5 == b.md5 != c.md5
    np.testing.assert_array_equal(a.test.images, b.test.images)


def test_splits_share_no_image(data):
    parts = [data.split(word).images for word in ("train", "val", "test")]
    flat = np.concatenate(parts).reshape(920, -1)
    assert len(np.unique(flat, axis=0)) == 920


def test_pixels_are_not_clipped_and_have_contrast(data):
    assert data.train.images.max() < 255
    assert data.train.images.std(axis=(1, 2)).min() > 4


@pytest.mark.parametrize("statistic", [np.mean, np.std, np.min, np.max])
def test_no_simple_statistic_tells_the_classes_apart(data, statistic):
    """Area, contrast, gain and shadow are drawn alike for both classes."""
    value = statistic(data.train.images.astype(float), axis=(1, 2))
    ranks = value.argsort().argsort() / len(value)
    area = auc(data.train.labels, np.stack([1 - ranks, ranks], axis=1))
    assert abs(area - 0.5) < 0.12


def test_a_linear_classifier_stays_near_chance(data):
    from sklearn.linear_model import LogisticRegression

    x, y = (data.train.images.reshape(600, -1) / 255, data.train.labels)
    model = LogisticRegression(C=0.01, max_iter=100).fit(x, y)
    scores = model.predict_proba(data.test.images.reshape(200, -1) / 255)
    assert auc(data.test.labels, scores) < 0.65


def test_the_border_tells_the_classes_apart(data):
    """Spicules make the dark region's boundary long for its area."""
    images = data.test.images.astype(float)
    smooth = sum(np.roll(images, (i, j), (1, 2)) for i in (-1, 0, 1) for j in (-1, 0, 1)) / 9
    dark = smooth < np.quantile(smooth, 0.12, axis=(1, 2), keepdims=True)
    edges = sum((dark != np.roll(dark, 1, axis)).sum(axis=(1, 2)) for axis in (1, 2))
    ranks = edges.argsort().argsort() / len(edges)
    assert auc(data.test.labels, np.stack([1 - ranks, ranks], axis=1)) > 0.75


@pytest.mark.parametrize(
    ("seed", "sizes"), [(-1, (2, 2, 2)), (0, (2, 0, 2)), (0, (2, 2)), (0, (2, -3, 2))]
)
def test_refuses_impossible_requests(seed, sizes):
    with pytest.raises(DataError, match="seed of 0 or more and three sizes"):
        phantom(seed, sizes)


def test_one_image_per_split_is_enough():
    assert len(phantom(0, (1, 1, 1)).train) == 1
