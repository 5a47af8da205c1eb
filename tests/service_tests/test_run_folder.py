"""A run's folder in bad company: other processes, full disks, permissions, damage, forgery."""

from __future__ import annotations

import errno
import json
import os
import pickle
import shutil
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from service.handle import Service
from service_tests.victim import (
    Audit,
    Order,
    Victims,
    images,
    network,
    outputs,
    patience,
    shared_victims,
)
from torch.utils.data import Dataset, IterableDataset, TensorDataset

from qvit_qiskit.exceptions import DataError, JobError, RouteError
from qvit_qiskit.hardware.events import Closure, Compilation, Completion
from qvit_qiskit.hardware.journal import Journal, digest, locked, pack_arrays
from qvit_qiskit.inference.prediction import predict
from qvit_qiskit.runs import Status, cancel, resume, status, submit

Go = Callable[..., Status]


@pytest.fixture
def profile(tmp_path: Path) -> Callable[..., str]:
    """A profile's file."""

    def make(**keys: object) -> str:
        values = {"kind": "ibm", "device": "ibm_torino", "shots": 32} | keys
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.toml"
        path.write_text("\n".join(f"{k} = {json.dumps(v)}" for k, v in values.items()))
        return str(path)

    return make


@pytest.fixture
def go(service: Service, profile: Callable[..., str]) -> Go:
    """Begin a run."""

    def begin(folder: Path, data: Any = None, layers: int = 1, **keys: Any) -> Status:
        asked = {"budget_seconds": 60.0, "patience": patience(), "wait": True} | keys
        backend = asked.pop("backend", None) or profile()
        data = images(3) if data is None else data
        return submit(network(layers), data, backend, folder, **asked)

    return begin


@pytest.fixture
def sent(go: Go, service: Service, tmp_path: Path) -> Path:
    """The folder of a run whose job waits in the queue."""
    service.hold()
    assert go(tmp_path / "run", wait=False).state == "sent"
    return tmp_path / "run"


@pytest.fixture(scope="module")
def victims(running: Service) -> Victims:
    """Processes with less than this one's rights."""
    return shared_victims(**running.environment)


