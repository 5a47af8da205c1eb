"""Batches and sessions that nobody knows to be open: closed by the next command."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from qiskit_ibm_runtime import Batch, QiskitRuntimeService
from service.handle import Service
from service_tests.spending import begin
from service_tests.victim import Audit, network, patience

from qvit_qiskit.exceptions import ServiceError
from qvit_qiskit.ibm.calls import Patience
from qvit_qiskit.runs import Status, cancel, resume

Go = Callable[..., Status]
SOON = Patience(deadline=20.0, outage=1.0, settle=0.3, poll=0.1)


@pytest.fixture
def go(service: Service, profile: Callable[..., str], tmp_path: Path) -> Go:
    """Begin a run in the folder ``run``."""

    def start(mode: str = "batch", **keys: Any) -> Status:
        return begin(tmp_path / "run", profile(mode), **{"patience": SOON} | keys)

    return start


def on(folder: Path) -> Status:
    return resume(folder, network(), wait=True, patience=patience())


@pytest.mark.parametrize("mode", ["batch", pytest.param("session", marks=pytest.mark.check)])
def test_one_whose_opening_was_not_answered(
    service: Service, go: Go, tmp_path: Path, mode: str
) -> None:
    audit = Audit(service)
    service.inject("drop", call="POST /sessions", when="after")
    with pytest.raises(ServiceError, match="is closed when the run goes on"):
        go(mode)
    opened = service.sessions()[-1]
    assert opened["accepting_jobs"]
    assert on(tmp_path / "run").state == "finished"
    assert len(audit.jobs()) == 1
    audit.check(tmp_path / "run")
    asked = len(service.requests("GET /workloads"))
    assert on(tmp_path / "run").state == "finished"
    assert len(service.requests("GET /workloads")) == asked


@pytest.mark.check
def test_cancelling_closes_it_too(service: Service, go: Go, tmp_path: Path) -> None:
    service.inject("garble", call="POST /sessions")
    with pytest.raises(ServiceError):
        go()
    assert service.sessions()[-1]["accepting_jobs"]
    assert cancel(tmp_path / "run", patience()) == 0
    assert not service.sessions()[-1]["accepting_jobs"]


@pytest.mark.check
def test_another_users_batch_is_left_alone(
    service: Service, client: QiskitRuntimeService, go: Go, tmp_path: Path
) -> None:
    """There are two without a job where one was opened: which it is nobody can say."""
    audit = Audit(service)
    service.inject("drop", call="POST /sessions", when="after")
    with pytest.raises(ServiceError):
        go()
    other = Batch(client.backend("ibm_torino"))
    assert on(tmp_path / "run").state == "finished"
    assert other.details()["accepting_jobs"]
    assert len(audit.jobs()) == 1
    other.close()


@pytest.mark.check
def test_an_account_that_may_not_list_them(service: Service, go: Go, tmp_path: Path) -> None:
    service.inject("status", call="POST /sessions", code=500, creates=True, count=None)
    with pytest.raises(ServiceError):
        go()
    service.clear()
    service.inject("status", call="GET /workloads", code=403, count=None)
    assert on(tmp_path / "run").state == "finished"
