import importlib

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from qvit_qiskit.exceptions import DataError
from qvit_qiskit.metrics import Scores, accuracy, answers, auc, score, sigmoid, softmax


@pytest.fixture
def official(monkeypatch, tmp_path):
    """`medmnist.evaluator`, imported where its `~/.medmnist` does no harm."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    return importlib.import_module("medmnist.evaluator")


@pytest.mark.parametrize("classes", [2, 3, 5, 11])
@pytest.mark.parametrize("scale", [0.1, 3.0, 100.0])
def test_equal_to_the_official_evaluator(official, rng, classes, scale):
    task = "binary-class" if classes == 2 else "ordinal-regression"
    labels = rng.permutation(np.arange(300) % classes)
    logits = scale * (rng.standard_normal((300, classes)) + 0.8 * np.eye(classes)[labels])
    scores = softmax(logits)
    assert auc(labels, scores) == official.getAUC(labels[:, None], scores, task)
    assert accuracy(labels, scores) == official.getACC(labels[:, None], scores, task)


@pytest.mark.parametrize("digits", [16, 2, 1, 0])
def test_areas_are_those_of_scikit_learn_to_the_bit(rng, digits):
    """Few images and many, rare classes and common ones, ties of any length."""
    for _ in range(100):
        count = int(rng.integers(2, 300))
        labels = (rng.random(count) < rng.uniform(0.02, 0.98)).astype(int)
        labels[:2] = 0, 1
        chances = np.round(rng.random(count) ** rng.uniform(0.1, 10), digits)
        scores = np.stack([1 - chances, chances], axis=1)
        assert auc(labels, scores) == roc_auc_score(labels, chances)


def test_ties_count_as_the_official_evaluator_counts_them(official):
    labels = np.array([0, 1, 1, 0, 1])
    scores = np.full((5, 2), 0.5)
    assert accuracy(labels, scores) == official.getACC(labels, scores, "binary-class") == 0.4
    assert auc(labels, scores) == official.getAUC(labels, scores, "binary-class") == 0.5


def test_a_shift_of_the_logits_changes_nothing(rng):
    """Logits near 400, where ACC on raw logits would call every image class 1."""
    labels = rng.integers(0, 2, 200)
    logits = rng.standard_normal((200, 2))
    shift = rng.uniform(300, 500, (200, 1))
    np.testing.assert_allclose(softmax(logits + shift), softmax(logits), atol=1e-12)
    expected = np.mean((logits[:, 1] > logits[:, 0]) == labels)
    assert score(labels, logits + shift).acc == score(labels, logits).acc == expected


def test_float32_logits_are_softened_in_float64():
    logits = np.array([[0.0, 40.0], [0.0, 45.0]], dtype=np.float32)
    scores = softmax(logits)
    assert scores.dtype == np.float64
    assert scores[0, 0] > scores[1, 0] > 0
    np.testing.assert_array_equal(softmax(torch.tensor(logits)), scores)


def test_score_gathers_both_metrics():
    logits = [[2.0, 0.0], [0.0, 1.0], [0.0, 3.0], [0.0, 2.0]]
    assert score([0, 0, 1, 1], logits) == Scores(auc=1.0, acc=0.75, n=4)


def test_classes_without_a_curve_are_left_out(rng):
    labels = rng.integers(0, 2, 50)
    scores = softmax(rng.standard_normal((50, 4)))
    areas = [
        auc((labels == k).astype(int), np.stack([1 - scores[:, k], scores[:, k]], 1))
        for k in (0, 1)
    ]
    assert auc(labels, scores) == pytest.approx(np.mean(areas))


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.filterwarnings("error")
def test_one_class_alone_has_no_auc(rng, classes):
    labels = np.ones(5, int)
    scores = softmax(rng.standard_normal((5, classes)))
    assert np.isnan(auc(labels, scores))
    assert 0 <= accuracy(labels, scores) <= 1


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_logits_must_be_finite(bad):
    with pytest.raises(DataError, match="finite logits"):
        score([0, 1], [[0.0, 1.0], [bad, 0.0]])


@pytest.mark.parametrize("metric", [auc, accuracy])
@pytest.mark.parametrize(
    ("labels", "scores", "words"),
    [
        ([0, 1], [[0.5, 0.5], [np.nan, 0.5]], "NaN"),
        ([0, 1], [[2.0, -1.0], [0.5, 0.5]], "Pass logits to `score`"),
        ([0, 1], [[3.0, 1.0], [0.5, 0.5]], "Pass logits to `score`"),
        ([0, 2], [[0.5, 0.5], [0.5, 0.5]], "labels 0…1, got int64 0…2"),
        ([0, -1], [[0.5, 0.5], [0.5, 0.5]], "labels 0…1"),
        ([0.0, 1.0], [[0.5, 0.5], [0.5, 0.5]], "float64"),
        ([0], [[0.5, 0.5], [0.5, 0.5]], "one row per image"),
        ([0, 1], [0.5, 0.5], "one row per image"),
        ([0, 1], [[1.0], [1.0]], "one row per image"),
        ([], np.zeros((0, 2)), "one row per image"),
    ],
)
def test_metrics_refuse_what_is_no_prediction(metric, labels, scores, words):
    with pytest.raises(DataError, match=words):
        metric(labels, scores)


# --- several labels of each image --------------------------------------------------------------


@pytest.mark.parametrize("scale", [0.1, 3.0, 100.0])
def test_several_labels_equal_the_official_evaluator(official, rng, scale):
    task = "multi-label, binary-class"
    labels = (rng.random((300, 14)) < 0.2).astype(np.int64)
    logits = scale * (rng.standard_normal((300, 14)) + labels - 0.5)
    scores = sigmoid(logits)
    assert auc(labels, scores) == pytest.approx(official.getAUC(labels, scores, task), abs=1e-15)
    assert accuracy(labels, scores) == pytest.approx(official.getACC(labels, scores, task))
    assert score(labels, logits) == Scores(auc(labels, scores), accuracy(labels, scores), 300)
    assert answers(scores, multi_label=True).tolist() == (scores > 0.5).astype(int).tolist()


def test_a_label_that_no_image_has_is_left_out():
    labels = np.array([[0, 1, 0], [1, 0, 0], [0, 1, 0]])
    scores = np.array([[0.2, 0.9, 0.1], [0.8, 0.1, 0.2], [0.9, 0.3, 0.7]])
    assert auc(labels, scores) == (0.5 + 1) / 2
    assert np.isnan(auc(np.zeros((2, 2), int), np.zeros((2, 2))))


def test_sigmoid_is_the_formula_and_keeps_the_order_of_large_logits():
    values = np.array([-800.0, -30.0, 0.0, 2.5, 30.0])
    np.testing.assert_allclose(sigmoid(values[1:]), 1 / (1 + np.exp(-values[1:])), rtol=1e-15)
    assert sigmoid(values)[0] == 0
    assert sigmoid([[-700.0, -690.0]])[0, 0] < sigmoid([[-700.0, -690.0]])[0, 1]


@pytest.mark.parametrize(
    ("labels", "scores", "words"),
    [
        (np.zeros((2, 3), int), np.zeros((2, 2)), r"same shape \(n, labels\), got \(2, 3\)"),
        (np.zeros((0, 3), int), np.zeros((0, 3)), "same shape"),
        (np.full((2, 3), 2), np.zeros((2, 3)), "0 or 1 for each label"),
        (np.zeros((2, 3)), np.zeros((2, 3)), "0 or 1 for each label of an image, got float64"),
        (np.zeros((2, 3), int), np.full((2, 3), 1.5), "outside 0…1"),
        (np.zeros((2, 3), int), np.full((2, 3), np.nan), "got NaN"),
    ],
)
def test_several_labels_that_do_not_fit_are_refused(labels, scores, words):
    with pytest.raises(DataError, match=words):
        auc(labels, scores)
