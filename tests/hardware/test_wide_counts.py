"""Counts of many qubits: a state is one number up to 63 qubits, then several words."""

import numpy as np
import pytest

from qvit_qiskit.circuits.measurement_bases import Basis
from qvit_qiskit.hardware.values.counts import Counts, moments


def basis_of(rng, qubits, outputs):
    """Products of up to three Zs, and the last qubit alone."""
    masks = [sum(1 << int(q) for q in rng.choice(qubits, 1 + k % 3, replace=False))
             for k in range(outputs - 1)]  # fmt: skip
    terms = [(k, float(rng.normal()), mask) for k, mask in enumerate([*masks, 1 << (qubits - 1)])]
    return Basis(("Z",) * qubits, tuple(terms))


@pytest.mark.parametrize("calibrated", [False, True])
@pytest.mark.parametrize(("qubits", "outputs"), [(5, 5), (63, 7), (64, 40), (100, 9), (130, 33)])
def test_moments_equal_those_of_the_bits(rng, qubits, outputs, calibrated):
    rows, shots = 4, 60
    bits = rng.random((rows, shots, qubits)) < 0.3
    bits[:, : shots // 2] = bits[:, :1]  # some bitstrings come many times
    zeros = rng.random((2, 80, qubits)) < 0.05
    basis = basis_of(rng, qubits, outputs)

    def signs(of):
        chosen = [[bool(mask >> q & 1) for q in range(qubits)] for _, _, mask in basis.terms]
        return 1.0 - 2 * ((of.astype(int) @ np.array(chosen, int).T) % 2)  # (R, shots, T)

    calibration = Counts.of(zeros) if calibrated else None
    means, covariances = moments(basis, outputs, Counts.of(bits), calibration)
    scale = signs(zeros).mean(axis=1)[np.arange(rows) % 2] if calibrated else np.ones((rows, 1))
    weights = np.array([coefficient for _, coefficient, _ in basis.terms])
    each = signs(bits) / scale[:, None] * weights
    np.testing.assert_allclose(means, each.mean(axis=1), atol=1e-12)
    for row in range(rows):
        expected = np.cov(each[row].T, bias=True) / shots
        if calibrated:
            pull = np.diag(each[row].mean(axis=0) / scale[row])
            spread = np.cov(signs(zeros)[row % 2].T, bias=True) / 80
            expected = expected + pull @ spread @ pull
        np.testing.assert_allclose(covariances[row], expected, atol=1e-12)


def test_equal_bitstrings_are_counted_together(rng):
    bits = np.repeat(rng.random((2, 3, 100)) < 0.5, 4, axis=1)
    counts = Counts.of(bits)
    assert counts.state.shape == (6, 2)
    assert counts.count.tolist() == [4] * 6
    assert counts.row.tolist() == [0, 0, 0, 1, 1, 1]
