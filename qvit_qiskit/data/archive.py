"""Own images in one ``.npz`` file with the keys of MedMNIST."""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from qvit_qiskit.data.images import SPLITS, Split
from qvit_qiskit.data.picture import MAX_SIDE, check_room
from qvit_qiskit.exceptions import DataError

NAMES = "class_names"
"""An optional array of text beside MedMNIST's six."""
_BROKEN = (
    OSError, ValueError, KeyError, EOFError, RuntimeError, NotImplementedError, SyntaxError,
    zipfile.BadZipFile, zlib.error, MemoryError,
)  # fmt: skip
"""What damaged, encrypted or forged archives raise."""
Shapes = dict[str, tuple[tuple[int, ...], np.dtype[Any]]]


@dataclass(frozen=True)
class Archive:
    """An ``.npz`` file whose headers and labels are known, its images not yet read."""

    path: Path
    shapes: Shapes
    """Shape and dtype of every array that is used, by key."""
    labels: dict[str, NDArray[np.int64]]
    """The labels by split, shape (n,) or (n, labels)."""
    class_names: tuple[str, ...]

    @classmethod
    def open(cls, path: Path) -> Archive:
        """Read the headers and labels of a file.

        Args:
            path: The file.

        Raises:
            DataError: If it is no such file, holds other arrays or labels than it should, or
                would not fit into memory.
        """
        shapes = _shapes(path)
        for word in SPLITS:
            _check_images(path, f"{word}_images", *shapes[f"{word}_images"])
        labels = {word: _labels(path, word, _array(path, f"{word}_labels")) for word in SPLITS}
        for word, part in labels.items():
            _check_count(path, word, shapes[f"{word}_images"][0][0], len(part))
        count = _count(path, labels)
        named = _array(path, NAMES) if NAMES in shapes else None
        return cls(path, shapes, labels, _class_names(path, named, count))

    @property
    def sizes(self) -> dict[str, int]:
        """Images by split."""
        return {word: self.shapes[f"{word}_images"][0][0] for word in SPLITS}

    def shape(self) -> tuple[int, ...]:
        """The shape of an image, (H, W) or (H, W, 3)."""
        return _image_shape(self.shapes["train_images"][0])

    @property
    def multi_label(self) -> bool:
        """Whether an image may have several labels, or none."""
        return self.labels["train"].ndim == 2

    def read(self) -> tuple[dict[str, Split], str]:
        """All images, and the MD5 of the file.

        Raises:
            DataError: If an array is damaged.
        """
        parts = {}
        for word in SPLITS:
            images = _array(self.path, f"{word}_images")
            images = images.reshape(len(images), *_image_shape(images.shape))
            parts[word] = Split(images, self.labels[word])
        try:
            with self.path.open("rb") as file:
                return parts, hashlib.file_digest(file, "md5").hexdigest()
        except OSError as error:
            raise _damaged(self.path, error) from error


def _shapes(path: Path) -> Shapes:
    """Shapes and dtypes from the arrays' headers; nothing is unpacked."""
    shapes: Shapes = {}
    total = 0
    try:
        with zipfile.ZipFile(path) as archive:
            held = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
            _check_keys(path, set(held))
            for key in {f"{w}_{part}" for w in SPLITS for part in ("images", "labels")} | (
                {NAMES} & held.keys()
            ):
                with archive.open(held[key]) as member:
                    version = npy.read_magic(member)
                    # numpy writes version 1 while it fits
                    read = npy.read_array_header_1_0 if version == (1, 0) else None
                    shape, _, dtype = (read or npy.read_array_header_2_0)(member)
                    # exact: a forged header may overflow int64
                    size = int(np.prod(shape, dtype=object)) * dtype.itemsize
                    if dtype.hasobject:
                        raise DataError(
                            f"{key} in {path} holds Python objects, which are never loaded. "
                            "Save plain arrays of numbers."
                        )
                    if size != held[key].file_size - member.tell():
                        raise DataError(
                            f"{path} is damaged: {key} should hold {size:,} bytes, but there are "
                            f"{held[key].file_size - member.tell():,}. Save it again."
                        )
                total += size
                shapes[key] = shape, dtype
    except _BROKEN as error:
        raise _damaged(path, error) from error
    check_room(total, path)  # before anything is unpacked
    return shapes


def _check_keys(path: Path, held: set[str]) -> None:
    missing = [f"{w}_{part}" for w in SPLITS for part in ("images", "labels")]
    missing = [key for key in missing if key not in held]
    if missing:
        got = ", ".join(sorted(held)) or "nothing"
        raise DataError(
            f"Expected the arrays train_images, train_labels, val_… and test_… in {path}, got "
            f"{got[:200]}. Add {', '.join(missing)}."
        )


