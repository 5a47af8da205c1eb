"""Images kept as bytes and scaled where they are asked for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch


class Pixels:
    """Images (n, C, H, W), float32 of −1…1, of which only what is indexed exists.

    A float32 copy of a data set takes four times the memory of its bytes; a batch of it is made
    in the time that copying it out of such a tensor takes.
    """

    def __init__(self, images: NDArray[np.uint8] | NDArray[np.float32]) -> None:
        """Images that are looked at, not copied.

        Args:
            images: Shape (n, H, W) grey or (n, H, W, 3) colour.
        """
        self._images = images

    def __len__(self) -> int:
        return len(self._images)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of all images together, (n, C, H, W)."""
        n, height, width, *channels = self._images.shape
        return n, *(channels or [1]), height, width

    def __getitem__(self, index: slice | torch.Tensor | NDArray[np.int64]) -> torch.Tensor:
        """Some images as a new tensor, float32 of shape (k, C, H, W), scaled to −1…1."""
        import torch

        chosen = self._images[index.numpy() if isinstance(index, torch.Tensor) else index]
        whole = np.ascontiguousarray(chosen)  # torch knows no strides below zero
        raw = torch.tensor(whole.reshape(*whole.shape[:3], -1))  # (k, H, W, C)
        scaled = raw.permute(0, 3, 1, 2).to(torch.float32)  # (k, C, H, W)
        # With one channel, contiguous() leaves strides by which torch chooses another convolution.
        scaled = scaled.clone(memory_format=torch.contiguous_format)
        return scaled.div_(255).sub_(0.5).div_(0.5)  # (k, C, H, W)

    def split(self, batch_size: int) -> Iterator[torch.Tensor]:
        """The images batch by batch, each of shape (batch_size, C, H, W) but the last."""
        for start in range(0, len(self), batch_size):
            yield self[start : start + batch_size]


class PreparedPixels(Pixels):
    """Images that are floats already, as a model takes them: (n, C, H, W), or of any shape."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of all images together."""
        return self._images.shape

    def __getitem__(self, index: slice | torch.Tensor | NDArray[np.int64]) -> torch.Tensor:
        """Some images as a new tensor, float32, unchanged."""
        import torch

        chosen = self._images[index.numpy() if isinstance(index, torch.Tensor) else index]
        return torch.tensor(np.ascontiguousarray(chosen))
