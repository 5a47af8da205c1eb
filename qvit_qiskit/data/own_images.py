"""Images of the user's own, by their path: a folder of class folders or an ``.npz`` file."""

from __future__ import annotations

import difflib
from pathlib import Path

from qvit_qiskit.data import medmnist
from qvit_qiskit.data.archive import Archive
from qvit_qiskit.data.folder import ImageFolder
from qvit_qiskit.data.images import MULTI_LABEL, MedImages, SetFacts
from qvit_qiskit.data.phantom import NAME as PHANTOM
from qvit_qiskit.exceptions import DataError


def is_known(name: str) -> bool:
    """Whether a text is the name of a published or embedded set, in any case."""
    return medmnist.is_name(name) or name.strip().lower() == PHANTOM


def find_own(text: str, base: Path | None = None) -> Path:
    """The folder or file that a text names.

    Args:
        text: A path that is not the name of a known set.
        base: The folder that a relative path starts from; by default the working directory.

    Returns:
        An absolute path.

    Raises:
        DataError: If nothing is there. Nothing is ever downloaded for a path.
    """
    path = (base or Path()).absolute() / Path(text).expanduser()
    if text.strip() and (path.is_dir() or path.is_file()):
        return path.resolve()
    known = (*medmnist.names(), PHANTOM)
    nearby = (*known, *_sets_in(base or Path()))
    near = difflib.get_close_matches(text.strip().lower(), nearby, n=1, cutoff=0.0)[0]
    if Path(text).suffix or any(mark in text for mark in "/\\~"):
        raise DataError(
            f"Expected own images in {path}, but nothing is there. Check the path of the folder or "
            ".npz file."
        )
    raise DataError(
        f"Expected the name of a data set, or the path of a folder or .npz file, got {text!r}: did "
        f"you mean {near!r}? Choose one of {', '.join(known)}, or check the path."
    )


def _sets_in(folder: Path) -> list[str]:
    """Names of what may be own images in a folder."""
    try:
        entries = [entry for entry in folder.iterdir() if not entry.name.startswith(".")]
        return sorted(e.name for e in entries if e.is_dir() or e.suffix == ".npz")
    except OSError:
        return []


def own_name(path: Path) -> str:
    """What a set of own images is called: as its folder or file, but never as a known set."""
    name = (path.name if path.is_dir() else path.stem) or "images"
    return f"own-{name}" if is_known(name) else name


def own_facts(path: Path) -> SetFacts:
    """What is known of own images from names, headers and labels, without reading all of them.

    Args:
        path: The folder or file.

    Raises:
        DataError: If it does not hold a data set.
    """
    source = _open(path)
    height, width, *channels = source.shape()
    several = isinstance(source, Archive) and source.multi_label
    return SetFacts(
        own_name(path),
        channels[0] if channels else 1,
        len(source.class_names),
        source.sizes,
        (height, width),
        several,
        own=True,
    )


def load_own(path: Path) -> MedImages:
    """Read own images.

    Args:
        path: The folder or file.

    Raises:
        DataError: If it does not hold a data set, or something in it is damaged.
    """
    source = _open(path)
    parts, md5 = source.read()
    task = "binary-class" if len(source.class_names) == 2 else "multi-class"
    if parts["train"].multi_label:
        task = MULTI_LABEL
    return MedImages(
        name=own_name(path),
        train=parts["train"],
        val=parts["val"],
        test=parts["test"],
        task=task,
        class_names=source.class_names,
        channels=parts["train"].channels,
        md5=md5,
        synthetic=False,
        own=True,
        origin=str(path),
    )


def _open(path: Path) -> Archive | ImageFolder:
    return ImageFolder.scan(path) if path.is_dir() else Archive.open(path)
