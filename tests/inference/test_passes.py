"""A pass with corrections: what it records, what it adds, what it refuses."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
import torch
from qiskit.primitives import BaseEstimatorV2
from torch import Tensor, nn

from qvit_qiskit.circuits import build_circuit
from qvit_qiskit.comparison.attribution import residuals
from qvit_qiskit.comparison.rungs import shots_estimator
from qvit_qiskit.exceptions import DataError, JobError
from qvit_qiskit.execution import registry
from qvit_qiskit.inference.passes import run_pass
from qvit_qiskit.inference.prediction import predict
from qvit_qiskit.models import ViT, ViTConfig, build_model
from qvit_qiskit.qnn import QuantumLinear


@pytest.fixture(scope="module")
def model() -> ViT:
    return build_model(ViTConfig(patch_size=14, depth=2, width=4, heads=2), seed=0)


@pytest.fixture
def images(rng: np.random.Generator) -> Tensor:
    return torch.from_numpy(rng.normal(size=(5, 1, 28, 28)))


@pytest.fixture(scope="module")
def exact() -> BaseEstimatorV2:
    return registry.open("aer-exact").estimator


class Counted(BaseEstimatorV2):
    """Another estimator, with the rows that it was asked."""

    def __init__(self, inner: BaseEstimatorV2) -> None:
        self.inner = inner
        self.asked: list[list[np.ndarray]] = []

    def run(self, pubs: Iterable[Any], *, precision: float | None = None) -> Any:
        pubs = list(pubs)
        self.asked.append([np.asarray(values) for _, _, values in pubs])
        return self.inner.run(pubs)


def test_an_exact_pass_is_the_model(model: ViT, images: Tensor, exact: BaseEstimatorV2) -> None:
    model.train()
    for batch in (1, 2, 64):
        found = run_pass(model, images, exact, batch_size=batch)
        np.testing.assert_allclose(found.logits, predict(model, images), atol=1e-5)
        assert found.executed == []
        assert [len(layer) for layer in found.layers] == [6, 6]
        for out in (o for layer in found.layers for o in layer):
            assert out.values.shape == (5 * 4, 2)
            assert not out.covariances.any()
    assert model.training


def test_rows_are_recorded_in_image_order(
    model: ViT, images: Tensor, exact: BaseEstimatorV2
) -> None:
    whole = run_pass(model, images, exact)
    parts = run_pass(model, images, exact, batch_size=2)
    alone = run_pass(model, images[3:4], exact)
    for k, out in enumerate(whole.layers[1]):
        np.testing.assert_allclose(parts.layers[1][k].parameters, out.parameters, atol=1e-5)
        np.testing.assert_allclose(alone.layers[1][k].values, out.values[12:16], atol=1e-5)


@pytest.mark.parametrize("batch", [2, 64])
def test_recorded_errors_give_the_recorded_logits(
    model: ViT, images: Tensor, exact: BaseEstimatorV2, batch: int
) -> None:
    """The primitive's purpose: outputs with shots, replayed as corrections of exact ones."""
    measured = run_pass(model, images, shots_estimator(50, 3), once=True)
    deltas = residuals(exact, measured.executed, measured.layers)
    again = run_pass(model, images, exact, deltas, batch)
    np.testing.assert_allclose(again.logits, measured.logits, atol=1e-5)
    assert np.abs(again.logits - predict(model, images)).max() > 1e-3
    first = run_pass(model, images, exact).values[0]
    quick = run_pass(model, images, exact, deltas, batch, first=first, notes=False)
    np.testing.assert_allclose(quick.logits, measured.logits, atol=1e-5)
    assert quick.layers == []


