"""Anchor rows on the loopback service: paid as estimated, and a device that changes is seen."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from service.handle import Service
from service_tests.victim import Audit, patience

from qvit_qiskit.cli import run as qvit
from qvit_qiskit.data import Split, load, stratified_subset
from qvit_qiskit.devices import prices as cost
from qvit_qiskit.exceptions import JobError
from qvit_qiskit.hardware.events import Intent
from qvit_qiskit.hardware.journal import Journal
from qvit_qiskit.hardware.terms import Terms
from qvit_qiskit.models import ViT, ViTConfig, build_model
from qvit_qiskit.runs import price, read_results, resume, submit
from qvit_qiskit.runs.run_folder import RunFolder

SHOTS, ANCHORS, SIGMAS = 1024, 4, 5.0


@pytest.fixture
def model() -> ViT:
    return build_model(ViTConfig(patch_size=14), seed=0)


@pytest.fixture
def images() -> Split:
    """24 rows."""
    return stratified_subset(load("phantom").test, 1, 0)


@pytest.fixture
def profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A profile's file; its jobs may be as short as they are asked to be."""
    monkeypatch.setattr(cost, "MERGE_SECONDS", 0.0)
    path = tmp_path / "mine.toml"
    path.write_text(f'kind = "ibm"\ndevice = "ibm_torino"\nshots = {SHOTS}\n')
    return str(path)


@pytest.mark.parametrize("keys", ["", "resilience_level = 1\nk = 4\nbuffer = 1\n"])
def test_what_is_executed_and_billed_is_what_was_estimated(
    service: Service, profile: str, tmp_path: Path, model: ViT, images: Split, keys: str
) -> None:
    with Path(profile).open("a") as stream:
        stream.write(keys)
    audit, loss = Audit(service), 0.031 if keys else 0.055
    done = submit(
        model, images, profile, tmp_path / "run",
        budget_seconds=100, max_loss=loss, anchor_rows=ANCHORS, wait=True, patience=patience(),
    )  # fmt: skip
    jobs = audit.jobs()
    assert len(jobs) > 2
    assert done.executions == sum(job["executions"] for job in jobs)
    charged = sum(job["charged"] for job in jobs)
    planned = [each.seconds for each in Journal.open(tmp_path / "run").of(Intent)]
    assert sum(planned) == pytest.approx(charged, rel=0.05)
    assert max(planned) <= loss * 100
    terms = RunFolder.open(tmp_path / "run").terms
    found = price(
        model, model.stage_rows(), 1, terms.profile, SHOTS,
        anchor_rows=ANCHORS, job_seconds=loss * 100,
    ).estimate  # fmt: skip
    assert (found.executions, found.jobs) == (done.executions, len(jobs))
    assert found.seconds == pytest.approx(charged, rel=0.05)
    (anchors,) = read_results(tmp_path / "run").anchors[0]
    assert anchors.values.shape == (len(jobs), ANCHORS, 4)
    square, error = anchors.drift()
    assert abs(square) < SIGMAS * error


def test_a_device_that_changes_between_jobs_is_seen_in_the_order_of_time(
    service: Service,
    profile: str,
    tmp_path: Path,
    images: Split,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The second of three jobs is cancelled, and sent again once the device has no noise."""
    model = build_model(ViTConfig(patch_size=14, circuit_layers=5), seed=0)  # which noise harms
    folder, audit = tmp_path / "run", Audit(service)
    service.inject("cancel", when="queued", after=1)
    with pytest.raises(JobError, match="was cancelled"):
        submit(
            model, images, profile, folder, shots=4 * SHOTS,
            budget_seconds=137, max_loss=0.11, anchor_rows=ANCHORS, wait=True, patience=patience(),
        )  # fmt: skip
    service.wait_idle()
    service.configure(noiseless=True)
    assert resume(folder, model, wait=True, patience=patience()).state == "finished"
    (anchors,) = read_results(folder).anchors[0]
    assert anchors.jobs == ("000-0", "000-2", "000-1")
    ran = [job["running"] for job in audit.jobs() if job["status"] == "Completed"]
    assert list(anchors.times) == [datetime.fromtimestamp(t, UTC) for t in ran]
    square, error = anchors.drift()
    assert square > SIGMAS * error
    noisy, again, perfect = anchors.values
    errors = np.sqrt(2 * np.einsum("jrkk->jrk", anchors.covariances).mean(axis=0))
    assert np.all(np.abs(noisy - again) < SIGMAS * errors)
    assert np.abs(noisy - perfect).mean() > 2 * np.abs(noisy - again).mean()
    assert qvit(["status", str(folder)]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert f"{ANCHORS} of each circuit, again in every job" in told
    assert "drift between jobs, layer 1" in told


def test_without_anchors_nothing_is_said_of_them(
    service: Service,
    profile: str,
    tmp_path: Path,
    model: ViT,
    images: Split,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As in a run that was begun before there were any: its folder has no such key."""
    known = Terms.record
    with monkeypatch.context() as patch:
        patch.setattr(
            Terms,
            "record",
            lambda self: {k: v for k, v in known(self).items() if k != "anchor_rows"},
        )
        service.hold()
        submit(model, images, profile, tmp_path / "run", budget_seconds=100, patience=patience())
    text = (tmp_path / "run" / "journal.jsonl").read_text()
    assert "anchor_rows" not in text
    service.hold(False)
    assert resume(tmp_path / "run", model, wait=True, patience=patience()).anchor_rows == 0
    assert read_results(tmp_path / "run").anchors == [[]]
    assert qvit(["status", str(tmp_path / "run")]) == 0
    told = capsys.readouterr().out
    assert "anchor rows" not in told
    assert "drift" not in told


def test_a_number_of_rows_is_not_negative(
    profile: str, tmp_path: Path, model: ViT, images: Split
) -> None:
    for name in ("anchor_rows", "control_rows"):
        with pytest.raises(JobError, match=f"Expected {name} of at least 0, but got -1"):
            submit(model, images, profile, tmp_path / "run", budget_seconds=9, **{name: -1})
    assert not (tmp_path / "run").exists()
