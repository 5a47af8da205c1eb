"""Stored things of a later version, and with numbers that no version wrote: refused, untouched."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors import safe_open
from safetensors.torch import save_file

from qvit_qiskit.cli import run

Stored = Callable[[str], dict[str, Any]]
Change = Callable[[dict[str, Any], object], None]
MISSING = object()
LATER = 7


def number(record: dict[str, Any], value: object) -> None:
    """Give a record that number, or none."""
    record.pop("format", None)
    if value is not MISSING:
        record["format"] = value


def in_json(path: Path, value: object) -> None:
    record = json.loads(path.read_text())
    number(record, value)
    path.write_text(json.dumps(record))


def in_journal(path: Path, value: object) -> None:
    first, rest = path.read_text().split("\n", 1)
    record = json.loads(first)
    number(record, value)
    path.write_text(f"{json.dumps(record)}\n{rest}")


def in_checkpoint(path: Path, value: object) -> None:
    with safe_open(path, framework="pt") as file:
        metadata = dict(file.metadata())
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    number(metadata, f"qvit-checkpoint-{value}" if isinstance(value, int) else value)
    save_file(tensors, path, metadata)


PROFILE = 'kind = "aer"\nnoise = "device.json"\n'


def calibrated() -> Path:
    """A calibration file, and a profile that names it."""
    Path("noisy.toml").write_text(PROFILE)
    (found,) = Path("run/calibrations").glob("*.json")
    return found.rename("device.json")


RESULT = "study/cells/1901511bd3be92301d70ac3850f9ea2a/result.json"
KINDS: dict[str, tuple[str, Callable[[object], None], list[list[str]]]] = {
    "run folder": (
        "finished",
        lambda value: in_journal(Path("run/journal.jsonl"), value),
        [["status", "run"], ["resume", "run"], ["cancel", "run"], ["compare", "run"]],
    ),
    "checkpoint": (
        "checkpoints",
        lambda value: in_checkpoint(Path("vit.safetensors"), value),
        [["evaluate", "vit.safetensors", "--backend", "aer-exact", "--dataset", "phantom"]],
    ),
    "training folder": (
        "training",
        lambda value: in_json(Path("plain/train.json"), value),
        [["train", "--resume", "plain"]],
    ),
    "study folder": (
        "study",
        lambda value: in_json(Path("study/plan.json"), value),
        [
            ["study", "tiny.toml", "--out", "study", "--workers", "1"],
            ["study", "tiny.toml", "--out", "study", "--tables", "tables"],
        ],
    ),
    "study folder, by a result": (
        "study",
        lambda value: in_json(Path(RESULT), value),
        [["study", "tiny.toml", "--out", "study", "--workers", "1"]],
    ),
    "frozen configuration": (
        "study",
        lambda value: in_json(Path("chosen.json"), value),
        [["study", "tiny.toml", "--freeze"]],
    ),
    "calibration file": (
        "finished",
        lambda value: in_json(Path("device.json"), value),
        [["evaluate", "run/checkpoint.safetensors", "--backend", "noisy.toml", "--subset", "2"]],
    ),
}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest, stored: Stored) -> str:
    """A kind of stored thing, a copy of which is at hand."""
    name: str = request.param
    stored(KINDS[name][0])
    if name == "calibration file":
        calibrated()
    if name == "frozen configuration":
        assert run(["study", "tiny.toml", "--freeze"]) == 0
    return name


def files() -> dict[str, str]:
    """Every file here, with what is in it."""
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in Path().rglob("*")
        if path.is_file()
    }


def refused(name: str, value: object, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What the commands say of a stored thing with that number; they exit with 2, write nothing."""
    _, change, commands = KINDS[name]
    change(value)
    before, said = files(), []
    capsys.readouterr()
    for command in commands:
        assert run(command) == 2, (command, value)
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        assert files() == before
        said.append(" ".join(err.split()))
    return said


def test_a_later_one_is_refused_with_the_way_out(
    kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for said in refused(kind, LATER, capsys):
        assert f"{kind.partition(',')[0]} of format {LATER}" in said
        assert "reads formats up to 1" in said
        assert "Upgrade qvit-qiskit" in said


@pytest.mark.parametrize("value", [0, "two", "1"])
def test_a_number_that_no_version_wrote_is_refused(
    kind: str, value: object, capsys: pytest.CaptureFixture[str]
) -> None:
    for said in refused(kind, value, capsys):
        assert "Expected a" in said
        assert "format" in said


@pytest.mark.parametrize("kind", ["run folder", "checkpoint"], indirect=True)
def test_what_always_bore_a_number_must_bear_one(
    kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for said in refused(kind, MISSING, capsys):
        assert f"Expected a {kind}" in said


@pytest.mark.parametrize("kind", ["frozen configuration", "calibration file"], indirect=True)
@pytest.mark.parametrize("value", [MISSING, 1])
def test_what_bore_none_at_first_may_lack_it(kind: str, value: object) -> None:
    """The stored trainings and studies bear none, and other tests go on with them."""
    _, change, commands = KINDS[kind]
    change(value)
    assert run(commands[0]) == 0
