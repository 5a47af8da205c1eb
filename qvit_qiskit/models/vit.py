"""ViT and QViT in one file: one attention, two kinds of projection."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from qvit_qiskit.models.classifier import Classifier
from qvit_qiskit.models.config import ViTConfig
from qvit_qiskit.qnn import QuantumProjections


class LinearProjections(nn.Module):
    """Q, K and V of every head as bias-free linear maps of the head's features."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads, size = heads, width // heads
        self.weight = nn.Parameter(torch.empty(3, heads, size, size))
        nn.init.uniform_(self.weight, -(size**-0.5), size**-0.5)  # as nn.Linear

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Project tokens (B, N, D) to queries, keys and values, each (B, heads, N, D/heads)."""
        split = x.unflatten(-1, (self.heads, -1))  # (B, N, heads, D/heads)
        # each (B, heads, N, D/heads)
        q, k, v = torch.einsum("bnhi,phoi->pbhno", split, self.weight)
        return q, k, v


class Attention(nn.Module):
    """Multi-head self-attention."""

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        self.projections: nn.Module
        if config.projection == "qnn":
            self.projections = QuantumProjections(config.qnn_circuit, config.heads)
        else:
            self.projections = LinearProjections(config.width, config.heads)
        self.out = nn.Linear(config.mixed_width, config.width)

    def forward(self, x: Tensor) -> Tensor:
        """Mix tokens (B, N, D)."""
        q, k, v = self.projections(x)  # (B, heads, N, d)
        scores = q @ k.transpose(-2, -1) * k.shape[-1] ** -0.5  # (B, heads, N, N)
        mixed = scores.softmax(dim=-1) @ v  # (B, heads, N, d)
        return self.out(mixed.transpose(1, 2).flatten(2))  # (B, N, heads * d) to (B, N, D)


class Block(nn.Module):
    """A pre-norm transformer block."""

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(config.width)
        self.attention = Attention(config)
        self.norm2 = nn.LayerNorm(config.width)
        self.mlp = nn.Sequential(
            nn.Linear(config.width, config.mlp_width),
            nn.GELU(),
            nn.Linear(config.mlp_width, config.width),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens (B, N, D) to (B, N, D)."""
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))


def _stem(config: ViTConfig) -> nn.Module:
    """Images (B, C, H, W) to patches (B, D, side, side)."""
    channels, width, size = config.channels, config.width, config.patch_size
    if config.stem == "patch":
        return nn.Conv2d(channels, width, size, stride=size)
    half = (size + 1) // 2  # an odd patch in a row of four: two pixels of border make it whole
    kernel, stride, padding = (3, 2, 1) if size == 4 else (half, half, size % 2)
    return nn.Sequential(
        nn.Conv2d(channels, config.stem_width, 3, stride=2, padding=1),
        nn.GELU(),
        nn.Conv2d(config.stem_width, width, kernel, stride=stride, padding=padding),
    )


class ViT(Classifier):
    """Images (B, C, H, H) to logits (B, classes).

    After Dosovitskiy et al. (arXiv 2010.11929). The layer norm before attention keeps the
    angles of the QNNs near one radian. With a distillation token (DeiT, arXiv 2012.12877) the
    logits are the mean of two heads: one reads the pooled patches or the class token, the other
    the distillation token.

    Example:
        >>> import torch
        >>> from qvit_qiskit import ViTConfig
        >>> from qvit_qiskit.models import ViT
        >>> model = ViT(ViTConfig(projection="linear"))
        >>> model(torch.zeros(2, 1, 28, 28)).shape  # logits (B, classes)
        torch.Size([2, 2])
    """

    config: ViTConfig

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        self.config = config
        self.embed = _stem(config)
        if config.position == "learned":
            self.position = nn.Parameter(torch.randn(1, config.tokens, config.width) * 0.02)
        else:
            self.rows = nn.Parameter(torch.randn(config.side, 1, config.width) * 0.02)
            self.columns = nn.Parameter(torch.randn(1, config.side, config.width) * 0.02)
        if config.pool == "cls":
            self.cls = nn.Parameter(torch.zeros(1, 1, config.width))
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.depth))
        self.norm = nn.LayerNorm(config.width)
        pooled = 2 * config.width if config.pool == "mean-max" else config.width
        self.head = nn.Linear(pooled, config.classes)
        if config.distillation_token:
            self.distillation = nn.Parameter(torch.zeros(1, 1, config.width))
            self.distillation_head = nn.Linear(config.width, config.classes)

    def forward(self, images: Tensor) -> Tensor:
        """Classify images.

        Args:
            images: Shape (B, C, H, W), the range of `Split.tensors`.

        Returns:
            Logits, shape (B, classes); with a distillation token the mean of both heads.

        Raises:
            DataError: If the images' shape does not fit the configuration.
        """
        heads = self.heads(images)
        return heads[0] if len(heads) == 1 else (heads[0] + heads[1]) / 2

    def heads(self, images: Tensor) -> tuple[Tensor, ...]:
        """The logits of each head, (B, classes): one, or class head and distillation head.

        Raises:
            DataError: If the images' shape does not fit the configuration.
        """
        self._check(images)
        c = self.config
        x = self.embed(images).flatten(2).transpose(1, 2)  # (B, N, D)
        if c.position == "axial":
            x = x + (self.rows + self.columns).flatten(0, 1)
        if c.distillation_token:
            x = torch.cat([self.distillation.expand(len(x), -1, -1), x], dim=1)
        if c.pool == "cls":
            x = torch.cat([self.cls.expand(len(x), -1, -1), x], dim=1)
        if c.position == "learned":
            x = x + self.position
        for block in self.blocks:
            x = block(x)
        x = self.norm(x)
        pooled = self._pool(x)
        if not c.distillation_token:
            return (self.head(pooled),)
        return self.head(pooled), self.distillation_head(x[:, c.extra_tokens - 1])

    def _pool(self, x: Tensor) -> Tensor:
        """What the head reads of the tokens (B, N, D): (B, D), or (B, 2·D) of mean and maximum."""
        if self.config.pool == "cls":
            return x[:, 0]
        patches = x[:, self.config.extra_tokens :]
        if self.config.pool == "mean":
            return patches.mean(dim=1)
        return torch.cat([patches.mean(dim=1), patches.amax(dim=1)], dim=-1)
