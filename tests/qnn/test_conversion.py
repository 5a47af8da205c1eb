"""Stock models against their conversions: values, gradients, sharing, and what is refused."""

import copy
import warnings
from collections import deque
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from field import strangers as s
from qiskit import transpile
from qiskit.circuit import ParameterVector, QuantumCircuit
from qiskit.circuit.library import real_amplitudes, zz_feature_map
from qiskit.primitives import StatevectorEstimator
from qiskit.providers.fake_provider import GenericBackendV2
from qiskit.quantum_info import Pauli, SparseObservable, SparsePauliOp
from qiskit.transpiler import generate_preset_pass_manager
from qiskit_ibm_runtime.fake_provider import FakeBoston
from qiskit_machine_learning.circuit.library import qnn_circuit
from qiskit_machine_learning.connectors import TorchConnector
from qiskit_machine_learning.neural_networks import EstimatorQNN
from reference.random_circuits import random_circuit
from reference.stock import stock_network
from torch import nn

from qvit_qiskit import QuantumLinear, convert, evaluate, registry
from qvit_qiskit.data.phantom import phantom
from qvit_qiskit.exceptions import CircuitError, RouteError
from qvit_qiskit.qnn import BroadcastEstimatorQNN, QNNConnector

DEVICE = GenericBackendV2(5, coupling_map=[[0, 1], [1, 2], [2, 3], [3, 4]], seed=1)


def stock(circuit, inputs=(), weights=(), **options) -> EstimatorQNN:
    given = {"estimator": StatevectorEstimator(), "input_gradients": True} | options
    return EstimatorQNN(
        circuit=circuit,
        input_params=list(inputs),
        weight_params=list(weights),
        default_precision=0.0,
        **given,
    )


def reuploading():
    x, w = ParameterVector("x", 2), ParameterVector("w", 8)
    circuit = QuantumCircuit(2)
    for layer in range(2):
        for q in range(2):
            circuit.ry((layer + 1) * x[q], q)
            circuit.rz(w[4 * layer + q], q)
            circuit.rx(w[4 * layer + 2 + q] + 0.3 * x[1 - q], q)
        circuit.cz(0, 1)
    return stock(circuit, x, w, observables=[SparsePauliOp("IZ"), SparsePauliOp("XI")])


def library():
    features, ansatz = zz_feature_map(2, reps=1), real_amplitudes(2, reps=1)
    circuit = features.compose(ansatz)
    return stock(circuit, features.parameters, ansatz.parameters)


def tutorial():
    circuit, features, ansatz = qnn_circuit(2)
    return stock(circuit, features, ansatz)


def own_observables():
    circuit, x, w = s.own_circuit()
    forms = [
        SparsePauliOp(["XX", "ZI", "IY"], [0.5, -0.25, 2.0]),
        Pauli("ZY"),
        SparseObservable.from_list([("YX", 0.7), ("ZI", -1.2)]),
    ]
    return stock(circuit, x, w, observables=forms)


def transpiled():
    circuit, x, w = s.own_circuit()
    isa = transpile(circuit, DEVICE, initial_layout=[3, 1], seed_transpiler=1)
    wide = [observable.apply_layout(isa.layout) for observable in s.OBSERVABLES]
    return stock(isa, x, w, observables=wide)


def transpiled_default():
    """Its default observable reads the device's first qubits, whatever the layout."""
    circuit, x, w = s.own_circuit()
    isa = transpile(circuit, DEVICE, initial_layout=[3, 1], seed_transpiler=1)
    return stock(isa, x, w)


def compiled_by_itself():
    circuit, x, w = s.own_circuit()
    manager = generate_preset_pass_manager(1, basis_gates=["sx", "rz", "cz"], seed_transpiler=1)
    return stock(circuit, x, w, pass_manager=manager)


def three_qubits_two_inputs():
    x, w = ParameterVector("b", 2), ParameterVector("a", 3)
    circuit = QuantumCircuit(3, global_phase=0.3 * w[2])
    circuit.p(x[0] * 2, 0)
    circuit.h([0, 1, 2])
    circuit.u(0.2, w[0], x[1], 1)
    circuit.crx(w[1], 0, 2)
    circuit.rzz(w[2], 1, 2)
    circuit.ry(x[0] + x[1], 0)
    return stock(circuit, x, w, observables=[SparsePauliOp("ZZX"), SparsePauliOp("III")])


