"""Qiskit Algorithms on this package's estimator and gradients.

Its gradients have a base class of their own, beside Qiskit Machine Learning's, but ``VQE`` asks no
more of a gradient than the method `run`, which the two have in common.
"""

import numpy as np
import pytest
from qiskit.circuit import Parameter, QuantumCircuit
from qiskit.circuit.library import efficient_su2, real_amplitudes
from qiskit.primitives import StatevectorEstimator
from qiskit.providers.fake_provider import GenericBackendV2
from qiskit.quantum_info import SparsePauliOp
from qiskit.transpiler import generate_preset_pass_manager
from reference import ours

algorithms = pytest.importorskip("qiskit_algorithms")
gradients = pytest.importorskip("qiskit_algorithms.gradients")
optimizers = pytest.importorskip("qiskit_algorithms.optimizers")
variational = pytest.importorskip("qiskit_algorithms.time_evolvers.variational")

HYDROGEN = SparsePauliOp(
    ["II", "IZ", "ZI", "ZZ", "XX"], [-1.0524, 0.3979, -0.3979, -0.0113, 0.1809]
)
ONE, TWO = SparsePauliOp(["ZZ", "XI"], [0.5, -1.2]), SparsePauliOp("YX")
ANSATZ = real_amplitudes(2, reps=1)
START = np.array([0.3, -0.2, 0.5, 0.1])
ESTIMATORS = (ours.exact_estimator, StatevectorEstimator)
NOTHING = SparsePauliOp("ZZ", [0.0])


def _repeated() -> QuantumCircuit:
    a, b = Parameter("a"), Parameter("b")
    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.ry(a, 0)
    circuit.rx(2 * a + b, 1)
    circuit.rzz(b, 0, 1)
    return circuit


def assert_same_gradients(found, expected, atol=1e-9, **options) -> None:
    """Three requests of two circuits: the results and what they say of their precision."""
    rng = np.random.default_rng(2)
    circuits = [ANSATZ, _repeated(), ANSATZ]
    values = [rng.uniform(-1, 1, c.num_parameters) for c in circuits]
    one, two = (
        g.run(circuits, [ONE, TWO, HYDROGEN], values, **options).result() for g in (found, expected)
    )
    assert one.precision == two.precision
    for a, b in zip(one.gradients, two.gradients, strict=True):
        assert np.shape(a) == np.shape(b)
        np.testing.assert_allclose(a, b, atol=atol)


GRADIENTS = {
    "shifts": lambda e: gradients.ParamShiftEstimatorGradient(e),
    "central": lambda e: gradients.FiniteDiffEstimatorGradient(e, 1e-3),
    "forward": lambda e: gradients.FiniteDiffEstimatorGradient(e, 1e-3, method="forward"),
    "backward": lambda e: gradients.FiniteDiffEstimatorGradient(e, 1e-3, method="backward"),
    "perturbations": lambda e: gradients.SPSAEstimatorGradient(e, 1e-3, batch_size=2, seed=5),
} | {
    f"linear combination, {kind.value}": lambda e, kind=kind: gradients.LinCombEstimatorGradient(
        e, derivative_type=kind
    )
    for kind in gradients.DerivativeType
}


@pytest.mark.parametrize("name", GRADIENTS)
def test_gradients(name):
    found, expected = (GRADIENTS[name](e()) for e in ESTIMATORS)
    assert_same_gradients(found, expected)
    parameters = [list(ANSATZ.parameters)[1:3], None, None]
    assert_same_gradients(found, expected, parameters=parameters)


@pytest.mark.parametrize("name", ["shifts", "central", "linear combination, real"])
def test_gradients_with_precisions(name):
    """Zero, and by request: values are exact, but the results tell what was asked."""
    found, expected = (GRADIENTS[name](e()) for e in ESTIMATORS)
    assert_same_gradients(found, expected, precision=0.0)
    assert_same_gradients(found, expected, precision=[0.0, None, 0.0])


