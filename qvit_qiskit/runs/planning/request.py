"""What a plan must meet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from qvit_qiskit.exceptions import JobError

if TYPE_CHECKING:
    from qvit_qiskit.runs.planning.predicted_losses import Prediction

TOLERANCE = 0.01
"""The AUC that may be lost where nobody says how much."""


@dataclass(frozen=True)
class Accuracy:
    """How good the answers of an evaluation must be, measured against the exact model's."""

    tolerance: float | None = TOLERANCE
    """AUC that may be lost at most."""
    agreement: float | None = None
    """Share of the images that must be answered as the exact model answers them, at least."""

    def __post_init__(self) -> None:
        if self.tolerance is None and self.agreement is None:
            raise JobError(
                "Expected a tolerance or an agreement to plan for, but got neither. State "
                "tolerance = 0.01 or agreement = 0.95."
            )
        if self.tolerance is not None and not 0 < self.tolerance < 1:
            raise JobError(
                f"Expected a tolerance between 0 and 1, the AUC that may be lost, but got "
                f"{self.tolerance:g}. A usual one is 0.01."
            )
        if self.agreement is not None and not 0 < self.agreement <= 1:
            raise JobError(
                f"Expected an agreement above 0 and at most 1, a share of the images, but got "
                f"{self.agreement:g}. A usual one is 0.95."
            )

    @classmethod
    def of(cls, tolerance: float | None, agreement: float | None) -> Accuracy:
        """The request of a spec; by default the usual tolerance.

        Args:
            tolerance: AUC that may be lost, or nothing.
            agreement: Share of equal answers, or nothing.

        Raises:
            JobError: If a value is out of range.
        """
        if tolerance is None and agreement is None:
            return cls()
        return cls(tolerance, agreement)

    @property
    def most_lost(self) -> float:
        """What may be lost: of the AUC, or of the equal answers where only these are asked for."""
        return self.tolerance if self.tolerance is not None else 1 - (self.agreement or 0.0)

    def describe(self) -> str:
        """What is asked, for people."""
        parts = []
        if self.tolerance is not None:
            parts.append(f"at most {self.tolerance:g} AUC lost")
        if self.agreement is not None:
            parts.append(f"at least {self.agreement:.1%} of the answers as the exact model's")
        return " and ".join(parts)

    def chance(self, prediction: Prediction) -> float:
        """The predicted probability that the request is met."""
        chances = []
        if self.tolerance is not None:
            chances.append(prediction.auc.within(self.tolerance))
        if self.agreement is not None:
            chances.append(prediction.disagreement.within(1 - self.agreement + 1e-12))
        return min(chances)

    def excess(self, prediction: Prediction) -> float:
        """How far the 95 % bounds lie beyond what is asked; at most 0 where it is met."""
        gaps = []
        if self.tolerance is not None:
            gaps.append(prediction.auc.bound - self.tolerance)
        if self.agreement is not None:
            gaps.append(prediction.disagreement.bound - (1 - self.agreement))
        return max(gaps)

    def reached(self, prediction: Prediction) -> str:
        """What a prediction would meet, as somebody could ask for it."""
        parts = []
        if self.tolerance is not None:
            parts.append(f"tolerance = {_up(prediction.auc.bound):.3g}")
        if self.agreement is not None:
            parts.append(f"agreement = {1 - _up(prediction.disagreement.bound):.3g}")
        return " with ".join(parts)


def _up(value: float) -> float:
    """A bound rounded away from what can be reached, to a thousandth."""
    return max(0.001, -(-max(value, 0.0) * 1000 // 1) / 1000)
