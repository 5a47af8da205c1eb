"""What the service computes: against Aer, against the formula, against itself."""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qiskit import QuantumCircuit, transpile
from qiskit.circuit import Parameter
from qiskit.quantum_info import SparsePauliOp, Statevector, SuperOp, average_gate_fidelity
from qiskit_aer import AerSimulator
from qiskit_aer.noise import (
    NoiseModel,
    QuantumError,
    depolarizing_error,
    thermal_relaxation_error,
)
from qiskit_ibm_runtime import Executor, QiskitRuntimeService, QuantumProgram
from qiskit_ibm_runtime.exceptions import RuntimeJobFailureError
from qiskit_ibm_runtime.executor_estimator import Estimator
from qiskit_ibm_runtime.executor_sampler import Sampler
from service import hardware
from service.components import split
from service.devices import Device
from service.handle import Service, start_service
from service.wires import read_one

Compiled = Callable[..., QuantumCircuit]
SHOTS = 4096
SIGMAS = 5.0
"""All comparisons hold within five standard errors of the difference."""
PAULIS = ("IIIZ", "IIZI", "IZII", "ZIII")


def signs(bits: np.ndarray) -> np.ndarray:
    """<Z> of every bit from bits of shape (..., shots, 4)."""
    return 1 - 2 * bits.mean(axis=-2)


def gate_noise(properties: Any, name: str, qubits: tuple[int, ...]) -> QuantumError:
    """Relaxation during a gate, and depolarising for what is left of its reported error."""
    length = properties.gate_length(name, qubits)
    relax = None
    for qubit in qubits:
        t1, t2 = properties.t1(qubit), properties.t2(qubit)
        one = thermal_relaxation_error(t1, min(t2, 2 * t1), length)
        relax = one if relax is None else one.tensor(relax)
    dim = 2 ** len(qubits)
    fidelity = average_gate_fidelity(SuperOp(relax))
    left = properties.gate_error(name, qubits) - (1 - fidelity)
    if left <= 0:
        return relax
    return depolarizing_error(dim * left / (dim * fidelity - 1), len(qubits)).compose(relax)


def by_aer(properties: Any, circuit: QuantumCircuit, table: np.ndarray, *, readout: bool) -> Any:
    """<Z> of four measured qubits of a noisy device, shape (P, 4), with our own noise model."""
    noise = NoiseModel()
    for item in circuit.data:
        name = item.operation.name
        qubits = tuple(circuit.find_bit(qubit).index for qubit in item.qubits)
        if name == "measure" and readout:
            known = properties.qubit_property(qubits[0])
            p01, p10 = known["prob_meas1_prep0"][0], known["prob_meas0_prep1"][0]
            noise.add_readout_error([[1 - p01, p01], [p10, 1 - p10]], qubits)
        elif name in ("sx", "x", "cz") and qubits not in noise._local_quantum_errors.get(name, {}):  # noqa: SLF001 - Aer tells its noise nowhere else
            noise.add_quantum_error(gate_noise(properties, name, qubits), name, qubits)
    simulator = AerSimulator(noise_model=noise, max_parallel_threads=1)
    bound = [circuit.assign_parameters(row) for row in table]
    result = simulator.run(bound, shots=SHOTS, seed_simulator=11).result()
    values = []
    for index in range(len(bound)):
        z = np.zeros(4)
        for key, count in result.get_counts(index).items():
            z += count * np.array([1 - 2 * int(bit) for bit in reversed(key)])
        values.append(z / SHOTS)
    return np.array(values)


@pytest.mark.parametrize("name", ["ibm_torino", "ibm_boston"])
def test_sampler_equals_aer(
    client: QiskitRuntimeService, compiled: Compiled, angles: np.ndarray, name: str
) -> None:
    backend = client.backend(name)
    circuit = compiled(backend)
    job = Sampler(backend).run([(circuit, angles)], shots=SHOTS)
    bits = job.result(poll_interval=0.1)[0].data.meas.to_bool_array(order="little")
    expected = by_aer(backend.properties(), circuit, angles, readout=True)
    error = np.sqrt(2 * (1 - expected**2).clip(0.01) / SHOTS)
    assert np.all(np.abs(signs(bits) - expected) < SIGMAS * error)


def test_sampler_with_twirled_measurement_and_decoupling(
    client: QiskitRuntimeService, compiled: Compiled, angles: np.ndarray
) -> None:
    backend = client.backend("ibm_boston")
    sampler = Sampler(backend)
    sampler.options.twirling.enable_gates = True
    sampler.options.twirling.enable_measure = True
    sampler.options.dynamical_decoupling.enable = True
    circuit = compiled(backend)
    job = sampler.run([(circuit, angles)], shots=SHOTS)
    bits = job.result(poll_interval=0.1)[0].data.meas.to_bool_array(order="little")
    expected = by_aer(backend.properties(), circuit, angles, readout=True)
    # decoupling idles on the schedule and so decays, and twirling evens out readout errors:
    # both are below 3 % here
    assert np.all(np.abs(signs(bits) - expected) < 0.03 + SIGMAS * np.sqrt(2 / SHOTS))


