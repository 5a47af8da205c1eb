"""A data set in memory: three splits of images, each with one label or with several."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from qvit_qiskit.data.pixels import Pixels, PreparedPixels
from qvit_qiskit.exceptions import DataError

if TYPE_CHECKING:
    import torch

SIDE = 28
"""Pixels on a side of MedMNIST's own files."""
Task = Literal["binary-class", "multi-class", "ordinal-regression", "multi-label, binary-class"]
MULTI_LABEL: Task = "multi-label, binary-class"
SPLITS = ("train", "val", "test")


@dataclass(frozen=True, eq=False)
class Split:
    """Images and their labels, row by row.

    Raises:
        DataError: If a shape or a dtype is not the one given below, or there is no image.

    Example:
        >>> from qvit_qiskit import load
        >>> split = load("phantom").val
        >>> split.images.shape, split.labels.shape  # bytes (n, H, W), classes (n,)
        ((120, 28, 28), (120,))
    """

    images: NDArray[np.uint8]
    """Bytes, shape (n, H, W) grey or (n, H, W, 3) colour."""
    labels: NDArray[np.int64]
    """Classes, shape (n,); of a multi-label task 0 and 1, shape (n, labels)."""
    num_classes: int | None = None
    """How many classes or labels there are, whether or not this split shows them all; None if
    unknown."""
    own: bool = True
    """Whether the images are the user's own, so that copies and pictures of them are kept close;
    False for published and synthetic sets."""
    class_names: tuple[str, ...] = ()
    """Names of the classes or labels; none if they are not known."""

    def __post_init__(self) -> None:
        _require_array("labels", self.labels, np.int64)
        object.__setattr__(self, "labels", np.ascontiguousarray(self.labels))  # torch's strides
        self._check_images()
        shape = self.images.shape
        several = self.labels.shape[1:]
        if self.labels.shape[:1] != shape[:1] or len(several) > 1 or (several and several[0] < 2):
            raise DataError(
                f"Expected labels of shape ({shape[0]},), one per image, or ({shape[0]}, labels) "
                f"for several, got {self.labels.shape}. Check how the split was cut."
            )
        if self.multi_label and not np.isin(self.labels, (0, 1)).all():
            raise DataError(
                f"Expected 0 or 1 for each of {self.labels.shape[1]} labels of an image, got "
                f"{self.labels.min()}…{self.labels.max()}. Pass classes as shape (n,)."
            )

    def _check_images(self) -> None:
        _require_array("images", self.images, np.uint8)
        shape = self.images.shape
        if len(shape) not in (3, 4) or (len(shape) == 4 and shape[3] != 3) or 0 in shape:
            raise DataError(
                f"Expected at least one image, of shape (n, H, W) or (n, H, W, 3), got {shape}. "
                "Put channels last; volumes are not read."
            )

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        return f"Split(images={self.images.shape}, labels={self.labels.shape})"

    @property
    def channels(self) -> int:
        """1 for grey, 3 for colour."""
        return 1 if self.images.ndim == 3 else 3

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.images.shape[1], self.images.shape[2]

    @property
    def multi_label(self) -> bool:
        """Whether an image may have several labels, or none."""
        return self.labels.ndim == 2

    def part(self, chosen: NDArray[np.int64] | slice) -> Split:
        """Some of the images, in the order given.

        Args:
            chosen: Their places, shape (k,), counted from 0, or a slice.
        """
        labelling = (self.num_classes, self.own, self.class_names)  # a part may lack some classes
        return type(self)(self.images[chosen], self.labels[chosen], *labelling)

    def pixels(self) -> Pixels:
        """The images as the models take them, made batch by batch where they are indexed."""
        return Pixels(self.images)

    def tensors(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The split as the models take it.

        Returns:
            Images, float32 of shape (n, C, H, W), scaled from 0…255 to −1…1, and labels, int64
            of the shape of ``labels``. Both are copies.
        """
        import torch

        return self.pixels()[:], torch.tensor(self.labels)


@dataclass(frozen=True, eq=False, repr=False)
class PreparedSplit(Split):
    """Images that somebody has prepared: floats, which a model sees as they are.

    Raises:
        DataError: If there is no image, or a value is not finite.

    Example:
        >>> import numpy as np
        >>> from qvit_qiskit.data import as_split
        >>> images = np.random.default_rng(0).normal(size=(6, 1, 28, 28))  # (n, C, H, W)
        >>> type(as_split((images, np.arange(6) % 2))).__name__
        'PreparedSplit'
    """

    images: NDArray[np.float32]  # type: ignore[assignment]
    """As a model sees them, shape (n, C, H, W), or (n, …) where they are no pictures."""

    def _check_images(self) -> None:
        _require_array("images", self.images, np.float32)
        if self.images.ndim < 2 or 0 in self.images.shape:
            raise DataError(
                f"Expected at least one image, of shape (n, C, H, W), got {self.images.shape}."
            )
        # one at a time, to save memory
        if not all(np.isfinite(image).all() for image in self.images):
            raise DataError("Expected finite images, got NaN or infinity. Check what made them.")

    @property
    def channels(self) -> int:
        """C of an image (C, H, W)."""
        return int(self.images.shape[1])

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.images.shape[2], self.images.shape[3]

    def pixels(self) -> PreparedPixels:
        """The images as the models take them."""
        return PreparedPixels(self.images)


@dataclass(frozen=True, eq=False, repr=False)
class MedImages:
    """A data set with its three splits.

    Raises:
        DataError: If the splits, the class names, the task and the channels contradict each other.

    Example:
        >>> from qvit_qiskit import load
        >>> data = load("phantom")
        >>> data.num_classes, data.channels, len(data.val)
        (2, 1, 120)
    """

    name: str
    train: Split
    val: Split
    test: Split
    task: str
    """MedMNIST's word: `binary-class`, `multi-class`, `ordinal-regression` or
    `multi-label, binary-class`."""
    class_names: tuple[str, ...]
    """Names of the classes, or of the labels of a multi-label task."""
    channels: int
    """1 for grey images, 3 for colour; those of prepared images are what they are."""
    md5: str
    """Identity of the data: of the file, of a folder's files, or of the arrays of a generated
    set."""
    synthetic: bool
    """True if no image comes from a patient."""
    own: bool = True
    """Whether the images are the user's own; False for published and synthetic sets."""
    origin: str | None = None
    """Where own images were read from, an absolute path; None if they came as arrays."""

    def __post_init__(self) -> None:
        if self.task not in get_args(Task):
            raise DataError(
                f"Expected a task among {'; '.join(get_args(Task))}, got {self.task!r}. "
                "Regression is not supported."
            )
        count = len(self.class_names)
        if count < 2 or (self.task == "binary-class" and count != 2):
            raise DataError(
                f"Expected class names that fit the task {self.task}, got {count} for {self.name}. "
                "Name every class once, two for a binary-class task."
            )
        for word in SPLITS:
            self._check(word, self.split(word))

    def _check(self, word: str, split: Split) -> None:
        if split.channels != self.channels:
            raise DataError(
                f"Expected {self.channels} channel(s) in {self.name}/{word}, got {split.channels}. "
                "Use the file that belongs to this name."
            )
        if split.size != self.train.size:
            raise DataError(
                f"Expected images of one size, got {_times(self.train.size)} in {self.name}/train "
                f"and {_times(split.size)} in {self.name}/{word}. Resize them before."
            )
        if split.labels.shape[1:] != ((self.num_classes,) if self.multi_label else ()):
            shape = f"(n, {self.num_classes})" if self.multi_label else "(n,)"
            raise DataError(
                f"Expected labels of shape {shape} for the task {self.task} in {self.name}/{word}, "
                f"got {split.labels.shape}. Use the file that belongs to this name."
            )
        low, high = int(split.labels.min()), int(split.labels.max())
        if low < 0 or high >= self.num_classes:
            raise DataError(
                f"Expected labels 0…{self.num_classes - 1} in {self.name}/{word}, "
                f"got {low}…{high}. Use the file that belongs to this name."
            )
        object.__setattr__(split, "num_classes", self.num_classes)
        object.__setattr__(split, "own", self.own)
        object.__setattr__(split, "class_names", self.class_names)

    def __repr__(self) -> str:
        sizes = "/".join(str(len(part)) for part in (self.train, self.val, self.test))
        kind = "synthetic, " if self.synthetic else ""
        what = "labels" if self.multi_label else "classes"
        return f"MedImages({self.name}: {kind}{sizes} images, {self.num_classes} {what})"

    @property
    def num_classes(self) -> int:
        """How many classes or labels the set has, whether or not a split shows them all."""
        return len(self.class_names)

    @property
    def multi_label(self) -> bool:
        """Whether an image may have several labels, or none, and a logit answers each."""
        return self.task == MULTI_LABEL

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of every image in pixels."""
        return self.train.size

    @property
    def side(self) -> int:
        """Pixels on a side of a square image.

        Raises:
            DataError: If the images are not square.
        """
        return square_side(self.name, self.size)

    def split(self, name: str) -> Split:
        """The split of that name.

        Raises:
            DataError: If the name is not `train`, `val` or `test`.
        """
        splits = {"train": self.train, "val": self.val, "test": self.test}
        if name not in splits:
            raise DataError(f"Expected a split among train, val and test, got {name!r}.")
        return splits[name]


@dataclass(frozen=True)
class SetFacts:
    """What is known of a set without its images.

    Example:
        >>> from qvit_qiskit.data import facts
        >>> facts("retinamnist").sizes  # images of each split; no file is read
        {'train': 1080, 'val': 120, 'test': 400}
    """

    name: str
    channels: int
    """1 for grey images, 3 for colour; those of prepared images are what they are."""
    classes: int
    """How many classes there are; of a multi-label set how many labels."""
    sizes: dict[str, int]
    """Images by split."""
    pixels: tuple[int, int] = (SIDE, SIDE)
    """Height and width of an image."""
    multi_label: bool = False
    """Whether an image may have several labels, or none."""
    own: bool = False
    """Whether the images are the user's own."""

    @property
    def side(self) -> int:
        """Pixels on a side of a square image.

        Raises:
            DataError: If the images are not square.
        """
        return square_side(self.name, self.pixels)


def square_side(name: str, size: tuple[int, int]) -> int:
    """Pixels on a side of images that must be square.

    Args:
        name: Of the data set, for the message.
        size: Height and width.

    Raises:
        DataError: If they differ.
    """
    if size[0] != size[1]:
        raise DataError(
            f"Expected square images for this model, but those of {name} have {_times(size)} "
            "pixels. Crop or pad them to squares before."
        )
    return size[0]


def _times(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"


def _require_array(what: str, value: object, dtype: type[np.generic]) -> None:
    if not isinstance(value, np.ndarray) or value.dtype != dtype or value.ndim == 0:
        got = f"{value.dtype} {value.shape}" if isinstance(value, np.ndarray) else type(value)
        raise DataError(
            f"Expected {what} as a {dtype.__name__} array, got {got}. Convert them before."
        )
