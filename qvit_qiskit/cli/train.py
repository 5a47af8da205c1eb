"""``qvit train``, whose options are the fields of its configurations."""

from __future__ import annotations

import inspect
import shlex
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer
from typer.core import TyperCommand

from qvit_qiskit.cli import screen
from qvit_qiskit.cli.options import AsJson, BackendsDir, DataRoot, Size

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from qvit_qiskit.data import MedImages
    from qvit_qiskit.models import ModelConfig
    from qvit_qiskit.spec import Spec
    from qvit_qiskit.training import Distillation, FitResult, Preset, Teacher, TrainConfig

DEFAULT_OUT = Path("checkpoints")
ELSEWHERE = {
    *("channels", "classes", "image_size", "projection", "distillation_token"),
    *("dataset", "distill", "teacher"),
}
"""Fields of configurations that follow from other options, or have one below."""
FLAGS = {"patch_size": "patch", "circuit_layers": "layers", "kind": "distill"}
"""Options that are not called as their fields."""
KINDS = {"qvit": "qnn", "vit": "linear", "vit-matched": "qnn"}
RESNET = "resnet18"
RESNET_TRAINING = {"epochs": 40, "batch_size": 64, "learning_rate": 1e-3, "contrast": 0.0}
"""What a training of the teacher has in the place of the defaults of `TrainConfig`."""

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
        help="qvit, vit, vit-matched (as many parameters as the qvit), or resnet18 (a teacher, by "
        "default of 40 epochs in batches of 64 at a rate of 1e-3, contrast unchanged)."
    ),
]
TeacherOption = Annotated[
    str | None,
    typer.Option(help="Distil from a checkpoint, a training folder, or hf:NAME_OR_FOLDER."),
]
Out = Annotated[Path | None, typer.Option(help="Folder for checkpoints and history.")]
Resume = Annotated[Path | None, typer.Option(help="Continue the training in this folder.")]
PresetName = Annotated[
    str | None,
    typer.Option(
        help="Model, data set and settings of a trained model of the package (qvit models), e.g. "
        "qvit-retinamnist, or qvit-retinamnist-3 for seed 3; other options change them."
    ),
]
FIRST: dict[str, tuple[Any, Any]] = {
    "dataset": (Dataset, ""), "size": (Size, None), "model": (Model, "qvit"),
    "preset": (PresetName, None),
}  # fmt: skip
LAST: dict[str, tuple[Any, Any]] = {
    "teacher": (TeacherOption, None), "out": (Out, None), "resume": (Resume, None),
    "data_root": (DataRoot, None), "backends_dir": (BackendsDir, None), "json": (AsJson, False),
}  # fmt: skip
"""Options that are no fields, with their defaults; `FIRST` stand before the others in the help."""


def train(context: typer.Context) -> None:
    """Train a QViT (or ViT) on Aer, with or without a teacher; or the teacher.

    Example: qvit train --dataset breastmnist --data-root DIR --out checkpoints/breast

    As the study did: qvit train --preset qvit-breastmnist --data-root DIR

    Distilled: qvit train --dataset breastmnist --teacher checkpoints/breastmnist-resnet18-seed0
    """
    given = context.params
    result = _resume(context) if given["resume"] is not None else _fit(context)
    _report(result, given["json"], given["backends_dir"])
    if result.interrupted:
        raise typer.Exit(130)


class TrainCommand(TyperCommand):
    """The command, which gets its options when it is called.

    Configurations take seconds to import, which nobody waits for who calls another command.
    """

    def make_context(self, *arguments: Any, **extra: Any) -> Any:
        """Parse the command line by the fields of the configurations."""
        screen.load("qvit_qiskit.training")
        return _with_fields().make_context(*arguments, **extra)


def _with_fields() -> TyperCommand:
    """The command with an option for every field."""
    from qvit_qiskit.models import ViTConfig
    from qvit_qiskit.training import Distillation, TrainConfig

    fields: dict[str, tuple[Any, Any]] = {
        name: (_annotation(name, field), None)
        for spec in (ViTConfig, TrainConfig, Distillation)
        for name, field in spec.model_fields.items()
        if name not in ELSEWHERE
    }

    def command(context: typer.Context, **_: Any) -> None:
        train(context)

    context, _ = inspect.signature(command).parameters.values()
    more = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)
        for name, (kind, default) in (FIRST | fields | LAST).items()
    ]
    command.__doc__ = train.__doc__
    command.__signature__ = inspect.Signature([context, *more])  # type: ignore[attr-defined]
    command.__annotations__ |= {one.name: one.annotation for one in more}  # typer reads both
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command("train")(command)
    made = typer.main.get_command(app)
    assert isinstance(made, TyperCommand)
    return made


def _annotation(name: str, field: FieldInfo) -> Any:
    """A field as an option; without it the field's own default counts."""
    parts = get_args(field.annotation) or (field.annotation,)
    kinds = [kind for kind in parts if kind in (int, float, bool)]
    words = [part for part in parts if isinstance(part, str)]  # of a Literal
    text = " ".join((field.description or "").replace("`", "").split()).split(". ")[0].rstrip(".")
    text += f": {', '.join(words)}." if words else "."
    if name != "patch_size" and field.default not in (None, False):  # that one follows the image
        text += f" [default: {field.default}]"
    option = typer.Option(_option(name), help=text, show_default=False)
    return Annotated[(kinds[0] if kinds else str) | NoneType, option]


