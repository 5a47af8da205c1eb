"""Shares of shots pooled, against plain loops over images and rows."""

from __future__ import annotations

import json

import numpy as np
import pytest
from qiskit.primitives.containers.estimator_pub import EstimatorPub

from qvit_qiskit.circuits import build_circuit
from qvit_qiskit.circuits.pubs import flatten
from qvit_qiskit.exceptions import JobError
from qvit_qiskit.hardware.shot_shares import Adaptive, SharePool, ShotShare, rows_of
from qvit_qiskit.hardware.stages.stage import Rows
from qvit_qiskit.hardware.terms import Terms
from qvit_qiskit.hardware.values.floors import raised
from qvit_qiskit.profile import FakeProfile
from qvit_qiskit.simulation.shifts import circuit_pub

IMAGES, EACH = 5, 3


def asked(rng: np.random.Generator) -> Rows:
    """Two projections of one circuit and one of another; images share some of their rows."""
    pubs = []
    for circuit in (build_circuit("ry-chain", 2, 1), build_circuit("ry-chain", 3, 1)):
        for _ in range(2 if circuit.num_inputs == 2 else 1):
            inputs = rng.integers(0, 3, (IMAGES * EACH, circuit.num_inputs)) / 2
            pub = circuit_pub(circuit, inputs, np.full(circuit.num_weights, 0.3))
            pubs.append(flatten(EstimatorPub.coerce(pub, None)))
    return Rows.gather(pubs)


def share(rows: Rows, images: np.ndarray, shots: int, rng: np.random.Generator) -> ShotShare:
    """Values that are drawn anew, with covariances of their own."""
    part = rows_of(rows, images, IMAGES)
    tables = []
    for group in part.groups:
        width = len(group.terms)
        roots = rng.normal(size=(len(group.rows), width, width))
        values = rng.uniform(-1, 1, (len(group.rows), width))
        tables.append((values, roots @ roots.swapaxes(1, 2) / shots))
    answers = [(tables[g][0][index], tables[g][1][index]) for g, index in part.pubs]
    return ShotShare(part, images, answers, shots)


@pytest.fixture
def pool(rng: np.random.Generator) -> SharePool:
    rows = asked(rng)
    chosen = (np.arange(IMAGES), np.array([0, 2, 4]), np.array([4]))
    shares = [
        share(rows, images, shots, rng) for images, shots in zip(chosen, (8, 8, 16), strict=True)
    ]
    return SharePool(shares, IMAGES)


def test_the_rows_of_some_images(rng: np.random.Generator) -> None:
    rows, images = asked(rng), np.array([1, 4])
    part = rows_of(rows, images, IMAGES)
    for (g, index), (h, own) in zip(rows.pubs, part.pubs, strict=True):
        assert g == h
        whole = rows.groups[g].rows[index].reshape(IMAGES, EACH, -1)[images]
        np.testing.assert_array_equal(part.groups[g].rows[own], whole.reshape(len(own), -1))
    for group in part.groups:
        assert len(np.unique(group.rows, axis=0)) == len(group.rows)
    for group, index in part.pubs:
        assert set(index) <= set(range(len(part.groups[group].rows)))


def test_values_are_weighted_by_shots(pool: SharePool) -> None:
    np.testing.assert_array_equal(pool.shots, [16, 8, 16, 8, 32])
    for k, (means, covariances) in enumerate(pool.answers):
        for image in range(IMAGES):
            for row in range(EACH):
                value, spread, shots = 0.0, 0.0, 0
                for one in pool.shares:
                    if image not in one.images:
                        continue
                    at = list(one.images).index(image) * EACH + row
                    group = one.rows.groups[one.rows.pubs[k][0]]
                    own = raised(one.answers[k][1], group, one.shots)[at]
                    value = value + one.shots * one.answers[k][0][at]
                    spread = spread + one.shots**2 * own
                    shots += one.shots
                np.testing.assert_allclose(means[image * EACH + row], value / shots)
                np.testing.assert_allclose(covariances[image * EACH + row], spread / shots**2)


def test_redraws_have_the_covariances_and_equal_rows_the_same_error(
    pool: SharePool, rng: np.random.Generator
) -> None:
    draws = [pool.draw(rng) for _ in range(3000)]
    for k, (_, covariances) in enumerate(pool.answers):
        errors = np.stack([draw[k] for draw in draws])
        measured = np.einsum("drk,drl->rkl", errors, errors) / len(draws)
        size = np.abs(covariances).max(axis=(1, 2))[:, None, None]
        assert (np.abs(measured - covariances) < 0.25 * size + 1e-9).all()
    first = pool.shares[0].draw(rng)
    for (g, index), errors in zip(pool.shares[0].rows.pubs, first, strict=True):
        for row in np.unique(index):
            same = errors[index == row]
            np.testing.assert_array_equal(same, np.broadcast_to(same[:1], same.shape))
        assert g in (0, 1)


def test_terms_of_adaptive_runs_are_read_back_and_others_are_as_they_were() -> None:
    profile = FakeProfile(kind="fake", device="fake_torino")
    plain = Terms(profile, 64, 10.0, 0.25)
    assert "adaptive" not in plain.record()
    adaptive = Terms(profile, 64, 10.0, 0.25, adaptive=Adaptive(8, 0.9))
    assert Terms.from_record(json.loads(json.dumps(adaptive.record()))) == adaptive


@pytest.mark.parametrize(("first", "certainty"), [(0, 0.9), (8, 0.5), (8, 1.0)])
def test_rules_that_nobody_can_follow_are_refused(first: int, certainty: float) -> None:
    with pytest.raises(JobError, match="Expected"):
        Adaptive(first, certainty).check()
