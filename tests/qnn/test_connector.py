import copy

import numpy as np
import pytest
import torch
from qiskit_machine_learning.connectors import TorchConnector
from qiskit_machine_learning.neural_networks import EstimatorQNN
from reference.stock import stock_network
from torch.autograd import gradcheck

from qvit_qiskit.circuits import QNNCircuit, build_circuit, ry_ring
from qvit_qiskit.exceptions import CircuitError
from qvit_qiskit.execution import registry
from qvit_qiskit.qnn import BroadcastEstimatorQNN, QNNConnector, QuantumLinear

KINDS = ["pullback", "jacobian"]


def network(kind: str, circuit: QNNCircuit) -> EstimatorQNN:
    """Ours with its own pullback, or a plain stock network that only has Jacobians."""
    if kind == "jacobian":
        return stock_network(circuit)
    return BroadcastEstimatorQNN(circuit, registry.default_route())


def connector(kind: str, circuit: QNNCircuit, dtype: torch.dtype = torch.float64) -> QNNConnector:
    weights = np.linspace(-1, 1.5, circuit.num_weights)
    return QNNConnector(network(kind, circuit), weights).to(dtype)


def rows_of(rng: np.random.Generator, *shape: int, dtype: torch.dtype = torch.float64):
    return torch.tensor(rng.uniform(-2, 2, shape), dtype=dtype, requires_grad=True)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rows", [1, 3])
