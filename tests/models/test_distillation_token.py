import pytest
import torch

from qvit_qiskit.models import ViTConfig, build_model

SHAPES = [
    {"projection": "linear", "patch_size": 7, "pool": "mean"},
    {"projection": "linear", "patch_size": 14, "pool": "cls", "depth": 2},
    {"projection": "qnn", "patch_size": 14, "pool": "mean", "width": 4},
    {"projection": "qnn", "patch_size": 14, "pool": "cls", "width": 4},
]
EACH_SHAPE = pytest.mark.parametrize("values", SHAPES)


LEARNED = {"position": "learned"}


def images(rng, count=3):
    return torch.tensor(rng.uniform(-1, 1, (count, 1, 28, 28)), dtype=torch.float32)


@EACH_SHAPE
def test_a_model_without_the_token_is_as_it_was(rng, values):
    config = ViTConfig(**values)
    model = build_model(config, seed=0)
    assert not [name for name in model.state_dict() if "distillation" in name]
    batch = images(rng)
    (logits,) = model.heads(batch)
    assert torch.equal(model(batch), logits)


@EACH_SHAPE
def test_each_head_reads_its_own_token_and_the_logits_are_their_mean(rng, values):
    plain, config = ViTConfig(**values), ViTConfig(**values, distillation_token=True)
    model, seen = build_model(config, seed=0), {}
    assert config.tokens == plain.tokens + 1
    model.norm.register_forward_hook(lambda *args: seen.update(tokens=args[2]))
    batch = images(rng)
    logits, (label_head, teacher_head) = model(batch), model.heads(batch)
    tokens = seen["tokens"]
    assert tokens.shape == (3, config.tokens, config.width)
    assert torch.equal(logits, (label_head + teacher_head) / 2)
    if config.pool == "cls":  # class token, distillation token, patches
        read, own = tokens[:, 0], tokens[:, 1]
    else:
        read, own = tokens[:, 1:].mean(dim=1), tokens[:, 0]
    torch.testing.assert_close(label_head, model.head(read))
    torch.testing.assert_close(teacher_head, model.distillation_head(own))
    assert not torch.allclose(label_head, teacher_head)


@EACH_SHAPE
def test_the_distillation_head_teaches_the_whole_model(rng, values):
    model = build_model(ViTConfig(**values, distillation_token=True), seed=0)
    model.heads(images(rng))[1].square().sum().backward()
    untouched = {name for name, p in model.named_parameters() if p.grad is None}
    assert untouched == {"head.weight", "head.bias"}
    assert model.distillation.grad.abs().max() > 0


@EACH_SHAPE
def test_the_cost_counts_the_token_and_the_second_head(values):
    config = ViTConfig(**values, **LEARNED, distillation_token=True)
    model = build_model(config, seed=0)
    rows = 3 * config.heads * config.tokens if config.projection == "qnn" else 0
    assert model.stage_rows() == ((rows,) * config.depth if rows else ())
    plain = build_model(ViTConfig(**values, **LEARNED), seed=0)
    more = model.cost().parameters - plain.cost().parameters
    D = config.width
    assert more == D + D + D * config.classes + config.classes  # token, position, head
    assert config.parameter_matched().distillation_token


def test_the_flops_are_those_of_a_hand_count():
    config = ViTConfig(projection="linear", stem="patch", pool="mean", distillation_token=True)
    D, N = config.width, 17
    embed = 16 * D * 49
    block = 3 * N * D * config.head_width + 2 * N * N * D + N * D * D + 2 * N * D * config.mlp_width
    assert build_model(config, seed=0).cost().classical_flops == 2 * (embed + block + 2 * D * 2)
