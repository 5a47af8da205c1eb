"""What a second reader found: more inputs of strangers, each for its kind."""

import asyncio
from collections import deque
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from qiskit import qasm2
from qiskit.circuit import Gate, Parameter, QuantumCircuit
from qiskit.circuit.library import PauliEvolutionGate, PermutationGate
from qiskit.primitives import StatevectorEstimator
from qiskit.quantum_info import SparsePauliOp
from qiskit.synthesis import LieTrotter
from qiskit_aer.noise import depolarizing_error
from reference import ours
from torch import nn

from field import strangers as s
from qvit_qiskit import QNNCircuit, QuantumLinear, registry
from qvit_qiskit.exceptions import RouteError


def value(name: str, circuit: QuantumCircuit, observable="Z", *rows) -> np.ndarray:
    return registry.open(name).estimator.run([(circuit, observable, *rows)]).result()[0].data.evs


class Defined(Gate):
    """A gate with a definition of its own."""

    def __init__(self) -> None:
        super().__init__("defined", 1, [])

    def _define(self) -> None:
        self.definition = QuantumCircuit(1)
        self.definition.x(0)


class Attribute(Gate):
    """A gate whose definition reads an attribute that binding does not change."""

    def __init__(self, angle) -> None:
        super().__init__("attribute", 1, [angle])
        self.angle = angle

    def _define(self) -> None:
        self.definition = QuantumCircuit(1)
        self.definition.ry(self.angle, 0)


@pytest.mark.parametrize("name", ["aer-exact", "aer-reference"])
def test_definitions_that_were_assigned(name):
    gate, other = Defined(), QuantumCircuit(1)
    other.ry(1, 0)
    gate.definition = other
    circuit = QuantumCircuit(1)
    circuit.append(gate, [0])
    assert value(name, circuit) == pytest.approx(np.cos(1), abs=1e-10)
    evolution = PauliEvolutionGate(SparsePauliOp(["X", "Z"]), 1.0)
    evolution.definition = LieTrotter(reps=20).synthesize(evolution)
    circuit = QuantumCircuit(1)
    circuit.append(evolution, [0])
    plain = QuantumCircuit(1)
    plain.compose(evolution.definition, inplace=True)
    expected = StatevectorEstimator().run([(plain, "Z")]).result()[0].data.evs
    assert value(name, circuit) == pytest.approx(float(expected), abs=1e-10)


def test_a_definition_that_reads_an_attribute():
    t = Parameter("t")
    circuit = QuantumCircuit(1)
    circuit.append(Attribute(t), [0])
    assert circuit.data[0].operation.definition is not None
    assert value("aer-exact", circuit, "Z", [[0.5]]) == pytest.approx([np.cos(0.5)])
    bound = circuit.assign_parameters({t: 0.5})
    assert value("aer-exact", bound) == pytest.approx(np.cos(0.5))


@pytest.mark.parametrize("name", ["aer-exact", "aer-reference", "aer-boston-exact", "fake-boston"])
@pytest.mark.parametrize("kind", ["h", "sx", "qasm"])
def test_gates_that_bear_a_standard_name(name, kind):
    inner = QuantumCircuit(1)
    inner.x(0)
    gate = inner.to_gate()
    gate.name = kind
    circuit = QuantumCircuit(1)
    circuit.append(gate, [0])
    if kind == "qasm":
        text = "OPENQASM 2.0; gate h a { U(pi,0,pi) a; } qreg q[1]; h q[0];"
        circuit = qasm2.loads(text)
    assert value(name, circuit) == pytest.approx(-1, abs=0.1)


def test_coroutines_cannot_route_one_model_at_once():
    model = s.Around(QuantumLinear(s.own_qnn()))
    before = model.layer.route

    async def work(name: str, first: float, then: float) -> str:
        await asyncio.sleep(first)
        with registry.route(model, name):
            await asyncio.sleep(then)
            return model.layer.route.name

    async def both() -> list[object]:
        tasks = (work("aer-shots", 0, 0.3), work("aer-exact", 0.1, 0.5))
        return await asyncio.gather(*tasks, return_exceptions=True)

    one, other = asyncio.run(both())
    assert one == "aer-shots"
    assert isinstance(other, RouteError)
    assert model.layer.route is before


def test_routes_left_out_of_order_are_told():
    model = s.Around(QuantumLinear(s.own_qnn()))

    def opened(name: str):
        with registry.route(model, name) as route:
            yield route

    before = model.layer.route
    first, second = opened("aer-shots"), opened("aer-exact")
    next(first)
    next(second)
    with pytest.raises(RouteError, match="still open"):
        first.close()
    assert model.layer.route.name == "aer-exact"
    second.close()
    assert model.layer.route is before


