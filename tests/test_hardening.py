"""What a reviewer broke once."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter, ParameterVector
from qiskit.primitives import StatevectorEstimator
from qiskit.quantum_info import Clifford, SparsePauliOp

from qvit_qiskit import QNNCircuit, QuantumLinear, ViTConfig, build_circuit, build_model, evaluate
from qvit_qiskit.circuits import ry_ring, z_observables
from qvit_qiskit.data.phantom import phantom
from qvit_qiskit.exceptions import CircuitError, ConfigError, DataError
from qvit_qiskit.execution import registry
from qvit_qiskit.simulation.exact.engine import Engine
from qvit_qiskit.simulation.exact.estimator import ExactEstimator
from qvit_qiskit.simulation.kernel.availability import loops

PHANTOM = phantom(sizes=(8, 4, 4))


@pytest.mark.parametrize("name", ["rx", "p", "id", "barrier", "measure", "cx", "u"])
def test_a_composite_gate_may_bear_any_name(name: str, rng: np.random.Generator) -> None:
    a, b = ParameterVector("a", 2)
    inner = QuantumCircuit(2, name=name)
    inner.ry(a, 0)
    inner.cx(0, 1)
    inner.rx(b, 1)
    circuit = QuantumCircuit(2)
    circuit.append(inner.to_gate(), [1, 0])
    values = rng.uniform(-3, 3, (4, 2))
    pub = (circuit, [["XZ"], ["ZI"]], values)
    expected = StatevectorEstimator().run([pub]).result()[0].data.evs
    found = ExactEstimator().run([pub]).result()[0].data.evs
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_cliffords_are_unitary() -> None:
    inner = QuantumCircuit(2)
    inner.h(0)
    inner.cx(0, 1)
    circuit = QuantumCircuit(2)
    circuit.append(Clifford(inner), [0, 1])
    assert ExactEstimator().run([(circuit, "XX")]).result()[0].data.evs == pytest.approx(1)


def test_a_pickled_engine_forgets_ids() -> None:
    layer = QuantumLinear(ry_ring(4, 3), registry.open("aer-exact"))
    with loops(False):
        layer(torch.zeros(1, 4))
    engine: Engine = layer.route.estimator.engine.states
    assert engine.unitaries._templates  # noqa: SLF001 - a cache, which nothing public shows
    loaded = pickle.loads(pickle.dumps(layer))
    assert not loaded.route.estimator.engine.states.unitaries._templates  # noqa: SLF001 - a cache, which nothing public shows
    assert not copy.deepcopy(engine.unitaries)._templates  # noqa: SLF001 - a cache, which nothing public shows
    assert torch.equal(loaded(torch.ones(1, 4)), layer(torch.ones(1, 4)))


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.complex64])
def test_angles_are_floating_point(dtype: torch.dtype) -> None:
    with pytest.raises(CircuitError, match=r"Call \.float\(\)"):
        QuantumLinear(ry_ring(2))(torch.zeros(3, 2).to(dtype))


def test_a_scalar_is_no_row() -> None:
    with pytest.raises(CircuitError, match="last dimension of 2"):
        QuantumLinear(ry_ring(2))(torch.tensor(0.5))


def test_compiled_models_are_right() -> None:
    model = build_model(ViTConfig(patch_size=14), seed=0)
    images = torch.randn(2, 1, 28, 28)
    compiled = torch.compile(model, backend="eager")
    assert torch.equal(compiled(images), model(images))


def test_a_qnn_circuit_is_frozen() -> None:
    x, w = Parameter("x"), Parameter("w")
    circuit = QuantumCircuit(1)
    circuit.ry(x, 0)
    circuit.rx(w, 0)
    frozen = QNNCircuit(circuit, (x,), (w,), z_observables(1))
    circuit.x(0)
    assert "x" not in frozen.canonical.count_ops()


def test_observables_may_be_strings_but_not_zero() -> None:
    given = build_circuit("ry-ring", 2)
    roles = (given.circuit, given.inputs, given.weights)
    assert QNNCircuit(*roles, ("ZZ",)).observables == (SparsePauliOp("ZZ"),)
    with pytest.raises(CircuitError, match="not zero"):
        QNNCircuit(*roles, (SparsePauliOp(["IZ", "IZ"], [1, -1]),))


def test_a_circuit_without_inputs() -> None:
    w = Parameter("w")
    circuit = QuantumCircuit(1)
    circuit.ry(w, 0)
    layer = QuantumLinear(QNNCircuit(circuit, (), (w,), z_observables(1)))
    out = layer(torch.zeros(3, 0))
    assert torch.allclose(out, layer.weight.cos().expand(3, 1), atol=1e-6)


@pytest.mark.parametrize("grad", [True, False])
def test_nan_weights_are_refused(grad: bool) -> None:
    layer = QuantumLinear(ry_ring(2))
    with torch.no_grad():
        layer.weight[0] = float("nan")
    with torch.set_grad_enabled(grad), pytest.raises(CircuitError, match="NaN"):
        layer(torch.zeros(1, 2))


@pytest.mark.parametrize(
    ("values", "fragment"),
    [
        ({"widht": 8}, "Did you mean 'width'?"),
        ({"mlp_ratio": 1e300}, "less than or equal to 64"),
        ({"mlp_ratio": float("nan")}, "finite"),
        ({"width": 10**6}, "4096"),
    ],
)
def test_constructors_speak_like_the_command_line(values: dict[str, float], fragment: str) -> None:
    with pytest.raises(ConfigError) as caught:
        ViTConfig(**values)
    assert fragment in str(caught.value)


def test_double_models_are_evaluated() -> None:
    model = build_model(ViTConfig(patch_size=14), seed=0)
    single = evaluate(model, PHANTOM.test)
    double = evaluate(model.double(), PHANTOM.test)
    np.testing.assert_allclose(single.logits, double.logits, atol=1e-5)


def test_batches_hold_images() -> None:
    with pytest.raises(DataError, match="at least one image"):
        evaluate(build_model(ViTConfig(), seed=0), PHANTOM.test, batch_size=0)


def test_wide_states_run_in_small_chunks() -> None:
    from qvit_qiskit.simulation.exact import engine

    row = 8 * 3 * 2**20
    assert min(engine.MIN_ROWS, engine.MAX_CHUNK_BYTES // row) == 2
