"""Attention weights of a rung, from the queries and keys that its quantum layers returned."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import nn

from qvit_qiskit import metrics
from qvit_qiskit.comparison.data import Rung
from qvit_qiskit.hardware.outputs import Outputs
from qvit_qiskit.models import ViT


def has_attention(model: nn.Module) -> bool:
    """Whether a model's quantum layers are the projections of an attention of ours."""
    return isinstance(model, ViT) and model.config.projection == "qnn"


def attention_of(
    layers: Sequence[Sequence[Outputs]], images: int, shown: Sequence[int]
) -> np.ndarray:
    """softmax(Q Kᵀ / √d) of some images.

    Args:
        layers: For each attention layer Q, K and V of head 0, of head 1, …
        images: n; rows are in image order.
        shown: Which images.

    Returns:
        Shape (shown, layers, heads, N, N); rows add up to 1.
    """
    chosen = list(shown)
    return np.stack(
        [
            np.stack(
                [
                    _weights(_tokens(q, images)[chosen], _tokens(k, images)[chosen])
                    for q, k in zip(layer[::3], layer[1::3], strict=True)
                ],
                axis=1,
            )
            for layer in layers
        ],
        axis=1,
    )


def _tokens(projection: Outputs, images: int) -> np.ndarray:
    """Outputs by image and token, shape (n, N, d)."""
    return projection.values.reshape(images, -1, projection.values.shape[1])


def _weights(queries: np.ndarray, keys: np.ndarray) -> np.ndarray:
    scores = queries @ keys.transpose(0, 2, 1) / np.sqrt(keys.shape[-1])  # (shown, N, N)
    return np.asarray(metrics.softmax(scores))


def most_moved(exact: Rung, other: Rung, count: int = 3) -> tuple[int, ...]:
    """The images whose probabilities differ most between two rungs, then the one that moved least.

    Args:
        exact: A rung.
        other: Another.
        count: How many moved images.

    Returns:
        Up to ``count + 1`` images; of equals the first.
    """
    apart = metrics.softmax(other.logits) - metrics.softmax(exact.logits)
    order = np.argsort(-np.abs(apart).sum(axis=1).round(12), kind="stable")
    chosen = [*order[:count], *order[max(count, len(order) - 1) :]]
    return tuple(int(image) for image in chosen)
