"""Which layer moved the logits: the one that was noisy, and shares that add up."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
import torch
from qiskit.primitives import BaseEstimatorV2, DataBin, PrimitiveResult, PubResult

from qvit_qiskit.comparison.attribution import attribute, residuals
from qvit_qiskit.comparison.evidence import Attribution
from qvit_qiskit.comparison.findings.shares import share_intervals
from qvit_qiskit.comparison.rungs import shots_estimator
from qvit_qiskit.execution import registry
from qvit_qiskit.inference.passes import run_pass
from qvit_qiskit.inference.prediction import predict
from qvit_qiskit.models import ViTConfig, build_model

DEPTH, SHOTS, TRIALS = 3, 4096, 20


class NoisyBlock(BaseEstimatorV2):
    """Shots everywhere; in one layer, well above them, depolarised and misread outputs."""

    def __init__(self, inner: BaseEstimatorV2, block: int) -> None:
        self.inner, self.block, self.call = inner, block, 0

    def run(self, pubs: Iterable[Any], *, precision: float | None = None) -> Any:
        noisy, self.call = self.call % DEPTH == self.block, self.call + 1
        job = self.inner.run(pubs)
        return _Done([self._spoil(r) for r in job.result()]) if noisy else job

    def _spoil(self, result: PubResult) -> PubResult:
        data = result.data
        covariances = 0.75**2 * data.covariances
        return PubResult(
            DataBin(evs=0.75 * data.evs + 0.02, covariances=covariances, shape=data.evs.shape)
        )


class _Done:
    def __init__(self, found: list[PubResult]) -> None:
        self.found = found

    def result(self) -> PrimitiveResult[PubResult]:
        return PrimitiveResult(self.found)


def attribution(seed: int, block: int, estimator: BaseEstimatorV2) -> tuple[Attribution, Any, Any]:
    """A recorded pass of a three-block model, taken apart."""
    model = build_model(
        ViTConfig(patch_size=14, depth=DEPTH, width=4, heads=2, mlp_ratio=0.5), seed=seed
    )
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(6, 1, 28, 28, generator=generator)
    exact = registry.open("aer-exact").estimator
    plain = run_pass(model, images, exact)
    recorded = run_pass(model, images, estimator, once=True)
    deltas = residuals(exact, recorded.executed, recorded.layers)
    replayed = run_pass(model, images, exact, deltas)
    np.testing.assert_allclose(replayed.logits, recorded.logits, atol=1e-4)
    found = attribute(model, images, exact, plain, deltas, replayed.logits)
    return found, recorded, predict(model, images)


@pytest.mark.parametrize("trial", range(TRIALS))
def test_the_noisy_block_has_the_largest_share(trial: int) -> None:
    block = int(np.random.default_rng(trial).integers(DEPTH))
    estimator = NoisyBlock(shots_estimator(SHOTS, trial), block)
    found, recorded, plain = attribution(trial, block, estimator)
    shares = found.shares()
    assert shares.sum() == pytest.approx(1.0)
    assert int(np.argmax(shares)) == block
    np.testing.assert_allclose(found.exact, plain, atol=1e-5)
    np.testing.assert_allclose(found.exact + found.total, recorded.logits, atol=1e-4)
    np.testing.assert_allclose(
        found.effects.sum(axis=0) + found.interaction, found.total, atol=1e-12
    )


def test_a_single_layer_explains_everything() -> None:
    model = build_model(ViTConfig(patch_size=14, width=4, heads=2), seed=0)
    images = torch.randn(3, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    exact = registry.open("aer-exact").estimator
    plain = run_pass(model, images, exact)
    recorded = run_pass(model, images, shots_estimator(30, 0), once=True)
    deltas = residuals(exact, recorded.executed, recorded.layers)
    found = attribute(model, images, exact, plain, deltas, recorded.logits)
    np.testing.assert_allclose(found.shares(), [1.0, 0.0], atol=1e-4)


def test_shares_of_known_effects(rng: np.random.Generator) -> None:
    """Two layers of the same direction, one twice as strong, and a share's interval."""
    exact, one = rng.normal(size=(2, 200, 3))
    noise = 0.3 * rng.normal(size=(200, 3))
    effects = np.stack([2 * one + noise, one - noise])
    found = Attribution(exact, effects, effects.sum(axis=0))
    shares, intervals = found.shares(), share_intervals(found)
    np.testing.assert_allclose(shares, [2 / 3, 1 / 3, 0.0], atol=0.05)
    for share, interval in zip(shares, intervals, strict=True):
        assert interval.value == pytest.approx(share)
        assert interval.low <= interval.value <= interval.high
    drawn = []
    for _ in range(2000):
        picked = rng.integers(200, size=200)
        again = Attribution(exact[picked], effects[:, picked], found.total[picked])
        drawn.append(again.shares()[0])
    low, high = np.quantile(drawn, [0.025, 0.975])
    assert intervals[0].low == pytest.approx(low, abs=0.3 * (high - low))
    assert intervals[0].high == pytest.approx(high, abs=0.3 * (high - low))


def test_nothing_moved() -> None:
    still = np.zeros((4, 2))
    found = Attribution(still, np.zeros((2, 4, 2)), still)
    assert np.isnan(found.shares()).all()
    assert all(np.isnan(interval.value) for interval in share_intervals(found))
