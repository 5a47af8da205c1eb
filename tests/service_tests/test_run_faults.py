"""Faults of the service at the calls of a run; `test_fault_matrix` strikes every call."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from service.handle import Service
from service_tests.spending import begin
from service_tests.victim import (
    CALL_FAULTS,
    CALLS,
    JOB_FAULTS,
    Audit,
    images,
    network,
    ordeal,
    outputs,
    patience,
    split_jobs,
)
from urllib3.util.retry import Retry

from qvit_qiskit.data import load, stratified_subset
from qvit_qiskit.devices import prices as cost
from qvit_qiskit.exceptions import JobError, RouteError
from qvit_qiskit.hardware.events import Finish, Intent, JobBill, Submission, Workload
from qvit_qiskit.hardware.journal import Journal
from qvit_qiskit.models import ViTConfig, build_model
from qvit_qiskit.runs import Status, cancel, resume, status, submit

Go = Callable[..., Status]
PER_CALL = 11
"""Steps through the faults from call to call, so that each call gets another one."""
STRUCK = ("POST /sessions", "POST /jobs", "GET /jobs/*/results", "PATCH /sessions/*")
"""Calls that `make test` strikes; `make check` strikes all of them at three moments."""


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client's retries without their pauses."""
    monkeypatch.setattr(Retry, "sleep", lambda self, response=None: None)


@pytest.fixture
def go(service: Service, profile: Callable[..., str], tmp_path: Path) -> Go:
    """Begin a run in the folder ``run``."""

    def start(mode: str = "batch", **keys: Any) -> Status:
        return begin(tmp_path / "run", profile(mode), **{"patience": patience()} | keys)

    return start


