"""The probable price of adaptive shots: against loops over images, and against runs themselves."""

import json
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from qvit_qiskit import ViTConfig, build_model, load, save_checkpoint, submit
from qvit_qiskit.cli import run
from qvit_qiskit.devices.prices import Mitigation, Timing
from qvit_qiskit.hardware.run_reader import RunReader
from qvit_qiskit.hardware.shot_shares import Adaptive
from qvit_qiskit.runs.adaptive.expected_price import REPEATS, expected_price
from qvit_qiskit.runs.planning.chip_layout import Arrangement, ChipLayout, PricedRows
from qvit_qiskit.statistics.stopping import StoppingRule, certainty


@dataclass
class Drawn:
    """Passes with a normal noise that is known: one image is sure, the others less and less."""

    limits: np.ndarray  # shape: (n, 2)
    deviation: float  # of a logit, from one shot a row

    def logits(self, shots: int | None, draws: range) -> np.ndarray:
        out = np.broadcast_to(self.limits, (len(draws), *self.limits.shape)).copy()
        for place, draw in enumerate(draws):
            if shots is not None:
                rng = np.random.default_rng([shots, draw])
                out[place] += self.deviation / shots**0.5 * rng.normal(size=self.limits.shape)
        return out


def layout(images: int, copies: int = 2) -> ChipLayout:
    rows = PricedRows((12 * images,), 60.0)
    timing = Timing("device", 250e-6, 4e-6)
    return ChipLayout(Arrangement(copies), [], (((),),), timing, Mitigation(0), rows)


def spent(passes: Drawn, rule: StoppingRule, rng: np.random.Generator) -> np.ndarray:
    """Images asked in each share of one run, image by image."""
    asked = np.zeros(len(rule.sizes), int)
    for truth in passes.limits:
        total, sums = 0, np.zeros(2)
        for share, size in enumerate(rule.sizes):
            asked[share] += 1
            sums += size * truth + size**0.5 * passes.deviation * rng.normal(size=2)
            total += size
            noise = passes.deviation**2 / total * np.eye(2)
            if certainty(sums / total, noise) >= rule.level:
                break
    return asked


def test_loops_over_images_cost_as_much(rng):
    gaps = np.concatenate([np.linspace(0.02, 2, 39), [0.0]])
    passes = Drawn(np.stack([gaps, np.zeros(40)], axis=1), 3.0)
    rule = StoppingRule.doubling(16, 256, 0.95)
    found = expected_price(passes, layout(40), rule, several=False, seed=int(rng.integers(2**31)))
    executions, shots = [], []
    for _ in range(400):
        asked = spent(passes, rule, rng)
        executions.append(sum(6 * n * size for n, size in zip(asked, rule.sizes, strict=True)))
        shots.append(sum(n * size for n, size in zip(asked, rule.sizes, strict=True)) / 40)
    # the noise is learned from as many draws as there are repeats: both have an error
    error = 4 * np.std(executions) / REPEATS**0.5 + 0.03 * np.mean(executions)
    assert found.executions == pytest.approx(np.mean(executions), abs=error)
    assert found.shots == pytest.approx(np.mean(shots), rel=0.1)
    assert found.low < found.seconds < found.high
    assert 0.5 < found.unsettled < 40


def test_a_single_share_is_the_price_itself(rng):
    passes = Drawn(rng.normal(size=(7, 2)), 1.0)
    where = layout(7)
    found = expected_price(passes, where, StoppingRule.doubling(32, 32, 0.95), several=False)
    exact = where.price(32)
    assert (found.low, found.seconds, found.high) == pytest.approx((exact.seconds,) * 3)
    assert (found.executions, found.shots) == (exact.executions, 32)
    sure = expected_price(
        replace(passes, limits=np.array([[9.0, 0.0]] * 7)), where,
        StoppingRule.doubling(32, 1024, 0.95), several=False,
    )  # fmt: skip
    assert (sure.executions, sure.unsettled) == (exact.executions, 0)


@pytest.fixture
def checkpoint(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = build_model(ViTConfig(width=2, heads=1, patch_size=14), seed=0)
    save_checkpoint(tmp_path / "model.safetensors", model, {"dataset": "phantom"})
    return model


def write(folder, **changes: Any) -> str:
    values = {
        "dataset": "phantom", "backend": "fake-torino", "checkpoint": "model.safetensors",
        "adaptive": True, "first_shots": 8, "shots": 64, "budget_seconds": 300,
    } | changes  # fmt: skip
    (folder / "job.toml").write_text("\n".join(f"{k} = {json.dumps(v)}" for k, v in values.items()))
    return str(folder / "job.toml")


@pytest.mark.check
def test_runs_cost_what_is_expected(checkpoint, tmp_path, capsys):
    """Rehearsals on the same calibration: shares, executions and QPU seconds of three runs."""
    assert run(["estimate", write(tmp_path), "--json"]) == 0
    expected = json.loads(capsys.readouterr().out)["expected"]
    costs = []
    for seed in range(3):
        place = tmp_path / f"run{seed}"
        submit(
            checkpoint, load("phantom").test, "fake-torino", place, shots=64, budget_seconds=300.0,
            adaptive=Adaptive(8, 0.95), wait=True, settings={"seed": seed},
        )  # fmt: skip
        costs.append(RunReader.open(place).planned_seconds)
    assert expected["low"] < expected["high"] < 300
    spread = expected["high"] - expected["low"]
    assert np.mean(costs) == pytest.approx(expected["seconds"], abs=spread)


def test_without_images_the_rest_is_told(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("QVIT_DATA_ROOT", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))  # where downloads lie
    job = write(tmp_path, dataset="breastmnist", checkpoint="zoo:qvit-breastmnist", subset=4)
    assert run(["estimate", job, "--json", "--data-root", str(tmp_path)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["expected"] is None
    assert told["facts"]["expected"].startswith("not known: ")
    assert told["first_share_seconds"] < told["seconds"]


def test_no_run_is_expected_to_cost_more_than_the_most(checkpoint, tmp_path, capsys):
    """Each of four shares has jobs, and so seconds, of its own."""
    assert run(["estimate", write(tmp_path, subset=2, certainty=0.999999), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["jobs"] == 4
    assert told["executions"] == 2 * 12 * 64
    assert told["expected"]["high"] == pytest.approx(told["seconds"])


def test_equal_shots_have_no_expectation(checkpoint, tmp_path, capsys):
    assert run(["estimate", write(tmp_path, adaptive=False, subset=4), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert "expected" not in told
    assert "expected" not in told["facts"]


def test_circuits_that_cannot_be_followed_leave_the_rest_told(checkpoint, tmp_path, capsys):
    model = build_model(ViTConfig(width=16, heads=1, patch_size=14, circuit="ry-ring"), seed=0)
    save_checkpoint(tmp_path / "wide.safetensors", model, {"dataset": "phantom"})
    job = write(tmp_path, checkpoint="wide.safetensors", subset=2)
    assert run(["estimate", job, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["expected"] is None
    assert "depend on few qubits" in told["facts"]["expected"]
