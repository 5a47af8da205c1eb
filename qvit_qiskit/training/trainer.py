"""Begin a training, or go on with one from its folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from qvit_qiskit.data import MedImages
from qvit_qiskit.data.arrays import as_data
from qvit_qiskit.exceptions import CheckpointError, ConfigError, QvitError
from qvit_qiskit.execution import registry
from qvit_qiskit.execution.profile_route import ProfileRoute
from qvit_qiskit.files import write_text
from qvit_qiskit.formats import Format
from qvit_qiskit.models import ModelConfig, ViTConfig, read_config
from qvit_qiskit.training.arithmetic import Arithmetic
from qvit_qiskit.training.loop import FitResult, Loop, OnEpoch
from qvit_qiskit.training.own_model import OwnModel
from qvit_qiskit.training.phases import plan
from qvit_qiskit.training.settings import TrainConfig
from qvit_qiskit.training.teachers import Teacher, TeacherLike, open_teacher
from qvit_qiskit.zoo.names import BEST

if TYPE_CHECKING:
    from qvit_qiskit.data.arrays import Given

SETTINGS = "train.json"
FORMAT = Format("training folder", 1, CheckpointError, unnumbered=True)
"""Training folders hold settings, ``state.pt`` and the history; checkpoints have their own
format."""


def fit(
    config: ModelConfig | nn.Module,
    train: TrainConfig,
    data: MedImages | Given,
    *,
    val: Given | None = None,
    folder: Path | None = None,
    route: ProfileRoute | None = None,
    on_epoch: OnEpoch | None = None,
    teacher: TeacherLike | None = None,
    pretrain_data: MedImages | None = None,
) -> FitResult:
    """Train a fresh model.

    Same seed, same machine, same threads: same weights, to the bit, also after a `resume`.

    Args:
        config: The model; ``channels`` and ``classes`` must fit the data. Or any module of one's
            own from images (B, C, H, W) to scores (B, classes): a copy of it is trained, from the
            weights that it has. Stock quantum layers in it go through `qvit_qiskit.convert` first.
        train: How to train.
        data: The images: a data set of `load` or `as_images`; or, with ``val``, a pair of arrays
            (images, labels) or a torch dataset of (image, label), see `data.as_split`.
        val: Images and labels by which the best epoch is chosen, where ``data`` has none.
        folder: Where to write checkpoints and history; must not hold another training.
        route: Where circuits run; by default the profile ``train.backend``.
        on_epoch: Called after every epoch.
        teacher: Who teaches, instead of the one that ``train.distill`` names.
        pretrain_data: The images of ``train.distill.pretrain_dataset``.

    Returns:
        The model of the epoch that ``select`` says, and every epoch's losses and scores.

    Raises:
        ConfigError: If model, data and teacher do not fit.
        CheckpointError: If the folder holds a training already, or there is no such teacher.
        DataError: If the images or labels are no such.
        ProfileError: If the settings' profile is missing or malformed.
        RouteError: If the route is not for training.

    Example:
        >>> from qvit_qiskit import TrainConfig, ViTConfig, fit, load
        >>> config = ViTConfig(width=2, heads=1, patch_size=14)
        >>> result = fit(config, TrainConfig(epochs=2, subset=32), load("phantom"))
        >>> len(result.history), result.interrupted
        (2, False)
    """
    data = as_data(data, val)
    if train.dataset.lower() != data.name.lower():  # what was passed is what was trained on
        train = train.model_copy(update={"dataset": data.name})
    # What does not fit is said before a folder is made or a teacher is asked.
    shape = config if isinstance(config, ModelConfig) else _trained(config, data)
    source = _source(train, teacher)
    opened = None if source is None else cache(lambda: open_teacher(source))
    phases = plan(shape, train, data, pretrain_data, opened)
    if folder is not None and (folder / SETTINGS).exists():
        raise CheckpointError(
            f"{folder} already holds a training. Continue it with --resume {folder}, or "
            "choose another --out."
        )
    route = _trainable(route or registry.open(train.backend, training=True))
    for phase in phases:
        phase.prepare()
    identity = {"name": opened().name, "digest": opened().digest} if opened else None
    training = Loop(phases, route, folder, identity)
    if folder is None:
        return training.run(on_epoch)
    settings = _settings(shape, train, route, identity) | training.arithmetic.record()
    settings |= {"md5": data.md5, "pretrain_md5": pretrain_data.md5 if pretrain_data else None}
    settings |= {"origin": data.origin} if data.origin else {}
    return _run_in(folder, settings, training, on_epoch)


def _settings(
    shape: ModelConfig | OwnModel,
    train: TrainConfig,
    route: ProfileRoute,
    teacher: dict[str, Any] | None,
) -> dict[str, Any]:
    """What a training folder says of its training, beside the data's digests."""
    return {
        "format": FORMAT.number,
        "kind": shape.kind,
        "model": shape.model_dump(),
        "train": train.model_dump(),
        "teacher": teacher,
        "profile": route.profile.model_dump(),
    }


