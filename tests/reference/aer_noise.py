"""Aer's own answers under the noise of a region: the slow twins of the noisy engine."""

from __future__ import annotations

import numpy as np
from qiskit.circuit import QuantumCircuit
from qiskit.quantum_info import SparsePauliOp
from qiskit_aer.noise import NoiseModel
from qiskit_aer.primitives import EstimatorV2

from qvit_qiskit.devices.regions import Region, TargetDevice

from . import qiskit_schedule


def estimator(region: Region) -> EstimatorV2:
    """Density matrices; readout errors are left out by Aer's estimator."""
    noise = NoiseModel.from_backend(TargetDevice(region.target))
    backend = {"method": "density_matrix", "noise_model": noise}
    return EstimatorV2(options={"default_precision": 0.0, "backend_options": backend})


def laid_out(region: Region, observables: list[SparsePauliOp]) -> list[list[SparsePauliOp]]:
    """Logical observables on the wires of a region, one to a line of a PUB."""
    return [[o.apply_layout(list(region.outputs), len(region.qubits))] for o in observables]


def with_delays(region: Region) -> QuantumCircuit:
    """The circuit of a region, measured; its waits are delays, by Qiskit's own schedule."""
    measured = region.measured()
    return measured if region.waits is None else qiskit_schedule.padded(measured, region.target)


def values(
    region: Region, circuit: QuantumCircuit, observables: list[SparsePauliOp], rows: np.ndarray
) -> np.ndarray:
    """Expectation values (K, R) of a logical circuit's rows, given in its parameters' order.

    Aer relaxes the qubits of delays.
    """
    order = [list(circuit.parameters).index(p) for p in region.circuit.parameters]
    prepared = with_delays(region).remove_final_measurements(inplace=False)
    pub = (prepared, laid_out(region, observables), rows[:, order])
    return np.asarray(estimator(region).run([pub]).result()[0].data.evs)
