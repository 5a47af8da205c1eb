"""A finished run read back: the same numbers in any process, from the folder alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from qvit_qiskit.data import load, stratified_subset
from qvit_qiskit.exceptions import JobError
from qvit_qiskit.execution import registry
from qvit_qiskit.models import ViTConfig, build_model
from qvit_qiskit.runs import read_results, submit

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