def _run_in(
    folder: Path, settings: dict[str, Any], training: Loop, on_epoch: OnEpoch | None
) -> FitResult:
    """Write the settings down and train; a folder in which nothing came about is given back."""
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / SETTINGS, json.dumps(settings, indent=2))
    try:
        return training.run(on_epoch)
    except QvitError:
        if not (folder / BEST).exists():  # nothing was trained: the folder stays free to use
            (folder / SETTINGS).unlink()
            with suppress(OSError):
                folder.rmdir()
        raise


def resume(
    folder: Path,
    load_data: Callable[[str], MedImages],
    *,
    route: ProfileRoute | None = None,
    backends_dir: Path | None = None,
    on_epoch: OnEpoch | None = None,
    teacher: TeacherLike | None = None,
    model: nn.Module | None = None,
) -> FitResult:
    """Continue an interrupted training from its last finished epoch.

    Args:
        folder: The training folder.
        load_data: Gets a data set's name, or the path of own images, returns the images.
        route: Where circuits run; by default the profile the training began on.
        backends_dir: A folder to search for that profile first.
        on_epoch: Called after every epoch.
        teacher: The teacher, where it was not named in the settings or has moved. Asked only if
            there are epochs left in which it teaches.
        model: A module like the one that the training began with, where that was one's own.

    Returns:
        The same as `fit` would have returned without the interruption.

    Raises:
        CheckpointError: If the folder holds no training, or its model, data, teacher or profile
            have changed.
        ConfigError: If a module of one's own, with which the training began, is not given.
        ProfileError: If the profile that it ran on is missing or malformed.
        RouteError: If that profile cannot be opened, or is not for training.

    Example:
        >>> from pathlib import Path
        >>> from qvit_qiskit import TrainConfig, ViTConfig, fit, load
        >>> from qvit_qiskit.training import resume
        >>> config = ViTConfig(projection="linear")
        >>> _ = fit(config, TrainConfig(epochs=1, subset=32), load("phantom"), folder=Path("mine"))
        >>> len(resume(Path("mine"), load).history)  # nothing was left to do
        1
    """
    try:
        settings = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
        FORMAT.check(settings.get("format"), folder)
        kind, stored = settings.get("kind", ViTConfig.kind), settings["model"]
        known = None if kind == OwnModel.kind else read_config(kind, stored)
        train = TrainConfig.restored(settings["train"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ConfigError) as error:
        raise CheckpointError(
            f"Expected a training folder with a readable {SETTINGS}, but got {folder} ({error}). "
            "Give the --out folder of `qvit train`."
        ) from error
    place = settings.get("origin") or train.dataset
    data = _same(folder, place, load_data, settings.get("md5"))
    config = known or _own(folder, data, model)
    other = None
    if train.distill and train.distill.pretrain_dataset:
        name = train.distill.pretrain_dataset
        other = _same(folder, name, load_data, settings.get("pretrain_md5"))
    route = route or registry.open(train.backend, backends_dir=backends_dir, training=True)
    recorded = settings.get("profile")  # the first trainings did not keep theirs
    if recorded is not None and "idle" not in recorded and route.profile.decays:
        route = route.without_idle()  # begun when nothing decayed
    if not _same_profile(recorded, route):
        raise CheckpointError(
            f"{folder} was trained on a profile {train.backend!r} that said something else than "
            f"{route.path} does now. Restore it, or name its folder with --backends-dir."
        )
    identity = settings.get("teacher")
    opened = (
        cache(lambda: _same_teacher(folder, train, teacher, identity)) if train.distill else None
    )
    phases = plan(config, train, data, other, opened)
    arithmetic = Arithmetic.restored(settings, folder)
    return Loop(phases, _trainable(route), folder, identity, arithmetic).run(on_epoch)


def origin_of(folder: Path) -> str | None:
    """Where the own images lie that a training in this folder began with; None if it says not."""
    try:
        settings = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
        return str(settings["origin"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _own(folder: Path, data: MedImages, model: nn.Module | None) -> OwnModel:
    """The module that a training of one goes on with; its weights come from the folder."""
    if model is None:
        raise CheckpointError(
            f"{folder} was begun with a module of one's own, whose code is not stored. Go on with "
            "it from Python: qvit_qiskit.training.resume(folder, load_data, model=...)."
        )
    return _trained(model, data)


def _trained(model: nn.Module, data: MedImages) -> OwnModel:
    """A module and the data that it is trained on."""
    if not isinstance(model, nn.Module):
        raise ConfigError(
            f"Expected a ViTConfig, a ResNetConfig or a torch module to train, but got {model!r}."
        )
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise ConfigError(
            f"Expected a module to train, but {type(model).__name__} has no parameter that "
            "requires a gradient. Pass one that does."
        )
    return OwnModel(model, data.channels, data.num_classes, data.size[0])


def _source(train: TrainConfig, given: TeacherLike | None) -> TeacherLike | None:
    """Who teaches: the one that was passed, else the one that the settings name."""
    return train.distill.teacher if given is None and train.distill else given


def _trainable(route: ProfileRoute) -> ProfileRoute:
    if not route.trainable:
        raise route.refusal()
    return route


def _same_profile(record: dict[str, Any] | None, route: ProfileRoute) -> bool:
    """Whether a profile says what the training's did; the first trainings did not keep theirs."""
    try:
        ingredients = None if record is None else type(route.profile).restored(record).ingredients()
    except ConfigError:
        return False
    return ingredients in (None, route.profile.ingredients())


def _same(
    folder: Path, name: str, load_data: Callable[[str], MedImages], md5: str | None
) -> MedImages:
    """The data set that a training began with."""
    data = load_data(name)
    if data.md5 != md5:
        raise CheckpointError(
            f"{folder} was trained on {name} with MD5 {md5}, but the data at hand have {data.md5}. "
            + ("Restore its images." if data.own else "Point --data-root at the original file.")
        )
    return data


def _same_teacher(
    folder: Path, train: TrainConfig, given: TeacherLike | None, identity: dict[str, Any] | None
) -> Teacher:
    """The teacher that a training began with."""
    source = _source(train, given)
    known = identity or {}
    if source is None:
        raise CheckpointError(
            f"{folder} was begun with the teacher {known.get('name')!r} from Python. Pass it as "
            "teacher= to resume."
        )
    teacher = open_teacher(source)
    if teacher.digest != known.get("digest"):
        raise CheckpointError(
            f"{folder} was begun with another teacher than {teacher.name} is now. Restore that "
            "one, or begin a new training."
        )
    return teacher
