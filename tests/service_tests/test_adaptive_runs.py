"""Adaptive shots on the loopback service: each share is sent once, whatever happens in between."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from service.handle import Service
from service_tests.spending import SOON, billed, killed
from service_tests.victim import Audit, images, network, outputs

from qvit_qiskit import compare
from qvit_qiskit.comparison import rungs
from qvit_qiskit.exceptions import JobError
from qvit_qiskit.hardware.events import Compilation, Intent, StageRows
from qvit_qiskit.hardware.journal import Journal
from qvit_qiskit.hardware.run_reader import RunReader
from qvit_qiskit.hardware.shot_shares import Adaptive
from qvit_qiskit.runs import Status, read_results, resume, status, submit

OPTIONS: dict[str, Any] = {"adaptive": Adaptive(8, 0.9999), "shots": 32}
"""So sure that images go on."""


def undecided(layers: int = 1) -> Any:
    """The small network, with an answer that hangs on little."""
    model = network(layers)
    with torch.no_grad():
        model.head.weight.copy_(torch.tensor([[1.0, 0.0], [0.9, 0.1]]))
        model.head.bias.zero_()
    return model


def begin(folder: Path, backend: str, budget: float = 60.0, **keys: Any) -> Status:
    """Submit a run with adaptive shots and wait for it."""
    return submit(
        undecided(), images(3), backend, folder,
        budget_seconds=budget, wait=True, patience=SOON, **(OPTIONS | keys),
    )  # fmt: skip


def shares(folder: Path) -> list[StageRows]:
    return Journal.open(folder).of(StageRows)


@pytest.mark.parametrize("mode", [pytest.param("job", marks=pytest.mark.check), "batch"])
def test_every_share_is_sent_once_and_counts_are_pooled(
    service: Service, profile: Callable[..., str], tmp_path: Path, mode: str
) -> None:
    audit, folder = Audit(service), tmp_path / "run"
    done = begin(folder, profile(mode))
    assert done.state == "finished"
    asked = shares(folder)
    assert [one.shots for one in asked] == [8, 8, 16][: len(asked)]
    assert len(asked) > 1
    assert done.share == len(asked)
    for before, after in pairwise(asked):
        assert after.images
        assert set(after.images) <= set(before.images or range(3))
    assert sum(audit.programs().values()) == len(asked)  # two shares may be of the same rows
    audit.check(folder)
    tags = [event.tag for event in Journal.open(folder).of(Intent)]
    assert len(set(tags)) == len(tags) == len(audit.jobs())
    assert [c.shots for c in Journal.open(folder).of(Compilation)] == [one.shots for one in asked]
    (outputs_,) = read_results(folder).layers[0]
    for image in range(3):  # by counting bits over all shares
        sums, shots = np.zeros(2), 0
        for stage in RunReader.open(folder).stages:
            among = list(range(3)) if stage.order.images is None else stage.order.images
            if image not in among:
                continue
            (_, index), counts = stage.rows.pubs[0], stage.counts[0]
            one = counts["piece0-basis0-fold1"]
            seats = stage.layout.seats[0].ravel()
            here = one.row == list(seats).index(index[among.index(image)])
            bits = (one.state[here, None] >> np.arange(2)) & 1
            sums += ((1 - 2 * bits) * one.count[here, None]).sum(axis=0)
            shots += one.count[here].sum()
        np.testing.assert_allclose(outputs_.values[image], sums / shots)


@pytest.mark.check
def test_a_run_dies_around_every_decision(
    service: Service, profile: Callable[..., str], tmp_path: Path
) -> None:
    """Which images go on is written down before anything is sent, and nothing is sent twice."""
    backend, audit = profile(), Audit(service)
    begin(tmp_path / "whole", backend)
    events = Journal.open(tmp_path / "whole").events
    programs = audit.programs()
    decisions = [one.images for one in shares(tmp_path / "whole")]
    moments = [k for k, event in enumerate(events) if event.kind in ("stage", "compiled", "done")]
    assert len(moments) > 4
    for k in moments[2:]:
        for before in (True, False):
            folder, audit = tmp_path / f"{k}-{before}", Audit(service)
            with killed(k, before=before):
                begin(folder, backend)
            if status(folder).state != "finished":
                assert resume(folder, undecided(), wait=True, patience=SOON).state == "finished"
            assert outputs(folder) == outputs(tmp_path / "whole")
            assert [one.images for one in shares(folder)] == decisions
            assert audit.programs() == programs
            audit.check(folder)


@pytest.mark.check
def test_the_budget_ends_it(service: Service, profile: Callable[..., str], tmp_path: Path) -> None:
    """It has room for the first share alone: what is not settled is told, and nothing overdrawn."""
    audit, folder = Audit(service), tmp_path / "run"
    done = begin(folder, profile("job"), budget=5.0)
    assert done.state == "finished"
    assert len(shares(folder)) == 1
    assert done.unsettled
    assert billed(audit) <= 5.0
    whole = begin(tmp_path / "more", profile("job"), budget=60.0)
    assert len(shares(tmp_path / "more")) > 1
    assert whole.unsettled is not None


@pytest.mark.check
def test_bills_that_come_late_are_waited_for(
    service: Service, profile: Callable[..., str], tmp_path: Path
) -> None:
    """Until then nobody knows whether the budget has room."""
    service.configure(billing_delay=0.5)
    folder = tmp_path / "run"
    done = begin(folder, profile("job"), budget=9.0)
    assert done.state == "finished"
    assert len(shares(folder)) > 1
    assert done.billed_seconds + done.reserved_seconds <= 9.0


@pytest.mark.parametrize(
    ("keys", "layers", "words"),
    [
        ({}, 2, "one quantum layer"),
        ({"settings": {"resilience_level": 1}}, 1, "resilience level 0"),
        ({"settings": {"twirl_gates": True}}, 1, "twirled"),
        ({"anchor_rows": 2}, 1, "anchor_rows"),
        ({"adaptive": Adaptive(8, 0.2)}, 1, "certainty"),
    ],
)
def test_what_cannot_be_adaptive_is_refused_before_anything_is_written(
    profile: Callable[..., str], tmp_path: Path, keys: dict[str, Any], layers: int, words: str
) -> None:
    with pytest.raises(JobError, match=words):
        submit(
            undecided(layers), images(3), profile(), tmp_path / "run",
            budget_seconds=9.0, **(OPTIONS | keys),
        )  # fmt: skip
    assert not (tmp_path / "run").exists()


@pytest.mark.check
def test_logits_are_those_of_the_pooled_values(
    service: Service, profile: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    begin(folder, profile("job"))
    results = read_results(folder)
    model = undecided()
    head = model.head.weight.detach().numpy(), model.head.bias.detach().numpy()
    expected = results.layers[0][0].values @ head[0].T + head[1]
    np.testing.assert_allclose(results.logits, expected, atol=1e-5)
    assert [compare(folder, model=model, draws=n).rungs[-1].truths for n in (3, 0)] == [1, 1]
    far = np.arange(10)[:, None, None] * np.full((3, 2), 1000.0)
    monkeypatch.setattr(rungs, "possible_logits", lambda *args: far)
    rung = compare(folder, model=model, draws=21).rungs[-1]
    assert rung.truths == 10
    assert rung.draws is not None
    np.testing.assert_allclose(rung.draws, np.repeat(far, 2, axis=0), atol=100)  # in pairs
