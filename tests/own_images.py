"""Small sets of own images, written where a test wants them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = ("benign", "malignant")
COUNTS = {"train": 12, "val": 6, "test": 6}


def arrays(rng, side=64, channels=3, classes=2, labels=0, counts=None):
    """The six arrays of MedMNIST's keys; class k is bright in its own rows.

    Args:
        rng: Draws the background.
        side: Pixels on a side.
        channels: 1 or 3.
        classes: How many, one for each image.
        labels: Instead of classes, how many labels an image may have.
        counts: Images by split.
    """
    made = {}
    for word, count in (counts or COUNTS).items():
        hits = np.eye(classes, dtype=np.uint8)[np.arange(count) % classes]
        if labels:
            hits = (rng.random((count, labels)) < 0.4).astype(np.uint8)
        shape = (count, side, side) if channels == 1 else (count, side, side, 3)
        images = rng.integers(0, 100, shape, dtype=np.uint8)
        rows = np.arange(side) * hits.shape[1] // side
        bright = 100 * hits[:, rows]  # (count, side)
        images += bright.reshape(count, side, *(1,) * (images.ndim - 2)).astype(np.uint8)
        made[f"{word}_images"] = images
        made[f"{word}_labels"] = hits if labels else hits.argmax(axis=1).astype(np.uint8)[:, None]
    return made


def write_folder(root: Path, made, names=CLASSES, suffixes=(".png", ".tif")) -> Path:
    """The arrays of one label as a folder of class folders; suffixes take turns."""
    for word in ("train", "val", "test"):
        pairs = zip(made[f"{word}_images"], made[f"{word}_labels"].ravel(), strict=True)
        for place, (image, label) in enumerate(pairs):
            folder = root / word / names[label]
            folder.mkdir(parents=True, exist_ok=True)
            suffix = suffixes[place // len(names) % len(suffixes)]
            Image.fromarray(image).save(folder / f"{place:04}{suffix}")
    return root


def write_archive(path: Path, made, **changes) -> Path:
    """The arrays as an ``.npz`` file, some of them changed or left out (None)."""
    kept = {key: value for key, value in (made | changes).items() if value is not None}
    np.savez_compressed(path, **kept)
    return path