def test_gradcheck(rng, kind, rows):
    layer = connector(kind, ry_ring(2, 2))
    x = rows_of(rng, rows, 2)
    w = layer.weight.detach().clone().requires_grad_()

    def function(x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(layer, {"weight": w}, (x,))

    assert gradcheck(function, (x, w), atol=1e-8, rtol=1e-6)
    assert gradcheck(lambda x: layer(x).square().sum(), (x,), atol=1e-8, rtol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_equal_to_the_stock_network(rng, kind):
    circuit = build_circuit("rx-rz-ring", 2, 1)
    layer = connector(kind, circuit)
    x, g = rows_of(rng, 4, 2), torch.tensor(rng.normal(size=(4, 2)))
    out = layer(x)
    out.backward(g)
    point = x.detach().numpy(), layer.weight.detach().numpy()
    stock = stock_network(circuit)
    by_input, by_weight = stock.backward(*point)
    np.testing.assert_allclose(out.detach().numpy(), stock.forward(*point), atol=1e-12)
    np.testing.assert_allclose(x.grad, np.einsum("rk,rkn->rn", g, by_input), atol=1e-10)
    np.testing.assert_allclose(layer.weight.grad, np.einsum("rk,rkw->w", g, by_weight), atol=1e-10)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("of_input", [torch.float32, torch.float64])
@pytest.mark.parametrize("of_weight", [torch.float32, torch.float64])
def test_dtypes_are_kept(rng, kind, of_input, of_weight):
    """The stock connector returns float32 whatever comes in."""
    layer = connector(kind, ry_ring(2, 1), of_weight)
    x = rows_of(rng, 3, 2, dtype=of_input)
    out = layer(x)
    out.sum().backward()
    assert (out.dtype, x.grad.dtype, layer.weight.grad.dtype) == (of_input, of_input, of_weight)
    stock = TorchConnector(stock_network(ry_ring(2, 1)))
    assert stock(rows_of(rng, 3, 2)).dtype == torch.float32


@pytest.mark.parametrize("kind", KINDS)
def test_double_precision_is_not_lost(rng, kind):
    """Values of a float64 layer are good to 1e-12, where float32 would stop at 1e-7."""
    circuit = ry_ring(2, 1)
    layer = connector(kind, circuit)
    x = rows_of(rng, 5, 2)
    angles = x.detach().numpy() + layer.weight.detach().numpy()
    expected = np.stack([np.cos(angles[:, 0]), np.cos(angles).prod(axis=1)], axis=1)
    np.testing.assert_allclose(layer(x).detach().numpy(), expected, atol=1e-12)


def test_weights_are_stored_once():
    """The stock connector's state dict has them twice."""
    circuit = ry_ring(2, 1)
    layer = connector("pullback", circuit)
    assert list(layer.state_dict()) == ["weight"]
    assert [name for name, _ in layer.named_parameters()] == ["weight"]
    assert layer.weight is dict(layer.named_parameters())["weight"]
    stock = TorchConnector(stock_network(circuit))
    assert sorted(stock.state_dict()) == ["_weights", "weight"]
    other = connector("pullback", circuit)
    with torch.no_grad():
        other.weight.zero_()
    other.load_state_dict(layer.state_dict())
    assert torch.equal(other.weight, layer.weight)


def test_initial_weights():
    circuit = ry_ring(2, 1)
    given = QNNConnector(network("pullback", circuit), np.array([0.25, -0.5]))
    assert given.weight.tolist() == [0.25, -0.5]
    drawn = QNNConnector(network("pullback", circuit))
    assert drawn.weight.shape == (2,)
    assert drawn.weight.abs().max() <= 1
    assert len(set(drawn.weight.tolist())) == 2


@pytest.mark.parametrize("kind", KINDS)
def test_empty_batches(kind):
    layer = connector(kind, ry_ring(2, 1))
    x = torch.zeros((0, 2), dtype=torch.float64, requires_grad=True)
    out = layer(x)
    assert out.shape == (0, 2)
    out.sum().backward()
    assert x.grad.shape == (0, 2)
    assert layer.weight.grad.tolist() == [0, 0]
    with torch.no_grad():
        assert layer(x).shape == (0, 2)


class Counting:
    """Counts what is asked of a network."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, asked: EstimatorQNN) -> None:
        self.calls: list[str] = []
        for name in ("forward", "backward", "vjp"):
            if hasattr(asked, name):
                monkeypatch.setattr(asked, name, self.counted(name, getattr(asked, name)))

    def counted(self, name, function):
        def call(*args):
            self.calls.append(name)
            return function(*args)

        return call


@pytest.mark.parametrize(("kind", "calls"), [("pullback", ["vjp"]), ("jacobian", ["forward"])])
def test_only_what_is_needed_is_computed(rng, monkeypatch, kind, calls):
    """Without gradients one forward pass; Jacobians not before `backward` is called."""
    layer = connector(kind, ry_ring(2, 1))
    x = rows_of(rng, 3, 2)
    expected = layer(x).detach()
    counting = Counting(monkeypatch, layer.neural_network)
    with torch.no_grad():
        out = layer(x)
    assert not out.requires_grad
    assert torch.allclose(out, expected)
    assert counting.calls == ["forward"]
    out = layer(x)
    assert counting.calls == ["forward", *calls]
    out.sum().backward()
    assert counting.calls == ["forward", *calls, *(["backward"] if kind == "jacobian" else [])]
    layer.weight.requires_grad_(False)
    assert not layer(x.detach()).requires_grad
    assert counting.calls[-1] == "forward"


@pytest.mark.parametrize("kind", KINDS)
def test_inputs_that_need_no_gradient(rng, kind):
    layer = connector(kind, ry_ring(2, 1))
    x = rows_of(rng, 3, 2)
    layer(x).sum().backward()
    expected, layer.weight.grad = layer.weight.grad, None
    plain = x.detach()
    layer(plain).sum().backward()
    assert plain.grad is None
    assert torch.allclose(layer.weight.grad, expected)


@pytest.mark.parametrize("kind", KINDS)
def test_a_layer_used_twice(rng, kind):
    """Behind itself and beside itself: gradients of both uses add up."""
    layer = connector(kind, ry_ring(2, 1))
    x = rows_of(rng, 1, 2)
    assert gradcheck(lambda x: layer(layer(x)) + layer(2 * x), (x,), atol=1e-8, rtol=1e-6)
    w = layer.weight.detach().clone().requires_grad_()

    def function(w: torch.Tensor) -> torch.Tensor:
        def call(rows: torch.Tensor) -> torch.Tensor:
            return torch.func.functional_call(layer, {"weight": w}, (rows,))

        return call(call(x.detach())) * call(x.detach())

    assert gradcheck(function, (w,), atol=1e-8, rtol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_a_graph_walked_twice(rng, kind):
    layer = connector(kind, ry_ring(2, 1))
    x = rows_of(rng, 2, 2)
    out = layer(x).square().sum()
    first = torch.autograd.grad(out, x, retain_graph=True)[0]
    assert torch.allclose(torch.autograd.grad(out, x)[0], first)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(3, 1), (1, 2)])
def test_tensors_changed_in_place(rng, kind, shape):
    """An optimizer's step before `backward`: the gradient is that of what was evaluated."""
    layer = connector(kind, ry_ring(shape[1], 1))
    x = rows_of(rng, *shape)
    layer(x).sum().backward()
    expected = x.grad, layer.weight.grad
    x.grad = layer.weight.grad = None
    out = layer(x)
    with torch.no_grad():
        x.add_(1.0)
        layer.weight.mul_(0.5)
    out.sum().backward()
    assert torch.allclose(x.grad, expected[0])
    assert torch.allclose(layer.weight.grad, expected[1])


@pytest.mark.parametrize("kind", KINDS)
def test_second_derivatives_are_refused(rng, kind):
    """Also where nothing says that the first one will be differentiated, e.g. in a penalty."""
    layer = connector(kind, ry_ring(2, 1))
    x = rows_of(rng, 2, 2)
    for target in (x, layer.weight):
        with pytest.raises(CircuitError, match="second derivatives are not there"):
            torch.autograd.grad(layer(x).square().sum(), target, create_graph=True)
        with pytest.raises(CircuitError, match="second derivatives are not there"):
            torch.autograd.grad(layer(x).sum(), target, create_graph=True)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(2,), (2, 3, 2), (1, 2, 3, 2)])
