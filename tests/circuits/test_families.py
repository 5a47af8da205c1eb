import copy

import numpy as np
import pytest
from qiskit.circuit import Parameter, ParameterVector, QuantumCircuit
from qiskit.quantum_info import Operator, SparsePauliOp
from reference import dense
from reference.families import MATRICES

from qvit_qiskit.circuits import (
    FAMILIES,
    QNNCircuit,
    build_circuit,
    cnot_ring,
    pauli_terms,
    ry_ring,
    z_observables,
)
from qvit_qiskit.exceptions import CircuitError

SIZES = [(n, layers) for n in range(1, 6) for layers in (1, 2, 3)]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("n", "layers"), SIZES)
def test_a_family_is_its_matrix(rng, family, n, layers):
    circuit = build_circuit(family, n, layers)
    x = rng.uniform(-np.pi, np.pi, n)
    w = rng.uniform(-np.pi, np.pi, circuit.num_weights)
    angles = dict(zip([*circuit.inputs, *circuit.weights], [*x, *w], strict=True))
    found = Operator(circuit.circuit.assign_parameters(angles)).data
    np.testing.assert_allclose(found, MATRICES[family](n, layers, x, w), atol=1e-12)


@pytest.mark.parametrize(
    ("family", "weights"),
    [
        ("ry-ring", 8),
        ("rx-rz-ring", 16),
        ("reupload-ring", 8),
        ("ry-chain", 12),
        ("cz-ring", 12),
        ("lattice", 12),
        ("square-lattice", 12),
    ],
)
def test_sizes(family, weights):
    circuit = build_circuit(family, 4, 2)
    sizes = circuit.num_qubits, circuit.num_inputs, circuit.num_outputs, circuit.num_weights
    assert sizes == (4, 4, 4, weights)
    assert (circuit.family, circuit.layers) == (family, 2)
    assert MATRICES.keys() == FAMILIES.keys()


def test_two_layers_are_the_default():
    assert ry_ring(3).num_weights == 6
    assert build_circuit("ry-ring", 3).layers == 2


def test_the_ring_closes_from_three_qubits_on():
    pairs = {}
    for n in (1, 2, 3, 4):
        circuit = QuantumCircuit(n)
        cnot_ring(circuit)
        pairs[n] = [tuple(circuit.find_bit(q).index for q in one.qubits) for one in circuit.data]
    expected = {
        1: [],
        2: [(0, 1)],
        3: [(0, 1), (1, 2), (2, 0)],
        4: [(0, 1), (1, 2), (2, 3), (3, 0)],
    }
    assert pairs == expected


@pytest.mark.parametrize("qubit", range(3))
def test_qubit_i_is_bit_i(qubit):
    circuit = QuantumCircuit(3)
    circuit.x(qubit)
    amplitudes = dense.states(circuit, np.zeros((1, 0)))[0]
    assert np.flatnonzero(np.abs(amplitudes) > 0.5).tolist() == [1 << qubit]
    values = dense.values(circuit, z_observables(3), np.zeros((1, 0)))[0]
    assert values.tolist() == [-1.0 if i == qubit else 1.0 for i in range(3)]
    signs = np.diag(dense.observable_matrix(z_observables(3)[qubit])).real
    assert signs.tolist() == dense.z_signs(3)[:, qubit].tolist()


@pytest.mark.parametrize("n", range(1, 6))
def test_one_layer_of_the_ry_ring_is_products_of_cosines(rng, n):
    """CX(c, t) turns Z_t into Z_c Z_t, so that pulling Z_i back through the ring leaves Z's.

    On the line 0→1→…→n−1 output i sees the parity of qubits 0…i. From three qubits on the last
    CX(n−1, 0) adds the parity of all qubits to that of qubit 0: output 0 sees qubits 1…n−1.
    """
    circuit = ry_ring(n, 1)
    x, w = rng.uniform(-np.pi, np.pi, (2, n))
    values = dense.values(circuit.canonical, circuit.observables, np.concatenate([x, w]))[0]
    cosines = np.cos(x + w)
    expected = np.cumprod(cosines)
    if n > 2:
        expected[0] = np.prod(cosines[1:])
    np.testing.assert_allclose(values, expected, atol=1e-12)


