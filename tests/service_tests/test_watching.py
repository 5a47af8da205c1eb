"""A person at the keyboard: `qvit watch`, Ctrl-C in waits, models that a folder cannot build."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from service.handle import Service
from service_tests.victim import Audit, images, network

from qvit_qiskit.cli import run
from qvit_qiskit.exceptions import JobError, ServiceError
from qvit_qiskit.hardware.journal import locked
from qvit_qiskit.ibm.calls import Patience
from qvit_qiskit.models import ViTConfig, build_model
from qvit_qiskit.runs import cancel, resume, status, submit, watch, watcher
from qvit_qiskit.training import save_checkpoint

PATIENCE = Patience(deadline=20.0, outage=20.0, settle=0.3, poll=0.1)
MODEL = ViTConfig(patch_size=14, width=2, heads=1, depth=2)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client's retries without their pauses."""
    monkeypatch.setattr("urllib3.util.retry.Retry.sleep", lambda self, response=None: None)


@pytest.fixture
def place(service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a profile, a checkpoint of two quantum layers, and a job spec."""
    monkeypatch.chdir(tmp_path)
    save_checkpoint(tmp_path / "model.safetensors", build_model(MODEL, seed=0), {})
    Path("mine.toml").write_text('kind = "ibm"\ndevice = "ibm_torino"\nshots = 16\n')
    Path("job.toml").write_text(
        'dataset = "phantom"\nsubset = 2\nbackend = "mine.toml"\nbudget_seconds = 60\n'
        'checkpoint = "model.safetensors"\n'
    )
    return tmp_path


def send(service: Service, folder: str) -> None:
    """Begin a run whose job stays in the queue."""
    service.hold()
    assert run(["submit", "job.toml", "--run", folder, "--patience", "20", "--json"]) == 0


def own(folder: str, layers: int = 1) -> None:
    """Begin a run with a model of one's own code."""
    keys: dict[str, Any] = {"budget_seconds": 60.0, "patience": PATIENCE}
    submit(network(layers), images(3), "mine.toml", folder, **keys)


def test_runs_are_followed_until_they_are_finished(
    service: Service, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two layers, and a command at the end."""
    tell = place / "tell.sh"
    tell.write_text(f'#!/bin/sh\necho "$@" > {place}/told\n')
    tell.chmod(0o755)
    send(service, "first")
    capsys.readouterr()
    threading.Timer(2.0, service.hold, (False,)).start()
    assert run(["watch", "first", "--notify", str(tell)]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith("first: sent, quantum layer ")
    assert out[-1].startswith("first: finished, quantum layer 2 of 2, 1 of 1 jobs, ")
    assert len(set(out)) == len(out)  # a line only where something has changed
    assert (place / "told").read_text() == "first\n"
    assert status("first").state == "finished"
    assert run(["watch", "first", "./first"]) == 0


@pytest.mark.check
def test_without_a_run_it_only_looks(
    service: Service, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["watch"]) == 0
    assert "There are no runs in runs/" in capsys.readouterr().out
    send(service, "runs/one")
    Path("runs/two").mkdir()
    Path("runs/two/journal.jsonl").write_text("damaged\n")
    capsys.readouterr()
    service.forget()
    assert run(["watch"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("runs/one: sent, quantum layer 1 of 2, 0 of 1 jobs")
    assert second.startswith("runs/two: Line 1 of runs/two/journal.jsonl is damaged")
    assert not service.requests()


@pytest.mark.check
def test_an_outage_is_outlasted(
    service: Service, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    send(service, "run")
    capsys.readouterr()
    seen: list[str] = []

    def tick(folder: Path, found: Any, problem: str) -> None:
        seen.append(problem)
        if len(seen) == 3:
            service.clear()

    service.inject("status", call="**", code=503, count=None)
    short = Patience(deadline=20.0, outage=0.5, settle=0.3, poll=0.1)
    (end,) = watch(["run"], poll=0.1, patience=short, tick=tick)
    assert end.error is None
    assert end.status is not None
    assert end.status.state == "finished"
    assert all("IBM's service failed for 0.5 s" in problem for problem in seen[:3]), seen


@pytest.mark.check
def test_an_outage_that_lasts_longer_is_told(
    service: Service, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    send(service, "run")
    capsys.readouterr()
    service.inject("drop", call="**", count=None)
    assert run(["watch", "run", "--hours", "0", "--patience", "1", "--notify", "true"]) == 1
    err = capsys.readouterr().err
    assert "there is no connection to IBM's service" in err
    assert err.count("\n") == 1
    service.clear()
    assert run(["watch", "run"]) == 0


@pytest.mark.check
def test_status_and_cancel_work_meanwhile(service: Service, place: Path) -> None:
    send(service, "run")
    looks: list[str] = []

    def tick(folder: Path, found: Any, problem: str) -> None:
        looks.append(found.state)
        if len(looks) == 2:
            assert status("run").state == "sent"
            assert cancel("run", PATIENCE) == 1

    (end,) = watch(["run"], poll=0.1, patience=PATIENCE, tick=tick)
    assert isinstance(end.error, JobError)
    assert "was cancelled" in str(end.error)
    assert status("run").state == "cancelled"
    service.hold(False)
    assert run(["resume", "run", "--wait", "--json", "--patience", "20"]) == 0


@pytest.mark.check
def test_a_run_that_another_process_works_on_is_waited_for(service: Service, place: Path) -> None:
    send(service, "run")
    problems: list[str] = []
    with locked(Path("run")):
        thread = threading.Timer(1.0, lambda: None)
        thread.start()

        def tick(folder: Path, found: Any, problem: str) -> None:
            problems.append(problem)
            if not thread.is_alive():
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            watch(["run"], poll=0.1, patience=PATIENCE, tick=tick)
    assert "Another process is working" in problems[0]
    service.hold(False)
    (end,) = watch(["run"], poll=0.1, patience=PATIENCE)
    assert end.error is None


@pytest.mark.check
def test_what_is_uncertain_is_asked_again_by_itself(service: Service, place: Path) -> None:
    """The job is listed some seconds after its submission was not answered."""
    service.inject("late_listing", seconds=4.0)
    service.inject("drop", call="POST /jobs", when="after")
    audit = Audit(service)
    with pytest.raises(JobError, match="uncertain"):
        own("run")
    problems: list[str] = []
    (end,) = watch(
        ["run"],
        poll=0.2,
        patience=PATIENCE,
        tick=lambda folder, found, problem: problems.append(problem),
    )
    assert "uncertain" in problems[0]
    assert isinstance(end.error, JobError)  # its layer is fetched, the model is needed now
    assert resume("run", network(), wait=True, patience=PATIENCE).state == "finished"
    assert len(audit.jobs()) == 1


@pytest.mark.check
def test_a_person_is_asked_in_the_end(
    service: Service, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watcher, "UNCERTAIN_SECONDS", 1.0)
    service.inject("drop", call="POST /jobs", when="before")
    with pytest.raises(JobError, match="uncertain"):
        own("run")
    (end,) = watch(["run"], poll=0.2, patience=PATIENCE)
    assert "send it again with `qvit resume --resubmit --wait run`" in str(end.error)


# --- models that the folder cannot build -----------------------------------------------------


def test_a_model_of_ones_own_is_fetched_and_continued_from_python(
    service: Service, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    service.hold()
    own("run")
    assert run(["resume", "run", "--json", "--patience", "20"]) == 0  # it waits in the queue
    assert json.loads(capsys.readouterr().out)["state"] == "sent"
    service.hold(False)
    assert run(["watch", "run"]) == 2
    out, err = capsys.readouterr()
    assert "1 of 1 jobs" in out
    assert "From Python, pass the same model: `resume('run', model=…, wait=True)`" in err
    service.forget()
    assert resume("run", network(), wait=True, patience=PATIENCE).state == "finished"
    assert not asked(service, "GET /jobs/", "/results")


# --- Ctrl-C ----------------------------------------------------------------------------------


def asked(service: Service, call: str, part: str = "") -> int:
    """How often calls were made that begin and end so."""
    calls = [entry["call"] for entry in service.requests()]
    return sum(one.startswith(call) and one.endswith(part) for one in calls)


@contextmanager
def interrupted(when: Callable[[], bool]) -> Iterator[None]:
    """Somebody presses Ctrl-C in this process once something is so, and again if nothing happens.

    Python drops a press that arrives while a finalizer runs.
    """
    over = threading.Event()
    # a shell that starts tests in the background lets them ignore it
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def press() -> None:
        end = time.monotonic() + 30
        while not (over.is_set() or when()) and time.monotonic() < end:
            time.sleep(0.05)
        while not over.is_set():
            os.kill(os.getpid(), signal.SIGINT)
            over.wait(15)

    thread = threading.Thread(target=press)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        signal.signal(signal.SIGINT, before)


COMMANDS = [
    ["submit", "job.toml", "--run", "run", "--wait", "--patience", "20", "--json"],
    ["resume", "run", "--wait", "--patience", "20", "--json"],
    ["watch", "run"],
]


@pytest.mark.parametrize(
    "command",
    [COMMANDS[0], *(pytest.param(c, marks=pytest.mark.check) for c in COMMANDS[1:])],
    ids=lambda command: command[0],
)
def test_interrupted_while_a_job_waits(
    service: Service, place: Path, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    service.hold()
    if command[0] != "submit":
        send(service, "run")
    capsys.readouterr()

    def waits() -> bool:  # for the queue, or between two rounds
        return asked(service, "GET /jobs/") > 2

    service.forget()
    with interrupted(waits):
        assert run(command) == 130
    told = capsys.readouterr().err.strip()
    assert told == (
        "Stopped waiting. 1 job(s) of run are out and may still cost up to 11 QPU seconds; 0.0 are "
        "billed. Go on with `qvit resume run --wait`, or stop its jobs with `qvit cancel run`."
    )
    service.hold(False)
    assert run(COMMANDS[1]) == 0


@pytest.mark.check
def test_interrupted_before_anything_was_sent(
    service: Service, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    service.inject("stall", call="GET /backends", seconds=5.0, count=None)
    with interrupted(lambda: asked(service, "GET /backends") > 0):
        assert run(COMMANDS[0]) == 130
    assert "No job of run is out; 0.0 are billed." in capsys.readouterr().err
    service.clear()
    assert run(COMMANDS[1]) == 0


@pytest.mark.check
def test_interrupted_while_bills_are_waited_for(
    service: Service, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The second layer does not fit beside the first one's limit."""
    service.configure(billing_delay=1e9)
    Path("job.toml").write_text(Path("job.toml").read_text().replace("= 60", "= 7"))
    with interrupted(lambda: asked(service, "GET /jobs/", "/metrics") > 4):
        assert run(COMMANDS[0]) == 130
    told = capsys.readouterr().err
    assert "may still cost up to" in told
    service.configure(billing_delay=0.0)
    assert run(COMMANDS[1]) == 0


@pytest.mark.check
def test_no_service_at_all_is_told_in_one_sentence(
    service: Service, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    service.hold()  # a job that ended at once would leave nothing to ask for
    own("run")
    short = Patience(deadline=20.0, outage=0.5, settle=0.1, poll=0.1)
    service.inject("drop", call="**", count=None)
    with pytest.raises(ServiceError, match="there is no connection"):
        resume("run", network(), patience=short)
