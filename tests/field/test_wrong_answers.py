"""Inputs that once got a wrong answer under a right name; each stands for its kind."""

import copy
import json
import threading
from dataclasses import replace

import numpy as np
import pytest
import torch
from qiskit.circuit import ParameterVector, QuantumCircuit
from qiskit.circuit.library import PauliEvolutionGate, RXGate, UnitaryGate
from qiskit.primitives import StatevectorEstimator
from qiskit.quantum_info import Operator, SparsePauliOp
from qiskit_machine_learning.connectors import TorchConnector
from reference import ours
from torch import nn
from typer.testing import CliRunner

from field import strangers as s
from qvit_qiskit import (
    QNNCircuit,
    QuantumLinear,
    TrainConfig,
    ViTConfig,
    build_model,
    compare,
    evaluate,
    fit,
    registry,
    save_checkpoint,
    submit,
)
from qvit_qiskit.cli.app import app
from qvit_qiskit.data.phantom import phantom
from qvit_qiskit.exceptions import CircuitError, DataError, JobError, QvitError, RouteError
from qvit_qiskit.models.cost import count_rows
from qvit_qiskit.qnn import BroadcastEstimatorQNN, QNNConnector
from qvit_qiskit.training import load_checkpoint

DATA = phantom(sizes=(8, 4, 6))
SPLIT = DATA.test
NOTHING = "nothing in it was routed"


def our_network() -> BroadcastEstimatorQNN:
    return BroadcastEstimatorQNN(s.own_qnn(), registry.default_route())


OURS = [lambda: QNNConnector(our_network()), lambda: QuantumLinear(s.own_qnn())]


# A1: what a route cannot bind


FOREIGN = {
    "connector": (lambda: s.Around(s.stock_layer()), "layer"),
    "our connector, stock network": (lambda: s.Around(QNNConnector(s.stock_qnn())), "layer"),
    "nested": (lambda: nn.Sequential(s.Around(nn.Sequential(s.stock_layer()))), "0.layer.0"),
    "sampler": (lambda: s.Around(TorchConnector(s.stock_sampler()), outputs=4), "layer"),
    "in a list": (lambda: s.InAList(s.stock_layer()), "layers[0]"),
    "network by hand": (lambda: s.ByHand(s.stock_qnn()), "network"),
    "estimator by hand": (s.OnPrimitive, "estimator"),
}


@pytest.mark.parametrize("kind", FOREIGN)
@pytest.mark.parametrize("backend", ["aer-exact", "aer-boston"])
def test_layers_of_another_make_are_refused_by_name(kind, backend):
    make, name = FOREIGN[kind]
    model = make()
    with pytest.raises(RouteError) as caught:
        evaluate(model, SPLIT, backend)
    assert repr(name) in str(caught.value)
    assert "QuantumLinear" in str(caught.value)
    with pytest.raises(RouteError, match="cannot bind"), registry.route(model, backend):
        pass


@pytest.mark.parametrize("kind", ["connector", "sampler", "network by hand"])
def test_submit_and_compare_refuse_them_too(kind, tmp_path):
    model = FOREIGN[kind][0]()
    with pytest.raises(RouteError, match="cannot bind"):
        submit(model, SPLIT, "fake-boston", tmp_path / "run", budget_seconds=10)
    with pytest.raises(RouteError, match="cannot bind"):
        count_rows(model, SPLIT.tensors()[0][:1])
    path = tmp_path / "checkpoint.safetensors"
    assert not path.exists()


def test_a_foreign_layer_beside_one_of_ours():
    model = nn.Sequential(s.Around(QuantumLinear(s.own_qnn())), s.stock_layer())
    before = model[0].layer.route
    with pytest.raises(RouteError, match="'1' is a TorchConnector over EstimatorQNN"):
        evaluate(model, SPLIT, "aer-shots")
    assert model[0].layer.route is before


@pytest.mark.parametrize("wrap", [s.Around, s.InAList])
@pytest.mark.parametrize("layer", OURS)
def test_layers_of_ours_are_bound_wherever_they_are(wrap, layer):
    """A bare connector on our network, in an attribute or in a list."""
    model = wrap(layer())
    exact, noisy = evaluate(model, SPLIT), evaluate(model, SPLIT, "aer-boston-exact")
    assert (exact.backend, noisy.backend) == ("aer-exact", "aer-boston-exact")
    assert noisy.routed
    assert abs(exact.logits - noisy.logits).max() > 1e-4


