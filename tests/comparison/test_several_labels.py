"""Comparisons where an image may have several labels, and pictures that are not to be shown."""

from dataclasses import replace

import numpy as np
import pytest
from comparison.comparisons import RETINA, make_comparison

from qvit_qiskit.comparison.builder import build
from qvit_qiskit.comparison.export import as_dict
from qvit_qiskit.comparison.figures import attention_maps
from qvit_qiskit.comparison.page import page
from qvit_qiskit.metrics import sigmoid


@pytest.fixture
def several(rng):
    plain = make_comparison(n=40, class_names=RETINA, draws=4, shown=1, layers=1)
    labels = (rng.random((40, len(RETINA))) < 0.4).astype(np.int64)
    return build(replace(plain, labels=labels))


def test_numbers_are_those_of_all_labels(several):
    exact, other = several.exact, several.rungs[-1]
    told = several.scores[-1]
    yes, reference = (sigmoid(rung.logits) > 0.5 for rung in (other, exact))
    assert told.acc.value == pytest.approx((yes == several.labels).mean())
    assert told.agreement.value == pytest.approx((yes == reference).mean())
    p, q = sigmoid(exact.logits), sigmoid(other.logits)
    kl = p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))
    assert told.kl.value == pytest.approx(kl.sum(axis=1).mean())
    found = several.confusions[other.name]
    hits = yes & (several.labels == 1)
    assert found.counts[:, 1].tolist() == hits.sum(axis=0).tolist()
    assert found.images == tuple(several.labels.sum(axis=0))
    assert several.reliabilities[other.name].counts.sum() == several.labels.size


def test_a_page_is_drawn(several):
    text = page(several)
    assert "Which labels are missed" in text
    assert as_dict(several)["classes"] == list(RETINA)
    present = np.flatnonzero(several.labels[several.shown[0]])
    assert several.named(several.shown[0]) == (", ".join(RETINA[k] for k in present) or "none")


def test_own_images_are_not_drawn_unless_asked_for():
    shown = make_comparison(n=30, draws=4, shown=1, layers=1)
    hidden = replace(shown, own=True, pictures=False)
    blank = replace(hidden, images=np.zeros_like(shown.images))

    def drawn(comparison):
        figure = attention_maps.draw(comparison, 0)
        return [np.asarray(i.get_array()) for panel in figure.axes for i in panel.get_images()]

    assert len(drawn(shown)) == len(drawn(hidden)) + 1
    for one, other in zip(drawn(hidden), drawn(blank), strict=True):
        np.testing.assert_array_equal(one, other)
    assert "on request only" in page(hidden)
    assert "on request only" not in page(shown)
