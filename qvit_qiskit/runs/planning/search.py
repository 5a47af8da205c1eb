"""The cheapest candidate that meets a request, from cheap to dear.

Shots are tried on a ladder. A device without any error tells from how many shots on it pays to
look at all. An arrangement that is dearer than the best one so far even then is not compiled; of
the others one look, at the most shots that would still be cheaper, tells whether they can win.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

import numpy as np

from qvit_qiskit.hardware.shot_shares import Quiet
from qvit_qiskit.runs.planning.candidates import STEPS, Candidate, Candidates, shot_ladder
from qvit_qiskit.runs.planning.chip_layout import Arrangement, ChipLayout
from qvit_qiskit.runs.planning.copy_noise import CopyNoise
from qvit_qiskit.runs.planning.noisy_passes import NoisyPasses, Subject
from qvit_qiskit.runs.planning.predicted_losses import (
    SURE,
    Prediction,
    join_predictions,
    predict_losses,
)
from qvit_qiskit.runs.planning.quiet_projections import (
    Allocation,
    allocate,
    noise_by_projection,
    share_rows,
)
from qvit_qiskit.runs.planning.request import Accuracy

QUICK, CLOSE, LAST = 16, 48, 96
"""Draws of a first look, of one that is close, and of the choice."""
CLEAR = (0.80, 0.997)
"""Outside of these chances a first look decides."""
PLENTY = 4096
"""Shots beyond which a prediction hardly improves: what could be reached is told for these."""
KEPT = 2
"""Layouts whose tables of probabilities stay in memory."""


@dataclass(frozen=True)
class Trial:
    """A candidate with what it is predicted to lose."""

    candidate: Candidate
    prediction: Prediction
    meets: bool
    """Whether the request is met with a probability of 95 %."""


@dataclass
class Search:
    """Looks at candidates for one subject.

    Args:
        subject: What is evaluated.
        candidates: What can be chosen.
        request: What must be met.
        labels: Indicators drawn from the exact model's probabilities, (label draws, n, classes).
        several: Whether an image may have several labels.
        allocation: See there.
        seed: Of all draws.
        tick: Told in a few words what is looked at.
    """

    subject: Subject
    candidates: Candidates
    request: Accuracy
    labels: np.ndarray
    several: bool
    allocation: Allocation | None = None
    """Which projections may have fewer shots; None for equal shots."""
    seed: int = 0
    tick: Callable[[str], None] | None = None
    trials: dict[tuple[Arrangement, int, Quiet | None], Trial] = field(default_factory=dict)
    """All that were looked at, by arrangement and shots."""
    limits: dict[Arrangement, Trial] = field(default_factory=dict)
    """Arrangements with infinitely many shots."""
    _passes: dict[Arrangement, NoisyPasses] = field(default_factory=dict)

    def allocate(self) -> None:
        """Find the projections that may have fewer shots, on a device without an error."""
        if share_rows(self.subject.rows):
            return
        self._say("which projections need few shots")
        self.allocation = allocate(noise_by_projection(self._perfect, several=self.several))

    @cached_property
    def _reference(self) -> ChipLayout:
        """With the most copies, at level 0."""
        return self.candidates.layout(self.candidates.most(0, self.candidates.readouts[0]))

    @cached_property
    def _perfect(self) -> NoisyPasses:
        """A device without an error."""
        noise = CopyNoise(self._reference, self.candidates.device.target, perfect=True)
        return NoisyPasses(self.subject, noise, self.seed)

    def cheapest(self) -> Trial | None:
        """The cheapest candidate that meets the request; None if none does."""
        reference, least = self._reference, self._least_shots()
        if least is None:
            return None
        best: Trial | None = None
        for level in self.candidates.levels:
            best = self._cheapest_of(level, reference, least, best)
        while best is not None:
            sure = self.look(best.candidate, LAST, fresh=True)
            if sure.meets:
                return sure
            best = self._next(best.candidate)
        return None

    def closest(self, budget: float = math.inf) -> Trial:
        """What comes closest to the request, within a budget if there is one.

        Args:
            budget: QPU seconds; where nothing fits, the cheapest candidate of all is looked at.
        """
        trials = []
        for level in self.candidates.levels[:2]:  # the third triples the price
            for readout in self.candidates.readouts:
                most = self.candidates.most(level, readout)
                for arrangement in (most, *self.candidates.fewer(most)):
                    layout = self.candidates.layout(arrangement)
                    options = [
                        self.candidate(layout, shots) for shots in shot_ladder(layout.mitigation)
                    ]
                    fits = [one for one in options if one.seconds <= budget] or options[:1]
                    shots = min(fits[-1].shots, PLENTY) if math.isinf(budget) else fits[-1].shots
                    trials.append(self.look(self.candidate(layout, shots)))
        affordable = [trial for trial in trials if trial.candidate.seconds <= budget]
        if not affordable:
            return min(trials, key=lambda trial: trial.candidate.seconds)
        return min(affordable, key=lambda trial: self.request.excess(trial.prediction))

    def _cheapest_of(
        self, level: Literal[0, 1, 2], reference: ChipLayout, least: int, best: Trial | None
    ) -> Trial | None:
        """The cheapest candidate of a level, or the best so far if that is cheaper.

        Of the readouts the one is followed that loses less with the most copies; and copies are
        taken away for as long as that helps.
        """
        if not self._worth(reference.at_level(level), least, best):
            return best
        most = self._readout(level, least)
        misses, improved = 0, False
        for arrangement in (most, *self.candidates.fewer(most)):
            if not self._worth(replace(reference.at_level(level), arrangement=arrangement),
                               least, best):  # fmt: skip
                break
            trial = self._better(self.candidates.layout(arrangement), least, best)
            improved, misses = improved or trial is not None, misses + (trial is None)
            best = trial or best
            if best and misses > (0 if improved else 1):
                break
        return best

    def _worth(self, rough: ChipLayout, least: int, best: Trial | None) -> bool:
        """Whether an arrangement could be cheaper than the best so far on a perfect device."""
        ladder = [shots for shots in shot_ladder(rough.mitigation) if shots >= least]
        if not ladder:
            return False
        return best is None or self.candidate(rough, ladder[0]).seconds < best.candidate.seconds

    def _readout(self, level: Literal[0, 1, 2], least: int) -> Arrangement:
        """The most copies in the readout that loses less at twice the least shots."""
        ways = [self.candidates.most(level, readout) for readout in self.candidates.readouts]
        if len(ways) == 1:
            return ways[0]
        trials = []
        for arrangement in ways:
            layout = self.candidates.layout(arrangement)
            ladder = shot_ladder(layout.mitigation)
            shots = next((s for s in ladder if s >= 2 * least), ladder[-1])
            trials.append(self.look(self.candidate(layout, shots)))
        losses = [self.request.excess(trial.prediction) for trial in trials]
        return ways[int(np.argmin(losses))]

    def _better(self, layout: ChipLayout, least: int, best: Trial | None) -> Trial | None:
        """The cheapest candidate of a layout, if it is cheaper than the best so far."""
        options = [
            self.candidate(layout, shots)
            for shots in shot_ladder(layout.mitigation)
            if shots >= least
        ]
        if best:
            options = [one for one in options if one.seconds < best.candidate.seconds]
        if not options or not self.limit(layout).meets:
            return None
        if best and not self.look(options[-1]).meets:
            return None
        return self._fewest(options, known=best is not None)

    def _fewest(self, options: list[Candidate], *, known: bool) -> Trial | None:
        """The first of ascending numbers of shots that meets the request.

        Args:
            options: Candidates of one layout.
            known: Whether the last one is known to meet it.
        """
        low, high = -1, len(options) - 1
        if not known:
            high = 0
            while not self.look(options[high]).meets:
                if high == len(options) - 1:
                    return None
                low, high = high, min(high + STEPS, len(options) - 1)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if self.look(options[middle]).meets else (middle, high)
        return self.look(options[high])

    def _next(self, candidate: Candidate) -> Trial | None:
        """The same with the next number of shots; None above the last."""
        more = [s for s in shot_ladder(candidate.layout.mitigation) if s > candidate.shots]
        return self.look(self.candidate(candidate.layout, more[0])) if more else None

    def _least_shots(self) -> int | None:
        """The shots that a device without an error needs; None if none suffice."""
        self._say("shots of a perfect device")
        ladder = shot_ladder(self._reference.mitigation)
        least = ladder[0]
        for place in range(0, len(ladder), STEPS):
            drawn = self._perfect.logits(ladder[place], range(QUICK // 2))
            if self.request.chance(self._predict(drawn)) >= SURE:
                return least
            least = ladder[min(place + 1, len(ladder) - 1)]
        return None

    def limit(self, layout: ChipLayout) -> Trial:
        """A layout with infinitely many shots: what no number of them improves on.

        Args:
            layout: Compiled.
        """
        key = layout.arrangement
        if key not in self.limits:
            self._say(f"{key.describe()}, any number of shots")
            drawn = self.passes_of(layout).logits(None, range(QUICK if key.k != 1 else 1))
            losses = self._predict(drawn)
            candidate = self.candidate(layout, shot_ladder(layout.mitigation)[-1])
            self.limits[key] = Trial(candidate, losses, self.request.chance(losses) >= SURE)
        return self.limits[key]

    def look(self, candidate: Candidate, draws: int = CLOSE, *, fresh: bool = False) -> Trial:
        """What a candidate is predicted to lose; the same answer when asked again.

        Args:
            candidate: To look at.
            draws: At most, of shots and seats; fewer where the first ones are clear.
            fresh: Whether to take draws that no earlier look has taken, all of them.
        """
        key = (candidate.layout.arrangement, candidate.shots, candidate.quiet)
        if key in self.trials and not fresh:
            return self.trials[key]
        self._say(f"{key[0].describe()}, {candidate.shots:,} shots")
        passes, start = self.passes_of(candidate.layout), CLOSE if fresh else 0
        shots = candidate.shots_by_projection
        first = draws if fresh else QUICK
        losses = self._predict(passes.logits(shots, range(start, start + first)))
        chance = self.request.chance(losses)
        if not fresh and CLEAR[0] < chance < CLEAR[1]:
            more = self._predict(passes.logits(shots, range(first, draws)))
            losses = join_predictions([losses, more])
            chance = self.request.chance(losses)
        self.trials[key] = Trial(candidate, losses, chance >= SURE)
        return self.trials[key]

    def passes_of(self, layout: ChipLayout) -> NoisyPasses:
        """Passes over the images under a layout's noise.

        Args:
            layout: Compiled.
        """
        if layout.arrangement not in self._passes:
            noise = CopyNoise(layout, self.candidates.device.target)
            while len(self._passes) >= KEPT:
                del self._passes[next(iter(self._passes))]
            self._passes[layout.arrangement] = NoisyPasses(self.subject, noise, self.seed)
        return self._passes[layout.arrangement]

    def candidate(self, layout: ChipLayout, shots: int) -> Candidate:
        """A layout with so many shots, fewer for quiet projections where that is cheaper.

        Args:
            layout: Compiled.
            shots: Of every row, or of those of the projections that are not quiet.
        """
        equal = Candidate(layout, shots)
        split = self.allocation.at(shots, layout.mitigation) if self.allocation else None
        if split is None:
            return equal
        shares = Candidate(layout, *split)
        return shares if shares.seconds < equal.seconds else equal

    def _predict(self, drawn: np.ndarray) -> Prediction:
        return predict_losses(self.subject.exact, drawn, self.labels, several=self.several)

    def _say(self, text: str) -> None:
        if self.tick:
            self.tick(text)
