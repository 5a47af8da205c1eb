"""Shot noise.

Seeds are fixed, so these tests always give the same answer; the false-alarm probabilities say how
likely a test of this kind fails at a seed chosen at random although the code is right.
"""

import numpy as np
import pytest
from qiskit.circuit import QuantumCircuit
from qiskit.quantum_info import SparsePauliOp
from reference import dense
from reference.shots import data, noiseless, same_rows

from qvit_qiskit.circuits import build_circuit, ry_ring
from qvit_qiskit.exceptions import CircuitError
from qvit_qiskit.simulation import bitstrings
from qvit_qiskit.simulation.exact.estimator import ExactEstimator


def test_values_are_averages_of_signs():
    """(1 + ⟨Z⟩) / 2 of ``shots`` bitstrings is a multiple of 1 / shots."""
    found = data(noiseless(37), *same_rows(ry_ring(3, 2), 200))
    counts = 37 * (1 + found.evs) / 2
    np.testing.assert_allclose(counts, np.round(counts), atol=1e-9)
    assert np.abs(found.evs).max() <= 1
    assert len(np.unique(found.evs.round(9))) > 10


def test_one_row_is_a_draw_from_the_joint_distribution():
    """Mean and covariance of the outputs of 4,000 rows, against the dense twin.

    Each of the 3 + 9 statistics is close to normal; beyond 5 standard errors one of them is found
    at one seed in 140,000.
    """
    circuit, shots, rows = ry_ring(3, 2), 50, 4000
    pub = same_rows(circuit, rows)
    truth = dense.joint_covariances(circuit.canonical, pub[2][:1])[0] / shots
    mean = dense.values(circuit.canonical, circuit.observables, pub[2][:1])[0]
    correlation = truth / np.sqrt(np.outer(np.diag(truth), np.diag(truth)))
    assert np.abs(correlation - np.eye(3)).max() > 0.3  # outputs of a ring are not independent

    evs = data(noiseless(shots), *pub).evs
    errors = np.sqrt(np.diag(truth) / rows)
    assert np.abs((evs.mean(axis=1) - mean) / errors).max() < 5
    found = np.cov(evs)
    spread = np.sqrt((np.outer(np.diag(truth), np.diag(truth)) + truth**2) / rows)
    assert np.abs((found - truth) / spread).max() < 5
    np.testing.assert_allclose(np.diag(truth), (1 - mean**2) / shots, atol=1e-12)


def test_covariances_and_stds():
    """Row by row from its own bitstrings, and on average those of the dense twin.

    The mean over 2,000 rows deviates by 5 of its standard errors at one seed in 190,000 (9 means).
    """
    circuit, shots, rows = ry_ring(3, 2), 64, 2000
    pub = same_rows(circuit, rows)
    found = data(noiseless(shots), *pub)
    assert found.covariances.shape == (3, rows, 3)
    variances = np.einsum("krk->kr", found.covariances)
    np.testing.assert_allclose(variances, (1 - found.evs**2) / shots, atol=1e-12)
    np.testing.assert_allclose(found.stds, np.sqrt(variances), atol=1e-12)
    np.testing.assert_allclose(found.covariances, found.covariances.transpose(2, 1, 0), atol=1e-15)
    truth = dense.joint_covariances(circuit.canonical, pub[2][:1])[0]
    expected = truth / shots * (1 - 1 / shots)  # a sample's own covariance is this much smaller
    mean = found.covariances.mean(axis=1)
    error = found.covariances.std(axis=1, ddof=1) / np.sqrt(rows)
    assert np.abs((mean - expected) / error).max() < 5


@pytest.mark.parametrize(
    ("observables", "rows", "shape"),
    [
        ("ZZ", (4,), ()),
        (["ZZ", "IZ"], (4,), (2,)),
        ("ZI", (5, 4), (5,)),
        ([["ZZ"], ["IZ"], ["ZI"]], (5, 4), (3, 5)),
        (["ZZ", "IZ", "ZI"], (2, 3, 4), (2, 3)),
        ([["ZZ"], ["IZ"]], (0, 4), (2, 0)),
    ],
)
def test_shapes(rng, observables, rows, shape):
    points = rng.uniform(-1, 1, rows)
    circuit = ry_ring(2, 1).canonical
    found = data(noiseless(1000), circuit, observables, points)
    exact = data(ExactEstimator(), circuit, observables, points)
    assert found.shape == np.shape(found.evs) == np.shape(found.stds) == shape
    assert found.covariances.shape == (*shape, np.size(observables))
    assert exact.stds.shape == shape
    assert not exact.stds.any()
    assert not hasattr(exact, "covariances")
    assert np.all(np.abs(found.evs - exact.evs) <= 5 * np.sqrt((1 - exact.evs**2) / 1000))