def test_canonical_order_is_inputs_then_weights():
    """Names sort against the roles, and x[10] sorts before x[2] as text."""
    x, a = ParameterVector("x", 12), Parameter("a")
    circuit = QuantumCircuit(1)
    for k, parameter in enumerate([a, *reversed(x)]):
        circuit.ry((k + 1) * parameter, 0)
    made = QNNCircuit(circuit, tuple(x), (a,), z_observables(1))
    names = [p.name for p in made.canonical.parameters]
    assert names == [f"inputs[{k}]" for k in range(12)] + ["weights[0]"]
    values = np.arange(13) / 100
    angle = values[12] + sum((12 - k + 1) * values[k] for k in range(12))
    found = dense.values(made.canonical, made.observables, values)[0, 0]
    assert found == pytest.approx(np.cos(angle), abs=1e-12)
    assert made.canonical is made.canonical


def test_weights_follow_the_order_given():
    first, second = Parameter("b"), Parameter("a")
    circuit = QuantumCircuit(1)
    circuit.ry(3 * first + second, 0)
    for weights in [(first, second), (second, first)]:
        made = QNNCircuit(circuit, (), weights, z_observables(1))
        values = dict(zip(weights, (0.1, 0.7), strict=True))
        expected = np.cos(3 * values[first] + values[second])
        found = dense.values(made.canonical, made.observables, np.array([0.1, 0.7]))[0, 0]
        assert found == pytest.approx(expected, abs=1e-12)


def test_one_object_for_one_name():
    """Estimators know circuits by identity, and compile each once."""
    circuit = build_circuit("ry-ring", 2, 1)
    assert copy.deepcopy(circuit) is circuit
    assert build_circuit("ry-ring", 2, 1) is circuit
    assert build_circuit("ry-ring", 2, 2) is not circuit


def test_pauli_terms_are_merged():
    terms = pauli_terms(SparsePauliOp(["XI", "XI", "ZZ"], [0.25, 0.5, -1]))
    assert terms == {"XI": 0.75, "ZZ": -1.0}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("n", "layers"), [(0, 1), (3, 0), (-1, 2)])
def test_sizes_must_be_positive(family, n, layers):
    with pytest.raises(CircuitError, match=f"one qubit and one layer, but got {n} and {layers}"):
        build_circuit(family, n, layers)


def test_an_unknown_family_gets_the_nearest_name():
    with pytest.raises(CircuitError, match=r"'ry-rnig'.*Did you mean 'ry-ring'.*ry-chain"):
        build_circuit("ry-rnig", 4)
    with pytest.raises(CircuitError) as caught:
        build_circuit("zzz", 4)
    assert "Did you mean" not in str(caught.value)


def one_qubit() -> tuple[QuantumCircuit, Parameter, Parameter]:
    x, w = Parameter("x"), Parameter("w")
    circuit = QuantumCircuit(1)
    circuit.ry(x + w, 0)
    return circuit, x, w


def test_every_parameter_has_a_role():
    circuit, x, w = one_qubit()
    with pytest.raises(CircuitError, match=r"unassigned \['w'\] and unknown \[\]"):
        QNNCircuit(circuit, (x,), (), z_observables(1))
    with pytest.raises(CircuitError, match=r"unassigned \[\] and unknown \['v'\]"):
        QNNCircuit(circuit, (x,), (w, Parameter("v")), z_observables(1))


def test_every_parameter_has_one_role():
    circuit, x, w = one_qubit()
    with pytest.raises(CircuitError, match="listed twice"):
        QNNCircuit(circuit, (x, w), (w,), z_observables(1))


def test_observables_fit_the_circuit():
    circuit, x, w = one_qubit()
    with pytest.raises(CircuitError, match="at least one observable"):
        QNNCircuit(circuit, (x,), (w,), ())
    with pytest.raises(CircuitError, match="observables on 1 qubits, but got one on 2"):
        QNNCircuit(circuit, (x,), (w,), z_observables(2))
