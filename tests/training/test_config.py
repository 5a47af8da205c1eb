import pytest
from pydantic import ValidationError

from qvit_qiskit.exceptions import ConfigError
from qvit_qiskit.training import TrainConfig


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"epoch": 3}, "Unknown training option 'epoch'. Did you mean 'epochs'"),
        ({"epochs": 0}, "epochs: .* but got 0"),
        ({"epochs": 2.5}, "epochs: .* but got 2.5"),
        ({"batch_size": -1}, "batch_size: .* but got -1"),
        ({"learning_rate": 0.0}, "learning_rate: .* but got 0.0"),
        ({"learning_rate": float("nan")}, "learning_rate: .* but got nan"),
        ({"weight_decay": -0.1}, "weight_decay: .* but got -0.1"),
        ({"weight_decay": float("inf")}, "weight_decay: .* but got inf"),
        ({"subset": 1}, "subset: .* but got 1"),
        ({"seed": -1}, "seed: .* but got -1"),
        ({"seed": 2**63}, "seed: .* but got 9223372036854775808"),
        ({"warmup_epochs": -1}, "warmup_epochs: .* but got -1"),
    ],
)
def test_values_that_do_not_fit_are_refused_in_one_sentence(values, words):
    with pytest.raises(ConfigError, match=words) as caught:
        TrainConfig.create(**values)
    assert "\n" not in str(caught.value)


def test_a_config_is_frozen_and_survives_a_dump():
    config = TrainConfig(dataset="breastmnist", subset=20, class_weights=True, seed=2**63 - 1)
    assert TrainConfig.create(**config.model_dump()) == config
    with pytest.raises(ValidationError):
        config.epochs = 2