def test_our_network_called_by_hand_is_bound():
    model = s.ByHand(our_network())
    exact, noisy = evaluate(model, SPLIT), evaluate(model, SPLIT, "aer-boston-exact")
    assert abs(exact.logits - noisy.logits).max() > 1e-4


def test_one_network_in_two_connectors_gets_its_route_back():
    network = our_network()
    model = nn.Sequential(QNNConnector(network), QNNConnector(network))
    before = network.route
    with registry.route(model, "aer-shots") as new:
        assert network.route is new
    assert network.route is before


@pytest.mark.parametrize("backend", ["aer-boston", "aer-shots", "aer-exact"])
def test_a_model_without_quantum_layers_names_no_backend(backend):
    result = evaluate(s.Around(None), SPLIT, backend)
    assert result.backend == NOTHING
    assert not result.routed


def test_nor_does_the_command_line(tmp_path):
    vit = build_model(ViTConfig(projection="linear", width=4, heads=1), seed=0)
    save_checkpoint(tmp_path / "vit.safetensors", vit, {"dataset": "phantom"})
    command = ["evaluate", str(tmp_path / "vit.safetensors"), "--backend", "aer-boston"]
    command += ["--subset", "4", "--dataset", "phantom"]
    told = json.loads(CliRunner().invoke(app, [*command, "--json"]).stdout)
    assert told["backend"] == NOTHING
    assert "boston" not in json.dumps(told)
    text = CliRunner().invoke(app, command).stdout
    assert "nothing in it" in text
    assert "boston" not in text


def test_a_comparison_of_a_classical_model_is_refused(tmp_path):
    vit = build_model(ViTConfig(projection="linear", width=4, heads=1), seed=0)
    save_checkpoint(tmp_path / "vit.safetensors", vit, {"dataset": "phantom"})
    with pytest.raises(JobError, match="no quantum layer"):
        compare(model=tmp_path / "vit.safetensors", data=SPLIT, backends=["aer-boston"])
    with pytest.raises(RouteError, match="cannot bind"):
        compare(model=s.Around(s.stock_layer()), data=SPLIT, backends=["aer-boston"])


# A2: circuits edited in place (more of them in simulation/exact/test_any_circuit.py)


def expectation(estimator, circuit: QuantumCircuit, rows=None) -> np.ndarray:
    pub = (circuit, "Z" * circuit.num_qubits) + (() if rows is None else (rows,))
    return np.asarray(estimator.run([pub]).result()[0].data.evs)


def _rebuild(angle: float):
    def edit(circuit: QuantumCircuit) -> None:
        circuit.clear()
        circuit.ry(angle, 0)

    return edit


def test_a_circuit_cleared_and_written_again():
    circuit, one = QuantumCircuit(1), ours.exact_estimator()
    found = []
    for angle in (0.1, 1.0, 2.0):
        _rebuild(angle)(circuit)
        found.append(float(expectation(one, circuit)))
    assert found == pytest.approx([0.995004, 0.540302, -0.416147], abs=1e-6)


@pytest.mark.parametrize("name", ["aer-exact", "aer-boston-exact", "aer-shots", "aer-reference"])
def test_edits_are_seen_on_every_route(name):
    one = registry.open(name).estimator
    circuit = QuantumCircuit(1)
    found = []
    for angle in (0.1, 2.0):
        _rebuild(angle)(circuit)
        found.append(float(expectation(one, circuit)))
    np.testing.assert_allclose(found, np.cos([0.1, 2.0]), atol=0.2)


def test_edits_are_seen_by_the_rehearsal():
    one = registry.open("fake-boston").estimator
    circuit = QuantumCircuit(1)
    found = []
    for angle in (0.0, np.pi):
        _rebuild(angle)(circuit)
        found.append(float(expectation(one, circuit)))
    np.testing.assert_allclose(found, [1, -1], atol=0.2)


@pytest.mark.parametrize("gradient", [ours.adjoint_gradient, ours.shift_gradient])
def test_edits_are_seen_by_gradients(gradient):
    (a,) = ParameterVector("a", 1)
    circuit, one = QuantumCircuit(1), gradient()
    for scale in (1, 2, 3):
        circuit.clear()
        circuit.ry(scale * a, 0)
        found = one.run([circuit], [SparsePauliOp("Z")], [[0.4]]).result().gradients[0]
        assert found == pytest.approx([-scale * np.sin(scale * 0.4)], abs=1e-9)


