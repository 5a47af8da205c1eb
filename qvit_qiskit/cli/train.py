"""``qvit train``."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qvit_qiskit.cli import screen
from qvit_qiskit.cli.options import AsJson, BackendsDir, DataRoot, Size

if TYPE_CHECKING:
    from qvit_qiskit.data import MedImages
    from qvit_qiskit.models import ModelConfig
    from qvit_qiskit.training import Distillation, FitResult, Teacher, TrainConfig

DEFAULT_OUT = Path("checkpoints")
SHAPE = {
    "width": "width",
    "heads": "heads",
    "depth": "depth",
    "patch": "patch_size",
    "stem": "stem",
    "stem_width": "stem_width",
    "position": "position",
    "pool": "pool",
    "mlp_ratio": "mlp_ratio",
    "circuit": "circuit",
    "layers": "circuit_layers",
}
"""The model's options by their names in `ViTConfig`."""
KINDS = {"qvit": "qnn", "vit": "linear", "vit-matched": "qnn"}
RESNET = "resnet18"
RESNET_TRAINING = {"epochs": 40, "batch_size": 64, "learning_rate": 1e-3, "contrast": 0.0}
"""What a training of the teacher has in the place of the defaults of `TrainConfig`."""
DISTILLATION = ("distill", "temperature", "alpha", "pretrain_epochs", "pretrain_dataset")

Dataset = Annotated[
    str,
    typer.Option(
        help="A MedMNIST set, phantom (synthetic), or own images: an .npz file, or a folder of "
        "class folders under train, val and test."
    ),
]
Model = Annotated[
    str,
    typer.Option(
        help="qvit, vit, vit-matched (as many parameters as the qvit), or resnet18 (a teacher)."
    ),
]
Heads = Annotated[int, typer.Option(help="Attention heads; width/heads qubits each.")]
Rate = Annotated[
    float | None, typer.Option(help="Peak rate of the optimiser; 5e-3, of resnet18 1e-3.")
]
Weights = Annotated[
    bool, typer.Option("--class-weights", help="Weight classes by inverse frequency.")
]
Augment = Annotated[
    str | None,
    typer.Option(help="modality (moves, and the flips that the set allows), shift or none."),
]
Patch = Annotated[
    int | None,
    typer.Option(help="Pixels on a side of a patch; a quarter of the image's, for 16 tokens."),
]
Subset = Annotated[int | None, typer.Option(help="Train on a stratified subset of this size.")]
TeacherOption = Annotated[
    str | None,
    typer.Option(help="Distil from a checkpoint, a training folder, or hf:NAME_OR_FOLDER."),
]
Distill = Annotated[
    str | None,
    typer.Option(help="soft (probabilities, the default) or hard (decisions, with a token)."),
]
Contrast = Annotated[
    float | None, typer.Option(help="Change contrast by up to 1 ± this; 0.2, of resnet18 0.")
]
Alpha = Annotated[
    float | None,
    typer.Option(help="The teacher's share beside labels; 0.5, or 0 after pre-training."),
]
PretrainEpochs = Annotated[
    int | None, typer.Option(help="Epochs on the teacher alone, before those with labels.")
]
PretrainDataset = Annotated[str | None, typer.Option(help="Another set for those epochs.")]
Out = Annotated[Path | None, typer.Option(help="Folder for checkpoints and history.")]
Resume = Annotated[Path | None, typer.Option(help="Continue the training in this folder.")]


