"""A comparison with its tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qvit_qiskit.comparison.data import ComparisonData
from qvit_qiskit.comparison.tables import (
    attribution_frame,
    bias_frame,
    difference_frame,
    drift_frame,
    hypothesis_frame,
    layer_frame,
    rung_frame,
)

if TYPE_CHECKING:
    import pandas as pd


class Comparison(ComparisonData):
    """One model on the same images, rung by rung, as data and as tables."""

    def table(self) -> pd.DataFrame:
        """One line for each rung: AUC, ACC, agreement, KL, output error, cost, with intervals."""
        return rung_frame(self)

    def differences(self) -> pd.DataFrame:
        """Paired differences of AUC and ACC from the exact rung."""
        return difference_frame(self)

    def layers(self) -> pd.DataFrame:
        """The error of each quantum layer's outputs, and what it is made of."""
        return layer_frame(self)

    def shares(self) -> pd.DataFrame:
        """Which quantum layer moved the logits of a recorded run."""
        return attribution_frame(self)

    def bias(self) -> pd.DataFrame:
        """Mean errors by output, physical qubit and copy on the chip."""
        return bias_frame(self)

    def drift(self) -> pd.DataFrame:
        """Mean errors from job to job."""
        return drift_frame(self)

    def tests(self) -> pd.DataFrame:
        """Chi-square tests of bias and drift."""
        return hypothesis_frame(self)
