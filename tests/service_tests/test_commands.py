"""`qvit submit`, `status`, `resume` and `cancel` against the loopback service."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from service.handle import Service

from qvit_qiskit.cli import run
from qvit_qiskit.data import load, stratified_subset
from qvit_qiskit.inference.prediction import predict
from qvit_qiskit.models import ViTConfig, build_model
from qvit_qiskit.training import save_checkpoint

FAST = ["--patience", "20"]


@pytest.fixture
def job(service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a profile, a checkpoint of two quantum layers, and a job spec."""
    monkeypatch.chdir(tmp_path)
    model = build_model(ViTConfig(patch_size=14, depth=2), seed=0)
    save_checkpoint(tmp_path / "model.safetensors", model, {"dataset": "phantom"})
    (tmp_path / "mine.toml").write_text('kind = "ibm"\ndevice = "ibm_torino"\nshots = 2048\n')
    path = tmp_path / "job.toml"
    path.write_text(
        'dataset = "phantom"\nsubset = 2\nbackend = "mine.toml"\nbudget_seconds = 100\n'
        'checkpoint = "model.safetensors"\n'
    )
    return path


def told(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    return json.loads(capsys.readouterr().out)


def test_submit_and_resume_layer_by_layer(
    service: Service, job: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    service.configure(noiseless=True)
    service.hold()
    before = len(service.jobs())
    assert run(["submit", str(job), "--run", "run", "--json", *FAST]) == 0
    sent = told(capsys)
    assert (sent["state"], sent["stage"], sent["stages"]) == ("sent", 1, 2)
    assert len(service.jobs()) == before + 1

    assert run(["resume", "run", "--json", *FAST]) == 0  # nothing is done yet
    assert told(capsys)["jobs_done"] == 0
    assert len(service.jobs()) == before + 1

    service.hold(False)
    service.wait_idle()
    assert run(["resume", "run", "--json", *FAST]) == 0
    assert told(capsys)["stage"] == 2
    assert run(["resume", "run", "--wait", "--json", *FAST]) == 0
    done = told(capsys)
    assert done["state"] == "finished"
    assert len(service.jobs()) == before + 2
    billed = sum(j["charged"] for j in service.jobs()[before:])
    assert done["spent_seconds"] == pytest.approx(billed)

    model = build_model(ViTConfig(patch_size=14, depth=2), seed=0)
    images, _ = stratified_subset(load("phantom").split("test"), 2, 0).tensors()
    with np.load(job.parent / "run" / "predictions.npz") as found:
        np.testing.assert_allclose(found["logits"], predict(model, images), atol=0.05)

    assert run(["status", "run"]) == 0
    assert "finished" in capsys.readouterr().out
    assert run(["resume", "run", "--json", *FAST]) == 0  # a finished run stays as it is
    assert told(capsys)["state"] == "finished"
    assert len(service.jobs()) == before + 2


def test_submit_prints_the_price_and_the_profile_first(
    service: Service, job: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["submit", str(job), "--run", "run", *FAST]) == 0
    out = capsys.readouterr().out
    assert out.index("QPU time") < out.index("quantum layer")
    assert "mine.toml" in out
    assert "expected" in out


def test_cancel_and_resume(service: Service, job: Path, capsys: pytest.CaptureFixture[str]) -> None:
    service.hold()
    assert run(["submit", str(job), "--run", "run", *FAST]) == 0
    capsys.readouterr()
    assert run(["cancel", "run", "--json", *FAST]) == 0
    assert told(capsys)["cancelled"] == 1
    assert service.jobs()[-1]["status"] == "Cancelled"
    assert run(["status", "run", "--json"]) == 0
    assert told(capsys)["state"] == "cancelled"
    service.hold(False)
    for _ in range(3):  # the first look finds the cancelled job, the next sends it again
        code = run(["resume", "run", "--wait", "--json", *FAST])
        if code == 0:
            break
        assert "was cancelled" in capsys.readouterr().err
    assert told(capsys)["state"] == "finished"


def test_a_budget_is_a_stop(
    service: Service, job: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The device itself is slower than the snapshot it was priced on."""
    job.write_text(job.read_text().replace("= 100", "= 29"))
    (job.parent / "mine.toml").write_text(
        'kind = "ibm"\ndevice = "ibm_torino"\nshots = 2048\npriced_as = "fake_boston"\n'
    )
    before = len(service.jobs())
    assert run(["submit", str(job), "--run", "run", *FAST]) == 2
    assert "budget of 29" in capsys.readouterr().err
    assert len(service.jobs()) == before


def test_bad_runs(service: Service, job: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (job.parent / "empty").mkdir()
    (job.parent / "full").mkdir()
    (job.parent / "full" / "x").touch()
    cases = [
        (["status", "nowhere"], "is no run folder"),
        (["resume", "empty"], "is no run folder"),
        (["cancel", "empty"], "is no run folder"),
        (["submit", str(job), "--run", "full"], "is not empty"),
        (["submit", "nowhere.toml"], "does not exist"),
        (["resume", "empty", "--budget", "0"], "above 0"),
    ]
    for arguments, fragment in cases:
        assert run(arguments) == 2
        err = capsys.readouterr().err
        assert fragment in err
        assert err.count("\n") == 1


def test_a_rehearsal_takes_the_same_path(
    job: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    job.write_text(job.read_text().replace("mine.toml", "fake-torino"))
    monkeypatch.delenv("QISKIT_IBM_TOKEN")
    assert run(["submit", str(job), "--run", "run", "--wait", "--json"]) == 0
    done = told(capsys)
    assert (done["state"], done["spent_seconds"]) == ("finished", 0.0)
    assert run(["status", "run", "--json"]) == 0
    assert told(capsys) == done


def test_private_jobs_are_marked_and_their_inputs_dropped(
    service: Service, job: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    service.configure(noiseless=True)
    before = len(service.jobs())
    with (job.parent / "mine.toml").open("a") as profile:
        profile.write("private = true\n")
    assert run(["submit", str(job), "--run", "run", "--wait", "--json", *FAST]) == 0
    assert told(capsys)["state"] == "finished"
    assert [one["private"] for one in service.jobs()[before:]] == [True, True]
