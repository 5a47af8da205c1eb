"""``qvit train``."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qvit_qiskit.cli import screen
from qvit_qiskit.cli.options import AsJson, BackendsDir, DataRoot

if TYPE_CHECKING:
    from qvit_qiskit.training import FitResult

DEFAULT_OUT = Path("checkpoints")
SHAPE = {
    "width": "width",
    "heads": "heads",
    "depth": "depth",
    "patch": "patch_size",
    "pool": "pool",
    "mlp_ratio": "mlp_ratio",
    "circuit": "circuit",
    "layers": "circuit_layers",
}
"""The model's options by their names in `ViTConfig`."""


def train(
    context: typer.Context,
    dataset: Annotated[str, typer.Option(help="A MedMNIST set, or phantom (synthetic).")] = "",
    model: Annotated[
        str, typer.Option(help="qvit, vit, or vit-matched (as many parameters as the qvit).")
    ] = "qvit",
    width: Annotated[int, typer.Option(help="Features of a token.")] = 8,
    heads: Annotated[int, typer.Option(help="Attention heads; width/heads qubits each.")] = 2,
    depth: Annotated[int, typer.Option(help="Transformer blocks.")] = 1,
    patch: Annotated[int, typer.Option(help="Pixels on a side of a patch: 4, 7 or 14.")] = 7,
    pool: Annotated[str, typer.Option(help="mean or cls.")] = "mean",
    mlp_ratio: Annotated[float, typer.Option(help="Hidden MLP units by width.")] = 1.0,
    circuit: Annotated[str, typer.Option(help="Circuit family.")] = "ry-ring",
    layers: Annotated[int, typer.Option(help="Circuit layers.")] = 2,
    backend: Annotated[str, typer.Option(help="A profile of kind aer.")] = "aer-exact",
    epochs: Annotated[int, typer.Option(help="Epochs.")] = 60,
    batch_size: Annotated[int, typer.Option(help="Images per step.")] = 32,
    learning_rate: Annotated[float, typer.Option(help="Peak rate of AdamW.")] = 5e-3,
    weight_decay: Annotated[float, typer.Option(help="Of AdamW.")] = 1e-2,
    class_weights: Annotated[
        bool, typer.Option("--class-weights", help="Weight classes by inverse frequency.")
    ] = False,
    subset: Annotated[
        int | None, typer.Option(help="Train on a stratified subset of this size.")
    ] = None,
    threads: Annotated[int, typer.Option(help="Threads of torch.")] = 1,
    seed: Annotated[int, typer.Option(help="Seed of weights, order and shots.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Folder for checkpoints and history.")] = None,
    resume: Annotated[
        Path | None, typer.Option(help="Continue the training in this folder.")
    ] = None,
    data_root: DataRoot = None,
    backends_dir: BackendsDir = None,
    json: AsJson = False,
) -> None:
    """Train a QViT (or ViT) on Aer.

    Example: qvit train --dataset breastmnist --data-root DIR --out checkpoints/breast
    """
    if resume is not None:
        _refuse_changes(context)
        result = _resume(resume, data_root, backends_dir)
    else:
        result = _fit(context.params)
    _report(result, json, backends_dir)
    if result.interrupted:
        raise typer.Exit(130)


def _refuse_changes(context: typer.Context) -> None:
    """A resumed training keeps its settings; say so rather than ignore an option."""
    from qvit_qiskit.exceptions import ConfigError

    places = {"resume", "data_root", "backends_dir", "json"}
    for name in context.params:
        source = context.get_parameter_source(name)
        if name not in places and source is not None and source.name == "COMMANDLINE":
            option = "--" + name.replace("_", "-")
            raise ConfigError(
                f"--resume keeps the settings the training began with, so {option} has no effect. "
                "Leave it out, or begin a new training without --resume."
            )


def _fit(given: dict[str, Any]) -> FitResult:
    """A fresh training from the command's options."""
    from qvit_qiskit.data import load
    from qvit_qiskit.exceptions import DataError
    from qvit_qiskit.execution import registry
    from qvit_qiskit.training import TrainConfig, fit

    if not given["dataset"]:
        raise DataError(
            "Expected --dataset with a MedMNIST name, e.g. --dataset breastmnist, or "
            "--dataset phantom for the synthetic set."
        )
    shape = {key: given[option] for option, key in SHAPE.items()}
    settings = {key: given[key] for key in TrainConfig.model_fields if key in given}
    options = TrainConfig.create(**settings)
    route = registry.open(options.backend, backends_dir=given["backends_dir"], training=True)
    if options.backend.endswith(".toml"):  # a resumed training may start elsewhere
        options = options.model_copy(update={"backend": str(route.path.resolve())})
    model = given["model"]
    _config(model, shape, channels=1, classes=2)  # complains before any download
    data = load(options.dataset, given["data_root"])
    config = _config(model, shape, channels=data.channels, classes=data.num_classes)
    folder = given["out"] or free_folder(DEFAULT_OUT / f"{data.name}-{model}-seed{options.seed}")
    with screen.epochs(f"{model} on {data.name}") as show:
        return fit(config, options, data, folder=folder, route=route, on_epoch=show)


def _config(model: str, shape: dict[str, Any], **data: int) -> Any:
    from qvit_qiskit.exceptions import ConfigError
    from qvit_qiskit.models import ViTConfig
    from qvit_qiskit.suggest import unknown

    kinds = {"qvit": "qnn", "vit": "linear", "vit-matched": "qnn"}
    if model not in kinds:
        raise ConfigError(unknown("model", model, kinds))
    config = ViTConfig.create(projection=kinds[model], **shape, **data)
    return config.parameter_matched() if model == "vit-matched" else config


def _resume(folder: Path, data_root: Path | None, backends_dir: Path | None) -> FitResult:
    from qvit_qiskit.data import load
    from qvit_qiskit.training import resume

    with screen.epochs(f"resuming {folder}") as show:
        return resume(
            folder, lambda name: load(name, data_root), backends_dir=backends_dir, on_epoch=show
        )


def free_folder(folder: Path) -> Path:
    """The folder, or the first numbered neighbour that does not exist."""
    count, free = 1, folder
    while free.exists():
        count += 1
        free = folder.with_name(f"{folder.name}-{count}")
    return free


def _report(result: FitResult, json: bool, backends_dir: Path | None) -> None:
    best = result.best
    cost = result.model.cost()
    row = {
        "model": result.model.config.name,
        "parameters": cost.parameters,
        "epochs": len(result.history),
        "best epoch": best.epoch,
        "val AUC": best.val_auc,
        "val ACC": best.val_acc,
        "seconds": sum(record.seconds for record in result.history),
    }
    if json:
        screen.as_json({**row, "folder": result.folder, "interrupted": result.interrupted})
        return
    screen.table("Best epoch by validation AUC", [row])
    if result.interrupted:
        print(f"interrupted after epoch {len(result.history)}; what was trained is kept.")
        where = ["--backends-dir", str(backends_dir)] if backends_dir else []
        print(f"continue:  {shlex.join(['qvit', 'train', '--resume', str(result.folder), *where])}")
    print(f"evaluate:  {shlex.join(['qvit', 'evaluate', str(result.folder)])} --backend aer-shots")
