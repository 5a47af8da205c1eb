import copy
import math

import numpy as np
import pytest
import torch
from reference import dense

from qvit_qiskit.circuits import build_circuit, ry_ring
from qvit_qiskit.exceptions import CircuitError
from qvit_qiskit.execution import registry
from qvit_qiskit.qnn import QuantumLinear


@pytest.mark.parametrize("shape", [(), (1,), (5,), (2, 3), (2, 1, 4), (0,), (2, 0)])
def test_any_leading_shape(rng, shape):
    """Row by row the dense twin's values, in the place where the row stood."""
    layer = QuantumLinear(build_circuit("rx-rz-ring", 2, 1)).double()
    x = torch.tensor(rng.uniform(-2, 2, (*shape, 2)), requires_grad=True)
    out = layer(x)
    assert out.shape == (*shape, 2)
    rows = x.detach().numpy().reshape(-1, 2)
    points = np.hstack([rows, np.tile(layer.weight.detach().numpy(), (len(rows), 1))])
    if len(rows):
        expected = dense.values(layer.circuit.canonical, layer.circuit.observables, points)
        np.testing.assert_allclose(out.detach().numpy().reshape(-1, 2), expected, atol=1e-12)
    out.sum().backward()
    assert x.grad.shape == x.shape


def test_gradients_of_tokens(rng):
    layer = QuantumLinear(ry_ring(2, 2)).double()
    x = torch.tensor(rng.uniform(-2, 2, (2, 3, 2)), requires_grad=True)
    assert torch.autograd.gradcheck(layer, (x,), atol=1e-8, rtol=1e-6)


def test_memory_order_does_not_matter(rng):
    layer = QuantumLinear(ry_ring(2, 2)).double()
    x = torch.tensor(rng.uniform(-2, 2, (2, 3, 4)))
    view = x.transpose(1, 2)[:, :, :2]
    assert torch.equal(layer(view), layer(view.contiguous()))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16])
def test_dtypes_are_kept(dtype):
    layer = QuantumLinear(ry_ring(2, 1))
    out = layer(torch.zeros((3, 2), dtype=dtype))
    assert out.dtype == dtype
    layer(torch.zeros((3, 2))).sum().backward()
    assert layer.weight.grad.dtype == layer.weight.dtype == torch.float32


@pytest.mark.parametrize("shape", [(3,), (2, 1), (4, 2, 3)])
def test_wrong_width(shape):
    layer = QuantumLinear(ry_ring(2, 1))
    with pytest.raises(CircuitError, match=r"last dimension of 2 .*, but got a tensor of shape \("):
        layer(torch.zeros(shape))


def test_angles_that_are_not_finite():
    layer = QuantumLinear(ry_ring(2, 1))
    x = torch.zeros((2, 3, 2))
    x[1, 2, 0] = torch.nan
    with pytest.raises(CircuitError, match="row 5 holds NaN"):
        layer(x)
    with torch.no_grad(), pytest.raises(CircuitError, match="row 5 holds NaN"):
        layer(x)


def test_weights_are_uniform_angles():
    """Of 4,000 weights; a bin of ten deviates by 5 standard errors at one seed in 170,000."""
    torch.manual_seed(3)
    weights = QuantumLinear(ry_ring(4, 1000)).weight.detach()
    assert weights.abs().max() <= math.pi
    counts = torch.histc(weights, 10, -math.pi, math.pi)
    assert (counts - 400).abs().max() < 5 * math.sqrt(4000 * 0.1 * 0.9)


def test_the_seed_decides_the_weights():
    circuit = ry_ring(2, 1)
    torch.manual_seed(1)
    one, other = QuantumLinear(circuit), QuantumLinear(circuit)
    torch.manual_seed(1)
    again = QuantumLinear(circuit)
    assert torch.equal(one.weight, again.weight)
    assert not torch.equal(one.weight, other.weight)


def test_state(rng):
    """One entry, under the name that checkpoints use."""
    circuit = ry_ring(2, 1)
    one, other = QuantumLinear(circuit), QuantumLinear(circuit)
    assert list(one.state_dict()) == ["connector.weight"]
    assert len(list(one.parameters())) == 1
    other.load_state_dict(one.state_dict())
    x = torch.tensor(rng.uniform(-2, 2, (3, 2)))
    assert torch.equal(one(x), other(x))
    with pytest.raises(RuntimeError, match="size mismatch"):
        QuantumLinear(ry_ring(2, 2)).load_state_dict(one.state_dict())


def test_copies(rng):
    """Weights apart, circuit and route shared."""
    one = QuantumLinear(ry_ring(2, 1), registry.open("aer-exact-single"))
    other = copy.deepcopy(one)
    x = torch.tensor(rng.uniform(-2, 2, (3, 2)), requires_grad=True)
    assert torch.equal(one(x), other(x))
    assert other.circuit is one.circuit
    assert other.route is one.route
    assert other.network is not one.network
    with torch.no_grad():
        other.weight.add_(1.0)
    assert not torch.allclose(one(x), other(x))
    other(x).sum().backward()
    assert one.weight.grad is None
    assert other.weight.grad is not None


def test_a_layer_learns():
    """Adam finds the weight that turns ⟨Z⟩ from 1 to −1."""
    layer = QuantumLinear(ry_ring(1, 1))
    with torch.no_grad():
        layer.weight.fill_(0.5)
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.3)
    for _ in range(60):
        optimizer.zero_grad()
        loss = layer(torch.zeros(1, 1)).sum()
        loss.backward()
        optimizer.step()
    assert loss < -0.99


def test_representation():
    layer = QuantumLinear(ry_ring(2, 3))
    assert "ry-ring, inputs=2, weights=6, route=aer-exact" in repr(layer)


def test_rebinding_keeps_the_weights(rng):
    layer = QuantumLinear(ry_ring(2, 1))
    weight, before = layer.weight, layer.weight.tolist()
    x = torch.tensor(rng.uniform(-2, 2, (50, 2)))
    exact = layer(x)
    layer.bind(registry.open("aer-shots"))
    assert layer.weight is weight
    assert layer.weight.tolist() == before
    assert layer.route.name == "aer-shots"
    noisy = layer(x)
    assert not torch.allclose(noisy, exact)
    assert (noisy - exact).abs().max() < 6 / 32  # 6 standard errors of 1,024 shots at most
