"""Images: MedMNIST's 2D sets, an embedded synthetic set, and subsets of both."""

from dataclasses import dataclass
from pathlib import Path

from qvit_qiskit.data import medmnist
from qvit_qiskit.data.images import SIDE, MedImages, Split
from qvit_qiskit.data.phantom import NAME as PHANTOM
from qvit_qiskit.data.phantom import phantom
from qvit_qiskit.data.subset import stratified_subset

__all__ = ["MedImages", "SetFacts", "Split", "facts", "load", "names", "stratified_subset"]


def names() -> tuple[str, ...]:
    """Every name that `load` accepts: the 2D sets of MedMNIST and `phantom`."""
    return (*medmnist.names(), PHANTOM)


@dataclass(frozen=True)
class SetFacts:
    """What is known of a set without its files."""

    name: str
    channels: int
    classes: int
    """Of a multi-label set its labels."""
    sizes: dict[str, int]
    """Images by split."""
    pixels: tuple[int, int] = (SIDE, SIDE)
    """Height and width of an image."""
    multi_label: bool = False
    """Whether an image may have several labels, or none."""


def facts(name: str) -> SetFacts:
    """What is known of a set without its files.

    Raises:
        DataError: If there is no such set.
    """
    if name.strip().lower() == PHANTOM:
        made = phantom()
        sizes = {word: len(made.split(word)) for word in ("train", "val", "test")}
        return SetFacts(made.name, made.channels, made.num_classes, sizes)
    info = medmnist.find(name)
    side = info.side
    return SetFacts(
        info.name, info.channels, len(info.class_names), info.sizes, (side, side), info.multi_label
    )


def load(name: str, root: Path | None = None, *, download: bool = True) -> MedImages:
    """Load a data set by name, in any case.

    Args:
        name: A MedMNIST 2D set such as `retinamnist` or `RetinaMNIST`, or `phantom`, the embedded
            synthetic set, which needs neither files nor a network.
        root: The folder of the `.npz` files. Without it `QVIT_DATA_ROOT` counts, then
            `./data/medmnist`.
        download: Whether a file that is not there may be fetched.

    Returns:
        The three official splits.

    Raises:
        DataError: If the name is unknown or the file is missing, damaged or cannot be fetched.
    """
    if name.strip().lower() == PHANTOM:
        return phantom()
    return medmnist.load_medmnist(name, root, download=download)
