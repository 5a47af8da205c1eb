"""Runs with quiet projections on the loopback service: two shares, pooled, priced and resumed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from service.handle import Service
from service_tests.spending import SOON, killed
from service_tests.victim import Audit, outputs

from qvit_qiskit import ViTConfig, build_model, compare, load, submit
from qvit_qiskit.data import Split, stratified_subset
from qvit_qiskit.exceptions import JobError
from qvit_qiskit.hardware.events import Compilation, StageRows
from qvit_qiskit.hardware.journal import Journal
from qvit_qiskit.hardware.run_reader import RunReader
from qvit_qiskit.models import ViT
from qvit_qiskit.runs import Adaptive, Quiet, Status, price, read_results, resume, status
from qvit_qiskit.runs.measured_profile import find_measured

QUIET = Quiet(4, (0, 1))
"""Q and K of the only head."""
SHOTS = 24


def qvit(depth: int = 1) -> ViT:
    model = build_model(ViTConfig(width=2, heads=1, patch_size=14, depth=depth), seed=0)
    assert isinstance(model, ViT)
    return model


def few() -> Split:
    return stratified_subset(load("phantom").test, 3, seed=0)


def begin(folder: Path, backend: str, model: ViT | None = None, **keys: Any) -> Status:
    """Submit a run with quiet projections and wait for it."""
    options = {"quiet": QUIET, "shots": SHOTS, "budget_seconds": 60.0, "wait": True} | keys
    return submit(model or qvit(), few(), backend, folder, patience=SOON, **options)


@pytest.mark.parametrize(
    ("mode", "level"),
    [("job", 0), pytest.param("batch", 1, marks=pytest.mark.check)],
)
def test_both_shares_are_sent_once_and_counts_are_pooled(
    service: Service, profile: Callable[..., str], tmp_path: Path, mode: str, level: int
) -> None:
    audit, folder = Audit(service), tmp_path / "run"
    backend = profile(mode)
    shots = {0: (4, 20), 1: (64, 128)}[level]  # of the shares, in batches of 64 at level 1
    settings = {"resilience_level": level}
    keys = {"shots": sum(shots), "quiet": Quiet(shots[0], (0, 1)), "settings": settings}
    done = begin(folder, backend, **keys)
    assert done.state == "finished"
    assert done.share == 2
    audit.check(folder)
    first, second = Journal.open(folder).of(StageRows)
    assert (first.projections, second.projections) == (None, [2])
    assert (first.images, second.images) == (None, None)
    assert tuple(one.shots for one in Journal.open(folder).of(Compilation)) == shots
    (layer,) = read_results(folder).layers
    stages = RunReader.open(folder).stages
    for number, out in enumerate(layer):
        asks = [(stages[0], number)] + ([(stages[1], 0)] if number == 2 else [])
        values, weights = np.zeros_like(out.values), 0
        for stage, place in asks:
            values += stage.executed_shots * stage.answers[place][0]
            weights += stage.executed_shots
        np.testing.assert_allclose(out.values, values / weights)
        if level == 0:  # of the rows' own bits, counted by hand
            np.testing.assert_allclose(out.values, by_counting(asks, len(out.values)))
    priced = price(
        qvit(), qvit().stage_rows(), 3, find_measured(backend, None, settings)[1], sum(shots),
        quiet=keys["quiet"],
    )  # fmt: skip
    assert done.executions == priced.estimate.executions
    found = compare(folder, draws=8)
    assert found.rungs[-1].draws is not None
    assert found.rungs[-1].mean_shots == pytest.approx((2 * shots[0] + sum(shots)) / 3)


def by_counting(asks: list[Any], rows: int) -> np.ndarray:
    """Means of (−1)^bit over all shares."""
    sums, total = np.zeros((rows, 2)), np.zeros((rows, 1))
    for stage, place in asks:
        counts = stage.counts[0]["piece0-basis0-fold1"]
        seats = list(stage.layout.seats[0].ravel())
        for row, asked in enumerate(stage.rows.pubs[place][1]):
            here = counts.row == seats.index(asked)
            bits = (counts.state[here, None] >> np.arange(2)) & 1
            sums[row] += ((1 - 2 * bits) * counts.count[here, None]).sum(axis=0)
            total[row] += counts.count[here].sum()
    return np.asarray(sums / total)


@pytest.mark.check
def test_a_run_dies_around_both_shares(
    service: Service, profile: Callable[..., str], tmp_path: Path
) -> None:
    """Nothing is sent twice, and the outputs are those of a run that was never killed."""
    backend, audit = profile(), Audit(service)
    begin(tmp_path / "whole", backend)
    events, programs = Journal.open(tmp_path / "whole").events, audit.programs()
    moments = [k for k, event in enumerate(events) if event.kind in ("stage", "compiled", "done")]
    for k in moments[1:]:
        for before in (True, False):
            folder, audit = tmp_path / f"{k}-{before}", Audit(service)
            with killed(k, before=before):
                begin(folder, backend)
            if status(folder).state != "finished":
                assert resume(folder, wait=True, patience=SOON).state == "finished"
            assert outputs(folder) == outputs(tmp_path / "whole")
            assert audit.programs() == programs
            audit.check(folder)


def test_the_budget_is_for_both_shares(
    service: Service, profile: Callable[..., str], tmp_path: Path
) -> None:
    audit = Audit(service)
    with pytest.raises(JobError, match="estimated at"):
        begin(tmp_path / "run", profile("job"), budget_seconds=4.01)
    assert not audit.jobs()


def test_the_budget_has_room_for_the_limit_of_the_dearer_share(
    service: Service, profile: Callable[..., str], tmp_path: Path
) -> None:
    """Jobs of 2 and 8 seconds: half of the second above both, not of the first."""
    audit, backend = Audit(service), profile("job")
    priced = price(
        qvit(), qvit().stage_rows(), 3, find_measured(backend, None, {})[1], 2000, quiet=QUIET
    ).estimate
    assert priced.jobs == 2
    least = priced.seconds + 0.5 * (priced.seconds - 2.1)
    with pytest.raises(JobError, match="asks for a budget of"):
        begin(tmp_path / "run", backend, shots=2000, budget_seconds=least - 1)
    assert not audit.jobs()
    done = resume(tmp_path / "run", budget_seconds=least + 1, wait=True, patience=SOON)
    assert done.state == "finished"


@pytest.mark.parametrize(
    ("keys", "depth", "words"),
    [
        ({}, 2, "one quantum layer"),
        ({"anchor_rows": 2}, 1, "exclude control_rows, anchor_rows"),
        ({"adaptive": Adaptive(4, 0.9)}, 1, "adaptive shots"),
        ({"quiet": Quiet(4, (0, 7))}, 1, "among 0 to 2"),
        ({"quiet": Quiet(4.5, (0,))}, 1, "whole numbers"),  # type: ignore[arg-type]
        ({"quiet": Quiet(4, ("0",))}, 1, "whole numbers"),  # type: ignore[arg-type]
        ({"shots": 4}, 1, "below the 4 shots"),
        ({"shots": None, "agreement": 0.5}, 1, "chooses"),
    ],
)
def test_what_cannot_be_quiet_is_refused_before_anything_is_written(
    service: Service,
    profile: Callable[..., str],
    tmp_path: Path,
    keys: dict[str, Any],
    depth: int,
    words: str,
) -> None:
    with pytest.raises(JobError, match=words):
        begin(tmp_path / "run", profile("job"), qvit(depth), **keys)
    assert not (tmp_path / "run").exists()