def train(
    context: typer.Context,
    dataset: Dataset = "",
    size: Size = None,
    model: Model = "qvit",
    width: Annotated[int, typer.Option(help="Features of a token.")] = 8,
    heads: Heads = 2,
    depth: Annotated[int, typer.Option(help="Transformer blocks.")] = 1,
    patch: Patch = None,
    stem: Annotated[str, typer.Option(help="conv (two convolutions) or patch (one map).")] = "conv",
    stem_width: Annotated[int, typer.Option(help="Channels between the convolutions.")] = 4,
    position: Annotated[str, typer.Option(help="axial or learned.")] = "axial",
    pool: Annotated[str, typer.Option(help="mean-max, mean or cls.")] = "mean-max",
    mlp_ratio: Annotated[float, typer.Option(help="Hidden MLP units by width.")] = 1.0,
    circuit: Annotated[str, typer.Option(help="Circuit family.")] = "ry-ring",
    layers: Annotated[int, typer.Option(help="Circuit layers.")] = 2,
    backend: Annotated[str, typer.Option(help="A profile of kind aer.")] = "aer-exact",
    epochs: Annotated[int | None, typer.Option(help="Epochs; 60, of resnet18 40.")] = None,
    batch_size: Annotated[
        int | None, typer.Option(help="Images per step; 32, of resnet18 64.")
    ] = None,
    optimizer: Annotated[str, typer.Option(help="adamw or sgd (with momentum).")] = "adamw",
    learning_rate: Rate = None,
    weight_decay: Annotated[float, typer.Option(help="Of the optimiser.")] = 1e-2,
    class_weights: Weights = False,
    augment: Augment = None,
    contrast: Contrast = None,
    ema: Annotated[float, typer.Option(help="Decay of the average of weights, e.g. 0.99.")] = 0.0,
    select: Annotated[str, typer.Option(help="best epoch by validation AUC, or last.")] = "best",
    subset: Subset = None,
    teacher: TeacherOption = None,
    distill: Distill = None,
    temperature: Annotated[float | None, typer.Option(help="Of soft distillation; 4.")] = None,
    alpha: Alpha = None,
    pretrain_epochs: PretrainEpochs = None,
    pretrain_dataset: PretrainDataset = None,
    threads: Annotated[int, typer.Option(help="Threads of torch.")] = 1,
    seed: Annotated[int, typer.Option(help="Seed of weights, order and shots.")] = 0,
    out: Out = None,
    resume: Resume = None,
    data_root: DataRoot = None,
    backends_dir: BackendsDir = None,
    json: AsJson = False,
) -> None:
    """Train a QViT (or ViT) on Aer, with or without a teacher; or the teacher.

    Example: qvit train --dataset breastmnist --data-root DIR --out checkpoints/breast

    Distilled: qvit train --dataset breastmnist --teacher checkpoints/breastmnist-resnet18-seed0
    """
    result = _resume(context) if resume is not None else _fit(context)
    _report(result, json, backends_dir)
    if result.interrupted:
        raise typer.Exit(130)


def _given(context: typer.Context) -> list[str]:
    """The options that stand on the command line."""
    sources = {name: context.get_parameter_source(name) for name in context.params}
    return [name for name, source in sources.items() if source and source.name == "COMMANDLINE"]


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")


def _resume(context: typer.Context) -> FitResult:
    """Go on; the training keeps its settings, so say so rather than ignore an option."""
    from qvit_qiskit.data import load
    from qvit_qiskit.exceptions import ConfigError
    from qvit_qiskit.training import resume

    given, places = context.params, {"resume", "data_root", "backends_dir", "json", "teacher"}
    for name in _given(context):
        if name not in places:
            raise ConfigError(
                f"--resume keeps the settings the training began with, so {_option(name)} has no "
                "effect. Leave it out, or begin a new training without --resume."
            )
    folder: Path = given["resume"]
    with screen.epochs(f"resuming {folder}") as show:
        return resume(
            folder,
            lambda name: load(name, given["data_root"]),
            backends_dir=given["backends_dir"],
            on_epoch=show,
            teacher=given["teacher"],
        )


