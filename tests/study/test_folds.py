"""Cross-validation folds: every image once, classes in proportion, no test image."""

import numpy as np
import pytest

from qvit_qiskit.data.phantom import phantom
from qvit_qiskit.exceptions import DataError
from qvit_qiskit.study.folds import fold_of

DATA = phantom(sizes=(37, 20, 10))


def pixels(split):
    return sorted(image.tobytes() for image in split.images)


def test_every_image_validates_once():
    whole = sorted(pixels(DATA.train) + pixels(DATA.val))
    folds = [fold_of(DATA, k, 5) for k in range(5)]
    assert sorted(p for fold in folds for p in pixels(fold.val)) == whole
    for fold in folds:
        assert sorted(pixels(fold.train) + pixels(fold.val)) == whole
        assert not set(pixels(fold.test)) & set(pixels(DATA.test))
        assert not set(pixels(fold.train)) & set(pixels(fold.val))
        share = np.bincount(fold.val.labels) / len(fold.val)
        assert share == pytest.approx([0.5, 0.5], abs=0.1)


def test_a_fold_has_an_identity_of_its_own():
    sums = {fold_of(DATA, k, folds).md5 for folds in (2, 3) for k in range(folds)}
    assert len(sums | {DATA.md5}) == 6
    assert fold_of(DATA, 1, 3).md5 == fold_of(DATA, 1, 3).md5


def test_too_many_folds():
    with pytest.raises(DataError, match="at least 30 images of every class for 30 folds"):
        fold_of(DATA, 0, 30)