def on(folder: Path, **changes: Any) -> Status:
    return resume(folder, network(), **({"wait": True, "patience": patience()} | changes))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_the_second_process_says_so_and_changes_nothing(
    sent: Path,
    service: Service,
    victims: Victims,
    go: Go,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("qvit_qiskit.runs.submission.LOCK_SECONDS", 0.1)
    before, audit = contents(sent), Audit(service)
    with locked(sent):
        end = victims.run(Order(str(sent), "", resume=True))
        for act in (on, lambda folder: cancel(folder, patience())):
            with pytest.raises(JobError, match="Another process is working"):
                act(sent)
        assert status(sent).state == "sent"
    assert end.error == "Locked"
    assert "Another process is working" in end.message
    with pytest.raises(JobError, match="not empty"):
        go(sent)
    assert contents(sent) == before
    assert not audit.jobs()


def test_of_two_that_begin_in_one_folder_one_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both find it empty; then one is quicker."""
    monkeypatch.setattr(Path, "iterdir", lambda self: iter(()))
    first = Journal.create(tmp_path / "run")
    with pytest.raises(JobError, match="not empty"):
        Journal.create(tmp_path / "run")
    first.append(Closure(workload="next"))
    late = Journal.open(tmp_path / "run")
    first.append(Closure(workload="further"))
    with pytest.raises(JobError, match="Another process has written"):
        late.append(Closure(workload="lost"))
    written = Journal.open(tmp_path / "run").of(Closure)
    assert [event.workload for event in written] == ["next", "further"]


def test_looking_on_while_another_process_writes(tmp_path: Path) -> None:
    """A line that is not whole yet is left to its writer."""
    journal = Journal.create(tmp_path / "run")
    journal.append(Closure(workload="first"))
    whole = journal.path.read_bytes()
    journal.append(Closure(workload="second"))
    both = journal.path.read_bytes()
    for size in range(len(whole), len(both)):
        journal.path.write_bytes(both[:size])
        reader = Journal.open(tmp_path / "run")
        assert reader.events == journal.events[:2]
        assert journal.path.read_bytes() == both[:size]
    instead = reader.append(Closure(workload="instead"))  # the writer was killed
    assert Journal.open(tmp_path / "run").events == [*journal.events[:2], instead]


def test_a_disk_that_fills_up(
    service: Service, victims: Victims, profile: Callable[..., str], tmp_path: Path
) -> None:
    """Files may grow by some bytes: lines of the journal end in their middle."""
    whole = Order(str(tmp_path / "whole"), profile())
    steps = victims.run(whole).steps
    doomed = replace(whole, folder=str(tmp_path / "full"), step=steps.index("compiled"))
    assert victims.run(doomed).killed
    journal = Path(doomed.folder) / "journal.jsonl"
    audit = Audit(service)
    going = replace(doomed, resume=True, step=None)
    for room in (20, 200, 300, 150):
        end = victims.run(replace(going, file_size=journal.stat().st_size + room))
        assert end.error == "JobError", end
        assert "Cannot write" in end.message
        assert "File too large" in end.message
        Journal.open(Path(doomed.folder))
        assert journal.read_bytes().endswith(b"\n")
    ends = victims.recover(going)
    assert ends[-1].state == "finished"
    assert outputs(Path(doomed.folder)) == outputs(Path(whole.folder))
    assert set(audit.programs().values()) == {1}
    audit.check(Path(doomed.folder))


@pytest.mark.parametrize("broken", ["journal.jsonl", "results/000-0.npz"])
def test_no_space_for_a_file(
    sent: Path, service: Service, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    service.hold(False)
    synced = os.fsync

    def full(descriptor: int) -> None:
        if Path(broken).name in str(Path(f"/proc/self/fd/{descriptor}").readlink()):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        synced(descriptor)

    audit = Audit(service)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(JobError, match="No space left") as caught:
            on(sent)
    assert "\n" not in str(caught.value)
    assert on(sent).state == "finished"
    assert not audit.jobs()


def test_a_folder_that_is_read_only(sent: Path, service: Service, victims: Victims) -> None:
    before = contents(sent)
    for folder in (sent, *(p for p in sent.rglob("*") if p.is_dir())):
        folder.chmod(0o555)
    for path in sent.rglob("*.*"):
        path.chmod(0o444)
    order = Order(str(sent), "", resume=True, powers=False)
    end = victims.run(order)
    assert (end.error, end.message.split(":")[0]) == ("JobError", f"Cannot write {sent}/.lock")
    assert status(sent).state == "sent"
    profile = sent.parent / "read-only.toml"
    profile.write_text('kind = "ibm"\ndevice = "ibm_boston"\nshots = 32\n')
    begun = victims.run(
        replace(order, folder=str(sent / "new"), resume=False, profile=str(profile))
    )
    assert (begun.error, begun.message[:12]) == ("JobError", "Cannot write")
    assert contents(sent) == before
    (sent / ".lock").chmod(0o644)  # the lock can be had, the journal cannot be written
    service.hold(False)
    end = victims.run(order)
    assert end.error == "JobError"
    assert end.message.startswith("Cannot write")
    assert contents(sent) == before
    for path in (sent, *sent.rglob("*")):
        path.chmod(0o755)
    assert on(sent).state == "finished"


def test_a_line_of_the_journal_is_damaged(
    sent: Path, service: Service, rng: np.random.Generator
) -> None:
    """Any byte of any line, a line that is gone, two that are exchanged."""
    path = sent / "journal.jsonl"
    good = path.read_bytes()
    lines = good.splitlines(keepends=True)
    damaged = [b"".join(lines[:k] + lines[k + 1 :]) for k in range(len(lines) - 1)]
    damaged.append(b"".join([*lines[:4], lines[5], lines[4], *lines[6:]]))
    ends = np.cumsum([len(line) for line in lines])
    for start, end in zip([0, *ends[:-1]], ends, strict=True):
        for place in rng.integers(start, end - 1, 8):
            byte = bytes([good[place] ^ int(rng.integers(1, 256))])
            if not (good[place : place + 1].isspace() and byte in b"\t\r"):  # the same JSON
                damaged.append(good[:place] + byte + good[place + 1 :])
    audit = Audit(service)
    for text in damaged:
        path.write_bytes(text)
        for act in (status, on):
            with pytest.raises(JobError, match=r"Line \d+ of .* is damaged|has the format"):
                act(sent)
        assert path.read_bytes() == text
    path.write_bytes(good)
    service.hold(False)
    assert on(sent).state == "finished"
    assert not audit.jobs()


def test_a_newer_format(sent: Path) -> None:
    path = sent / "journal.jsonl"
    _, rest = path.read_bytes().split(b"\n", 1)
    path.write_bytes(b'{"event": "created", "format": 2}\n' + rest)
    before = contents(sent)
    for act in (status, on, cancel):
        with pytest.raises(JobError, match=r"run folder of format 2, .* up to 1\. Upgrade"):
            act(sent)
    assert contents(sent) == before


FILES = [
    "images.npz",
    "stages/000/angles.npz",
    "stages/000/circuits.qpy",
    "stages/000/isa.qpy",
    "stages/000/seats.npz",
    "results/000-0.npz",
]


def test_tampered_files(sent: Path, service: Service) -> None:
    """Every file but the last result, which is fetched, is needed to go on."""
    service.hold(False)
    service.wait_idle()
    journal = Journal.open(sent)
    audit = Audit(service)
    for name in FILES[:5]:
        path = sent / name
        good = path.read_bytes()
        path.write_bytes(good[:-40] + bytes([good[-40] ^ 1]) + good[-39:])
        with pytest.raises(JobError, match="checksum differs"):
            on(sent)
        path.unlink()
        with pytest.raises(JobError, match="Cannot read"):
            on(sent)
        path.write_bytes(good)
    assert Journal.open(sent).events == journal.events
    assert on(sent).state == "finished"
    path = sent / "predictions.npz"
    with np.load(path) as found:
        arrays = dict(found)
    arrays["logits"] = arrays["logits"] + 1
    good = path.read_bytes()
    path.write_bytes(pack_arrays(arrays))
    for act in (status, on):
        with pytest.raises(JobError, match="checksum differs"):
            act(sent)
    path.write_bytes(good)
    assert status(sent).state == "finished"
    assert not audit.jobs()


def test_a_tampered_result(go: Go, service: Service, tmp_path: Path) -> None:
    """The second layer's rows come from it."""
    folder = tmp_path / "run"
    service.inject("status", call="POST /jobs", code=400, after=1)
    with pytest.raises(RouteError):
        go(folder, layers=2)
    path = folder / "results" / "000-0.npz"
    good = path.read_bytes()
    with np.load(path) as found:
        arrays = dict(found)
    arrays["piece0-basis0-fold1/count"] = arrays["piece0-basis0-fold1/count"][::-1].copy()
    path.write_bytes(pack_arrays(arrays))
    audit = Audit(service)
    with pytest.raises(JobError, match="checksum differs"):
        resume(folder, network(2), wait=True, patience=patience())
    path.write_bytes(good)
    assert resume(folder, network(2), wait=True, patience=patience()).state == "finished"
    assert len(audit.jobs()) == 1


class Bomb:
    """What a pickle may do."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (pytest.fail, ("a pickle was read",))


def test_no_pickle_is_read(go: Go, tmp_path: Path) -> None:
    """Not even if the journal vouches for it."""
    folder = tmp_path / "run"
    assert go(folder).state == "finished"
    np.savez(folder / "bomb.npz", logits=np.array([Bomb()], object), labels=np.arange(1))
    data = (folder / "bomb.npz").read_bytes()
    for bomb in (data, pickle.dumps(Bomb()), b"PK\x03\x04", b""):
        (folder / "predictions.npz").write_bytes(bomb)
        Journal.open(folder).append(Completion(predictions=digest(bomb)))
        with pytest.raises(JobError, match="holds no arrays"):
            status(folder)


def test_a_finished_run_needs_no_network(
    go: Go, service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = go(tmp_path / "run")
    assert done.state == "finished"
    before = contents(tmp_path / "run")
    shutil.copytree(tmp_path / "run", tmp_path / "copy")
    service.forget()
    monkeypatch.setattr(socket, "socket", lambda *_: pytest.fail("a connection was opened"))
    assert replace(status(tmp_path / "copy"), run=done.run) == done
    assert on(tmp_path / "run") == done
    monkeypatch.undo()
    assert contents(tmp_path / "run") == before
    assert not service.requests()


def test_what_is_not_measured_never_looks_measured(
    go: Go, service: Service, profile: Callable[..., str], tmp_path: Path
) -> None:
    audit = Audit(service)
    with pytest.raises(RouteError, match="random data"):
        go(tmp_path / "mock", backend=profile(device="mock_torino"))
    rehearsed = go(tmp_path / "fake", backend=profile(kind="fake", device="fake_torino"))
    assert rehearsed.device == "fake_torino"
    assert rehearsed.spent_seconds == 0.0
    assert not audit.jobs()
    compiled = {each.device for each in Journal.open(tmp_path / "fake").of(Compilation)}
    assert compiled == {"fake_torino"}


class Pictures(Dataset[tuple[torch.Tensor, int]]):
    def __len__(self) -> int:
        return 5

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return images(5)[index]


class Stream(IterableDataset[tuple[torch.Tensor, int]]):
    def __iter__(self) -> Iterator[tuple[torch.Tensor, int]]:
        yield from images(5)


@pytest.mark.parametrize("data", [Pictures(), Stream()])
def test_any_model_and_any_data_set(
    go: Go, service: Service, profile: Callable[..., str], tmp_path: Path, data: Dataset[Any]
) -> None:
    service.configure(noiseless=True)
    backend = profile(shots=20_000)
    keys = {"backend": backend, "batch_size": 2, "budget_seconds": 100.0}
    found = go(tmp_path / "run", data=data, layers=2, **keys)
    assert (found.state, found.stages) == ("finished", 2)
    with np.load(tmp_path / "run" / "predictions.npz") as arrays:
        logits, labels = arrays["logits"], arrays["labels"]
    pictures, known = zip(*images(5), strict=True)
    np.testing.assert_array_equal(labels, known)
    exact = predict(network(2), torch.stack(pictures))
    np.testing.assert_allclose(logits, exact, atol=6 / np.sqrt(20_000))


@pytest.mark.parametrize("budget", [0.0, -1.0, float("nan"), float("inf")])
def test_a_budget_is_a_number(go: Go, tmp_path: Path, budget: float) -> None:
    with pytest.raises(JobError, match="budget above 0"):
        go(tmp_path / "run", budget_seconds=budget)
    assert not (tmp_path / "run").exists()


def test_no_images(go: Go, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="at least one image"):
        go(tmp_path / "run", data=TensorDataset(torch.zeros(0, 1, 28, 28), torch.zeros(0)))
