"""``qvit compare``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qvit_qiskit.cli import comparison_tables as comparison
from qvit_qiskit.cli import screen
from qvit_qiskit.cli.options import AsJson, BackendsDir, DataRoot, Size, Subset

if TYPE_CHECKING:
    from qvit_qiskit.comparison import Comparison
    from qvit_qiskit.comparison.findings.scores import ModelDifference
    from qvit_qiskit.runs.run_folder import Source

BACKENDS = ["aer-shots", "aer-boston"]
"""Without runs and backends: the rungs above the exact one that need no device."""


Runs = Annotated[list[Path] | None, typer.Argument(help="Folders of runs on the same images.")]
Checkpoints = Annotated[
    list[Path] | None,
    typer.Option(help="A checkpoint, or zoo:NAME, to evaluate on backends; may be repeated."),
]
Backends = Annotated[
    list[str] | None,
    typer.Option(help="A profile of kind aer or fake, one more rung; may be repeated."),
]
Dataset = Annotated[
    str | None,
    typer.Option(help="Another data set than the checkpoint was trained on, or its path."),
]
SplitName = Annotated[
    str | None, typer.Option("--split", help="Of the data set: train, val or test (the default).")
]
Out = Annotated[Path | None, typer.Option(help="A folder for tables, JSON and the report.")]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace an earlier comparison in that folder.")
]
Tolerance = Annotated[
    float, typer.Option(help="The loss of AUC or ACC that does not matter, e.g. 0.01.")
]
Corrected = Annotated[
    bool, typer.Option("--corrected", help="Judge runs corrected by their repeated rows as well.")
]
Pictures = Annotated[
    bool, typer.Option("--pictures", help="Show pictures of own images in the report.")
]


def compare(
    runs: Runs = None,
    checkpoint: Checkpoints = None,
    backend: Backends = None,
    dataset: Dataset = None,
    size: Size = None,
    split: SplitName = None,
    subset: Subset = None,
    out: Out = None,
    overwrite: Overwrite = False,
    details: Annotated[bool, typer.Option("--details", help="Print every table.")] = False,
    tolerance: Tolerance = 0.005,
    corrected: Corrected = False,
    pictures: Pictures = False,
    figures: Annotated[
        bool, typer.Option(help="Write every figure into OUT/figures, too, as SVG and PDF.")
    ] = True,
    draws: Annotated[int, typer.Option(min=0, help="Redraws of the shot noise.")] = 100,
    seed: Annotated[int, typer.Option(min=0, help="Seed of subset, shots and redraws.")] = 0,
    batch_size: Annotated[int, typer.Option(min=1, help="Images per forward pass.")] = 256,
    data_root: DataRoot = None,
    backends_dir: BackendsDir = None,
    json: AsJson = False,
) -> None:
    """Compare runs, or checkpoints on backends, with the exact model.

    A run that is not finished is compared as far as it got: the quantum layers that are whole.

    Example: qvit compare runs/hello-hardware-20261122-160000 --out report
    """
    screen.load("qvit_qiskit.comparison.builder")
    from qvit_qiskit.comparison.builder import model_differences

    checkpoints = checkpoint or []
    asked = {"dataset": dataset, "split": split, "subset": subset, "size": size}
    _check(runs or [], checkpoints, out, asked, overwrite=overwrite)
    options: dict[str, Any] = {"draws": draws, "seed": seed, "batch_size": batch_size}
    options |= {"tolerance": tolerance, "corrected": corrected}
    options |= {"backends": backend or [], "backends_dir": backends_dir}
    if not runs:
        options["data"] = _source(
            checkpoints, (dataset, size), split or "test", subset, seed, data_root
        )
        options["backends"] = backend or BACKENDS
    comparisons = _build(runs or [], checkpoints, options)
    comparisons = [replace(one, pictures=pictures or one.pictures) for one in comparisons]
    names = _names(checkpoints)
    between = model_differences(comparisons, names) if len(comparisons) > 1 else ()
    if json:
        _as_json(comparisons, between)
    else:
        for one in comparisons:
            comparison.show(one, details=details)
        if between:
            comparison.show_models(between)
    for path in _write(comparisons, names, between, out, figures=figures) if out else []:
        if not json:
            print(f"report: {path}")
    if not json and not details and out is None:
        print("More: --details prints every table, --out FOLDER writes the report.")


def _names(checkpoints: Sequence[Path]) -> list[str]:
    """Of the checkpoints, in the order given."""
    from qvit_qiskit.comparison.provenance import name_of_checkpoint

    stems = [name_of_checkpoint(path).removesuffix(".safetensors") for path in checkpoints]
    return [f"{k}-{name}" for k, name in enumerate(stems, start=1)]


def _check(
    runs: Sequence[Path],
    checkpoints: Sequence[Path],
    out: Path | None,
    data: dict[str, Any],
    *,
    overwrite: bool,
) -> None:
    """Refuse what does not go together before anything is computed."""
    from qvit_qiskit.exceptions import DataError

    if not runs and not checkpoints:
        raise DataError("Expected folders of finished runs, or --checkpoint with a trained model.")
    if runs and len(checkpoints) > 1:
        raise DataError(
            "Expected one checkpoint at most beside runs: all rungs are of one model. Compare "
            "checkpoints on their own."
        )
    for name, value in data.items():
        if runs and value is not None:
            raise DataError(f"Runs hold their own images, so --{name} has no effect. Leave it out.")
    if out is not None:
        _check_folder(out)
        if not overwrite:
            _refuse_earlier(out)


def _check_folder(out: Path) -> None:
    """Refuse a folder that cannot be made or written; nothing is made."""
    from qvit_qiskit.exceptions import DataError

    place = out.absolute()
    # Nothing is made before everything was computed: the nearest folder that exists must do.
    there = next(path for path in (place, *place.parents) if os.path.lexists(path))
    if not there.is_dir():
        raise DataError(f"Cannot write into {out}: {there} is no folder. Name another folder.")
    if not os.access(there, os.W_OK | os.X_OK):
        raise DataError(
            f"Cannot write into {out}: {there} may not be written. Name another folder."
        )


def _refuse_earlier(out: Path) -> None:
    """Refuse a folder that holds a comparison already."""
    from qvit_qiskit.comparison.export import WRITTEN
    from qvit_qiskit.exceptions import DataError

    earlier = [path for name in WRITTEN for path in (out / name, *out.glob(f"*/{name}"))]
    there = next((path for path in earlier if path.exists()), None)
    if there is not None:
        raise DataError(
            f"{there} is there already. Name another folder, or replace it with --overwrite."
        )


def _build(
    runs: Sequence[Path], checkpoints: Sequence[Path], options: dict[str, Any]
) -> list[Comparison]:
    """One comparison of all runs, or one of each checkpoint."""
    from qvit_qiskit.comparison import compare as build

    models: Sequence[Path | None] = checkpoints or [None]
    with screen.steps("comparing") as tick:
        comparisons = [build(*runs, model=model, tick=tick, **options) for model in models]
    if len({one.title for one in comparisons}) < len(comparisons):  # of checkpoints on one set
        pairs = zip(_names(checkpoints), comparisons, strict=True)
        comparisons = [replace(one, title=f"{name}, {one.title}") for name, one in pairs]
    return comparisons


def _source(
    checkpoints: Sequence[Path],
    dataset: tuple[str | None, int | None],
    split: str,
    subset: int | None,
    seed: int,
    data_root: Path | None,
) -> Source:
    """The images on which all checkpoints are evaluated."""
    from qvit_qiskit.cli.evaluate import data_for
    from qvit_qiskit.data import stratified_subset
    from qvit_qiskit.exceptions import DataError
    from qvit_qiskit.runs.run_folder import Source, facts_of_data
    from qvit_qiskit.training import load_checkpoint

    name, size = dataset
    with screen.steps("reading images"):
        sets = [data_for(load_checkpoint(path), name, data_root, size) for path in checkpoints]
    data = sets[0]
    for path, other in zip(checkpoints, sets, strict=True):
        if other.md5 != data.md5:
            raise DataError(
                f"{checkpoints[0]} was trained on {data.name} and {path} on {other.name}. Compare "
                "checkpoints of one data set, or name one for all with --dataset."
            )
    images = data.split(split)
    if subset is not None:
        images = stratified_subset(images, subset, seed)
    facts = facts_of_data(data) | {"split": split}
    return Source.of(images, **facts, subset=subset, subset_seed=seed)


def _write(
    comparisons: Sequence[Comparison],
    names: Sequence[str],
    between: Sequence[ModelDifference],
    out: Path,
    *,
    figures: bool,
) -> list[Path]:
    """Files of every comparison, what needs no drawing first; the reports."""
    from qvit_qiskit.comparison.export import (
        write_figures,
        write_models,
        write_report,
        write_tables,
    )
    from qvit_qiskit.comparison.tables import model_frame
    from qvit_qiskit.files import close_to_others

    out.mkdir(parents=True, exist_ok=True)
    if any(one.own for one in comparisons):
        # Before a file is in it: reports hold answers about people's own images.
        close_to_others(out)
    folders = [out]
    if len(comparisons) > 1:
        folders = [out / name for name in names]
        write_models(model_frame(between), out)
    pairs = list(zip(comparisons, folders, strict=True))
    with screen.steps("drawing the report"):
        for one, folder in pairs:
            # All tables first: a figure that cannot be drawn costs the reports alone.
            write_tables(one, folder)
        reports = [write_report(one, folder) for one, folder in pairs]
        for one, folder in pairs if figures else ():
            write_figures(one, folder)
    return reports


def _as_json(comparisons: Sequence[Comparison], between: Sequence[ModelDifference]) -> None:
    from qvit_qiskit.comparison.export import as_dict, records
    from qvit_qiskit.comparison.tables import model_frame

    dicts = [as_dict(one) for one in comparisons]
    if len(dicts) == 1:
        screen.as_json(dicts[0])
    else:
        screen.as_json({"comparisons": dicts, "models": records(model_frame(between))})
