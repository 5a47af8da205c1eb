"""`qvit compare`: finished runs and checkpoints, tables and files, and what it refuses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from qvit_qiskit.cli import run
from qvit_qiskit.data import load, stratified_subset
from qvit_qiskit.hardware.journal import Journal
from qvit_qiskit.models import ViTConfig, build_model
from qvit_qiskit.runs import submit
from qvit_qiskit.runs.run_folder import Source
from qvit_qiskit.training import save_checkpoint

FILES = [
    *("attribution.csv", "bias.csv", "comparison.json", "predictions.csv", "report.html"),
    *("table.csv", "verdicts.csv"),
]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two checkpoints and a finished run of one of them."""
    folder = tmp_path_factory.mktemp("compare")
    data = load("phantom")
    for seed in (0, 1):
        model = build_model(ViTConfig(patch_size=14, width=4, heads=2), seed=seed)
        save_checkpoint(
            folder / f"seed{seed}.safetensors", model, {"dataset": "phantom", "md5": data.md5}
        )
    model = build_model(ViTConfig(patch_size=14, width=4, heads=2), seed=0)
    told: dict[str, Any] = {"dataset": "phantom", "split": "test", "subset": 4}
    source = Source.of(stratified_subset(data.test, 4, 0), **told)
    checkpoint = folder / "seed0.safetensors"
    submit(
        model, source, "fake-torino", folder / "run", budget_seconds=99, shots=64, wait=True,
        checkpoint=checkpoint,
    )  # fmt: skip
    return folder


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables without folded cells."""
    monkeypatch.setenv("COLUMNS", "200")


def answer(capsys: pytest.CaptureFixture[str], *line: object) -> str:
    """What a command that must succeed prints."""
    assert run(["compare", *map(str, line)]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    return said.out


def test_a_run_becomes_tables_and_files(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same bytes from a copy of the folder that stands elsewhere."""
    text = answer(
        capsys, place / "run", "--draws", 4, "--details", "--no-figures", "--out", tmp_path / "one"
    )
    for part in ("rehearsal on fake_torino", "AUC", "agrees with exact", "KL divergence (nats)",
                 "USD", "interaction", "no bias of any", "a rehearsal costs"):  # fmt: skip
        assert part in text
    assert "hardware" not in text
    assert f"report: {tmp_path / 'one' / 'report.html'}" in text
    shutil.copytree(place / "run", tmp_path / "moved")
    answer(capsys, tmp_path / "moved", "--draws", 4, "--no-figures", "--out", tmp_path / "two")
    for name in FILES:
        one, two = ((tmp_path / folder / name).read_bytes() for folder in ("one", "two"))
        assert one == two, name
        assert str(tmp_path).encode() not in one
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == FILES
    table = pd.read_csv(tmp_path / "one" / "table.csv")
    found = json.loads((tmp_path / "one" / "comparison.json").read_text())
    assert list(table["rung"]) == [rung["rung"] for rung in found["rungs"]]
    shares = pd.read_csv(tmp_path / "one" / "attribution.csv")
    assert shares["share"].sum() == pytest.approx(1.0)


