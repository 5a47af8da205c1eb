"""What ViT and ResNet share: a configuration that rebuilds them, and their cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from qvit_qiskit.exceptions import DataError
from qvit_qiskit.models.cost import ModelCost, count_cost, count_projections, count_rows

if TYPE_CHECKING:
    from qvit_qiskit.models.config import ResNetConfig, ViTConfig


class Classifier(nn.Module):
    """Images (B, C, H, H) to logits (B, classes), rebuilt by its configuration.

    Example:
        >>> from qvit_qiskit import ViTConfig, build_model
        >>> model = build_model(ViTConfig(), seed=0)
        >>> model.cost().circuit_rows  # circuits to run for one image
        96
    """

    config: ViTConfig | ResNetConfig

    def heads(self, images: Tensor) -> tuple[Tensor, ...]:
        """The logits of each head, (B, classes): one, or class head and distillation head."""
        return (self(images),)

    def cost(self) -> ModelCost:
        """Parameters, classical FLOPs and circuit rows of one image."""
        return count_cost(self, self._image())

    def stage_rows(self) -> tuple[int, ...]:
        """Circuits to run per image in every quantum layer; `cost` without its FLOPs."""
        return count_rows(self, self._image())

    def stage_projections(self) -> tuple[int, ...]:
        """Projections of every quantum layer, each a circuit with weights of its own."""
        return count_projections(self, self._image())

    def check_data(self, name: str, channels: int, classes: int, pixels: tuple[int, int]) -> None:
        """Refuse a data set that the model was not made for.

        Args:
            name: Of the data set.
            channels: Of its images.
            classes: Its classes or labels.
            pixels: Height and width of its images.

        Raises:
            DataError: If one of them is another than the model's.
        """
        c = self.config
        if (c.channels, c.classes) != (channels, classes):
            raise DataError(
                f"Expected images of {c.channels} channel(s) in {c.classes} classes, but {name} "
                f"has {channels} and {classes}. Train a model on it first."
            )
        if pixels != (c.image_size, c.image_size):
            raise DataError(
                f"Expected images of {c.image_size} x {c.image_size} pixels, but those of {name} "
                f"have {pixels[0]} x {pixels[1]}. Train a model on it first."
            )

    def _image(self) -> Tensor:
        c = self.config
        return torch.zeros(1, c.channels, c.image_size, c.image_size)

    def _check(self, images: Tensor) -> None:
        c = self.config
        if images.shape[1:] != (c.channels, c.image_size, c.image_size):
            raise DataError(
                f"Expected images of shape (B, {c.channels}, {c.image_size}, {c.image_size}), "
                f"but got {tuple(images.shape)}. Choose a data set that fits the model."
            )
