"""A run that a service billed, compared offline: named as hardware, with its bill."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from service.handle import Service

from qvit_qiskit import compare, resume
from qvit_qiskit.data import load, stratified_subset
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
    ]
    top = found.rungs[-1]
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
