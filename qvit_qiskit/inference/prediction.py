"""Logits of a model over a split."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from qvit_qiskit.data.pixels import Pixels
from qvit_qiskit.exceptions import DataError

BATCH = 256
"""Images per forward pass without gradients: so many that calls do not cost more than numbers."""


def predict(
    model: nn.Module,
    images: Tensor | Pixels,
    batch_size: int | None = None,
    tick: Callable[[int], None] | None = None,
    *,
    each: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> np.ndarray:
    """Logits without gradients, in evaluation mode; the model's mode is restored.

    Args:
        model: Any classifier.
        images: Shape (n, C, H, W); of `Pixels` no more than a batch is in memory at once.
        batch_size: Images per forward pass; by default 256 of 28 x 28 pixels, down to 64 of larger
            ones.
        tick: Called with the number of images done after every batch.
        each: Makes what a forward pass runs within. Where that ends the pass early and without an
            error, there are no logits of its batch.

    Returns:
        Logits, shape (n, classes), float64.

    Raises:
        DataError: If ``batch_size`` is not positive.
    """
    if batch_size is None:
        batch_size = _batch_of(images)
    if batch_size < 1:
        raise DataError(f"Expected a batch of at least one image, but got {batch_size}.")
    dtype = next(model.parameters(), torch.zeros(())).dtype  # a model may have no parameter
    training = model.training
    model.eval()
    parts = []
    try:
        with torch.no_grad():
            for start in range(0, len(images), batch_size):
                batch = images[start : start + batch_size].to(dtype)
                with each():
                    parts.append(_scores(model(batch)).double().numpy())
                if tick:
                    tick(len(batch))
    finally:
        model.train(training)
    return np.concatenate(parts) if parts else np.zeros((0, 0))


def _batch_of(images: Tensor | Pixels) -> int:
    """Images per forward pass that take the memory of 256 small ones, but 64 at least."""
    pixels = math.prod(images.shape[2:])
    return min(BATCH, max(64, BATCH * 28 * 28 // max(1, pixels)))


def _scores(output: Any) -> Tensor:
    """What a model returned, if it is a tensor."""
    if not isinstance(output, Tensor):
        raise DataError(
            "Expected a tensor of one score per image and class from the model, but got "
            f"{type(output).__name__}. Wrap it in a module that returns its logits alone."
        )
    return output


MOST_UNSEEN = 16
"""Scores that there may be per class of the labels, where nobody says how many there are."""


def check_logits(logits: np.ndarray, labels: np.ndarray, classes: int | None = None) -> None:
    """Refuse what a model returned, if it is not one finite score per image and class.

    Args:
        logits: What it returned, by right of shape (n, classes) or (n, labels).
        labels: Classes, shape (n,), or 0 and 1 of several labels, shape (n, labels).
        classes: How many there are; None where only the labels tell.

    Raises:
        DataError: If the shape does not fit, or a logit is not finite.
    """
    if labels.ndim == 2:
        _check_one_each(logits, labels)
        return
    seen = int(labels.max()) + 1 if len(labels) else 0  # a subset may lack the last classes
    fits = logits.ndim == 2 and len(logits) == len(labels) and logits.shape[1] >= max(2, seen)
    if fits and classes is not None:
        fits = logits.shape[1] == classes
    elif fits:
        fits = logits.shape[1] <= MOST_UNSEEN * max(2, seen)
    if not fits:
        raise DataError(
            f"Expected one score per class from the model, shape ({len(labels)}, "
            f"{classes or max(2, seen)}), but got {tuple(logits.shape)}. End it with a layer of as "
            "many outputs as classes; of a split that lacks some, say how many there are: "
            "Split(images, labels, num_classes=...)."
        )
    check_finite_logits(logits)


def _check_one_each(logits: np.ndarray, labels: np.ndarray) -> None:
    """Refuse logits that are not one for each label of an image."""
    if logits.shape != labels.shape:
        raise DataError(
            f"Expected one score per label from the model, shape {labels.shape}, but got "
            f"{tuple(logits.shape)}. End it with a layer of as many outputs as labels."
        )
    check_finite_logits(logits)


def check_finite_logits(logits: np.ndarray) -> None:
    """Refuse logits of any shape that are not all finite.

    Raises:
        DataError: If one is NaN or infinite.
    """
    if not np.isfinite(logits).all():
        raise DataError("The model returned NaN logits. Was it trained to the end?")
