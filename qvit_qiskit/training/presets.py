"""The settings that the models of the package were trained with, to train anew or otherwise."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from qvit_qiskit.models import ViTConfig
from qvit_qiskit.training.settings import TrainConfig
from qvit_qiskit.zoo.cards import header, origin
from qvit_qiskit.zoo.names import PREFIX


@dataclass(frozen=True)
class Preset:
    """A model and how it was trained, read from the trained model itself.

    Example:
        >>> from qvit_qiskit.training import preset
        >>> preset("vit-pneumoniamnist").changed(train={"epochs": 5}).train.epochs
        5
    """

    name: str
    """That of the trained model."""
    model: ViTConfig
    """The model's options."""
    train: TrainConfig
    """The training's, with its data set and seed."""

    @property
    def kind(self) -> str:
        """``qvit`` or ``vit``, as the names of models begin."""
        return self.name.partition("-")[0]

    def changed(
        self, model: Mapping[str, Any] | None = None, train: Mapping[str, Any] | None = None
    ) -> Preset:
        """The preset with other values.

        Args:
            model: Fields of `ViTConfig`.
            train: Fields of `TrainConfig`.

        Raises:
            ConfigError: If a field is unknown, or a value does not fit.
        """
        return Preset(
            self.name,
            ViTConfig.create(**{**self.model.model_dump(), **(model or {})}),
            TrainConfig.create(**{**self.train.model_dump(), **(train or {})}),
        )


def preset(name: str) -> Preset:
    """The settings of a trained model of the package.

    Args:
        name: Such as ``qvit-retinamnist``, with ``zoo:`` before it or not; with a seed, such as
            ``qvit-retinamnist-3``, the training of that seed.

    Returns:
        The model's and the training's options, for `fit`.

    Raises:
        CheckpointError: If there is no such model, or its file is damaged.

    Example:
        >>> from qvit_qiskit.training import preset
        >>> preset("qvit-retinamnist").train.epochs
        180
    """
    plain = name.removeprefix(PREFIX)
    return Preset(
        plain,
        ViTConfig.restored(json.loads(header(plain)["config"])),
        TrainConfig.restored(origin(plain)["train"]),
    )
