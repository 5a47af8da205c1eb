"""Plans of a tiny model: labels are never read, the choice is true, and a run keeps its plan."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from qvit_qiskit import compare, plan, registry, resume, submit
from qvit_qiskit.comparison.sections.ladder import plan_tables
from qvit_qiskit.data import Split, load
from qvit_qiskit.devices.prices import Procedure, estimate
from qvit_qiskit.exceptions import JobError, RouteError
from qvit_qiskit.hardware.run_reader import RunReader
from qvit_qiskit.inference.prediction import predict
from qvit_qiskit.models import ViTConfig, build_model
from qvit_qiskit.runs import RunPlan, status
from qvit_qiskit.runs.planning import candidates, search
from qvit_qiskit.runs.planning.planner import check_calibrated

PROFILE = 'kind = "fake"\ndevice = "fake_manila"\nshots = "auto"\nresilience_level = 0\nk = 1\n'


@pytest.fixture(scope="module")
def model():
    made = build_model(ViTConfig(width=2, heads=1, patch_size=14, depth=2), seed=1)
    logits = torch.from_numpy(predict(made, images().tensors()[0]))
    with torch.no_grad():
        made.head.bias.sub_(logits.median(dim=0).values)  # both answers, many of them close
    return made


@pytest.fixture
def backends(tmp_path):
    folder = tmp_path / "backends"
    folder.mkdir()
    (folder / "small.toml").write_text(PROFILE)
    return folder


@pytest.fixture(autouse=True)
def few_draws(monkeypatch):
    monkeypatch.setattr(search, "QUICK", 4)
    monkeypatch.setattr(search, "CLOSE", 8)
    monkeypatch.setattr(search, "LAST", 8)


def images(count=24):
    split = load("phantom").split("test")
    return Split(split.images[:count], split.labels[:count], num_classes=2)


def made(model, backends, data, **asked) -> RunPlan:
    asked = {"agreement": 0.6} | asked
    return plan(model, data, "small", backends_dir=backends, **asked)


def test_labels_change_nothing(model, backends, rng):
    data = images()
    first = made(model, backends, data)
    labels = rng.permutation(1 - data.labels)
    assert made(model, backends, replace(data, labels=labels)) == first
    assert first.choice.meets
    assert first.choice in first.options
    assert first.images == 24
    assert RunPlan.from_record(json.loads(json.dumps(first.record()))) == first
    assert "QPU seconds" in repr(first)
    assert len(repr(first).splitlines()) < 8
    assert "<table>" in first._repr_html_()


def test_the_price_is_the_package_s(model, backends):
    found = made(model, backends, images(6))
    option = found.options[-1]
    from qvit_qiskit.execution import registry as profiles
    from qvit_qiskit.runs.pricing import price

    profile = profiles.find("small", backends).load()
    priced = price(model, model.stage_rows(), 6, profile, option.shots)
    assert option.seconds == pytest.approx(priced.estimate.seconds, rel=1e-3)
    assert option.executions == priced.estimate.executions
    again = estimate([6 * n for n in model.stage_rows()], option.shots,
                     Procedure(priced.estimate.timing, profile.mitigation))  # fmt: skip
    assert again.executions == option.executions


@pytest.mark.check
def test_predictions_are_those_of_rehearsals(model, backends):
    """The slow twin: the client's local mode, shot by shot, a model of two quantum layers."""
    data = images(16)
    found = made(model, backends, data)
    shots = found.choice.shots
    (backends / "twin.toml").write_text(PROFILE.replace('"auto"', str(shots)))
    exact = predict(model, data.tensors()[0]).argmax(axis=1)
    route = registry.open("twin", backends_dir=backends)
    shares = []
    for draw in range(12):
        route.reseed(draw)
        with registry.route(model, route):
            shares.append(np.mean(predict(model, data.tensors()[0]).argmax(axis=1) == exact))
    error = np.std(shares) / np.sqrt(12) + np.std(shares) / np.sqrt(8) + 0.02
    assert abs(np.mean(shares) - found.choice.agreement) < 4 * error


def test_a_run_plans_once(model, backends, tmp_path: Path, monkeypatch):
    data, heard = images(6), []
    from qvit_qiskit.runs.planning.at_submission import Planning

    folder = tmp_path / "run"
    state = submit(
        model, data, "small", folder, budget_seconds=600, agreement=0.5, wait=True,
        backends_dir=backends, planning=Planning(done=heard.append),
    )  # fmt: skip
    assert state.state == "finished"
    (told,) = heard
    reader = RunReader.open(folder)
    assert RunPlan.from_record(reader.order.plan) == told
    assert reader.terms.shots == told.choice.shots
    assert reader.terms.profile.shots == told.choice.shots
    assert (reader.terms.profile.k, reader.terms.profile.readout) == (1, told.choice.readout)

    card = status(folder)
    assert card.plan == told
    assert told.choice.describe() in repr(card)
    report = compare(folder, model=model, draws=0)
    (line,) = report.plans().to_dict("records")
    assert line["predicted AUC lost"] == told.choice.auc_loss
    assert line["AUC lost"] == -report.scores[-1].auc_difference.interval.value
    assert "at most" in str(plan_tables(report.planned)[0].rows[0][2])

    def never(*args, **kwargs):
        raise AssertionError("a run that was begun never plans")

    monkeypatch.setattr("qvit_qiskit.runs.planning.planner.Planner.plan", never)
    assert resume(folder, model, wait=True).state == "finished"


def test_what_cannot_be_reached_is_told(model, backends, monkeypatch):
    monkeypatch.setattr(candidates, "MOST", 16)
    with pytest.raises(JobError, match=r"No number of shots.*agreement = .*QPU seconds") as caught:
        made(model, backends, images(24), agreement=1.0)
    assert "\n" not in str(caught.value)
    monkeypatch.undo()
    with pytest.raises(JobError, match=r"over the budget of 2.01\..*larger budget_seconds"):
        made(model, backends, images(12), budget_seconds=2.01)


def test_mistakes(model, backends):
    with pytest.raises(JobError, match="between 0 and 1"):
        made(model, backends, images(4), tolerance=2.0)
    with pytest.raises(JobError, match="shots = 64 and an accuracy"):
        submit(model, images(4), "small", "nowhere", budget_seconds=9, shots=64, tolerance=0.1,
               backends_dir=backends)  # fmt: skip
    assert not Path("nowhere").exists()
    from qiskit.providers.fake_provider import GenericBackendV2

    with pytest.raises(RouteError, match="reports no errors"):
        check_calibrated(GenericBackendV2(5, noise_info=False))
    with pytest.raises(RouteError, match="kind 'aer'"):
        plan(model, images(4), "aer-exact")
