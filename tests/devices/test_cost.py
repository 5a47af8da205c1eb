"""Prices are arithmetic: each figure is recomputed here in the plainest way."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from qiskit import QuantumCircuit

from qvit_qiskit.circuits import ry_ring
from qvit_qiskit.devices.prices import (
    MAX_EXECUTIONS,
    MAX_JOB_SECONDS,
    Mitigation,
    Procedure,
    Timing,
    estimate,
    prices,
    rows_per_job,
    timing,
)
from qvit_qiskit.devices.regions import bundled_device, compile_region

HERON = Timing("heron", 250e-6, 4e-6)


def test_one_job_by_hand() -> None:
    found = estimate([1000], 1024, Procedure(HERON, Mitigation(0)))
    assert (found.rows, found.stages, found.jobs, found.shots) == (1000, 1, 1, 1024)
    assert found.executions == 1000 * 1024
    assert found.seconds == pytest.approx(2 + 1000 * 1024 * 254e-6)  # 262 s on a Heron
    assert found.open_plan_share == pytest.approx(found.seconds / 600)
    assert found.money("pay-as-you-go") == pytest.approx(1.6 * found.seconds)


@pytest.mark.parametrize(
    ("shots", "split"), [(1000, (16, 64)), (1024, (16, 64)), (4096, (32, 128)), (10, (1, 64))]
)
def test_twirled_shots_are_rounded_up_as_the_client_does(
    shots: int, split: tuple[int, int]
) -> None:
    from qiskit_ibm_runtime.executor.calculate_twirling_shots import calculate_twirling_shots

    assert Mitigation(1).split(shots) == split == calculate_twirling_shots(shots, "auto", "auto")
    assert Mitigation(0).split(shots) == (1, shots)


def test_levels_add_calibration_and_folding() -> None:
    levels = [Procedure(HERON, Mitigation(k)) for k in (0, 1, 2)]
    plain, readout, folded = (estimate([100], 1000, how) for how in levels)
    assert plain.executions == 100 * 1000
    assert readout.executions == (100 + 1) * 1024
    assert folded.executions == (3 * 100 + 1) * 1024


@pytest.mark.parametrize("copies", [1, 5])
@pytest.mark.parametrize("level", [0, 1, 2])
def test_anchors_are_paid_in_every_job(level: int, copies: int) -> None:
    mitigation = Mitigation(level)
    stages, shots = [4000, 3], 64 * 32
    how = Procedure(HERON, mitigation, copies=copies, anchor_rows=8, job_seconds=100.0)
    found = estimate(stages, shots, how)
    per_row = shots * mitigation.circuits_per_row
    common = [math.ceil(n / copies) * per_row for n in (8, 3)]  # no more than there are rows
    calibration = shots * mitigation.calibration_rows
    rows = [math.ceil(n / copies) for n in stages]
    fits = rows_per_job(per_row, calibration + common[0], HERON, 100.0)
    assert 2 + (fits * per_row + calibration + common[0]) * HERON.execution <= 100
    jobs = [math.ceil(rows[0] / fits), 1]
    assert found.jobs == sum(jobs) > 2
    assert found.anchor_executions == jobs[0] * common[0] + common[1]
    assert found.executions == (
        sum(rows) * per_row + found.anchor_executions + sum(jobs) * calibration
    )
    without = estimate(stages, shots, replace(how, anchor_rows=0))
    assert without.anchor_executions == 0
    assert without.seconds < found.seconds


def test_a_large_stage_is_cut_at_the_limits() -> None:
    found = estimate([38_400, 100], 1024, Procedure(HERON, Mitigation(0)))
    fits = MAX_EXECUTIONS // 1024
    assert found.jobs == math.ceil(38_400 / fits) + 1
    slow = Timing("nighthawk", 4e-3, 4e-6)
    fits = rows_per_job(1024, 0, slow)
    assert 2 + fits * 1024 * slow.execution <= MAX_JOB_SECONDS
    assert 2 + (fits + 1) * 1024 * slow.execution > MAX_JOB_SECONDS
    assert rows_per_job(10**9, 0, slow) == 1


def test_timing_of_a_compiled_circuit() -> None:
    device = bundled_device("fake_boston")
    region = compile_region(ry_ring(4).canonical, device, seed=0)
    region.circuit.measure_all()
    found = timing(region.circuit, region.target, device)
    assert found.rep_delay == 250e-6
    measurement = QuantumCircuit(4)
    measurement.measure_all()
    alone = timing(measurement, region.target, device)
    assert alone.circuit == pytest.approx(2.2e-6)
    assert alone.circuit < found.circuit < 10e-6
    assert timing(region.circuit, region.target, device, rep_delay=1e-3).rep_delay == 1e-3


def test_prices_are_dated() -> None:
    assert prices()["date"].year >= 2026
    assert set(prices()["per_second"]) == {"pay-as-you-go", "flex", "premium"}