def test_a_layer_without_corrections_adds_nothing(
    model: ViT, images: Tensor, exact: BaseEstimatorV2
) -> None:
    plain = run_pass(model, images, exact)
    zeros = [[np.zeros_like(v) for v in layer] for layer in plain.values]
    for deltas in (zeros, [None, zeros[1]], [None, None]):
        found = run_pass(model, images, exact, deltas)
        np.testing.assert_array_equal(found.logits, plain.logits)
    moved = [[np.full_like(v, 0.3) for v in plain.values[0]], None]
    found = run_pass(model, images, exact, moved)
    assert not np.allclose(found.logits, plain.logits, atol=1e-4)
    for out, before in zip(found.layers[0], plain.values[0], strict=True):
        np.testing.assert_allclose(out.values, before + 0.3, atol=1e-12)


def test_known_outputs_need_no_engine(images: Tensor, exact: BaseEstimatorV2) -> None:
    shallow = build_model(ViTConfig(patch_size=14, width=4, heads=2), seed=0)
    plain = run_pass(shallow, images, exact)
    counted = Counted(exact)
    found = run_pass(shallow, images, counted, first=plain.values[0])
    np.testing.assert_array_equal(found.logits, plain.logits)
    assert counted.asked == []


def test_equal_rows_run_once_and_share_their_shots(
    model: ViT, images: Tensor, exact: BaseEstimatorV2
) -> None:
    twice = torch.cat([images, images[:2]])
    counted = Counted(shots_estimator(50, 0))
    found = run_pass(model, twice, counted, once=True)
    assert [sum(len(rows) for rows in call) for call in counted.asked] == [5 * 4 * 6] * 2
    for values in (v for call in counted.asked for v in call):
        assert (values[:, 2:] == values[:1, 2:]).all()  # one set of weights for each PUB
    np.testing.assert_array_equal(found.logits[5:], found.logits[:2])
    assert [len(rows.groups) for rows in found.executed] == [1, 1]
    apart = run_pass(model, twice, shots_estimator(50, 0), batch_size=5, once=True)
    assert len(apart.executed[0].groups[0].rows) == 7 * 4 * 6
    assert not np.array_equal(apart.logits[5:], apart.logits[:2])
    group, index = apart.executed[1].pubs[4]
    np.testing.assert_array_equal(
        apart.executed[1].groups[group].rows[index], apart.layers[1][4].parameters
    )
    once = run_pass(model, twice, exact, once=True)
    np.testing.assert_allclose(once.logits, run_pass(model, twice, exact).logits, atol=1e-6)


class Mine(nn.Module):
    """A model of one's own with two quantum layers of different circuits."""

    def __init__(self, calls: int = 2) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.one = QuantumLinear(build_circuit("ry-chain", 2, 1))
        self.two = QuantumLinear(build_circuit("ry-ring", 2, 1))
        self.calls = calls

    def forward(self, x: Tensor) -> Tensor:
        x = self.one(x)
        return self.two(torch.tanh(x)) if self.calls == 2 else x


def test_any_module(exact: BaseEstimatorV2, rng: np.random.Generator) -> None:
    x = torch.from_numpy(rng.normal(size=(3, 2)))
    found = run_pass(Mine(), x, exact, batch_size=2)
    np.testing.assert_allclose(found.logits, Mine()(x).detach(), atol=1e-6)
    assert [len(layer) for layer in found.layers] == [1, 1]


def test_what_it_refuses(exact: BaseEstimatorV2) -> None:
    x = torch.zeros(3, 2)
    with pytest.raises(JobError, match="no quantum layer"):
        run_pass(nn.Linear(2, 2), x, exact)
    deltas = [[np.zeros((3, 2))], [np.zeros((3, 2))]]
    wrong: list[Any] = [
        deltas[:1],
        [*deltas, deltas[0]],
        [[np.zeros((2, 2))], None],
        [[np.zeros((4, 2))], None],
        [[np.zeros((3, 1))], None],
        [[], None],
    ]
    for these in wrong:
        with pytest.raises(JobError, match="not those of the recorded run"):
            run_pass(Mine(), x, exact, these)
    with pytest.raises(JobError, match="not those of the recorded run"):
        run_pass(Mine(1), x, exact, deltas)

    class Broken(Mine):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) / 0 * 0

    with pytest.raises(DataError, match="NaN logits"):
        run_pass(Broken(), x, exact)
