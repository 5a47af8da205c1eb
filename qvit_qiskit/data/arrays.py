"""Images and labels as other people hold them: pairs of arrays, torch datasets, splits of ours."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from qvit_qiskit.data.images import MULTI_LABEL, SPLITS, MedImages, PreparedSplit, Split
from qvit_qiskit.data.own_images import is_known
from qvit_qiskit.data.picture import plain_picture
from qvit_qiskit.exceptions import DataError

if TYPE_CHECKING:
    from torch.utils.data import Dataset

    Given = Split | Dataset[Any] | tuple[Any, Any] | Sequence[Any]
    """A split; a torch dataset of (image, label); or the pair of all images and all labels."""

_CHANNELS = (1, 3)
_LOOKED_AT = 64
"""Images by which floats are told from bytes that somebody has converted."""


def as_split(data: Given) -> Split:
    """Images and labels as a split, by one rule whatever holds them.

    Bytes (uint8) are pictures: (n, H, W), (n, H, W, 1 or 3) or (n, 1 or 3, H, W), and are scaled
    to −1…1 where a model sees them, as MedMNIST's are. Floats are what the model sees: they stay
    as they are, in float32. A dataset is read once, in order, into memory.

    Args:
        data: A `Split`; a pair of images and labels, as arrays or tensors; or a torch dataset
            whose items are (image, label), images being arrays, tensors or Pillow's. Labels are
            whole numbers from 0, of shape (n,) or (n, 1), or 0 and 1 of shape (n, labels) where
            each label is meant by itself.

    Returns:
        A `Split` of bytes, or a `PreparedSplit` of floats.

    Raises:
        DataError: If something else came, or it would have to be guessed what it means.

    Example:
        >>> import numpy as np
        >>> from qvit_qiskit.data import as_split
        >>> images = np.zeros((6, 28, 28), dtype=np.uint8)
        >>> len(as_split((images, np.arange(6) % 2)))
        6
    """
    if isinstance(data, Split):
        return data
    images, labels = _arrays(data)
    if images.ndim < 2 or 0 in images.shape:
        raise DataError(f"Expected at least one image, of shape (n, C, H, W), got {images.shape}.")
    if images.dtype == np.uint8:
        return Split(_channels_last(images), _labels(labels, len(images)))
    return PreparedSplit(_floats(images), _labels(labels, len(images)))


def as_images(
    train: Given,
    val: Given,
    test: Given | None = None,
    *,
    name: str = "images",
    class_names: Sequence[str] = (),
) -> MedImages:
    """A data set from arrays or torch datasets; see `as_split` for what they may hold.

    Args:
        train: Images to train on, and their labels.
        val: Those by which `fit` chooses an epoch.
        test: Those that nothing is chosen by; without them `test` is `val`.
        name: What the set is called in checkpoints.
        class_names: Of the classes or labels; by default their numbers.

    Returns:
        The data set, with the MD5 of its contents and its classes.

    Raises:
        DataError: If the parts do not fit each other, or a class has no training image.

    Example:
        >>> import numpy as np
        >>> from qvit_qiskit import as_images
        >>> rng = np.random.default_rng(0)
        >>> images, labels = rng.integers(0, 256, (30, 28, 28), dtype=np.uint8), np.arange(30) % 3
        >>> data = as_images((images[:18], labels[:18]), (images[18:24], labels[18:24]))
        >>> data.num_classes, len(data.train), len(data.val)
        (3, 18, 6)
    """
    given = {"train": train, "val": val, "test": val if test is None else test}
    parts = {word: as_split(part).part(slice(None)) for word, part in given.items()}
    for word, part in parts.items():
        check_channels_first(part)
        if isinstance(part, PreparedSplit) != isinstance(parts["train"], PreparedSplit):
            raise DataError(
                f"Expected one kind of images in all parts, but train holds "
                f"{parts['train'].images.dtype} and {word} {part.images.dtype}. Bytes are scaled "
                "to -1…1 and floats stay as they are: pass all of them as one or the other."
            )
    if is_known(name) or not name.strip():
        raise DataError(f"Expected a name of its own for these images, got {name!r}. Choose one.")
    first = parts["train"]
    class_names = tuple(class_names) or first.class_names
    count = _count(parts, class_names)
    task = "binary-class" if count == 2 else "multi-class"
    return MedImages(
        name=name,
        train=first,
        val=parts["val"],
        test=parts["test"],
        task=MULTI_LABEL if first.multi_label else task,
        class_names=class_names or tuple(str(k) for k in range(count)),
        channels=first.channels,
        md5=_digest(parts.values()),
        synthetic=False,
    )


def check_channels_first(split: Split) -> None:
    """Refuse floats that are no images (n, C, H, W), or that have their channels last.

    Args:
        split: Any split; one of bytes is always right.

    Raises:
        DataError: With the shape.
    """
    shape = split.images.shape
    if not isinstance(split, PreparedSplit):
        return
    last = len(shape) == 4 and shape[3] in _CHANNELS and shape[1] not in _CHANNELS
    if len(shape) != 4 or last:
        raise DataError(
            f"Expected float images of shape (n, C, H, W), as torch's layers take them, got "
            f"{shape}. Move the channels: images.transpose(0, 3, 1, 2), or add their axis."
        )


def _arrays(data: Any) -> tuple[NDArray[Any], NDArray[Any]]:
    """All images and all labels."""
    from torch.utils.data import DataLoader

    if isinstance(data, MedImages):
        raise DataError(
            "Expected the images of one split, got a whole data set. Pass data.train, data.val or "
            "data.test."
        )
    if isinstance(data, DataLoader):
        raise DataError(
            "Expected a dataset, got a DataLoader, whose order and batches have no meaning here. "
            "Pass loader.dataset."
        )
    if isinstance(data, tuple) and len(data) == 2 and hasattr(data[0], "shape"):
        return _array(data[0]), _array(data[1])
    if isinstance(data, str | dict) or not (
        hasattr(data, "__getitem__") or hasattr(data, "__iter__")
    ):
        raise DataError(
            "Expected images with labels: a Split, a pair (images, labels) of arrays, or a torch "
            f"Dataset of (image, label), got a {type(data).__name__}. Read files with load(PATH)."
        )
    return _read(data)


def _read(dataset: Any) -> tuple[NDArray[Any], NDArray[Any]]:
    """Every item of a dataset, in order."""
    # iterable datasets have no length
    sized = hasattr(dataset, "__getitem__") and hasattr(dataset, "__len__")
    items: Iterable[Any] = (dataset[k] for k in range(len(dataset))) if sized else iter(dataset)
    count = len(dataset) if sized else None
    images: NDArray[Any] | list[NDArray[Any]] = []
    labels, first = [], None
    for place, item in enumerate(items):
        if not isinstance(item, tuple | list) or len(item) != 2:
            raise DataError(
                f"Expected pairs of an image and its label in the dataset, got a "
                f"{type(item).__name__} at {place}. Wrap it so that dataset[k] is (image, label)."
            )
        image = _array(item[0])
        if first is None:
            first = image
            images = [] if count is None else np.empty((count, *image.shape), image.dtype)
        if image.shape != first.shape or image.dtype != first.dtype:
            raise DataError(
                f"Expected images of one size and kind in the dataset, got {first.dtype} of shape "
                f"{first.shape} at 0 and {image.dtype} of {image.shape} at {place}. Crop, resize "
                "or convert them before."
            )
        if isinstance(images, list):
            images.append(image)
        else:
            images[place] = image
        labels.append(_array(item[1]))
    if first is None:
        raise DataError("Expected at least one image, but the dataset is empty.")
    if len({label.shape for label in labels}) > 1:
        raise DataError("Expected as many labels for every image of the dataset, got different.")
    return np.stack(images) if isinstance(images, list) else images, np.stack(labels)


def _array(value: Any) -> NDArray[Any]:
    """An array from whatever holds one."""
    import torch

    if isinstance(value, Image.Image):
        return np.asarray(plain_picture(value, "an image of the dataset"))
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu()
        return np.asarray((value.float() if value.dtype == torch.bfloat16 else value).numpy())
    try:
        return np.asarray(value)
    except (TypeError, ValueError) as error:  # lists of arrays of several shapes
        raise DataError(
            f"Expected arrays of numbers, got a {type(value).__name__}: {error}. Crop or resize "
            "the images to one size before."
        ) from error


def _channels_last(images: NDArray[Any]) -> NDArray[np.uint8]:
    """Bytes as (n, H, W) or (n, H, W, 3)."""
    shape = images.shape
    first, last = (images.ndim == 4 and shape[axis] in _CHANNELS for axis in (1, 3))
    if images.ndim == 3:
        return images
    if first == last or 0 in shape:
        both = " Both axes could be the channels." if first else ""
        raise DataError(
            "Expected uint8 images of shape (n, H, W), (n, H, W, 1 or 3) or (n, 1 or 3, H, W), got "
            f"{shape}.{both} Put the channels last, as Split takes them; volumes are not read."
        )
    moved = np.moveaxis(images, 1, 3) if first else images
    return np.ascontiguousarray(moved[..., 0] if moved.shape[3] == 1 else moved)


def _floats(images: NDArray[Any]) -> NDArray[np.float32]:
    """Floats as they are, in single precision."""
    if images.dtype.kind != "f":
        raise DataError(
            f"Expected images as uint8 of 0…255 or as floats, got {images.dtype}. Convert them "
            "with the window that your modality asks for."
        )
    some = images[:_LOOKED_AT]
    if some.size and some.min() >= 0 and 1 < some.max() <= 255 and (some == np.rint(some)).all():
        raise DataError(
            f"Expected floats that the model can see as they are, got whole numbers up to "
            f"{some.max():g}. Pass images.astype(np.uint8), which is scaled to -1…1, or scale them."
        )
    return np.ascontiguousarray(images, dtype=np.float32)


def _labels(raw: NDArray[Any], count: int) -> NDArray[np.int64]:
    """Labels as (n,), or several as (n, labels)."""
    if raw.shape[:1] != (count,) or raw.ndim > 2 or 0 in raw.shape:
        raise DataError(
            f"Expected labels of shape ({count},), ({count}, 1) or ({count}, labels) for {count} "
            f"images, got {raw.shape}. Check how they were read."
        )
    labels = raw[:, 0] if raw.ndim == 2 and raw.shape[1] == 1 else raw
    if labels.ndim == 2:
        return _several(labels)
    if labels.dtype.kind not in "iub" or labels.min() < 0:
        raise DataError(
            f"Expected whole numbers from 0 as labels, got {_told(labels)}. Number the classes "
            "from 0, e.g. labels.astype(int)."
        )
    return labels.astype(np.int64)


def _several(labels: NDArray[Any]) -> NDArray[np.int64]:
    if labels.dtype.kind not in "iubf" or not np.isin(labels, (0, 1)).all():
        raise DataError(
            f"Expected 0 or 1 for each of {labels.shape[1]} labels of an image, got "
            f"{_told(labels)}. Pass classes as shape (n,)."
        )
    if (labels.sum(axis=1) == 1).all():
        raise DataError(
            f"Expected classes as whole numbers of shape (n,), got {labels.shape} with a single 1 "
            "in every row. Pass labels.argmax(axis=1); or Split(images, labels) if each label is "
            "meant by itself."
        )
    return labels.astype(np.int64)


def _told(labels: NDArray[Any]) -> str:
    """What labels are, for a message; none of another kind than numbers is quoted."""
    span = f" of {labels.min()}…{labels.max()}" if labels.dtype.kind in "iubf" else ""
    return f"{labels.dtype}{span}"


def _count(parts: dict[str, Split], class_names: Sequence[str]) -> int:
    """How many classes or labels there are: what somebody said, or those of the training images."""
    first = parts["train"]
    if first.multi_label:
        return first.labels.shape[1]
    said = len(class_names) or max((part.num_classes or 0 for part in parts.values()), default=0)
    present = np.unique(first.labels)
    if said:
        return said
    if len(present) < 2 or len(present) <= present[-1]:
        missing = next(k for k in range(int(present[-1]) + 2) if k not in present)
        raise DataError(
            f"Expected at least two classes, numbered from 0, each with training images, but class "
            f"{missing} has none. Number them anew, or name all of them with class_names=."
        )
    return len(present)


def _digest(parts: Iterable[Split]) -> str:
    """MD5 of all images and labels."""
    digest = hashlib.md5(usedforsecurity=False)
    for word, part in zip(SPLITS, parts, strict=True):
        for array in (part.images, part.labels):
            digest.update(f"{word} {array.dtype} {array.shape}\n".encode())
            digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def as_data(data: MedImages | Given, val: Given | None) -> MedImages:
    """What a training is given: a data set, or images to train on and to validate with.

    Args:
        data: Of a whole data set its own validation split counts.
        val: Needed beside images without one.

    Raises:
        DataError: If there are no validation images, or two kinds of them.
    """
    if isinstance(data, MedImages):
        if val is not None:
            raise DataError(
                "Expected val= beside images without a validation split, but the data set has one. "
                "Leave it out, or use dataclasses.replace(data, val=...)."
            )
        return data
    if val is None:
        raise DataError(
            "Expected val= with images and labels beside those to train on, since the best epoch "
            "is chosen by them. Hold some out; of a Dataset with torch.utils.data.random_split."
        )
    return as_images(data, val)
