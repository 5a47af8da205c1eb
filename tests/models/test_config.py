import json

import pytest
from pydantic import ValidationError

from qvit_qiskit.exceptions import ConfigError
from qvit_qiskit.models import ViTConfig, build_model


@pytest.mark.parametrize(("patch", "tokens"), [(4, 49), (7, 16), (14, 4), (28, 1)])
def test_tokens_are_patches_and_a_class_token(patch, tokens):
    assert ViTConfig(patch_size=patch).tokens == tokens
    assert ViTConfig(patch_size=patch, pool="cls").tokens == tokens + 1


def test_sizes_that_follow_from_others():
    config = ViTConfig(width=12, heads=4, mlp_ratio=1.5)
    assert (config.head_width, config.mlp_width) == (3, 18)
    assert ViTConfig(width=2, heads=1, mlp_ratio=0.01).mlp_width == 1
    assert [ViTConfig(projection=p).name for p in ("qnn", "linear")] == ["qvit", "vit"]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"widht": 8}, "Unknown model option 'widht'. Did you mean 'width'"),
        ({"patch_size": 5}, "does not divide image_size 28; choose 2, 4, 7 or 14"),
        ({"width": 8, "heads": 3}, "choose a width that is a multiple"),
        ({"width": 21, "heads": 1}, "21 qubits per head.* up to 21 of them, are more than the 20"),
        ({"width": 40, "heads": 1}, "choose a circuit of local gates .ry-chain, cz-ring,"),
        (
            {"width": 64, "heads": 1, "circuit": "ry-chain", "circuit_layers": 10},
            "fewer circuit_layers",
        ),
        ({"circuit": "ry-rign"}, "Did you mean 'ry-ring'"),
        ({"pool": "max"}, "pool: Input should be 'mean', 'mean-max' or 'cls', but got 'max'"),
        ({"projection": "cnn"}, "projection: .* but got 'cnn'"),
        ({"classes": 1}, "classes: .* but got 1"),
        ({"mlp_ratio": 0}, "mlp_ratio: .* but got 0"),
        ({"mlp_ratio": float("inf")}, "mlp_ratio: .* but got inf"),
        ({"depth": 0}, "depth: .* but got 0"),
        ({"width": "wide"}, "width: .* but got 'wide'"),
    ],
)
def test_values_that_do_not_fit_are_refused_in_one_sentence(values, words):
    with pytest.raises(ConfigError, match=words) as caught:
        ViTConfig.create(**values)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("circuit", ["ry-chain", "cz-ring", "lattice", "square-lattice"])
def test_heads_of_local_gates_may_be_wide(circuit):
    assert ViTConfig.create(width=64, heads=1, circuit=circuit).head_width == 64


def test_what_only_circuits_need_is_not_asked_of_a_classical_model():
    config = ViTConfig.create(projection="linear", width=64, heads=1, circuit="none of ours")
    assert config.head_width == 64


def test_a_config_is_frozen_and_survives_json():
    config = ViTConfig(channels=3, classes=8, pool="cls", circuit="rx-rz-ring")
    assert ViTConfig.create(**json.loads(config.model_dump_json())) == config
    with pytest.raises(ValidationError):
        config.width = 4


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"patch_size": 4, "width": 16, "heads": 4},
        {"patch_size": 14, "width": 12, "heads": 2, "pool": "cls"},
        {"width": 16, "heads": 2, "depth": 3, "mlp_ratio": 2.0},
        {"width": 8, "heads": 1, "mlp_ratio": 4.0, "circuit": "rx-rz-ring"},
        {"channels": 3, "classes": 5, "circuit": "reupload-ring", "circuit_layers": 3},
    ],
)
def test_the_matched_classical_model_has_as_many_parameters_within_3_percent(values):
    config = ViTConfig(**values)
    matched = config.parameter_matched()
    quantum, classical = (
        sum(p.numel() for p in build_model(c, seed=0).parameters()) for c in (config, matched)
    )
    assert classical == pytest.approx(quantum, rel=0.03)
    changed = {"projection": "linear", "mlp_ratio": matched.mlp_ratio}
    assert matched == config.model_copy(update=changed)
    assert matched.parameter_matched() is matched


def test_matching_uses_the_mlp():
    config = ViTConfig(width=16, heads=2, mlp_ratio=2.0)
    # 3 * 2 * (8 * 8 - 2 * 8) = 288 more weights; a hidden unit is 2 * 16 + 1 = 33 of them
    assert config.parameter_matched().mlp_width == config.mlp_width - round(288 / 33)
