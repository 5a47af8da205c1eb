"""``qvit estimate``: offline, checked against the arithmetic, and a stop at the budget."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from qvit_qiskit.cli import run
from qvit_qiskit.models import ViTConfig, build_model
from qvit_qiskit.training import save_checkpoint

ROOT = Path(__file__).parents[2]


@pytest.fixture
def checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "model.safetensors"
    save_checkpoint(path, build_model(ViTConfig(), seed=0), {"dataset": "phantom"})
    return path


def spec(folder: Path, **changes: object) -> Path:
    values = {
        "dataset": "phantom", "subset": 4, "backend": "ibm-boston", "shots": 64,
        "budget_seconds": 10,
    } | changes  # fmt: skip
    path = folder / "job.toml"
    path.write_text("\n".join(f"{k} = {json.dumps(v)}" for k, v in values.items()))
    return path


@pytest.mark.check
def test_hello_hardware_costs_under_ten_seconds(
    checkpoint: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_network(*args: object) -> None:
        raise AssertionError("an estimate must not touch the network")

    monkeypatch.setattr(socket.socket, "connect", no_network)
    job = str(ROOT / "jobs" / "hello-hardware.toml")
    assert run(["estimate", job, "--checkpoint", str(checkpoint), "--json"]) == 0
    priced = json.loads(capsys.readouterr().out)
    assert "90.0%" in priced["facts"]["planned for"]
    assert priced["seconds"] < 10


def test_without_copies_every_row_is_executed(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job = str(spec(tmp_path))
    assert run(["estimate", job, "--checkpoint", str(checkpoint), "--json"]) == 0
    priced = json.loads(capsys.readouterr().out)
    rows = 4 * 3 * 2 * 16  # images, projections, heads, tokens
    assert priced["executions"] == rows * 64
    assert priced["seconds"] == pytest.approx(2 + rows * 64 * 254e-6, rel=0.01)


def test_table(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    job = spec(tmp_path, checkpoint="model.safetensors")
    assert run(["estimate", str(job)]) == 0
    out = capsys.readouterr().out
    assert "24,576" in out
    assert "ibm-boston.toml" in out.replace("\n", "")


def test_anchors_are_in_the_price_and_told_where_there_are_any(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = []
    for rows in (0, 5):
        job = spec(tmp_path, checkpoint="model.safetensors", anchor_rows=rows)
        assert run(["estimate", str(job), "--json"]) == 0
        found.append(json.loads(capsys.readouterr().out))
    plain, anchored = found
    assert anchored["executions"] - plain["executions"] == 5 * 64
    line = "of them for anchor rows"
    assert line not in plain["facts"]
    assert anchored["facts"][line] == "320, again in every job"


@pytest.mark.parametrize(
    ("changes", "fragment"),
    [
        ({"shots": 1024}, "It would fit with shots = "),
        ({"backend": "aer-boston"}, "costs no QPU time"),
        ({"subset": 4000}, "has 200 images in its test split"),
        ({"split": "tset"}, "expected one of train, val, test"),
        ({"dataset": "retinamnist"}, "Train a model on it first"),
        ({"anchor_rows": 400}, "It would fit with shots = "),
        ({"anchor_rows": -2}, "anchor_rows: Input should be greater than or equal to 0"),
        ({"budget_seconds": 1.5}, "It needs a larger budget_seconds"),
        ({"backend": "ibm-bostn"}, "Did you mean 'ibm-boston'?"),
    ],
)
def test_refusals(
    checkpoint: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    changes: dict[str, object],
    fragment: str,
) -> None:
    job = spec(tmp_path, **changes)
    assert run(["estimate", str(job), "--checkpoint", str(checkpoint)]) == 2
    assert fragment in capsys.readouterr().err


def test_what_an_over_budget_message_promises_holds(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import re

    assert run(["estimate", str(spec(tmp_path, shots=640)), "--checkpoint", str(checkpoint)]) == 2
    match = re.search(r"shots = (\d+)", capsys.readouterr().err)
    assert match
    fits = spec(tmp_path, shots=int(match[1]))
    assert run(["estimate", str(fits), "--checkpoint", str(checkpoint)]) == 0


def test_no_checkpoint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["estimate", str(spec(tmp_path))]) == 2
    assert "--checkpoint" in capsys.readouterr().err


def test_a_profile_that_hides_a_packaged_one_is_refused(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "backends").mkdir()
    text = (ROOT / "backends" / "ibm-boston.toml").read_text()
    (tmp_path / "backends" / "ibm-boston.toml").write_text(text)
    job = spec(tmp_path)
    arguments = ["estimate", str(job), "--checkpoint", str(checkpoint)]
    assert run(arguments) == 2
    assert "--backends-dir" in capsys.readouterr().err
    assert run([*arguments, "--backends-dir", str(tmp_path / "backends")]) == 0


def test_evaluate_refuses_hardware_and_names_submit(
    checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["evaluate", str(checkpoint), "--backend", "ibm-boston"]) == 2
    assert "qvit submit" in capsys.readouterr().err


def test_profiles_hold_no_secrets(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (ROOT / "backends" / "ibm-boston.toml").read_text()
    for key in ("token", "url", "proxies", "channel"):
        path = tmp_path / "leak.toml"
        path.write_text(text + f'{key} = "x"\n')
        assert run(["backends", "show", str(path)]) == 2
        assert f"Unknown key '{key}'" in capsys.readouterr().err
