"""What a job's parameters mean: the program, its identity, its size and its price."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from ibm_quantum_schemas.executor.version_2_0 import ParamsModel
from qiskit import QuantumCircuit, qpy
from qiskit.exceptions import QiskitError
from qiskit_ibm_runtime.options_models.executor import ExecutorOptions
from qiskit_ibm_runtime.quantum_program import QuantumProgram
from qiskit_ibm_runtime.quantum_program.converters import quantum_program_from_2_0
from samplomatic.quantum_program import SamplexItem

from . import billing, hardware
from .devices import Device
from .settings import Settings


class Unacceptable(Exception):
    """A program that this service cannot read or run."""


@dataclass(frozen=True)
class Analysis:
    """A decoded job."""

    program: QuantumProgram
    model: ParamsModel
    key: str
    """Hash of what is executed: equal programs have equal keys in every process."""
    executions: int
    durations: list[float]
    """Seconds of each item's circuit."""
    usage: float
    """QPU seconds."""

    @property
    def seed(self) -> int:
        """Where all randomness of this job comes from."""
        return int(self.key[:16], 16)


def analyse(body: bytes, device: Device, settings: Settings) -> Analysis:
    """Decode a job's parameters with the client's own converters.

    Raises:
        Unacceptable: If they are no program for this device.
    """
    try:
        model = ParamsModel.model_validate_json(body)
        program, options = quantum_program_from_2_0(model)
    except (ValueError, TypeError, QiskitError) as error:
        raise Unacceptable(f"The program cannot be decoded: {error}") from error
    for item in program.items:
        if isinstance(item, SamplexItem):
            item.samplex.finalize()
        _check(item.circuit, device)
    target = hardware.target(device)
    durations = [duration(item.circuit, target) for item in program.items]
    counts = [item.size() * program.shots for item in program.items]
    delay = options.execution.rep_delay
    rep_delay = device.rep_delay if delay is None else delay
    usage = billing.usage(settings, zip(counts, durations, strict=True), rep_delay)
    key = identity(program, options, device.name)
    return Analysis(program, model, key, sum(counts), durations, usage)


def duration(circuit: QuantumCircuit, target: Any) -> float:
    """Seconds of the longest path through a circuit, delays and measurements included."""
    try:
        return float(circuit.estimate_duration(target))
    except QiskitError:
        return 0.0


def identity(program: QuantumProgram, options: ExecutorOptions, device: str) -> str:
    """Hash of a program by its content.

    What differs between processes that built the same program is left out: the UUIDs of
    parameters, names of circuits, counters in the names of basis changes, and what is only
    passed through.
    """
    digest = hashlib.sha256()

    def feed(*values: Any) -> None:
        digest.update(json.dumps(values, default=str).encode())

    feed(device, program.shots, program.meas_level, options.execution.rep_delay)
    feed(options.execution.init_qubits)
    for item in program.items:
        feed(_circuit(item.circuit), item.shape)
        if isinstance(item, SamplexItem):
            names: dict[str, str] = {}
            feed(_samplex(item.samplex, names))
            for name, value in sorted(item.samplex_arguments.items()):
                feed(_renamed(name, names))
                _feed_value(digest, value)
        else:
            _feed_value(digest, item.circuit_arguments)
    return digest.hexdigest()


def _check(circuit: QuantumCircuit, device: Device) -> None:
    if circuit.num_qubits > device.num_qubits:
        raise Unacceptable(f"The circuit has more than the {device.num_qubits} qubits.")
    if circuit.has_control_flow_op():
        raise Unacceptable("Dynamic circuits are not part of this loopback service.")
    target = hardware.target(device)
    for item in circuit.data:
        name = item.operation.name
        wires = tuple(circuit.find_bit(qubit).index for qubit in item.qubits)
        if name != "barrier" and not target.instruction_supported(name, wires):
            raise Unacceptable(f"The instruction {name} on qubits {wires} is not supported.")


def _feed_value(digest: Any, value: Any) -> None:
    if isinstance(value, np.ndarray):
        digest.update(f"{value.dtype}{value.shape}".encode())
        digest.update(np.ascontiguousarray(value).tobytes())
    elif hasattr(value, "to_sparse_list"):
        digest.update(str(value.to_sparse_list()).encode())
    else:
        digest.update(repr(value).encode())


def _circuit(circuit: QuantumCircuit) -> list[Any]:
    places = {bit: index for index, bit in enumerate([*circuit.qubits, *circuit.clbits])}
    lines: list[Any] = [[register.name, register.size] for register in circuit.cregs]
    for item in circuit.data:
        operation = item.operation
        wires = [places[bit] for bit in (*item.qubits, *item.clbits)]
        lines.append([operation.name, wires, [str(p) for p in operation.params]])
    return lines


def _samplex(samplex: Any, names: dict[str, str]) -> str:
    """A samplex as JSON, with its table of expressions by content."""
    from ibm_quantum_schemas.common import SamplexModel

    graph = json.loads(SamplexModel.from_samplex(samplex, ssv=4).samplex_json)
    table = json.loads(graph["attrs"].pop("param_table"))
    circuits = qpy.load(io.BytesIO(base64.b64decode(table["circuit_base64"])))
    graph["table"] = [str(p) for c in circuits for item in c.data for p in item.operation.params]
    return _renamed(json.dumps(graph, sort_keys=True), names)


def _renamed(text: str, names: dict[str, str]) -> str:
    """Basis changes named by order of appearance; the client counts them per process."""

    def rename(match: re.Match[str]) -> str:
        return names.setdefault(match[0], f"basis-{len(names)}")

    return re.sub(r"\bbasis\d+\b", rename, text)
