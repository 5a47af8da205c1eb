"""What callers may expect of any estimator: shapes, precisions, metadata and errors.

The expected behaviour is that of ``StatevectorEstimator``; where it has none, as for a precision
that shots cannot reach, of ``BackendEstimatorV2``.
"""

import numpy as np
import pytest
from qiskit.circuit import Parameter, QuantumCircuit
from qiskit.circuit.library import real_amplitudes
from qiskit.primitives import PubResult, StatevectorEstimator
from qiskit.primitives.containers.bindings_array import BindingsArray
from qiskit.primitives.containers.estimator_pub import EstimatorPub
from qiskit.primitives.containers.observables_array import ObservablesArray
from qiskit.quantum_info import SparsePauliOp
from reference import ours
from reference.kinds import KINDS, SHOTS

from qvit_qiskit.exceptions import RouteError


def stock(*pub: object) -> PubResult:
    return StatevectorEstimator().run([pub]).result()[0]


def assert_like_stock(found: PubResult, expected: PubResult, kind: str) -> None:
    """Same shape, arrays of floats, and values within the kind's tolerance."""
    assert found.data.shape == expected.data.shape
    for array in (found.data.evs, found.data.stds):
        assert isinstance(array, np.ndarray)
        assert array.dtype == np.float64
        assert array.shape == expected.data.shape
    np.testing.assert_allclose(found.data.evs, expected.data.evs, atol=KINDS[kind][1], rtol=0)


ANSATZ = real_amplitudes(2, reps=1)
ONE = SparsePauliOp(["ZZ", "XI"], [0.5, -1])
THREE = [ONE, SparsePauliOp("YY"), SparsePauliOp("IX")]