def edited():
    """What is evaluated is the network's own copy."""
    circuit, x, w = s.own_circuit()
    network = stock(circuit, x, w)
    circuit.data.pop()
    circuit.h(0)
    return network


def reversed_roles():
    """Parameters whose names are those that the network itself gives, the other way round."""
    x, w = ParameterVector("weights", 2), ParameterVector("inputs", 2)
    circuit = QuantumCircuit(2)
    for q in range(2):
        circuit.ry(x[1 - q], q)
        circuit.rx(w[q], q)
    circuit.cx(0, 1)
    return stock(circuit, x[::-1], w[::-1], observables=s.OBSERVABLES)


class OwnNetwork(EstimatorQNN):
    """It has a constructor of its own and nothing else."""

    def __init__(self):
        circuit, x, w = s.own_circuit()
        super().__init__(
            circuit=circuit, input_params=list(x), weight_params=list(w), default_precision=0.0,
            estimator=StatevectorEstimator(), input_gradients=True,
        )  # fmt: skip


NETWORKS = {
    "own circuit": s.stock_qnn,
    "re-uploading": reuploading,
    "zz_feature_map + real_amplitudes": library,
    "qnn_circuit": tutorial,
    "own observables": own_observables,
    "transpiled": transpiled,
    "transpiled, default observable": transpiled_default,
    "pass manager": compiled_by_itself,
    "three qubits": three_qubits_two_inputs,
    "edited": edited,
    "reversed roles": reversed_roles,
    "subclass": OwnNetwork,
}


def arrays(network, rng, rows=3):
    return rng.uniform(-3, 3, (rows, network.num_inputs)), rng.uniform(-3, 3, network.num_weights)


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_equal_the_stock_ones(name, rng):
    network = NETWORKS[name]()
    ours = QuantumLinear(network).network
    rows, weights = arrays(network, rng)
    np.testing.assert_allclose(
        ours.forward(rows, weights), network.forward(rows, weights), rtol=0, atol=1e-10
    )
    for one, other in zip(ours.backward(rows, weights), network.backward(rows, weights),
                          strict=True):  # fmt: skip
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-8)
    assert ours.input_params == network.input_params
    assert ours.weight_params == network.weight_params
    assert ours.output_shape == network.output_shape


@pytest.mark.parametrize("case", range(6))
def test_random_circuits_equal_the_stock_ones(case, rng):
    circuit = random_circuit(rng, int(rng.integers(1, 4)), int(rng.integers(2, 9)))
    network = stock_network(circuit)
    ours = QuantumLinear(network).network
    rows, weights = arrays(network, rng)
    np.testing.assert_allclose(
        ours.forward(rows, weights), network.forward(rows, weights), rtol=0, atol=1e-10
    )


def test_a_circuit_on_156_qubits_is_converted_from_the_two_in_use(rng):
    circuit, x, w = s.own_circuit()
    isa = transpile(circuit, FakeBoston(), seed_transpiler=3, optimization_level=1)
    before = [SparsePauliOp("IZ"), SparsePauliOp("ZI")]  # they follow the layout
    wide = [observable.apply_layout(isa.layout) for observable in before]
    small = QuantumLinear(stock(circuit, x, w, observables=before)).network
    rows, weights = arrays(small, rng)
    for observables in (before, wide):
        ours = QuantumLinear(stock(isa, x, w, observables=observables))
        assert ours.circuit.num_qubits == 2
        np.testing.assert_allclose(
            ours.network.forward(rows, weights), small.forward(rows, weights), atol=1e-10
        )


# Whole modules


class Branches(nn.Module):
    """Two networks, one of them in two connectors, one connector called twice."""

    def __init__(self):
        super().__init__()
        network = reuploading()
        self.one, self.two = TorchConnector(network), TorchConnector(network)
        self.blocks = nn.ModuleDict({"deep": nn.ModuleList([nn.Sequential(s.stock_layer())])})
        self.again = self.blocks["deep"][0][0]
        self.head = nn.Linear(2, 2)

    def forward(self, images):
        x = images.flatten(1)[:, :2]
        return self.head(self.one(x) + self.two(self.blocks["deep"][0](x)) + self.again(x))


class Plain(SimpleNamespace):
    """An object of the user's own."""


