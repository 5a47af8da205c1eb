"""A synthetic set in MedMNIST's format, drawn on the spot: for demos, tests and offline machines.

The pictures imitate breast ultrasound: speckled layers of tissue with one dark lesion. What tells
the classes apart is the lesion's border alone: a smooth ellipse, or a spiculated outline. Lesions
of both classes have the same areas, positions, contrasts and shadows, so that a linear classifier
on pixels stays near chance while a small vision transformer learns the task. No image comes from a
patient, and no number measured here says anything about medicine.
"""

import hashlib

import numpy as np
from numpy.typing import NDArray

from qvit_qiskit.data.images import SIDE, MedImages, Split
from qvit_qiskit.exceptions import DataError

NAME = "phantom"
CLASS_NAMES = ("benign-like", "malignant-like")

Floats = NDArray[np.float64]

SPECKLE = 0.1  # share of the brightness that is speckle
SPICULE_WAVES = range(3, 7)  # bumps around a spiculated border
SPICULE_DEPTH = (0.04, 0.55)  # of the log-radius, for each class
BORDER = 0.6  # softness of the border in pixels


def phantom(seed: int = 0, sizes: tuple[int, int, int] = (600, 120, 200)) -> MedImages:
    """Draw the synthetic set.

    Args:
        seed: The same seed gives the same arrays.
        sizes: Images in train, val and test; half of each split are of either class.

    Returns:
        Grey 28 x 28 images of two classes.

    Raises:
        DataError: If the seed is negative or a split would be empty.
    """
    if seed < 0 or len(sizes) != 3 or min(sizes) < 1:
        raise DataError(
            f"Expected a seed of 0 or more and three sizes of 1 or more, got {seed} and {sizes}."
        )
    rng = np.random.default_rng(seed)
    train, val, test = (_split(rng, size) for size in sizes)
    digest = hashlib.md5(usedforsecurity=False)
    for part in (train, val, test):
        digest.update(part.images.tobytes())
        digest.update(part.labels.tobytes())
    return MedImages(
        name=NAME,
        train=train,
        val=val,
        test=test,
        task="binary-class",
        class_names=CLASS_NAMES,
        channels=1,
        md5=digest.hexdigest(),
        synthetic=True,
        own=False,
    )


def _split(rng: np.random.Generator, size: int) -> Split:
    labels = rng.permutation(np.arange(size, dtype=np.int64) % 2)  # as many of each class
    return Split(_draw(rng, labels), labels)


def _draw(rng: np.random.Generator, labels: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Images of the given classes, (n, 28, 28)."""
    n = len(labels)
    y, x = np.mgrid[0:SIDE, 0:SIDE]
    dy = y - _uniform(rng, n, 8, 20)  # (n, 28, 28), as all below
    dx = x - _uniform(rng, n, 8, 20)
    size = _uniform(rng, n, 5, 7)
    lesion = _lesion(_outline(rng, labels, np.arctan2(dy, dx)), np.hypot(dy, dx), size)

    waves = _uniform(rng, n, 0.2, 0.6) * y + _uniform(rng, n, -0.15, 0.15) * x
    tissue = 1 + 0.25 * np.sin(waves + _uniform(rng, n, 0, 2 * np.pi))
    depth = np.exp(-_uniform(rng, n, 0, 0.02) * y)
    below = (dy > 0) * np.exp(-((dx / (0.8 * size)) ** 2)) * (1 - lesion)
    shadow = 1 + _uniform(rng, n, -0.35, 0.35) * below  # or enhancement
    echo = tissue * depth * shadow * (1 - _uniform(rng, n, 0.5, 0.8) * lesion)
    gain = _uniform(rng, n, 100, 130)
    grey = gain * echo * (1 - SPECKLE + SPECKLE * _speckle(rng, n))
    image: NDArray[np.uint8] = np.clip(np.rint(grey), 0, 255).astype(np.uint8)
    return image


def _outline(rng: np.random.Generator, labels: NDArray[np.int64], angle: Floats) -> Floats:
    """Radius of each lesion's border in each pixel's direction, up to a factor, (n, 28, 28)."""
    n = len(labels)
    long = np.sqrt(_uniform(rng, n, 1.0, 1.8))
    turned = angle - _uniform(rng, n, 0, np.pi)
    ellipse = 1 / np.hypot(np.cos(turned) / long, np.sin(turned) * long)

    weights = rng.rayleigh(1.0, (n, len(SPICULE_WAVES)))
    weights /= np.linalg.norm(weights, axis=1, keepdims=True)
    phases = rng.uniform(0, 2 * np.pi, (n, len(SPICULE_WAVES)))
    bumps = np.zeros_like(angle)
    for k, wave in enumerate(SPICULE_WAVES):
        bumps += weights[:, k, None, None] * np.cos(wave * angle + phases[:, k, None, None])
    strength = np.asarray(SPICULE_DEPTH)[labels][:, None, None]
    outline: Floats = ellipse * np.exp(strength * np.clip(bumps, -0.6, 1.6))
    return outline


def _lesion(outline: Floats, distance: Floats, size: Floats) -> Floats:
    """Masks in 0…1, scaled until each covers the area of a disc of radius `size`."""
    scale = size
    for _ in range(4):
        inside = np.clip((scale * outline - distance) / BORDER, -30, 30)
        mask = 1 / (1 + np.exp(-inside))
        area = mask.sum(axis=(1, 2), keepdims=True)
        # the area tells no class
        scale = np.clip(scale * np.sqrt(np.pi * size**2 / area), 2, SIDE / 2)
    return mask


def _speckle(rng: np.random.Generator, n: int) -> Floats:
    """Rayleigh noise of mean 1 that is correlated over about two pixels."""
    field = rng.standard_normal((2, n, SIDE + 2, SIDE + 2))
    for axis in (2, 3):
        a, b, c = (np.take(field, np.arange(SIDE) + k, axis=axis) for k in range(3))
        field = (a + 2 * b + c) / 4  # a binomial filter, along one axis and then the other
    noise = np.hypot(field[0], field[1])
    return np.asarray(noise / noise.mean(axis=(1, 2), keepdims=True))


def _uniform(rng: np.random.Generator, n: int, low: float, high: float) -> Floats:
    """One number per image, to be broadcast over its pixels, (n, 1, 1)."""
    return rng.uniform(low, high, (n, 1, 1))