@pytest.fixture(scope="module")
def reference(running: Service, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The results of a run that nothing happens to."""
    folder = tmp_path_factory.mktemp("reference")
    path = folder / "mine.toml"
    path.write_text('kind = "ibm"\ndevice = "ibm_torino"\nshots = 32\n')
    with pytest.MonkeyPatch.context() as patch:
        for name, value in running.environment.items():
            patch.setenv(name, value)
        submit(network(), images(3), str(path), folder / "run", budget_seconds=60, wait=True)
    return outputs(folder / "run")


def on(folder: Path, **changes: Any) -> Status:
    return resume(folder, network(), **({"wait": True, "patience": patience()} | changes))


def named(pair: Any) -> str | None:
    return "-".join(str(v) for v in (pair[0], *pair[1].values())) if type(pair) is tuple else None


@pytest.mark.parametrize(
    ("call", "fault"),
    [(call, CALL_FAULTS[CALLS.index(call) * PER_CALL % len(CALL_FAULTS)]) for call in STRUCK],
    ids=named,
)
def test_a_fault_of_each_call(
    service: Service,
    profile: Callable[..., str],
    tmp_path: Path,
    reference: dict[str, bytes],
    call: str,
    fault: tuple[str, dict[str, Any]],
) -> None:
    kind, options = fault
    errors = ordeal(service, tmp_path / "run", profile("session"), kind, {"call": call, **options})
    assert errors is not None, "nothing was struck"
    assert outputs(tmp_path / "run") == reference


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (("status", {"code": 400}), "refused"),
        (("status", {"code": 502, "count": None}), "uncertain"),
        (("status", {"code": 502, "count": None, "creates": True}), None),
        (("status", {"code": 429, "count": None}), "takes no more jobs"),
        (("drop", {"when": "after"}), None),
        (("stall", {"when": "after", "seconds": 5.0}), None),
        (("garble", {}), None),
        (("empty", {}), "uncertain"),
    ],
    ids=named,
)
def test_submissions(
    service: Service,
    profile: Callable[..., str],
    tmp_path: Path,
    reference: dict[str, bytes],
    fault: tuple[str, dict[str, Any]],
    told: str | None,
) -> None:
    kind, options = fault
    errors = ordeal(
        service, tmp_path / "run", profile("job"), kind, {"call": "POST /jobs"} | options
    )
    assert errors is not None, "nothing was struck"
    assert outputs(tmp_path / "run") == reference
    assert [told in str(error) for error in errors] == [True] if told else not errors


@pytest.mark.parametrize("fault", JOB_FAULTS[::3], ids=named)
def test_faults_of_jobs(
    service: Service,
    profile: Callable[..., str],
    tmp_path: Path,
    reference: dict[str, bytes],
    fault: tuple[str, dict[str, Any]],
) -> None:
    errors = ordeal(service, tmp_path / "run", profile("session"), *fault)
    assert errors is not None, "nothing was struck"
    assert outputs(tmp_path / "run") == reference


def test_a_job_made_by_an_attempt_that_failed_is_not_sent_again(
    service: Service, go: Go, tmp_path: Path
) -> None:
    """The client repeats what was answered with 500 by itself; then it is told to wait."""
    audit = Audit(service)
    service.inject("status", call="POST /jobs", code=500, creates=True)
    service.inject("status", call="POST /jobs", code=429)
    assert go().state == "finished"
    assert len(audit.jobs()) == 1
    audit.check(tmp_path / "run")


def test_what_fails_before_a_job_is_sent_leaves_nothing_uncertain(
    service: Service, go: Go, tmp_path: Path
) -> None:
    """The client asks two things before it sends a job, after they were asked once already."""
    for call in ("GET /instances/usage", "GET /backends/*/status"):
        service.inject("status", call=call, code=503, count=6, after=1)  # as long as it tries
    audit = Audit(service)
    done = go()
    assert done.state == "finished"
    assert len(Journal.open(tmp_path / "run").of(Intent)) == 3
    assert done.executions == 3 * 32
    assert len(audit.jobs()) == 1


def test_surplus_jobs_are_cancelled_and_on_the_bill(
    service: Service, go: Go, tmp_path: Path
) -> None:
    """One waits and costs nothing. Another has run."""
    audit = Audit(service)
    service.hold()
    service.inject("surplus", copies=1)
    assert go("job", wait=False).state == "sent"
    assert sorted(job["status"] for job in audit.jobs()) == ["Cancelled", "Queued"]
    service.clear()
    assert on(tmp_path / "run").state == "finished"
    audit.check(tmp_path / "run")
    (billed,) = [
        bill for bill in Journal.open(tmp_path / "run").of(JobBill) if "surplus" in bill.tag
    ]
    assert billed.seconds == 0.0


def test_cancelled_and_taken_up_again(service: Service, go: Go, tmp_path: Path) -> None:
    audit = Audit(service)
    service.hold()
    assert go(wait=False).state == "sent"
    assert cancel(tmp_path / "run", patience()) == 1
    assert status(tmp_path / "run").state == "cancelled"
    assert cancel(tmp_path / "run", patience()) == 0
    assert on(tmp_path / "run", wait=False).state == "sent"
    service.clear()
    assert on(tmp_path / "run").state == "finished"
    assert [job["status"] for job in audit.jobs()] == ["Cancelled", "Completed"]
    assert cancel(tmp_path / "run", patience()) == 0
    assert status(tmp_path / "run").state == "finished"
    audit.check(tmp_path / "run")


def test_cancelling_a_job_whose_submission_was_not_answered(
    service: Service, go: Go, tmp_path: Path
) -> None:
    """And a session that was left open with it."""
    audit = Audit(service)
    service.configure(queue_delay=60.0)  # holding would end with the faults
    service.inject("drop", call="POST /jobs", when="after")
    service.inject("status", call="GET /jobs", code=400, after=1)  # one goes before the job
    service.inject("status", call="PATCH /sessions/*", code=400)
    with pytest.raises(RouteError):
        go("session")
    assert status(tmp_path / "run").state == "uncertain"
    service.clear()
    assert cancel(tmp_path / "run", patience()) == 1
    assert [job["status"] for job in audit.jobs()] == ["Cancelled"]
    audit.check(tmp_path / "run")


def test_a_job_that_ended_before_it_was_cancelled_is_kept(
    service: Service, go: Go, tmp_path: Path
) -> None:
    audit = Audit(service)
    go(wait=False)
    service.wait_idle()
    assert cancel(tmp_path / "run", patience()) == 0
    assert on(tmp_path / "run").state == "finished"
    assert len(audit.jobs()) == 1


def test_a_session_closed_between_two_jobs(
    service: Service, go: Go, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cost, "MERGE_SECONDS", split_jobs())
    audit = Audit(service)
    service.inject("close_session", when="before", after=1)
    with suppress(JobError):  # the first job may have been caught in the queue
        go("session", max_loss=0.001)
    assert on(tmp_path / "run").state == "finished"
    assert sorted(audit.programs().values()) == [1, 1]
    audit.check(tmp_path / "run")


def test_bills_that_come_after_the_end(service: Service, go: Go, tmp_path: Path) -> None:
    service.configure(billing_delay=1.5)
    audit = Audit(service)
    done = go(max_loss=1.0)
    assert done.state == "finished"
    assert not Journal.open(tmp_path / "run").of(JobBill)
    estimate = sum(each.seconds for each in Journal.open(tmp_path / "run").of(Intent))
    assert done.spent_seconds == pytest.approx(estimate)
    time.sleep(1.6)
    assert on(tmp_path / "run").state == "finished"
    (bill,) = Journal.open(tmp_path / "run").of(JobBill)
    assert [bill.seconds] == [job["charged"] for job in audit.jobs()]
    service.forget()
    assert on(tmp_path / "run").spent_seconds == bill.seconds
    assert not service.requests()


def test_tokens_that_expire_while_a_job_waits(service: Service, go: Go, tmp_path: Path) -> None:
    service.hold()
    go(wait=False)
    service.inject("expire_tokens")
    service.hold(False)
    assert on(tmp_path / "run").state == "finished"


@pytest.mark.parametrize("mode", ["batch", "session"])
def test_two_layers_are_two_waits(
    service: Service, profile: Callable[..., str], tmp_path: Path, mode: str
) -> None:
    """All images of BreastMNIST's size in one job per quantum layer."""
    service.configure(noiseless=True)
    audit = Audit(service)
    model = build_model(ViTConfig(patch_size=14, width=4, depth=2), seed=0)
    data = stratified_subset(load("phantom").split("test"), 156, 0)
    done = submit(
        model,
        data,
        profile(mode, shots=16),
        tmp_path / "run",
        budget_seconds=200.0,
        wait=True,
        patience=patience(),
    )
    assert (done.state, done.stages) == ("finished", 2)
    assert done.scores is not None
    assert done.scores.n == 156
    journal = Journal.open(tmp_path / "run")
    order = [event.kind for event in journal.events if isinstance(event, Submission | Finish)]
    assert order == ["submitted", "finished"] * 2
    assert len(journal.of(Workload)) == 2
    assert len(audit.jobs()) == 2
    assert done.executions == 2 * 156 * 4 * 6 * 16
    audit.check(tmp_path / "run")
