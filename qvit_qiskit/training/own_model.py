"""A module of the user's own in the place of a configuration."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from qvit_qiskit.exceptions import ConfigError
from qvit_qiskit.models import Classifier
from qvit_qiskit.training import module_checkpoint


@dataclass(frozen=True, eq=False)
class OwnModel:
    """What a training is begun with where no configuration of ours rebuilds the model."""

    kind: ClassVar[str] = module_checkpoint.KIND

    module: nn.Module
    """The module as it was before; what is trained is a copy."""
    channels: int
    """Colour channels of the images that it is trained on."""
    classes: int
    image_size: int
    """Pixel rows of the images; a module of one's own need not be for square ones."""

    def fresh(self) -> nn.Module:
        """A copy of the module, with the weights that it had."""
        return copy.deepcopy(self.module)

    def model_dump(self) -> dict[str, Any]:
        """What a training folder holds of it."""
        return dict(module_checkpoint.describe(self.module))


def heads(model: nn.Module, images: Tensor, classes: int) -> tuple[Tensor, ...]:
    """The logits of each head of a model, (B, classes); a module of one's own has one.

    Args:
        model: A `Classifier` or any module.
        images: Shape (B, C, H, W), float32; a module gets its weights' dtype.
        classes: How many scores a module has to return for an image.

    Raises:
        ConfigError: If it returns something else.
    """
    if isinstance(model, Classifier):
        return model.heads(images)
    logits = model(images.to(next(model.parameters(), images).dtype))
    if not isinstance(logits, Tensor) or logits.shape != (len(images), classes):
        what = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise ConfigError(
            f"Expected one score per class from the model, shape ({len(images)}, {classes}), but "
            f"got {what}. End it with a layer of {classes} outputs."
        )
    return (logits,)
