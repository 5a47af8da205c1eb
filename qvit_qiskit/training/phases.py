"""The phases of a training: what is shown, by whom it is judged, and for how long."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor, nn

from qvit_qiskit.data import MedImages, Split
from qvit_qiskit.data.subset import subset_indices
from qvit_qiskit.exceptions import ConfigError
from qvit_qiskit.models import ModelConfig, ViTConfig, build_model
from qvit_qiskit.training.augmentation import flips
from qvit_qiskit.training.history import PhaseName
from qvit_qiskit.training.losses import Objective, class_weights
from qvit_qiskit.training.own_model import OwnModel
from qvit_qiskit.training.settings import Distillation, TrainConfig
from qvit_qiskit.training.teachers import Teacher

HEADS = ("head.", "distillation_head.")


@dataclass(frozen=True)
class Phase:
    """Epochs with one data set, one shape of the model and one loss."""

    name: PhaseName
    config: ModelConfig | OwnModel
    train: TrainConfig
    data: MedImages
    subset: int | None
    alpha: float
    """The teacher's share of the loss."""
    teacher: Callable[[], Teacher] | None
    epochs: int
    before: int
    """Epochs of the phases before it."""

    @property
    def last(self) -> int:
        """Its last epoch, counted over all phases."""
        return self.before + self.epochs

    @cached_property
    def chosen(self) -> np.ndarray | slice:
        """Which training images are shown."""
        if self.subset is None:
            return slice(None)
        return subset_indices(self.data.train.labels, self.subset, self.train.seed)

    @cached_property
    def shown(self) -> Split:
        """The training images that are shown, and their labels."""
        return self.data.train if self.subset is None else self.data.train.part(self.chosen)

    @cached_property
    def targets(self) -> Tensor | None:
        """The teacher's logits for the training images, (n, classes), float64.

        Raises:
            ConfigError: If the teacher's classes are not those of the data set.
        """
        if self.teacher is None:
            return None
        return torch.tensor(self.teacher().logits(self.data)[self.chosen])

    @cached_property
    def flips(self) -> tuple[int, ...]:
        """Axes along which training images are flipped."""
        return flips(self.train.augment, self.data.name)

    def prepare(self) -> None:
        """Find out what could fail, and ask the teacher, before anything is written.

        Raises:
            ConfigError: If the teacher's classes are not those of the data set.
            DataError: If the subset is larger than the split, or the teacher's answers are no
                logits.
        """
        _ = self.chosen, self.targets

    def objective(self, labels: Tensor) -> Objective:
        """Its loss; ``labels`` are those of its training images."""
        weight = class_weights(labels, self.config.classes) if self.train.class_weights else None
        several = self.data.multi_label
        if self.train.distill is None:
            return Objective(class_weights=weight, multi_label=several)
        how = self.train.distill
        return Objective(self.alpha, how.kind, how.temperature, weight, multi_label=several)

    def model(self, before: tuple[Phase, nn.Module] | None = None) -> nn.Module:
        """A fresh model, or the one that the phase before leaves behind.

        Where the classes have changed, the heads are those of a fresh model of the same seed.
        """
        if isinstance(self.config, OwnModel):
            return self.config.fresh()
        model = build_model(self.config, self.train.seed)
        if before is not None:
            phase, trained = before
            kept = trained.state_dict()
            if phase.data.class_names != self.data.class_names:
                kept = {name: t for name, t in kept.items() if not name.startswith(HEADS)}
            model.load_state_dict(kept, strict=False)
        return model


def plan(
    config: ModelConfig | OwnModel,
    train: TrainConfig,
    data: MedImages,
    pretrain_data: MedImages | None = None,
    teacher: Callable[[], Teacher] | None = None,
) -> list[Phase]:
    """The phases of a training, in order.

    Args:
        config: The model; ``channels`` and ``classes`` must fit the data.
        train: How to train.
        data: The data set with the labels.
        pretrain_data: Another one to pre-train on.
        teacher: Opens the teacher.

    Raises:
        ConfigError: If these do not fit each other.
    """
    if (config.channels, config.classes) != (data.channels, data.num_classes):
        raise ConfigError(
            f"Expected a model for {data.name} with {data.channels} channel(s) and "
            f"{data.num_classes} classes, but got {config.channels} and {config.classes}."
        )
    square = (config.image_size, config.image_size)
    if not isinstance(config, OwnModel) and square != data.size:
        raise ConfigError(
            f"Expected a model for the {data.size[0]} x {data.size[1]} pixels of {data.name}, but "
            f"got image_size {config.image_size}."
        )
    how, first = train.distill, data if pretrain_data is None else pretrain_data
    if isinstance(config, OwnModel) and how is not None:
        raise ConfigError(
            "Expected a configuration to distil a teacher into, but got a module of one's own, "
            "which is trained on labels. Leave distill out."
        )
    _check(config, how, first, teacher is not None, pretrain_data is not None)
    pretrain = how.pretrain_epochs if how else 0
    alpha, taught = (how.label_alpha, how.teaches_labels) if how else (0.0, False)
    phases = [
        Phase(
            "train", config, train, data, train.subset, alpha, teacher if taught else None,
            train.epochs, pretrain,
        )
    ]  # fmt: skip
    if pretrain and not isinstance(config, OwnModel):
        shape = config.model_copy(update={"classes": first.num_classes})
        subset = train.subset if pretrain_data is None else None
        # The head of a pre-training has the classes of its own set.
        phases.insert(0, Phase("pretrain", shape, train, first, subset, 1.0, teacher, pretrain, 0))
    return phases


def _check(
    config: ModelConfig | OwnModel,
    how: Distillation | None,
    first: MedImages,
    taught: bool,
    other: bool,
) -> None:
    if how is None:
        if taught or other:
            raise ConfigError(
                "A teacher or pre-training images without TrainConfig(distill=Distillation(...)) "
                "have no effect: say what to learn from them, or leave them out."
            )
        return
    if not taught:
        raise ConfigError(
            "Expected a teacher to distil from: name one in Distillation(teacher=...), or pass "
            "one as teacher=."
        )
    token = isinstance(config, ViTConfig) and config.distillation_token
    if how.kind == "hard" and not token:
        raise ConfigError(
            "Expected a ViT with distillation_token=True for hard distillation, but got a model "
            "without that token. Add it, or use kind='soft'."
        )
    if other != (how.pretrain_dataset is not None):
        raise ConfigError(
            f"Expected pre-training images exactly where a set is named for them, but got "
            f"pretrain_dataset={how.pretrain_dataset!r} and {'some' if other else 'none'}."
        )
    pixels = (config.image_size, config.image_size)
    if (first.channels, *first.size) != (config.channels, *pixels):
        raise ConfigError(
            f"Expected a pre-training set of {config.channels} channel(s) of {pixels[0]} x "
            f"{pixels[1]} pixels, but {first.name} has {first.channels} of {first.size[0]} x "
            f"{first.size[1]}. Choose another."
        )
