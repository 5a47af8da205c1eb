"""A run planned at submission, on the calibration that the loopback service reports."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from service.handle import Service
from service_tests.spending import SOON
from service_tests.victim import Audit, images, network

from qvit_qiskit import submit
from qvit_qiskit.exceptions import JobError
from qvit_qiskit.hardware.run_reader import RunReader
from qvit_qiskit.hardware.shot_shares import Adaptive
from qvit_qiskit.runs import RunPlan
from qvit_qiskit.runs.planning import search
from qvit_qiskit.runs.planning.at_submission import Planning

QUICK = {"k": 1, "resilience_level": 0, "readout": "gates"}
"""One layout is enough to see that a plan is kept."""


@pytest.fixture(autouse=True)
def few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("QUICK", "CLOSE", "LAST"):
        monkeypatch.setattr(search, name, 4)


def test_shots_are_planned_on_the_calibration_of_the_hour(
    service: Service, profile: Callable[..., str], tmp_path: Path
) -> None:
    """Somebody's own CNN: the plan is for the device of the account, and is what is run."""
    audit, plans = Audit(service), list[RunPlan]()
    done = submit(
        network(), images(4), profile("job", '"auto"'), tmp_path / "run", budget_seconds=60.0,
        agreement=0.5, wait=True, patience=SOON, planning=Planning(done=plans.append),
        settings=QUICK,
    )  # fmt: skip
    assert done.state == "finished"
    (plan,) = plans
    assert plan.device == "ibm_torino"
    assert done.plan == plan
    assert RunReader.open(tmp_path / "run").terms.shots == plan.choice.shots
    assert done.executions == plan.choice.executions
    audit.check(tmp_path / "run")


@pytest.mark.check
def test_nothing_is_sent_that_no_plan_allows(
    service: Service, profile: Callable[..., str], tmp_path: Path
) -> None:
    audit = Audit(service)
    with pytest.raises(JobError, match=r"over the budget of 2\.0001"):
        submit(
            network(), images(4), profile("job", '"auto"'), tmp_path / "run",
            budget_seconds=2.0001, agreement=0.5, patience=SOON, settings=QUICK,
        )  # fmt: skip
    assert not (tmp_path / "run").exists()
    assert not audit.jobs()


@pytest.mark.check
def test_a_plan_is_the_most_of_adaptive_shots(
    service: Service, profile: Callable[..., str], tmp_path: Path
) -> None:
    done = submit(
        network(), images(4), profile("job", '"auto"'), tmp_path / "run", budget_seconds=60.0,
        agreement=0.5, wait=True, patience=SOON, adaptive=Adaptive(2, 0.95),
        settings=QUICK,
    )  # fmt: skip
    assert done.state == "finished"
    assert done.plan is not None
    terms = RunReader.open(tmp_path / "run").terms
    assert terms.adaptive == Adaptive(2, 0.95)
    assert terms.shots == done.plan.choice.shots