def test_executor_with_and_without_parameters(
    client: QiskitRuntimeService,
    service: Service,
    ring: QuantumCircuit,
    compiled: Compiled,
    angles: np.ndarray,
) -> None:
    service.configure(noiseless=True)
    backend = client.backend("ibm_fez")
    circuit = compiled(backend)
    program = QuantumProgram(shots=SHOTS, passthrough_data={"mine": [1, "two"]})
    program.append_circuit_item(circuit, circuit_arguments=angles.reshape(3, 1, 4))
    program.append_circuit_item(circuit.assign_parameters(angles[0]))
    executor = Executor(backend)
    executor.options.execution.scheduler_timing = True
    result = executor.run(program).result(poll_interval=0.1)
    assert result.passthrough_data == {"mine": [1, "two"]}
    assert result[0]["meas"].shape == (3, 1, SHOTS, 4)
    assert result[1]["meas"].shape == (SHOTS, 4)
    assert result[0].metadata.scheduler_timing.circuit_duration > 0
    ideal = exact(ring, angles)
    assert np.abs(signs(result[0]["meas"])[:, 0] - ideal).max() < SIGMAS / np.sqrt(SHOTS)
    assert np.abs(signs(result[1]["meas"]) - ideal[0]).max() < SIGMAS / np.sqrt(SHOTS)


def exact(ring: QuantumCircuit, table: np.ndarray) -> np.ndarray:
    """Noiseless <Z> of the ring, shape (P, 4)."""
    states = [Statevector(ring.assign_parameters(row)) for row in table]
    return np.array([[s.expectation_value(SparsePauliOp(p)).real for p in PAULIS] for s in states])


@pytest.mark.parametrize("level", [0, 1])
def test_estimator_equals_aer(
    client: QiskitRuntimeService, compiled: Compiled, angles: np.ndarray, level: int
) -> None:
    backend = client.backend("ibm_torino")
    circuit = compiled(backend, measured=False)
    observables = [[SparsePauliOp(pauli).apply_layout(circuit.layout)] for pauli in PAULIS]
    estimator = Estimator(backend)
    estimator.options.resilience_level = level
    job = estimator.run([(circuit, observables, angles)], precision=1 / 64)
    data = job.result(poll_interval=0.1)[0].data
    expected = by_aer(backend.properties(), compiled(backend), angles, readout=level == 0).T
    error = np.sqrt(data.ensemble_standard_error**2 + 1 / SHOTS)
    assert data.evs.shape == (4, 3)
    assert np.all(np.abs(data.evs - expected) < SIGMAS * error)


def test_idle_qubits_show_their_own_readout_error(client: QiskitRuntimeService) -> None:
    backend = client.backend("ibm_torino")
    circuit = QuantumCircuit(backend.num_qubits, backend.num_qubits)
    circuit.x(range(0, 133, 2))
    circuit.measure(range(133), range(133))
    result = Sampler(backend).run([circuit], shots=SHOTS).result(poll_interval=0.1)
    ones = result[0].data.c.to_bool_array(order="little").mean(axis=-2)
    properties = backend.properties()
    for qubit in range(133):
        known = properties.qubit_property(qubit)
        p01, p10 = known["prob_meas1_prep0"][0], known["prob_meas0_prep1"][0]
        expected = p01 if qubit % 2 else 1 - p10
        allowed = SIGMAS * np.sqrt(max(expected * (1 - expected), 1e-3) / SHOTS)
        allowed += 0.0 if qubit % 2 else properties.gate_error("x", qubit)
        assert abs(ones[qubit] - expected) < allowed


def test_single_qubits_are_as_noisy_as_in_aer() -> None:
    device, theta = Device("torino"), Parameter("theta")
    circuit = QuantumCircuit(133, 1)
    for gate in ("sx", "x", "sx"):
        getattr(circuit, gate)(7)
        circuit.rz(theta, 7)
    circuit.sx(7)
    circuit.measure(7, 0)
    table = np.array([[0.3], [1.2]])
    (component,) = split(circuit, table)
    ones = read_one(component, device, 2, False)
    entry = hardware.measurement(device, 7, None)
    simulator = hardware.simulator(device, (7,), False)
    for row, value in enumerate(table[:, 0]):
        bound = component.circuit.assign_parameters([value])
        bound.remove_final_measurements()
        bound.save_density_matrix()
        state = simulator.run(bound, method="density_matrix").result().data()["density_matrix"]
        one = state.data[1, 1].real
        read = one * (1 - entry.prob_meas0_prep1) + (1 - one) * entry.prob_meas1_prep0
        assert ones[row] == pytest.approx(read, abs=1e-6)


