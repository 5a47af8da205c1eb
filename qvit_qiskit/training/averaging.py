"""The exponential moving average of a model's weights over the steps of a training."""

from __future__ import annotations

from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


class WeightAverage(AveragedModel):
    """torch's `AveragedModel` with a decay, to the bit, for less time a step.

    That one looks for all weights of both models in every step, which takes longer than a small
    model's forward pass. Where the weights are all there is, this one looks once.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        """An average that begins with the weights after the first step.

        Args:
            model: The model in training; as for an optimiser, its parameters stay the same objects.
            decay: Share of the average that a step leaves.
        """
        approach = get_ema_multi_avg_fn(decay)
        super().__init__(model, multi_avg_fn=approach, use_buffers=True)
        self._approach = approach
        own, theirs = list(self.module.parameters()), list(model.parameters())
        kinds = {(one.dtype, one.device) for one in theirs}
        # a module may put another tensor in the place of a buffer
        alike = len(kinds) == 1 and not any(True for _ in model.buffers())
        self._pairs = (own, theirs) if alike else None

    def update_parameters(self, model: nn.Module) -> None:
        """Take in the weights after a step.

        Args:
            model: The model that the average was made of.
        """
        known = self._pairs is not None and next(model.parameters()) is self._pairs[1][0]
        if self._pairs is None or not known or not self.n_averaged:
            super().update_parameters(model)
            return
        self._approach(*self._pairs, self.n_averaged)
        self.n_averaged += 1
