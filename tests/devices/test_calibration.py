"""Devices rebuilt from recorded calibrations."""

import json
from pathlib import Path

import numpy as np
import pytest

from qvit_qiskit.circuits import ry_ring
from qvit_qiskit.data import load, stratified_subset
from qvit_qiskit.devices.calibration import device_of
from qvit_qiskit.devices.packing import place
from qvit_qiskit.devices.regions import bundled_device
from qvit_qiskit.exceptions import JobError, RouteError
from qvit_qiskit.execution import registry
from qvit_qiskit.execution.noise_source import noise_device
from qvit_qiskit.ibm.sender import properties_json
from qvit_qiskit.models import ViTConfig, build_model
from qvit_qiskit.runs import submit
from qvit_qiskit.runs.run_noise import run_device
from qvit_qiskit.simulation.shifts import circuit_pub


@pytest.mark.parametrize("name", ["fake_fez", "fake_torino", "fake_sherbrooke"])
def test_a_recorded_device_is_the_device(name):
    """Gates, errors, durations, both readout errors, and therefore the same region."""
    device = bundled_device(name)
    found = device_of(properties_json(device).encode(), "here")
    assert (found.name, found.num_qubits) == (device.name.replace("fake", "ibm"), device.num_qubits)
    for gate in ("cz", "ecr", "sx", "x", "rz", "id", "measure"):
        if gate in device.target.operation_names:
            old, new = device.target[gate], found.target[gate]
            assert set(old) == set(new)
            assert all(
                (old[q].error, old[q].duration) == (new[q].error, new[q].duration) for q in old
            )
    for q, properties in enumerate(device.target.qubit_properties):
        assert found.target.qubit_properties[q].t1 == properties.t1
        assert found.target.qubit_properties[q].t2 == properties.t2
    one, two = (place(ry_ring(4, 2).canonical, d, seed=0) for d in (device, found))
    assert one.qubits == two.qubits
    assert one.fidelity() == two.fidelity()
    np.testing.assert_array_equal(one.readout(), two.readout())


def test_a_profile_names_a_calibration_file(rng, tmp_path, monkeypatch):
    """Relative to the profile, wherever it is opened from."""
    calibration = json.loads(properties_json(bundled_device("fake_torino")))
    (tmp_path / "lab.json").write_text(json.dumps(calibration))
    (tmp_path / "lab.toml").write_text('kind = "aer"\nnoise = "lab.json"')
    monkeypatch.chdir("/")
    route = registry.open(str(tmp_path / "lab.toml"))
    pub = circuit_pub(ry_ring(2, 1), rng.uniform(-1, 1, (3, 2)), rng.uniform(-1, 1, 2))
    found = route.estimator.run([pub]).result()[0].data.evs
    (tmp_path / "snapshot.toml").write_text('kind = "aer"\nnoise = "fake_torino"')
    snapshot = registry.open(str(tmp_path / "snapshot.toml"))
    np.testing.assert_allclose(
        found, snapshot.estimator.run([pub]).result()[0].data.evs, atol=1e-12
    )
    for gate in calibration["gates"]:  # a worse device
        for entry in gate["parameters"]:
            if entry["name"] == "gate_error" and gate["gate"] == "cz":
                entry["value"] = min(0.9, 3 * entry["value"])
    (tmp_path / "lab.json").write_text(json.dumps(calibration))
    worse = registry.open(str(tmp_path / "lab.toml"))
    assert np.abs(worse.estimator.run([pub]).result()[0].data.evs - found).max() > 1e-3


def test_a_profile_names_a_run(tmp_path, monkeypatch):
    """By its name below ``runs/`` or by its folder."""
    model = build_model(ViTConfig(width=2, heads=1, patch_size=14), seed=0)
    images = stratified_subset(load("phantom").test, 2, 0)
    monkeypatch.chdir(tmp_path)
    submit(model, images, "fake-torino", Path("runs/one"), budget_seconds=60, shots=64, wait=True)
    for noise in ("run:one", "run:runs/one"):
        device = noise_device(noise, tmp_path)
        assert device.name == "ibm_torino"
        region = place(ry_ring(2, 1).canonical, device, seed=0)
        expected = place(ry_ring(2, 1).canonical, bundled_device("fake_torino"), seed=0)
        assert region.qubits == expected.qubits


@pytest.mark.parametrize(
    ("content", "words"), [("[]", "no calibration"), ("{", "no calibration"), ("{}", "no calib")]
)
def test_other_files_are_refused(tmp_path, content, words):
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(RouteError, match=words):
        noise_device("x.json", tmp_path)


@pytest.mark.parametrize(
    ("name", "value"),
    [("T1", 0), ("T1", "x"), ("T2", -1e-6), ("prob_meas0_prep1", float("nan")),
     ("prob_meas1_prep0", 1.5), ("readout_error", None), ("gate_error", "x"), ("gate_error", 2),
     ("gate_length", -1)],
)  # fmt: skip
def test_impossible_numbers_are_refused(tmp_path, name, value):
    told = json.loads(properties_json(bundled_device("fake_torino")))
    lists = told["gates"][3]["parameters"] if name.startswith("gate") else told["qubits"][5]
    next(entry for entry in lists if entry["name"] == name)["value"] = value
    (tmp_path / "x.json").write_text(json.dumps(told))
    with pytest.raises(RouteError, match="no calibration of a device"):
        noise_device("x.json", tmp_path)


def test_missing_files_and_runs_are_refused(tmp_path):
    with pytest.raises(RouteError, match="Cannot read the calibration"):
        noise_device("x.json", tmp_path)
    with pytest.raises(JobError):
        run_device(tmp_path / "nothing")
    with pytest.raises(RouteError, match="fake_boston"):
        noise_device("fake_bosten", tmp_path)
