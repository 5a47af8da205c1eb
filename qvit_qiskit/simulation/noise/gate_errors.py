"""The error after each gate in closed form, as Aer's device noise models define it.

`channels.gate_errors` has Aer work the same errors out, which takes tens of milliseconds a gate.
Where the gates of a whole chip are wanted, this takes tens of microseconds.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import reduce
from math import inf

import numpy as np
from qiskit.circuit import Gate
from qiskit.transpiler import Target

from qvit_qiskit.simulation.noise.channels import Place, relaxation


def reported_errors(target: Target, gates: Collection[Place]) -> dict[Place, np.ndarray]:
    """The error after each gate: depolarising, then thermal relaxation, together as reported.

    With F the average fidelity of the relaxation during a gate of n qubits and d = 2ⁿ, a
    depolarising error of the probability p = d (F − (1 − e)) / (d F − 1) makes the error of both
    together e, the reported one. Where relaxation alone is worse than reported, p is 0.

    Args:
        target: Gates and their reported errors, qubits and their T1 and T2.
        gates: The gates in use.

    Returns:
        Transfer matrices; gates without an error are left out. They differ from
        `channels.gate_errors` by what Aer's simulators leave out, about 1e-9.
    """
    found = {}
    for name, entries in target.items():
        if name == "measure":
            continue
        unitary = isinstance(target.operation_from_name(name), Gate)  # a reset relaxes alone
        for qubits, entry in (entries or {}).items():
            if entry is None or qubits is None or (name, tuple(qubits)) not in gates:
                continue
            matrix = _error(
                target, tuple(qubits), (entry.error or 0.0) * unitary, entry.duration or 0.0
            )
            if not np.array_equal(matrix, np.eye(len(matrix))):
                found[name, tuple(qubits)] = matrix
    return found


def _error(target: Target, qubits: tuple[int, ...], error: float, seconds: float) -> np.ndarray:
    """The transfer matrix of a gate's error, the first qubit its lowest digit."""
    single = [_relaxed(target, qubit, seconds) for qubit in qubits]
    relaxed = reduce(lambda low, high: np.kron(high, low), single)
    dim = 2 ** len(qubits)
    fidelity = (dim * np.trace(relaxed) / dim**2 + 1) / (dim + 1)
    mixed = np.eye(dim**2)
    if error > 1 - fidelity:
        error = min(error, dim / (dim + 1))
        p = dim * (error - (1 - fidelity)) / (dim * fidelity - 1)
        mixed[1:] *= 1 - min(p, dim**2 / (dim**2 - 1))
    return np.asarray(relaxed @ mixed)


def _relaxed(target: Target, qubit: int, seconds: float) -> np.ndarray:
    """One qubit's relaxation during a gate; T2 is at most 2·T1, a missing time is endless."""
    properties = target.qubit_properties
    if not seconds or not properties or properties[qubit] is None:
        return np.eye(4)
    t1, t2 = (getattr(properties[qubit], name, None) or inf for name in ("t1", "t2"))
    return relaxation(seconds, t1, min(t2, 2 * t1))