class Held(nn.Module):
    """Connectors where torch does not look, and a network beside its connector."""

    def __init__(self):
        super().__init__()
        first, second = s.stock_layer(), s.stock_layer()
        self.qnn = s.stock_qnn()
        self.layer = TorchConnector(self.qnn, np.array([0.1, 0.2]))
        self.listed, self.named = [first, second], {"a": first, 3: deque([second])}
        self.plain = Plain(inner=first)
        self.head = nn.Linear(2, 2)

    def forward(self, images):
        x = images.flatten(1)[:, :2]
        x = self.layer(self.listed[1](x)) + self.named["a"](x) + self.named[3][0](x)
        by_hand = self.qnn.forward(x.detach().numpy(), np.ones(2))
        return self.head(x + self.plain.inner(x) + torch.as_tensor(by_hand).to(x.dtype))


class OwnConnector(TorchConnector):
    def __init__(self):
        super().__init__(s.stock_qnn(), np.array([0.3, 0.1]))


MODULES = {
    "one": lambda: s.Around(s.stock_layer()),
    "nested": lambda: nn.Sequential(s.Around(nn.Sequential(s.stock_layer(), nn.Tanh()))),
    "shared and several": Branches,
    "in containers": Held,
    "in a list": lambda: s.InAList(s.stock_layer()),
    "our connector": lambda: s.Around(QNNConnector(s.stock_qnn())),
    "subclass": lambda: s.Around(OwnConnector()),
    "qnn_circuit": lambda: s.Around(TorchConnector(tutorial()), outputs=1),
    "transpiled": lambda: s.Around(TorchConnector(transpiled())),
    "flat": lambda: s.Around(s.stock_layer(input_gradients=False)),
    "root": s.stock_layer,
}


def pictures(model, rng):
    shape = (4, 2) if isinstance(model, TorchConnector) else (4, 1, 28, 28)
    return torch.from_numpy(rng.uniform(-1, 1, shape)).float()


def gradients(model):
    """By parameter, each once."""
    return {id(p): None if p.grad is None else p.grad.clone() for p in model.parameters()}


def step(model, images):
    model.zero_grad()
    out = model(images)
    out.square().sum().backward()
    return out.detach(), gradients(model)


@pytest.mark.filterwarnings("ignore:Expected layers that pass")
@pytest.mark.parametrize("name", MODULES)
def test_modules_equal_the_stock_ones(name, rng):
    model = MODULES[name]()
    images = pictures(model, rng)
    parameters = list(model.parameters())
    before, slopes = step(model, images)
    new = convert(model)
    assert (new is model) == (name != "root")
    after, new_slopes = step(new, images)
    torch.testing.assert_close(after, before, rtol=0, atol=1e-6)
    assert [id(p) for p in new.parameters()] == [id(p) for p in parameters]
    for key, slope in slopes.items():
        if slope is not None:
            torch.testing.assert_close(new_slopes[key], slope, rtol=1e-5, atol=1e-6)
        else:
            assert new_slopes[key] is None
    assert not any(type(m) in (TorchConnector, QNNConnector) for m in new.modules())
    with registry.route(new, "aer-shots"):  # nothing is left that a route refuses
        pass
    assert convert(new) is new  # and nothing to do


def test_what_was_shared_is_shared():
    model = convert(Branches())
    assert model.again is model.blocks["deep"][0][0]
    assert model.one is not model.two
    assert model.one.network is model.two.network
    held = convert(Held())
    assert held.qnn is held.layer.network
    assert held.listed[0] is held.named["a"] is held.plain.inner


def test_stock_state_dicts_load_into_the_converted_model_and_back(rng):
    model, other = (s.Around(nn.Sequential(s.stock_layer())) for _ in range(2))
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(torch.from_numpy(rng.uniform(-1, 1, parameter.shape)))
    convert(model).load_state_dict(other.state_dict())
    images = pictures(model, rng)
    torch.testing.assert_close(model(images), other(images), rtol=0, atol=1e-6)
    back = s.stock_layer()
    back.load_state_dict(model.layer[0].stock_state_dict())
    torch.testing.assert_close(back.weight, other.layer[0].weight)


