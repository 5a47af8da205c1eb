"""The answer of a comparison: how much worse each device is, why, and what to do."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from qvit_qiskit.comparison.evidence import Evidence, Rung
from qvit_qiskit.comparison.findings.advice import Advice, Adviser
from qvit_qiskit.comparison.findings.cause import Cause, cause_of
from qvit_qiskit.comparison.findings.image_answers import ImageAnswers
from qvit_qiskit.comparison.findings.parts import LayerError
from qvit_qiskit.comparison.findings.scores import RungScores, covered
from qvit_qiskit.comparison.findings.shares import Share
from qvit_qiskit.comparison.findings.systematic import Bias, Drift
from qvit_qiskit.statistics.differences import Difference, acc_difference, auc_difference
from qvit_qiskit.statistics.verdicts import Verdict, corrected_level, verdict_on


@dataclass(frozen=True)
class Answer:
    """What a comparison says of one rung."""

    rung: str
    auc: Verdict
    acc: Verdict
    cause: Cause | None
    """None where the errors of the outputs are not known, or there are none."""
    advice: Advice

    @property
    def verdicts(self) -> tuple[Verdict, Verdict]:
        """What the losses of both metrics say."""
        return self.auc, self.acc


@dataclass(frozen=True)
class DeviceDifference:
    """One device less another on the same images, at the level corrected for their number."""

    rung: str
    than: str
    difference: Difference


@dataclass(frozen=True)
class Conclusion:
    """The answer of a whole comparison: what is told first."""

    title: str
    images: int
    """How many were compared."""
    tolerance: float
    """The loss of a score, as a number from 0 to 1, that counts as none."""
    answers: tuple[Answer, ...]
    device_differences: tuple[DeviceDifference, ...]


def judged(evidence: Evidence) -> tuple[Rung, ...]:
    """The rungs that are judged: the devices, or without one every rung but the exact one.

    What anchors make of a device is judged on request alone: whoever corrects after the fact has
    two answers to choose from.
    """
    kinds = ("hardware", "corrected") if evidence.judge_corrected else ("hardware",)
    return tuple(rung for rung in evidence.rungs if rung.kind in kinds) or evidence.rungs[1:]


def answers(
    evidence: Evidence,
    images: Mapping[str, ImageAnswers],
    scores: Sequence[RungScores],
    errors: Sequence[LayerError],
    largest: Mapping[str, Share],
    systematic: Sequence[Bias | Drift],
) -> tuple[Answer, ...]:
    """Verdict, cause and advice of every judged rung.

    Args:
        evidence: What is compared.
        images: What its rungs answer, image by image.
        scores: Of its rungs.
        errors: Of their quantum layers, with the parts.
        largest: By rung the largest share of what moved the logits.
        systematic: Biases and drifts of the rungs.

    Returns:
        One for each rung of `judged`, in their order.

    Raises:
        DataError: If the tolerance is not above 0 and below 1.
    """
    rungs, answers_of_rungs = judged(evidence), []
    by_name = {score.rung.name: score for score in scores}
    for rung in rungs:
        auc, acc = _verdicts(evidence, images, by_name[rung.name], len(rungs))
        cause = cause_of(rung.name, errors, largest)
        advice = Adviser(evidence, rung, (auc, acc), cause, systematic).advice()
        answers_of_rungs.append(Answer(rung.name, auc, acc, cause, advice))
    return tuple(answers_of_rungs)


def device_differences(
    evidence: Evidence, images: Mapping[str, ImageAnswers]
) -> tuple[DeviceDifference, ...]:
    """Every pair of devices, in AUC and ACC; empty for fewer than two.

    Args:
        evidence: What is compared.
        images: What its rungs answer, image by image.
    """
    devices = [rung for rung in evidence.rungs if rung.kind == "hardware"]
    pairs = list(itertools.combinations(devices, 2))
    if not pairs:
        return ()
    level = corrected_level(len(pairs))
    return tuple(
        DeviceDifference(
            second.name,
            first.name,
            difference(
                evidence.labels,
                images[first.name].probabilities,
                images[second.name].probabilities,
                level,
                covers=covered(second),
            ),
        )
        for first, second in pairs
        for difference in (auc_difference, acc_difference)
    )


def _verdicts(
    evidence: Evidence, images: Mapping[str, ImageAnswers], score: RungScores, count: int
) -> Iterator[Verdict]:
    """What the losses of AUC and ACC say; for several rungs at the corrected level."""
    assert score.auc_difference is not None
    assert score.acc_difference is not None
    rung, labels = score.rung, evidence.labels
    differences = [score.auc_difference, score.acc_difference]
    if count > 1:
        exact, other = (images[r.name].probabilities for r in (evidence.exact, rung))
        differences = [
            difference(labels, exact, other, corrected_level(count), covers=covered(rung))
            for difference in (auc_difference, acc_difference)
        ]
    for difference, over_shots in zip(differences, (score.auc_shots, score.acc_shots), strict=True):
        yield verdict_on(
            difference,
            evidence.tolerance,
            images=len(labels),
            shots=None if rung.mean_shots else rung.shots,
            over_shots=over_shots,
        )
