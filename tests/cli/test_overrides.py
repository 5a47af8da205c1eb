"""``--set``: fields of a job spec or of its profile for one evaluation alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from qvit_qiskit.cli import run
from qvit_qiskit.cli.estimate import read_stated
from qvit_qiskit.models import ViTConfig, build_model
from qvit_qiskit.runs import Quiet
from qvit_qiskit.runs.job import read_written
from qvit_qiskit.runs.overrides import read_settings
from qvit_qiskit.runs.run_folder import RunFolder
from qvit_qiskit.training import save_checkpoint

JOB = """
dataset = "phantom"
subset = 4
backend = "fake-torino"
shots = 64
budget_seconds = 100
checkpoint = "model.safetensors"
"""


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    model = build_model(ViTConfig(patch_size=14, width=4, heads=2), seed=0)
    save_checkpoint(tmp_path / "model.safetensors", model, {"dataset": "phantom"})
    (tmp_path / "job.toml").write_text(JOB)
    return "job.toml"


def priced(capsys: pytest.CaptureFixture[str], *line: str) -> int:
    assert run(["estimate", *line, "--json"]) == 0
    return int(json.loads(capsys.readouterr().out)["executions"])


def test_settings_are_priced_as_if_they_stood_in_the_files(
    job: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert priced(capsys, job, "--set", "shots=128") == 2 * priced(capsys, job)
    packed = priced(capsys, job, "--set", "k=4", "--set", "subset=8")
    (tmp_path / "backends").mkdir()
    own = 'kind = "fake"\ndevice = "fake_torino"\nshots = 1024\nk = 4\n'
    (tmp_path / "backends" / "mine.toml").write_text(own)
    (tmp_path / "twin.toml").write_text(
        JOB.replace("fake-torino", "mine").replace("subset = 4", "subset = 8")
    )
    assert packed == priced(capsys, "twin.toml")
    assert packed == priced(capsys, job, "--set", "backend=mine", "--set", "subset = 8")


def test_a_run_keeps_its_settings(job: str, capsys: pytest.CaptureFixture[str]) -> None:
    line = ["submit", job, "--run", "run", "--wait", "--set", "k=3", "--set", "shots=16"]
    assert run(line) == 0, capsys.readouterr().err
    terms = RunFolder.open(Path("run")).terms
    assert (terms.profile.k, terms.shots, terms.profile.shots) == (3, 16, 1024)


QUIET = ["quiet_shots=8", "quiet_projections=[0, 1]"]


def test_an_accuracy_stands_in_place_of_quiet_projections(job: str) -> None:
    """As in that of shots: what a command asks to plan is planned."""
    both = [word for setting in QUIET for word in ("--set", setting)]
    asked = read_stated(QUIET, None, None)
    assert asked == {"quiet_shots": 8, "quiet_projections": [0, 1]}
    Path("quiet.toml").write_text(JOB + "quiet_shots = 8\nquiet_projections = [0, 1]\n")
    for spec, stated in (("quiet.toml", []), (job, both)):
        settings = read_stated(stated[1::2], None, None)
        assert read_written(Path(spec), settings=settings).spec.quiet == Quiet(8, (0, 1))
    planned = read_written(Path("quiet.toml"), settings=read_stated([], 0.1, None))
    assert planned.planned
    assert planned.spec.quiet is None


@pytest.mark.parametrize(
    ("settings", "fragment"),
    [
        (["shots"], "Expected KEY=VALUE"),
        (["=3"], "Expected KEY=VALUE"),
        (["shots="], "Expected KEY=VALUE"),
        (["shots=3", "shots=4"], "given twice"),
        (["shoots=3"], "Did you mean 'shots'"),
        (["shots=many"], "--set shots=many"),
        (["shots=0"], "--set shots=0"),
        (["k=0"], "--set k=0"),
        (["kind=aer"], "--set kind=aer"),
        (["resilience_level=7"], "--set resilience_level=7"),
        (["backend=fake-turin"], "Did you mean"),
        (["budget_seconds=inf"], "--set budget_seconds=inf"),
        (QUIET[:1], "belong together"),
        ([*QUIET, "shots=8"], "below the 8 shots"),
        ([*QUIET, "shots=auto"], "or state shots"),
        ([*QUIET, "tolerance=0.1", "shots=auto"], "remove these"),
        ([*QUIET, "anchor_rows=1"], "exclude control_rows, anchor_rows"),
        ([QUIET[0], "quiet_projections=0"], "a valid list"),
        ([QUIET[0], "quiet_projections=[6]"], "among 0 to 5"),
        (["quiet_shots=four", QUIET[1]], "--set quiet_shots=four"),
        (["quiet_shots=4.5", QUIET[1]], "quiet_shots: "),
    ],
)
@pytest.mark.parametrize("command", ["estimate", "submit"])
def test_mistakes(
    job: str, command: str, settings: list[str], fragment: str,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    options = [part for one in settings for part in ("--set", one)]
    assert run([command, job, *options]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    assert fragment in said
    assert not Path("runs").exists()


def test_values_are_toml_or_words() -> None:
    given = ["a=1", "b = 2.5", "c=true", "d=word", 'e="7"', "f=[1, 2]", "g=auto", "h=x=y"]
    assert read_settings(given) == {
        "a": 1, "b": 2.5, "c": True, "d": "word", "e": "7", "f": [1, 2], "g": "auto", "h": "x=y",
    }  # fmt: skip