@pytest.mark.parametrize("make", [ours.adjoint_gradient, ours.shift_gradient])
def test_our_gradients_equal_the_reverse_mode(make):
    """Another gradient by the adjoint method; it simulates by itself and asks no estimator."""
    rng = np.random.default_rng(3)
    circuits = [efficient_su2(2, reps=1), _repeated()]
    values = [rng.uniform(-1, 1, c.num_parameters) for c in circuits]
    found, expected = (
        g.run(circuits, [ONE, HYDROGEN], values).result().gradients
        for g in (make(), gradients.ReverseEstimatorGradient())
    )
    for one, two in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, two, atol=1e-9)


@pytest.mark.parametrize("derivative", gradients.DerivativeType)
def test_geometric_tensors(derivative):
    for phase_fix in (True, False):
        found, expected = (
            gradients.LinCombQGT(e(), phase_fix, derivative).run([ANSATZ], [START]).result()
            for e in ESTIMATORS
        )
        np.testing.assert_allclose(found.qgts[0], expected.qgts[0], atol=1e-9)
        assert found.precision == expected.precision


def test_fisher_information():
    found, expected = (
        gradients.QFI(gradients.LinCombQGT(e())).run([ANSATZ], [START]).result().qfis[0]
        for e in ESTIMATORS
    )
    np.testing.assert_allclose(found, expected, atol=1e-9)


def _minimum(estimator, gradient=None, *, operator=HYDROGEN, aux=None, **options):
    history = []
    options.setdefault("ansatz", ANSATZ)
    solver = algorithms.VQE(
        estimator,
        optimizer=options.pop("optimizer", None) or optimizers.SLSQP(maxiter=8),
        gradient=gradient,
        initial_point=START,
        callback=lambda *step: history.append(step),
        **options,
    )
    return solver.compute_minimum_eigenvalue(operator, aux), history


def _assert_same_minimum(found, expected) -> None:
    (one, steps), (two, _) = found, expected
    assert one.eigenvalue == pytest.approx(two.eigenvalue, abs=1e-7)
    np.testing.assert_allclose(one.optimal_point, two.optimal_point, atol=1e-4)
    assert len(steps) >= one.cost_function_evals > 1
    for _, _, value, metadata in steps:
        assert np.isreal(value)
        assert metadata["target_precision"] == 0


@pytest.mark.parametrize(
    "gradient", ["none", "adjoint", "shifts", "stock shifts", "stock linear combinations"]
)
def test_minimum_eigenvalues(gradient):
    """Of hydrogen, −1.857: by differences, by our gradients, and by Qiskit's on our estimator."""
    estimator = ours.exact_estimator()
    made = {
        "none": None,
        "adjoint": ours.adjoint_gradient(estimator),
        "shifts": ours.shift_gradient(estimator),
        "stock shifts": gradients.ParamShiftEstimatorGradient(estimator),
        "stock linear combinations": gradients.LinCombEstimatorGradient(estimator),
    }[gradient]
    stock = made and gradients.ParamShiftEstimatorGradient(StatevectorEstimator())
    found, expected = _minimum(estimator, made), _minimum(StatevectorEstimator(), stock)
    _assert_same_minimum(found, expected)
    exact = algorithms.NumPyMinimumEigensolver().compute_minimum_eigenvalue(HYDROGEN)
    assert found[0].eigenvalue == pytest.approx(exact.eigenvalue, abs=1e-3)


@pytest.mark.parametrize(
    "optimizer",
    [
        optimizers.COBYLA(maxiter=25),
        optimizers.SPSA(maxiter=4, learning_rate=0.1, perturbation=0.1),
        optimizers.L_BFGS_B(maxiter=3, max_evals_grouped=4),
    ],
    ids=lambda one: type(one).__name__,
)
def test_optimizers(optimizer):
    """They ask for one value at a time, or for many as the rows of one PUB."""
    results = []
    for estimator in ESTIMATORS:
        algorithms.utils.algorithm_globals.random_seed = 6
        results.append(_minimum(estimator(), optimizer=optimizer))
    _assert_same_minimum(*results)


