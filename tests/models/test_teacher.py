import json
import math
import subprocess
import sys

import pytest
import torch
from torch.nn import functional as F  # noqa: N812

from qvit_qiskit.exceptions import ConfigError, DataError
from qvit_qiskit.models import ResNet, ResNetConfig, build_model, read_config

TINY = ResNetConfig(channels=3, classes=5, width=3, blocks=(1, 2))


def images(rng, config, count=2):
    shape = (count, config.channels, 28, 28)
    return torch.tensor(rng.uniform(-1, 1, shape), dtype=torch.float32)


def parameters_by_hand(config):
    """Weights of convolutions, scale and shift of each norm, and the linear head."""
    total = 9 * config.channels * config.width + 2 * config.width
    before = config.width
    for stage, count in enumerate(config.blocks):
        width = config.width * 2**stage
        for _ in range(count):
            total += 9 * before * width + 9 * width**2 + 4 * width
            total += before * width + 2 * width if before != width else 0
            before = width
    return total + before * config.classes + config.classes


@pytest.mark.parametrize("config", [ResNetConfig(), ResNetConfig(channels=3, classes=10), TINY])
def test_the_parameters_are_those_of_a_hand_count(config):
    count = sum(p.numel() for p in build_model(config, seed=0).parameters())
    assert count == parameters_by_hand(config)


def test_the_defaults_are_resnet_18():
    config = ResNetConfig(channels=3, classes=10)
    assert config.name == "resnet18"
    assert parameters_by_hand(config) == 11_173_962  # as published for CIFAR-10's 3 x 3 stem


def test_four_stages_halve_the_picture():
    model, sides = build_model(ResNetConfig(width=2), seed=0), []
    for block in model.blocks:
        block.register_forward_hook(lambda *args: sides.append(tuple(args[2].shape[1:])))
    model(torch.zeros(1, 1, 28, 28))
    pairs = [(2, 28), (4, 14), (8, 7), (16, 4)]
    assert sides == [(width, side, side) for width, side in pairs for _ in range(2)]


def twin(model, x):
    """The network in evaluation mode, from its weights, with torch's functions alone."""
    w = model.state_dict()

    def norm(x, name):
        mean, var = w[f"{name}.running_mean"], w[f"{name}.running_var"]
        scale = (w[f"{name}.weight"] / torch.sqrt(var + 1e-5))[:, None, None]
        return (x - mean[:, None, None]) * scale + w[f"{name}.bias"][:, None, None]

    x = F.relu(norm(F.conv2d(x, w["stem.weight"], padding=1), "norm"))
    strides = [1, 2, 1]  # of TINY: one block, then two
    for k, stride in enumerate(strides):
        name = f"blocks.{k}"
        y = F.conv2d(x, w[f"{name}.conv1.weight"], stride=stride, padding=1)
        y = F.conv2d(F.relu(norm(y, f"{name}.norm1")), w[f"{name}.conv2.weight"], padding=1)
        if f"{name}.shortcut.0.weight" in w:
            x = F.conv2d(x, w[f"{name}.shortcut.0.weight"], stride=stride)
            x = norm(x, f"{name}.shortcut.1")
        x = F.relu(norm(y, f"{name}.norm2") + x)
    return x.mean(dim=(2, 3)) @ w["head.weight"].T + w["head.bias"]


def test_it_computes_what_a_twin_does(rng):
    model = build_model(TINY, seed=1)
    for _ in range(3):
        model(images(rng, TINY, 8))  # in training mode: the norms learn means and variances
    model.eval()
    batch = images(rng, TINY)
    torch.testing.assert_close(model(batch), twin(model, batch), rtol=1e-4, atol=1e-5)
    assert model.heads(batch)[0].shape == (2, 5)


def test_all_parameters_learn(rng):
    model = build_model(TINY, seed=0)
    F.cross_entropy(model(images(rng, TINY)), torch.tensor([0, 4])).backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in model.parameters())


def test_convolutions_begin_as_he_et_al_say():
    weight = build_model(ResNetConfig(width=32), seed=0).blocks[3].conv2.weight
    assert weight.std().item() == pytest.approx(math.sqrt(2 / (9 * 64)), rel=0.03)


def test_a_seed_decides_the_weights_and_leaves_the_global_generator_alone():
    before = torch.random.get_rng_state()
    first, again, other = (build_model(TINY, seed=s).state_dict() for s in (3, 3, 4))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["stem.weight"], other["stem.weight"])
    assert isinstance(build_model(TINY), ResNet)


def test_cost_counts_convolutions_and_no_circuits():
    config = ResNetConfig(width=2, blocks=(1,))
    cost = build_model(config, seed=0).cost()
    convolutions = 28 * 28 * 9 * (1 * 2 + 2 * 2 + 2 * 2)
    assert cost.classical_flops == 2 * (convolutions + 2 * 2)
    assert (cost.stage_rows, cost.circuit_rows, cost.quantum_parameters) == ((), 0, 0)
    assert build_model(config, seed=0).stage_rows() == ()


@pytest.mark.parametrize("shape", [(2, 1, 28, 28), (2, 3, 28, 27), (3, 28, 28)])
def test_other_shapes_of_images_are_refused(shape):
    with pytest.raises(DataError, match=r"Expected images of shape \(B, 3, 28, 28\)"):
        build_model(TINY, seed=0)(torch.zeros(shape))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"widht": 8}, "Unknown teacher option 'widht'. Did you mean 'width'"),
        ({"width": 0}, "width: .* but got 0"),
        ({"classes": 1}, "classes: .* but got 1"),
        ({"blocks": []}, "blocks: .* at least 1 item"),
    ],
)
def test_values_that_do_not_fit_are_refused_in_one_sentence(values, words):
    with pytest.raises(ConfigError, match=words) as caught:
        ResNetConfig.create(**values)
    assert "\n" not in str(caught.value)


def test_a_config_is_read_back_by_its_kind():
    for config in (TINY, ResNetConfig()):
        values = json.loads(config.model_dump_json())
        assert read_config("resnet", values) == config
    with pytest.raises(ConfigError, match=r"kind of model 'resent'\. Did you mean 'resnet'"):
        read_config("resent", {})


@pytest.mark.parametrize(("width", "stages"), [(2, 2), (4, 3), (6, 2), (8, 2)])
def test_a_narrow_network_trains_where_onednn_would_crash(width, stages):
    """In a process of its own: without care, torch 2.13 ends it on processors with AVX2 only."""
    code = f"""
import torch
from qvit_qiskit.models.config import ResNetConfig
from qvit_qiskit.models.resnet import ResNet

torch.set_num_threads(1)
model = ResNet(ResNetConfig(width={width}, blocks=(1,) * {stages}))
for batch in (2, 3, 32):
    model(torch.randn(batch, 1, 28, 28)).sum().backward()
print(model.stem.weight.is_contiguous(memory_format=torch.channels_last), "ended well")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("ended well\n")