def test_training_goes_on_with_the_optimizer_that_was_there(rng):
    """The same two steps, stock throughout and converted after the first."""
    images = torch.from_numpy(rng.uniform(-1, 1, (4, 1, 28, 28))).float()
    ends = []
    for converted in (False, True):
        model = s.Around(s.stock_layer())
        optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
        for number in range(2):
            optimizer.zero_grad()
            model(images).square().sum().backward()
            optimizer.step()
            if converted and number == 0:
                model = convert(model)
        trained = [model.layer.weight, *model.inner.parameters()]
        ends.append(torch.cat([p.detach().flatten() for p in trained]))
    torch.testing.assert_close(ends[1], ends[0], rtol=0, atol=1e-5)


def test_mode_hooks_frozen_weights_and_attributes_stay():
    model = s.Around(s.stock_layer())
    calls = []
    model.layer.register_forward_hook(lambda *_: calls.append("after"))
    handle = model.layer.register_forward_pre_hook(lambda *_: calls.append("before"))
    model.layer.note = "mine"
    model.layer.weight.requires_grad_(False)
    model.eval()
    convert(model)
    assert model.layer.note == "mine"
    assert not model.layer.training
    assert not model.layer.weight.requires_grad
    images = phantom(sizes=(2, 2, 2)).test.tensors()[0]
    model(images)
    handle.remove()
    model(images)
    assert calls == ["before", "after", "after"]


def test_the_weights_are_those_that_a_stock_connector_computes_with(rng):
    connector = s.stock_layer()
    connector.weight = nn.Parameter(torch.zeros(2))  # stock goes on with the others
    row = torch.from_numpy(rng.uniform(-1, 1, (1, 2))).float()
    before = connector(row)
    torch.testing.assert_close(convert(connector)(row), before, rtol=0, atol=1e-6)


def test_it_runs_where_it_is_told_to():
    model = convert(s.Around(s.stock_layer()), "aer-shots")
    assert model.layer.route.name == "aer-shots"


def test_copies_and_doubles(rng):
    model = convert(s.Around(s.stock_layer()))
    twin = copy.deepcopy(model).double()
    images = pictures(model, rng)
    assert twin(images.double()).dtype == torch.float64
    torch.testing.assert_close(twin(images.double()).float(), model(images), rtol=0, atol=1e-5)


# What is told


def told(make):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        convert(make)
    return [str(one.message) for one in caught], {one.filename for one in caught}


def test_input_gradients_are_kept_and_told_once_by_name():
    flat = s.stock_layer(input_gradients=False)
    model = nn.ModuleDict({"a": nn.Sequential(flat), "b": flat, "c": s.stock_layer(),
                           "d": s.stock_layer(input_gradients=False)})  # fmt: skip
    (sentence,), files = told(model)
    assert "'a.0', 'd' was built with input_gradients=False" in sentence
    assert files == {__file__}
    assert not model["b"].network.input_gradients
    assert told(model) == ([], set())  # once
    (sentence,), _ = told(s.stock_layer(input_gradients=False))
    assert "the model was built" in sentence


def test_an_estimator_that_stays_behind_is_told():
    model = s.OnPrimitive()
    model.layer = s.stock_layer()
    (sentence,), _ = told(model)
    assert "'estimator' (StatevectorEstimator)" in sentence
    assert isinstance(model.layer, QuantumLinear)


# What is refused


class Scaled(TorchConnector):
    def forward(self, x=None):
        return 2 * super().forward(x)


class Shifted(EstimatorQNN):
    def _forward(self, rows, weights):
        return super()._forward(rows, weights) + 1


def shifted():
    circuit, x, w = s.own_circuit()
    return Shifted(circuit=circuit, input_params=list(x), weight_params=list(w))


def patched():
    layer = s.stock_layer()
    layer.forward = lambda x: x
    return layer


def growing():
    layer = s.stock_layer()
    layer.register_buffer("scale", torch.ones(1))
    return layer


def parametrised():
    layer = s.stock_layer()
    nn.utils.parametrize.register_parametrization(layer, "_weights", nn.Tanh())
    return layer


def dynamic():
    circuit, x, w = s.own_circuit()
    circuit.reset(0)
    circuit.h(0)
    return TorchConnector(stock(circuit, x, w))


class InAClosure(nn.Module):
    def __init__(self):
        super().__init__()
        layer = s.stock_layer()
        self.call = lambda x: layer(x)


class InATuple(nn.Module):
    def __init__(self):
        super().__init__()
        self.pair = (s.stock_layer(), 1)


