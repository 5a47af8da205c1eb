"""The noise that a run's folder predicts for it."""

import json
from itertools import product

import numpy as np
import pytest

from qvit_qiskit import compare
from qvit_qiskit.circuits import build_circuit
from qvit_qiskit.data import load, stratified_subset
from qvit_qiskit.devices.client_template import SentWaits
from qvit_qiskit.exceptions import JobError, RouteError
from qvit_qiskit.execution.recorded_noise import predicted_controls
from qvit_qiskit.hardware.journal import Journal
from qvit_qiskit.hardware.run_reader import RunReader
from qvit_qiskit.ibm.local import LocalSender
from qvit_qiskit.models import ViTConfig, build_model
from qvit_qiskit.runs import read_results, submit
from qvit_qiskit.runs.run_noise import recorded_noise, run_device
from qvit_qiskit.simulation.exact.estimator import ExactEstimator
from qvit_qiskit.simulation.noise.compiler import noisy

PROFILES = {
    "one": 'kind = "fake"\ndevice = "fake_torino"\nshots = 2048\nseed = 4',
    "packed": 'kind = "fake"\ndevice = "fake_fez"\nshots = 2048\nk = 3',
}


@pytest.mark.parametrize("name", PROFILES)
def test_a_rehearsal_is_what_its_folder_predicts(tmp_path, name):
    """Every measured value within 5.5 standard errors, and their spread that of shots.

    64 rows of 3 projections with 3 outputs: beyond 5.5 one of 576 lies at one seed in 45,000.
    """
    (tmp_path / f"{name}.toml").write_text(PROFILES[name])
    model = build_model(ViTConfig(width=3, heads=1, patch_size=14), seed=0)
    images = stratified_subset(load("phantom").test, 16, 0)
    profile, run = str(tmp_path / f"{name}.toml"), tmp_path / "run"
    submit(model, images, profile, run, budget_seconds=600, wait=True)
    estimator = recorded_noise(run)
    assert [len(each.copies) for each in estimator.layers] == [3 if name == "packed" else 1]
    circuit = build_circuit("ry-ring", 3, 2)
    observables = [[o] for o in circuit.observables]
    layer = read_results(run).layers[0]
    pubs = [(circuit.canonical, observables, out.parameters) for out in layer]
    found = np.stack([r.data.evs.T for r in estimator.run(pubs).result()])
    gaps = (np.stack([o.values for o in layer]) - found) / np.sqrt((1 - found**2) / 2048)
    if name == "packed":  # each row ran on one copy, the prediction is the mean of three
        copies = [c.run(pubs[:1]).result()[0].data.evs for c in estimator.layers[0].copies]
        assert np.abs(copies[0] - copies[1]).max() > 1e-3
        np.testing.assert_allclose(np.mean(copies, axis=0).T, found[0], atol=1e-12)
        assert gaps.std() < 1.6
    else:
        assert np.abs(gaps).max() < 5.5
        assert 0.9 < gaps.std() < 1.1
        elsewhere = noisy(run_device(run), seed=4).run(pubs).result()[0].data.evs
        np.testing.assert_allclose(elsewhere.T, found[0], atol=1e-9)  # the best place again


def test_rows_that_ran_alone_are_predicted(tmp_path):
    """On their own copies and on the best place; a comparison tells both."""
    profile = tmp_path / "mine.toml"
    profile.write_text('kind = "fake"\ndevice = "fake_torino"\nk = 3\nshots = 6000\n')
    model = build_model(ViTConfig(width=4, heads=1, patch_size=14), seed=0)
    images = stratified_subset(load("phantom").test, 4, 0)
    run = tmp_path / "run"
    submit(model, images, str(profile), run, budget_seconds=600, control_rows=12, wait=True)
    (stage,) = RunReader.open(run).compiled_stages
    ((packed, alone),) = predicted_controls(stage)
    (control,) = stage.controls
    gaps = []
    for found, noise, expected in (
        (control.packed, control.packed_covariances, packed),
        (control.alone, control.alone_covariances, alone),
    ):
        gaps.append((found - expected) / np.sqrt(np.einsum("rkk->rk", noise)))
    assert 0.75 < np.std(gaps) < 1.25  # 96 values
    (told,) = (text for name, text in compare(run, draws=2).facts.items() if "alone" in name)
    size = np.sqrt(np.mean((packed - alone) ** 2))
    assert size > 0.001  # one copy has another place alone, too
    assert f"{size:.3f} by reported errors; 12 rows" in told


LONGEST = (20, 2)  # three minutes: `make soak`
GAPS = [
    pytest.param(*case, marks=pytest.mark.soak if case == LONGEST else pytest.mark.check)
    for case in product((1, 20), (0, 1, 2))
]