def _check_images(path: Path, key: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    if dtype != np.uint8:
        raise DataError(
            f"Expected uint8 of 0…255 as {key} in {path}, got {dtype}. Scale and convert it with "
            "the window that your modality asks for."
        )
    if len(shape) not in (3, 4) or (len(shape) == 4 and shape[3] not in (1, 3)) or 0 in shape:
        raise DataError(
            f"Expected {key} of shape (n, H, W) or (n, H, W, 3) in {path}, got {shape}. Put "
            "channels last; volumes are not read."
        )
    if max(shape[1:3]) > MAX_SIDE:
        raise DataError(
            f"{key} in {path} has {shape[1]} x {shape[2]} pixels. Expected at most {MAX_SIDE} on a "
            "side: scale the images to the size that the model sees, such as 64 x 64."
        )


def _check_count(path: Path, word: str, images: int, labels: int) -> None:
    if images != labels:
        raise DataError(
            f"{path} has {images} {word}_images, but {labels} {word}_labels. Expected one row of "
            "labels for each image, in the same order."
        )


def _image_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """From (n, H, W, …) to (H, W) or (H, W, 3)."""
    return shape[1:3] if shape[3:] in ((), (1,)) else shape[1:]


def _array(path: Path, key: str) -> NDArray[Any]:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return np.ascontiguousarray(arrays[key])
    except _BROKEN as error:
        raise _damaged(path, error) from error


def _labels(path: Path, word: str, raw: NDArray[Any]) -> NDArray[np.int64]:
    """Labels as (n,), or several as (n, labels)."""
    if raw.dtype.kind not in "iub" or raw.ndim not in (1, 2) or 0 in raw.shape:
        raise DataError(
            f"Expected whole numbers of shape (n,), (n, 1) or (n, labels) as {word}_labels in "
            f"{path}, got {raw.dtype} {raw.shape}. Number the classes from 0."
        )
    if raw.dtype.kind == "u" and raw.max() > np.iinfo(np.int64).max:
        raise DataError(f"{word}_labels in {path} go up to {raw.max()}. Number classes from 0.")
    labels = raw.astype(np.int64)
    return labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels


def _count(path: Path, labels: dict[str, NDArray[np.int64]]) -> int:
    """How many classes or labels there are."""
    train = labels["train"]
    for word, part in labels.items():
        if part.shape[1:] != train.shape[1:]:
            raise DataError(
                f"{word}_labels in {path} have the shape {part.shape}, but train_labels "
                f"{train.shape}. Expected as many labels per image in every split."
            )
        low, high = int(part.min()), int(part.max())
        if train.ndim == 2 and (low < 0 or high > 1):
            raise DataError(
                f"Expected 0 or 1 for each of several labels as {word}_labels in {path}, got "
                f"{low}…{high}. Write one class per image as shape (n,)."
            )
        if low < 0 or (train.ndim == 1 and high > train.max()):
            raise DataError(
                f"Expected classes 0…{max(1, train.max())} as {word}_labels in {path}, got "
                f"{low}…{high}. Number the classes from 0, each with training images."
            )
    if train.ndim == 2:
        if all((part.sum(axis=1) == 1).all() for part in labels.values()):
            raise DataError(
                f"Expected classes as whole numbers of shape (n,) in {path}, got labels of shape "
                f"{train.shape} with a single 1 in every row. Save labels.argmax(axis=1)."
            )
        return train.shape[1]
    present = np.unique(train)
    if len(present) < 2:
        raise DataError(
            f"Expected at least two classes as train_labels in {path}, got {present[0]} alone."
        )
    if len(present) <= present[-1]:
        gap = next(k for k, seen in enumerate(present) if k != seen)
        raise DataError(
            f"Class {gap} has no image in train_labels in {path}. Number the classes from 0 "
            "without gaps, each with training images."
        )
    return len(present)


def _class_names(path: Path, named: NDArray[Any] | None, count: int) -> tuple[str, ...]:
    if named is None:
        return tuple(str(k) for k in range(count))
    names = tuple(map(str, named.ravel()))
    usable = len(set(names)) == len(names) == count and all(map(str.isprintable, names))
    if named.dtype.kind != "U" or not usable:
        raise DataError(
            f"Expected {count} different texts as {NAMES} in {path}, got {named.dtype} of shape "
            f"{named.shape}. Name every class once, in the order of their numbers."
        )
    return names


def _damaged(path: Path, error: Exception) -> DataError:
    reason = str(error).rstrip(".") or type(error).__name__
    return DataError(f"{path} is damaged or no .npz file: {reason[:200]}. Save it again.")
