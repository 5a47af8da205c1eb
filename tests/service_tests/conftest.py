"""One running service for all tests of it, set back before each, and programs to send."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qiskit import QuantumCircuit, transpile
from qiskit.circuit import ParameterVector
from qiskit_ibm_runtime import QiskitRuntimeService
from service.handle import Service, start_service

DEFAULTS: dict[str, Any] = {
    "noiseless": False,
    "queue_delay": 0.0,
    "run_delay": 0.0,
    "billing_delay": 0.0,
    "rate_limit": 0,
    "max_executions": 10_000_000,
    "subjob_executions": 0,
    "interactive_ttl": 60.0,
    "consumed": 0.0,
    "allowance": None,
    "token_ttl": 3600.0,
    "offline": [],
    "retired": [],
    "faulty": {},
    "bill_factor": 1.0,
    "bill_surcharge": 0.0,
    "max_bytes": 0,
    "queues": {},
}


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The service, started once."""
    with start_service(tmp_path_factory.mktemp("store"), plan=["premium", "open"]) as service:
        service.wait_ready()
        yield service


@pytest.fixture
def service(running: Service, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """The service without faults, the environment pointing at it."""
    for name, value in running.environment.items():
        monkeypatch.setenv(name, value)
    logging.getLogger("qiskit_ibm_runtime").setLevel(logging.ERROR)
    running.clear()
    running.configure(**DEFAULTS)
    running.forget()
    running.begin_period()
    yield running
    running.clear()
    running.configure(**DEFAULTS)  # fixtures of modules may use the service before the next test
    running.wait_idle()


@pytest.fixture
def client(service: Service) -> QiskitRuntimeService:
    """The unmodified client."""
    return QiskitRuntimeService()


@pytest.fixture
def open_client(service: Service) -> QiskitRuntimeService:
    """The client on the instance of the Open plan."""
    return QiskitRuntimeService(instance="loopback-open")


@pytest.fixture(scope="session")
def ring() -> QuantumCircuit:
    """A 4-qubit ring with an angle per qubit, not measured."""
    x = ParameterVector("x", 4)
    circuit = QuantumCircuit(4)
    for qubit in range(4):
        circuit.ry(2 * x[qubit] + 0.1, qubit)
    for qubit in range(4):
        circuit.cx(qubit, (qubit + 1) % 4)
    return circuit


@pytest.fixture(scope="session")
def compiled(ring: QuantumCircuit) -> Callable[..., QuantumCircuit]:
    """The ring compiled to a device, with measurements of its qubits or without."""

    def make(backend: Any, *, measured: bool = True) -> QuantumCircuit:
        circuit = ring.measure_all(inplace=False) if measured else ring
        return transpile(circuit, backend, optimization_level=1, seed_transpiler=1)

    return make


@pytest.fixture(scope="session")
def angles() -> np.ndarray:
    """Three parameter sets, shape (3, 4)."""
    return np.random.default_rng(5).uniform(-1.5, 1.5, (3, 4))


@pytest.fixture
def bell(client: QiskitRuntimeService) -> QuantumCircuit:
    """A small measured circuit for ibm_torino."""
    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.measure_all()
    return transpile(circuit, client.backend("ibm_torino"), seed_transpiler=1)


@pytest.fixture
def profile(tmp_path: Path) -> Callable[..., str]:
    """Write a profile; its path."""

    def write(mode: str = "batch", shots: int = 32) -> str:
        path = tmp_path / f"{mode}.toml"
        path.write_text(f'kind = "ibm"\ndevice = "ibm_torino"\nmode = "{mode}"\nshots = {shots}\n')
        return str(path)

    return write
