"""A run that a service billed, compared offline: named as hardware, with its bill."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from service.handle import Service

from qvit_qiskit import compare, resume
from qvit_qiskit.cli import run as command
from qvit_qiskit.comparison.rungs import Ladder
from qvit_qiskit.data import load, stratified_subset
from qvit_qiskit.exceptions import JobError, RouteError
from qvit_qiskit.ibm.calls import Patience
from qvit_qiskit.inference.passes import run_pass
from qvit_qiskit.models import ViTConfig, build_model
from qvit_qiskit.runs import status, submit


def test_hardware_with_its_bill(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile = tmp_path / "mine.toml"
    profile.write_text(
        'kind = "ibm"\ndevice = "ibm_torino"\nshots = 128\nk = 3\nresilience_level = 1\n'
    )
    model = build_model(ViTConfig(patch_size=14, width=4, heads=2), seed=0)
    images = stratified_subset(load("phantom").test, 4, 0)
    run = tmp_path / "run"
    submit(model, images, str(profile), run, budget_seconds=100, anchor_rows=2, wait=True)
    resume(run, model)  # the bill, where it was not final at once
    for name in service.environment:
        monkeypatch.delenv(name, raising=False)
    found = compare(run, draws=3)
    assert [(rung.name, rung.kind) for rung in found.rungs] == [
        ("exact", "exact"),
        ("shot noise", "shot noise"),
        ("device noise", "device noise"),
        ("ibm_torino", "hardware"),
        ("ibm_torino, corrected", "corrected"),  # by the anchors
    ]
    top = found.rungs[3]
    assert top.cost_basis == "billed"
    assert top.qpu_seconds == status(run).spent_seconds
    assert top.backend == "mine (ibm_torino), resilience level 1"
    assert top.beyond is None  # what was mitigated is not what was reported
    assert top.executions is not None
    assert top.executions[0].calibrated is not None
    assert len(found.anchors) == 1
    assert "rehears" not in found.title + "".join(found.facts.values())
    said = found.facts["ibm_torino"]
    assert "seconds (billed)" in said
    told, reported = map(float, re.findall(r"([\d.]+) µs by the", said))
    assert told == pytest.approx(reported, rel=0.05)  # twirled readouts take a gate more
    (kept,) = (run / "results").glob("*.timing.json")
    assert all(
        one.keys() == {"timing", "circuit_duration"}
        for one in json.loads(kept.read_text()).values()
    )


@pytest.mark.check
def test_a_run_that_was_cut_off_is_compared_as_far_as_it_got(
    service: Service,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The first of two quantum layers is measured: its rung is the exact model behind that."""
    monkeypatch.chdir(tmp_path)
    model = build_model(ViTConfig(patch_size=14, width=2, heads=1, depth=2), seed=0)
    path = tmp_path / "mine.toml"
    path.write_text('kind = "ibm"\ndevice = "ibm_torino"\nshots = 64\n')
    data = stratified_subset(load("phantom").split("test"), 6, 0)
    keys: dict[str, Any] = {"budget_seconds": 60.0, "patience": Patience.of(20.0)}
    service.inject("status", call="POST /jobs", code=400)
    with pytest.raises(RouteError):
        submit(model, data, str(path), "run", wait=True, **keys)
    with pytest.raises(JobError, match="no quantum layer of it is whole"):
        compare("run")
    service.inject("status", call="POST /jobs", code=400, after=1)
    with pytest.raises(RouteError):
        resume("run", wait=True, patience=Patience.of(20.0))
    found = compare("run", draws=4)
    rung = found.rungs[-1]
    assert rung.name == "ibm_torino, partial"
    assert len(rung.layers) == 1
    pairs = zip(rung.layers[0], found.exact.layers[0], strict=True)
    deltas = [[measured.values - exact.values for measured, exact in pairs], None]
    inner = Ladder(model, data.tensors()[0]).inner
    slow = run_pass(model, data.tensors()[0], inner, deltas)
    np.testing.assert_allclose(rung.logits, slow.logits, atol=1e-6)
    assert {one.layer for one in found.layer_errors if one.rung == rung.name} == {1}
    assert command(["compare", "run", "--draws", "2", "--out", "report", "--details"]) == 0
    words = "partial: 1 of 2 quantum layers measured, the others are exact"
    assert words in " ".join(capsys.readouterr().out.split())
    assert words in Path("report/report.html").read_text()
    told = json.loads(Path("report/comparison.json").read_text())
    assert words in told["facts"]["ibm_torino, partial"]
    assert "partial" in told["title"]
    service.clear()
    assert resume("run", wait=True, patience=Patience.of(20.0)).state == "finished"
    assert compare("run", draws=0).rungs[-1].name == "ibm_torino"
