"""Smaller test sets with the classes in proportion: hardware time is bought by the image."""

import numpy as np
from numpy.typing import NDArray

from qvit_qiskit.data.images import Split
from qvit_qiskit.exceptions import DataError


def stratified_subset(split: Split, size: int, seed: int) -> Split:
    """A random part of a split in which the classes keep their proportions.

    Args:
        split: Where to draw from.
        size: How many images, exactly.
        seed: The same seed gives the same images.

    Returns:
        The chosen images in their old order.

    Raises:
        DataError: If the size is below 1 or above the split's, or the seed is negative.

    Example:
        >>> import numpy as np
        >>> from qvit_qiskit import load
        >>> from qvit_qiskit.data import stratified_subset
        >>> part = stratified_subset(load("phantom").test, 20, seed=1)
        >>> len(part)
        20
    """
    chosen = subset_indices(split.labels, size, seed)
    return split.part(chosen)


def subset_indices(labels: NDArray[np.int64], size: int, seed: int) -> NDArray[np.int64]:
    """Indices of a stratified subset, ascending; see `stratified_subset`.

    Args:
        labels: Classes, shape (n,), or 0 and 1 of several labels, shape (n, labels).
        size: How many.
        seed: The same seed gives the same indices.

    Places are shared out by the largest remainder. A class that would get none takes one from the
    class that is furthest above its share, if there are places for all classes.
    """
    if not 1 <= size <= len(labels):
        raise DataError(
            f"Expected a subset of 1 to {len(labels)} images, got {size}. "
            "Choose a size within the split."
        )
    if seed < 0:
        raise DataError(f"Expected a seed of 0 or more, got {seed}.")
    labels = strata(labels)
    classes, counts = np.unique(labels, return_counts=True)
    rng = np.random.default_rng(seed)
    chosen = [
        rng.choice(np.flatnonzero(labels == name), places, replace=False)
        for name, places in zip(classes, _places(counts, size), strict=True)
    ]
    return np.sort(np.concatenate(chosen)).astype(np.int64)


def strata(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """One class per image by which a draw keeps proportions, shape (n,).

    With several labels it is the rarest label that an image has, which keeps rare ones in a small
    subset; images without any are a class of their own, the last.

    Args:
        labels: Classes, shape (n,), or 0 and 1 of several labels, shape (n, labels).
    """
    if labels.ndim == 1:
        return labels
    rarest = np.argsort(labels.sum(axis=0), kind="stable")  # labels, the rarest first
    first = labels[:, rarest].argmax(axis=1)
    return np.where(labels.any(axis=1), rarest[first], labels.shape[1])


def _places(counts: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """How many of `size` go to each class; whole numbers throughout, so no rounding decides."""
    total = int(counts.sum())
    places, remainders = np.divmod(size * counts, total)
    order = np.argsort(-remainders, kind="stable")  # of equal remainders the lower class
    places[order[: size - int(places.sum())]] += 1
    if size >= len(counts):
        for empty in np.flatnonzero(places == 0):
            # a class keeps its last place
            excess = np.where(places > 1, total * places - size * counts, -total * size)
            places[np.argmax(excess)] -= 1
            places[empty] = 1
    return places
