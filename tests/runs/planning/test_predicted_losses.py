"""Losses over draws: against the official metrics, one draw at a time."""

import numpy as np
import pytest

from qvit_qiskit import metrics
from qvit_qiskit.runs.planning.predicted_losses import (
    drawn_labels,
    indicators,
    join_predictions,
    predict_losses,
)


@pytest.mark.parametrize(("classes", "several"), [(2, False), (5, False), (3, True)])
def test_losses_are_those_of_the_metrics(classes, several, rng):
    exact = rng.normal(size=(40, classes))
    drawn = exact + rng.normal(size=(6, 40, classes)) * 0.5
    drawn[0] = exact
    labels = drawn_labels(exact, rng, several=several, draws=20)
    found = predict_losses(exact, drawn, labels, several=several)
    assert found.auc.values.shape == found.acc.values.shape == (6, len(labels))
    for place, truth in enumerate(labels):
        given = truth.astype(int) if several else truth.argmax(axis=1)
        whole = metrics.score(given, exact)
        for draw, logits in enumerate(drawn):
            one = metrics.score(given, logits)
            assert found.auc.values[draw, place] == pytest.approx(whole.auc - one.auc, abs=1e-7)
            assert found.acc.values[draw, place] == pytest.approx(whole.acc - one.acc, abs=1e-7)
    assert not found.auc.values[0].any()
    assert not found.disagreement.values[0].any()
    answers = [
        metrics.answers(metrics.probabilities(one, multi_label=several), multi_label=several)
        for one in (exact, drawn[3])
    ]
    assert found.disagreement.values[3] == pytest.approx(np.mean(answers[0] != answers[1]))


def test_a_class_without_images_is_left_out(rng):
    exact = rng.normal(size=(12, 3))
    drawn = exact[None] + rng.normal(size=(4, 12, 3))
    labels = indicators(np.tile(np.arange(12) % 2, (1, 1)), 3)
    found = predict_losses(exact, drawn, labels, several=False)
    given = np.arange(12) % 2
    expected = metrics.score(given, exact).auc - metrics.score(given, drawn[2]).auc
    assert found.auc.values[2, 0] == pytest.approx(expected)
    alone = predict_losses(exact, drawn, indicators(np.zeros((1, 12), int), 3), several=False)
    assert not alone.auc.values.any()  # nothing to tell apart, nothing to lose


def test_labels_are_drawn_as_the_model_s_probabilities_say(rng):
    logits = np.array([[0.0, 2.0, -1.0], [3.0, 0.0, 0.0]])
    labels = drawn_labels(logits, rng, several=False, draws=20_000)
    assert np.allclose(labels.mean(axis=0), metrics.softmax(logits), atol=0.02)
    assert (labels.sum(axis=2) == 1).all()
    several = drawn_labels(logits, rng, several=True, draws=20_000)
    assert np.allclose(several.mean(axis=0), metrics.sigmoid(logits), atol=0.02)


def test_draws_add_up(rng):
    exact, drawn = rng.normal(size=(30, 2)), rng.normal(size=(5, 30, 2))
    labels = drawn_labels(exact, rng, several=False)
    whole = predict_losses(exact, drawn, labels, several=False)
    parts = [predict_losses(exact, d, labels, several=False) for d in (drawn[:2], drawn[2:])]
    joined = join_predictions(parts)
    assert joined.draws == whole.draws == 5
    assert joined.auc.bound == whole.auc.bound
    assert joined.auc.within(0.01) == pytest.approx(np.mean(whole.auc.values <= 0.01))
