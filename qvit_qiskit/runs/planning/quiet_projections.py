"""Which projections need few shots: those whose shot noise hardly moves the logits.

The noise of a logit is a sum over projections: what one of them adds falls with its own shots. The
cheapest way to a given sum gives each projection shots in proportion to the square root of what it
adds (Neyman's allocation, J. R. Stat. Soc. 97, 1934). Here there are two classes of projections, so
that a quantum layer takes two shares of shots at most.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qvit_qiskit.devices.prices import Mitigation
from qvit_qiskit.hardware.shot_shares import Quiet
from qvit_qiskit.hardware.stages.stage import Rows
from qvit_qiskit.runs.planning.noisy_passes import NoisyPasses

LOOKS, SHOTS = 4, 64
"""Draws of each projection's shots alone, and how many shots they have."""
FEWEST = 4
"""Shots that a quiet row has at least."""
ROUNDING = 1e-12
"""Of the mean square of the logits: what single precision adds is no noise of shots."""
WORTH = 0.85
"""The part of the executions above which equal shots stay."""


@dataclass(frozen=True)
class Allocation:
    """Which projections have fewer shots, and how many fewer."""

    projections: tuple[int, ...]
    """The quiet ones."""
    ratio: float
    """Their shots as a part of the others'."""

    def at(self, shots: int, mitigation: Mitigation) -> tuple[int, Quiet] | None:
        """Shots of the loud projections and those of the quiet ones; None if all have as many.

        Args:
            shots: Of the rows of the loud projections, about.
            mitigation: It may make shots come in batches.
        """
        few = mitigation.executed(max(FEWEST, round(self.ratio * shots)))
        if few >= shots:
            return None
        return few + mitigation.executed(shots - few), Quiet(few, self.projections)


def allocate(noise: np.ndarray) -> Allocation | None:
    """The two classes of projections that cost least for the same noise of the logits.

    With c_q and c_l what q quiet and l other projections add together at equal shots, and their
    shots in proportion to √(c_q/q) and √(c_l/l), the executions for the same noise are
    (√(q·c_q) + √(l·c_l))² / ((q + l)·(c_q + c_l)) of those with equal shots.

    Args:
        noise: What each projection adds to the variance of the logits at equal shots, shape (P,).

    Returns:
        The allocation; None where it saves too little.
    """
    order, count = np.argsort(noise), len(noise)
    best, cost = None, WORTH
    for quiet in range(1, count):
        few, many = noise[order[:quiet]].sum(), noise[order[quiet:]].sum()
        if few + many <= 0:
            return None
        each = (np.sqrt(quiet * few) + np.sqrt((count - quiet) * many)) ** 2
        part = float(each / (count * (few + many)))
        if part < cost:
            ratio = float(np.sqrt(few / quiet) / np.sqrt(many / (count - quiet)))
            best, cost = Allocation(tuple(sorted(map(int, order[:quiet]))), ratio), part
    return best


def share_rows(rows: Rows) -> bool:
    """Whether projections share rows, so that one's shots are another's: those with equal weights.

    Args:
        rows: Of a quantum layer.
    """
    each = sum(len(np.unique(index)) for _, index in rows.pubs)
    return each > sum(len(group.rows) for group in rows.groups)


def noise_by_projection(passes: NoisyPasses, *, several: bool) -> np.ndarray:
    """What the shots of each projection alone add to the variance of the logits, shape (P,).

    Args:
        passes: Of a model with one quantum layer.
        several: Whether an image may have several labels, each with an answer of its own; else
            what all logits of an image share changes no answer and is left out.
    """
    count, exact = len(passes.subject.rows.pubs), passes.subject.exact
    out = np.zeros(count)
    for number in range(count):
        shots = [SHOTS if other == number else None for other in range(count)]
        moved = passes.logits(shots, range(LOOKS)) - exact
        if not several and exact.shape[1] > 1:
            moved -= moved.mean(axis=-1, keepdims=True)
        out[number] = (moved - moved.mean(axis=0)).var(axis=0, ddof=1).mean()
    out[out < ROUNDING * np.square(exact).mean()] = 0.0
    return out