def test_usage_is_the_documented_formula(
    client: QiskitRuntimeService, compiled: Compiled, angles: np.ndarray, service: Service
) -> None:
    backend = client.backend("ibm_boston")
    circuit = compiled(backend)
    sampler = Sampler(backend)
    executions = 3 * 1000
    length = circuit.estimate_duration(backend.target)
    usages = []
    for delay, size in ((None, 0), (1e-3, 0), (None, 1000)):
        service.configure(subjob_executions=size)
        sampler.options.execution.rep_delay = delay
        job = sampler.run([(circuit, angles)], shots=1000)
        job.result(poll_interval=0.1)
        usages.append(job.usage())
        row = next(row for row in service.executed() if row["id"] == job.job_id())
        assert row["executions"] == job.metrics()["executions"] == executions
        assert row["charged"] == job.usage()
    assert usages[0] == pytest.approx(2 + executions * (250e-6 + length))
    assert usages[1] == pytest.approx(2 + executions * (1e-3 + length))
    assert usages[2] == pytest.approx(3 * 2 + executions * (250e-6 + length))


def test_mitigation_is_counted(
    client: QiskitRuntimeService, compiled: Compiled, angles: np.ndarray, service: Service
) -> None:
    backend = client.backend("ibm_torino")
    circuit = compiled(backend, measured=False)
    observable = SparsePauliOp("ZIII").apply_layout(circuit.layout)
    estimator = Estimator(backend)
    estimator.options.resilience_level = 1
    job = estimator.run([(circuit, observable, angles)], precision=1 / 16)
    job.result(poll_interval=0.1)
    row = next(row for row in service.executed() if row["id"] == job.job_id())
    assert row["executions"] == (3 + 1) * 256  # three rows and the readout calibration


def test_instance_usage_adds_up(
    client: QiskitRuntimeService, bell: QuantumCircuit, service: Service
) -> None:
    before = client.usage()["usage_consumed_seconds"]
    job = Sampler(client.backend("ibm_torino")).run([bell], shots=10)
    job.result(poll_interval=0.1)
    after = client.usage()["usage_consumed_seconds"]
    assert after - before == pytest.approx(job.usage())


def test_unknown_gates_are_refused_with_a_reason(client: QiskitRuntimeService) -> None:
    backend = client.backend("ibm_torino")
    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.measure_all()
    job = Sampler(backend).run([circuit], shots=10)
    with pytest.raises(RuntimeJobFailureError, match="instruction h on qubits"):
        job.result(poll_interval=0.1)
    assert job.usage() == 0


SEND = """
import numpy as np
from qiskit import QuantumCircuit, transpile
from qiskit.circuit import ParameterVector
from qiskit.quantum_info import SparsePauliOp
from qiskit_ibm_runtime import QiskitRuntimeService
from qiskit_ibm_runtime.executor_estimator import Estimator

backend = QiskitRuntimeService().backend("ibm_torino")
x = ParameterVector("x", 2)
circuit = QuantumCircuit(2)
circuit.ry(x[0] + 0.1, 0)
circuit.ry(x[1], 1)
circuit.cx(0, 1)
isa = transpile(circuit, backend, optimization_level=1, seed_transpiler=1)
observable = SparsePauliOp("ZZ").apply_layout(isa.layout)
estimator = Estimator(backend)
estimator.options.resilience_level = 1
table = np.array([[0.1, 0.2], [0.3, 0.4]])
values = estimator.run([(isa, observable, table)], precision=1 / 16).result()[0].data.evs.tolist()
print(values)
"""


def test_the_same_program_gives_the_same_bits_in_another_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twirled, built by two processes with other hash seeds, sent before and after a restart."""
    script = tmp_path / "send.py"
    script.write_text(SEND)
    with start_service(tmp_path / "store", devices="fake_torino") as own:
        for name, value in own.environment.items():
            monkeypatch.setenv(name, value)
        first = runpy.run_path(str(script))["values"]
        own.kill()
        own.restart()
        environment = os.environ | {"PYTHONHASHSEED": "7", "OMP_NUM_THREADS": "1"}
        command = [sys.executable, str(script)]
        told = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        assert len({row["program"] for row in own.executed()}) == 1
        assert len(own.executed()) == 2
    assert first == json.loads(told.stdout)


def test_packed_copies_are_simulated_apart(client: QiskitRuntimeService, service: Service) -> None:
    """Ten pairs on one device: pieces of two qubits each, not one of twenty."""
    service.configure(noiseless=True)
    backend = client.backend("ibm_fez")
    circuit = QuantumCircuit(20)
    for first in range(0, 20, 2):
        circuit.h(first)
        circuit.cx(first, first + 1)
    circuit.measure_all()
    isa = transpile(circuit, backend, optimization_level=1, seed_transpiler=1)
    data = Sampler(backend).run([isa], shots=200).result(poll_interval=0.1)[0].data
    bits = data.meas.to_bool_array(order="little")
    assert np.array_equal(bits[:, ::2], bits[:, 1::2])
    assert len({tuple(row) for row in bits[:, ::2]}) > 150
