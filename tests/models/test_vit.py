import itertools

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, scaled_dot_product_attention

from qvit_qiskit.exceptions import ConfigError, DataError
from qvit_qiskit.models import ViTConfig, build_model
from qvit_qiskit.models.vit import Attention
from qvit_qiskit.qnn import QuantumLinear


def images(rng, config, count=2):
    shape = (count, config.channels, config.image_size, config.image_size)
    return torch.tensor(rng.uniform(-1, 1, shape), dtype=torch.float32)


def close(actual, expected):
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize(
    ("projection", "patch", "heads", "depth", "pool"),
    [
        *itertools.product(["linear"], [4, 7, 14], [1, 2, 4], [1, 3], ["mean", "cls"]),
        ("qnn", 4, 4, 1, "mean"),
        ("qnn", 7, 2, 2, "cls"),
        ("qnn", 14, 1, 1, "cls"),
        ("qnn", 14, 4, 3, "mean"),
    ],
)
def test_images_become_logits(rng, projection, patch, heads, depth, pool):
    config = ViTConfig(
        channels=3, classes=5, projection=projection, patch_size=patch, heads=heads, depth=depth,
        pool=pool, width=4,
    )  # fmt: skip
    model = build_model(config, seed=0)
    logits = model(images(rng, config))
    assert logits.shape == (2, 5)
    assert logits.dtype == torch.float32
    logits.sum().backward()
    assert all(p.grad is not None for p in model.parameters())


@pytest.mark.parametrize("pool", ["mean", "mean-max", "cls"])
@pytest.mark.parametrize("token", [False, True])
@pytest.mark.parametrize("side", [2, 4, 7])
def test_conv_stem_axial_positions_and_pools(rng, pool, token, side):
    """Every weight is used; patches are read where they are."""
    config = ViTConfig(
        classes=3, stem="conv", patch_size=28 // side, stem_width=3, position="axial", pool=pool,
        width=4, heads=1, distillation_token=token, projection="linear",
    )  # fmt: skip
    model = build_model(config, seed=0)
    picture = images(rng, config)
    heads = model.heads(picture)
    assert [tuple(logits.shape) for logits in heads] == [(2, 3)] * (1 + token)
    sum(logits.sum() for logits in heads).backward()
    assert all(p.grad is not None for p in model.parameters())
    patches = model.embed(picture).flatten(2).transpose(1, 2)
    assert patches.shape == (2, config.side**2, 4) == (2, side**2, 4)
    here = (model.rows + model.columns).flatten(0, 1)
    close(here[side + 1], model.rows[1, 0] + model.columns[0, 1])
    close(here[1], model.rows[0, 0] + model.columns[0, 1])
    tokens = torch.randn(2, config.tokens, 4)
    pooled = model._pool(tokens)  # noqa: SLF001 - a step that nothing public does alone
    own = tokens[:, config.extra_tokens :]
    if pool == "cls":
        close(pooled, tokens[:, 0])
    else:
        close(pooled[:, :4], own.mean(dim=1))
    if pool == "mean-max":
        close(pooled[:, 4:], own.max(dim=1).values)
    assert config.parameter_matched() is config


def test_a_conv_stem_needs_patches_that_it_can_make():
    with pytest.raises(ConfigError, match="choose patch_size 2, 4, 7 or 14, or stem 'patch'"):
        ViTConfig.create(patch_size=1)