@pytest.mark.parametrize(
    "aux", [[ONE, TWO], {"one": ONE, "nothing": NOTHING}, [NOTHING, NOTHING]], ids=str
)
def test_auxiliary_operators(aux):
    """With what was measured, in a dict or a list; also when there is nothing to measure."""
    found, expected = (_minimum(e(), aux=aux)[0].aux_operators_evaluated for e in ESTIMATORS)
    assert type(found) is type(expected)
    for key in found if isinstance(found, dict) else range(len(found)):
        assert found[key][0] == pytest.approx(expected[key][0], abs=1e-5)
        assert expected[key][1].items() <= found[key][1].items()


def test_a_transpiled_ansatz():
    backend = GenericBackendV2(5, seed=1)
    compiler = generate_preset_pass_manager(1, backend, seed_transpiler=3)
    found = _minimum(ours.exact_estimator(), transpiler=compiler, aux=[ONE])
    expected = _minimum(StatevectorEstimator(), aux=[ONE])
    _assert_same_minimum(found, expected)
    assert found[0].aux_operators_evaluated[0][0] == pytest.approx(
        expected[0].aux_operators_evaluated[0][0], abs=1e-5
    )


def test_adaptive_ansatz():
    """It is built gate by gate: every iteration has a new circuit of evolution gates."""
    pool = [SparsePauliOp("XY"), SparsePauliOp("YX")]
    start = QuantumCircuit(2)
    start.x(0)
    energies = []
    for estimator in ESTIMATORS:
        solver = algorithms.VQE(estimator(), QuantumCircuit(2), optimizers.SLSQP())
        solver.gradient = gradients.ParamShiftEstimatorGradient(solver.estimator)
        adaptive = algorithms.AdaptVQE(
            solver, operators=pool, initial_state=start, max_iterations=2
        )
        energies.append(adaptive.compute_minimum_eigenvalue(HYDROGEN).eigenvalue)
    assert energies[0] == pytest.approx(energies[1], abs=1e-7)


def _phases() -> QuantumCircuit:
    circuit = QuantumCircuit(2)
    for qubit in range(2):
        circuit.rz(Parameter(f"z{qubit}"), qubit)
    return circuit


def _principle(imaginary: bool, estimator):
    kind = gradients.DerivativeType
    tensor = gradients.LinCombQGT(estimator)
    if imaginary:
        return variational.ImaginaryMcLachlanPrinciple(
            tensor, gradients.LinCombEstimatorGradient(estimator)
        )
    slope = gradients.LinCombEstimatorGradient(estimator, derivative_type=kind.IMAG)
    return variational.RealMcLachlanPrinciple(tensor, slope)


@pytest.mark.parametrize("imaginary", [True, False], ids=["imaginary", "real"])
def test_variational_time_evolution(imaginary):
    evolver = algorithms.VarQITE if imaginary else algorithms.VarQRTE
    results = []
    for make in ESTIMATORS:
        estimator = make()
        problem = algorithms.TimeEvolutionProblem(HYDROGEN, 0.2, aux_operators=[ONE, TWO])
        principle = _principle(imaginary, estimator)
        made = evolver(
            efficient_su2(2, reps=1), np.full(8, 0.4), principle, estimator, num_timesteps=3
        )
        results.append(made.evolve(problem))
    found, expected = results
    np.testing.assert_allclose(found.parameter_values, expected.parameter_values, atol=1e-6)
    values = [[pair[0] for pair in one.aux_ops_evaluated] for one in results]
    np.testing.assert_allclose(*values, atol=1e-6)


def test_trotter_time_evolution():
    """The product formula; ``StatevectorEstimator`` takes the exponential if it is not told."""
    start = QuantumCircuit(2)
    start.h(0)
    problem = algorithms.TimeEvolutionProblem(HYDROGEN, 0.5, start, aux_operators=[ONE, TWO])
    evolver = algorithms.TrotterQRTE(estimator=ours.exact_estimator(), num_timesteps=2)
    result = evolver.evolve(problem)
    formula = result.evolved_state.decompose("PauliEvolution")
    expected = StatevectorEstimator().run([(formula, [ONE, TWO])]).result()[0].data.evs
    np.testing.assert_allclose([pair[0] for pair in result.aux_ops_evaluated], expected, atol=1e-9)
