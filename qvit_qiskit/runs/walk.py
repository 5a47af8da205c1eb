"""A model walked over all images, one quantum layer at a time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from qvit_qiskit.exceptions import DataError, JobError
from qvit_qiskit.execution import registry
from qvit_qiskit.execution.route import Route
from qvit_qiskit.hardware.estimators import Pending, StageEstimator
from qvit_qiskit.hardware.stage import Answers, Rows
from qvit_qiskit.inference.prediction import check_finite_logits
from qvit_qiskit.profile import FakeProfile


def walk(
    model: nn.Module,
    images: Tensor,
    answers: Sequence[Answers],
    asked: Sequence[Sequence[np.ndarray]],
    batch_size: int,
) -> np.ndarray | Rows:
    """Run a model as far as its quantum layers are answered.

    Args:
        model: Any module whose quantum layers are ours. Its batches keep their order, and every
            image takes the same number of rows in a layer.
        images: Shape (n, ...).
        answers: Of the finished stages, in the order in which the model calls its layers.
        asked: The parameter values that they answer, for each stage and projection (R, P).
        batch_size: Images per forward pass; any size gives the same rows.

    Returns:
        Logits (n, classes) where every layer was answered, or what the next layer asks.

    Raises:
        JobError: If the model calls other layers than it did before, or none at all.
        DataError: If a logit is not finite.
    """
    if batch_size < 1:
        raise DataError(f"Expected a batch of at least one image, but got {batch_size}.")
    estimator = StageEstimator(answers, asked)
    profile = FakeProfile(kind="fake", device="stage")
    route = Route("stage", profile, Path("built in"), estimator, gradient=None)
    images = images.to(next(model.parameters(), images).dtype)
    # Strides of a single channel decide over rounding: a run must ask the same rows again.
    images = images.clone(memory_format=torch.contiguous_format)
    parts: list[np.ndarray] = []
    training = model.training
    model.eval()
    try:
        with torch.no_grad(), registry.route(model, route):
            for batch in images.split(batch_size):
                try:
                    with estimator.batch():
                        parts.append(model(batch).double().numpy())
                except Pending:
                    pass
    finally:
        model.train(training)
    if estimator.noted and parts:
        raise JobError("Expected every forward pass to call the same quantum layers.")
    if estimator.noted:
        return estimator.rows()
    if not answers:
        raise JobError("The model has no quantum layer, so nothing would be sent.")
    logits = np.concatenate(parts)
    check_finite_logits(logits)
    return logits
