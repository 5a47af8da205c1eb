"""Every endpoint once, through the unmodified client."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from qiskit import QuantumCircuit
from qiskit_ibm_runtime import Batch, QiskitRuntimeService, Session
from qiskit_ibm_runtime.accounts import InvalidAccountError
from qiskit_ibm_runtime.exceptions import (
    IBMInputValueError,
    IBMRuntimeError,
    RuntimeInvalidStateError,
    RuntimeJobMaxTimeoutError,
    RuntimeJobNotFound,
)
from qiskit_ibm_runtime.executor_sampler import Sampler
from service.handle import Service


def sampler(backend: object, **environment: object) -> Sampler:
    made = Sampler(backend)
    made.options.default_shots = 100
    for name, value in environment.items():
        setattr(made.options.environment, name, value)
    return made


def test_a_wrong_key_is_refused(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QISKIT_IBM_TOKEN", "not-the-key")
    with pytest.raises(InvalidAccountError, match="valid API token"):
        QiskitRuntimeService()


def test_instances_and_plans(client: QiskitRuntimeService) -> None:
    plans = {entry["plan"]: entry["pricing_type"] for entry in client.instances()}
    assert plans == {"premium": "paid", "open": "free"}


def test_instances_by_name_and_by_plan(
    service: Service, monkeypatch: pytest.MonkeyPatch, open_client: QiskitRuntimeService
) -> None:
    monkeypatch.delenv("QISKIT_IBM_INSTANCE")
    chosen = QiskitRuntimeService(plans_preference=["open"]).active_instance()
    assert chosen == open_client.active_instance()
    with pytest.raises(IBMInputValueError, match="does not have access"):
        QiskitRuntimeService(instance="crn:v1:bluemix:public:quantum-computing:us-east:a/b:c::")


def test_other_routes_to_the_service(
    service: Service, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    base = f"http://127.0.0.1:{service.port}"
    by_resolver = QiskitRuntimeService(url_resolver=lambda *_: f"{base}/api/v1")
    assert by_resolver.backend("ibm_torino").num_qubits == 133
    accounts = str(tmp_path / "accounts.json")
    told = service.environment
    QiskitRuntimeService.save_account(
        token=told["QISKIT_IBM_TOKEN"],
        url=told["QISKIT_IBM_URL"],
        instance=told["QISKIT_IBM_INSTANCE"],
        filename=accounts,
        name="loopback",
    )
    for variable in ("TOKEN", "URL", "INSTANCE", "CHANNEL"):
        monkeypatch.delenv(f"QISKIT_IBM_{variable}")
    by_name = QiskitRuntimeService(name="loopback", filename=accounts)
    assert by_name.usage()["usage_consumed_seconds"] >= 0
    monkeypatch.setenv("IAM_URL", "http://iam.loopback.test")
    for variable in ("GLOBAL_SEARCH_URL", "GLOBAL_CATALOG_URL"):
        monkeypatch.delenv(variable)
    by_proxy = QiskitRuntimeService(
        token=told["QISKIT_IBM_TOKEN"],
        url="http://loopback.test",
        instance="loopback-premium",
        proxies={"urls": {"http": base}},
    )
    assert by_proxy.backend("ibm_fez").num_qubits == 156


def test_usage_counts_down_the_open_plan(
    open_client: QiskitRuntimeService, service: Service
) -> None:
    service.configure(consumed=590.0)
    before = open_client.usage()
    assert before["usage_remaining_seconds"] <= 10.0
    assert not before["usage_limit_reached"]


def test_backends_and_calibration(client: QiskitRuntimeService) -> None:
    sizes = {backend.name: backend.num_qubits for backend in client.backends()}
    assert sizes == {"ibm_torino": 133, "ibm_fez": 156, "ibm_boston": 156}
    backend = client.backend("ibm_torino")
    assert backend.default_rep_delay == pytest.approx(250e-6)
    assert backend.properties().backend_name == "ibm_torino"
    assert backend.status().operational
    assert backend.target["cz"]


def test_least_busy_and_maintenance(client: QiskitRuntimeService, service: Service) -> None:
    service.configure(queues={"ibm_torino": 5, "ibm_fez": 9}, offline=["ibm_boston"])
    fresh = QiskitRuntimeService()
    assert fresh.least_busy().name == "ibm_torino"
    assert fresh.least_busy(min_num_qubits=150).name == "ibm_fez"
    assert not client.backend("ibm_boston").status().operational


def test_a_job_from_queue_to_result(
    client: QiskitRuntimeService, service: Service, bell: QuantumCircuit
) -> None:
    service.hold()
    backend = client.backend("ibm_torino")
    first = sampler(backend, job_tags=["first"]).run([bell])
    second = sampler(backend, job_tags=["first", "second"]).run([bell])
    assert second.status() == "QUEUED"
    assert second.metrics()["position_in_queue"] == 2
    assert backend.status().pending_jobs == 2
    service.configure(run_delay=0.3)
    service.hold(False)
    while (state := first.status()) == "QUEUED":
        pass
    assert state == "RUNNING"
    assert first.result(poll_interval=0.1)[0].data.meas.num_shots == 100
    metrics = first.metrics()
    assert metrics["timestamps"]["running"] > metrics["timestamps"]["created"]
    assert first.usage() == metrics["usage"]["qpu_charge_time_seconds"] > 2.0
    assert first.usage_estimation["quantum_seconds"] == first.usage()
    assert "Completed" in first.logs()
    assert first.properties().backend_name == "ibm_torino"
    assert second.result(poll_interval=0.1) is not None


def test_jobs_are_found_again(
    client: QiskitRuntimeService, service: Service, bell: QuantumCircuit
) -> None:
    start = datetime.now(UTC)
    backend = client.backend("ibm_torino")
    jobs = [sampler(backend, job_tags=["find", f"n{n}"]).run([bell]) for n in range(3)]
    service.wait_idle()
    found = client.jobs(job_tags=["find"], limit=None)
    assert [job.job_id() for job in found] == [job.job_id() for job in reversed(jobs)]
    assert [j.job_id() for j in client.jobs(job_tags=["find", "n1"])] == [jobs[1].job_id()]
    assert len(client.jobs(job_tags=["find"], limit=1, skip=1)) == 1
    assert len(client.jobs(created_after=start, backend_name="ibm_torino")) == 3
    assert not client.jobs(created_after=start, pending=True)
    assert not client.jobs(created_before=start - timedelta(days=1))
    again = client.job(jobs[0].job_id())
    assert again.result()[0].data.meas.get_counts() == jobs[0].result()[0].data.meas.get_counts()
    assert again.inputs["quantum_program"].shots == 100
    assert again.update_tags(["other"]) == ["other"]
    client.delete_job(again.job_id())
    with pytest.raises(RuntimeJobNotFound):
        client.job(again.job_id())


def test_cancel(client: QiskitRuntimeService, service: Service, bell: QuantumCircuit) -> None:
    service.hold()
    job = sampler(client.backend("ibm_torino")).run([bell])
    job.cancel()
    again = client.job(job.job_id())
    assert again.status() == "CANCELLED"
    assert again.usage() == 0
    with pytest.raises(RuntimeInvalidStateError, match="cannot be cancelled"):
        again.cancel()
    with pytest.raises(RuntimeInvalidStateError, match="was cancelled"):
        again.result()


def test_private_results_are_read_once(
    client: QiskitRuntimeService, service: Service, bell: QuantumCircuit
) -> None:
    job = sampler(client.backend("ibm_torino"), private=True).run([bell])
    assert job.result() is not None
    assert job.result() is None
    again = client.job(job.job_id())
    assert again.private
    assert again.inputs == {}


def test_a_job_that_would_take_too_long(client: QiskitRuntimeService, bell: QuantumCircuit) -> None:
    made = sampler(client.backend("ibm_torino"))
    made.options.max_execution_time = 3
    made.options.default_shots = 10_000  # 4.5 s
    job = made.run([bell])
    with pytest.raises(RuntimeJobMaxTimeoutError, match="1305"):
        job.result()
    assert job.status() == "ERROR"
    assert job.usage() == 3


def test_limits_at_creation(
    client: QiskitRuntimeService,
    open_client: QiskitRuntimeService,
    service: Service,
    bell: QuantumCircuit,
) -> None:
    made = sampler(client.backend("ibm_torino"))
    made.options.default_shots = 10_000_001
    with pytest.raises(IBMRuntimeError, match="10000001 executions"):
        made.run([bell])
    service.configure(consumed=600.0)
    with (
        pytest.warns(UserWarning, match="usage limit"),
        pytest.raises(IBMRuntimeError, match="409"),
    ):
        sampler(open_client.backend("ibm_torino")).run([bell])
    service.configure(consumed=0.0)
    made.options.default_shots = 10
    made.run([bell])
    service.configure(rate_limit=1)
    with pytest.raises(IBMRuntimeError, match="429"):
        made.run([bell])
    service.configure(rate_limit=10_000)
    made.run([bell])


def test_batch_and_session(
    client: QiskitRuntimeService, service: Service, bell: QuantumCircuit
) -> None:
    backend = client.backend("ibm_torino")
    used = {}
    for mode in (Batch, Session):
        with mode(backend, max_time="25m") as opened:
            assert opened.status() == "Pending"
            jobs = [sampler(opened).run([bell]) for _ in range(2)]
            for job in jobs:
                job.result()
            assert "accepting new jobs" in opened.status()
            assert jobs[0].session_id == opened.session_id
            assert len(client.jobs(session_id=opened.session_id)) == 2
        details = opened.details()
        assert opened.status() == "Closed"
        assert details["max_time"] == 1500
        used[mode] = opened.usage() - sum(job.usage() for job in jobs)
        with pytest.raises(IBMRuntimeError, match="closed"):
            sampler(opened).run([bell])
        assert mode.from_id(opened.session_id, client).session_id == opened.session_id
    assert used[Batch] == pytest.approx(0.0)
    assert 0.0 < used[Session] < 10.0  # idle time counts


def test_workloads_are_listed(client: QiskitRuntimeService, service: Service) -> None:
    batch = Batch(client.backend("ibm_torino"))
    session = Session(client.backend("ibm_torino"))
    before = datetime.now(UTC)
    adapter = client._get_api_client()._api  # noqa: SLF001 - the service class has no such list
    listed = adapter.workloads_get(user="me", limit=2, created_before=before)["workloads"]
    assert [(w["id"], w["mode"]) for w in listed] == [
        (session.session_id, "session"),
        (batch.session_id, "batch"),
    ]
    batch.close()
    (found,) = adapter.workloads_get(mode="batch", limit=1)["workloads"]
    assert (found["id"], found["accepting_jobs"]) == (batch.session_id, False)
    assert adapter.workloads_get(created_after=before)["workloads"] == []
    session.close()


def test_session_states(client: QiskitRuntimeService, service: Service) -> None:
    backend = client.backend("ibm_torino")
    cancelled = Batch(backend)
    service.hold()
    circuit = QuantumCircuit(backend.num_qubits, 1)
    circuit.measure(0, 0)
    job = sampler(cancelled).run([circuit])
    cancelled.cancel()
    assert job.status() == "ERROR"
    assert job.usage() == 0
    service.hold(False)
    service.configure(interactive_ttl=0.1)
    session = Session(backend)
    sampler(session).run([circuit]).result(poll_interval=0.2)
    while session.status() == "In progress, accepting new jobs":
        pass
    assert session.details()["state"] == "inactive"
    session.close()
    assert session.status() == "Closed"


def test_the_open_plan_has_no_sessions(
    open_client: QiskitRuntimeService, bell: QuantumCircuit
) -> None:
    backend = open_client.backend("ibm_torino")
    with pytest.raises(Exception, match="1352"):
        Session(backend)
    with Batch(backend) as batch:
        assert sampler(batch).run([bell]).result() is not None


def test_dry_run_on_the_mock_device(client: QiskitRuntimeService, bell: QuantumCircuit) -> None:
    made = sampler(client.backend("ibm_torino"))
    job = made.run([bell], dry_run=True)
    assert job.result()[0].data.meas.num_shots == 100
    assert job.usage() == 0
    assert job.usage_estimation["quantum_seconds"] > 2.0
