"""Which quantum layer moved the logits: its recorded errors, added alone to an exact pass."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from qiskit.primitives import BaseEstimatorV2
from torch import Tensor, nn

from qvit_qiskit.comparison.evidence import Attribution, Executions
from qvit_qiskit.execution.recorded_noise import RecordedNoise
from qvit_qiskit.hardware.stages.stage import Rows
from qvit_qiskit.hardware.values.outputs import Outputs
from qvit_qiskit.inference.layer_estimator import Layer
from qvit_qiskit.inference.passes import Pass, run_pass
from qvit_qiskit.inference.prediction import BATCH
from qvit_qiskit.inference.rows import answers_at


def residuals(
    inner: BaseEstimatorV2, rows: Sequence[Rows], layers: Sequence[Sequence[Outputs]]
) -> list[list[np.ndarray]]:
    """For each layer and projection the recorded outputs minus those at the recorded angles.

    Args:
        inner: What to compare with.
        rows: What each layer was asked.
        layers: What it returned.

    Returns:
        Arrays of shape (R, K).
    """
    all_layers = []
    for asked, layer in zip(rows, layers, strict=True):
        expected = answers_at(inner, asked)
        all_layers.append([out.values - e[0] for out, e in zip(layer, expected, strict=True)])
    return all_layers


def unpredicted(
    noisy: RecordedNoise, executions: Sequence[Executions], layers: Sequence[Sequence[Outputs]]
) -> list[list[np.ndarray]]:
    """For each layer and projection the recorded outputs minus what a device's errors predict.

    Args:
        noisy: The run's own noise; a row is compared with its own copy on the chip.
        executions: Where the rows of each layer ran.
        layers: What it returned.

    Returns:
        Arrays of shape (R, K).
    """
    all_layers = []
    for where, layer, predicts in zip(executions, layers, noisy.layers, strict=True):
        rest = [out.values.copy() for out in layer]
        for copy, estimator in enumerate(predicts.copies):
            mine = [out.copies == copy for out in layer]
            asked = [(g, index[m]) for (g, index), m in zip(where.rows.pubs, mine, strict=True)]
            predicted = answers_at(estimator, Rows(where.rows.groups, asked))
            for each, m, (values, _) in zip(rest, mine, predicted, strict=True):
                each[m] -= values
        all_layers.append(rest)
    return all_layers


def attribute(
    model: nn.Module,
    images: Tensor,
    inner: BaseEstimatorV2,
    exact: Pass,
    deltas: Sequence[Layer],
    total: np.ndarray,
    batch_size: int = BATCH,
    rest: int = 0,
) -> Attribution:
    """How far each quantum layer's errors alone move the logits.

    Args:
        model: The model.
        images: Shape (n, ...).
        inner: The exact estimator.
        exact: Its pass.
        deltas: From `residuals`.
        total: Logits of the pass with the errors of all layers, shape (n, classes).
        batch_size: Images per forward pass.
        rest: Quantum layers behind those of ``deltas``, without errors.

    Returns:
        The effects of the layers; that of an only layer is the whole, without another pass.
    """
    if len(deltas) == 1:
        moved = total - exact.logits
        return Attribution(exact.logits, moved[None], moved)
    first = exact.values[0]
    effects = []
    for place in range(len(deltas)):
        only = [delta if layer == place else None for layer, delta in enumerate(deltas)]
        only += [None] * rest
        alone = run_pass(model, images, inner, only, batch_size, first=first, notes=False)
        effects.append(alone.logits - exact.logits)
    # effects: (layers, n, classes)
    return Attribution(exact.logits, np.stack(effects), total - exact.logits)
