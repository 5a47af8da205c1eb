"""The service as a process: by hand, ended, and what it leaves on disk."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from qiskit import QuantumCircuit
from qiskit_ibm_runtime import QiskitRuntimeService
from qiskit_ibm_runtime.executor_sampler import Sampler
from service.faults import FaultBook
from service.handle import Service, start_service


def test_started_by_hand_and_ended_by_a_signal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-m", "tests.service", "--store", str(tmp_path), "--plan", "open"]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        for name, value in told["environment"].items():
            monkeypatch.setenv(name, value)
        client = QiskitRuntimeService()
        assert [entry["plan"] for entry in client.instances()] == ["open"]
        assert client.usage()["usage_remaining_seconds"] == 600.0
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=5) == 0


def test_a_taken_port_is_told(service: Service, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="did not start"):
        start_service(tmp_path, port=service.port)


def test_no_token_on_disk(
    service: Service, client: QiskitRuntimeService, bell: QuantumCircuit
) -> None:
    Sampler(client.backend("ibm_torino")).run([bell], shots=10).result(poll_interval=0.1)
    token = service.environment["QISKIT_IBM_TOKEN"].encode()
    files = [path for path in service.store.rglob("*") if path.is_file()]
    assert files
    assert not any(token in path.read_bytes() for path in files)
    assert not any(path.suffix == ".tmp" for path in files)
    for path in files:
        json.loads(path.read_bytes())


@pytest.mark.parametrize(
    ("pattern", "call", "matches"),
    [
        ("POST /jobs", "POST /jobs", True),
        ("POST /jobs", "POST /jobs/1/cancel", False),
        ("GET /jobs/*", "GET /jobs/1", True),
        ("GET /jobs/*", "GET /jobs/1/results", False),
        ("GET /jobs/*/results", "GET /jobs/1/results", True),
        ("GET /jobs/**", "GET /jobs/1/results", True),
        ("GET /jobs", "GET /jobs/1", False),
        ("**", "DELETE /sessions/1/close", True),
    ],
)
def test_patterns_of_calls(pattern: str, call: str, matches: bool) -> None:
    book = FaultBook()
    assert book.add("drop", {"call": pattern}).matches(call) is matches
    assert (book.take(call, "drop") is not None) is matches
