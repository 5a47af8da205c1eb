"""The stopping rule of adaptive shots against counting, and its repeats against plain loops."""

from __future__ import annotations

import numpy as np
import pytest

from qvit_qiskit.statistics.stopping import StoppingRule, certainty, possible_logits, repeat


def covariances(rng: np.random.Generator, n: int, classes: int) -> np.ndarray:
    roots = rng.normal(size=(n, classes, classes))
    return roots @ roots.swapaxes(1, 2)


@pytest.mark.parametrize("multi_label", [False, True])
@pytest.mark.parametrize("classes", [2, 5])
def test_certainty_is_what_redraws_count(
    rng: np.random.Generator, classes: int, multi_label: bool
) -> None:
    """Exact for two classes, at most that for more."""
    logits, spread = 2 * rng.normal(size=(6, classes)), 0.5 * covariances(rng, 6, classes)
    sure = certainty(logits, spread, multi_label=multi_label)
    for image in range(6):
        draws = rng.multivariate_normal(logits[image], spread[image], 20_000)
        if multi_label:
            same = (np.sign(draws) == np.sign(logits[image])).all(axis=1)
        else:
            same = draws.argmax(axis=1) == logits[image].argmax()
        exact = classes == 2 and not multi_label
        assert sure[image] <= same.mean() + 0.02
        assert not exact or sure[image] == pytest.approx(same.mean(), abs=0.02)


def test_answers_without_noise_are_settled_and_ties_are_not() -> None:
    nothing = np.zeros((2, 3, 3))
    sure = certainty(np.array([[1.0, 0.0, 0.5], [1.0, 1.0, 0.0]]), nothing)
    np.testing.assert_allclose(sure, [1.0, 0.5])
    assert StoppingRule((4,), 0.95).settled(np.array([[1.0, 0.0, 0.5]]), nothing[:1]).all()


@pytest.mark.parametrize(
    ("first", "most", "sizes"),
    [(16, 100, (16, 16, 32, 36)), (64, 64, (64,)), (64, 16, (16,)), (1, 4, (1, 1, 2))],
)
def test_shares_double_what_a_row_has_had(first: int, most: int, sizes: tuple[int, ...]) -> None:
    rule = StoppingRule.doubling(first, most, 0.9)
    assert rule.sizes == sizes
    assert rule.totals[-1] == most


def test_repeats_by_a_plain_loop(rng: np.random.Generator) -> None:
    """Mean shots and mean logits of many repeats, image by image."""
    rule = StoppingRule.doubling(8, 64, 0.9)
    logits = np.array([[0.0, 0.05], [0.0, 0.4], [0.0, 3.0]])
    per_shot = np.tile(np.diag([1.0, 2.0]), (3, 1, 1))
    fast = repeat(logits, per_shot, rule, 4000, rng)
    slow_logits, slow_shots = [], []
    for _ in range(1500):
        for image in range(3):
            total, shots = np.zeros(2), 0
            for size in rule.sizes:
                noise = rng.multivariate_normal(np.zeros(2), per_shot[image] / size)
                total, shots = total + size * (logits[image] + noise), shots + size
                mean, spread = total / shots, per_shot[image] / shots
                if certainty(mean[None], spread[None])[0] >= 0.9:
                    break
            slow_logits.append(mean)
            slow_shots.append(shots)
    expected = np.reshape(slow_shots, (-1, 3))
    np.testing.assert_allclose(fast.shots.mean(axis=0), expected.mean(axis=0), rtol=0.05)
    wide = np.reshape(slow_logits, (-1, 3, 2)).std(axis=0)
    np.testing.assert_allclose(fast.logits.std(axis=0), wide, rtol=0.1)
    assert (fast.shots >= 8).all()
    assert (fast.shots[:, 2] == 8).mean() > 0.99
    assert set(np.unique(fast.shots)) <= set(rule.totals)


