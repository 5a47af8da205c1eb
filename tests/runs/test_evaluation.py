import dataclasses

import numpy as np
import pytest
import torch

from qvit_qiskit import metrics
from qvit_qiskit.data.phantom import phantom
from qvit_qiskit.data.subset import stratified_subset
from qvit_qiskit.exceptions import DataError, ProfileError
from qvit_qiskit.execution import registry
from qvit_qiskit.models import ViTConfig, build_model
from qvit_qiskit.runs import Evaluation, evaluate

SPLIT = phantom(sizes=(2, 2, 12)).test


@pytest.fixture
def model():
    return build_model(ViTConfig(width=2, heads=1, patch_size=14, stem="patch"), seed=0)


def layer(model):
    return model.blocks[0].attention.projections.query[0]


def test_exact_values_are_those_of_a_forward_pass(model):
    done = []
    result = evaluate(model, SPLIT, batch_size=5, tick=done.append)
    logits = model.eval()(SPLIT.tensors()[0]).detach().double().numpy()
    np.testing.assert_allclose(result.logits, logits, atol=1e-6)
    assert result.backend == "aer-exact"
    assert result.scores == metrics.score(SPLIT.labels, result.logits)
    np.testing.assert_array_equal(result.labels, SPLIT.labels)
    np.testing.assert_array_equal(result.predicted, logits.argmax(axis=1))
    assert result.seconds > 0
    assert done == [5, 5, 2]


def test_shots_are_noisy_drawn_by_seed_and_near_the_exact_values(model):
    exact = evaluate(model, SPLIT)
    first, again = (evaluate(model, SPLIT, "aer-shots") for _ in range(2))
    np.testing.assert_array_equal(first.logits, again.logits)
    assert (first.logits != exact.logits).any()
    # a value's deviation is below 1/32; the layers behind it hardly amplify it
    assert abs(first.logits - exact.logits).max() < 0.5


def test_an_open_route_starts_its_stream_anew(model):
    route = registry.open("aer-shots")
    first, again = (evaluate(model, SPLIT, route) for _ in range(2))
    np.testing.assert_array_equal(first.logits, again.logits)


@pytest.mark.parametrize("backend", ["aer-boston", "fake-torino"])
def test_devices_with_noise(model, backend):
    split = stratified_subset(SPLIT, 2, seed=0)
    result = evaluate(model, split, backend)
    assert result.logits.shape == (2, 2)
    assert result.backend == backend
    exact = evaluate(model, split)
    assert 0 < abs(result.logits - exact.logits).max() < 1


def test_the_models_own_route_and_mode_come_back(model):
    own = registry.open("aer-exact-single")
    layer(model).bind(own)
    model.train()
    evaluate(model, SPLIT, "aer-shots")
    assert layer(model).route is own
    assert model.training

    def stop(done):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate(model, SPLIT, "aer-shots", tick=stop)
    assert layer(model).route is own


def test_a_model_that_is_not_finite_is_refused(model):
    torch.nn.init.constant_(model.head.weight, torch.nan)
    with pytest.raises(DataError, match="NaN logits"):
        evaluate(model, SPLIT)


def test_an_unknown_backend_is_answered_with_the_nearest(model):
    with pytest.raises(ProfileError, match="Did you mean 'aer-exact'"):
        evaluate(model, SPLIT, "aer-exat")


def test_agreement_is_the_share_of_equal_answers():
    labels = np.array([0, 1, 0, 1])
    logits = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]])
    one = Evaluation("one", logits, labels, metrics.score(labels, logits), 0.0)
    other = dataclasses.replace(one, logits=logits[[0, 1, 2, 2]] * 3)
    assert one.agreement(one) == 1.0
    assert one.agreement(other) == other.agreement(one) == 0.75
