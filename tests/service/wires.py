"""Single qubits, exactly: a density matrix per parameter set, all sets at once.

The client's Estimator measures every qubit of a device. Those that no two-qubit gate touches
need no simulator: a few 4x4 matrices give the probability of reading 1.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from qiskit.circuit import Parameter

from .components import Component
from .devices import Device
from .hardware import measurement, target

GATES = {
    "x": np.array([[0, 1], [1, 0]], complex),
    "sx": np.array([[1 + 1j, 1 - 1j], [1 - 1j, 1 + 1j]]) / 2,
    "id": np.eye(2, dtype=complex),
}


def simple(component: Component) -> bool:
    """Whether a component is one qubit that is rotated, then measured once."""
    names = [item.operation.name for item in component.circuit.data]
    return (
        len(component.qubits) == 1
        and names.count("measure") == 1
        and names[-1] == "measure"
        and set(names[:-1]) <= {*GATES, "rz", "delay"}
    )


def read_one(component: Component, device: Device, sets: int, noiseless: bool) -> np.ndarray:
    """Probability of reading 1 for each parameter set, shape (P,)."""
    qubit = component.qubits[0]
    state = np.zeros((sets, 4), complex)  # columns of the density matrix, one after another
    state[:, 0] = 1
    for item in component.circuit.data[:-1]:
        name = item.operation.name
        if name == "delay":
            if not noiseless:
                state = state @ _relaxed(device, qubit, item.operation.duration).T
            continue
        if name != "rz":
            state = state @ _gate(device, qubit, name, noiseless).T
            continue
        angle = item.operation.params[0]
        theta = component.values[angle] if isinstance(angle, Parameter) else float(angle)
        phase = np.exp(1j * np.asarray(theta))
        state[:, 1] *= phase  # |1><0|
        state[:, 2] *= phase.conj()
    ones = np.clip(state[:, 3].real, 0.0, 1.0)
    p01, p10 = _readout(device, qubit, noiseless)
    return ones * (1 - p10) + (1 - ones) * p01


@lru_cache(maxsize=4096)
def _gate(device: Device, qubit: int, name: str, noiseless: bool) -> np.ndarray:
    """A gate as a 4x4 matrix on column-stacked density matrices.

    As in Aer's device models: relaxation for the length of the gate, then as much depolarising
    as its reported error leaves.
    """
    ideal = np.kron(GATES[name].conj(), GATES[name])
    entry = target(device)[name][(qubit,)]
    known = target(device).qubit_properties[qubit]
    if noiseless or entry.duration is None or known.t1 is None:
        return ideal
    down = np.exp(-entry.duration / known.t1)
    dephase = np.exp(-entry.duration / min(known.t2 or known.t1, 2 * known.t1))
    relax = np.diag([1.0, dephase, dephase, down])
    relax[0, 3] = 1 - down
    fidelity = 1 / 2 + down / 6 + dephase / 3
    left = max(0.0, (entry.error or 0.0) - (1 - fidelity)) * 2 / (2 * fidelity - 1)
    mixed = np.zeros((4, 4))
    mixed[np.ix_([0, 3], [0, 3])] = 1 / 2
    return ((1 - left) * np.eye(4) + left * mixed) @ relax @ ideal


def _relaxed(device: Device, qubit: int, cycles: int) -> np.ndarray:
    """A delay in cycles of the clock as a 4x4 matrix on column-stacked density matrices."""
    known, seconds = target(device).qubit_properties[qubit], cycles * target(device).dt
    if known.t1 is None or known.t2 is None:
        return np.eye(4)
    down, dephase = np.exp(-seconds / known.t1), np.exp(-seconds / min(known.t2, 2 * known.t1))
    relax = np.diag([1.0, dephase, dephase, down])
    relax[0, 3] = 1 - down
    return relax


def _readout(device: Device, qubit: int, noiseless: bool) -> tuple[float, float]:
    """Probabilities of reading 1 from 0 and 0 from 1."""
    if noiseless:
        return 0.0, 0.0
    entry = measurement(device, qubit, None)
    return entry.prob_meas1_prep0, entry.prob_meas0_prep1