def _operation(circuit: QuantumCircuit, inner: QuantumCircuit) -> None:
    circuit.data[0].operation.definition.ry(1.0, 0)


def _control(circuit: QuantumCircuit, inner: QuantumCircuit) -> None:
    circuit.data[2].operation.ctrl_state = 1


def _unitary(circuit: QuantumCircuit, inner: QuantumCircuit) -> None:
    circuit.data[1] = circuit.data[1].replace(operation=UnitaryGate(Operator(RXGate(0.30001))))


def _evolution(circuit: QuantumCircuit, inner: QuantumCircuit) -> None:
    circuit.data[3].operation.time = 0.9


@pytest.mark.parametrize("edit", [_operation, _control, _unitary, _evolution])
def test_changed_operations(edit):
    inner = QuantumCircuit(1, name="mine")
    inner.ry(0.2, 0)
    circuit = QuantumCircuit(2)
    circuit.append(inner.to_gate(), [0])
    circuit.append(UnitaryGate(Operator(RXGate(0.3))), [0])
    circuit.append(RXGate(0.7).control(1, ctrl_state=0), [0, 1])
    circuit.append(PauliEvolutionGate(SparsePauliOp("X"), time=0.2), [0])
    one = ours.exact_estimator()
    before = expectation(one, circuit)
    edit(circuit, inner)
    after = expectation(one, circuit)
    assert before != after
    plain = QuantumCircuit(2)  # evolution gates keep the definition that they had first
    for item in circuit.data:
        if isinstance(item.operation, PauliEvolutionGate):
            plain.rx(2 * item.operation.time, 0)
        else:
            plain.append(item.operation, item.qubits)
    assert after == pytest.approx(
        float(StatevectorEstimator().run([(plain, "ZZ")]).result()[0].data.evs), abs=1e-12
    )


def test_a_gradient_is_that_of_the_values_that_were_given():
    """Edited between forward and backward: the old circuit's gradient, on both kinds of route."""
    for name in ("aer-exact", "aer-shots"):
        layer = QuantumLinear(s.own_qnn(), registry.open(name))
        x = torch.zeros(1, 2, dtype=torch.float64, requires_grad=True)
        out = layer(x)
        layer.circuit.canonical.ry(0.3, 0)
        try:
            out.sum().backward()
        finally:
            layer.circuit.canonical.data.pop()
        assert torch.isfinite(x.grad).all()


# A3: widths


@pytest.mark.parametrize("make", OURS)
@pytest.mark.parametrize("shape", [(3, 4), (4,), (2, 3, 1), (0, 3)])
@pytest.mark.parametrize("training", [True, False])
def test_widths_on_every_path(make, shape, training):
    layer = make().train(training)
    with pytest.raises(CircuitError, match="last dimension of 2") as caught:
        layer(torch.zeros(shape, requires_grad=training))
    assert str(shape) in str(caught.value)
    with torch.no_grad(), pytest.raises(CircuitError, match="last dimension of 2"):
        layer(torch.zeros(shape))


def test_widths_of_the_network_and_of_weights():
    network = our_network()
    with pytest.raises(CircuitError, match="last dimension of 2"):
        network.vjp(np.zeros((2, 4)), np.zeros(2))
    with pytest.raises(CircuitError, match="2 weights"):
        network.vjp(np.zeros((2, 2)), np.zeros(3))
    layer = QuantumLinear(s.own_qnn())
    layer.weight = nn.Parameter(torch.zeros(5))
    with pytest.raises(CircuitError, match=r"2 weights .* \(5,\)"):
        layer(torch.zeros(1, 2))


# A4: second derivatives


def hessian(layer, x):
    return torch.autograd.functional.hessian(lambda v: layer(v).sum(), x)


def jvp(layer, x):
    return torch.autograd.functional.jvp(lambda v: layer(v), x, torch.ones_like(x))


def penalty(layer, x):
    x = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(layer(x).sum(), x, create_graph=True)
    slope.square().sum().backward()


def backward_twice(layer, x):
    x = x.clone().requires_grad_()
    layer(x).sum().backward(create_graph=True)


def functional(layer, x):
    return torch.func.grad(lambda v: layer(v).sum())(x)


def functional_hessian(layer, x):
    return torch.func.hessian(lambda v: layer(v).sum())(x)


def forward_mode(layer, x):
    import torch.autograd.forward_ad as forward_ad

    with forward_ad.dual_level():
        return layer(forward_ad.make_dual(x, torch.ones_like(x)))