@pytest.mark.parametrize(("k", "level"), GAPS)
def test_gaps_are_those_of_shots(tmp_path, level, k):
    """Of a rehearsal to what its folder predicts, row by row on the row's own copy."""
    text = f'kind = "fake"\ndevice = "fake_fez"\nshots = 1024\nresilience_level = {level}\n'
    (tmp_path / "mine.toml").write_text(f"{text}k = {k}\n")
    model = build_model(ViTConfig(width=4, heads=1, patch_size=14), seed=0)
    images = stratified_subset(load("phantom").test, 24 if level < 2 else 4, 0)
    run = tmp_path / "run"
    submit(model, images, str(tmp_path / "mine.toml"), run, budget_seconds=6000, wait=True)
    circuit = build_circuit("ry-ring", 4, 2)
    observables = [[o] for o in circuit.observables]
    copies = recorded_noise(run, mitigated=level > 0).layers[0].copies
    assert len(copies) == k
    gaps = []
    for out in read_results(run).layers[0]:
        pub = (circuit.canonical, observables, out.parameters)
        every = np.stack([copy.run([pub]).result()[0].data.evs.T for copy in copies])
        gaps.append((out.values - every[out.copies, np.arange(len(out.copies))]) / out.stds)
    assert 0.9 < np.std(gaps) < 1.1
    assert abs(np.mean(gaps)) < 0.2


def test_a_rehearsal_waits_as_its_folder_predicts(tmp_path):
    """Gates of an older processor take long: without waits the prediction would be off."""
    profile = tmp_path / "mine.toml"
    profile.write_text('kind = "fake"\ndevice = "fake_sherbrooke"\nshots = 40000\n')
    model = build_model(ViTConfig(width=4, heads=1, patch_size=14), seed=0)
    images = stratified_subset(load("phantom").test, 4, 0)
    submit(model, images, str(profile), tmp_path / "run", budget_seconds=600, wait=True)
    circuit = build_circuit("ry-ring", 4, 2)
    observables = [[o] for o in circuit.observables]

    def spread():
        (copy,) = recorded_noise(tmp_path / "run").layers[0].copies
        gaps = []
        for out in read_results(tmp_path / "run").layers[0]:
            pub = (circuit.canonical, observables, out.parameters)
            gaps.append((out.values - copy.run([pub]).result()[0].data.evs.T) / out.stds)
        return np.std(gaps)

    assert 0.85 < spread() < 1.15  # 192 values
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SentWaits, "of", lambda *_: ())
        assert spread() > 1.5


def test_layers_are_predicted_by_their_own_calibrations(tmp_path, monkeypatch):
    """The device gets worse between two layers: the second is compiled to other qubits."""
    model = build_model(ViTConfig(width=3, heads=1, patch_size=14, depth=2), seed=0)
    images = stratified_subset(load("phantom").test, 12, 0)
    errors, seen = LocalSender.calibration, []

    def calibration(self):
        seen.append(errors(self))
        told = json.loads(seen[-1])
        for gate in told["gates"]:
            if gate["gate"] == "cz":
                for entry in gate["parameters"]:
                    if entry["name"] == "gate_error":
                        entry["value"] = min(0.5, entry["value"] * len(seen) ** 3)
        return json.dumps(told)

    monkeypatch.setattr(LocalSender, "calibration", calibration)
    run = tmp_path / "run"
    submit(model, images, "fake-torino", run, budget_seconds=600, shots=256, wait=True)
    assert len(seen) == 2
    estimator, circuit = recorded_noise(run), build_circuit("ry-ring", 3, 2)
    observables = [[o] for o in circuit.observables]
    ideal = ExactEstimator()
    shrunk = []
    for layer in read_results(run).layers:
        pub = (circuit.canonical, observables, layer[0].parameters)
        noisy_values = estimator.run([pub]).result()[0].data.evs
        exact = ideal.run([pub]).result()[0].data.evs
        shrunk.append(1 - np.sum(noisy_values * exact) / np.sum(exact**2))
    assert shrunk[1] > 2 * shrunk[0] > 0


def test_other_circuits_and_folders_are_refused(tmp_path):
    model = build_model(ViTConfig(width=2, heads=1, patch_size=14), seed=0)
    images = stratified_subset(load("phantom").test, 2, 0)
    submit(model, images, "fake-torino", tmp_path / "run", budget_seconds=60, shots=16, wait=True)
    other = build_circuit("ry-chain", 2, 1)
    pub = (other.canonical, [[o] for o in other.observables], np.zeros((1, 6)))
    with pytest.raises(RouteError, match="did not measure this circuit"):
        recorded_noise(tmp_path / "run").run([pub]).result()
    with pytest.raises(JobError):
        recorded_noise(tmp_path / "nothing")
    Journal.create(tmp_path / "empty")
    with pytest.raises(RouteError, match="compiled nothing yet"):
        recorded_noise(tmp_path / "empty")
