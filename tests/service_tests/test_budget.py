"""The budget of a run against a service with bills of its own, kills, failures and resumes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from service.handle import Service
from service_tests.spending import begin, billed, go_on, trial
from service_tests.victim import Audit, split_jobs

from qvit_qiskit.devices import prices
from qvit_qiskit.exceptions import JobError, ServiceError
from qvit_qiskit.hardware.events import Workload
from qvit_qiskit.hardware.journal import Journal
from qvit_qiskit.runs import status

ESTIMATE = 2.024
"""QPU seconds of the one job of a run of `network()` on three images at 32 shots."""


@pytest.fixture
def audit(service: Service) -> Audit:
    """What happens on the service in this test."""
    return Audit(service)


@pytest.mark.parametrize("budget", [2.1, 2.5, 2.9, 3.9])
def test_a_limit_below_the_headroom_is_never_sent(
    audit: Audit, tmp_path: Path, profile: Callable[..., str], budget: float
) -> None:
    with pytest.raises(JobError, match="asks for a budget of 4"):
        begin(tmp_path / "run", profile("job"), budget)
    assert billed(audit) == 0
    assert go_on(tmp_path / "run", budget_seconds=4.0).state == "finished"


def test_a_job_that_was_stopped_at_its_limit_goes_on_with_a_higher_one(
    service: Service, audit: Audit, tmp_path: Path, profile: Callable[..., str]
) -> None:
    service.inject("bill", factor=2.5, count=None)  # 5.06 s, beyond 1.5 times the estimate
    with pytest.raises(JobError, match=r"time limit.*It gets a higher limit"):
        begin(tmp_path / "run", profile("job"), 4.5)
    with pytest.raises(JobError, match="--budget"):
        go_on(tmp_path / "run")
    assert billed(audit) <= 4.5
    assert go_on(tmp_path / "run", budget_seconds=15.0).state == "finished"
    assert billed(audit) <= 15.0


def test_bills_that_come_late_hold_back_what_does_not_fit(
    service: Service,
    audit: Audit,
    tmp_path: Path,
    profile: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two jobs whose bills are twice their estimates: the second waits for the first's bill."""
    monkeypatch.setattr(prices, "MERGE_SECONDS", split_jobs())
    service.configure(bill_factor=1.4, billing_delay=1.0)
    done = begin(tmp_path / "run", profile("batch"), 7.0, max_loss=0.001)
    assert done.state == "finished"
    order = [event.kind for event in Journal.open(tmp_path / "run").events]
    kept = [event for event in order if event in ("intent", "billed")]
    assert kept[:3] == ["intent", "billed", "intent"]
    assert billed(audit) <= 7.0


def test_bills_that_never_come(
    service: Service, tmp_path: Path, profile: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prices, "MERGE_SECONDS", split_jobs())
    service.configure(billing_delay=1e9)
    with pytest.raises(ServiceError, match=r"has not billed all jobs yet.*add `--budget"):
        begin(tmp_path / "run", profile("job"), 6.2, max_loss=0.001)
    found = status(tmp_path / "run")
    assert found.billed_seconds == 0
    assert found.estimated_seconds == pytest.approx(ESTIMATE, abs=0.02)
    assert 4 <= found.reserved_seconds <= 6.2
    assert go_on(tmp_path / "run", budget_seconds=20.0).state == "finished"


def test_a_session_is_opened_with_its_time_and_closed_at_once(
    service: Service, tmp_path: Path, profile: Callable[..., str]
) -> None:
    assert begin(tmp_path / "run", profile("session"), 20.0).state == "finished"
    session = service.sessions()[-1]
    (event,) = Journal.open(tmp_path / "run").of(Workload)
    assert session["max_ttl"] == event.max_seconds <= 20
    assert not session["accepting_jobs"]


@pytest.mark.parametrize("mode", ["job", "batch", "session"])
@pytest.mark.parametrize(
    "number", [k if k < 3 else pytest.param(k, marks=pytest.mark.check) for k in range(7)]
)
def test_what_is_billed_never_exceeds_the_budget(
    service: Service,
    tmp_path: Path,
    profile: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
    rng: np.random.Generator,
    mode: str,
    number: int,
) -> None:
    monkeypatch.setattr(prices, "MERGE_SECONDS", split_jobs())
    monkeypatch.setattr("urllib3.util.retry.Retry.sleep", lambda self, response=None: None)
    trial(service, tmp_path / "run", profile(mode), mode, rng)
