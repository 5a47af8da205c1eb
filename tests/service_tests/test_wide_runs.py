"""Layers of 64 qubits: through the real client, and what cannot be rehearsed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from service.handle import Service

from qvit_qiskit import ViTConfig, build_model, evaluate, load, submit
from qvit_qiskit.circuits import build_circuit
from qvit_qiskit.data import stratified_subset
from qvit_qiskit.exceptions import RouteError
from qvit_qiskit.execution import registry
from qvit_qiskit.qnn import QuantumLinear


def profile(folder: Path, text: str) -> str:
    path = folder / "mine.toml"
    path.write_text(f"seed = 2\n{text}\n")
    return str(path)


@pytest.mark.soak
def test_64_qubits_are_what_the_noise_rung_predicts(
    service: Service, tmp_path: Path, rng: np.random.Generator
) -> None:
    """96 rows of 8 shots: values, and each output's mean over the rows, within 5 errors."""
    layer = QuantumLinear(build_circuit("ry-chain", 64, 2))
    angles = torch.from_numpy(rng.uniform(-1.5, 1.5, (96, 64)))
    ibm = profile(tmp_path, 'kind = "ibm"\ndevice = "ibm_boston"\nshots = 8')
    with (
        registry.route(layer, ibm, budget_seconds=60, run=tmp_path / "run"),
        torch.no_grad(),
    ):
        values = layer(angles).numpy()
    noise = profile(tmp_path, 'kind = "aer"\nnoise = "fake_boston"')
    with registry.route(layer, noise), torch.no_grad():
        expected = layer(angles).numpy()
    variances = np.clip(1 - expected**2, 1e-3, None) / 8
    assert (np.abs(values - expected) < 5 * np.sqrt(variances) + 2 / 8).mean() == 1
    gap = (values - expected).mean(axis=0) / np.sqrt(variances.mean(axis=0) / 96)
    assert np.abs(gap).max() < 5


def test_a_rehearsal_that_would_take_hours_is_refused_with_what_answers_the_same(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    layer = QuantumLinear(build_circuit("cz-ring", 28, 2))
    fake = profile(tmp_path, 'kind = "fake"\ndevice = "fake_boston"\nshots = 2000')
    with (
        registry.route(layer, fake),
        torch.no_grad(),
        pytest.raises(RouteError, match=r'28 qubits, 11 rows and 2,000 shots.*"aer" with noise'),
    ):
        layer(torch.from_numpy(rng.uniform(-1.5, 1.5, (11, 28))))


def test_batches_of_twirled_readout_count_in_the_time_that_is_predicted(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    layer = QuantumLinear(build_circuit("ry-chain", 64, 2))
    kind = 'kind = "fake"\ndevice = "fake_boston"\nshots = 8\nresilience_level = 1'
    sentence = r"96 rows and 8 shots \(of which level 1 makes 64\).* take about 1\d minutes"
    with (
        registry.route(layer, profile(tmp_path, kind)),
        torch.no_grad(),
        pytest.raises(RouteError, match=sentence),
    ):
        layer(torch.from_numpy(rng.uniform(-1.5, 1.5, (96, 64))))


def model_of(family: str, qubits: int) -> torch.nn.Module:
    config = ViTConfig(heads=1, width=qubits, patch_size=14, circuit=family)
    return build_model(config, seed=0)


def test_a_refused_rehearsal_leaves_no_folder(tmp_path: Path) -> None:
    images = stratified_subset(load("phantom").test, 2, seed=0)
    fake = profile(tmp_path, 'kind = "fake"\ndevice = "fake_boston"\nshots = 1000')
    with pytest.raises(RouteError, match=r"the client's local mode would take about 1\d minutes"):
        submit(model_of("ry-chain", 28), images, fake, tmp_path / "run", budget_seconds=60)
    assert not (tmp_path / "run").exists()


def test_evaluations_say_where_shots_are_normal_draws(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qvit_qiskit.simulation.chain_bits.MAX_DRAWS", 10)
    images = stratified_subset(load("phantom").test, 2, seed=0)
    shots = profile(tmp_path, 'kind = "aer"\nshots = 16')
    wide = evaluate(model_of("ry-chain", 26), images, shots)
    assert wide.drawn == " as normal draws"
    assert "as normal draws" in repr(wide)
    assert evaluate(model_of("ry-chain", 4), images, shots).drawn == ""
