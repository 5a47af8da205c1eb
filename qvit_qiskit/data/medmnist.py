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

from qvit_qiskit.data.images import MedImages, Split
from qvit_qiskit.data.phantom import NAME as PHANTOM
from qvit_qiskit.exceptions import DataError

log = logging.getLogger(__name__)

MULTI_LABEL = "multi-label, binary-class"


@dataclass(frozen=True)
class Info:
    """What MedMNIST says about one set."""

    name: str
    title: str
    url: str
    md5: str
    task: str
    class_names: tuple[str, ...]
    channels: int
    sizes: dict[str, int]
    license: str


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
        return {name: _info(name, entry) for name, entry in ast.literal_eval(literal).items()}
    except (OSError, ValueError, SyntaxError, KeyError) as error:
        raise DataError(
            f"Expected the package medmnist 3.0.2 or a later 3.x, got: {error}. "
            "Run `pip install 'medmnist>=3.0.2,<4'`."
        ) from error


def _info(name: str, entry: dict[str, Any]) -> Info:
    labels = entry["label"]
    return Info(
        name=name,
        title=entry["python_class"],
        url=entry["url"],
        md5=entry["MD5"],
        task=entry["task"],
        class_names=tuple(labels[str(i)] for i in range(len(labels))),
        channels=entry["n_channels"],
        sizes=dict(entry["n_samples"]),
        license=entry["license"],
    )


_ALL = _read_info()
INFO = {name: info for name, info in _ALL.items() if not name.endswith("3d")}
"""The twelve 2D sets by name."""


def names() -> tuple[str, ...]:
    """The sets that can be loaded: the 2D sets with one label per image."""
    return tuple(name for name, info in INFO.items() if info.task != MULTI_LABEL)


def find(name: str) -> Info:
    """The set of that name, in any case.

    Raises:
        DataError: If there is none, or it is three-dimensional or multi-label.
    """
    key = name.strip().lower()
    listing = ", ".join((*names(), PHANTOM))
    if key not in _ALL:
        near = difflib.get_close_matches(key, (*names(), PHANTOM), n=1, cutoff=0.0)[0]
        raise DataError(
            f"Expected the name of a data set, got {name!r}: did you mean {near!r}? "
            f"Choose one of {listing}."
        )
    if key not in INFO:
        raise DataError(
            f"Expected a set of 2D images, but {_ALL[key].title} holds 28 x 28 x 28 volumes. "
            f"Choose one of {listing}."
        )
    if INFO[key].task == MULTI_LABEL:
        raise DataError(
            f"Expected one label per image, but {INFO[key].title} is multi-label "
            f"({len(INFO[key].class_names)} findings per image), and the heads and metrics here "
            f"are single-label. Choose one of {listing}."
        )
    return INFO[key]


def data_root(root: Path | None = None) -> Path:
    """The folder of the `.npz` files: the argument, `QVIT_DATA_ROOT`, or `./data/medmnist`."""
    if root is None:
        root = Path(os.environ.get("QVIT_DATA_ROOT") or Path("data", "medmnist"))
    return Path(root).expanduser().absolute()


def load_medmnist(
    name: str,
    root: Path | None = None,
    *,
    download: bool = True,
    progress: bool | None = None,
) -> MedImages:
    """Load a MedMNIST set; fetch its file first if it is not there.

    Args:
        name: Such as `retinamnist` or `RetinaMNIST`.
        root: The folder of the files, see `data_root`. It is created only for a download.
        download: Whether a file that is not there may be fetched.
        progress: Whether a download draws a bar; without it only if stderr is a terminal.

    Raises:
        DataError: If the name is unknown or the file is missing, damaged or cannot be fetched.
    """
    info = find(name)
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
    if check_md5 and md5 != info.md5:
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
    )


def _read_splits(path: Path, info: Info) -> dict[str, Split]:
    try:
        with path.open("rb") as file, zipfile.ZipFile(file):
            pass  # NOTE: np.load would take any other file for a pickle and speak of that
        with np.load(path, allow_pickle=False) as arrays:
            return {
                word: Split(arrays[f"{word}_images"], _labels(arrays[f"{word}_labels"]))
                for word in ("train", "val", "test")
            }
    except DataError as error:
        raise DataError(f"{path} does not hold {info.title}. {error}") from error
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(
            f"Expected the six arrays of {info.title} (train, val and test, images and labels) "
            f"in {path}, got: {error}. Delete the file and download it again from {info.url}."
        ) from error


def _labels(raw: NDArray[Any]) -> NDArray[np.int64]:
    """From MedMNIST's (n, 1) to (n,)."""
    if raw.dtype.kind not in "iu" or raw.ndim != 2 or raw.shape[1] != 1:
        raise DataError(f"Expected integer labels of shape (n, 1), got {raw.dtype} {raw.shape}.")
    return raw[:, 0].astype(np.int64)


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
