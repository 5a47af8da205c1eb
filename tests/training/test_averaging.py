"""The average of weights against torch's own, which looks for them in every step."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from qvit_qiskit import ViTConfig, build_model
from qvit_qiskit.training.averaging import WeightAverage


class NewBuffer(nn.Module):
    """A module that puts another tensor in the place of its buffer in every step."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(3))
        self.register_buffer("mean", torch.zeros(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.mean = self.mean * 0.5 + x.detach()
        return x * self.weight


MODELS = {
    "qvit": lambda: build_model(ViTConfig(width=2, heads=1, patch_size=14), seed=0),
    "batch norm": lambda: nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3)),
    "two kinds": lambda: nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3).double()),
    "new buffer": NewBuffer,
}


@pytest.mark.parametrize("name", MODELS)
def test_equal_to_torchs_own_to_the_bit(rng, name):
    model = MODELS[name]()
    own = WeightAverage(model, 0.9)
    other = AveragedModel(copy.deepcopy(model), multi_avg_fn=get_ema_multi_avg_fn(0.9),
                          use_buffers=True)  # fmt: skip
    assert own.state_dict().keys() == other.state_dict().keys()
    for step in range(5):
        with torch.no_grad():
            for weight in model.parameters():
                weight += torch.tensor(rng.standard_normal(weight.shape))
            if step == 2:  # as `Module.to` and some optimisers do
                first = next(model.parameters())
                first.data = first.data.clone() + 1
            if name == "new buffer":
                model(torch.tensor(rng.standard_normal(3), dtype=torch.float32))
        own.update_parameters(model)
        other.update_parameters(model)
        for a, b in zip(own.state_dict().values(), other.state_dict().values(), strict=True):
            assert torch.equal(a, b)
    begun = WeightAverage(model, 0.9)
    begun.load_state_dict(own.state_dict())
    for average in (begun, other):
        average.update_parameters(model)
    for a, b in zip(begun.state_dict().values(), other.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_copies_and_other_models_are_averaged_as_by_torch(rng):
    model = MODELS["qvit"]()
    own = WeightAverage(model, 0.9)
    other = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9), use_buffers=True)
    for _ in range(2):
        own.update_parameters(model)
        other.update_parameters(model)
    copied, moved = copy.deepcopy(own), copy.deepcopy(model)
    with torch.no_grad():
        for weight in (*model.parameters(), *moved.parameters()):
            weight += torch.tensor(rng.standard_normal(weight.shape))
    for average, seen in ((own, moved), (copied, model)):
        expected = copy.deepcopy(other)
        average.update_parameters(seen)
        expected.update_parameters(seen)
        for a, b in zip(average.parameters(), expected.parameters(), strict=True):
            assert torch.equal(a, b)


def test_the_weights_of_a_model_without_buffers_are_looked_for_once(monkeypatch):
    model = MODELS["qvit"]()
    average = WeightAverage(model, 0.9)
    average.update_parameters(model)
    looks, parameters = [], type(model).named_parameters

    def watched(self, *args, **kwargs):
        for pair in parameters(self, *args, **kwargs):
            looks.append(pair)
            yield pair

    monkeypatch.setattr(nn.Module, "named_parameters", watched)
    average.update_parameters(model)
    assert len(looks) == 1
    assert average.n_averaged == 2
