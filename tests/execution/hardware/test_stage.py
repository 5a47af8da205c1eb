"""Stages: duplicate rows, jobs within limits, and the values put together again."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit.primitives.containers.estimator_pub import EstimatorPub

from qvit_qiskit.circuits import QNNCircuit, build_circuit
from qvit_qiskit.circuits.pubs import flatten
from qvit_qiskit.devices.compiled_circuit import compile_bases
from qvit_qiskit.devices.placement import Placement
from qvit_qiskit.devices.prices import MAX_EXECUTIONS, Mitigation, Timing
from qvit_qiskit.devices.regions import bundled_device
from qvit_qiskit.hardware.stages.stage import (
    Chunk,
    Group,
    Layout,
    Piece,
    Rows,
    values_of,
)
from qvit_qiskit.hardware.stages.stage_plan import Load, plan_chunks, sample_rows, seat
from qvit_qiskit.hardware.values.counts import Counts
from qvit_qiskit.simulation.shifts import circuit_pub

TIMING = Timing("test", 250e-6, 4e-6)


def flat(circuit: QNNCircuit, inputs: np.ndarray, weights: np.ndarray):
    return flatten(EstimatorPub.coerce(circuit_pub(circuit, inputs, weights), None))


def test_equal_rows_are_asked_once(rng):
    circuit = build_circuit("ry-ring", 3, 1)
    inputs = rng.normal(size=(6, 3))
    inputs[4] = inputs[1]
    weights = rng.normal(size=(2, circuit.num_weights))
    pubs = [flat(circuit, inputs, w) for w in weights]
    rows = Rows.gather(pubs)
    assert len(rows.groups) == 1  # one circuit, whatever its weights are
    assert len(rows.groups[0].rows) == 2 * 5
    for pub, (group, index) in zip(pubs, rows.pubs, strict=True):
        np.testing.assert_array_equal(rows.groups[group].rows[index], pub.values)


def test_circuits_and_observables_are_groups_of_their_own(rng):
    one, two = build_circuit("ry-ring", 2, 1), build_circuit("ry-chain", 2, 1)
    pubs = [flat(c, rng.normal(size=(3, 2)), rng.normal(size=c.num_weights)) for c in (one, two)]
    other = EstimatorPub.coerce((one.canonical, "XX", np.ones((1, 4))), None)
    rows = Rows.gather([*pubs, flatten(other)])
    assert [group for group, _ in rows.pubs] == [0, 1, 2]


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.integers(1, 40_000), min_size=1, max_size=4),
    st.integers(1, 4096),
    st.sampled_from([0, 1, 2]),
    st.integers(1, 2),
    st.floats(0.01, 20_000),
    st.dictionaries(st.integers(0, 3), st.integers(1, 5)),
)
def test_jobs_hold_every_row_once_and_keep_the_limits(sizes, shots, level, bases, loss, anchors):
    mitigation = Mitigation(level)
    anchors = {g: rows for g, rows in anchors.items() if g < len(sizes)}
    loads = [Load(rows, bases, anchors.get(g, 0)) for g, rows in enumerate(sizes)]
    chunks = plan_chunks("s", loads, TIMING, shots, mitigation, loss)
    twirls, each = mitigation.split(shots)
    per_row = bases * twirls * each * mitigation.circuits_per_row
    extra = bases * twirls * each * mitigation.calibration_rows
    for g, size in enumerate(sizes):
        spans = [(p.start, p.stop) for c in chunks for p in c.pieces if p.group == g]
        assert [s for s, _ in spans] == [0, *(t for _, t in spans[:-1])]
        assert spans[-1][1] == size
    for chunk in chunks:
        rows = [p.stop - p.start for p in chunk.pieces]
        calibrated = {p.group for p in chunk.pieces} | set(anchors)
        repeated = sum(anchors.values())
        assert chunk.executions == (sum(rows) + repeated) * per_row + len(calibrated) * extra
        assert chunk.seconds == pytest.approx(2 + chunk.executions * TIMING.execution)
        if sum(rows) > 1:  # a single row cannot be split
            assert chunk.executions <= MAX_EXECUTIONS
            assert chunk.seconds <= max(loss, 60) + 1e-6
    assert len({c.name for c in chunks}) == len(chunks)


def test_a_small_stage_is_one_job():
    chunks = plan_chunks("s", [Load(100, 1)] * 3, TIMING, 64, Mitigation(0), 1.0)
    assert len(chunks) == 1
    assert len(chunks[0].pieces) == 3


def test_a_sample_holds_rows_of_every_group(rng):
    circuit = build_circuit("ry-ring", 2, 1).canonical
    groups = [Group(circuit, [{"IZ": 1.0}], rng.normal(size=(rows, 4))) for rows in (9, 0, 2)]
    found = sample_rows(groups, 3, 5)
    assert {g: len(picked) for g, picked in found.items()} == {0: 3, 2: 2}
    assert all(len(set(picked)) == len(picked) for picked in found.values())
    np.testing.assert_array_equal(found[0], sorted(found[0]))
    assert sample_rows(groups, 0, 5) == {}
    draws = {tuple(sample_rows(groups, 3, seed)[0]) for seed in range(20)}
    assert len(draws) > 10


@pytest.mark.parametrize(("rows", "copies"), [(7, 1), (7, 3), (6, 3), (2, 5), (0, 4)])
def test_every_row_has_one_seat(rows, copies):
    seats = seat(rows, copies, 4)
    assert seats.shape == (-(-rows // copies), copies)
    assert sorted(seats[seats >= 0]) == list(range(rows))
    assert (seats.ravel()[:rows] >= 0).all()  # what is left over is at the end
    np.testing.assert_array_equal(seats, seat(rows, copies, 4))


def test_seats_mix_tokens_over_copies():
    """With 16 tokens an image and 16 copies, no token sits on one copy."""
    seats = seat(1600, 16, 0)
    for copy in range(16):
        assert len({row % 16 for row in seats[:, copy].tolist()}) > 8


@pytest.mark.parametrize("copies", [1, 4])
def test_jobs_hold_rows_of_all_kinds(copies):
    """Rows are sorted by their angles; the first half of the seats is no half of the angles."""
    seats = seat(1000, copies, 0)
    first = seats[: len(seats) // 2].ravel()
    assert abs((first < 500).mean() - 0.5) < 0.1


@pytest.mark.parametrize("level", [0, 1, 2])
@pytest.mark.parametrize("k", [1, 3])
def test_values_find_their_rows_again(rng, level, k):
    """Bits made up from known angles, split over jobs and copies, in two bases."""
    circuit = build_circuit("ry-ring", 2, 1).canonical
    terms = [{"IZ": 1.0}, {"XI": 1.0}, {"ZI": 1.0}]
    mitigation = Mitigation(level)
    device = bundled_device("fake_torino")
    programs = [compile_bases(circuit, terms, device, Placement(0, k))]
    assert len(programs[0]) == 2
    group = Group(circuit, terms, rng.normal(size=(7, 4)))
    seats = seat(7, k, 1)
    half = len(seats) // 2
    pieces = (Piece(0, 0, half), Piece(0, half, len(seats)))
    chunks = [Chunk(name, (p,), 0, 0.0) for name, p in zip("ab", pieces, strict=True)]
    anchors = seat(4, k, 1, np.array([0, 2, 3, 6]))
    layout = Layout(programs, TIMING, [seats], chunks, {0: anchors})
    counted = []
    for chunk in chunks:
        found = {}
        for item in layout.items(chunk, [group], mitigation):
            where = seats[chunk.pieces[0].start : chunk.pieces[0].stop]
            if item.name.startswith("anchors"):
                where = anchors
            bits = np.zeros((item.rows * k, 8, 2), bool)
            if item.fold is not None:
                np.testing.assert_array_equal(item.values, group.rows[where.clip(0)])
                for copy in range(k):
                    columns = list(item.compiled.columns[copy])
                    expected = group.rows[where[:, copy].clip(0)][:, columns]
                    np.testing.assert_array_equal(item.of_copy(copy), expected)
                for place, row in enumerate(where.ravel()):  # row r reads r ones on qubit 0
                    bits[place, :row, 0] = row >= 0
            together = bits.reshape(item.rows, k, 8, 2).swapaxes(1, 2).reshape(item.rows, 8, -1)
            np.testing.assert_array_equal(item.split(together), bits)
            found[item.name] = Counts.of(bits)
        counted.append(found)
    means, covariances = values_of(layout, counted, [group], mitigation)[0]
    rows = np.arange(7)
    np.testing.assert_allclose(means[:, 0], 1 - 2 * rows / 8, atol=1e-12)
    np.testing.assert_allclose(means[:, 1:], 1, atol=1e-12)
    scale = 1.0 if level < 2 else (13 / 12) ** 2 + 1 / 9 + (5 / 12) ** 2
    p = rows / 8
    np.testing.assert_allclose(covariances[:, 0, 0], scale * 4 * p * (1 - p) / 8, atol=1e-12)
    for counts in counted:  # every job measured the anchors
        again = layout.measured("anchors0", 0, counts, 3, mitigation)
        taken = anchors.ravel() >= 0
        assert sorted(anchors.ravel()[taken]) == [0, 2, 3, 6]
        for part, whole in zip(again, (means, covariances), strict=True):
            np.testing.assert_allclose(part[taken], whole[anchors.ravel()[taken]], atol=1e-12)
