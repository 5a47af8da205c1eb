"""The habits of ``BaseEstimatorV2`` and of torch modules (more in tests/integration)."""

import copy
import errno
import json
import multiprocessing
import os
import signal

import numpy as np
import pytest
import torch
from qiskit import transpile
from qiskit.circuit import (
    AnnotatedOperation,
    ControlModifier,
    Gate,
    Parameter,
    ParameterVector,
    QuantumCircuit,
)
from qiskit.circuit.library import (
    RVGate,
    RYGate,
    StatePreparation,
    XGate,
    real_amplitudes,
    zz_feature_map,
)
from qiskit.primitives import StatevectorEstimator
from qiskit.quantum_info import Pauli, SparseObservable, SparsePauliOp
from qiskit_ibm_runtime.fake_provider import FakeBoston
from qiskit_machine_learning.circuit.library import raw_feature_vector
from reference import ours
from torch import nn
from torch.nn.utils import prune

from field import strangers as s
from qvit_qiskit import QNNCircuit, QuantumLinear, registry
from qvit_qiskit.devices.calibration import device_of
from qvit_qiskit.devices.regions import bundled_device
from qvit_qiskit.exceptions import CircuitError, JobError, QvitError, RouteError
from qvit_qiskit.hardware import journal
from qvit_qiskit.ibm.sender import properties_json
from qvit_qiskit.qnn import BroadcastEstimatorQNN, QNNConnector
from qvit_qiskit.simulation.noise.compiler import noisy

ROUTES = ["aer-exact", "aer-boston-exact", "aer-shots", "aer-reference"]


def run(name: str, circuit: QuantumCircuit, observable="Z", *values, **options):
    pub = (circuit, observable, *values)
    return registry.open(name).estimator.run([pub], **options).result()


# B1, B2: metadata and shapes


@pytest.mark.parametrize("name", [*ROUTES, "fake-boston"])
def test_metadata(name):
    circuit = QuantumCircuit(1, metadata={"mine": 1})
    result = run(name, circuit)
    assert result.metadata == {"version": 2}
    assert result[0].metadata["circuit_metadata"] == {"mine": 1}
    assert result[0].metadata["target_precision"] >= 0
    asked = run(name, circuit, "Z", precision=0.1)[0].metadata["target_precision"]
    assert asked == 0.1


@pytest.mark.parametrize("name", [*ROUTES, "fake-boston"])
def test_scalars_are_arrays_without_dimensions(name):
    data = run(name, QuantumCircuit(1))[0].data
    for value in (data.evs, data.stds):
        assert isinstance(value, np.ndarray)
        assert value.shape == ()


@pytest.mark.parametrize("name", ["aer-shots", "aer-boston", "fake-boston"])
def test_precision_zero_with_bitstrings(name):
    with pytest.raises(RouteError, match="precision above 0"):
        run(name, QuantumCircuit(1), precision=0)
    with pytest.raises(RouteError, match="precision above 0"):
        registry.open(name).estimator.run([(QuantumCircuit(1), "Z", None, 0.0)])
    assert run("aer-exact", QuantumCircuit(1), precision=0)[0].data.evs == 1


# B3: idle qubits


@pytest.mark.parametrize("name", ["aer-exact", "aer-boston-exact"])
def test_a_circuit_transpiled_to_a_device(name):
    """156 qubits, of which two are in use: values and gradients of the two."""
    circuit = QuantumCircuit(2)
    circuit.compose(zz_feature_map(2, reps=1), inplace=True)
    circuit.compose(real_amplitudes(2, reps=1), inplace=True)
    isa = transpile(circuit, FakeBoston(), seed_transpiler=1, optimization_level=1)
    assert isa.num_qubits == 156
    observable = SparsePauliOp(["ZI", "XX"], [1.0, 0.4])
    rows = np.random.default_rng(0).uniform(-1, 1, (3, circuit.num_parameters))
    wide = observable.apply_layout(isa.layout)
    found = run(name, isa, wide, rows)[0].data.evs
    expected = StatevectorEstimator().run([(circuit, observable, rows)]).result()[0].data.evs
    np.testing.assert_allclose(found, expected, atol=1e-10 if name == "aer-exact" else 0.1)
    if name == "aer-exact":
        one = ours.adjoint_gradient().run([isa], [wide], rows[:1]).result().gradients[0]
        other = ours.shift_gradient().run([circuit], [observable], rows[:1]).result().gradients[0]
        np.testing.assert_allclose(one, other, atol=1e-9)


