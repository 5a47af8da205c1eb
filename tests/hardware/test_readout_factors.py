"""Noise that rows share through their readout calibration: found, redrawn, not averaged away."""

from __future__ import annotations

import numpy as np
import pytest

from qvit_qiskit.circuits import build_circuit
from qvit_qiskit.circuits.measurement_bases import Basis
from qvit_qiskit.comparison.evidence import Executions
from qvit_qiskit.comparison.findings.bias import Errors, zero_bias
from qvit_qiskit.comparison.propagation import ShotNoise
from qvit_qiskit.hardware.stages.stage import Group, Rows
from qvit_qiskit.hardware.values.counts import Counts, extrapolate, moments
from qvit_qiskit.hardware.values.outputs import Outputs
from qvit_qiskit.hardware.values.readout_factors import Calibrated, Shared, take_apart

SHOTS, ROWS, COPIES = 64, 30, 2
BASIS = Basis(("Z", "Z"), ((0, 1.0, 1), (1, 0.5, 1), (1, 0.5, 3)))
"""The outputs Z0 and (Z0 + Z0 Z1)/2."""
OUTPUTS = 2


def drawn(chances: np.ndarray, rng: np.random.Generator) -> Counts:
    """Counts of rows with given probabilities of their four states."""
    table = rng.multinomial(SHOTS, chances)  # (rows, 4)
    row, state = np.nonzero(table)
    return Counts(row, state, table[row, state], len(chances))


@pytest.fixture
def chances(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Of the rows, strongly polarised, and of the calibrations of two copies."""
    rows = rng.dirichlet([8.0, 1.0, 1.0, 0.5], ROWS)
    read = np.array([[0.85, 0.07, 0.05, 0.03], [0.9, 0.03, 0.06, 0.01]])
    return rows, read


@pytest.mark.parametrize("factors", [(1,), (1, 3, 5)])
def test_parts_add_up(
    chances: tuple[np.ndarray, np.ndarray], rng: np.random.Generator, factors: tuple[int, ...]
) -> None:
    rows, read = chances
    folds, calibration = [drawn(rows, rng) for _ in factors], drawn(read, rng)
    pull, own, spread = take_apart(BASIS, OUTPUTS, folds, calibration, factors)
    found = [moments(BASIS, OUTPUTS, fold, calibration) for fold in folds]
    mean, whole = extrapolate(found, factors)
    copy = np.arange(ROWS) % COPIES
    shared = np.einsum("rtk,rtu,rul->rkl", pull, spread[copy], pull)
    if factors == (1,):
        np.testing.assert_allclose(own + shared, whole, atol=1e-12)
    assert np.linalg.eigvalsh(own).min() > -1e-12
    # The pull is the derivative: a calibration read a little differently moves the outputs so.
    step = 1e-6
    scale = np.array([[1.0, 1.0, 1.0]] * COPIES)
    read_off = Counts(np.arange(COPIES), np.zeros(COPIES, int), np.full(COPIES, 10**9), COPIES)
    pull, _, _ = take_apart(BASIS, OUTPUTS, folds, read_off, factors)
    plain = extrapolate([moments(BASIS, OUTPUTS, f, read_off) for f in folds], factors)[0]
    np.testing.assert_allclose(pull.sum(axis=1) * step, plain / (scale[0, 0] + step) - plain,
                               atol=1e-11)  # fmt: skip
    assert mean.shape == plain.shape


def test_the_mean_over_rows_is_as_uncertain_as_it_says(
    chances: tuple[np.ndarray, np.ndarray], rng: np.random.Generator
) -> None:
    rows, read = chances
    means, said, naive, own_root = [], [], [], []
    for _ in range(600):
        counts, calibration = drawn(rows, rng), drawn(read, rng)
        values, whole = moments(BASIS, OUTPUTS, counts, calibration)
        pull, own, spread = take_apart(BASIS, OUTPUTS, [counts], calibration, (1,))
        shared = [
            Shared(0, np.arange(c, ROWS, COPIES), pull[c::COPIES], spread[c]) for c in range(COPIES)
        ]
        errors = Errors(values, np.zeros_like(values), own, None, None, None, shared)
        found = zero_bias([errors], "output")
        means.append(found.means)
        said.append(found.errors)
        naive.append(np.sqrt(np.einsum("rkk->k", whole)) / ROWS)
        own_root.append(np.sqrt(np.einsum("rkk->k", own)) / ROWS)
    observed = np.std(means, axis=0)
    np.testing.assert_allclose(np.sqrt(np.mean(np.square(said), axis=0)), observed, rtol=0.1)
    assert (observed > 1.3 * np.mean(naive, axis=0)).all()  # independent rows would promise more


def test_redraws_move_rows_together(
    chances: tuple[np.ndarray, np.ndarray], rng: np.random.Generator
) -> None:
    rows, read = chances
    counts, calibration = drawn(rows, rng), drawn(read, rng)
    values, whole = moments(BASIS, OUTPUTS, counts, calibration)
    pull, own, spread = take_apart(BASIS, OUTPUTS, [counts], calibration, (1,))
    shared = [
        Shared(0, np.arange(c, ROWS, COPIES), pull[c::COPIES], spread[c]) for c in range(COPIES)
    ]
    terms = [{"IZ": 1.0}, {"IZ": 0.5, "ZZ": 0.5}]
    group = Group(build_circuit("ry-chain", 2, 1).canonical, terms, np.zeros((ROWS, 6)))
    index = np.arange(ROWS)
    where = Executions(Rows([group], [(0, index)]), calibrated=Calibrated([own], shared))
    layer = [Outputs(group.rows, values, whole, index % COPIES)]
    noise = ShotNoise.of(where, layer, SHOTS)
    found = np.stack([noise.draw(rng)[0] for _ in range(4000)])  # (draws, R, K)
    np.testing.assert_allclose(found.std(axis=0), np.sqrt(np.einsum("rkk->rk", whole)), rtol=0.1)
    errors = Errors(values, np.zeros_like(values), own, None, None, None, shared)
    said = zero_bias([errors], "output").errors
    np.testing.assert_allclose(found.mean(axis=1).std(axis=0), said, rtol=0.06)
