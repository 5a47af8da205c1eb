"""Modules of the user's own, trained."""

import numpy as np
import pytest
import torch
from field import strangers as s
from torch import nn

from qvit_qiskit import QuantumLinear, TrainConfig, convert, evaluate, fit, load_checkpoint
from qvit_qiskit.data.phantom import phantom
from qvit_qiskit.exceptions import CheckpointError, ConfigError, DataError, RouteError
from qvit_qiskit.training import Distillation, resume

DATA = phantom(sizes=(24, 12, 12))
TRAIN = TrainConfig(epochs=3, batch_size=8, seed=1)


def model():
    return convert(s.Around(s.stock_layer()))


def test_any_module_is_trained_kept_and_evaluated(tmp_path):
    given = model()
    before = {name: value.clone() for name, value in given.state_dict().items()}
    epochs = []
    result = fit(given, TRAIN, DATA, folder=tmp_path / "run",
                 on_epoch=lambda record, of: epochs.append((record.epoch, of)))  # fmt: skip
    assert epochs == [(1, 3), (2, 3), (3, 3)]
    assert all(torch.equal(before[name], value) for name, value in given.state_dict().items())
    assert not torch.equal(result.model.layer.weight, given.layer.weight)
    loaded = load_checkpoint(tmp_path / "run", model=model())
    assert loaded.provenance["md5"] == DATA.md5
    one, other = evaluate(result.model, DATA.test), evaluate(loaded.model, DATA.test)
    np.testing.assert_array_equal(one.logits, other.logits)
    assert one.backend == "aer-exact"


def test_the_loop_is_the_loop_of_plain_torch():
    """The slow twin: the same order of images, optimiser and learning rates, written out."""
    plain = TRAIN.model_copy(update={"augment": "none", "contrast": 0.0, "select": "last",
                                     "warmup_epochs": 0, "epochs": 2})  # fmt: skip
    result = fit(model(), plain, DATA)
    twin = model()
    images, labels = DATA.train.tensors()
    optimizer = torch.optim.AdamW(twin.parameters(), lr=plain.learning_rate,
                                  weight_decay=plain.weight_decay)  # fmt: skip
    for epoch in (1, 2):
        order = np.random.default_rng([1, epoch]).permutation(24)
        for step, batch in enumerate(np.split(order, 3)):
            progress = (epoch - 1 + step / 3) / 2
            rate = 0.5 * plain.learning_rate * (1 + np.cos(np.pi * progress))
            optimizer.param_groups[0]["lr"] = rate
            loss = nn.functional.cross_entropy(twin(images[batch]), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    for one, other in zip(result.model.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-6)


def test_an_interrupted_training_goes_on_to_the_bit(tmp_path):
    whole = fit(model(), TRAIN, DATA, folder=tmp_path / "whole")

    def stop(record, _):
        if record.epoch == 2:
            raise KeyboardInterrupt

    assert fit(model(), TRAIN, DATA, folder=tmp_path / "half", on_epoch=stop).interrupted
    with pytest.raises(CheckpointError, match="model="):
        resume(tmp_path / "half", lambda _: DATA)
    rest = resume(tmp_path / "half", lambda _: DATA, model=model())
    for one, other in zip(rest.model.parameters(), whole.model.parameters(), strict=True):
        assert torch.equal(one, other)


def test_doubles_and_classical_models():
    result = fit(s.Around(None).double(), TRAIN, DATA)
    assert next(result.model.parameters()).dtype == torch.float64


class Wrapped(nn.Module):
    """It returns something made of another model's scores."""

    def __init__(self, change):
        super().__init__()
        self.inner, self.change = model(), change

    def forward(self, images):
        return self.change(self.inner(images))


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: s.Around(s.stock_layer()), RouteError, r"convert\(model\)"),
        (lambda: s.Around(QuantumLinear(s.own_qnn()), classes=3), ConfigError, r"\(8, 2\), but"),
        (lambda: nn.Flatten(), ConfigError, "got an empty parameter list|no parameter"),
        (lambda: model().forward, ConfigError, "a torch module to train, but got <bound method"),
        (lambda: Wrapped(lambda scores: scores.detach()), ConfigError, "no gradient leads back"),
        (lambda: Wrapped(lambda scores: (scores, 1)), ConfigError, r"\(8, 2\), but got tuple"),
    ],
)
def test_what_cannot_be_trained_is_told_and_nothing_is_left(make, error, words, tmp_path):
    with pytest.raises(error, match=words):
        fit(make(), TRAIN, DATA, folder=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_what_returns_no_tensor_is_not_evaluated():
    with pytest.raises(DataError, match=r"but got dict\. Wrap it"):
        evaluate(Wrapped(lambda scores: {"logits": scores}), DATA.test)


def test_a_module_is_not_distilled_into():
    train = TRAIN.model_copy(update={"distill": Distillation(teacher="x")})
    with pytest.raises(ConfigError, match="Leave distill out"):
        fit(model(), train, DATA, teacher="x")