def test_an_image_s_repeats_do_not_depend_on_the_others(rng: np.random.Generator) -> None:
    """No image decides about another: the distribution of its shots stays."""
    rule = StoppingRule.doubling(8, 64, 0.95)
    logits, per_shot = rng.normal(0, 0.5, (4, 3)), covariances(rng, 4, 3)
    together = repeat(logits, per_shot, rule, 3000, rng).shots.mean(axis=0)
    alone = [repeat(logits[k : k + 1], per_shot[k : k + 1], rule, 3000, rng).shots.mean()
             for k in range(4)]  # fmt: skip
    np.testing.assert_allclose(together, alone, rtol=0.06)


@pytest.mark.parametrize("classes", [1, 2, 5])
def test_possible_logits_are_as_far_from_the_measured_ones_as_the_true_ones(
    rng: np.random.Generator, classes: int
) -> None:
    """The truth and a draw from its posterior have the same distribution beside the measurement."""
    prior, spread = covariances(rng, 1, classes)[0], 0.5 * covariances(rng, 3000, classes)
    truth = rng.multivariate_normal(np.arange(classes), prior, 3000)
    measured = truth + np.array([rng.multivariate_normal(np.zeros(classes), s) for s in spread])
    drawn = possible_logits(measured, spread, 1, rng)[0]
    for one, other in ((truth, drawn), (truth - measured, drawn - measured)):
        np.testing.assert_allclose(one.mean(axis=0), other.mean(axis=0), atol=0.15)
        expected = np.cov(one, rowvar=False)
        scale = np.abs(expected).max()
        np.testing.assert_allclose(np.cov(other, rowvar=False), expected, atol=0.12 * scale)


def test_possible_logits_where_nothing_is_noise_or_nothing_is_told(
    rng: np.random.Generator,
) -> None:
    logits = rng.normal(size=(40, 3))
    nothing = np.zeros((40, 3, 3))
    np.testing.assert_allclose(possible_logits(logits, nothing, 1, rng)[0], logits, atol=1e-7)
    alone = possible_logits(logits[:1], np.tile(np.eye(3), (1, 1, 1)), 1, rng)[0]  # a single image
    assert alone.shape == (1, 3)
    assert (alone != logits[:1]).all()


def test_runs_that_settled_by_chance_do_not_look_surer_than_they_are(
    rng: np.random.Generator,
) -> None:
    """The deviation of an accuracy over true repeats, beside that of the repeats of one run.

    Repeats around a run's own logits see too little of it, by the winner's curse.
    """
    rule = StoppingRule.doubling(16, 256, 0.95)
    truth = np.stack([np.zeros(150), rng.normal(0, 0.5, 150)], axis=1)
    per_shot = np.tile(np.diag([4.0, 4.0]), (150, 1, 1))
    labels = rng.integers(0, 2, 150)

    def deviation(logits: np.ndarray, count: int) -> float:
        again = repeat(logits, per_shot, rule, count, rng).logits.argmax(axis=2)
        return float((again == labels).mean(axis=1).std(ddof=1))

    def within(logits: np.ndarray, truths: int) -> float:
        again = repeat(np.repeat(logits, 20, axis=0), per_shot, rule, 20 * truths, rng).logits
        scores = (again.argmax(axis=2) == labels).mean(axis=1).reshape(truths, 20)
        return float(scores.var(axis=1, ddof=1).mean() ** 0.5)

    own, fresh, around, grouped = [], [], [], []
    for _ in range(60):
        one = repeat(truth, per_shot, rule, 1, rng)
        covariance = per_shot / one.shots[0][:, None, None]
        possible = possible_logits(one.logits[0], covariance, 200, rng)
        own.append(deviation(possible[0], 200))
        fresh.append(deviation(possible, 200))
        around.append(deviation(one.logits[0], 200))
        grouped.append(within(possible[:10], 10))
    expected = deviation(truth, 4000)
    assert np.mean(own) == pytest.approx(expected, rel=0.05)
    assert np.mean(grouped) == pytest.approx(expected, rel=0.05)
    assert np.std(grouped) < np.std(own)  # and that of one run is nearer to it
    assert np.mean(around) < 0.9 * expected
    # a truth of its own for every repeat errs to the side of caution
    assert expected < np.mean(fresh) < 1.5 * expected
