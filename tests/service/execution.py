"""Execute a program: bits from Aer with the device's noise, as the client wants to read them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import prod
from typing import Any

import numpy as np
from ibm_quantum_schemas.common import CompressedTensorModel
from ibm_quantum_schemas.executor.version_2_0.models import (
    ChunkPart,
    ChunkSpan,
    ItemMetadataModel,
    MetadataModel,
    QuantumProgramResultItemModel,
    QuantumProgramResultModel,
    SchedulerTimingModel,
)
from qiskit import QuantumCircuit
from qiskit_ibm_runtime.fake_provider.executor.broadcast_sample import broadcast_sample
from samplomatic.quantum_program import SamplexItem

from . import apart, hardware, wires
from .analysis import Analysis
from .components import MAX_STATE_QUBITS, split
from .devices import Device
from .schedule import scheduled
from .simulation import simulate


@dataclass(frozen=True)
class Noise:
    """What goes wrong on a device."""

    gates: bool = True
    """Gates, readout and everything else; none of it if not."""
    waits: bool = True
    """Qubits decay while they wait, too."""


def execute(analysis: Analysis, device: Device, started: float, noise: Noise) -> bytes:
    """The answer to a program, as JSON of a `QuantumProgramResultModel`."""
    program, seeds = analysis.program, np.random.SeedSequence(analysis.seed)
    data = [
        _item(item, program.shots, device, seed, noise)
        for item, seed in zip(program.items, seeds.spawn(len(program.items)), strict=True)
    ]
    timing = analysis.model.options.scheduler_timing
    dt = hardware.target(device).dt or 1e-9
    results = [
        QuantumProgramResultItemModel(
            results={name: CompressedTensorModel.from_numpy(array) for name, array in one.items()},
            metadata=ItemMetadataModel(
                scheduler_timing=SchedulerTimingModel(
                    timing="", circuit_duration=round(length / dt)
                )
                if timing
                else None
            ),
        )
        for one, length in zip(data, analysis.durations, strict=True)
    ]
    model = analysis.model.quantum_program
    return (
        QuantumProgramResultModel(
            data=results,
            metadata=MetadataModel(chunk_timing=[_span(analysis, started)]),
            passthrough_data=model.passthrough_data,
            semantic_role=model.semantic_role,
        )
        .model_dump_json()
        .encode()
    )


def _span(analysis: Analysis, started: float) -> ChunkSpan:
    start = datetime.fromtimestamp(started, UTC)
    parts = [
        ChunkPart(
            idx_item=index,
            size=item.size(),
            permutation=list(range(len(item.shape))),
            element_range=(0, item.size(), 1),
        )
        for index, item in enumerate(analysis.program.items)
    ]
    return ChunkSpan(start=start, stop=start + timedelta(seconds=analysis.usage), parts=parts)


def _item(
    item: Any, shots: int, device: Device, seed: np.random.SeedSequence, noise: Noise
) -> dict[str, np.ndarray]:
    """Results of one item: registers of shape (*shape, shots, size), and what a samplex drew."""
    drawing, measuring = seed.spawn(2)
    drawn: dict[str, np.ndarray] = {}
    if isinstance(item, SamplexItem):
        rng = np.random.default_rng(drawing)
        drawn = broadcast_sample(item.samplex, item.samplex_arguments, item.shape, rng)
        arguments = drawn.pop("parameter_values", np.zeros((*item.shape, 0)))
    else:
        arguments = item.circuit_arguments
    table = np.asarray(arguments, float).reshape(prod(item.shape), item.circuit.num_parameters)
    if device.mock:
        rng = np.random.default_rng(measuring)
        size = (len(table), shots, item.circuit.num_clbits)
        bits = rng.integers(0, 2, size, dtype=np.uint8).astype(bool)
    else:
        bits = sample(item.circuit, table, shots, device, measuring, noise)
    for register in item.circuit.cregs:
        columns = [item.circuit.find_bit(bit).index for bit in register]
        drawn[register.name] = bits[..., columns].reshape(*item.shape, shots, register.size)
    return drawn


def sample(
    circuit: QuantumCircuit,
    table: np.ndarray,
    shots: int,
    device: Device,
    seed: np.random.SeedSequence,
    noise: Noise,
) -> np.ndarray:
    """Bits of a circuit for each parameter set, shape (P, shots, bits); unmeasured ones are 0."""
    bits = np.zeros((len(table), shots, circuit.num_clbits), bool)
    noiseless = not noise.gates
    if noise.gates and noise.waits:
        circuit = scheduled(circuit, hardware.target(device))
    components = split(circuit, table)
    for component, own in zip(components, seed.spawn(len(components)), strict=True):
        rng = np.random.default_rng(own)
        if wires.simple(component):
            ones = wires.read_one(component, device, len(table), noiseless)
            drawn = rng.random((len(table), shots), np.float32)
            bits[:, :, component.clbits[0]] = drawn < ones[:, None]
        else:
            run = simulate if len(component.qubits) <= MAX_STATE_QUBITS else apart.simulate
            measured = run(component, device, noiseless, rng, len(table), shots)
            bits[:, :, list(component.clbits)] = measured
    return bits
