"""From the evidence of a comparison to the comparison: every number, worked out once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

from qvit_qiskit import metrics
from qvit_qiskit.comparison.comparison import Comparison
from qvit_qiskit.comparison.evidence import Evidence
from qvit_qiskit.comparison.findings.attention import attention_maps
from qvit_qiskit.comparison.findings.curves import band
from qvit_qiskit.comparison.findings.gains import gains
from qvit_qiskit.comparison.findings.image_answers import by_image, image_order
from qvit_qiskit.comparison.findings.judgement import answers, device_differences, judged
from qvit_qiskit.comparison.findings.parts import layer_errors
from qvit_qiskit.comparison.findings.planned_loss import planned_losses
from qvit_qiskit.comparison.findings.points import points_of
from qvit_qiskit.comparison.findings.predictions import confusion, reliability
from qvit_qiskit.comparison.findings.scores import ModelDifference, scores
from qvit_qiskit.comparison.findings.shares import largest_shares, layer_shares
from qvit_qiskit.comparison.findings.systematic import biases_and_drifts
from qvit_qiskit.statistics.differences import acc_difference, auc_difference


def build(evidence: Evidence) -> Comparison:
    """Work out what follows from the rungs of a model.

    Args:
        evidence: The rungs and what was recorded of them. Of a `Comparison` its numbers are left
            aside and worked out anew.

    Returns:
        The same with scores, intervals, error parts, biases, drifts and curves.
    """
    known = {one.name: getattr(evidence, one.name) for one in fields(Evidence)}
    rungs, labels = evidence.rungs, evidence.labels
    ladder = scores(evidence)
    images = by_image(evidence)
    shares = layer_shares(evidence.attributions)
    biases, drifts = biases_and_drifts(evidence)
    errors, largest = layer_errors(evidence, ladder), largest_shares(shares)
    return Comparison(
        **known,
        scores=ladder,
        answers=answers(evidence, images, ladder, errors, largest, [*biases, *drifts]),
        device_differences=device_differences(evidence, images),
        planned=planned_losses(ladder),
        gains=gains(evidence, images, errors),
        layer_errors=errors,
        layer_shares=shares,
        largest_shares=largest,
        biases=biases,
        drifts=drifts,
        points={rung.name: points_of(rung) for rung in evidence.errors_known},
        curves={rung.name: band(labels, rung, evidence.seed) for rung in rungs},
        reliabilities={rung.name: reliability(labels, rung) for rung in rungs},
        confusions={rung.name: confusion(labels, rung) for rung in rungs},
        maps=attention_maps(evidence),
        by_image=images,
        image_order=image_order(images, evidence.exact.name, [r.name for r in judged(evidence)]),
    )


def model_differences(
    comparisons: Sequence[Comparison], names: Sequence[str]
) -> tuple[ModelDifference, ...]:
    """Paired differences of the exact rungs of several models from that of the first.

    Args:
        comparisons: Of several models on the same images.
        names: Of the models.

    Returns:
        AUC and ACC of every model but the first.
    """
    labels = comparisons[0].labels
    first, *others = (
        metrics.probabilities(one.exact.logits, multi_label=one.multi_label) for one in comparisons
    )
    return tuple(
        ModelDifference(name, names[0], difference(labels, first, other))
        for name, other in zip(names[1:], others, strict=True)
        for difference in (auc_difference, acc_difference)
    )
