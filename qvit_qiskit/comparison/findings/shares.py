"""Which quantum layer moved the logits of a recorded rung, with intervals over the test images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from qvit_qiskit.comparison.evidence import Attribution
from qvit_qiskit.statistics.intervals import Interval, mean_interval, rms_interval


@dataclass(frozen=True)
class Share:
    """One quantum layer's part in what moved a rung's logits, or the interaction's."""

    rung: str
    part: str
    """``"layer 1"``, … or ``"interaction"``."""
    share: Interval
    """The part's share of the whole; nan where nothing moved."""
    effect: Interval
    """Root mean square by which the part alone moves the logits."""


def layer_shares(attributions: Mapping[str, Attribution]) -> tuple[Share, ...]:
    """The shares of every recorded rung: its layers', then that of their interaction.

    Args:
        attributions: By the name of the rung.

    Returns:
        For each rung one for every quantum layer and one for the interaction.
    """
    return tuple(
        share
        for name, attribution in attributions.items()
        for share in _shares_of(name, attribution)
    )


def largest_shares(shares: Sequence[Share]) -> dict[str, Share]:
    """The share of the largest size by rung; without rungs in which nothing moved.

    Args:
        shares: Of all rungs.
    """
    largest: dict[str, Share] = {}
    for one in shares:
        size = abs(one.share.value)
        if size > abs(largest[one.rung].share.value) if one.rung in largest else size >= 0:
            largest[one.rung] = one
    return largest


def _shares_of(rung: str, attribution: Attribution) -> list[Share]:
    parts = [*attribution.effects, attribution.interaction]
    labels = [f"layer {k + 1}" for k in range(len(attribution.effects))] + ["interaction"]
    intervals = share_intervals(attribution)
    return [
        Share(rung, label, interval, rms_interval(part))
        for label, part, interval in zip(labels, parts, intervals, strict=True)
    ]


def share_intervals(attribution: Attribution) -> list[Interval]:
    """Each layer's share of what moved the logits, and last the interaction's, over test images.

    A share is a ratio of two sums over images; its interval is that of the mean of its
    linearisation.
    """
    parts = np.concatenate([attribution.effects, attribution.interaction[None]])
    along = np.einsum("lnc,nc->ln", parts, attribution.total)  # (layers + 1, n)
    size = np.sum(attribution.total**2, axis=1)
    intervals = []
    for share, each in zip(attribution.shares(), along, strict=True):
        # the ratio's derivative by each image
        linear = share + (each - share * size) / size.mean() if size.any() else size * np.nan
        intervals.append(mean_interval(linear, scale="identity"))
    return intervals
