"""Attention weights of a rung, from the queries and keys that its quantum layers returned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt

import numpy as np
from torch import nn

from qvit_qiskit import metrics
from qvit_qiskit.comparison.evidence import Evidence, Rung
from qvit_qiskit.hardware.values.outputs import Outputs
from qvit_qiskit.models import ViT


@dataclass(frozen=True)
class AttentionMaps:
    """The attention that patches receive, in units of uniform attention, of the shown images."""

    rung: Rung | None
    """The rung that is shown beside the exact one; None if only the exact one has maps."""
    received: dict[str, np.ndarray]
    """What patches receive, by rung, shape (shown, layers, heads, side, side)."""
    more: dict[str, np.ndarray]
    """By rung how much more than in the exact one, of the same shape."""
    most_moved: bool
    """Whether the shown images are those that moved most, and last the one that moved least."""


def attention_maps(evidence: Evidence) -> AttentionMaps:
    """What `Evidence.attention` says of patches."""
    rung, shown = noisy_rung(evidence), evidence.shown
    maps = {name: received(weights) for name, weights in evidence.attention.items()}
    exact = maps.get(evidence.exact.name)
    more = {} if exact is None else {name: noisy - exact for name, noisy in maps.items()}
    return AttentionMaps(
        rung,
        maps,
        more,
        rung is not None
        and len(shown) > 1
        and shown
        == most_moved(evidence.exact, rung, len(shown) - 1, multi_label=evidence.multi_label),
    )


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
    # rows are in image order
    return projection.values.reshape(images, -1, projection.values.shape[1])


def _weights(queries: np.ndarray, keys: np.ndarray) -> np.ndarray:
    scores = queries @ keys.transpose(0, 2, 1) / np.sqrt(keys.shape[-1])  # (shown, N, N)
    return np.asarray(metrics.softmax(scores))


def most_moved(
    exact: Rung, other: Rung, count: int = 3, *, multi_label: bool = False
) -> tuple[int, ...]:
    """The images whose probabilities differ most between two rungs, then the one that moved least.

    Args:
        exact: A rung.
        other: Another.
        count: How many moved images.
        multi_label: Whether each logit answers a label of its own.

    Returns:
        Up to ``count + 1`` images; of equals the first.
    """
    before, after = (
        metrics.probabilities(rung.logits, multi_label=multi_label) for rung in (exact, other)
    )
    apart = after - before
    # rounded, so that ties are ties
    order = np.argsort(-np.abs(apart).sum(axis=1).round(12), kind="stable")
    chosen = [*order[:count], *order[max(count, len(order) - 1) :]]
    return tuple(int(image) for image in chosen)


def noisy_rung(evidence: Evidence) -> Rung | None:
    """The rung whose attention is shown; None if only the exact rung has maps.

    The first that was recorded, else the first of kind hardware, else the last.
    """
    rungs = [rung for rung in evidence.rungs[1:] if rung.name in evidence.attention]
    hardware = [rung for rung in rungs if rung.kind == "hardware"]
    recorded = [rung for rung in hardware if rung.name in evidence.attributions]
    return next(iter([*recorded, *hardware, *rungs[-1:]]), None)


def received(weights: np.ndarray) -> np.ndarray:
    """Attention that each patch receives, relative to uniform attention.

    Args:
        weights: Rows sum to one, shape (…, N, N); tokens that are no patches, a class or a
            distillation token, stand first.

    Returns:
        Shape (…, side, side); 1 everywhere if attention is uniform.
    """
    mean = weights.mean(axis=-2) * weights.shape[-1]  # (…, N), over queries
    side = isqrt(mean.shape[-1])
    patches = mean[..., mean.shape[-1] - side * side :]  # without class and distillation tokens
    return np.asarray(patches.reshape(*mean.shape[:-1], side, side))
