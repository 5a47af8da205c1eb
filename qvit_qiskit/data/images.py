"""A data set in memory: three splits of 28 x 28 images with one label each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from qvit_qiskit.exceptions import DataError

if TYPE_CHECKING:
    import torch

SIDE = 28
Task = Literal["binary-class", "multi-class", "ordinal-regression"]


@dataclass(frozen=True, eq=False)
class Split:
    """Images and their labels, row by row.

    Raises:
        DataError: If a shape or a dtype is not the one given below, or there is no image.
    """

    images: NDArray[np.uint8]  # shape: (n, 28, 28) grey or (n, 28, 28, 3) colour
    labels: NDArray[np.int64]  # shape: (n,)
    num_classes: int | None = None
    """How many classes there are, whether or not this split shows them all; None if unknown."""

    def __post_init__(self) -> None:
        _require_array("images", self.images, np.uint8)
        _require_array("labels", self.labels, np.int64)
        shape = self.images.shape
        if shape[1:] not in ((SIDE, SIDE), (SIDE, SIDE, 3)):
            raise DataError(
                f"Expected images of shape (n, 28, 28) or (n, 28, 28, 3), got {shape}. "
                "Use the 28 x 28 files of MedMNIST; larger sizes and volumes are not read."
            )
        if self.labels.shape != shape[:1] or shape[0] == 0:
            raise DataError(
                f"Expected at least one image and labels of shape ({shape[0]},), one per image, "
                f"got labels of shape {self.labels.shape}. Check how the split was cut."
            )

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        return f"Split(images={self.images.shape}, labels={self.labels.shape})"

    @property
    def channels(self) -> int:
        """1 for grey, 3 for colour."""
        return 1 if self.images.ndim == 3 else 3

    def tensors(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The split as the models take it.

        Returns:
            Images, float32 of shape (n, C, 28, 28), scaled from 0…255 to −1…1, and labels, int64
            of shape (n,). Both are copies.
        """
        import torch

        images = self.images.reshape(len(self), SIDE, SIDE, self.channels)
        scaled = torch.tensor(images).permute(0, 3, 1, 2).to(torch.float32)
        # With one channel, contiguous() leaves strides by which torch chooses another convolution.
        scaled = scaled.clone(memory_format=torch.contiguous_format)
        scaled.div_(255).sub_(0.5).div_(0.5)  # (n, C, 28, 28)
        return scaled, torch.tensor(self.labels)


@dataclass(frozen=True, eq=False, repr=False)
class MedImages:
    """A data set with its three official splits.

    Raises:
        DataError: If the splits, the class names, the task and the channels contradict each other.
    """

    name: str
    train: Split
    val: Split
    test: Split
    task: str
    """MedMNIST's word: `binary-class`, `multi-class` or `ordinal-regression`."""
    class_names: tuple[str, ...]
    channels: int
    md5: str
    """Identity of the data: of the file, or of the arrays for a generated set."""
    synthetic: bool
    """True if no image comes from a patient."""

    def __post_init__(self) -> None:
        if self.task not in get_args(Task):
            raise DataError(
                f"Expected a task among {', '.join(get_args(Task))}, got {self.task!r}. "
                "Multi-label sets are not supported: heads and metrics here are single-label."
            )
        count = len(self.class_names)
        if count < 2 or (self.task == "binary-class" and count != 2):
            raise DataError(
                f"Expected class names that fit the task {self.task}, got {count} for {self.name}. "
                "Name every class once, two for a binary-class task."
            )
        for word in ("train", "val", "test"):
            self._check(word, self.split(word))

    def _check(self, word: str, split: Split) -> None:
        if split.channels != self.channels:
            raise DataError(
                f"Expected {self.channels} channel(s) in {self.name}/{word}, got {split.channels}. "
                "Use the file that belongs to this name."
            )
        low, high = int(split.labels.min()), int(split.labels.max())
        if low < 0 or high >= self.num_classes:
            raise DataError(
                f"Expected labels 0…{self.num_classes - 1} in {self.name}/{word}, "
                f"got {low}…{high}. Use the file that belongs to this name."
            )
        object.__setattr__(split, "num_classes", self.num_classes)

    def __repr__(self) -> str:
        sizes = "/".join(str(len(part)) for part in (self.train, self.val, self.test))
        kind = "synthetic, " if self.synthetic else ""
        return f"MedImages({self.name}: {kind}{sizes} images, {self.num_classes} classes)"

    @property
    def num_classes(self) -> int:
        """How many classes the set has, whether or not a split shows them all."""
        return len(self.class_names)

    def split(self, name: str) -> Split:
        """The split of that name.

        Raises:
            DataError: If the name is not `train`, `val` or `test`.
        """
        splits = {"train": self.train, "val": self.val, "test": self.test}
        if name not in splits:
            raise DataError(f"Expected a split among train, val and test, got {name!r}.")
        return splits[name]


def _require_array(what: str, value: object, dtype: type[np.generic]) -> None:
    if not isinstance(value, np.ndarray) or value.dtype != dtype or value.ndim == 0:
        got = f"{value.dtype} {value.shape}" if isinstance(value, np.ndarray) else type(value)
        raise DataError(
            f"Expected {what} as a {dtype.__name__} array, got {got}. Convert them before."
        )
