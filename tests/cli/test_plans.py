"""``qvit plan``: the answer first, a spec that can be sent, and mistakes in one sentence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from qvit_qiskit.cli import run
from qvit_qiskit.models import ViTConfig, build_model
from qvit_qiskit.runs.planning import search
from qvit_qiskit.runs.spec import load_spec
from qvit_qiskit.training import save_checkpoint

ROOT = Path(__file__).parents[2]
PROFILE = 'kind = "fake"\ndevice = "fake_manila"\nresilience_level = 0\nk = 1\nreadout = "gates"\n'
JOB = 'dataset = "phantom"\nsubset = 8\nbackend = "small"\nbudget_seconds = 600\n'


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name, draws in (("QUICK", 4), ("CLOSE", 4), ("LAST", 4)):
        monkeypatch.setattr(search, name, draws)
    model = build_model(ViTConfig(width=2, heads=1, patch_size=14), seed=0)
    save_checkpoint(tmp_path / "model.safetensors", model, {"dataset": "phantom"})
    (tmp_path / "backends").mkdir()
    (tmp_path / "backends" / "small.toml").write_text(PROFILE)
    (tmp_path / "job.toml").write_text(JOB + 'checkpoint = "model.safetensors"\n')
    return tmp_path


def test_the_answer_stands_first_and_the_spec_can_be_sent(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    order = ["plan", "job.toml", "--agreement", "0.5", "--out", "plan"]
    assert run(order) == 0
    out = capsys.readouterr().out
    assert "QPU seconds for 8 images on fake_manila" in " ".join(out.split())[:120]
    assert max(map(len, out.splitlines())) <= 80
    assert "→" in out
    spec = load_spec(place / "plan" / "planned.toml")
    record = json.loads((place / "plan" / "plan.json").read_text())
    chosen = record["choice"]
    assert (spec.shots, spec.k, spec.readout) == (chosen["shots"], 1, "gates")
    assert spec.tolerance is None
    assert (place / "plan" / "plan.svg").read_text().startswith("<?xml")
    price = ["estimate", "plan/planned.toml", "--checkpoint", "model.safetensors", "--json"]
    assert run(price) == 0
    assert json.loads(capsys.readouterr().out)["seconds"] == pytest.approx(chosen["seconds"])
    assert run(order) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert run([*order, "--overwrite", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["choice"] == chosen


def test_an_estimate_plans_where_shots_are_left_open(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "job.toml").write_text(JOB + "agreement = 0.5\n")
    order = ["estimate", "job.toml", "--checkpoint", "model.safetensors", "--json"]
    assert run(order) == 0
    told = json.loads(capsys.readouterr().out)
    assert "50.0%" in told["facts"]["planned for"]
    assert run([*order, "--set", "shots=64", "--set", "agreement=0.5"]) == 2
    assert "exclude each other" in capsys.readouterr().err


def test_an_accuracy_may_be_asked_of_submit_and_estimate(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "job.toml").write_text(JOB + 'checkpoint = "model.safetensors"\nshots = 4096\n')
    assert run(["estimate", "job.toml", "--agreement", "0.5", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["facts"]
    assert run(["submit", "job.toml", "--agreement", "0.5", "--run", "r", "--wait", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["plan"]["chosen"] == told["chosen"]
    assert run(["status", "r"]) == 0
    assert "planned for" in capsys.readouterr().out
    order = ["submit", "job.toml", "--tolerance", "7", "--run", "s"]
    assert run(order) == 2
    assert "between 0 and 1" in capsys.readouterr().err
    assert not (place / "s").exists()


@pytest.mark.parametrize(
    ("options", "fragment"),
    [
        (["--tolerance", "2"], "tolerance"),
        (["--agreement", "0"], "agreement"),
        (["--tolerance", "0.5", "--set", "budget_seconds=2.001"], "over the budget of 2.001"),
        (["--set", "tolerence=0.1"], "Did you mean 'tolerance'?"),
        (["--out", "job.toml"], "job.toml is a file"),
    ],
)
def test_mistakes(
    place: Path, capsys: pytest.CaptureFixture[str], options: list[str], fragment: str
) -> None:
    assert run(["plan", "job.toml", *options]) == 2
    error = capsys.readouterr().err
    assert fragment in error
    assert "Traceback" not in error


def test_over_the_budget_copies_and_plans_are_ways_out(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "backends" / "wide.toml").write_text('kind = "fake"\ndevice = "fake_guadalupe"\n')
    job = JOB.replace("small", "wide").replace("600", "3") + 'checkpoint = "model.safetensors"\n'
    (place / "job.toml").write_text(job)
    assert run(["estimate", "job.toml", "--set", "shots=1024"]) == 2
    error = capsys.readouterr().err
    assert "copies side by side (k = " in error
    assert "qvit plan job.toml" in error