class Wrapped(nn.Module):
    def __init__(self):
        super().__init__()
        self.call = partial(torch.add, s.stock_layer())


REFUSED = {
    "sampler": (lambda: TorchConnector(s.stock_sampler()), "TorchConnector over SamplerQNN"),
    "sampler by hand": (lambda: s.ByHand(s.stock_sampler()), "'0.network' is a SamplerQNN"),
    "forward": (lambda: Scaled(s.stock_qnn()), "Scaled over EstimatorQNN: it has forward of its"),
    "network": (lambda: TorchConnector(shifted()), "Shifted has _forward of its own"),
    "patched": (patched, "it has forward of its own"),
    "buffers": (growing, "scale"),
    "parametrised": (parametrised, "it has .*_weights of its own"),
    "dynamic": (dynamic, "reset"),
    "closure": (InAClosure, "'0.call' is a TorchConnector over EstimatorQNN: it stands where"),
    "tuple": (InATuple, r"'0.pair\[0\]' is"),
    "partial": (Wrapped, r"'0.call\[0\]' is"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_converted_is_named_and_nothing_is_changed(name):
    make, words = REFUSED[name]
    model = nn.Sequential(make(), s.stock_layer(), s.stock_layer(input_gradients=False))
    before = list(model.children())
    with pytest.raises(CircuitError, match=words) as caught:
        convert(model)
    assert list(model.children()) == before
    assert type(model[1]) is TorchConnector
    assert "\n" not in str(caught.value)
    with pytest.raises((RouteError, CircuitError)):
        evaluate(model, phantom(sizes=(2, 2, 2)).test)


@pytest.mark.parametrize("given", [None, "model", [s.stock_layer()]])
def test_only_modules_are_converted(given):
    with pytest.raises(CircuitError, match=f"but got a {type(given).__name__}. Pass the model"):
        convert(given)


def test_all_of_them_are_named():
    model = nn.Sequential(TorchConnector(s.stock_sampler()), Scaled(s.stock_qnn()))
    with pytest.raises(CircuitError, match=r"'0' is a .*; '1' is a "):
        convert(model)


def test_convert_is_the_way_out_that_a_route_names():
    model = s.Around(s.stock_layer())
    split = phantom(sizes=(2, 2, 4)).test
    with pytest.raises(RouteError, match=r"model = qvit_qiskit.convert\(model\)"):
        evaluate(model, split)
    assert evaluate(convert(model), split, "aer-boston-exact").backend == "aer-boston-exact"
    with pytest.raises(RouteError) as caught:
        evaluate(s.Around(TorchConnector(s.stock_sampler()), outputs=4), split)
    assert "convert(" not in str(caught.value)


# What a layer is made of


def test_layers_from_stock_parts_and_plain_circuits(rng):
    network, connector = s.stock_qnn(), s.stock_layer()
    row = torch.from_numpy(rng.uniform(-1, 1, (2, 2)))
    copied = QuantumLinear(connector)
    assert copied.weight is not connector.weight
    torch.testing.assert_close(copied(row).float(), connector(row), rtol=0, atol=1e-6)
    circuit, x, w = s.own_circuit()
    plain = QuantumLinear(circuit, inputs=x, weights=w)  # Z on every wire, as OBSERVABLES are
    assert plain.circuit.observables == s.OBSERVABLES
    for layer in (QuantumLinear(network), plain, QuantumLinear(QNNConnector(network))):
        layer.load_state_dict(connector.state_dict())
        torch.testing.assert_close(layer(row).float(), connector(row), rtol=0, atol=1e-6)
    ours = BroadcastEstimatorQNN(s.own_qnn(), registry.default_route())
    assert QuantumLinear(ours).network is ours
    assert QuantumLinear(s.own_qnn(), registry.open("aer-shots")).route.name == "aer-shots"
    assert QuantumLinear(ours, registry.open("aer-shots")).route.name == "aer-shots"


def test_roles_come_with_a_plain_circuit_only():
    circuit, x, w = s.own_circuit()
    with pytest.raises(CircuitError, match=r"both, .* for none"):
        QuantumLinear(circuit, inputs=x)
    with pytest.raises(CircuitError, match="but got them with a QNNCircuit"):
        QuantumLinear(s.own_qnn(), inputs=x, weights=w)
    with pytest.raises(CircuitError, match="Shifted has _forward of its own"):
        QuantumLinear(shifted())
