"""Logits of a model over a split."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from qvit_qiskit.exceptions import DataError


def predict(
    model: nn.Module,
    images: Tensor,
    batch_size: int = 64,
    tick: Callable[[int], None] | None = None,
) -> np.ndarray:
    """Logits without gradients, in evaluation mode; the model's mode is restored.

    Args:
        model: Any classifier.
        images: Shape (n, C, H, W).
        batch_size: Images per forward pass.
        tick: Called with the number of images done after every batch.

    Returns:
        Logits, shape (n, classes), float64.

    Raises:
        DataError: If ``batch_size`` is not positive.
    """
    if batch_size < 1:
        raise DataError(f"Expected a batch of at least one image, but got {batch_size}.")
    parameter = next(model.parameters(), images)
    images = images.to(parameter.dtype)
    training = model.training
    model.eval()
    parts = []
    try:
        with torch.no_grad():
            for start in range(0, len(images), batch_size):
                batch = images[start : start + batch_size]
                parts.append(model(batch).double().numpy())
                if tick:
                    tick(len(batch))
    finally:
        model.train(training)
    return np.concatenate(parts)
