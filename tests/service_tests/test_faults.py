"""Each fault as the unmodified client shows it."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
import requests
from qiskit import QuantumCircuit
from qiskit_ibm_runtime import Batch, QiskitRuntimeService
from qiskit_ibm_runtime.accounts import InvalidAccountError
from qiskit_ibm_runtime.api.exceptions import RequestsApiError
from qiskit_ibm_runtime.exceptions import (
    IBMNotAuthorizedError,
    IBMRuntimeError,
    RuntimeInvalidStateError,
    RuntimeJobFailureError,
)
from qiskit_ibm_runtime.executor_sampler import Sampler
from qiskit_ibm_runtime.runtime_job_v2 import RuntimeJobV2
from service.handle import Service, start_service
from urllib3.util.retry import Retry

POST = "POST /jobs"
Submit = Callable[..., RuntimeJobV2]


@pytest.fixture
def submit(client: QiskitRuntimeService, bell: QuantumCircuit) -> Submit:
    """Send a small job with a tag, in job mode or in a batch."""

    def send(tag: str = "", mode: object = None) -> RuntimeJobV2:
        sampler = Sampler(mode or client.backend("ibm_torino"))
        sampler.options.default_shots = 50
        sampler.options.environment.job_tags = [tag or uuid.uuid4().hex]
        return sampler.run([bell])

    return send


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client's retries without their pauses."""
    monkeypatch.setattr(Retry, "sleep", lambda self, response=None: None)


def created(service: Service, tag: str) -> list[dict]:
    return [job for job in service.jobs() if tag in job["tags"]]


@pytest.mark.parametrize("creates", [False, True])
def test_a_short_burst_is_repeated_and_makes_one_job(
    service: Service, submit: Submit, creates: bool
) -> None:
    tag = uuid.uuid4().hex
    service.inject("status", call=POST, code=500, count=2, creates=creates)
    job = submit(tag)
    assert [entry["status"] for entry in service.requests(POST)] == [500, 500, 200]
    assert [row["id"] for row in created(service, tag)] == [job.job_id()]
    assert job.result(poll_interval=0.1) is not None


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("creates", [False, True])
def test_an_endless_burst(service: Service, submit: Submit, creates: bool) -> None:
    tag = uuid.uuid4().hex
    service.inject("status", call=POST, code=503, count=None, creates=creates)
    with pytest.raises(IBMRuntimeError, match="too many 503"):
        submit(tag)
    assert [entry["status"] for entry in service.requests(POST)] == [503] * 6
    assert len(created(service, tag)) == int(creates)
    service.clear()
    submit(tag)  # sent again by the user, this is another job
    assert len(created(service, tag)) == 1 + int(creates)


@pytest.mark.parametrize("code", [409, 413, 429])
def test_refusals_that_are_not_repeated(service: Service, submit: Submit, code: int) -> None:
    service.inject("status", call=POST, code=code, retry_after=1)
    with pytest.raises(IBMRuntimeError, match=str(code)):
        submit()
    assert len(service.requests(POST)) == 1


def test_not_authorised(service: Service, submit: Submit) -> None:
    service.inject("status", call=POST, code=401)
    with pytest.raises(IBMNotAuthorizedError):
        submit()


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("fault", ["drop", "stall"])
def test_lost_answers_to_a_submission(
    service: Service, client: QiskitRuntimeService, submit: Submit, fault: str, when: str
) -> None:
    tag = uuid.uuid4().hex
    service.inject(fault, call=POST, when=when, seconds=0.3)
    with pytest.raises(IBMRuntimeError):
        submit(tag)
    assert len(service.requests(POST)) == 1
    assert len(client.jobs(job_tags=[tag])) == int(when == "after")


@pytest.mark.parametrize("fault", ["truncate", "garble"])
def test_a_damaged_answer_to_a_submission(
    service: Service, client: QiskitRuntimeService, submit: Submit, fault: str
) -> None:
    tag = uuid.uuid4().hex
    service.inject(fault, call=POST)
    expected = IBMRuntimeError if fault == "truncate" else requests.exceptions.JSONDecodeError
    with pytest.raises(expected):
        submit(tag)
    assert len(client.jobs(job_tags=[tag])) == 1


def test_polling_through_a_burst(service: Service, submit: Submit) -> None:
    job = submit()
    service.wait_idle()
    service.inject("status", call="GET /jobs/*", code=502, count=1)
    service.inject("drop", call="GET /jobs/*/results")
    assert job.result(poll_interval=0.1) is not None


