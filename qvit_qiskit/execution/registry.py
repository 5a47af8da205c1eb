"""Profiles by name, and the routes that models are bound to.

Example:
    >>> import torch
    >>> from qvit_qiskit import QuantumLinear, build_circuit, registry
    >>> layer = QuantumLinear(build_circuit("ry-ring", 4))
    >>> with registry.route(layer, "aer-shots"):
    ...     noisy = layer(torch.zeros(3, 4))  # from 1,024 bitstrings a row
    >>> noisy.shape  # (rows, outputs)
    torch.Size([3, 4])
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from qvit_qiskit.exceptions import ProfileError, RouteError
from qvit_qiskit.profile import AnyProfile, load_profile
from qvit_qiskit.shipped import shipped_folders
from qvit_qiskit.suggest import unknown

if TYPE_CHECKING:
    from torch import nn

    from qvit_qiskit.execution.profile_route import ProfileRoute
    from qvit_qiskit.execution.route import Route


@dataclass(frozen=True)
class Found:
    """A profile file."""

    name: str
    path: Path
    shadows: tuple[Path, ...] = ()
    """Files of the same name that stand further back in the search order."""

    def load(self) -> AnyProfile:
        """Read the profile.

        Raises:
            ProfileError: If the file cannot be read, or a key or value is wrong.
        """
        return load_profile(self.path)


def folders(backends_dir: Path | None = None) -> list[Path]:
    """Where profiles are looked for, first hit wins.

    ``backends_dir`` or the environment's ``QVIT_BACKENDS``; ``./backends``; the checkout's
    ``backends/`` where the package runs from one; the copies inside the package.

    Returns:
        Folders that exist, the first to be searched first.

    Raises:
        ProfileError: If a folder that was asked for does not exist.

    Example:
        >>> from qvit_qiskit import registry
        >>> [folder.name for folder in registry.folders()][-1]
        'backends'
    """
    asked = backends_dir or os.environ.get("QVIT_BACKENDS")
    out: list[Path] = []
    if asked:
        if not Path(asked).is_dir():
            raise ProfileError(
                f"The backends folder {asked} does not exist. Create it or unset it."
            )
        out.append(Path(asked))
    out.append(Path.cwd() / "backends")
    out += shipped_folders("backends")
    unique = {folder.resolve(): folder for folder in reversed(out) if folder.is_dir()}
    return [folder for folder in out if unique.get(folder.resolve()) is folder]


def available(backends_dir: Path | None = None) -> list[Found]:
    """Every profile that can be named, sorted.

    Returns:
        One for each name: the profile's file, and those that it hides.

    Raises:
        ProfileError: If a folder that was asked for does not exist.

    Example:
        >>> from qvit_qiskit import registry
        >>> "aer-exact" in [entry.name for entry in registry.available()]
        True
    """
    files: dict[str, list[Path]] = {}
    for folder in folders(backends_dir):
        for path in sorted(folder.glob("*.toml")):
            files.setdefault(path.stem, []).append(path)
    return [Found(name, p[0], tuple(p[1:])) for name, p in sorted(files.items())]


def find(name: str, backends_dir: Path | None = None) -> Found:
    """A profile by name, or by path if it ends in ``.toml``.

    Args:
        name: The profile's name, or the path of its file.
        backends_dir: A folder to search first.

    Returns:
        The profile's file, and those of the same name that it hides.

    Raises:
        ProfileError: If there is none; the message names the nearest.

    Example:
        >>> from qvit_qiskit import registry
        >>> registry.find("aer-exact").load().kind
        'aer'
    """
    if name.endswith(".toml"):
        path = Path(name)
        if not path.is_file():
            raise ProfileError(f"The profile file {name} does not exist.")
        return Found(path.stem, path)
    known = {entry.name: entry for entry in available(backends_dir)}
    if name not in known:
        raise ProfileError(unknown("backend profile", name, known))
    return known[name]


def open(name: str, *, backends_dir: Path | None = None, training: bool = False) -> ProfileRoute:
    """Open a profile.

    Args:
        name: A profile's name or path.
        backends_dir: A folder to search first.
        training: Whether a model is to be trained on it.

    Returns:
        The route, which `evaluate` and quantum layers take.

    Raises:
        ProfileError: If the profile is missing or malformed.
        RouteError: If it names an unknown device, is not for training, or is of kind ``ibm``,
            which costs QPU time and runs jobs only.

    Example:
        >>> from qvit_qiskit import registry
        >>> registry.open("aer-exact").trainable
        True
    """
    from qvit_qiskit.execution.profile_route import open_route

    entry = find(name, backends_dir)
    opened = open_route(entry.name, entry.load(), entry.path)
    if training and not opened.trainable:
        raise opened.refusal()
    return opened


def _open_run(
    name: str | Route, backends_dir: Path | None, budget: float, run: Path
) -> ProfileRoute:
    from qvit_qiskit.execution.profile_route import run_route

    if not isinstance(name, str):
        raise RouteError("Expected a profile's name with budget_seconds and run, not a route.")
    if not budget > 0:
        raise RouteError(f"Expected budget_seconds above 0, but got {budget}.")
    entry = find(name, backends_dir)
    refuse_shadow(entry, backends_dir)
    return run_route(entry.name, entry.load(), entry.path, budget, run)


def refuse_shadow(entry: Found, backends_dir: Path | None) -> None:
    """A profile in a downloaded folder must not pass for a packaged one that costs money.

    Args:
        entry: The profile and the files of the same name that it hides.
        backends_dir: The folder that the user named, if any.

    Raises:
        ProfileError: If it hides another file and no folder was named.
    """
    if backends_dir is None and entry.shadows and entry.load().kind == "ibm":
        raise ProfileError(
            f"The profile {entry.path} costs QPU time and hides {entry.shadows[0]} of the same "
            f"name. Rename it, or say that you mean it with --backends-dir {entry.path.parent}."
        )


@lru_cache(maxsize=1)
def default_route() -> ProfileRoute:
    """The route of layers that nobody bound: exact values on Aer."""
    from qvit_qiskit.execution.profile_route import open_route
    from qvit_qiskit.profile import AerProfile

    return open_route("aer-exact", AerProfile(kind="aer"), Path("built in"))


@contextmanager
def route(
    model: nn.Module,
    name: str | Route,
    *,
    backends_dir: Path | None = None,
    budget_seconds: float | None = None,
    run: Path | str | None = None,
) -> Iterator[Route]:
    """Bind every quantum layer of a model to a profile; restore the old routes afterwards.

    A model without quantum layers is left as it is. One thread at a time routes a model.

    Args:
        model: Any module that holds quantum layers.
        name: A profile's name or path, or a route that is already open.
        backends_dir: A folder to search first.
        budget_seconds: QPU seconds that the block may cost; with ``run``, what a profile of kind
            ``ibm`` needs. Every forward pass then sends its quantum layers as jobs and waits.
        run: The folder that journals those jobs. Repeating the block with the same folder and
            inputs costs nothing.

    Yields:
        What the layers run on until the end of the `with` block; then they have their old
        routes.

    Raises:
        ProfileError: If the profile is missing or malformed.
        RouteError: If the profile cannot be opened, the model holds a quantum layer that no route
            can bind (e.g. a stock ``TorchConnector``), or another thread routes the model.
        JobError: If the budget does not allow a job, a job fails, or the folder is another run's.

    Example:
        >>> import torch
        >>> from qvit_qiskit import QuantumLinear, build_circuit, registry
        >>> layer = QuantumLinear(build_circuit("ry-ring", 4))
        >>> with registry.route(layer, "aer-boston-exact"):
        ...     damped = layer(torch.zeros(1, 4))  # under the errors that a device reported
        >>> bool((damped.abs() <= 1).all())
        True
    """
    from qvit_qiskit.execution.binding import bindable, bound

    if (budget_seconds is None) != (run is None):
        raise RouteError("Expected budget_seconds and run together: what to spend, where to note.")
    parts = bindable(model)
    new: Route
    if budget_seconds is not None and run is not None:
        new = _open_run(name, backends_dir, budget_seconds, Path(run))
    else:
        new = open(name, backends_dir=backends_dir) if isinstance(name, str) else name
    with bound(parts, new):
        yield new
