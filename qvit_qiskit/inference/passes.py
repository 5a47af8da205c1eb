"""One pass of a model over images: what every quantum layer asked, and what came back.

A pass may add corrections to the layers' outputs. That one primitive makes the rungs of the ladder,
the attribution of a run's errors to its layers, and the redraws of its shots.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from qiskit.primitives import BaseEstimatorV2
from torch import Tensor, nn

from qvit_qiskit.exceptions import JobError
from qvit_qiskit.hardware.stages.stage import Rows
from qvit_qiskit.hardware.values.outputs import Outputs
from qvit_qiskit.inference.layer_estimator import (
    Layer,
    LayerAnswers,
    LayerEstimator,
    Layers,
    logits_of,
    other_layers,
)
from qvit_qiskit.inference.prediction import BATCH
from qvit_qiskit.inference.rows import join_rows


@dataclass(frozen=True)
class Pass:
    """A model on all images, with what its quantum layers did."""

    logits: np.ndarray  # shape: (n, classes)
    layers: list[list[Outputs]]
    """What every quantum layer returned, one for each projection, rows in image order."""
    executed: list[Rows]
    """For each quantum layer which rows were run once for several that are equal; empty where
    every row was evaluated for itself."""

    @property
    def values(self) -> list[list[np.ndarray]]:
        """The layers' outputs alone."""
        return [[out.values for out in layer] for layer in self.layers]


def run_pass(
    model: nn.Module,
    images: Tensor,
    inner: BaseEstimatorV2,
    deltas: Layers | None = None,
    batch_size: int = BATCH,
    *,
    first: Layer | None = None,
    once: bool = False,
    notes: bool = True,
) -> Pass:
    """Run a model with every quantum layer on an estimator, its outputs corrected.

    Args:
        model: Any module whose quantum layers are ours. Its batches keep their order, and every
            image takes the same number of rows in a layer.
        images: Shape (n, ...).
        inner: Evaluates the rows that the layers ask.
        deltas: For each quantum layer and projection what is added to its outputs, (R, K); None
            for a layer adds nothing.
        batch_size: Images per forward pass.
        first: Outputs of the first quantum layer, if they are known: they depend on no correction.
        once: Evaluate equal rows of a batch once, as hardware runs do; for values with shots.
        notes: Whether to keep what the layers asked and returned; without it there are no layers.

    Raises:
        JobError: If the model has no quantum layer, or not those that the corrections are for.
        DataError: If a logit is not finite.
    """
    known = [] if first is None else [LayerAnswers(first)]
    estimator = LayerEstimator(inner, known, deltas, once=once, notes=notes)
    logits = logits_of(model, images, estimator, batch_size)
    if not estimator.records:
        raise JobError("The model has no quantum layer, so its rungs would all be the same.")
    if not estimator.complete:
        raise other_layers()
    if not notes:
        return Pass(logits, [], [])
    layers = [record.outputs() for record in estimator.records]
    executed = [join_rows(record.rows) for record in estimator.records if record.rows]
    return Pass(logits, layers, executed)