def test_a_run_is_read_once(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The journal is opened once, and of the files that it vouches for none is loaded twice."""
    opened, loaded, read = [], [], []
    begin, load, plain = Journal.open, Journal.load, Path.read_bytes

    def counted_open(folder: Path) -> Journal:
        opened.append(folder)
        return begin(folder)

    def counted_load(journal: Journal, name: str, sha256: str) -> bytes:
        loaded.append(name)
        return load(journal, name, sha256)

    def counted_read(path: Path) -> bytes:
        read.append(path.name)
        return plain(path)

    monkeypatch.setattr(Journal, "open", counted_open)
    monkeypatch.setattr(Journal, "load", counted_load)
    monkeypatch.setattr(Path, "read_bytes", counted_read)
    answer(capsys, place / "run", "--draws", 2, "--no-figures", "--out", tmp_path / "out")
    assert opened == [place / "run"]
    assert read.count("journal.jsonl") == 1
    twice = {name for name in loaded if loaded.count(name) > 1}
    assert {name.partition("/")[0] for name in twice} <= {"calibrations"}  # layers share them
    assert "predictions.npz" in loaded


def test_checkpoints_on_backends(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, two = (place / f"seed{seed}.safetensors" for seed in (0, 1))
    options = ["--subset", "8", "--draws", "3", "--json"]
    found = json.loads(answer(capsys, "--checkpoint", one, *options))
    assert [rung["rung"] for rung in found["rungs"]] == ["exact", "aer-shots", "aer-boston"]
    assert found["images"] == 8
    assert found["classes"] == ["benign-like", "malignant-like"]
    both = ["--checkpoint", one, "--checkpoint", two, "--backend", "aer-shots"]
    found = json.loads(answer(capsys, *both, *options))
    assert [(row["model"], row["metric"]) for row in found["models"]] == [
        ("2-seed1", "AUC"),
        ("2-seed1", "ACC"),
    ]
    several = found["comparisons"]
    assert [len(comparison["rungs"]) for comparison in several] == [2, 2]
    assert several[0]["facts"]["weights"] != several[1]["facts"]["weights"]


def test_files_of_several_checkpoints(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qvit_qiskit.comparison.page.page", lambda comparison: comparison.title)
    both = [f"--checkpoint={place}/seed{seed}.safetensors" for seed in (0, 1)]
    line = [*both, "--backend", "aer-shots", "--subset", "6", "--draws", "0"]
    text = answer(capsys, *line, "--no-figures", "--out", tmp_path / "out")
    assert "Exact rungs less that of 1-seed0" in text
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "1-seed0",
        "2-seed1",
        "models.csv",
    ]
    assert sorted(path.name for path in (tmp_path / "out" / "2-seed1").iterdir()) == FILES


def test_tables_outlive_a_page_that_cannot_be_drawn(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of training folders, whose checkpoints all have one name."""

    def broken(comparison: Any) -> str:
        raise RuntimeError("no such font")

    monkeypatch.setattr("qvit_qiskit.comparison.page.page", broken)
    line = ["compare", "--backend", "aer-shots", "--subset", "6", "--draws", "0"]
    for seed in (0, 1):
        (tmp_path / f"run{seed}").mkdir()
        shutil.copy(place / f"seed{seed}.safetensors", tmp_path / f"run{seed}/best.safetensors")
    line += ["--checkpoint", str(tmp_path / "run0")]
    line += ["--checkpoint", str(tmp_path / "run1/best.safetensors")]
    assert run([*line, "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr()
    assert "Scores, with 95 % intervals" in said.out
    assert "phantom (synthetic), run0: aer-shots against exact" in said.out
    assert "phantom (synthetic), run1: aer-shots against exact" in said.out
    assert said.err.startswith("error: Cannot draw the report")
    assert said.err.count("\n") == 1
    for name in ("1-run0", "2-run1"):
        left = sorted(path.name for path in (tmp_path / "out" / name).iterdir())
        assert left == [file for file in FILES if file != "report.html"]


@pytest.mark.parametrize(
    ("line", "fragment"),
    [
        ("", "Expected folders of finished runs, or --checkpoint"),
        ("nowhere", "is no run folder"),
        ("{run} --subset 3", "--subset has no effect"),
        ("{run} --split val", "--split has no effect"),
        ("{run} --dataset phantom", "--dataset has no effect"),
        ("{run} --draws 1", "at least two, but got 1"),
        ("{run} --backend aer-exat", "Did you mean"),
        ("{run} --backend ibm-boston", "costs QPU time"),
        ("{run} --checkpoint {one}", "weights are not those"),
        ("{run} --checkpoint {zero} --checkpoint {one}", "one checkpoint at most beside runs"),
        ("--checkpoint {one} --subset 1", "at least two images"),
        ("--checkpoint {one} --split tset", "Expected a split"),
        ("--checkpoint none.safetensors", "does not exist"),
        ("{run} --draws 0 --out {zero}", "Name another folder"),
        ("nowhere --out {zero}/below", "is no folder. Name another folder"),
    ],
)
def test_mistakes(
    place: Path, capsys: pytest.CaptureFixture[str], line: str, fragment: str
) -> None:
    places = {"run": place / "run"}
    places |= {"zero": place / "seed0.safetensors", "one": place / "seed1.safetensors"}
    assert run(["compare", *line.format(**places).split()]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert fragment in said
    assert said.count("\n") == 1


def test_checkpoints_of_two_sets(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    from qvit_qiskit import data

    other = replace(load("phantom"), name="other", md5="0")
    known = {"phantom": load("phantom"), "other": other}
    monkeypatch.setattr(data, "load", lambda name, *_, **__: known[name])
    model = build_model(ViTConfig(patch_size=14, width=4, heads=2), seed=0)
    save_checkpoint(tmp_path / "other.safetensors", model, {"dataset": "other", "md5": "0"})
    line = [f"--checkpoint={place}/seed0.safetensors", f"--checkpoint={tmp_path}/other.safetensors"]
    assert run(["compare", *line]) == 2
    assert "was trained on phantom and" in capsys.readouterr().err


def test_progress_is_for_terminals(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert run(["compare", str(place / "run"), "--draws", "0", "--json"]) == 0
    assert "comparing" in capsys.readouterr().err
