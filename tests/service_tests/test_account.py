"""Accounts, devices and secrets: `qvit backends check` and what is told when it fails."""

from __future__ import annotations

import json
import logging
import os
import traceback
from pathlib import Path

import pytest
from service.handle import Service

from qvit_qiskit.cli import run
from qvit_qiskit.ibm.account import connect, find_device
from qvit_qiskit.ibm.calls import Patience
from qvit_qiskit.models import ViTConfig, build_model
from qvit_qiskit.profile import IbmProfile, load_profile
from qvit_qiskit.training import save_checkpoint


def profile(folder: Path, text: str = "") -> str:
    path = folder / "mine.toml"
    path.write_text(f'kind = "ibm"\nshots = 16\n{text}')
    return str(path)


def test_check(service: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = len(service.jobs())
    service.configure(queues={"ibm_boston": 7}, consumed=100.0)
    name = profile(tmp_path, 'device = "ibm_boston"\ninstance = "loopback-open"')
    assert run(["backends", "check", name, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["device"], found["qubits"], found["queue"]) == ("ibm_boston", 156, 7)
    assert (found["plan"], found["left_seconds"]) == ("open", 500.0)
    assert found["rep_delay"] == 250e-6
    assert found["devices"] == ["ibm_boston", "ibm_fez", "ibm_torino"]
    assert len(service.jobs()) == before
    assert run(["backends", "check", name]) == 0
    assert "500 s left" in capsys.readouterr().out


def test_a_calibration_is_saved_and_simulated(
    service: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The live device's errors as a profile's noise, afterwards without the service."""
    name = profile(tmp_path, 'device = "ibm_torino"')
    assert run(["backends", "check", name, "--save", str(tmp_path / "torino.txt")]) == 2
    assert ".json file" in capsys.readouterr().err
    assert run(["backends", "check", name, "--save", str(tmp_path / "torino.json")]) == 0
    assert "as noise" in capsys.readouterr().out
    (tmp_path / "noisy.toml").write_text('kind = "aer"\nnoise = "torino.json"')
    assert run(["backends", "show", str(tmp_path / "noisy.toml"), "--qubits", "2"]) == 0
    assert "ibm_torino, qubits" in capsys.readouterr().out


def test_a_device_under_maintenance(
    service: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    service.configure(offline=["ibm_torino"])
    name = profile(tmp_path, 'device = "ibm_torino"')
    assert run(["backends", "check", name]) == 0
    assert "not operational" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "variables", "fragment"),
    [
        ('device = "ibm_bosten"', {}, "no such device"),
        ('device = "ibm_boston"', {"QISKIT_IBM_TOKEN": "wrong"}, "Check the API key"),
        ('device = "ibm_boston"\ninstance = "other"', {}, "instance"),
        ('device = "ibm_boston"\naccount = "nobody"', {}, "No IBM Quantum account was found"),
        ('device = "least-busy"\nfamily = "Eagle"', {}, "device"),
    ],
)
def test_refusals(
    service: Service,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    text: str,
    variables: dict[str, str],
    fragment: str,
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for key, value in variables.items():
        monkeypatch.setenv(key, value)
    assert run(["backends", "check", profile(tmp_path, text), "--patience", "20"]) == 2
    told = capsys.readouterr().err
    assert fragment in told
    assert told.count("\n") == 1


def test_no_account_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in list(os.environ):
        if name.startswith("QISKIT_IBM"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    name = profile(tmp_path, 'device = "ibm_boston"\naccount = "mine"')
    assert run(["backends", "check", name, "--patience", "20"]) == 2
    assert "Save one with" in capsys.readouterr().err


def test_a_service_that_fails_exits_with_one(
    service: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    service.inject("status", call="GET /instances/usage", code=503, count=None)
    name = profile(tmp_path, 'device = "ibm_boston"')
    assert run(["backends", "check", name, "--patience", "3"]) == 1
    assert "try again later" in capsys.readouterr().err


def test_profiles_of_other_kinds_need_no_account(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["backends", "check", "aer-exact"]) == 2
    assert "needs no account" in capsys.readouterr().err


def test_the_least_busy_device_that_the_filters_admit(service: Service, tmp_path: Path) -> None:
    service.configure(queues={"ibm_boston": 9, "ibm_fez": 3, "ibm_torino": 1})
    patience = Patience.of(20)
    for text, expected in (("", "ibm_torino"), ("min_qubits = 140", "ibm_fez")):
        path = profile(tmp_path, f'device = "least-busy"\n{text}')
        loaded = load_profile(Path(path))
        assert isinstance(loaded, IbmProfile)
        client = connect(loaded, patience)
        assert find_device(client, loaded, patience).name == expected


def test_a_mock_device_is_refused(service: Service, tmp_path: Path) -> None:
    name = profile(tmp_path, 'device = "mock_torino"')
    assert run(["backends", "check", name, "--patience", "20"]) == 2


@pytest.mark.parametrize("accepted", [True, False])
def test_no_token_in_any_file_log_or_traceback(
    service: Service,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    accepted: bool,
) -> None:
    secret = os.environ["QISKIT_IBM_TOKEN"] if accepted else "top-secret-api-key"
    monkeypatch.setenv("QISKIT_IBM_TOKEN", secret)
    monkeypatch.chdir(tmp_path)
    caplog.set_level(logging.DEBUG)
    save_checkpoint(tmp_path / "m.safetensors", build_model(ViTConfig(patch_size=14), seed=0), {})
    (tmp_path / "job.toml").write_text(
        'dataset = "phantom"\nsubset = 2\nbackend = "mine.toml"\nbudget_seconds = 10\n'
    )
    profile(tmp_path, 'device = "ibm_torino"')
    command = ["submit", "job.toml", "--checkpoint", "m.safetensors", "--run", "run", "--wait"]
    code = run([*command, "--patience", "20"])
    assert code == (0 if accepted else 2)
    try:
        connect(IbmProfile(kind="ibm", device="ibm_torino"), Patience.of(20))
    except Exception:
        text = traceback.format_exc()
    else:
        text = ""
    output = capfd.readouterr()
    assert secret not in output.out + output.err + text
    for record in caplog.records:
        if record.name.startswith("qvit"):
            assert secret not in record.getMessage()
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(path.name == "journal.jsonl" for path in files)
    for path in files:
        assert secret.encode() not in path.read_bytes(), path