def test_inputs_of_any_number_of_dimensions(rng, kind, shape):
    """Values as the stock connector's, gradients as of the rows one by one."""
    layer = connector(kind, ry_ring(2, 1))
    x = rows_of(rng, *shape)
    out = layer(x)
    stock = TorchConnector(stock_network(ry_ring(2, 1)), layer.weight.detach().numpy())
    np.testing.assert_allclose(out.detach(), stock(x.detach()).detach(), atol=1e-6)
    g = torch.tensor(rng.normal(size=out.shape))
    out.backward(g)
    rows = x.detach().reshape(-1, 2).clone().requires_grad_()
    layer(rows).backward(g.reshape(-1, 2))
    np.testing.assert_allclose(x.grad.reshape(-1, 2), rows.grad, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(), (0,), (3,), (5, 4), (2, 1), (2, 2, 3)])
def test_other_widths_are_refused(kind, shape):
    layer = connector(kind, ry_ring(2, 1))
    for differentiate in (True, False):
        with pytest.raises(CircuitError, match=r"last dimension of 2 .* but got"):
            layer(torch.zeros(shape, requires_grad=differentiate))
    with pytest.raises(CircuitError, match="last dimension of 2"):
        layer()


def test_copies_are_apart(rng):
    layer = connector("pullback", ry_ring(2, 1))
    other = copy.deepcopy(layer)
    with torch.no_grad():
        other.weight.add_(1.0)
    x = rows_of(rng, 3, 2)
    assert not torch.allclose(layer(x), other(x))
    assert other.neural_network is not layer.neural_network


def slopes(layer: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
    """∂/∂x of the sum of squares, by `backward`."""
    leaf = x.detach().clone().requires_grad_()
    layer(leaf).square().sum().backward()
    return leaf.grad


@pytest.mark.parametrize(("tokens", "raises"), [(2, False), (3, True)])
def test_stock_input_gradients_of_tokens_are_wrong(rng, tokens, raises):
    """The trap that `QuantumLinear` flattens around, for (B, N, D) tensors.

    With as many tokens as outputs the stock connector returns a wrong gradient, else it raises.
    If this test fails after an update, the stock connector was repaired.
    """
    circuit = ry_ring(2, 1)
    stock = TorchConnector(stock_network(circuit), np.array([0.3, -0.8]))
    ours = QuantumLinear(circuit)
    with torch.no_grad():
        ours.weight.copy_(stock.weight)
    x = torch.tensor(rng.uniform(-1, 1, (3, tokens, 2)), dtype=torch.float32)
    flat = torch.stack([slopes(stock, tokens_of_one) for tokens_of_one in x])
    assert torch.allclose(stock(x), ours(x), atol=1e-6)
    assert torch.allclose(slopes(ours, x), flat, atol=1e-5)
    if raises:
        with pytest.raises(RuntimeError):
            slopes(stock, x)
    else:
        assert not torch.allclose(slopes(stock, x), flat, atol=1e-2)
