"""MedMNIST's 2D sets, read from their official `.npz` files.

The `medmnist` package is never imported: its import creates `~/.medmnist` and its downloader needs
torchvision. What it knows about the sets is one literal in `medmnist/info.py`, which is parsed.
"""

import ast
import difflib
import hashlib
import importlib.util
import logging
import os
import sys
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qvit_qiskit.data.images import MULTI_LABEL, SIDE, SPLITS, MedImages, Split
from qvit_qiskit.data.phantom import NAME as PHANTOM
from qvit_qiskit.exceptions import DataError

log = logging.getLogger(__name__)

LARGER = (64, 128, 224)
"""Pixels on a side of the files of MedMNIST+, which exist beside those of 28."""


@dataclass(frozen=True)
class Info:
    """What MedMNIST says about one set in one size."""

    name: str
    """The file's name, such as `breastmnist`, or `breastmnist_64` for larger images."""
    title: str
    url: str
    md5: str
    task: str
    class_names: tuple[str, ...]
    channels: int
    sizes: dict[str, int]
    license: str
    side: int = SIDE
    """Pixels on a side of an image."""

    @property
    def multi_label(self) -> bool:
        """Whether an image may have several labels, or none."""
        return self.task == MULTI_LABEL


def _read_info() -> dict[str, Info]:
    """Parse the literal `INFO` of the installed `medmnist/info.py`."""
    spec = importlib.util.find_spec("medmnist")
    try:
        if spec is None or spec.origin is None:
            raise FileNotFoundError("it is not installed")
        text = (Path(spec.origin).parent / "info.py").read_text(encoding="utf-8")
        (literal,) = (
            node.value
            for node in ast.parse(text).body
            if isinstance(node, ast.Assign)
            and any(isinstance(t, ast.Name) and t.id == "INFO" for t in node.targets)
        )
        entries = ast.literal_eval(literal).items()
        plain = {name: _info(name, entry) for name, entry in entries}
        return plain | {
            f"{name}_{side}": _info(name, entry, side)
            for name, entry in entries
            for side in LARGER
            if f"url_{side}" in entry
        }
    except (OSError, ValueError, SyntaxError, KeyError) as error:
        raise DataError(
            f"Expected the package medmnist 3.0.2 or a later 3.x, got: {error}. "
            "Run `pip install 'medmnist>=3.0.2,<4'`."
        ) from error


def _info(name: str, entry: dict[str, Any], side: int = SIDE) -> Info:
    labels, suffix = entry["label"], "" if side == SIDE else f"_{side}"
    return Info(
        name=name + suffix,
        title=entry["python_class"] + (suffix and f" of {side} pixels"),
        url=entry["url" + suffix],
        md5=entry["MD5" + suffix],
        task=entry["task"],
        class_names=tuple(labels[str(i)] for i in range(len(labels))),
        channels=entry["n_channels"],
        sizes=dict(entry["n_samples"]),
        license=entry["license"],
        side=side,
    )


_ALL = _read_info()
INFO = {name: info for name, info in _ALL.items() if "mnist3d" not in name}
"""The twelve 2D sets by name, in every size."""


def names() -> tuple[str, ...]:
    """The sets that can be loaded, without their larger sizes."""
    return tuple(name for name, info in INFO.items() if info.side == SIDE)


def is_name(name: str) -> bool:
    """Whether MedMNIST has a set of that name, in any case and of two dimensions or three."""
    return name.strip().lower() in _ALL


def find(name: str, size: int | None = None) -> Info:
    """The set of that name, in any case.

    Args:
        name: Such as `breastmnist`; `breastmnist_64` names a larger size as well.
        size: Pixels on a side, if not those that the name says.

    Raises:
        DataError: If there is none, it is three-dimensional, or there is no such size.
    """
    key = name.strip().lower()
    if size is not None and key in INFO:
        key = _of_size(key, size)
    listing = ", ".join((*names(), PHANTOM))
    if key not in _ALL:
        # one is always nearest
        near = difflib.get_close_matches(key, (*names(), PHANTOM), n=1, cutoff=0.0)[0]
        raise DataError(
            f"Expected the name of a data set, got {name!r}: did you mean {near!r}? "
            f"Choose one of {listing}."
        )
    if key not in INFO:
        raise DataError(
            f"Expected a set of 2D images, but {_ALL[key].title} holds volumes. "
            f"Choose one of {listing}."
        )
    return INFO[key]


def _of_size(key: str, size: int) -> str:
    """The name of a set in that size."""
    plain = key.partition("_")[0]
    if size not in (SIDE, *LARGER):
        sizes = ", ".join(map(str, LARGER))
        raise DataError(f"Expected a size of {SIDE}, {sizes} pixels, got {size}.")
    if key != plain and INFO[key].side != size:  # `NAME_64` says a size as well
        raise DataError(
            f"Expected one size, but the name {key} and the size {size} contradict each other. "
            f"Name {plain}, or leave the size out."
        )
    return plain if size == SIDE else f"{plain}_{size}"


