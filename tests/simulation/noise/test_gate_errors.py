"""Errors of gates in closed form, beside those that Aer works out."""

import numpy as np
import pytest

from qvit_qiskit.devices.regions import bundled_device, region_target
from qvit_qiskit.simulation.noise.channels import gate_errors
from qvit_qiskit.simulation.noise.gate_errors import reported_errors


@pytest.mark.parametrize(
    ("device", "gate"), [("fake_fez", "cz"), ("fake_torino", "cz"), ("fake_sherbrooke", "ecr")]
)
def test_errors_are_aer_s(device, gate, rng):
    backend = bundled_device(device)
    pairs = list(backend.target[gate])
    pair = pairs[rng.integers(len(pairs))]
    target = region_target(backend, pair)
    gates = {(name, qubits) for name in target.operation_names for qubits in target[name]}
    slow, fast = gate_errors(target, gates), reported_errors(target, gates)
    assert fast.keys() >= slow.keys()
    assert len(fast) >= 5
    for place, matrix in fast.items():
        expected = slow.get(place, np.eye(len(matrix)))
        assert np.allclose(matrix, expected, atol=1e-8), place