def _chosen(context: typer.Context, spec: type[Spec]) -> dict[str, Any]:
    """The values of a configuration's fields that stand on the command line."""
    given = {name: context.params.get(name) for name in spec.model_fields if name not in ELSEWHERE}
    return {name: value for name, value in given.items() if value is not None}


def _given(context: typer.Context) -> list[str]:
    """The options that stand on the command line."""
    sources = {name: context.get_parameter_source(name) for name in context.params}
    return [name for name, source in sources.items() if source and source.name == "COMMANDLINE"]


def _option(name: str) -> str:
    return "--" + FLAGS.get(name, name).replace("_", "-")


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

    given, chosen = context.params, _preset(context)
    if not given["dataset"] and chosen is None:
        raise DataError(
            "Expected --dataset with a MedMNIST name, e.g. --dataset breastmnist, the path of own "
            "images, or --dataset phantom for the synthetic set."
        )
    model = given["model"] if chosen is None else chosen.kind
    options = _options(context, chosen)
    route = registry.open(options.backend, backends_dir=given["backends_dir"], training=True)
    if options.backend.endswith(".toml"):  # a resumed training may start elsewhere
        options = options.model_copy(update={"backend": str(route.path.resolve())})
    known = facts(options.dataset, size=given["size"])
    shape = {"channels": known.channels, "classes": known.classes, "image_size": known.side}
    config = _config(context, chosen, **shape)  # complains before any download
    other, how = None, options.distill
    with screen.steps("reading images"):
        data = load(options.dataset, given["data_root"], size=given["size"])
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


def _preset(context: typer.Context) -> Preset | None:
    """The settings that the options start from; None without a preset."""
    from qvit_qiskit.exceptions import ConfigError
    from qvit_qiskit.training.presets import preset

    name = context.params["preset"]
    if name is not None and "model" in _given(context):
        raise ConfigError(f"The preset {name} says which model is trained. Leave --model out.")
    return None if name is None else preset(name)


def _options(context: typer.Context, chosen: Preset | None) -> TrainConfig:
    """How to train, from the options."""
    from qvit_qiskit.training import TrainConfig

    defaults: dict[str, Any] = RESNET_TRAINING if context.params["model"] == RESNET else {}
    said = {**_chosen(context, TrainConfig), "distill": _distillation(context)}
    if chosen is None:
        return TrainConfig.create(**{**defaults, **said}, dataset=context.params["dataset"])
    own = {"dataset": context.params["dataset"]} if context.params["dataset"] else {}
    return chosen.changed(train=said | own).train


def _distillation(context: typer.Context) -> Distillation | None:
    """What to learn from the teacher, from the options."""
    from qvit_qiskit.exceptions import ConfigError
    from qvit_qiskit.training import Distillation
    from qvit_qiskit.zoo.names import checkpoint_file, names_model

    said, place = _chosen(context, Distillation), context.params["teacher"]
    if place is None:
        if said:
            raise ConfigError(
                f"{_option(next(iter(said)))} has no effect without a teacher. Name one with "
                "--teacher, or leave it out."
            )
        return None
    if said.get("kind") == "hard" and "temperature" in said:
        raise ConfigError(
            "--temperature has no effect with --distill hard: decisions have none. Leave it out."
        )
    hub = "hf:"
    prefix = hub if place.startswith(hub) else ""
    path = Path(place.removeprefix(prefix))
    if names_model(place):
        checkpoint_file(place)  # an unknown name is said before anything is trained
    elif not prefix or path.exists():  # a resumed training may start elsewhere
        place = prefix + str(path.resolve())
    return Distillation.create(teacher=place, **said)


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


def _config(context: typer.Context, chosen: Preset | None, **data: int) -> ModelConfig:
    """The model, from the options and what is known of the data."""
    from qvit_qiskit.exceptions import ConfigError
    from qvit_qiskit.models import ResNetConfig, ViTConfig
    from qvit_qiskit.suggest import unknown

    model, hard = context.params["model"], context.params["kind"] == "hard"
    if chosen is not None:
        said = _chosen(context, ViTConfig) | data
        return chosen.changed(model=said | {"distillation_token": hard}).model
    if model == RESNET:
        for name in _given(context):
            if name in ViTConfig.model_fields or name == "backend":
                raise ConfigError(f"{_option(name)} has no effect on {RESNET}. Leave it out.")
        if hard:
            raise ConfigError(f"{RESNET} has no distillation token. Use --distill soft.")
        return ResNetConfig.create(**data)
    if model not in KINDS:
        raise ConfigError(unknown("model", model, (*KINDS, RESNET)))
    shape = _chosen(context, ViTConfig) | data
    config = ViTConfig.create(projection=KINDS[model], distillation_token=hard, **shape)
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