def data_root(root: Path | None = None) -> Path:
    """The folder of the `.npz` files: the argument, `QVIT_DATA_ROOT`, or `./data/medmnist`."""
    if root is None:
        root = Path(os.environ.get("QVIT_DATA_ROOT") or Path("data", "medmnist"))
    return Path(root).expanduser().absolute()


def load_medmnist(
    name: str,
    root: Path | None = None,
    *,
    size: int | None = None,
    download: bool = True,
    progress: bool | None = None,
) -> MedImages:
    """Load a MedMNIST set; fetch its file first if it is not there.

    Args:
        name: Such as `retinamnist` or `RetinaMNIST`.
        root: The folder of the files, see `data_root`. It is created only for a download.
        size: Pixels on a side, 28, 64, 128 or 224; without it what the name says.
        download: Whether a file that is not there may be fetched.
        progress: Whether a download draws a bar; without it only if stderr is a terminal.

    Raises:
        DataError: If the name is unknown or the file is missing, damaged or cannot be fetched.
    """
    info = find(name, size)
    path = data_root(root) / f"{info.name}.npz"
    if not path.exists():
        if not download:
            raise DataError(f"Expected {path}, but it is not there. {_by_hand(info, path.parent)}")
        _download(info, path, sys.stderr.isatty() if progress is None else progress)
    return load_npz(path, info.name)


def load_npz(path: Path, name: str, *, check_md5: bool = True) -> MedImages:
    """Read one of MedMNIST's `.npz` files.

    Args:
        path: The file.
        name: The set that it holds.
        check_md5: Whether the file must be the official one, byte for byte.

    Raises:
        DataError: If the file is missing, damaged, not the official one, or not of that set.
    """
    info = find(name)
    try:
        with Path(path).open("rb") as file:
            md5 = hashlib.file_digest(file, "md5").hexdigest()
    except OSError as error:
        raise DataError(
            f"Expected {info.title} in {path}, but it cannot be read: {error.strerror}. "
            f"{_by_hand(info, Path(path).parent)}"
        ) from error
    if check_md5 and md5 != info.md5:  # also a truncated or converted file
        raise DataError(
            f"Expected the MD5 sum {info.md5} of {info.title}, got {md5} for {path}. "
            f"Delete the file and download it again from {info.url}."
        )
    parts = _read_splits(Path(path), info)
    return MedImages(
        name=info.name,
        train=parts["train"],
        val=parts["val"],
        test=parts["test"],
        task=info.task,
        class_names=info.class_names,
        channels=info.channels,
        md5=md5,
        synthetic=False,
        own=False,
    )


def _read_splits(path: Path, info: Info) -> dict[str, Split]:
    try:
        with path.open("rb") as file, zipfile.ZipFile(file):
            pass  # NOTE: np.load would take any other file for a pickle and speak of that
        with np.load(path, allow_pickle=False) as arrays:
            return {
                word: _split(info, arrays[f"{word}_images"], arrays[f"{word}_labels"])
                for word in SPLITS
            }
    except DataError as error:
        raise DataError(f"{path} does not hold {info.title}. {error}") from error
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(
            f"Expected the six arrays of {info.title} (train, val and test, images and labels) "
            f"in {path}, got: {error}. Delete the file and download it again from {info.url}."
        ) from error


def _split(info: Info, images: NDArray[Any], labels: NDArray[Any]) -> Split:
    """A split whose images have the size that the file's name says."""
    if images.ndim not in (3, 4) or images.shape[1:3] != (info.side, info.side):
        raise DataError(
            f"Expected images of {info.side} x {info.side} pixels, got shape {images.shape}."
        )
    return Split(images, _labels(info, labels))


def _labels(info: Info, raw: NDArray[Any]) -> NDArray[np.int64]:
    """From MedMNIST's (n, 1) to (n,); several labels of an image keep their shape."""
    width = len(info.class_names) if info.multi_label else 1
    if raw.dtype.kind not in "iu" or raw.ndim != 2 or raw.shape[1] != width:
        raise DataError(
            f"Expected integer labels of shape (n, {width}), got {raw.dtype} {raw.shape}."
        )
    labels = raw.astype(np.int64)  # published as uint8
    return labels if info.multi_label else labels[:, 0]


def _download(info: Info, path: Path, progress: bool) -> None:
    """Fetch a file; it appears under its name only when it is complete and its MD5 is right."""
    import pooch
    import requests

    pooch.get_logger().setLevel("WARNING")  # what happens is said below, once
    try:
        pooch.retrieve(
            info.url,
            known_hash=f"md5:{info.md5}",
            fname=path.name,
            path=path.parent,
            progressbar=progress,
        )
    except (OSError, ValueError) as error:  # no connection or no room; or a wrong sum
        offline = isinstance(error, requests.ConnectionError | requests.Timeout)
        reason = "no connection" if offline else str(error).rstrip(".")
        raise DataError(
            f"Expected to download {info.title}, got: {reason}. {_by_hand(info, path.parent)}"
        ) from error
    log.info("%s is in %s; QVIT_DATA_ROOT chooses another folder.", info.title, path)


def _by_hand(info: Info, folder: Path) -> str:
    return (
        f"Download {info.url} into the folder {folder} as {info.name}.npz, "
        f"or use the embedded synthetic set: --dataset {PHANTOM}."
    )