def test_observables_in_several_bases():
    """Terms of one basis share bitstrings; those of two bases are independent of each other.

    12 statistics beyond 5 standard errors: one seed in 140,000.
    """
    circuit, shots, rows = build_circuit("rx-rz-ring", 2, 2), 40, 3000
    observables = [SparsePauliOp(["ZZ", "XI"], [0.5, 1]), SparsePauliOp("IZ"), SparsePauliOp("XX")]
    point = np.linspace(-0.4, 1.3, 10)
    pub = (circuit.canonical, [[o] for o in observables], np.tile(point, (rows, 1)))
    single = dense.values(
        circuit.canonical,
        [SparsePauliOp(p) for p in ("ZZ", "IZ", "ZI", "XI", "XX", "IX")],
        point[None],
    )[0]
    zz, iz, zi, xi, xx, ix = single
    truth = np.zeros((3, 3))  # Cov(P, Q) = ⟨PQ⟩ − ⟨P⟩⟨Q⟩ inside the bases {ZZ, IZ} and {XI, XX}
    truth[0, 0] = 0.25 * (1 - zz**2) + (1 - xi**2)
    truth[1, 1], truth[2, 2] = 1 - iz**2, 1 - xx**2
    truth[0, 1] = truth[1, 0] = 0.5 * (zi - zz * iz)
    truth[0, 2] = truth[2, 0] = ix - xi * xx
    truth /= shots
    found = data(noiseless(shots), *pub)
    mean = np.array([0.5 * zz + xi, iz, xx])
    errors = np.sqrt(np.diag(truth) / rows)
    assert np.abs((found.evs.mean(axis=1) - mean) / errors).max() < 5
    spread = np.sqrt((np.outer(np.diag(truth), np.diag(truth)) + truth**2) / rows)
    assert np.abs((np.cov(found.evs) - truth) / spread).max() < 5
    assert np.abs(truth[0, 1]) > 5 * spread[0, 1]  # the test can tell it from zero
    np.testing.assert_allclose(
        found.covariances.mean(axis=1), truth * (1 - 1 / shots), atol=4e-3 / shots * 10
    )
    assert not found.covariances[1, :, 2].any()


def test_runs_are_independent_and_reproducible():
    """The correlation of two runs of 2,000 rows exceeds 5 / √2,000 at one seed in 1.7 million."""
    pub = same_rows(ry_ring(2, 2), 2000)
    estimator = noiseless(20, seed=9)
    first, second = (data(estimator, *pub).evs[0] for _ in range(2))
    assert not np.array_equal(first, second)
    assert abs(np.corrcoef(first, second)[0, 1]) < 5 / np.sqrt(2000)
    again = noiseless(20, seed=9)
    np.testing.assert_array_equal(data(again, *pub).evs[0], first)
    np.testing.assert_array_equal(data(again, *pub).evs[0], second)
    assert not np.array_equal(data(noiseless(20, seed=10), *pub).evs[0], first)
    estimator.reseed(9)
    np.testing.assert_array_equal(data(estimator, *pub).evs[0], first)
    estimator.reseed(9, 1)
    assert not np.array_equal(data(estimator, *pub).evs[0], first)


def test_pubs_of_one_job_are_independent():
    pub = same_rows(ry_ring(2, 2), 50)
    one, other = noiseless(20).run([pub, pub]).result()
    assert not np.array_equal(one.data.evs, other.data.evs)


def test_chunks_are_independent(monkeypatch):
    """16 of 64 equal rows at a time, none of which repeats another."""
    monkeypatch.setattr(bitstrings, "_CHUNK_ENTRIES", 16 * 4)
    pub = same_rows(ry_ring(2, 2), 64)
    chunks = np.split(data(noiseless(500), *pub).evs, 4, axis=1)
    for k, chunk in enumerate(chunks):
        assert all(not np.array_equal(chunk, other) for other in chunks[:k])


@pytest.mark.parametrize("in_pub", [True, False])
def test_precision_sets_the_shots(in_pub):
    """1 / 0.05² = 400 bitstrings instead of the profile's 7."""
    pub = same_rows(ry_ring(2, 2), 20)
    if in_pub:
        result = noiseless(7).run([(*pub, 0.05)]).result()[0]
    else:
        result = noiseless(7).run([pub], precision=0.05).result()[0]
    assert result.metadata["shots"] == 400
    counts = 400 * (1 + result.data.evs) / 2
    np.testing.assert_allclose(counts, np.round(counts), atol=1e-9)
    assert not np.allclose(7 * result.data.evs, np.round(7 * result.data.evs))
    np.testing.assert_allclose(result.data.stds, np.sqrt((1 - result.data.evs**2) / 400))


def test_circuits_without_parameters():
    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.cx(0, 1)
    found = data(noiseless(100), circuit, ["ZZ", "XX", "IZ"])
    assert found.evs[:2].tolist() == [1.0, 1.0]
    assert found.stds[:2].tolist() == [0.0, 0.0]
    assert abs(found.evs[2]) < 0.5  # 5 standard errors


def test_errors_come_out_of_the_job():
    circuit = QuantumCircuit(1, 1)
    circuit.measure(0, 0)
    circuit.h(0)
    job = noiseless(10).run([(circuit, "Z")])
    with pytest.raises(CircuitError, match="'measure'"):
        job.result()
    job = noiseless(10).run([(ry_ring(1, 1).canonical, "Z", [[0, 0], [np.nan, 0]])])
    with pytest.raises(CircuitError, match="row 1 holds NaN"):
        job.result()
