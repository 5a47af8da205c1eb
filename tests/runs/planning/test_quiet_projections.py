"""Quiet projections: their choice against all choices, their noise, and plans that have some."""

from __future__ import annotations

import json
from copy import deepcopy
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch

from qvit_qiskit import plan, save_checkpoint, submit
from qvit_qiskit.data import Split, load
from qvit_qiskit.devices.prices import Mitigation
from qvit_qiskit.devices.regions import bundled_device
from qvit_qiskit.hardware.run_reader import RunReader
from qvit_qiskit.inference.prediction import predict
from qvit_qiskit.models import ViTConfig, build_model
from qvit_qiskit.profile import FakeProfile
from qvit_qiskit.qnn import QuantumProjections
from qvit_qiskit.runs import RunPlan
from qvit_qiskit.runs.job import read_job
from qvit_qiskit.runs.planning import quiet_projections, search
from qvit_qiskit.runs.planning.copy_noise import CopyNoise
from qvit_qiskit.runs.planning.noisy_passes import NoisyPasses
from qvit_qiskit.runs.planning.plan_folder import planned_spec
from qvit_qiskit.runs.planning.plan_picture import draw_plan
from qvit_qiskit.runs.planning.planner import Planner
from qvit_qiskit.runs.planning.quiet_projections import Allocation, allocate, noise_by_projection
from qvit_qiskit.runs.planning.request import Accuracy
from qvit_qiskit.runs.spec import JobSpec

PROFILE = 'kind = "fake"\ndevice = "fake_manila"\nshots = "auto"\nresilience_level = 0\nk = 1\n'


@pytest.fixture(scope="module")
def model():
    made = build_model(ViTConfig(width=2, heads=1, patch_size=14), seed=1)
    logits = torch.from_numpy(predict(made, images().tensors()[0]))
    with torch.no_grad():
        made.head.bias.sub_(logits.median(dim=0).values)  # both answers, many of them close
    return made


def images(count: int = 24) -> Split:
    split = load("phantom").split("test")
    return Split(split.images[:count], split.labels[:count], num_classes=2)


def costs(noise: np.ndarray, quiet: tuple[int, ...], ratios: np.ndarray) -> np.ndarray:
    """Executions for the noise that one shot a row gives, as a part of those of equal shots."""
    part = np.where(np.isin(np.arange(len(noise)), quiet), ratios[:, None], 1.0)
    return np.asarray((noise / part).sum(axis=1) / noise.sum() * part.mean(axis=1))


@pytest.mark.parametrize("count", [3, 6])
def test_no_other_two_classes_are_cheaper(rng: np.random.Generator, count: int) -> None:
    for _ in range(20):
        noise = rng.exponential(size=count) ** 4
        best, ratios = 1.0, np.geomspace(1e-4, 1, 2000)
        for size in range(1, count):
            for quiet in combinations(range(count), size):
                best = min(best, costs(noise, quiet, ratios).min())
        chosen = allocate(noise)
        if chosen is None:
            assert best > quiet_projections.WORTH - 1e-3
        else:
            (found,) = costs(noise, chosen.projections, np.array([chosen.ratio]))
            assert found == pytest.approx(best, rel=1e-4)
            assert found < quiet_projections.WORTH


def test_equal_noise_and_none_leave_shots_equal() -> None:
    assert allocate(np.ones(6)) is None
    assert allocate(np.zeros(3)) is None
    assert allocate(np.ones(1)) is None


@pytest.mark.parametrize("level", [0, 1])
def test_shots_are_those_that_are_run(level: int) -> None:
    mitigation, allocation = Mitigation(level), Allocation((0, 1), 0.1)
    for shots in (8, 100, 640, 5000):
        split = allocation.at(shots, mitigation)
        if split is None:
            assert mitigation.executed(4) >= shots
            continue
        most, quiet = split
        assert mitigation.executed(quiet.shots) == quiet.shots
        assert mitigation.executed(most - quiet.shots) == most - quiet.shots
        assert most >= shots


