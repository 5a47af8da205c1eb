"""What a run with adaptive shots will probably cost, before anything is measured.

Its stopping rule is repeated on logits as the device's calibration predicts them: each repeat has
the logits of infinitely many shots under one draw of the seats, and the shot noise of its images.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from qvit_qiskit.devices.prices import Estimate
from qvit_qiskit.runs.planning.chip_layout import ChipLayout
from qvit_qiskit.runs.planning.noisy_passes import NoisyPasses
from qvit_qiskit.statistics.stopping import StoppingRule, repeat

REPEATS = 48
"""Of the run; and draws from which the shot noise of an image is learned."""


@dataclass(frozen=True)
class ExpectedPrice:
    """What repeats of a run spend, budgets aside."""

    seconds: float
    """QPU seconds, the mean."""
    low: float
    """QPU seconds that 5 % of the runs stay below."""
    high: float
    """QPU seconds that 5 % of the runs exceed."""
    executions: float
    """Of circuits, the mean."""
    shots: float
    """Of a row, the mean."""
    unsettled: float
    """Images whose answer is not settled with the most shots, the mean."""


def expected_price(
    passes: NoisyPasses, layout: ChipLayout, rule: StoppingRule, *, several: bool, seed: int = 0
) -> ExpectedPrice:
    """Repeat a run's stopping rule and price its shares.

    Args:
        passes: Over the images, under the noise of the layout.
        layout: With as many copies as the run has.
        rule: That the run follows.
        several: Whether an image may have several labels.
        seed: Of the repeats.
    """
    draws, first = range(REPEATS), rule.sizes[0]
    limits = passes.logits(None, draws)  # (repeats, n, K); seats differ from draw to draw
    errors = passes.logits(first, draws) - limits
    per_shot = first * np.einsum("rnk,rnl->nkl", errors, errors) / REPEATS
    rng = np.random.default_rng([seed, 4])
    runs = repeat(limits, per_shot, rule, REPEATS, rng, multi_label=several)
    images = limits.shape[1]
    prices = [
        # a share is of the images whose rows have had more shots than before it
        [
            _share(layout, int(np.sum(shots > before)), images, size)
            for before, size in zip((0, *rule.totals), rule.sizes, strict=False)
        ]
        for shots in runs.shots
    ]
    seconds = np.array([sum(price.seconds for price in run) for run in prices])
    return ExpectedPrice(
        float(seconds.mean()),
        float(np.quantile(seconds, 0.05)),
        float(np.quantile(seconds, 0.95)),
        float(np.mean([sum(price.executions for price in run) for run in prices])),
        float(runs.shots.mean()),
        float(np.mean(np.sum(runs.unsettled, axis=1))),
    )


def _share(layout: ChipLayout, asked: int, images: int, shots: int) -> Estimate:
    """The price of measuring some of the images once more."""
    rows = tuple(-(-asked * count // images) for count in layout.rows.stage_rows)
    return replace(layout, rows=replace(layout.rows, stage_rows=rows)).price(shots)