SHAPES = {
    "one value": (ONE, ()),
    "one observable": ([ONE], ()),
    "one row": (ONE, (1,)),
    "rows": (ONE, (5,)),
    "observables": (THREE, ()),
    "zipped": (THREE, (3,)),
    "row against rows": (THREE, (4, 3)),
    "row against a column": (THREE, (4, 1)),
    "column against rows": ([[o] for o in THREE], (4,)),
    "column against a column": ([[o] for o in THREE], (3, 1)),
    "grid against a cube": ([THREE, THREE[::-1]], (2, 1, 3)),
    "one observable against a cube": ([[[ONE]]], (2, 3, 2)),
    "no rows": (ONE, (0,)),
    "no rows of three": (THREE, (0, 3)),
    "column against no rows": ([[o] for o in THREE], (0,)),
    "no observables": ([], ()),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_shapes(rng, estimator, kind, shape):
    observables, rows = SHAPES[shape]
    pub = (ANSATZ, observables, rng.uniform(-np.pi, np.pi, (*rows, ANSATZ.num_parameters)))
    assert_like_stock(estimator.run([pub]).result()[0], stock(*pub), kind)


@pytest.mark.parametrize("shape", ["one value", "row against rows", "no rows", "no observables"])
def test_shapes_under_device_noise(rng, shape):
    observables, rows = SHAPES[shape]
    pub = (ANSATZ, observables, rng.uniform(-np.pi, np.pi, (*rows, ANSATZ.num_parameters)))
    found = ours.noisy_estimator().run([pub]).result()[0]
    assert_like_stock(found, stock(*pub), "device noise")


@pytest.mark.parametrize(
    "nothing",
    [None, [], [[]], np.array([]), np.zeros((1, 0)), [np.array([])], np.zeros((3, 0)), {}],
    ids=repr,
)
def test_nothing_to_bind(estimator, kind, nothing):
    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.cx(0, 1)
    for observables in (ONE, [ONE], [[o] for o in THREE]):
        pub = (circuit, observables, nothing)
        assert_like_stock(estimator.run([pub]).result()[0], stock(*pub), kind)


def test_forms_of_parameter_values(rng, estimator, kind):
    """Lists, lists of arrays, and mappings from parameters in any order."""
    points = rng.uniform(-np.pi, np.pi, (3, 4))
    expected = stock(ANSATZ, ONE, points)
    names = tuple(ANSATZ.parameters)
    forms = [
        points.tolist(),
        list(points),
        {names: points},
        {names[::-1]: points[:, ::-1]},
        {names[0]: points[:, 0], names[1:]: points[:, 1:]},
        BindingsArray({names: points}),
    ]
    for form in forms:
        assert_like_stock(estimator.run([(ANSATZ, ONE, form)]).result()[0], expected, kind)


def test_pubs_of_every_form(rng, estimator, kind):
    """Tuples, lists and ``EstimatorPub``s, from an iterator; one is there twice."""
    points = rng.uniform(-np.pi, np.pi, (3, 4))
    made = EstimatorPub(
        ANSATZ, ObservablesArray(THREE), BindingsArray({tuple(ANSATZ.parameters): points})
    )
    pubs = [(ANSATZ, THREE, points), [ANSATZ, THREE, points], made, made]
    result = estimator.run(iter(pubs)).result()
    assert len(result) == 4
    for one in result:
        assert_like_stock(one, stock(ANSATZ, THREE, points), kind)


def test_results_are_the_callers_own(rng, estimator):
    """Writing to a result changes no other result, now or later; the circuit stays as it was."""
    points = rng.uniform(-np.pi, np.pi, (3, 4))
    circuit, before = ANSATZ.copy(), points.copy()
    job = estimator.run([(circuit, ONE, points)] * 2)
    first, second = (one.data.evs for one in job.result())
    kept = second.copy()
    first[:] = 17.0
    np.testing.assert_array_equal(second, kept)
    assert np.abs(estimator.run([(circuit, ONE, points)]).result()[0].data.evs).max() < 2
    assert circuit == ANSATZ
    np.testing.assert_array_equal(points, before)


def test_no_pubs(any_kind):
    estimator = KINDS[any_kind][0]()
    result = estimator.run([]).result()
    assert len(result) == 0
    assert result.metadata["version"] == 2


def test_metadata(any_kind):
    """Algorithms read the precision, and find their circuits again by the metadata."""
    estimator = KINDS[any_kind][0]()
    tagged, bare = QuantumCircuit(2, metadata={"tag": 4}), QuantumCircuit(2)
    pubs = [(tagged, "ZZ"), (bare, "ZZ", None, 0.25)]
    result = estimator.run(pubs, precision=0.1).result()
    assert result.metadata["version"] == 2
    assert [one.metadata["circuit_metadata"] for one in result] == [{"tag": 4}, bare.metadata]
    assert [one.metadata["target_precision"] for one in result] == [0.1, 0.25]


def test_the_default_precision(any_kind):
    """It is an attribute, too: Qiskit Algorithms asks for it where there is nothing to run."""
    estimator = KINDS[any_kind][0]()
    expected = SHOTS**-0.5 if any_kind == "shots" else 0.0
    result = estimator.run([(QuantumCircuit(1), "Z")]).result()
    assert result[0].metadata["target_precision"] == pytest.approx(expected)
    assert estimator.default_precision == pytest.approx(expected)


def test_precision_of_exact_values(rng):
    """Values are exact whatever is asked for, also under noise."""
    point = rng.uniform(-np.pi, np.pi, 4)
    for kind in ("exact", "device noise"):
        estimator = KINDS[kind][0]()
        expected = estimator.run([(ANSATZ, ONE, point)]).result()[0].data.evs
        for precision in (0, 0.0, 1e-9, 0.5):
            in_run = estimator.run([(ANSATZ, ONE, point)], precision=precision).result()[0]
            in_pub = estimator.run([(ANSATZ, ONE, point, precision)]).result()[0]
            for found in (in_run, in_pub):
                assert found.data.evs == expected
                assert found.data.stds == 0
                assert found.metadata["target_precision"] == precision


def test_precision_in_shots():
    """1/precision² bitstrings; a PUB's own precision goes first."""
    plus = QuantumCircuit(1)
    plus.h(0)
    estimator = ours.shot_estimator(SHOTS, seed=3)
    pubs = [(plus, "Z"), (plus, "Z", None, 0.1)]
    for precision, shots in [(None, [SHOTS, 100]), (0.05, [400, 100])]:
        for one, count in zip(
            estimator.run(pubs, precision=precision).result(), shots, strict=True
        ):
            assert one.metadata["shots"] == count
            ones = count * (1 - one.data.evs) / 2
            assert ones == pytest.approx(round(float(ones)), abs=1e-6)
            assert one.data.stds == pytest.approx(count**-0.5, rel=0.2)


@pytest.mark.parametrize("precision", [0, 0.0])
def test_shots_are_never_exact(precision):
    estimator = ours.shot_estimator(100)
    pub = (QuantumCircuit(1), "Z")
    with pytest.raises(RouteError, match=r"precision above 0.*\."):
        estimator.run([pub], precision=precision).result()
    with pytest.raises(RouteError, match=r"precision above 0.*\."):
        estimator.run([pub, (*pub, None, precision)]).result()


def _one_parameter() -> QuantumCircuit:
    circuit = QuantumCircuit(1)
    circuit.ry(Parameter("a"), 0)
    return circuit


WRONG = {
    "no list": ((QuantumCircuit(1), "Z"), ValueError, "An invalid Estimator pub-like was given"),
    "circuits alone": ([QuantumCircuit(1)], ValueError, "An invalid Estimator pub-like"),
    "no observable": ([(QuantumCircuit(1),)], ValueError, "length of pub must be 2, 3 or 4"),
    "too much": ([(QuantumCircuit(1), "Z", [], 0.1, 1)], ValueError, "length of pub must be"),
    "nothing": (None, TypeError, "not iterable"),
    "a wide observable": ([(QuantumCircuit(1), "ZZ")], ValueError, "number of qubits of the circ"),
    "a narrow observable": ([(QuantumCircuit(2), "Z")], ValueError, "number of qubits of the circ"),
    "two widths": ([(QuantumCircuit(2), ["ZZ", "Z"])], ValueError, "number of qubits must be the"),
    "no letter": ([(QuantumCircuit(1), "Q")], ValueError, "letters from the alphabet"),
    "not Hermitian": ([(QuantumCircuit(1), SparsePauliOp("Z", [1j]))], ValueError, "Hermitian"),
    "nothing to observe": ([(QuantumCircuit(1), SparsePauliOp("Z", [0]))], ValueError, "Empty obs"),
    "too many values": ([(QuantumCircuit(1), "Z", [[1.0]])], ValueError, "inconsistent with last"),
    "too few values": ([(_one_parameter(), "Z")], ValueError, "number of values"),
    "shapes that differ": (
        [(_one_parameter(), ["Z"] * 2, np.zeros((3, 1)))],
        ValueError,
        "not broadcastable",
    ),
    "a negative precision": ([(QuantumCircuit(1), "Z", None, -1)], ValueError, "non-negative"),
    "a word as precision": ([(QuantumCircuit(1), "Z", None, "fine")], TypeError, "real number"),
}


@pytest.mark.parametrize("name", WRONG)
def test_errors(name):
    """The same from all estimators, and before anything runs."""
    pubs, error, message = WRONG[name]
    for one in (StatevectorEstimator(), *(make() for make, _ in KINDS.values())):
        with pytest.raises(error, match=message):
            one.run(pubs)