@pytest.mark.parametrize("size", [4, 7, 14])
def test_tokens_of_a_conv_stem_see_their_patch(size):
    """A pixel moves the token of its own patch, and none that is further than a neighbour."""
    model = build_model(ViTConfig(stem="conv", patch_size=size), seed=0)
    side = 28 // size
    for row, column in ((0, 0), (13, 16), (27, 27)):
        picture = torch.zeros(2, 1, 28, 28)
        picture[1, 0, row, column] = 1.0
        found = model.embed(picture)
        moved = (found[1] - found[0]).abs().amax(dim=0) > 1e-6
        assert moved[row // size, column // size]
        far = [
            (a, b) for a in range(side) for b in range(side)
            if max(abs(a - row // size), abs(b - column // size)) > 1
        ]  # fmt: skip
        assert not any(moved[place] for place in far)


@pytest.mark.parametrize("shape", [(2, 3, 28, 28), (2, 1, 28, 27), (2, 1, 64, 64), (2, 28, 28)])
def test_other_shapes_of_images_are_refused(shape):
    model = build_model(ViTConfig(width=2, heads=1, patch_size=14), seed=0)
    with pytest.raises(DataError, match=r"Expected images of shape \(B, 1, 28, 28\)"):
        model(torch.zeros(shape))


def test_the_position_of_a_patch_matters(rng):
    config = ViTConfig(projection="linear", patch_size=14, position="learned", stem="patch")
    model = build_model(config, seed=0)
    picture = images(rng, config)
    moved = picture.roll(14, dims=-1)  # swaps whole patches
    assert not torch.allclose(model(picture), model(moved), atol=1e-4)
    nn.init.zeros_(model.position)
    close(model(picture), model(moved))


def test_images_of_a_batch_do_not_see_each_other(rng):
    config = ViTConfig(width=4, heads=2, patch_size=14)
    model = build_model(config, seed=0)
    batch = images(rng, config, 3)
    close(model(batch), torch.cat([model(one[None]) for one in batch]))


def test_a_class_token_is_what_the_head_reads(rng):
    config = ViTConfig(projection="linear", patch_size=14, pool="cls")
    model = build_model(config, seed=0)
    seen = {}
    model.norm.register_forward_hook(lambda *args: seen.update(tokens=args[2]))
    logits = model(images(rng, config))
    assert seen["tokens"].shape == (2, 5, 8)
    close(logits, model.head(seen["tokens"][:, 0]))


# --- attention -------------------------------------------------------------------------------


@pytest.mark.parametrize("heads", [1, 2, 4])
def test_linear_attention_is_torchs_with_block_diagonal_weights(rng, heads):
    torch.manual_seed(0)
    ours = Attention(ViTConfig(projection="linear", width=8, heads=heads))
    theirs = nn.MultiheadAttention(8, heads, batch_first=True)
    blocks = [torch.block_diag(*part) for part in ours.projections.weight]  # Q, K, V, each (8, 8)
    theirs.load_state_dict(
        {
            "in_proj_weight": torch.cat(blocks),
            "in_proj_bias": torch.zeros(24),
            "out_proj.weight": ours.out.weight,
            "out_proj.bias": ours.out.bias,
        }
    )
    x = torch.tensor(rng.normal(size=(3, 5, 8)), dtype=torch.float32)
    close(ours(x), theirs(x, x, x, need_weights=False)[0])

    q, k, v = ours.projections(x)
    assert q.shape == (3, heads, 5, 8 // heads)
    mixed = scaled_dot_product_attention(q, k, v)
    close(ours(x), ours.out(mixed.transpose(1, 2).reshape(3, 5, 8)))


class ByHand(nn.Module):
    """Quantum attention, head by head, every projection on its own."""

    def __init__(self, attention):
        super().__init__()
        source = attention.projections
        self.heads, self.out = source.heads, attention.out
        self.parts = nn.ModuleList()
        for layer in (*source.query, *source.key, *source.value):
            copy = QuantumLinear(source.circuit)
            copy.load_state_dict(layer.state_dict())
            self.parts.append(copy)

    def forward(self, x):
        results = []
        for head, features in enumerate(x.chunk(self.heads, dim=-1)):
            q, k, v = (layer(features) for layer in self.parts[head :: self.heads])
            weights = torch.softmax(q @ k.transpose(1, 2) / features.shape[-1] ** 0.5, dim=-1)
            results.append(weights @ v)
        return self.out(torch.cat(results, dim=-1))


@pytest.mark.parametrize("heads", [1, 2])
def test_a_qvit_is_one_built_by_hand_from_quantum_linears(rng, heads):
    config = ViTConfig(width=4, heads=heads, patch_size=14, depth=2, classes=3)
    model, twin = build_model(config, seed=1), build_model(config, seed=1)
    for block in twin.blocks:
        block.attention = ByHand(block.attention)
    batch, labels = images(rng, config), torch.tensor([0, 2])
    close(model(batch), twin(batch))
    for one in (model, twin):
        cross_entropy(one(batch), labels).backward()
    close(model.embed[0].weight.grad, twin.embed[0].weight.grad)
    attention, by_hand = model.blocks[0].attention.projections, twin.blocks[0].attention.parts
    assert attention.query[0].weight.grad.abs().max() > 0
    for layer, copy in zip(
        (*attention.query, *attention.key, *attention.value), by_hand, strict=True
    ):
        close(layer.weight.grad, copy.weight.grad)


# --- seeds -----------------------------------------------------------------------------------


@pytest.mark.parametrize("projection", ["linear", "qnn"])
def test_a_seed_decides_the_weights_and_leaves_the_global_generator_alone(projection):
    config = ViTConfig(projection=projection, patch_size=14, pool="cls")
    before = torch.random.get_rng_state()
    first, again, other = (build_model(config, seed=s).state_dict() for s in (3, 3, 4))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["rows"], other["rows"])
    learnt = [name for name in first if "projections" in name]
    assert learnt
    assert not any(torch.equal(first[name], other[name]) for name in learnt)


def test_without_a_seed_the_global_generator_decides():
    config = ViTConfig(projection="linear")
    torch.manual_seed(5)
    first, second = build_model(config), build_model(config)
    torch.manual_seed(5)
    again = build_model(config)
    assert torch.equal(first.rows, again.rows)
    assert not torch.equal(first.rows, second.rows)
