"""``qvit evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qvit_qiskit.cli import screen
from qvit_qiskit.cli.options import AsJson, BackendsDir, DataRoot, Size, Subset

if TYPE_CHECKING:
    from qvit_qiskit.data import MedImages
    from qvit_qiskit.training import Checkpoint

Predictions = Annotated[
    Path | None,
    typer.Option(help="Write every image's class, answer and probabilities into a CSV file."),
]
BatchSize = Annotated[
    int | None,
    typer.Option(min=1, help="Images per forward pass; by default 256, fewer of large ones."),
]


def evaluate(
    checkpoint: Annotated[
        Path, typer.Argument(help="A checkpoint, a training folder, or zoo:NAME.")
    ],
    backend: Annotated[str, typer.Option(help="A profile of kind aer or fake.")] = "aer-exact",
    split: Annotated[str, typer.Option(help="train, val or test.")] = "test",
    dataset: Annotated[
        str | None,
        typer.Option(help="Another data set than the one it was trained on, or its path."),
    ] = None,
    size: Size = None,
    subset: Subset = None,
    seed: Annotated[int, typer.Option(help="Seed of the subset.")] = 0,
    batch_size: BatchSize = None,
    predictions: Predictions = None,
    data_root: DataRoot = None,
    backends_dir: BackendsDir = None,
    json: AsJson = False,
) -> None:
    """Evaluate a checkpoint on a backend.

    Example: qvit evaluate zoo:qvit-breastmnist --backend aer-boston --data-root DIR
    """
    screen.load("qvit_qiskit.runs")
    from qvit_qiskit.data.subset import subset_indices
    from qvit_qiskit.execution import registry
    from qvit_qiskit.files import write_text
    from qvit_qiskit.runs import evaluate as run
    from qvit_qiskit.runs.predictions import prediction_frame
    from qvit_qiskit.training import load_checkpoint
    from qvit_qiskit.zoo.names import shown_name

    loaded = load_checkpoint(checkpoint)
    route = registry.open(backend, backends_dir=backends_dir)
    with screen.steps("reading images"):
        data = data_for(loaded, dataset, data_root, size)
    images = data.split(split)
    chosen = None if subset is None else subset_indices(images.labels, subset, seed)
    images = images if chosen is None else images.part(chosen)
    with screen.images(f"{data.name} {split} on {backend}", len(images.labels)) as tick:
        result = run(loaded.model, images, route, batch_size=batch_size, tick=tick)
    if predictions is not None:
        frame = prediction_frame(result, data.class_names, chosen)
        write_text(predictions, frame.to_csv(index=False, float_format="%.9g"))
    row = {
        "backend": result.backend,
        "simulates": route.profile.simulates + result.drawn if result.routed else "nothing",
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
        screen.table(shown_name(loaded.path), [row])


def data_for(
    loaded: Checkpoint, dataset: str | None, data_root: Path | None, size: int | None = None
) -> MedImages:
    """The data set that was asked for, or that the checkpoint was trained on."""
    from qvit_qiskit.data import load
    from qvit_qiskit.exceptions import DataError

    trained_on, md5 = (loaded.provenance.get(key) for key in ("dataset", "md5"))
    if dataset is None and not trained_on:
        raise DataError(
            f"{loaded.path} does not say what it was trained on. Name a data set with --dataset."
        )
    if dataset is None and size is not None:
        raise DataError(
            f"The checkpoint was trained on {trained_on}, so --size has no effect without "
            "--dataset. Leave it out, or name a set."
        )
    data = load(dataset or _place(loaded, str(trained_on)), data_root, size=size)
    if dataset is None and data.md5 != md5:  # another set was asked for by name
        raise DataError(
            f"The checkpoint was trained on {trained_on} with MD5 {md5}, but the data at hand have "
            f"{data.md5}. Point --data-root at the original file, or name the set with --dataset."
        )
    loaded.model.check_data(data.name, data.channels, data.num_classes, data.size)
    return data


def _place(loaded: Checkpoint, trained_on: str) -> str:
    """The name of a data set, or the path of own images, which the training's folder keeps."""
    from qvit_qiskit.exceptions import DataError
    from qvit_qiskit.training.trainer import origin_of

    if not loaded.provenance.get("own"):
        return trained_on
    origin = origin_of(loaded.path.parent)
    if origin is None:
        raise DataError(
            f"{loaded.path} was trained on own images called {trained_on!r}. Say where they are "
            "with --dataset FOLDER."
        )
    return origin
