"""A comparison: the rungs of a model, and every number that is told of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from qvit_qiskit.comparison import tables
from qvit_qiskit.comparison.evidence import Evidence
from qvit_qiskit.comparison.findings.attention import AttentionMaps
from qvit_qiskit.comparison.findings.curves import Band
from qvit_qiskit.comparison.findings.gains import Gain
from qvit_qiskit.comparison.findings.image_answers import ImageAnswers
from qvit_qiskit.comparison.findings.judgement import Answer, Conclusion, DeviceDifference
from qvit_qiskit.comparison.findings.parts import LayerError
from qvit_qiskit.comparison.findings.planned_loss import PlannedLoss
from qvit_qiskit.comparison.findings.points import Points
from qvit_qiskit.comparison.findings.predictions import Confusion, Reliability
from qvit_qiskit.comparison.findings.scores import RungScores
from qvit_qiskit.comparison.findings.shares import Share
from qvit_qiskit.comparison.findings.systematic import Bias, Drift
from qvit_qiskit.comparison.fragment import fragment
from qvit_qiskit.comparison.summary import plain_text

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, kw_only=True, repr=False)
class Comparison(Evidence):
    """One model on the same images, rung by rung, with what follows from it.

    `builder.build` works the numbers out, once; terminal, JSON, CSV, page and notebook show them.
    The methods are the same numbers as pandas frames. To compare with other evidence, build again:
    ``dataclasses.replace`` leaves the numbers as they are.

    Example:
        >>> from qvit_qiskit import ViTConfig, build_model, compare, load
        >>> model = build_model(ViTConfig(width=2, heads=1, patch_size=14), seed=0)
        >>> images = load("phantom").val
        >>> comparison = compare(model=model, data=images, backends=["aer-shots"], draws=0)
        >>> [scores.rung.name for scores in comparison.scores]
        ['exact', 'aer-shots']
    """

    scores: tuple[RungScores, ...]
    """AUC, ACC and the distances from the exact rung, of every rung."""
    answers: tuple[Answer, ...]
    """Of every device: how much worse it is, why, and what to do; without a device of every rung
    but the exact one."""
    device_differences: tuple[DeviceDifference, ...]
    """Every pair of devices."""
    planned: tuple[PlannedLoss, ...]
    """Of every run that was planned for an accuracy: what was predicted, and what was lost."""
    gains: tuple[Gain, ...]
    """Of every rung that is corrected by anchors: what that changed."""
    layer_errors: tuple[LayerError, ...]
    """Of every noisy rung and quantum layer: the error of its outputs, and its parts."""
    layer_shares: tuple[Share, ...]
    """Of every recorded rung and quantum layer: its share of what moved the logits."""
    largest_shares: dict[str, Share]
    """By recorded rung the largest of them; empty where nothing moved."""
    biases: tuple[Bias, ...]
    """Mean errors by output, physical qubit and copy on the chip."""
    drifts: tuple[Drift, ...]
    """Mean errors from job to job."""
    points: dict[str, tuple[Points, ...]]
    """By noisy rung and for each quantum layer: every output, measured and exact."""
    curves: dict[str, Band]
    """By rung: its ROC curve."""
    reliabilities: dict[str, Reliability]
    """By rung: how often its predicted probabilities came true."""
    confusions: dict[str, Confusion]
    """By rung: images by true and predicted class."""
    maps: AttentionMaps
    """The attention that patches receive."""
    by_image: dict[str, ImageAnswers]
    """By rung: its answer to every image, and where that is another than the exact rung's."""
    image_order: tuple[int, ...]
    """All images, those with a changed answer first."""

    @property
    def outcome(self) -> Conclusion:
        """The answer: what is told first."""
        return Conclusion(
            self.title, len(self.labels), self.tolerance, self.answers, self.device_differences
        )

    def __repr__(self) -> str:
        """The answer in a few lines."""
        return "\n".join(plain_text(self.outcome))

    def _repr_html_(self) -> str:
        """The answer as notebooks show it."""
        return fragment(self.outcome)

    def verdicts(self) -> pd.DataFrame:
        """Of every device and metric the loss against the exact model, and what it says."""
        return tables.verdict_frame(self.answers)

    def between_devices(self) -> pd.DataFrame:
        """Paired differences of AUC and ACC between every two devices."""
        return tables.device_frame(self.device_differences)

    def table(self) -> pd.DataFrame:
        """One line for each rung: AUC, ACC, agreement, KL, output error, cost, with intervals."""
        return tables.rung_frame(self.scores)

    def differences(self) -> pd.DataFrame:
        """Paired differences of AUC and ACC from the exact rung."""
        return tables.difference_frame(self.scores)

    def plans(self) -> pd.DataFrame:
        """Of every planned run: what it was predicted to lose, and what it lost."""
        return tables.plan_frame(self.planned)

    def corrections_gained(self) -> pd.DataFrame:
        """What correction by anchors changed: errors of the outputs by layer, AUC and ACC."""
        return tables.gain_frame(self.gains)

    def layers(self) -> pd.DataFrame:
        """The error of each quantum layer's outputs, and what it is made of."""
        return tables.layer_frame(self.layer_errors)

    def shares(self) -> pd.DataFrame:
        """Which quantum layer moved the logits of a recorded run."""
        return tables.share_frame(self.layer_shares)

    def bias(self) -> pd.DataFrame:
        """Mean errors by output, physical qubit and copy on the chip."""
        return tables.bias_frame(self.biases)

    def drift(self) -> pd.DataFrame:
        """Mean errors from job to job."""
        return tables.drift_frame(self.drifts)

    def predictions(self) -> pd.DataFrame:
        """One line for each rung and image: class, answer, whether it changed, probabilities."""
        return tables.prediction_frame(self.by_image, self.labels, self.class_names)

    def changes(self) -> pd.DataFrame:
        """The lines of `predictions` whose answer is another than the exact rung's."""
        return tables.change_frame(self.by_image, self.labels, self.class_names, self.exact.name)

    def tests(self) -> pd.DataFrame:
        """Chi-square tests of bias and drift."""
        return tables.hypothesis_frame([*self.biases, *self.drifts])
