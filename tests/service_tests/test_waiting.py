"""The service's qubits decay while they wait, by Qiskit's own passes: the noise engine says so."""

from __future__ import annotations

import numpy as np
import pytest
from reference.shots import data
from service.devices import Device
from service.execution import Noise, sample

from qvit_qiskit.circuits import build_circuit
from qvit_qiskit.devices.packing import place
from qvit_qiskit.devices.regions import bundled_device, join
from qvit_qiskit.simulation.noise.compiler import noisy
from qvit_qiskit.simulation.shifts import circuit_pub


@pytest.mark.parametrize("waits", [True, False])
def test_the_service_waits_as_the_noise_engine_does(rng, waits):
    """18 values within 5 standard errors: one seed in 97,000. Waits move them by more."""
    circuit, shots = build_circuit("ry-ring", 6, 2), 60_000
    device = bundled_device("fake_sherbrooke")
    region = place(circuit.canonical, device, seed=0)
    angles = rng.uniform(-0.5, 0.5, circuit.num_weights)
    pub = circuit_pub(circuit, rng.uniform(-0.5, 0.5, (3, 6)), angles)
    order = [list(circuit.canonical.parameters).index(p) for p in region.circuit.parameters]
    wide = join([region], [region.measured()], device.num_qubits)
    bits = sample(wide, pub[2][:, order], shots, Device("sherbrooke"), np.random.SeedSequence(1),
                  Noise(waits=waits))  # fmt: skip
    sampled = 1 - 2 * bits.mean(axis=1).T
    values = {idle: _values(device, region, pub, idle) for idle in (True, False)}

    def worst(idle):
        expected = values[idle]
        return np.abs((sampled - expected) / np.sqrt((1 - expected**2) / shots)).max()

    assert worst(waits) < 5
    assert worst(not waits) > 5


def _values(device, region, pub, idle):
    """On that region, whether its waits count or not."""
    estimator = noisy(device, seed=0, idle=idle)
    region = region if idle else type(region)(*_parts(region))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("qvit_qiskit.simulation.noise.compiler.place", lambda *a, **k: region)
        return data(estimator, *pub).evs


def _parts(region):
    return region.circuit, region.qubits, region.outputs, region.target
