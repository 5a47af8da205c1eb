"""How far the values of an observable reach, without looking at all bit strings."""

import numpy as np
import pytest

from qvit_qiskit.circuits import measurement_bases
from qvit_qiskit.circuits.measurement_bases import Basis


def random_basis(rng, qubits, outputs, terms):
    drawn = [(int(rng.integers(outputs)), float(rng.normal()), int(rng.integers(2**qubits)))
             for _ in range(terms)]  # fmt: skip
    return Basis(("Z",) * qubits, tuple(drawn))


@pytest.mark.parametrize("case", range(20))
def test_ranges_equal_those_of_all_bit_strings(rng, case):
    basis = random_basis(rng, int(rng.integers(1, 7)), 3, int(rng.integers(0, 14)))
    expected = np.ptp(basis.diagonal(3), axis=0)
    np.testing.assert_allclose(basis.ranges(3), expected, atol=1e-12)


def test_many_free_parities_are_bounded(rng, monkeypatch):
    monkeypatch.setattr(measurement_bases, "MAX_FREE", 2)
    basis = random_basis(rng, 6, 1, 9)
    assert basis.ranges(1) >= np.ptp(basis.diagonal(1), axis=0) - 1e-12


def test_a_hundred_qubits(rng):
    masks = [1 << 99, 1 << 99 | 1 << 5, 1 << 5, 0]
    basis = Basis(("Z",) * 100, tuple((0, 1.0, mask) for mask in masks))
    assert basis.ranges(1).item() == pytest.approx(4.0)  # 3 and -1, and a constant
