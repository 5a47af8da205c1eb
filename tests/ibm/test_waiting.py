"""A simulator on which qubits relax while they wait."""

from __future__ import annotations

import numpy as np
import pytest
from qiskit import QuantumCircuit

from qvit_qiskit.devices.regions import bundled_device, region_backend
from qvit_qiskit.ibm.waiting import WaitingSimulator


def test_a_simulator_relaxes_what_waits():
    """A qubit turned over, then kept waiting by its neighbour: against the formula."""
    device = region_backend(bundled_device("fake_boston"), (14, 15))
    target = device.target
    circuit = QuantumCircuit(2, 1)
    circuit.cz(0, 1)
    circuit.x(0)
    circuit.barrier()
    circuit.delay(250_000, 1, unit="dt")  # a millisecond
    circuit.barrier()
    circuit.measure(0, 0)
    result = WaitingSimulator.of(device).run(circuit, shots=4000, seed_simulator=1).result()
    ones = result.get_counts().get("1", 0) / 4000
    kept = np.exp(-250_000 * target.dt / target.qubit_properties[0].t1)
    assert kept < 0.5
    assert ones == pytest.approx(kept, abs=0.05)  # gates and readout are far better than that
