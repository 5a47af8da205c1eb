"""A finished run read back: the same numbers in any process, from the folder alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from qvit_qiskit.circuits import rx_rz_ring
from qvit_qiskit.data import load, stratified_subset
from qvit_qiskit.exceptions import JobError
from qvit_qiskit.execution import registry
from qvit_qiskit.models import ViTConfig, build_model
from qvit_qiskit.qnn import QuantumProjections
from qvit_qiskit.runs import read_results, submit
from qvit_qiskit.runs.run_folder import RunFolder

SHOTS = 400


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("runs") / "finished"
    model = build_model(ViTConfig(patch_size=14, depth=2), seed=0)
    images = stratified_subset(load("phantom").test, 2, 0)
    submit(model, images, "fake-boston", run, budget_seconds=100, shots=SHOTS, wait=True)
    return run


def test_every_projection_is_there_with_its_error(finished: Path) -> None:
    model = build_model(ViTConfig(patch_size=14, depth=2), seed=0)
    results = read_results(finished)
    assert (results.device, results.logits.shape, len(results.layers)) == ("fake_boston", (2, 2), 2)
    estimator = registry.open("aer-exact").estimator
    for block, layer in zip(model.blocks, results.layers, strict=True):
        projections = block.attention.projections
        circuit = projections.circuit
        ordered = [
            part[h]
            for h in range(2)
            for part in (projections.query, projections.key, projections.value)
        ]
        for module, out in zip(ordered, layer, strict=True):
            weights = out.parameters[:, circuit.num_inputs :]
            np.testing.assert_array_equal(
                weights, np.tile(module.weight.detach().numpy(), (len(weights), 1))
            )
            pub = (circuit.canonical, [[o] for o in circuit.observables], out.parameters)
            exact = estimator.run([pub]).result()[0].data.evs.T
            assert np.abs(out.values - exact).max() < 0.15 + 5 / np.sqrt(SHOTS)
            np.testing.assert_allclose(
                out.stds, np.sqrt((1 - out.values**2).clip(0) / SHOTS), atol=1e-12
            )


def test_runs_that_are_not_finished_or_damaged(finished: Path, tmp_path: Path) -> None:
    import shutil

    half = tmp_path / "half"
    shutil.copytree(finished, half)
    lines = (half / "journal.jsonl").read_text().splitlines(keepends=True)
    (half / "journal.jsonl").write_text("".join(lines[:-1]))
    with pytest.raises(JobError, match="is not finished"):
        read_results(half)
    damaged = tmp_path / "damaged"
    shutil.copytree(finished, damaged)
    (damaged / "predictions.npz").write_bytes(b"PK")
    with pytest.raises(JobError, match="checksum differs"):
        read_results(damaged)


def test_a_rehearsal_repeats_itself_in_another_process(finished: Path, tmp_path: Path) -> None:
    """Bit by bit, although the circuits' parameters have new random identities there."""
    script = tmp_path / "again.py"
    script.write_text(
        "import sys\n"
        "from qvit_qiskit.data import load, stratified_subset\n"
        "from qvit_qiskit.models import ViTConfig, build_model\n"
        "from qvit_qiskit.runs import submit\n"
        "model = build_model(ViTConfig(patch_size=14, depth=2), seed=0)\n"
        "images = stratified_subset(load('phantom').test, 2, 0)\n"
        f"submit(model, images, 'fake-boston', sys.argv[1], budget_seconds=100, shots={SHOTS}, "
        "wait=True)\n"
    )
    subprocess.run([sys.executable, script, tmp_path / "again"], check=True)
    one, two = read_results(finished), read_results(tmp_path / "again")
    np.testing.assert_array_equal(one.logits, two.logits)
    for a, b in zip(one.layers, two.layers, strict=True):
        assert all(np.array_equal(x.values, y.values) for x, y in zip(a, b, strict=True))


def test_a_model_of_ours_is_kept_without_a_checkpoint(finished: Path, tmp_path: Path) -> None:
    """But not one whose circuits are not those of its configuration."""
    folder = RunFolder.open(finished)
    kept = folder.model(None)
    expected = build_model(ViTConfig(patch_size=14, depth=2), seed=0).state_dict()
    assert all(torch.equal(kept.state_dict()[name], w) for name, w in expected.items())
    changed = build_model(ViTConfig(width=2, heads=1, patch_size=14), seed=0)
    changed.blocks[0].attention.projections = QuantumProjections(rx_rz_ring(2, 1), heads=1)
    images = stratified_subset(load("phantom").test, 2, 0)
    run = tmp_path / "changed"
    submit(changed, images, "fake-torino", run, budget_seconds=100, shots=16, wait=True)
    with pytest.raises(JobError, match="model of your own code"):
        RunFolder.open(run).model(None)
