"""What a measured loss says, in one of three words, and what it would take to say more.

A loss is the exact model's score minus a device's, on the same images. It is judged by the
confidence interval of that paired difference and a tolerance that was stated beforehand, as
equivalence is judged in clinical trials (Schuirmann, J. Pharmacokinet. Biopharm. 15, 1987): a
device is "as good" if the whole interval lies below the tolerance, and "worse" if it lies above 0.
A single 95 % interval errs to either side with 2.5 %, so AUC and ACC together err with 5 % at most;
for several devices the level is corrected after Bonferroni. ``benchmarks/verdicts.py`` counts how
often the words are wrong.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

from qvit_qiskit.exceptions import DataError
from qvit_qiskit.statistics.differences import Difference
from qvit_qiskit.statistics.intervals import Interval, normal_quantile

Word = Literal["as good", "worse", "undecided"]

TOLERANCE = 0.005
"""The loss that is taken for none where nobody stated another."""


@dataclass(frozen=True)
class Verdict:
    """What one loss says."""

    metric: Literal["AUC", "ACC"]
    loss: Interval
    """The exact model's score minus the device's; above 0 the device is worse."""
    tolerance: float
    """The loss that counts as none."""
    word: Word
    images: int | None = None
    """About how many images would decide, if the loss stayed as measured; None where it is decided
    or these images do not determine the loss."""
    shots: int | None = None
    """About how many shots a row would decide on these images; None where no number would."""

    def describe(self) -> str:
        """The verdict as a phrase without numbers of images and shots."""
        if self.word == "as good":
            return f"as good (within {short(self.tolerance)})"
        if self.word == "worse":
            return f"worse by at least {short(self.loss.low)}"
        return "undecided"


def short(value: float) -> str:
    """A number with three decimals, or two digits where that would show none."""
    return f"{value:.3f}" if abs(value) >= 0.001 or value == 0 else f"{value:.1g}"


def corrected_level(count: int, level: float = 0.95) -> float:
    """The level of each of several intervals that together hold at a level (Bonferroni).

    Args:
        count: How many things are judged; at least one.
        level: Nominal coverage of all together.

    Raises:
        DataError: If there is nothing to judge.
    """
    if count < 1:
        raise DataError(f"Expected at least one thing to judge, but got {count}.")
    return 1 - (1 - level) / count


def check_tolerance(tolerance: float) -> None:
    """Refuse what is no loss of a score.

    Raises:
        DataError: If the tolerance is not above 0 and below 1.
    """
    if not 0 < tolerance < 1:
        raise DataError(f"Expected a tolerance above 0 and below 1, but got {tolerance}.")


def verdict_on(
    difference: Difference,
    tolerance: float = TOLERANCE,
    *,
    images: int,
    shots: int | None = None,
    over_shots: Interval | None = None,
) -> Verdict:
    """Judge a device by its difference from the exact model.

    Args:
        difference: The device's score minus the exact model's, on the same images.
        tolerance: The loss that does not matter, in units of the score; above 0.
        images: How many images there were.
        shots: Per row; None where values are exact.
        over_shots: The device's score over redraws of its shots alone, which tells how much of the
            interval's width is theirs.

    Returns:
        "as good" where the interval of the loss ends below the tolerance (which takes precedence),
        "worse" where it begins above 0, otherwise "undecided" with what would tell.

    Raises:
        DataError: If the tolerance is not above 0 and below 1.
    """
    check_tolerance(tolerance)
    loss = loss_of(difference)
    verdict = Verdict(difference.metric, loss, tolerance, _word(loss, tolerance))
    if verdict.word != "undecided" or math.isnan(loss.value):
        return verdict
    more = _narrowing(loss, tolerance)
    return replace(
        verdict,
        images=_about(images * more),
        shots=_shots_for(more, shots, over_shots, loss) if shots and over_shots else None,
    )


def loss_of(difference: Difference) -> Interval:
    """A difference turned round: what is lost from the first to the second."""
    interval = difference.interval
    return replace(interval, value=-interval.value, low=-interval.high, high=-interval.low)


def _word(loss: Interval, tolerance: float) -> Word:
    if loss.high < tolerance:
        return "as good"
    return "worse" if loss.low > 0 else "undecided"


def _narrowing(loss: Interval, tolerance: float) -> float:
    """By how much the variance must fall for a word, the loss staying as it is; at least 1."""
    ways = []
    if loss.value < tolerance:
        ways.append((loss.high - loss.value) / (tolerance - loss.value))
    if loss.value > 0:
        ways.append((loss.value - loss.low) / loss.value)
    return max(1.0, min(ways)) ** 2


def _shots_for(more: float, shots: int, over_shots: Interval, loss: Interval) -> int | None:
    """Shots at which the variance falls by a factor while the images stay; None where none do."""
    whole = _variance(loss)
    share = min(1.0, _variance(over_shots) / whole) if whole > 0 else 0.0
    left = 1 / more - (1 - share)
    return _about(shots * share / left) if left > 0 else None


def _about(number: float) -> int:
    """A count rounded up to two digits, since what it follows from is not known better."""
    size = 10 ** max(0, len(str(math.ceil(number))) - 2)
    return math.ceil(number / size) * size


def _variance(interval: Interval) -> float:
    return float(((interval.high - interval.low) / (2 * normal_quantile(interval.level))) ** 2)
