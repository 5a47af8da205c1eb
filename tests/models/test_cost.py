import pytest
import torch
from torch import nn

from qvit_qiskit.models import ViTConfig, build_model

CONFIGS = [
    {"patch_size": 4, "width": 8, "heads": 4, "pool": "cls"},
    {"patch_size": 7, "width": 8, "heads": 2, "depth": 3, "mlp_ratio": 2.0},
    {"patch_size": 14, "width": 4, "heads": 1, "channels": 3, "classes": 8, "stem_width": 5},
    {"stem": "patch", "position": "learned", "pool": "mean", "channels": 3},
]


def flops_by_hand(config):
    """Two per multiplication in a matrix product, for one image."""
    c, patches = config, (28 // config.patch_size) ** 2
    embed = patches * c.width * c.channels * c.patch_size**2
    if c.stem == "conv":
        kernel = {4: 3, 7: 4, 14: 7}[c.patch_size]
        embed = c.stem_width * (14**2 * c.channels * 3**2 + patches * c.width * kernel**2)
    project = 3 * c.tokens * c.width * c.head_width if c.projection == "linear" else 0
    mix = 2 * c.heads * c.tokens**2 * c.head_width  # q @ k and scores @ v
    out = c.tokens * c.width**2
    mlp = 2 * c.tokens * c.width * c.mlp_width
    head = (2 if c.pool == "mean-max" else 1) * c.width * c.classes
    return 2 * (embed + c.depth * (project + mix + out + mlp) + head)


@pytest.mark.parametrize("projection", ["linear", "qnn"])
@pytest.mark.parametrize("values", CONFIGS)
def test_cost_is_what_a_hand_count_gives(values, projection):
    config = ViTConfig(**values, projection=projection)
    model = build_model(config, seed=0)
    cost = model.cost()
    quantum = projection == "qnn"
    rows = 3 * config.heads * config.tokens * config.depth if quantum else 0
    assert cost.circuit_rows == rows
    assert cost.executions(1024) == 1024 * rows
    assert cost.classical_flops == flops_by_hand(config)
    assert cost.parameters == sum(p.numel() for p in model.parameters())
    weights = 2 * config.head_width  # of the ry-ring, two layers
    expected = 3 * config.heads * config.depth * weights if quantum else 0
    assert cost.quantum_parameters == expected


def test_counting_changes_nothing():
    model = build_model(ViTConfig(width=2, heads=1, patch_size=14), seed=0).train()
    layer = model.blocks[0].attention.projections.query[0]
    route, image = layer.route, torch.zeros(1, 1, 28, 28)
    before = model(image)
    model.cost()
    assert layer.route is route
    assert model.training
    assert torch.equal(model(image), before)


def test_a_route_comes_back_even_if_the_model_fails():
    model = build_model(ViTConfig(width=2, heads=1, patch_size=14), seed=0)
    layer = model.blocks[0].attention.projections.query[0]
    route = layer.route
    model.head = nn.Linear(3, 2)
    with pytest.raises(RuntimeError):
        model.cost()
    assert layer.route is route
