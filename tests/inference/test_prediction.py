import numpy as np
import pytest
import torch
from torch import nn

from qvit_qiskit.exceptions import DataError
from qvit_qiskit.inference.prediction import check_logits, predict


class Model(nn.Module):
    """Notes what it sees."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 3)
        self.seen = []

    def forward(self, x):
        self.seen.append((len(x), self.training, torch.is_grad_enabled()))
        return self.linear(x.flatten(1))


@pytest.fixture
def images(rng):
    return torch.tensor(rng.normal(size=(7, 1, 2, 2)), dtype=torch.float32)


def test_logits_of_all_images_in_order(images):
    model, done = Model(), []
    logits = predict(model, images, batch_size=3, tick=done.append)
    assert logits.dtype == np.float64
    expected = model.linear(images.flatten(1)).detach().double().numpy()
    np.testing.assert_allclose(logits, expected, rtol=1e-6)
    assert [count for count, *_ in model.seen] == done == [3, 3, 1]


@pytest.mark.parametrize(
    ("pixels", "batches"), [(28, [256, 44]), (40, [125, 125, 50]), (64, [64, 64, 64, 64, 44])]
)
def test_batches_of_large_images_are_smaller(pixels, batches):
    model, images = Model(), torch.zeros(300, 1, pixels, pixels)
    model.linear = nn.Linear(pixels**2, 3)
    assert predict(model, images).shape == (300, 3)
    assert [count for count, *_ in model.seen] == batches


@pytest.mark.parametrize(("shape", "batches"), [((700, 4), [256, 256, 188]), ((0, 4), [])])
def test_rows_of_features_are_small_images(shape, batches):
    model = Model()
    predict(model, torch.zeros(shape))
    assert [count for count, *_ in model.seen] == batches


@pytest.mark.parametrize("training", [True, False])
def test_evaluation_mode_without_gradients_and_the_mode_comes_back(images, training):
    model = Model().train(training)
    predict(model, images)
    assert model.seen == [(7, False, False)]
    assert model.training is training


def test_the_mode_comes_back_after_an_error(images):
    model = Model()
    with pytest.raises(RuntimeError):
        predict(model, images[..., :1])
    assert model.training


def test_several_labels_want_one_score_each():
    labels = np.zeros((3, 5), np.int64)
    check_logits(np.zeros((3, 5)), labels, 5)
    with pytest.raises(DataError, match=r"one score per label from the model, shape \(3, 5\)"):
        check_logits(np.zeros((3, 4)), labels, 5)
    with pytest.raises(DataError, match="NaN"):
        check_logits(np.full((3, 5), np.nan), labels, 5)