@pytest.mark.parametrize("observable", ["XI", "YI", "ZI"])
def test_idle_qubits_on_aers_own_estimator(observable):
    circuit = QuantumCircuit(2)
    circuit.h(0)
    assert value("aer-reference", circuit, observable) == (1 if observable == "ZI" else 0)


def test_channels_on_aers_own_estimator():
    circuit = QuantumCircuit(1)
    circuit.append(depolarizing_error(0.1, 1).to_instruction(), [0])
    found = registry.open("aer-reference").estimator.run([(circuit, "Z")]).result()[0].data
    assert abs(found.evs - 0.9) <= 5 * found.stds + 1e-9


def test_a_phase_as_the_only_parameter_and_delays_of_two_units():
    t = Parameter("t")
    circuit = QuantumCircuit(1, global_phase=t)
    circuit.h(0)
    np.testing.assert_allclose(value("aer-reference", circuit, "X", [[1.0], [2.0]]), [1, 1])
    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.delay(100, 0, unit="ns")
    circuit.h(0)
    circuit.delay(100, 1)
    assert value("aer-reference", circuit, "ZZ") == pytest.approx(1)


class Held(s.Around):
    """A model of ours beside something of another make."""

    def __init__(self, held: object) -> None:
        super().__init__(QuantumLinear(s.own_qnn()))
        self.held = held


class AsClass(s.Around):
    network = s.stock_qnn()


@pytest.mark.parametrize(
    "held",
    [
        lambda: SimpleNamespace(inner=s.stock_layer()),
        lambda: deque([s.stock_layer()]),
        lambda: s.stock_layer().forward,
        lambda: {1: (s.stock_qnn(),)},
        lambda: (lambda network: lambda x: network.forward(x, [0, 0]))(s.stock_qnn()),
    ],
)
def test_layers_of_another_make_in_odd_places(held):
    with pytest.raises(RouteError, match="cannot bind"), registry.route(Held(held()), "aer-exact"):
        pass


def test_a_network_of_the_class():
    model = AsClass(QuantumLinear(s.own_qnn()))
    with pytest.raises(RouteError, match="cannot bind"), registry.route(model, "aer-exact"):
        pass


class Strange(s.Around):
    """Names of ours with other meanings."""

    def __init__(self) -> None:
        super().__init__(QuantumLinear(s.own_qnn()))
        self.bound: list[object] = []
        self.words = {f"w{k}": k for k in range(100_000)}

    @property
    def neural_network(self) -> object:
        raise RuntimeError("not this")

    def route(self) -> None: ...

    def bind(self, route: object) -> None:
        self.bound.append(route)


def test_names_of_ours_with_other_meanings():
    model = Strange()
    with registry.route(model, "aer-shots") as route:
        assert model.layer.route is route
    assert model.bound == []


def test_wide_permutations():
    circuit = QuantumCircuit(8)
    circuit.ry(0.3, 0)
    circuit.x(3)
    circuit.append(PermutationGate([1, 2, 3, 4, 5, 6, 7, 0]), range(8))
    observables = ["I" * (7 - k) + "Z" + "I" * k for k in range(8)]
    expected = StatevectorEstimator().run([(circuit, observables)]).result()[0].data.evs
    found = ours.exact_estimator().run([(circuit, observables)]).result()[0].data.evs
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_a_qnn_circuit_is_frozen():
    x, w = Parameter("x"), Parameter("w")
    inner = QuantumCircuit(1)
    inner.ry(0.3, 0)
    circuit = QuantumCircuit(1)
    circuit.ry(x, 0)
    circuit.append(inner.to_gate(), [0])
    circuit.ry(w, 0)
    observable = SparsePauliOp("Z", [5.0])
    qnn = QNNCircuit(circuit, (x,), (w,), (observable,))
    observable.coeffs[0] = 7
    circuit.data[1].operation.definition.h(0)
    layer = QuantumLinear(qnn).double()
    found = layer(torch.ones(1, 1, dtype=torch.float64)).item()
    assert found == pytest.approx(5 * np.cos(1.3 + layer.weight.item()), abs=1e-9)


@pytest.mark.parametrize("name", ["aer-shots", "fake-boston"])
def test_precisions_that_nobody_can_pay(name):
    with pytest.raises(RouteError, match="precision of"):
        registry.open(name).estimator.run([(QuantumCircuit(1), "Z")], precision=1e-10).result()


def test_weights_that_are_nan_twice():
    layer = QuantumLinear(s.own_qnn())
    bad = torch.full((2,), torch.nan)
    layer.load_state_dict({"weight": bad, "_weights": bad.clone()})
    assert torch.isnan(layer.weight).all()
    assert isinstance(layer.weight, nn.Parameter)
