"""Rows side by side on one chip: through the real client, by copy, with their control."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from qiskit_aer import AerSimulator
from qiskit_aer.library import SaveProbabilities
from reference import qiskit_schedule
from service.handle import Service

from qvit_qiskit.circuits import build_circuit
from qvit_qiskit.cli import run as qvit
from qvit_qiskit.data import load, stratified_subset
from qvit_qiskit.devices.regions import Placed, bundled_device, region_backend, region_target
from qvit_qiskit.exceptions import RouteError
from qvit_qiskit.execution import registry
from qvit_qiskit.execution.route import Route
from qvit_qiskit.hardware.hardware_run import HardwareRun
from qvit_qiskit.models import ViTConfig, build_model
from qvit_qiskit.qnn import QuantumLinear
from qvit_qiskit.runs import read_results, resume, submit
from qvit_qiskit.simulation.noise.noisy_program import misread

SHOTS, ROWS, SIGMAS = 1024, 11, 5.0


def profile(folder: Path, text: str) -> str:
    path = folder / "mine.toml"
    path.write_text(f"shots = {SHOTS}\nseed = 2\n{text}\n")
    return str(path)


def alone(placed: Placed, values: np.ndarray, device: str) -> np.ndarray:
    """⟨Z⟩ of one copy on its region by density matrices, shape (R, n)."""
    backend = bundled_device(device)
    target = region_target(backend, placed.qubits)
    circuit = qiskit_schedule.padded(placed.measured(), target)
    circuit = circuit.remove_final_measurements(inplace=False)
    circuit.append(SaveProbabilities(len(placed.outputs)), placed.outputs)
    simulator = AerSimulator.from_backend(
        region_backend(backend, placed.qubits), method="density_matrix"
    )
    binds = {p: values[:, k].tolist() for k, p in enumerate(placed.circuit.parameters)}
    result = simulator.run(circuit, parameter_binds=[binds]).result()
    table = np.stack([result.data(r)["probabilities"] for r in range(len(values))], axis=1)
    entries = [target["measure"][(w,)] for w in placed.outputs]
    readout = np.array(
        [
            [
                [1 - e.prob_meas1_prep0, e.prob_meas0_prep1],
                [e.prob_meas1_prep0, 1 - e.prob_meas0_prep1],
            ]
            for e in entries
        ]
    )
    table = misread(table, readout)
    states = np.arange(len(table))
    signs = 1 - 2 * ((states[:, None] >> np.arange(len(entries))) & 1)
    return table.T @ signs


@pytest.mark.parametrize(
    "where", ['kind = "ibm"\ndevice = "ibm_torino"', 'kind = "fake"\ndevice = "fake_torino"']
)
def test_each_copy_equals_its_region_alone(
    service: Service, tmp_path: Path, rng: np.random.Generator, where: str
) -> None:
    """The packed circuit on the service, and the rehearsal that takes copies apart."""
    layer = QuantumLinear(build_circuit("ry-chain", 3, 1))
    angles = torch.from_numpy(rng.uniform(-1.5, 1.5, (ROWS, 3)))
    name = profile(tmp_path, f"{where}\nk = 4\nbuffer = 1")
    route: Route
    with (
        registry.route(layer, name, budget_seconds=60, run=tmp_path / "run") as route,
        torch.no_grad(),
    ):
        layer(angles)
    measured = layer.network.last
    assert measured is not None
    hardware: HardwareRun = route.estimator.hardware
    (copies,) = hardware.reader.stage(0).copies
    assert set(copies) == {0, 1, 2, 3}
    compiled = hardware.layout(0).programs[0][0]
    weights = layer.weight.detach().double().numpy()
    values = np.hstack([angles.numpy(), np.tile(weights, (ROWS, 1))])
    for c, placed in enumerate(compiled.copies):
        own = copies == c
        expected = alone(placed, values[own][:, compiled.columns[c]], "fake_torino")
        error = np.sqrt((1 - expected**2).clip(0.01) / SHOTS)
        assert np.all(np.abs(measured.values[own] - expected) < SIGMAS * error)


@pytest.mark.parametrize("mode", ["job", "batch", "session"])
@pytest.mark.parametrize("level", [0, 1, 2])
def test_executions_of_packed_runs(
    service: Service, tmp_path: Path, rng: np.random.Generator, mode: str, level: int
) -> None:
    layer = QuantumLinear(build_circuit("ry-chain", 3, 1))
    angles = torch.from_numpy(rng.uniform(-1.5, 1.5, (ROWS, 3)))
    name = profile(
        tmp_path,
        f'kind = "ibm"\ndevice = "ibm_boston"\nk = 5\nbuffer = 1\nmode = "{mode}"\n'
        f"resilience_level = {level}",
    )
    before = len(service.executed())
    with registry.route(layer, name, budget_seconds=60, run=tmp_path / "run"), torch.no_grad():
        found = layer(angles)
    executed = sum(job["executions"] for job in service.executed()[before:])
    packed = 3  # 11 rows on 5 copies
    assert executed == SHOTS * (packed * (3 if level == 2 else 1) + (level > 0))
    exact = layer(angles)
    assert float((found - exact).abs().max()) < 0.3


def test_a_control_measures_what_the_neighbours_do(service: Service, tmp_path: Path) -> None:
    """The simulators know no crosstalk: the difference is that of the regions, and small."""
    model = build_model(ViTConfig(patch_size=14), seed=0)
    images = stratified_subset(load("phantom").test, 4, 0)
    name = profile(tmp_path, 'kind = "fake"\ndevice = "fake_boston"\nk = 20')
    run = tmp_path / "run"
    submit(model, images, name, run, budget_seconds=100, control_rows=12, wait=True)
    (controls,) = read_results(run).controls
    assert controls[0].packed.shape == controls[0].alone.shape == (12, 4)
    size, error = controls[0].difference()
    assert size < 0.05 + 3 * error
    assert error > 0


def test_a_packed_run_is_taken_up(
    service: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another object, after the job was sent: nothing is sent again, every row finds its seat."""
    model = build_model(ViTConfig(patch_size=14), seed=0)
    images = stratified_subset(load("phantom").test, 2, 0)
    name = profile(tmp_path, 'kind = "ibm"\ndevice = "ibm_torino"\nk = 6\nbuffer = 1')
    whole, run = tmp_path / "whole", tmp_path / "run"
    submit(model, images, name, whole, budget_seconds=100, control_rows=5, wait=True)
    before = len(service.jobs())
    service.hold()
    begun = submit(model, images, name, run, budget_seconds=100, control_rows=5)
    assert begun.state == "sent"
    service.hold(False)
    service.wait_idle()
    resume(run, model, wait=True)
    assert len(service.jobs()) == before + 1
    np.testing.assert_array_equal(read_results(run).logits, read_results(whole).logits)
    assert qvit(["status", str(run)]) == 0
    assert "packed against alone" in capsys.readouterr().out


