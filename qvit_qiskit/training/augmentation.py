"""Training images moved and flipped, as far as their modality allows."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

SHIFT = 2
"""Pixels by which an image moves at most, in either direction."""

FLIPS: dict[str, tuple[int, ...]] = {
    "pathmnist": (-1, -2),  # a slide has no orientation
    "dermamnist": (-1, -2),  # nor has a close-up of skin
    "bloodmnist": (-1, -2),
    "tissuemnist": (-1, -2),
    "octmnist": (-1,),  # layers of the retina lie in order, from above; eyes come in pairs
    "retinamnist": (-1,),  # the other eye is the mirror image
    "breastmnist": (-1,),  # sound comes from above
    "phantom": (-1,),  # as in ultrasound, a shadow falls downwards
    "pneumoniamnist": (),  # the heart is on one side
    "organamnist": (),  # classes tell left from right
    "organcmnist": (),
    "organsmnist": (),
    "chestmnist": (),  # the heart is on one side
}
"""Axes of (B, C, H, W) along which an image may be mirrored and remain a picture of its class."""


def flips(kind: str, dataset: str) -> tuple[int, ...]:
    """The axes along which a training flips the images of a set.

    Args:
        kind: The training's ``augment``; only ``"modality"`` flips.
        dataset: The set's name, with its size if it has one.

    Returns:
        Axes of (B, C, H, W); none for a set whose modality is not known.
    """
    return FLIPS.get(dataset.partition("_")[0], ()) if kind == "modality" else ()


def augmented(images: Tensor, axes: tuple[int, ...], rng: np.random.Generator) -> Tensor:
    """Each image moved by its own whole number of pixels, and flipped or not.

    What moves into the picture repeats its border.

    Args:
        images: Shape (B, C, H, W).
        axes: Along which to flip, each with probability one half.
        rng: Draws.
    """
    count, _, height, width = images.shape
    for axis in axes:
        chosen = torch.from_numpy(rng.random(count) < 0.5)
        images = torch.where(chosen[:, None, None, None], images.flip(axis), images)
    padded = F.pad(images, (SHIFT,) * 4, mode="replicate")
    down, right = (rng.integers(0, 2 * SHIFT + 1, count).tolist() for _ in range(2))
    # windows copied one by one are two to five times as fast as one gather by indices
    windows = zip(padded, down, right, strict=True)
    return torch.stack([one[:, y : y + height, x : x + width] for one, y, x in windows])


def contrasted(images: Tensor, strength: float, rng: np.random.Generator) -> Tensor:
    """Each image with its own contrast and brightness.

    Args:
        images: Shape (B, C, H, W).
        strength: Contrast is multiplied by 1 ± this at most, brightness moved by half of it.
        rng: Draws.
    """
    draws = torch.from_numpy(rng.uniform(-strength, strength, (2, len(images), 1, 1, 1)))
    contrast, brightness = draws.to(images.dtype)
    return images * (1 + contrast) + brightness / 2
