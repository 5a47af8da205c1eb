"""A residual network for small images: the strong teacher of the MedMNIST benchmark."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from qvit_qiskit.models.classifier import Classifier
from qvit_qiskit.models.config import ResNetConfig

NARROW = 8
"""Channels; convolutions with fewer keep torch's own memory format."""


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, stride=stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.shortcut = nn.Sequential()
        if stride != 1 or channels != width:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels, width, 1, stride=stride, bias=False), nn.BatchNorm2d(width)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, channels, H, W) to (B, width, H/stride, W/stride)."""
        out = self.norm1(self.conv1(x)).relu()
        return (self.norm2(self.conv2(out)) + self.shortcut(x)).relu()


class ResNet(Classifier):
    """Images (B, C, H, H) to logits (B, classes).

    After He et al. (arXiv 1512.03385), with the stem that MedMNIST v2 (arXiv 2110.14795) uses for
    small images: one 3 x 3 convolution of stride 1 and no max-pooling. A 28 x 28 image has 28, 14,
    7 and 4 pixels on a side in the four stages.

    Example:
        >>> import torch
        >>> from qvit_qiskit import build_model
        >>> from qvit_qiskit.models import ResNetConfig
        >>> model = build_model(ResNetConfig(width=4, blocks=(1, 1), classes=3), seed=0)
        >>> model(torch.zeros(2, 1, 28, 28)).shape  # logits (B, classes)
        torch.Size([2, 3])
    """

    config: ResNetConfig

    def __init__(self, config: ResNetConfig) -> None:
        super().__init__()
        self.config = config
        self.stem = nn.Conv2d(config.channels, config.width, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(config.width)
        blocks: list[nn.Module] = []
        channels = config.width
        for stage, count in enumerate(config.blocks):
            for place in range(count):
                width, stride = config.width * 2**stage, 2 if stage and not place else 1
                blocks.append(BasicBlock(channels, width, stride))
                channels = width
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(channels, config.classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        self.to(memory_format=self._order)  # type: ignore[call-overload]

    @property
    def _order(self) -> torch.memory_format:
        """The order of weights and images in memory.

        PERF: channels last take an eighth less time on a CPU. With fewer than eight of them the
        backward pass of torch 2.13's oneDNN crashes on some processors with AVX2.
        """
        return torch.channels_last if self.config.width >= NARROW else torch.contiguous_format

    def forward(self, images: Tensor) -> Tensor:
        """Classify images.

        Args:
            images: Shape (B, C, H, W), the range of `Split.tensors`.

        Returns:
            Logits, shape (B, classes).

        Raises:
            DataError: If the images' shape does not fit the configuration.
        """
        self._check(images)
        images = images.contiguous(memory_format=self._order)
        x = self.norm(self.stem(images)).relu()  # (B, width, H, W)
        return self.head(self.blocks(x).mean(dim=(2, 3)))
