"""Shares of shots pooled, against plain loops over images and rows."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import pytest
from qiskit.primitives.containers.estimator_pub import EstimatorPub

from qvit_qiskit.circuits import build_circuit
from qvit_qiskit.circuits.pubs import flatten
from qvit_qiskit.devices.prices import Mitigation, Procedure, Timing, estimate
from qvit_qiskit.exceptions import JobError
from qvit_qiskit.hardware.shot_shares import (
    Adaptive,
    Quiet,
    SharePool,
    ShotShare,
    estimate_shares,
    rows_of,
)
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


def share(
    rows: Rows,
    images: np.ndarray,
    shots: int,
    projections: Sequence[int],
    rng: np.random.Generator,
) -> ShotShare:
    """Values that are drawn anew, with covariances of their own."""
    part = rows_of(rows, images, IMAGES, projections)
    tables = []
    for group in part.groups:
        width = len(group.terms)
        roots = rng.normal(size=(len(group.rows), width, width))
        values = rng.uniform(-1, 1, (len(group.rows), width))
        tables.append((values, roots @ roots.swapaxes(1, 2) / shots))
    answers = [(tables[g][0][index], tables[g][1][index]) for g, index in part.pubs]
    return ShotShare(part, images, answers, shots, projections)


@pytest.fixture(params=[((0, 1, 2), (0, 1, 2)), ((0, 2), (2,)), ((1,), (1, 2))])
def pool(request: pytest.FixtureRequest, rng: np.random.Generator) -> SharePool:
    """Three shares, the further ones of some images and projections."""
    rows = asked(rng)
    chosen = (np.arange(IMAGES), np.array([0, 2, 4]), np.array([4]))
    projections = ((0, 1, 2), *request.param)
    shares = [
        share(rows, images, shots, asks, rng)
        for images, shots, asks in zip(chosen, (8, 8, 16), projections, strict=True)
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
    for k, (means, covariances) in enumerate(pool.answers):
        for image in range(IMAGES):
            for row in range(EACH):
                value, spread, shots = 0.0, 0.0, 0
                for one in pool.shares:
                    if image not in one.images or k not in one.projections:
                        continue
                    own_place = list(one.projections).index(k)
                    at = list(one.images).index(image) * EACH + row
                    group = one.rows.groups[one.rows.pubs[own_place][0]]
                    own = raised(one.answers[own_place][1], group, one.shots)[at]
                    value = value + one.shots * one.answers[own_place][0][at]
                    spread = spread + one.shots**2 * own
                    shots += one.shots
                assert pool.shots[k, image] == shots
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


def test_terms_of_runs_with_quiet_projections_are_read_back() -> None:
    profile = FakeProfile(kind="fake", device="fake_torino")
    assert "quiet" not in Terms(profile, 64, 10.0, 0.25).record()
    terms = Terms(profile, 64, 10.0, 0.25, quiet=Quiet(8, (0, 1)))
    assert Terms.from_record(json.loads(json.dumps(terms.record()))) == terms


@pytest.mark.parametrize(
    ("quiet", "words"),
    [
        (Quiet(64, (0,)), "below the 64 shots"),
        (Quiet(0, (0,)), "above 0"),
        (Quiet(8, (0, 3)), "among 0 to 2"),
        (Quiet(8, (1, 1)), "each once"),
        (Quiet(8, ()), "some of the 3 projections"),
        (Quiet(8, (0, 1, 2)), "some of the 3 projections"),
    ],
)
def test_quiet_projections_that_no_run_can_follow_are_refused(quiet: Quiet, words: str) -> None:
    with pytest.raises(JobError, match=words):
        quiet.check(64, 3)


def test_shares_cost_what_their_rows_cost() -> None:
    """Two stages priced one by one, and as many executions as rows and shots."""
    how = Procedure(Timing("somewhere", 2.5e-4, 1e-6), Mitigation(0))
    found = estimate_shares([600], 100, Quiet(10, (0, 1, 3, 4)), 6, how)
    assert found.executions == 600 * 10 + 200 * 90
    assert found.jobs == 2
    assert found.shots == 100
    one, other = estimate([600], 10, how), estimate([200], 90, how)
    assert found.seconds == pytest.approx(one.seconds + other.seconds)
    assert estimate_shares([600], 100, None, 6, how) == estimate([600], 100, how)
    few = estimate_shares([600], 10, Quiet(10, (0,)), 6, how)  # e.g. what a small budget affords
    assert few == estimate([600], 10, how)