@pytest.mark.usefixtures("impatient")
def test_polling_without_end(service: Service, submit: Submit) -> None:
    job = submit()
    service.inject("status", call="GET /jobs/*", code=504, count=None)
    with pytest.raises(RequestsApiError) as caught:
        job.status()
    assert caught.value.status_code == -1  # too many retries, not the 504 itself


def test_too_many_requests_while_polling(
    service: Service, client: QiskitRuntimeService, submit: Submit
) -> None:
    job = submit()
    service.inject("status", call="GET /jobs/*", code=429, retry_after=1)
    start = time.monotonic()
    job.status()
    assert time.monotonic() - start > 0.9
    service.inject("status", call="GET /jobs/*", code=429)
    with pytest.raises(IBMRuntimeError, match="429"):
        client.job(job.job_id())


def test_a_stalled_answer_blocks_the_client(service: Service, submit: Submit) -> None:
    job = submit()
    service.inject("stall", call="GET /jobs/*", seconds=0.5)
    start = time.monotonic()
    assert job.status() in ("QUEUED", "RUNNING", "DONE")  # its second attempt
    assert time.monotonic() - start > 0.5
    service.inject("slow", call="GET /jobs/*/metrics", seconds=0.3)
    start = time.monotonic()
    job.metrics()
    assert time.monotonic() - start > 0.3


def test_damaged_results(service: Service, submit: Submit) -> None:
    job = submit()
    service.wait_idle()
    for fault, expected in (("truncate", RequestsApiError), ("garble", TypeError)):
        service.inject(fault, call="GET /jobs/*/results")
        with pytest.raises(expected):
            job.result()
    service.inject("empty")
    assert job.result() is None
    assert job.result() is not None


@pytest.mark.parametrize("variant", ["shots", "rows", "register", "item", "schema"])
def test_wrong_results(service: Service, submit: Submit, variant: str) -> None:
    job = submit()
    service.wait_idle()
    service.inject("wrong_result", variant=variant)
    if variant == "schema":
        with pytest.raises(ValueError, match="No decoder"):
            job.result()
    else:
        try:
            result = job.result()
        except Exception:  # whatever the client makes of it
            result = None
        fits = result is not None and len(result) == 1 and "meas" in result[0].data
        assert not (fits and result[0].data.meas.num_shots == 50)
    assert job.result()[0].data.meas.num_shots == 50


def test_expired_tokens(service: Service, client: QiskitRuntimeService) -> None:
    service.inject("expire_tokens")
    with pytest.raises(IBMNotAuthorizedError):
        client.usage()
    assert QiskitRuntimeService().usage()["usage_consumed_seconds"] >= 0


def test_short_lived_tokens_are_renewed(service: Service) -> None:
    service.configure(token_ttl=2)
    client = QiskitRuntimeService()
    client.usage()
    service.forget()
    time.sleep(2.1)
    client.usage()
    assert len(service.requests("POST /identity/token")) == 1


@pytest.mark.parametrize("call", ["POST /identity/token", "POST /v3/resources/search"])
def test_trouble_at_start_is_told_as_a_bad_key(service: Service, call: str) -> None:
    service.inject("status", call=call, code=500)
    with pytest.raises(InvalidAccountError, match="valid API token"):
        QiskitRuntimeService()


def test_a_forbidden_list_of_backends_is_swallowed(service: Service) -> None:
    service.inject("status", call="GET /backends", code=403)
    assert len(QiskitRuntimeService().backends()) == 3


def test_a_job_fails_with_a_reason(service: Service, submit: Submit) -> None:
    service.inject("job_failure", code=6050, reason="The control system lost lock.", charged=1.5)
    job = submit()
    with pytest.raises(RuntimeJobFailureError, match=r"6050.*lost lock"):
        job.result(poll_interval=0.1)
    assert job.status() == "ERROR"
    assert job.usage() == 1.5
    assert not [row for row in service.executed() if row["id"] == job.job_id()]
    assert submit().result(poll_interval=0.1) is not None


@pytest.mark.parametrize("when", ["queued", "running"])
def test_somebody_else_cancels(service: Service, submit: Submit, when: str) -> None:
    service.inject("cancel", when=when)
    with pytest.raises(RuntimeInvalidStateError, match="was cancelled"):
        submit().result(poll_interval=0.1)
    service.configure(run_delay=5.0)
    job = submit()
    while job.status() != "RUNNING":
        pass
    service.cancel(job.job_id())
    assert job.status() == "CANCELLED"
    assert job.usage() == 2.0


