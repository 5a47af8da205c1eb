"""``qvit evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qvit_qiskit.cli import screen
from qvit_qiskit.cli.options import AsJson, BackendsDir, DataRoot

if TYPE_CHECKING:
    from qvit_qiskit.data import MedImages
    from qvit_qiskit.training import Checkpoint


def evaluate(
    checkpoint: Annotated[Path, typer.Argument(help="A checkpoint or a training folder.")],
    backend: Annotated[str, typer.Option(help="A profile of kind aer or fake.")] = "aer-exact",
    split: Annotated[str, typer.Option(help="train, val or test.")] = "test",
    dataset: Annotated[
        str | None, typer.Option(help="Another data set than the one it was trained on.")
    ] = None,
    subset: Annotated[
        int | None, typer.Option(help="Evaluate a stratified subset of this size.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the subset.")] = 0,
    batch_size: Annotated[int, typer.Option(min=1, help="Images per forward pass.")] = 64,
    data_root: DataRoot = None,
    backends_dir: BackendsDir = None,
    json: AsJson = False,
) -> None:
    """Evaluate a checkpoint on a backend.

    Example: qvit evaluate checkpoints/breast --backend aer-boston --data-root DIR
    """
    from qvit_qiskit.data import stratified_subset
    from qvit_qiskit.execution import registry
    from qvit_qiskit.runs import evaluate as run
    from qvit_qiskit.training import load_checkpoint

    loaded = load_checkpoint(checkpoint)
    route = registry.open(backend, backends_dir=backends_dir)
    data = _data_for(loaded, dataset, data_root)
    images = data.split(split)
    if subset is not None:
        images = stratified_subset(images, subset, seed)
    with screen.images(f"{data.name} {split} on {backend}", len(images.labels)) as tick:
        result = run(loaded.model, images, route, batch_size=batch_size, tick=tick)
    row = {
        "backend": result.backend,
        "simulates": route.profile.simulates if result.routed else "nothing",
        "data": f"{data.name}{' (synthetic)' if data.synthetic else ''} {split}",
        "images": result.scores.n,
        "AUC": result.scores.auc,
        "ACC": result.scores.acc,
        "seconds": result.seconds,
    }
    if json:
        screen.as_json(
            {**row, "checkpoint": loaded.path, "profile": route.path if result.routed else None}
        )
    else:
        screen.table(f"{loaded.path}", [row])


def _data_for(loaded: Checkpoint, dataset: str | None, data_root: Path | None) -> MedImages:
    """The data set that was asked for, or that the checkpoint was trained on."""
    from qvit_qiskit.data import load
    from qvit_qiskit.exceptions import DataError

    trained_on, md5 = (loaded.provenance.get(key) for key in ("dataset", "md5"))
    if dataset is None and not trained_on:
        raise DataError(
            f"{loaded.path} does not say what it was trained on. Name a data set with --dataset."
        )
    data = load(dataset or str(trained_on), data_root)
    if dataset is None and data.md5 != md5:
        raise DataError(
            f"The checkpoint was trained on {trained_on} with MD5 {md5}, but the file at hand has "
            f"{data.md5}. Point --data-root at the original file, or name the set with --dataset."
        )
    config = loaded.model.config
    if (config.channels, config.classes) != (data.channels, data.num_classes):
        raise DataError(
            f"Expected images of {config.channels} channel(s) in {config.classes} classes, but "
            f"{data.name} has {data.channels} and {data.num_classes}. Train a model on it first."
        )
    return data