def _fit(context: typer.Context) -> FitResult:
    """A fresh training from the command's options."""
    from qvit_qiskit.data import facts, load
    from qvit_qiskit.exceptions import DataError
    from qvit_qiskit.execution import registry
    from qvit_qiskit.training import fit

    given, model = context.params, context.params["model"]
    if not given["dataset"]:
        raise DataError(
            "Expected --dataset with a MedMNIST name, e.g. --dataset breastmnist, the path of own "
            "images, or --dataset phantom for the synthetic set."
        )
    options = _options(given)
    route = registry.open(options.backend, backends_dir=given["backends_dir"], training=True)
    if options.backend.endswith(".toml"):  # a resumed training may start elsewhere
        options = options.model_copy(update={"backend": str(route.path.resolve())})
    known = facts(options.dataset, size=given["size"])
    shape = {"channels": known.channels, "classes": known.classes, "image_size": known.side}
    config = _config(context, **shape)  # complains before any download
    data = load(options.dataset, given["data_root"], size=given["size"])
    other, how = None, options.distill
    if how and how.pretrain_dataset:
        other = load(how.pretrain_dataset, given["data_root"])
    teacher = _ask(config, options, data, other) if how else None
    name = f"{data.name}-{model}{'-distilled' if how else ''}-seed{options.seed}"
    folder = given["out"] or free_folder(DEFAULT_OUT / name)
    with screen.epochs(f"{model} on {data.name}") as show:
        return fit(
            config, options, data, folder=folder, route=route, on_epoch=show, teacher=teacher,
            pretrain_data=other,
        )  # fmt: skip


def _options(given: dict[str, Any]) -> TrainConfig:
    """How to train, from the options."""
    from qvit_qiskit.training import TrainConfig

    settings = {key: given.get(key) for key in TrainConfig.model_fields if key != "distill"}
    said = {key: value for key, value in settings.items() if value is not None}
    defaults = RESNET_TRAINING if given["model"] == RESNET else {}
    return TrainConfig.create(**{**defaults, **said, "distill": _distillation(given)})


def _distillation(given: dict[str, Any]) -> Distillation | None:
    """What to learn from the teacher, from the options."""
    from qvit_qiskit.exceptions import ConfigError
    from qvit_qiskit.training import Distillation

    said = {key: given[key] for key in DISTILLATION if given[key] is not None}
    if given["teacher"] is None:
        if said:
            raise ConfigError(
                f"{_option(next(iter(said)))} has no effect without a teacher. Name one with "
                "--teacher, or leave it out."
            )
        return None
    kind = said.pop("distill", "soft")
    if kind == "hard" and "temperature" in said:
        raise ConfigError(
            "--temperature has no effect with --distill hard: decisions have none. Leave it out."
        )
    hub, place = "hf:", given["teacher"]
    prefix = hub if place.startswith(hub) else ""
    path = Path(place.removeprefix(prefix))
    if not prefix or path.exists():  # a resumed training may start elsewhere
        place = prefix + str(path.resolve())
    return Distillation.create(teacher=place, kind=kind, **said)


def _ask(
    config: ModelConfig, options: TrainConfig, data: MedImages, other: MedImages | None
) -> Teacher:
    """Open the teacher and show how it answers; what it said is not asked again."""
    from qvit_qiskit.training import open_teacher
    from qvit_qiskit.training.phases import plan

    assert options.distill is not None
    assert options.distill.teacher is not None
    teacher = open_teacher(options.distill.teacher)
    for phase in plan(config, options, data, other, lambda: teacher):
        if phase.teacher:
            images = phase.data
            with screen.images(f"teacher on {images.name}", len(images.train)) as tick:
                teacher.logits(images, tick=tick)
    return teacher


def _config(context: typer.Context, **data: int) -> ModelConfig:
    from qvit_qiskit.exceptions import ConfigError
    from qvit_qiskit.models import ResNetConfig, ViTConfig
    from qvit_qiskit.suggest import unknown

    given = context.params
    model = given["model"]
    if model == RESNET:
        for name in _given(context):
            if name in {*SHAPE, "backend"}:
                raise ConfigError(f"{_option(name)} has no effect on {RESNET}. Leave it out.")
        if given["distill"] == "hard":
            raise ConfigError(f"{RESNET} has no distillation token. Use --distill soft.")
        return ResNetConfig.create(**data)
    if model not in KINDS:
        raise ConfigError(unknown("model", model, (*KINDS, RESNET)))
    shape = {key: given[option] for option, key in SHAPE.items() if given[option] is not None}
    token = given["distill"] == "hard"
    config = ViTConfig.create(projection=KINDS[model], distillation_token=token, **shape, **data)
    return config.parameter_matched() if model == "vit-matched" else config


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
    shots = " --backend aer-shots" if cost.circuit_rows else ""
    print(f"evaluate:  {shlex.join(['qvit', 'evaluate', str(result.folder)])}{shots}")