def vmapped(layer, x):
    return torch.func.vmap(layer)(x[None])


@pytest.mark.parametrize(
    "ask",
    [hessian, jvp, penalty, backward_twice, functional, functional_hessian, forward_mode, vmapped],
)
@pytest.mark.parametrize("route", ["aer-exact", "aer-shots"])
def test_derivatives_that_are_not_there_are_refused(ask, route):
    layer = QuantumLinear(s.own_qnn(), registry.open(route))
    with pytest.raises(CircuitError, match="Expected"):
        ask(layer, torch.tensor([[0.1, 0.2]], dtype=torch.float64))


# A5: evolution gates


OPERATOR = SparsePauliOp(["X", "Z"])


def _bound(circuit):
    circuit.append(PauliEvolutionGate(OPERATOR, time=1.0), [0])


def _inside(circuit):
    inner = QuantumCircuit(1)
    inner.append(PauliEvolutionGate(OPERATOR, time=1.0), [0])
    circuit.append(inner.to_gate(), [0])


def _inverse(circuit):
    circuit.append(PauliEvolutionGate(OPERATOR, time=-1.0).inverse(), [0])


@pytest.mark.parametrize("append", [_bound, _inside, _inverse])
@pytest.mark.parametrize("name", ["aer-exact", "aer-reference", "aer-boston-exact"])
def test_evolution_gates_are_their_definition(append, name):
    """A product formula: −.42 for ⟨Z⟩, where the exact exponential has .02."""
    circuit = QuantumCircuit(1)
    append(circuit)
    found = float(expectation(registry.open(name).estimator, circuit))
    definition = QuantumCircuit(1)
    definition.compose(PauliEvolutionGate(OPERATOR, time=1.0).definition, inplace=True)
    expected = float(StatevectorEstimator().run([(definition, "Z")]).result()[0].data.evs)
    assert expected == pytest.approx(-0.416, abs=1e-3)
    assert found == pytest.approx(expected, abs=0.03 if "boston" in name else 1e-10)


# A6: threads


def test_two_threads_cannot_route_one_model():
    model = s.Around(QuantumLinear(s.own_qnn()))
    inside, leave = threading.Event(), threading.Event()
    before = model.layer.route

    def hold() -> None:
        with registry.route(model, "aer-shots"):
            inside.set()
            leave.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    assert inside.wait(30)
    try:
        with pytest.raises(RouteError, match=r"copy\.deepcopy"):
            evaluate(model, SPLIT, "aer-exact")
        other = copy.deepcopy(model)
        assert evaluate(other, SPLIT, "aer-boston-exact").backend == "aer-boston-exact"
    finally:
        leave.set()
        thread.join()
    assert model.layer.route is before
    assert evaluate(model, SPLIT).backend == "aer-exact"


def test_one_thread_may_route_within_a_route():
    model = s.Around(QuantumLinear(s.own_qnn()))
    before = model.layer.route
    with registry.route(model, "aer-shots") as outer:
        with registry.route(model, "aer-exact"):
            assert model.layer.route.name == "aer-exact"
        assert model.layer.route is outer
    assert model.layer.route is before


def test_a_route_that_failed_is_given_back():
    model = s.Around(QuantumLinear(s.own_qnn()))
    with pytest.raises(ZeroDivisionError), registry.route(model, "aer-shots"):
        1 / 0  # noqa: B018
    done = []
    thread = threading.Thread(target=lambda: done.append(evaluate(model, SPLIT).backend))
    thread.start()
    thread.join()
    assert done == ["aer-exact"]


# A7: coefficients


@pytest.mark.parametrize("bad", [np.nan, np.inf, complex(0, np.nan)])
def test_coefficients_that_are_not_finite(bad):
    circuit, x, w = s.own_circuit()
    with pytest.raises(CircuitError, match="finite coefficients"):
        QNNCircuit(circuit, tuple(x), tuple(w), (SparsePauliOp(["ZI", "IZ"], [1.0, bad]),))
    plain = QuantumCircuit(1)
    with pytest.raises((CircuitError, ValueError)):
        ours.exact_estimator().run([(plain, SparsePauliOp(["Z"], [bad]))]).result()


# A8: dynamic circuits


def _middle(circuit):
    circuit.measure(0, 0)
    circuit.h(0)


def _reset(circuit):
    circuit.reset(0)
    circuit.ry(0.4, 0)


def _branch(circuit):
    circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.x(0)


