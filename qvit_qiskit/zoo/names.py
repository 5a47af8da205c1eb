"""Where a checkpoint lies that is named: a file, a training folder, or a model of the package."""

from __future__ import annotations

from pathlib import Path

from qvit_qiskit.exceptions import CheckpointError
from qvit_qiskit.suggest import unknown

PREFIX = "zoo:"
"""What the name of a model of the package begins with."""
FOLDER = Path(__file__).resolve().parent / "models"
SUFFIX = ".safetensors"
BEST = "best.safetensors"
FIRST = "-0"
"""The seed that a name without one means: the first, never the best."""


def model_names() -> tuple[str, ...]:
    """Names of the models of the package, each with its seed.

    Returns:
        Such as ``qvit-retinamnist-0``, in alphabetical order.

    Example:
        >>> from qvit_qiskit.zoo import model_names
        >>> model_names()[0]
        'qvit-breastmnist-0'
    """
    return tuple(sorted(path.name.removesuffix(SUFFIX) for path in FOLDER.glob(f"*{SUFFIX}")))


def model_file(name: str) -> Path:
    """The file of a model of the package.

    Args:
        name: Such as ``qvit-retinamnist-3``; without a seed, that of seed 0.

    Raises:
        CheckpointError: If there is none; the message names the nearest.
    """
    names = model_names()
    plain = tuple(one.removesuffix(FIRST) for one in names if one.endswith(FIRST))
    full = name + FIRST if name in plain else name
    if full not in names:
        # thirty names are a wall: a model's own seeds, or one name for each model
        model = name.rpartition("-")[0]
        nearest = [one for one in names if one.rpartition("-")[0] == model]
        raise CheckpointError(
            f"{unknown('trained model', name, nearest or plain)} `qvit models` shows them; a name "
            "without a seed means seed 0."
        )
    return FOLDER / f"{full}{SUFFIX}"


def checkpoint_file(place: Path | str, base: Path | None = None) -> Path:
    """The file that a checkpoint's name means; every name of a checkpoint goes through here.

    Args:
        place: A file; a training folder, whose ``best.safetensors`` is meant; or ``zoo:NAME``, a
            model of the package.
        base: The folder that a relative path counts from, if not the working directory.

    Returns:
        The file, which need not exist where it is not the package's.

    Raises:
        CheckpointError: If the package has no model of that name.

    Example:
        >>> from qvit_qiskit.zoo import checkpoint_file
        >>> checkpoint_file("zoo:vit-retinamnist").name
        'vit-retinamnist-0.safetensors'
    """
    if names_model(place):
        return model_file(str(place).removeprefix(PREFIX))
    path = Path(place) if base is None else base / place
    return path / BEST if path.is_dir() else path


def names_model(place: Path | str) -> bool:
    """Whether a checkpoint's name is that of a model of the package."""
    return str(place).startswith(PREFIX)


def shown_name(path: Path) -> str:
    """A checkpoint's file as commands take it: a model of the package by its name."""
    if path.parent != FOLDER:
        return str(path)
    return PREFIX + path.name.removesuffix(SUFFIX).removesuffix(FIRST)
