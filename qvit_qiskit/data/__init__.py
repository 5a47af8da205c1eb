"""Images: MedMNIST's 2D sets, own files and folders, an embedded synthetic set, and subsets."""

from pathlib import Path

from qvit_qiskit.data import medmnist
from qvit_qiskit.data.arrays import as_images, as_split
from qvit_qiskit.data.images import SIDE, SPLITS, MedImages, PreparedSplit, SetFacts, Split
from qvit_qiskit.data.own_images import find_own, is_known, load_own, own_facts
from qvit_qiskit.data.phantom import NAME as PHANTOM
from qvit_qiskit.data.phantom import phantom
from qvit_qiskit.data.subset import stratified_subset
from qvit_qiskit.exceptions import DataError

__all__ = [
    "MedImages",
    "PreparedSplit",
    "SetFacts",
    "Split",
    "as_images",
    "as_split",
    "facts",
    "load",
    "names",
    "stratified_subset",
]


def names() -> tuple[str, ...]:
    """Every name that `load` accepts: the 2D sets of MedMNIST and `phantom`.

    Returns:
        Lower-case names, those of MedMNIST first.

    Example:
        >>> from qvit_qiskit.data import names
        >>> "phantom" in names()
        True
    """
    return (*medmnist.names(), PHANTOM)


def facts(name: str, *, size: int | None = None, base: Path | None = None) -> SetFacts:
    """What is known of a set without its images.

    Args:
        name: A MedMNIST 2D set, `phantom`, or the path of own images; see `load`.
        size: Pixels on a side of MedMNIST's larger files: 64, 128 or 224.
        base: The folder that a relative path starts from; by default the working directory.

    Returns:
        Its name, channels, classes, images by split, and pixels of an image.

    Raises:
        DataError: If there is no such set or size, or a path holds no data set.

    Example:
        >>> from qvit_qiskit.data import facts
        >>> facts("pathmnist").classes
        9
    """
    if not is_known(name):
        return own_facts(_own(name, size, base))
    if name.strip().lower() == PHANTOM:
        made = _phantom(size)
        sizes = {word: len(made.split(word)) for word in SPLITS}
        return SetFacts(made.name, made.channels, made.num_classes, sizes)
    info = medmnist.find(name, size)
    return SetFacts(
        info.name,
        info.channels,
        len(info.class_names),
        info.sizes,
        (info.side, info.side),
        info.multi_label,
    )


def load(
    name: str,
    root: Path | None = None,
    *,
    size: int | None = None,
    base: Path | None = None,
    download: bool = True,
) -> MedImages:
    """Load a data set by name, in any case, or own images by their path.

    Args:
        name: A MedMNIST 2D set such as `retinamnist` or `RetinaMNIST`; `phantom`, the embedded
            synthetic set, which needs neither files nor a network; or the path of own images: an
            `.npz` file with MedMNIST's keys, or a folder of class folders under `train`, `val` and
            `test`. A name goes before a folder of that name; write `./NAME` for the folder.
        root: The folder of MedMNIST's `.npz` files. Without it `QVIT_DATA_ROOT` counts, then
            `./data/medmnist`.
        size: Pixels on a side of MedMNIST's larger files: 64, 128 or 224.
        base: The folder that a relative path starts from; by default the working directory.
        download: Whether a file of MedMNIST that is not there may be fetched. Nothing is ever
            fetched for a path.

    Returns:
        The three splits.

    Raises:
        DataError: If the name is unknown or the file is missing, damaged or cannot be fetched.

    Example:
        >>> from qvit_qiskit import load
        >>> load("phantom").train.images.shape  # bytes: (n, H, W), in colour (n, H, W, 3)
        (600, 28, 28)
    """
    if not is_known(name):
        return load_own(_own(name, size, base))
    if name.strip().lower() == PHANTOM:
        return _phantom(size)
    return medmnist.load_medmnist(name, root, size=size, download=download)


def _own(name: str, size: int | None, base: Path | None) -> Path:
    """The path of own images, which have the size that they have."""
    path = find_own(name, base)
    if size is not None:
        raise DataError(
            f"A size of {size} chooses among MedMNIST's files, but {path} holds own images. Leave "
            "it out: the model follows the images' size."
        )
    return path


def _phantom(size: int | None) -> MedImages:
    if size not in (None, SIDE):
        raise DataError(f"The set {PHANTOM} is drawn in {SIDE} pixels, not in {size}.")
    return phantom()