@pytest.mark.parametrize("several", [False, True])
def test_the_noise_of_all_projections_is_that_of_each(monkeypatch, several: bool) -> None:
    """Small noise adds up; beside it draws of one projection's shots leave the others exact."""
    monkeypatch.setattr(quiet_projections, "LOOKS", 400)
    monkeypatch.setattr(quiet_projections, "SHOTS", 4096)
    # with two features a layer norm leaves signs alone, which small noise does not change
    model = build_model(ViTConfig(width=4, heads=2, patch_size=14), seed=0)
    if several:  # labels have answers of their own, also where all logits move together
        with torch.no_grad():
            model.head.weight[1] = model.head.weight[0]
    device = bundled_device("fake_manila")
    profile = FakeProfile(kind="fake", device="fake_manila", k=1)
    made = Planner(model, profile, device, Accuracy(0.01)).search(
        images(6).tensors()[0], several=several
    )
    layout = made.candidates.layout(made.candidates.most(0, "gates"))
    passes = NoisyPasses(made.subject, CopyNoise(layout, device.target, perfect=True), 0)
    each = noise_by_projection(passes, several=several)
    drawn = passes.logits(4096, range(400))
    if not several:
        drawn = drawn - drawn.mean(axis=-1, keepdims=True)
    assert each.sum() == pytest.approx(drawn.var(axis=0, ddof=1).mean(), rel=0.15, abs=0)
    assert (each > 1e-12).all()
    infinite = passes.logits([None] * 6, range(2))
    np.testing.assert_allclose(
        infinite, np.broadcast_to(made.subject.exact, infinite.shape), atol=1e-6
    )


def test_projections_that_share_rows_have_equal_shots(model) -> None:
    """Where K is Q nobody can say whose shots a row has."""
    device, tied = bundled_device("fake_manila"), deepcopy(model)
    (projections,) = (m for m in tied.modules() if isinstance(m, QuantumProjections))
    projections.key[0] = projections.query[0]
    profile = FakeProfile(kind="fake", device="fake_manila", k=1)
    tokens = images(4).tensors()[0]
    for one, equal in ((model, False), (tied, True)):
        made = Planner(one, profile, device, Accuracy(0.01)).search(tokens, several=False)
        assert (made.allocation is None) == equal


def test_a_plan_with_quiet_projections_is_what_is_run(model, tmp_path: Path, monkeypatch) -> None:
    """Planned, written as a spec, priced from it, and run: the same executions everywhere."""
    for name in ("QUICK", "CLOSE", "LAST"):
        monkeypatch.setattr(search, name, 6)
    (tmp_path / "small.toml").write_text(PROFILE)
    found = plan(model, images(12), "small", agreement=0.9, backends_dir=tmp_path)
    quiet = found.choice.quiet
    assert quiet is not None
    assert quiet.shots < found.choice.shots
    assert (
        f"{quiet.shots:,} for {len(quiet.projections)} quiet projections" in found.choice.describe()
    )
    assert RunPlan.from_record(json.loads(json.dumps(found.record()))) == found
    equal = plan(model, images(12), "small", agreement=0.9, backends_dir=tmp_path, equal_shots=True)
    assert equal.choice.quiet is None
    assert found.choice.seconds < equal.choice.seconds
    (mark,) = draw_plan(found).axes[0].texts
    assert mark.get_text() == f"{found.choice.shots:,} / {quiet.shots:,} shots, k = 1"
    stated = JobSpec(
        dataset="phantom", backend="small", budget_seconds=9, shots=99, quiet_shots=9,
        quiet_projections=(0,),
    )  # fmt: skip
    assert "quiet" not in planned_spec(equal, stated, tmp_path).split("dataset =")[1]
    assert f"quiet_shots = {quiet.shots}\n" in planned_spec(found, stated, tmp_path)

    done = submit(model, images(12), "small", tmp_path / "run", budget_seconds=600, wait=True,
                  agreement=0.9, backends_dir=tmp_path)  # fmt: skip
    terms = RunReader.open(tmp_path / "run").terms
    assert (terms.shots, terms.quiet) == (found.choice.shots, quiet)
    assert done.executions == found.choice.executions

    save_checkpoint(tmp_path / "best.safetensors", model, {})
    spec = "".join(f"{name} = {json.dumps(value)}\n" for name, value in found.settings().items())
    head = 'dataset = "phantom"\nsubset = 12\nbackend = "small"\nbudget_seconds = 600\n'
    (tmp_path / "job.toml").write_text(head + spec)
    job = read_job(tmp_path / "job.toml", tmp_path / "best.safetensors", tmp_path)
    assert job.price.estimate.executions == found.choice.executions
