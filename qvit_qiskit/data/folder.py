"""Own images in folders: ``train``, ``val`` and ``test``, in each a folder for every class."""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from qvit_qiskit.data.images import SPLITS, Split
from qvit_qiskit.data.picture import SUFFIXES, check_room, read_picture
from qvit_qiskit.exceptions import DataError

IGNORED = ("thumbs.db", "desktop.ini")
"""What file managers leave behind; hidden files are ignored as well."""


@dataclass(frozen=True)
class FileNames:
    """Names of files in alphabetical order, in a fraction of the memory that strings take."""

    joined: bytes = b""
    """Names as the file system holds them, each ended by a zero byte, which none contains."""
    count: int = 0

    @classmethod
    def of(cls, names: list[str]) -> FileNames:
        """The names, sorted in place.

        Args:
            names: In any order.
        """
        names.sort()
        return cls(os.fsencode("\0".join([*names, ""])), len(names))

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[str]:
        start = 0
        for _ in range(self.count):
            end = self.joined.index(b"\0", start)
            yield os.fsdecode(self.joined[start:end])
            start = end + 1


@dataclass(frozen=True)
class ImageFolder:
    """The files of a folder, listed and not yet read."""

    root: Path
    class_names: tuple[str, ...]
    """The names of the class folders in alphabetical order: the first is class 0."""
    files: dict[str, tuple[FileNames, ...]]
    """The names of the files of every class, by split."""

    @classmethod
    def scan(cls, root: Path) -> ImageFolder:
        """List a folder's files.

        Args:
            root: The folder that holds ``train``, ``val`` and ``test``.

        Raises:
            DataError: If a split or a class is missing, empty or unknown, or a file is no image.
        """
        _check_splits(root)
        classes = tuple(_classes(root / "train"))  # the classes that a model can learn
        if len(classes) < 2:
            raise DataError(
                f"Expected folders of at least two classes in {root / 'train'}, got "
                f"{', '.join(classes) or 'none'}. Give every class a folder of its own."
            )
        files = {}
        for word in SPLITS:
            present = _classes(root / word)
            for name in present:
                if name not in classes:
                    raise DataError(
                        f"{root / word} has a class {name!r} that {root / 'train'} has not. "
                        f"Expected the classes {', '.join(classes)}: rename the folder, or add "
                        "training images."
                    )
            files[word] = tuple(
                _images(root / word / name) if name in present else FileNames() for name in classes
            )
            if not any(files[word]):
                raise DataError(f"{root / word} holds no image. Every split needs some.")
        return cls(root, classes, files)

    @property
    def sizes(self) -> dict[str, int]:
        """Images by split."""
        return {word: sum(map(len, classes)) for word, classes in self.files.items()}

    def shape(self) -> tuple[int, ...]:
        """The shape of the first image, (H, W) or (H, W, 3).

        Raises:
            DataError: If it cannot be read.
        """
        path, _ = next(self._paths("train"))
        return read_picture(_bytes(path), path).shape

    def read(self) -> tuple[dict[str, Split], str]:
        """All images, and the MD5 of all files with their places.

        Raises:
            DataError: If a file is damaged or another in size or colour than the first, or if
                there is not enough memory.
        """
        shape, digest = self.shape(), hashlib.md5(usedforsecurity=False)
        check_room(sum(self.sizes.values()) * int(np.prod(shape)), self.root)
        parts = {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of notes within the files, which nothing depends on
            for word in SPLITS:
                images = np.empty((self.sizes[word], *shape), np.uint8)
                labels = np.empty(len(images), np.int64)
                for place, (path, label) in enumerate(self._paths(word)):
                    raw = _bytes(path)
                    digest.update(os.fsencode(path.relative_to(self.root).as_posix()))
                    # so that bytes cannot pass from one file to the next
                    digest.update(b"\0%d\0" % len(raw))
                    digest.update(raw)
                    images[place] = self._fitting(read_picture(raw, path), path, shape)
                    labels[place] = label
                parts[word] = Split(images, labels)
        return parts, digest.hexdigest()

    def _fitting(self, image: np.ndarray, path: Path, shape: tuple[int, ...]) -> np.ndarray:
        """An image of the same shape as the first."""
        if image.shape == shape:
            return image
        first, _ = next(self._paths("train"))
        if image.shape[:2] == shape[:2]:
            kinds = {2: "grey", 3: "in colour"}
            raise DataError(
                f"{path} is {kinds[image.ndim]}, but {first} is {kinds[len(shape)]}. Expected one "
                "kind: convert all of them to grey, or all to RGB."
            )
        raise DataError(
            f"{path} has {image.shape[0]} x {image.shape[1]} pixels, but {first} has {shape[0]} x "
            f"{shape[1]}. Expected images of one size: crop or resize them before."
        )

    def _paths(self, word: str) -> Iterator[tuple[Path, int]]:
        """Every file of a split with its class."""
        for label, names in enumerate(self.files[word]):
            folder = self.root / word / self.class_names[label]
            yield from ((folder / name, label) for name in names)


def _check_splits(root: Path) -> None:
    present = {entry.name for entry in _entries(root) if entry.is_dir()}
    missing = [word for word in SPLITS if word not in present]
    if missing:
        got = ", ".join(sorted(present)) or "no folder"
        raise DataError(
            f"Expected the folders train, val and test in {root}, got {got[:200]}. Name the splits "
            "like that, and put class folders into each."
        )


def _classes(folder: Path) -> list[str]:
    """Names of the class folders of a split, in alphabetical order."""
    names = []
    for entry in _entries(folder):
        if entry.is_dir():
            names.append(entry.name)
        elif Path(entry.name).suffix.lower() in SUFFIXES:
            raise DataError(
                f"{folder / entry.name} lies in no class folder. Expected images one level down, "
                f"in {folder / 'CLASS'}."
            )
    for name in names:
        if not name.isprintable():  # nor are bytes that are no text
            raise DataError(f"Expected names of letters for classes, got {name!r} in {folder}.")
    return sorted(names)


def _images(folder: Path) -> FileNames:
    """Names of a class's image files."""
    names = []
    for entry in _entries(folder):
        suffix = Path(entry.name).suffix.lower()
        if entry.is_dir():
            raise DataError(
                f"Expected images in {folder}, got the folder {entry.name!r}. Put all images of a "
                "class directly into its folder."
            )
        if suffix in (".dcm", ".dicom"):
            raise DataError(
                f"{folder / entry.name} is a DICOM file, whose values need a window. Convert it to "
                "8-bit PNG with the window that your modality asks for."
            )
        if suffix not in SUFFIXES:
            raise DataError(
                f"Expected PNG, JPEG or TIFF images in {folder}, got {entry.name!r}. Convert it, "
                "or take it out of the folder."
            )
        names.append(entry.name)
    if not names:
        raise DataError(
            f"The class folder {folder} holds no image. Add some, or take the folder out."
        )
    return FileNames.of(names)


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    """What lies in a folder, without what nobody put there on purpose."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if not entry.name.startswith(".") and entry.name.lower() not in IGNORED:
                    yield entry
    except OSError as error:
        raise DataError(f"Cannot read the folder {folder}: {error.strerror}.") from error


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"Cannot read {path}: {error.strerror}. Restore it.") from error