def test_the_server_closes_a_session(
    service: Service, client: QiskitRuntimeService, submit: Submit
) -> None:
    batch = Batch(client.backend("ibm_torino"))
    service.inject("close_session", when="after", after=1)
    assert submit(mode=batch).result(poll_interval=0.1) is not None
    job = submit(mode=batch)
    with pytest.raises(RuntimeJobFailureError, match="1217"):
        job.result(poll_interval=0.1)
    with pytest.raises(IBMRuntimeError, match="1217"):
        submit(mode=batch)
    other = Batch(client.backend("ibm_torino"))
    service.inject("close_session", when="before")
    with pytest.raises(IBMRuntimeError, match="1217"):
        submit(mode=other)
    third = Batch(client.backend("ibm_torino"))
    service.close_session(third.session_id)
    assert third.status() == "Closed"


def test_results_that_appear_late(service: Service, submit: Submit) -> None:
    service.inject("late_results", seconds=0.6)
    job = submit()
    assert job.result(poll_interval=0.1) is None
    assert job.status() == "DONE"
    time.sleep(0.6)
    assert job.result() is not None


def test_jobs_that_are_listed_late(
    service: Service, client: QiskitRuntimeService, submit: Submit
) -> None:
    tag = uuid.uuid4().hex
    service.inject("late_listing", seconds=0.5)
    service.inject("drop", call=POST, when="after")
    with pytest.raises(IBMRuntimeError):
        submit(tag)
    assert client.jobs(job_tags=[tag]) == []
    time.sleep(0.5)
    assert len(client.jobs(job_tags=[tag])) == 1


def test_surplus_jobs(service: Service, client: QiskitRuntimeService, submit: Submit) -> None:
    tag = uuid.uuid4().hex
    service.hold()
    service.inject("surplus", copies=2)
    job = submit(tag)
    found = client.jobs(job_tags=[tag])
    assert len(found) == 3
    for other in found:
        if other.job_id() != job.job_id():
            other.cancel()
    service.hold(False)
    assert job.result(poll_interval=0.1) is not None
    service.wait_idle()
    assert len([row for row in service.executed() if tag in row["tags"]]) == 1


def test_billing_that_becomes_final_late(service: Service, submit: Submit) -> None:
    service.inject("late_billing", seconds=0.6)
    job = submit()
    job.result(poll_interval=0.1)
    assert job.metrics()["usage"]["status"] == "pending"
    assert job.usage() == 0
    time.sleep(0.6)
    assert job.usage() > 2.0


def test_faults_strike_the_calls_they_name(service: Service, client: QiskitRuntimeService) -> None:
    service.inject("status", call="GET /instances/**", code=418, after=1, count=1)
    client.usage()
    with pytest.raises(RequestsApiError, match="418"):
        client.usage()
    client.usage()
    assert [fault["hits"] for fault in service.faults()] == [1]
    with pytest.raises(ValueError, match="Expected a fault"):
        service.inject("earthquake")
    with pytest.raises(ValueError, match="needs call="):
        service.inject("drop")


@pytest.mark.usefixtures("impatient")
def test_kill_and_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bell: QuantumCircuit
) -> None:
    """Handles outlive the service; done jobs stay done, the others run once."""
    with start_service(tmp_path / "store", devices="fake_torino", noiseless=True) as own:
        for name, value in own.environment.items():
            monkeypatch.setenv(name, value)
        sampler = Sampler(QiskitRuntimeService().backend("ibm_torino"))
        sampler.options.default_shots = 50
        done = sampler.run([bell])
        before = done.result(poll_interval=0.1)
        own.configure(run_delay=30.0)
        cut = sampler.run([bell])
        while cut.status() != "RUNNING":
            pass
        own.kill()
        with pytest.raises(RequestsApiError) as caught:
            cut.status()
        assert caught.value.status_code == -1
        own.restart()
        after = cut.result(poll_interval=0.1)
        assert after[0].data.meas.get_counts() == before[0].data.meas.get_counts()
        assert done.result()[0].data.meas.get_counts() == before[0].data.meas.get_counts()
        assert [row["times"] for row in own.executed()] == [1, 1]
        assert cut.usage() == done.usage()