def test_observables_of_idle_qubits():
    circuit = QuantumCircuit(40)
    circuit.h(7)
    one = ours.exact_estimator()
    wide = ["I" * 40, "Z" * 40, "I" * 32 + "X" + "I" * 7, "X" + "I" * 39, "Z" + "I" * 39]
    found = one.run([(circuit, [[w] for w in wide])]).result()[0].data.evs.ravel()
    np.testing.assert_allclose(found, [1, 0, 1, 0, 1], atol=1e-12)
    pub = (QuantumCircuit(2), "ZZ")
    value = noisy(bundled_device("fake_torino")).run([pub]).result()[0].data.evs
    assert 0.9 < value < 1  # readout errors are there although no gate is


def test_a_layer_on_a_transpiled_circuit():
    circuit, x, w = s.own_circuit()
    isa = transpile(circuit, FakeBoston(), seed_transpiler=3, optimization_level=1)
    wide = [o.apply_layout(isa.layout) for o in s.OBSERVABLES]
    small, large = (
        QuantumLinear(QNNCircuit(c, tuple(x), tuple(w), tuple(o)))
        for c, o in ((circuit, s.OBSERVABLES), (isa, wide))
    )
    large.load_state_dict(small.state_dict())
    rows = torch.tensor([[0.2, 0.7], [-1.0, 2.0]], dtype=torch.float64)
    grads = []
    for layer in (small, large):
        point = rows.clone().requires_grad_()
        layer(point).square().sum().backward()
        grads.append((point.grad, layer.weight.grad))
    for one, other in zip(*grads, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


# B4, B5: measurements, Initialize, observables


def _measured(circuit):
    circuit.measure_all()


def _measured_one(circuit):
    circuit.add_bits(QuantumCircuit(0, 1).clbits)
    circuit.measure(0, 0)


def _nothing(circuit):
    pass


@pytest.mark.parametrize("name", ROUTES)
@pytest.mark.parametrize("end", [_measured, _measured_one, _nothing])
@pytest.mark.parametrize("begin", ["initialize", "state", "reset", "gates"])
def test_preparations_and_final_measurements(name, begin, end):
    state = np.array([0.6, 0, 0, 0.8])
    circuit, plain = QuantumCircuit(2), QuantumCircuit(2)
    if begin == "initialize":
        circuit.initialize(state)
    elif begin == "state":
        circuit.append(StatePreparation(state), [0, 1])
    elif begin == "reset":
        circuit.reset([0, 1])
    if begin in ("initialize", "state"):
        plain.append(StatePreparation(state), [0, 1])
    for one in (circuit, plain):
        one.ry(0.3, 0)
    end(circuit)
    for observable in ("ZZ", "IZ"):
        expected = StatevectorEstimator().run([(plain, observable)]).result()[0].data.evs
        found = run(name, circuit, observable)[0].data.evs
        tight = name in ("aer-exact", "aer-reference")
        assert abs(found - expected) < (1e-10 if tight else 0.15)


FORMS = [
    "ZX",
    Pauli("ZX"),
    SparsePauliOp("ZX"),
    SparseObservable("ZX"),
    {"ZX": 1.0},
    SparseObservable.from_list([("0+", 1.0), ("1-", 1.0), ("1+", -1.0), ("0-", -1.0)]),
]


@pytest.mark.parametrize("name", ROUTES)
@pytest.mark.parametrize("form", range(len(FORMS)))
def test_forms_of_observables(name, form):
    circuit = QuantumCircuit(2)
    circuit.ry(0.9, 0)
    circuit.rx(0.4, 1)
    circuit.cx(0, 1)
    expected = StatevectorEstimator().run([(circuit, "ZX")]).result()[0].data.evs
    found = run(name, circuit, FORMS[form])[0].data.evs
    assert abs(found - expected) < (1e-10 if name in ("aer-exact", "aer-reference") else 0.2)


# B6: other packages' exceptions are sentences


def _annotated(circuit, a):
    circuit.append(AnnotatedOperation(RYGate(0.3), ControlModifier(1)), [0, 1])


def _complex(circuit, a):
    circuit.rz(1j * a, 0)


def _rv(circuit, a):
    circuit.append(RVGate(a, 0.1, 0.2), [0])


def _raw(circuit, a):
    circuit.append(raw_feature_vector(4), [0, 1])


def _opaque(circuit, a):
    circuit.append(Gate("opaque", 1, [a]), [0])


def _power(circuit, a):
    circuit.append(XGate().power(a, annotated=True), [0])


@pytest.mark.parametrize("append", [_annotated, _complex, _rv, _raw, _opaque, _power])
@pytest.mark.parametrize("name", ["aer-exact", "aer-boston-exact", "aer-shots", "fake-boston"])
def test_what_cannot_be_evaluated_is_a_sentence(append, name):
    circuit = QuantumCircuit(2)
    circuit.h(0)
    append(circuit, Parameter("a"))
    values = np.full((1, circuit.num_parameters), 0.3)
    with pytest.raises(CircuitError, match="Expected"):
        run(name, circuit, "ZZ", values)


@pytest.mark.parametrize("append", [_annotated, _complex, _rv, _raw, _opaque])
def test_on_aers_own_estimator_too(append):
    circuit = QuantumCircuit(2)
    append(circuit, Parameter("a"))
    with pytest.raises(QvitError, match="Expected"):
        run("aer-reference", circuit, "ZZ", np.full((1, circuit.num_parameters), 0.3))


@pytest.mark.parametrize("name", ROUTES)
def test_gates_made_of_library_circuits(name):
    circuit = QuantumCircuit(3)
    circuit.append(zz_feature_map(3, reps=1).to_gate(), [0, 1, 2])
    circuit.append(real_amplitudes(3, reps=1).to_instruction(), [0, 1, 2])
    rows = np.random.default_rng(1).uniform(-1, 1, (2, circuit.num_parameters))
    expected = StatevectorEstimator().run([(circuit, "ZZZ", rows)]).result()[0].data.evs
    found = run(name, circuit, "ZZZ", rows)[0].data.evs
    tight = name in ("aer-exact", "aer-reference")
    np.testing.assert_allclose(found, expected, atol=1e-10 if tight else 0.2)


# B7: what a layer is made of


@pytest.mark.parametrize(
    "given",
    [lambda: s.own_circuit()[0], lambda: zz_feature_map(2), lambda: s.stock_sampler(), lambda: 4],
)
def test_a_layer_says_what_it_needs(given):
    with pytest.raises(CircuitError, match=r"Expected a QNNCircuit, .*but got .*inputs="):
        QuantumLinear(given())


# B8: inputs


@pytest.mark.parametrize("shape", [(2,), (5, 2), (2, 3, 2), (0, 2), (1, 1, 1, 2)])
@pytest.mark.parametrize("stock", [True, False])
def test_networks_without_input_gradients(shape, stock):
    if stock:
        network = s.stock_qnn(input_gradients=False)
    else:
        network = BroadcastEstimatorQNN(s.own_qnn(), registry.default_route())
        network.input_gradients = False
    layer = QNNConnector(copy.deepcopy(network) if not stock else network)
    below = nn.Linear(2, 2)
    out = layer(below(torch.zeros(shape)))
    assert out.shape == (*shape[:-1], 2)
    out.sum().backward()
    assert layer.weight.grad is not None
    assert below.weight.grad is None or not below.weight.grad.any()


# B9: what people ask a network for is theirs


def test_circuit_and_parameters_are_the_users():
    circuit, x, w = s.own_circuit()
    network = QuantumLinear(QNNCircuit(circuit, tuple(x), tuple(w), s.OBSERVABLES)).network
    assert network.circuit == circuit
    assert network.input_params == list(x)
    assert network.weight_params == list(w)
    bound = network.circuit.assign_parameters(
        dict(
            zip([*network.input_params, *network.weight_params], [0.1, 0.2, 0.3, 0.4], strict=True)
        )
    )
    value = StatevectorEstimator().run([(bound, s.OBSERVABLES[1])]).result()[0].data.evs
    found = network.forward([0.1, 0.2], [0.3, 0.4])
    assert found[0, 1] == pytest.approx(float(value), abs=1e-12)


# B10: parameters as torch handles them


@pytest.mark.parametrize(
    "make",
    [
        lambda: QuantumLinear(s.own_qnn()),
        lambda: QNNConnector(BroadcastEstimatorQNN(s.own_qnn(), registry.default_route())),
    ],
)
class TestParameters:
    x = torch.tensor([[0.3, 0.4]], dtype=torch.float64)

    def values(self, weights):
        layer = QuantumLinear(s.own_qnn()).double()
        layer.load_state_dict({"weight": torch.as_tensor(weights, dtype=torch.float64)})
        return layer(self.x).detach()

    def test_assigned(self, make):
        layer = make()
        layer.weight = nn.Parameter(torch.tensor([0.5, -0.5], dtype=torch.float64))
        assert [name for name, _ in layer.named_parameters()] == ["weight"]
        assert torch.allclose(layer(self.x), self.values([0.5, -0.5]))
        layer(self.x).sum().backward()
        assert layer.weight.grad.shape == (2,)

    def test_pruned(self, make):
        layer = make().double()
        prune.random_unstructured(layer, "weight", amount=1)
        assert torch.allclose(layer(self.x), self.values(layer.weight.detach()))
        assert (layer.weight == 0).sum() == 1
        layer(self.x).sum().backward()
        assert layer.weight_orig.grad.shape == (2,)
        other = make().double()
        prune.random_unstructured(other, "weight", amount=1)
        other.load_state_dict(layer.state_dict())
        assert torch.allclose(other(self.x), layer(self.x))
        prune.remove(layer, "weight")
        assert isinstance(layer.weight, nn.Parameter)
        assert torch.allclose(layer(self.x), other(self.x))

    def test_parametrised(self, make):
        class Halved(nn.Module):
            def forward(self, weight):
                return weight / 2

        layer = make().double()
        before = layer.weight.detach().clone()
        nn.utils.parametrize.register_parametrization(layer, "weight", Halved())
        assert torch.allclose(layer(self.x), self.values(before / 2))
        layer(self.x).sum().backward()
        assert layer.parametrizations.weight.original.grad is not None

    def test_called_with_other_weights(self, make):
        layer = make()
        weights = torch.tensor([0.1, 0.9], dtype=torch.float64, requires_grad=True)
        out = torch.func.functional_call(layer, {"weight": weights}, (self.x,))
        assert torch.allclose(out, self.values([0.1, 0.9]))
        out.sum().backward()
        assert weights.grad is not None


# B11: a fork after a device's noise was used


def _in_a_fork(line) -> None:
    try:
        value = run("aer-boston-exact", QuantumLinear(s.own_qnn()).circuit.circuit.copy(), "ZZ",
                    np.zeros((1, 4)))  # fmt: skip
        line.send(("value", float(value[0].data.evs[0])))
    except RouteError as error:
        line.send(("error", str(error)))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.parametrize("how", ["fork", "spawn"])
def test_a_process_started_after_noise_was_used(how):
    run("aer-boston-exact", QuantumCircuit(1))
    context = multiprocessing.get_context(how)
    here, there = context.Pipe()
    process = context.Process(target=_in_a_fork, args=(there,))
    process.start()
    try:
        assert here.poll(100), "it hangs"
        kind, told = here.recv()
    finally:
        process.kill()
        process.join()
    assert kind == ("error" if how == "fork" else "value")
    if how == "fork":
        assert "'spawn'" in told


# B12: calibrations


def _calibration() -> dict:
    return json.loads(properties_json(bundled_device("fake_torino")))


def _without(gate: str) -> dict:
    found = _calibration()
    return {**found, "gates": [g for g in found["gates"] if g["gate"] != gate]}


BAD = {
    "no sx": lambda: _without("sx"),
    "no rz": lambda: _without("rz"),
    "no cz": lambda: _without("cz"),
    "nothing": dict,
    "no gates": lambda: {**_calibration(), "gates": []},
    "no qubits": lambda: {**_calibration(), "qubits": []},
    "gates {}": lambda: {**_calibration(), "gates": {}},
    "a list": list,
}


@pytest.mark.parametrize("kind", BAD)
def test_calibrations_that_say_too_little(kind):
    def value() -> object:
        device = device_of(json.dumps(BAD[kind]()).encode(), "lab.json")
        return noisy(device).run([(s.own_qnn().canonical, "ZZ", np.zeros((1, 4)))]).result()

    with pytest.raises(RouteError):
        value()


# B14: other systems


@pytest.mark.parametrize("code", [errno.EINVAL, errno.EACCES, errno.ENOTSUP])
def test_folders_that_cannot_be_flushed(tmp_path, monkeypatch, code):
    real = os.fsync

    def fsync(descriptor: int) -> None:
        if os.path.isdir(f"/proc/self/fd/{descriptor}"):  # noqa: PTH112
            raise OSError(code, os.strerror(code))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    made = journal.Journal.create(tmp_path / "run")
    digest = made.store("a.bin", b"abc")
    assert journal.Journal.open(tmp_path / "run").load("a.bin", digest) == b"abc"


@pytest.mark.parametrize("code", [errno.EACCES, errno.EISDIR])
def test_folders_that_cannot_be_opened(tmp_path, monkeypatch, code):
    real = os.open

    def refuse(path, flags, *rest, **options):
        if os.path.isdir(path):  # noqa: PTH112
            raise OSError(code, os.strerror(code))
        return real(path, flags, *rest, **options)

    monkeypatch.setattr(os, "open", refuse)
    made = journal.Journal.create(tmp_path / "run")
    assert made.store("a.bin", b"abc")


def test_a_disk_that_is_full_is_still_told(tmp_path, monkeypatch):
    made = journal.Journal.create(tmp_path / "run")

    def fsync(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises((JobError, OSError)):
        made.store("a.bin", b"abc")


def test_signals_without_a_name(monkeypatch):
    from qvit_qiskit.study.running import workers

    assert "SIGKILL" in workers._epitaph(-9)  # noqa: SLF001 - a step that nothing public does alone
    assert "signal 40" in workers._epitaph(-40)  # noqa: SLF001 - a step that nothing public does alone
    assert "exit code 3" in workers._epitaph(3)  # noqa: SLF001 - a step that nothing public does alone
    monkeypatch.delattr(signal, "pthread_sigmask")
    with workers._deaf():  # noqa: SLF001 - a step that nothing public does alone
        pass


def test_parameter_vectors_keep_their_order():
    """Twelve parameters: `alpha[10]` comes after `alpha[9]`, on every route."""
    p = ParameterVector("alpha", 12)
    circuit = QuantumCircuit(1)
    for k, parameter in enumerate(p):
        circuit.ry(0.1 * (k + 1) * parameter, 0)
    rows = np.random.default_rng(2).uniform(-1, 1, (2, 12))
    expected = np.cos(rows @ (0.1 * np.arange(1, 13)))
    for name in ("aer-exact", "aer-reference"):
        np.testing.assert_allclose(run(name, circuit, "Z", rows)[0].data.evs, expected, atol=1e-10)
