"""Shots of circuits that are too wide for bitstrings: their moments, and how they are drawn."""

import numpy as np
import pytest
from qiskit.quantum_info import SparsePauliOp
from reference.shots import data

from qvit_qiskit.circuits import QNNCircuit, build_circuit
from qvit_qiskit.circuits.measurement_bases import measurement_bases
from qvit_qiskit.devices.regions import bundled_device
from qvit_qiskit.simulation.bitstrings import BitstringEstimator
from qvit_qiskit.simulation.exact.engine import Request
from qvit_qiskit.simulation.exact.estimator import ExactEstimator
from qvit_qiskit.simulation.exact.forms import FormCompiler, FormEngine
from qvit_qiskit.simulation.noise.compiler import noisy
from qvit_qiskit.simulation.normal_draws import draw_means, exact_moments
from qvit_qiskit.simulation.shifts import circuit_pub


def estimators():
    return ExactEstimator(FormEngine(), FormCompiler()), noisy(bundled_device("fake_fez"))


def own_observables(qubits):
    """Sums of several terms that share bits, and one that is constant in part."""
    circuit = build_circuit("ry-chain", qubits, 1)
    texts = [["ZIIIIII", "IZZIIII"], ["IIIIIIZ"], ["IIIIIZZ", "IIIIIII"], ["IIIIZII"]]
    observables = [SparsePauliOp([t[:qubits] for t in text], np.arange(1, 1 + len(text)))
                   for text in texts]  # fmt: skip
    return QNNCircuit(circuit.circuit, circuit.inputs, circuit.weights, tuple(observables))


CIRCUITS = [build_circuit("ry-chain", 7, 1), own_observables(7)]


@pytest.mark.parametrize(
    ("which", "circuit"),
    [
        *(("exact", circuit) for circuit in CIRCUITS),
        ("noisy", build_circuit("ry-chain", 4, 1)),
        *(pytest.param("noisy", circuit, marks=pytest.mark.check) for circuit in CIRCUITS),
    ],
)
def test_moments_equal_those_of_all_bitstrings(rng, circuit, which):
    estimator = estimators()[which == "noisy"]
    compiler, columns = estimator.compiler, tuple(range(circuit.num_inputs))
    values = rng.uniform(-np.pi, np.pi, (3, circuit.num_inputs + circuit.num_weights))
    values[:, circuit.num_inputs :] = values[:1, circuit.num_inputs :]
    (basis,) = measurement_bases(circuit.pauli_terms)
    count = circuit.num_outputs
    program = compiler.program(circuit.canonical, basis, columns)
    request = Request.of(program, values, np.zeros((1, 0)))
    probabilities = estimator.engine.probabilities(request)[0]  # (2**n, 3)
    bits = program.basis.diagonal(count)
    means = probabilities.T @ bits
    seconds = np.einsum("sr,sk,sm->rkm", probabilities, bits, bits)
    moments = compiler.moments(circuit.canonical, basis, columns, count)
    found = exact_moments(estimator.engine, moments, values, count)
    np.testing.assert_allclose(found[0], means, atol=1e-9 if which == "noisy" else 1e-12)
    expected = seconds - means[:, :, None] * means[:, None]
    np.testing.assert_allclose(found[1], expected, atol=1e-8 if which == "noisy" else 1e-12)
    assert len(moments.pairs) <= count * (count + 1) // 2


def test_draws_have_these_moments(rng):
    """Three thousand draws of one row."""
    estimator, circuit, rows, shots = estimators()[0], build_circuit("ry-chain", 5, 1), 3000, 16
    values = np.repeat(rng.uniform(-np.pi, np.pi, (1, 15)), rows, axis=0)
    (basis,) = measurement_bases(circuit.pauli_terms)
    moments = estimator.compiler.moments(circuit.canonical, basis, tuple(range(5)), 5)
    mean, covariance = exact_moments(estimator.engine, moments, values[:1], 5)
    seed = np.random.SeedSequence(3)
    means, covariances = draw_means(estimator.engine, moments, values, 5, shots, seed)
    np.testing.assert_allclose(covariances[:, 7], covariance[0] / shots, atol=1e-12)
    spread = np.sqrt(np.diag(covariance[0]) / shots)
    assert np.abs((means.mean(axis=1) - mean[0]) / spread).max() < 5 / np.sqrt(rows)
    scaled = np.cov(means) / np.outer(spread, spread)
    expected = covariance[0] / shots / np.outer(spread, spread)
    assert np.abs(scaled - expected).max() < 5 * np.sqrt(2 / rows)


def measured(circuit, shots, rows, rng):
    inputs = rng.uniform(-np.pi, np.pi, (rows, circuit.num_inputs))
    pub = circuit_pub(circuit, inputs, rng.uniform(-np.pi, np.pi, circuit.num_weights))
    exact = estimators()[0]
    estimator = BitstringEstimator(exact.engine, exact.compiler, shots, seed=5)
    result = estimator.run([pub]).result()[0]
    return estimator.describe(circuit), result, data(exact, *pub).evs


def test_wide_chains_have_bitstrings_of_matrix_product_states(rng):
    shots = 200
    text, result, exact = measured(build_circuit("ry-chain", 30, 2), shots, 3, rng)
    assert result.metadata["drawn"] == "bitstrings of Aer's matrix product states"
    assert text.startswith("bitstrings from Aer's matrix product states for up to 131,072 shots")
    errors = np.sqrt((1 - exact**2) / shots)
    assert np.abs((result.data.evs - exact) / errors).max() < 5
    counts = result.data.evs * shots / 2
    np.testing.assert_allclose(counts, np.rint(counts), atol=1e-9)  # means of so many bits
    variances = np.einsum("krk->kr", result.data.covariances)
    np.testing.assert_allclose(variances, (1 - result.data.evs**2) / shots, atol=1e-12)


def test_others_are_drawn_normally_and_say_so(rng, monkeypatch):
    monkeypatch.setattr("qvit_qiskit.simulation.chain_bits.MAX_DRAWS", 100)
    shots, name = 64, "normal draws with exact means and covariances, not bitstrings"
    text, result, exact = measured(build_circuit("ry-chain", 26, 1), shots, 5, rng)
    assert result.metadata["drawn"] == name
    assert name in text
    errors = np.sqrt((1 - exact**2) / shots)
    assert np.abs((result.data.evs - exact) / errors).max() < 5
    far = np.abs(np.subtract.outer(np.arange(26), np.arange(26))) > 2
    assert (np.abs(result.data.covariances.swapaxes(0, 1)[:, far]) < 1e-12).all()
    assert (np.abs(result.data.covariances.swapaxes(0, 1)[:, ~far]) > 1e-12).mean() > 0.5
