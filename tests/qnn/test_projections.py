import copy
from dataclasses import replace

import pytest
import torch
from reference.watching import Watching
from torch import nn

from qvit_qiskit.circuits import build_circuit, ry_ring
from qvit_qiskit.exceptions import CircuitError, RouteError
from qvit_qiskit.execution import registry
from qvit_qiskit.qnn import QuantumProjections
from qvit_qiskit.simulation.exact.estimator import ExactEstimator
from qvit_qiskit.simulation.shifts import ParameterShiftGradient

HEADS, TOKENS, BATCH = 2, 3, 4


def tokens(rng, width: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.tensor(rng.uniform(-2, 2, (BATCH, TOKENS, HEADS * width)), dtype=dtype)


def one_by_one(layer: QuantumProjections, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Every projection by itself: head h reads features h·n … (h+1)·n − 1."""
    heads = x.split(layer.circuit.num_inputs, dim=-1)
    return tuple(
        torch.stack([part[h](heads[h]) for h in range(layer.heads)], dim=1)
        for part in (layer.query, layer.key, layer.value)
    )


@pytest.mark.parametrize("family", ["ry-ring", "rx-rz-ring", "reupload-ring"])
@pytest.mark.parametrize("route", ["aer-exact", "param-shift"])
def test_equal_to_its_layers_one_by_one(rng, family, route):
    """Values, input gradients and weight gradients."""
    layer = QuantumProjections(build_circuit(family, 2, 2), HEADS).double()
    if route == "param-shift":
        exact = ExactEstimator()
        shifts = ParameterShiftGradient(exact)
        layer.bind(replace(registry.default_route(), estimator=exact, gradient=shifts))
    x = tokens(rng, 2)
    weights = [torch.randn(BATCH, HEADS, TOKENS, 2, dtype=torch.float64) for _ in range(3)]

    def run(evaluate) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        layer.zero_grad()
        leaf = x.clone().requires_grad_()
        found = evaluate(leaf)
        sum((w * f).sum() for w, f in zip(weights, found, strict=True)).backward()
        return [f.detach() for f in found], [leaf.grad, *(p.grad for p in layer.parameters())]

    values, grads = run(layer)
    expected, expected_grads = run(lambda leaf: one_by_one(layer, leaf))
    assert [v.shape for v in values] == [(BATCH, HEADS, TOKENS, 2)] * 3
    for one, two in zip([*values, *grads], [*expected, *expected_grads], strict=True):
        assert torch.allclose(one, two, atol=1e-10)
    assert min(g.abs().max() for g in grads) > 1e-3


def test_one_call_with_one_pub_per_projection(rng):
    watching = Watching(ExactEstimator())
    gradient = ParameterShiftGradient(watching)
    layer = QuantumProjections(ry_ring(2, 1), HEADS)
    layer.bind(replace(registry.default_route(), estimator=watching, gradient=gradient))
    x = tokens(rng, 2)
    rows = BATCH * TOKENS
    with torch.no_grad():
        layer(x)
    assert watching.shapes == [[(2, rows)] * 6]
    out = layer(x)
    assert watching.shapes[1:] == [[(2, rows)] * 6]
    sum(o.sum() for o in out).backward()
    assert watching.shapes[2:] == [[(2, 8, rows)] * 6]  # 2 x (2 inputs + 2 weights) shifts


def test_measurements_stay_with_their_layers(rng):
    layer = QuantumProjections(ry_ring(2, 1), HEADS, registry.open("aer-shots"))
    with torch.no_grad():
        found = layer(tokens(rng, 2))
    for part, values in zip((layer.query, layer.key, layer.value), found, strict=True):
        for h in range(HEADS):
            measurement = part[h].network.last
            expected = values[:, h].reshape(-1, 2).numpy()
            assert measurement.values == pytest.approx(expected)
            assert measurement.stds == pytest.approx(((1 - expected**2) / 1024) ** 0.5, abs=1e-9)
            assert measurement.covariances.shape == (BATCH * TOKENS, 2, 2)


def test_heads_see_their_own_features(rng):
    """A change of the second head's features leaves the first head alone."""
    layer = QuantumProjections(ry_ring(2, 1), HEADS)
    x = tokens(rng, 2)
    moved = x.clone()
    moved[..., 2:] += 0.5
    for before, after in zip(layer(x), layer(moved), strict=True):
        assert torch.equal(before[:, 0], after[:, 0])
        assert not torch.allclose(before[:, 1], after[:, 1])


def test_partial_use(rng):
    """A projection that the loss does not see gets a zero gradient, the others their own."""
    layer = QuantumProjections(ry_ring(2, 1), 1).double()
    x = tokens(rng, 1)
    layer(x)[1].sum().backward()
    assert layer.query[0].weight.grad.abs().max() == 0
    assert layer.value[0].weight.grad.abs().max() == 0
    assert layer.key[0].weight.grad.abs().max() > 1e-3


def test_what_comes_back_may_be_changed_in_place(rng):
    layer = QuantumProjections(ry_ring(2, 1), HEADS)
    x = tokens(rng, 2, torch.float32).requires_grad_()
    q, k, v = layer(x)
    before = k.detach().clone()
    q *= 2
    v += 1
    assert torch.equal(k, before)
    (plain,) = torch.autograd.grad(layer(x)[0].sum(), x)
    (twice,) = torch.autograd.grad(q.sum(), x)
    assert torch.allclose(twice, 2 * plain)
    assert plain.abs().max() > 1e-3


def test_empty_batches():
    layer = QuantumProjections(ry_ring(2, 1), HEADS)
    x = torch.zeros((0, TOKENS, 4), requires_grad=True)
    found = layer(x)
    assert [f.shape for f in found] == [(0, HEADS, TOKENS, 2)] * 3
    sum(f.sum() for f in found).backward()
    assert x.grad.shape == x.shape
    assert all(p.grad.abs().max() == 0 for p in layer.parameters())


@pytest.mark.parametrize("shape", [(2, 3, 5), (3, 4), (1, 2, 3, 4)])
def test_wrong_shapes(shape):
    layer = QuantumProjections(ry_ring(2, 1), HEADS)
    with pytest.raises(CircuitError, match=r"\(B, N, 4\) for 2 heads of 2 inputs, but got \("):
        layer(torch.zeros(shape))


def test_mixed_routes_are_refused(rng):
    layer = QuantumProjections(ry_ring(2, 1), HEADS)
    layer.key[1].bind(registry.open("aer-shots"))
    with pytest.raises(RouteError, match="different routes: bind all"):
        layer(tokens(rng, 2))
    layer.bind(registry.open("aer-exact-single"))
    assert layer(tokens(rng, 2))[0].shape == (BATCH, HEADS, TOKENS, 2)


def test_rebinding_keeps_the_weights(rng):
    layer = QuantumProjections(ry_ring(2, 1), HEADS)
    before = copy.deepcopy(layer.state_dict())
    x = tokens(rng, 2)
    exact = layer(x)
    layer.bind(registry.open("aer-boston-exact"))
    with torch.no_grad():
        noisy = layer(x)
    layer.bind(registry.default_route())
    after = layer.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    for one, two, again in zip(exact, noisy, layer(x), strict=True):
        assert torch.equal(one, again)
        assert 1e-4 < (one - two).abs().max() < 0.2


@pytest.mark.parametrize("route", ["aer-shots", "aer-boston", "aer-spsa"])
def test_noisy_routes_train(rng, route):
    """Gradients arrive, and values are those of the exact route within 6 standard errors."""
    layer = QuantumProjections(ry_ring(2, 1), HEADS)
    x = tokens(rng, 2).requires_grad_()
    exact = torch.stack(layer(x))
    layer.bind(registry.open(route))
    found = torch.stack(layer(x))
    slack = 0.1 if route == "aer-boston" else 0.0
    assert (found - exact).abs().max() < 6 / 32 + slack
    assert not torch.allclose(found, exact)
    found.square().sum().backward()
    assert all(p.grad.abs().max() > 0 for p in [x, *layer.parameters()])


def test_fake_routes_evaluate(rng):
    layer = QuantumProjections(ry_ring(2, 1), 1)
    x = tokens(rng, 1)
    with torch.no_grad():
        exact = torch.stack(layer(x))
        layer.bind(registry.open("fake-boston"))
        found = torch.stack(layer(x))
    assert (found - exact).abs().max() < 6 / 32 + 0.1
    with pytest.raises(RouteError, match="only evaluates"):
        layer(x)


def test_parameters_and_names():
    layer = QuantumProjections(ry_ring(2, 1), HEADS)
    names = [f"{part}.{h}.connector.weight" for part in ("query", "key", "value") for h in (0, 1)]
    assert sorted(layer.state_dict()) == sorted(names)
    assert isinstance(layer.query, nn.ModuleList)
    assert layer.circuit is layer.value[1].circuit
    assert len({tuple(p.tolist()) for p in layer.parameters()}) == 6
