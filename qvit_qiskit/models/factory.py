"""Models are made from their configurations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, overload

import torch

from qvit_qiskit.exceptions import ConfigError
from qvit_qiskit.models.classifier import Classifier
from qvit_qiskit.models.config import ResNetConfig, ViTConfig
from qvit_qiskit.models.resnet import ResNet
from qvit_qiskit.models.vit import ViT
from qvit_qiskit.suggest import unknown

ModelConfig = ViTConfig | ResNetConfig
"""The configurations that `build_model` makes a model of.

Example:
    >>> from qvit_qiskit import ViTConfig
    >>> from qvit_qiskit.models import ModelConfig
    >>> isinstance(ViTConfig(), ModelConfig)
    True
"""
CONFIGS: dict[str, type[ViTConfig] | type[ResNetConfig]] = {
    config.kind: config for config in (ViTConfig, ResNetConfig)
}


@overload
def build_model(config: ViTConfig, seed: int | None = None) -> ViT: ...
@overload
def build_model(config: ResNetConfig, seed: int | None = None) -> ResNet: ...
def build_model(config: ModelConfig, seed: int | None = None) -> Classifier:
    """A fresh model.

    Args:
        config: The configuration.
        seed: Seeds the initial weights and leaves torch's global generator as it was.

    Returns:
        A module from images (B, C, H, W) to logits (B, classes).

    Raises:
        CircuitError: If a circuit family of one's own has no circuit of this size.

    Example:
        >>> import torch
        >>> from qvit_qiskit import ViTConfig, build_model
        >>> model = build_model(ViTConfig(channels=1, classes=3, heads=2), seed=0)
        >>> model(torch.zeros(2, 1, 28, 28)).shape  # logits (B, classes)
        torch.Size([2, 3])
    """
    if seed is None:
        return ResNet(config) if isinstance(config, ResNetConfig) else ViT(config)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build_model(config)


def read_config(kind: str, values: Mapping[str, Any]) -> ModelConfig:
    """The configuration of that kind, ``"vit"`` or ``"resnet"``, as a file holds it.

    Args:
        kind: The kind of model.
        values: Its options by name, as they were stored.

    Returns:
        The configuration, `ViTConfig` or `ResNetConfig`.

    Raises:
        ConfigError: If the kind or a key is unknown, or a value does not fit.

    Example:
        >>> from qvit_qiskit.models import ResNetConfig, read_config
        >>> read_config("resnet", ResNetConfig(classes=5).model_dump()).classes
        5
    """
    if kind not in CONFIGS:
        raise ConfigError(unknown("kind of model", kind, CONFIGS))
    return CONFIGS[kind].restored(values)