@pytest.mark.parametrize("append", [_middle, _reset, _branch])
def test_dynamic_circuits_tell_their_error_or_are_refused(append):
    circuit = QuantumCircuit(1, 1)
    circuit.h(0)
    append(circuit)
    result = registry.open("aer-reference").estimator.run([(circuit, "Z")]).result()[0]
    expected = {_middle: 0.0, _reset: np.cos(0.4), _branch: 1.0}[append]
    assert abs(result.data.evs - expected) <= 5 * result.data.stds + 1e-9
    assert result.metadata["shots"] == 1024
    for name in ("aer-exact", "aer-boston-exact", "aer-shots", "fake-boston"):
        with pytest.raises(CircuitError, match="unitary gates"):
            registry.open(name).estimator.run([(circuit, "Z")]).result()


# A9: the data's own name


@pytest.mark.parametrize("folder", [True, False])
def test_a_training_is_told_to_be_on_the_images_that_were_passed(tmp_path, folder):
    mine = replace(DATA, name="my images")
    config = ViTConfig(width=2, heads=1, patch_size=14, stem="patch", projection="linear")
    where = tmp_path / "out" if folder else None
    result = fit(config, TrainConfig(epochs=1), mine, folder=where)
    assert result.best.epoch == 1
    if where:
        provenance = load_checkpoint(where).provenance
        assert provenance["dataset"] == provenance["train"]["dataset"] == "my images"
        assert provenance["md5"] == mine.md5
        assert "phantom" not in (where / "train.json").read_text()


# A10: state dicts of stock connectors


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("make", OURS)
def test_stock_state_dicts_are_taken_and_given_back(make, strict):
    stock, layer = s.stock_layer(), make()
    found = layer.load_state_dict(stock.state_dict(), strict=strict)
    assert not found.missing_keys
    assert not found.unexpected_keys
    x = torch.tensor([[0.3, -0.8], [1.0, 2.0]])
    np.testing.assert_allclose(layer(x).detach(), stock(x).detach(), atol=1e-6)
    with torch.no_grad():
        layer.weight.add_(0.5)
    again = s.stock_layer()
    again.load_state_dict(layer.stock_state_dict(), strict=True)
    np.testing.assert_allclose(layer(x).detach(), again(x).detach(), atol=1e-6)


def test_a_whole_models_state_dict():
    stock = nn.Sequential(nn.Linear(3, 2), s.stock_layer())
    mine = nn.Sequential(nn.Linear(3, 2), QuantumLinear(s.own_qnn()))
    mine.load_state_dict(stock.state_dict(), strict=True)
    x = torch.randn(4, 3)
    np.testing.assert_allclose(mine(x).detach(), stock(x).detach(), atol=1e-6)
    assert sorted(mine.state_dict()) == ["0.bias", "0.weight", "1.connector.weight"]


def test_state_dicts_that_contradict_themselves_or_do_not_fit():
    layer = QuantumLinear(s.own_qnn())
    before = layer.weight.detach().clone()
    with pytest.raises(CircuitError, match="different ones"):
        layer.load_state_dict({"weight": torch.zeros(2), "_weights": torch.ones(2)})
    with pytest.raises(RuntimeError, match="Missing key"):
        layer.load_state_dict({})
    with pytest.raises(RuntimeError, match="Unexpected key"):
        layer.load_state_dict({"weight": torch.zeros(2), "other": torch.zeros(2)})
    with pytest.raises(RuntimeError, match="size mismatch"):
        layer.load_state_dict({"weight": torch.zeros(3)})
    assert torch.equal(layer.weight[:2], before) or torch.equal(layer.weight, torch.zeros(2))


# B13: scores for other classes


@pytest.mark.parametrize("model", [nn.Flatten(), nn.Sequential(nn.Flatten(), nn.Linear(784, 3))])
def test_one_score_per_class(model):
    with pytest.raises(DataError, match=r"one score per class .* \(6, 2\)"):
        evaluate(model, SPLIT)


def test_one_score_per_class_where_only_labels_tell():
    split = type(SPLIT)(SPLIT.images, SPLIT.labels)
    for columns in (1, 784):
        model = nn.Sequential(nn.Flatten(), nn.Linear(784, columns))
        with pytest.raises(QvitError, match="one score per class"):
            evaluate(model, split)
    assert evaluate(nn.Sequential(nn.Flatten(), nn.Linear(784, 5)), split).logits.shape == (6, 5)
    with pytest.raises(DataError, match="one score per class"):
        evaluate(nn.Identity(), split)