def test_the_queue_is_told_while_waiting(service: Service, tmp_path: Path) -> None:
    service.configure(queues={"ibm_torino": 7}, queue_delay=5.0)
    model = build_model(ViTConfig(patch_size=14), seed=0)
    images = stratified_subset(load("phantom").test, 1, 0)
    name = profile(tmp_path, 'kind = "ibm"\ndevice = "ibm_torino"\nk = 6')
    seen: list[int] = []
    run = tmp_path / "run"
    submit(
        model, images, name, run, budget_seconds=9, wait=True, tick=lambda s: seen.append(s.queue)
    )
    assert max(seen) >= 7


def test_a_packed_run_of_a_model(service: Service, tmp_path: Path) -> None:
    service.configure(noiseless=True)
    model = build_model(ViTConfig(patch_size=14), seed=0)
    images = stratified_subset(load("phantom").test, 5, 0)
    name = profile(tmp_path, 'kind = "ibm"\ndevice = "ibm_fez"\nk = "auto"\nbuffer = 1')
    status = submit(model, images, name, tmp_path / "run", budget_seconds=100, wait=True)
    assert status.executions == SHOTS * -(-5 * 24 // 27)
    results = read_results(tmp_path / "run")
    from qvit_qiskit import evaluate

    exact = evaluate(model, images, "aer-exact")
    np.testing.assert_allclose(results.logits, exact.logits, atol=0.1)
    copies = np.concatenate([out.copies for out in results.layers[0]])
    assert set(copies) == set(range(27))


@pytest.mark.parametrize(
    ("text", "fragment"),
    [
        ("k = 30\nbuffer = 1", "Ask for at most 23"),
        ("k = 2\nmin_fidelity = 0.999", "Lower `min_fidelity`"),
    ],
)
def test_never_fewer_copies_in_silence(tmp_path: Path, text: str, fragment: str) -> None:
    name = profile(tmp_path, f'kind = "fake"\ndevice = "fake_torino"\n{text}')
    layer = QuantumLinear(build_circuit("ry-ring", 4, 1))
    with (
        pytest.raises(RouteError, match=fragment),
        registry.route(layer, name),
        torch.no_grad(),
    ):
        layer(torch.zeros(1, 4))


def test_show_packing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    command = ["backends", "show", "fake-torino", "--packing", "--layers", "1", "--json"]
    assert qvit(command) == 0
    rows = json.loads(capsys.readouterr().out)
    assert rows[-1]["k"] == 31
    fidelity = [row["mean fidelity"] for row in rows]
    assert fidelity == sorted(fidelity, reverse=True)
    assert b"<svg" in (tmp_path / "fake-torino-packing.svg").read_bytes()
    assert qvit([*command, "--picture", "chip.png"]) == 0
    assert (tmp_path / "chip.png").read_bytes().startswith(b"\x89PNG")
    capsys.readouterr()
    assert qvit([*command, "--picture", "chip.gif"]) == 2
    assert qvit(["backends", "show", "aer-exact", "--packing"]) == 2
    assert "has no chip" in capsys.readouterr().err
