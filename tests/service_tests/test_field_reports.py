"""What people who do this job have met: money and runs, one test a report and its neighbours."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from service.handle import Service
from service_tests.spending import begin, billed
from service_tests.victim import Audit, network, outputs

from qvit_qiskit.cli import run
from qvit_qiskit.exceptions import JobError, QvitError, RouteError, ServiceError
from qvit_qiskit.ibm.calls import Patience
from qvit_qiskit.models import ViTConfig, build_model
from qvit_qiskit.runs import Status, cancel, resume, status
from qvit_qiskit.runs.run_folder import RunFolder
from qvit_qiskit.training import save_checkpoint

PATIENCE = Patience(deadline=20.0, outage=20.0, settle=0.3, poll=0.1)
SHORT = Patience(deadline=20.0, outage=1.0, settle=0.3, poll=0.1)
Go = Callable[..., Status]

pytestmark = pytest.mark.check


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client's retries without their pauses."""
    monkeypatch.setattr("urllib3.util.retry.Retry.sleep", lambda self, response=None: None)


@pytest.fixture
def audit(service: Service) -> Audit:
    """What happens on the service in this test."""
    return Audit(service)


@pytest.fixture
def go(service: Service, profile: Callable[..., str], tmp_path: Path) -> Go:
    """Begin a run in the folder ``run``."""

    def start(mode: str = "batch", **keys: Any) -> Status:
        return begin(tmp_path / "run", profile(mode), **{"patience": PATIENCE} | keys)

    return start


def on(folder: Path, layers: int = 1, **keys: Any) -> Status:
    return resume(folder, network(layers), **({"wait": True, "patience": PATIENCE} | keys))


# --- results that are gone or of no use ------------------------------------------------------


def deleted(service: Service, job: str) -> None:
    service.delete(job)


def expired(service: Service, job: str) -> None:
    service.expire(job)


def missing(service: Service, job: str) -> None:
    service.inject("status", call="GET /jobs/*/results", code=404, count=None)


def shapeless(variant: str) -> Callable[[Service, str], None]:
    def strike(service: Service, job: str) -> None:
        service.inject("wrong_result", variant=variant, count=None)

    strike.__name__ = variant
    return strike


@pytest.mark.parametrize(
    "strike",
    [deleted, expired, missing, *map(shapeless, ("shots", "rows", "register", "item", "schema"))],
    ids=lambda strike: strike.__name__,
)
def test_a_result_that_is_lost(
    service: Service, audit: Audit, go: Go, tmp_path: Path, strike: Callable[[Service, str], None]
) -> None:
    """It is told, it counts, and the chunk is sent again on request; cancelling works, too."""
    service.hold()
    go(wait=False)
    service.hold(False)
    service.wait_idle()
    (job,) = audit.jobs()
    strike(service, job["id"])
    for _ in range(2):
        with pytest.raises(JobError, match=r"is lost: .* `qvit resume --resubmit --wait"):
            on(tmp_path / "run", patience=SHORT)
    found = status(tmp_path / "run")
    assert found.state == "lost"
    assert found.billed_seconds + found.reserved_seconds >= job["charged"]
    assert cancel(tmp_path / "run", PATIENCE) == 0
    service.clear()
    assert on(tmp_path / "run", resubmit=True).state == "finished"
    assert status(tmp_path / "run").spent_seconds >= billed(audit) - 1e-6


def test_a_lost_result_that_is_there_again_costs_nothing(
    service: Service, audit: Audit, go: Go, tmp_path: Path
) -> None:
    service.hold()
    go(wait=False)
    service.hold(False)
    service.wait_idle()
    service.inject("status", call="GET /jobs/*/results", code=404, count=None)
    with pytest.raises(JobError, match="is lost"):
        on(tmp_path / "run")
    service.clear()
    assert on(tmp_path / "run").state == "finished"
    assert len(audit.jobs()) == 1


# --- copies of a folder ----------------------------------------------------------------------


def test_two_copies_resumed_one_after_another(
    service: Service, audit: Audit, go: Go, tmp_path: Path
) -> None:
    service.inject("status", call="POST /jobs", code=400, after=1)
    with pytest.raises(RouteError):
        go(layers=2)
    shutil.copytree(tmp_path / "run", tmp_path / "copy")
    assert on(tmp_path / "run", 2).state == "finished"
    assert on(tmp_path / "copy", 2).state == "finished"
    assert len(audit.jobs()) == 2
    assert set(audit.programs().values()) == {1}
    assert outputs(tmp_path / "run") == outputs(tmp_path / "copy")
    assert status(tmp_path / "copy").spent_seconds == pytest.approx(billed(audit))


def test_two_copies_resumed_at_once(service: Service, audit: Audit, go: Go, tmp_path: Path) -> None:
    """Neither sees the other's job before it sends its own: the later one is cancelled."""
    service.inject("status", call="POST /jobs", code=400)
    with pytest.raises(RouteError):
        go()
    shutil.copytree(tmp_path / "run", tmp_path / "copy")
    service.hold()
    service.inject("late_listing", seconds=8.0, count=2)
    for folder in ("run", "copy"):
        assert on(tmp_path / folder, wait=False).state == "sent"
    assert len(audit.jobs()) == 2
    time.sleep(max(job["listed"] for job in audit.jobs()) - time.time() + 0.5)
    service.hold(False)
    for folder in ("run", "copy"):
        assert on(tmp_path / folder).state == "finished"
    assert outputs(tmp_path / "run") == outputs(tmp_path / "copy")
    for folder in ("run", "copy"):
        assert status(tmp_path / folder).spent_seconds == pytest.approx(billed(audit)), folder


def test_a_deliberate_second_run_is_another_one(
    service: Service, audit: Audit, go: Go, tmp_path: Path
) -> None:
    assert go().state == "finished"
    shutil.move(tmp_path / "run", tmp_path / "first")
    assert go().state == "finished"
    tags = [set(job["tags"]) for job in audit.jobs()]
    assert len(tags) == 2
    own = [{tag for tag in each if not tag.startswith("qvit-is-")} for each in tags]
    assert not own[0] & own[1]


def test_a_job_that_is_listed_after_it_was_given_up(
    service: Service, audit: Audit, go: Go, tmp_path: Path
) -> None:
    """It is cancelled when it appears, and counted."""
    service.hold()
    service.inject("late_listing", seconds=5.0)
    service.inject("drop", call="POST /jobs", when="after")
    with pytest.raises(JobError, match="uncertain"):
        go(patience=SHORT)
    assert on(tmp_path / "run", resubmit=True, wait=False, patience=SHORT).state == "sent"
    assert len(audit.jobs()) == 2
    while True:
        on(tmp_path / "run", wait=False)
        states = sorted(job["status"] for job in audit.jobs())
        if states != ["Queued", "Queued"]:
            break
    assert states == ["Cancelled", "Queued"]
    service.hold(False)
    assert on(tmp_path / "run").state == "finished"
    assert set(audit.programs().values()) == {1}
    audit.check(tmp_path / "run")


# --- devices that change ---------------------------------------------------------------------


@pytest.mark.parametrize("layers", [1, 2])
def test_a_device_that_was_taken_away(
    service: Service, audit: Audit, go: Go, tmp_path: Path, layers: int
) -> None:
    """What is done is fetched without it; a further layer cannot be sent."""
    service.hold()
    go(wait=False, layers=layers)
    service.hold(False)
    service.wait_idle()
    service.configure(retired=["ibm_torino"])
    if layers == 1:
        assert on(tmp_path / "run").state == "finished"
        return
    for _ in range(2):
        with pytest.raises(RouteError, match="has no such device as ibm_torino"):
            on(tmp_path / "run", layers)
    assert len(audit.jobs()) == 1
    assert cancel(tmp_path / "run", PATIENCE) == 0
    service.configure(retired=[])
    assert on(tmp_path / "run", layers).state == "finished"


def test_qubits_that_become_faulty_before_a_layer_is_sent(
    service: Service, audit: Audit, go: Go, tmp_path: Path
) -> None:
    """Compiled, then answered with 429: the layer is compiled anew."""
    service.inject("status", call="POST /jobs", code=429, count=None)
    with pytest.raises(ServiceError, match="takes no more jobs"):
        go(patience=SHORT)

    def qubits() -> set[int]:
        return RunFolder.open(tmp_path / "run").reader.stage(0).layout.qubits

    service.clear()
    before = qubits()
    service.configure(faulty={"ibm_torino": sorted(before)})
    assert on(tmp_path / "run").state == "finished"
    assert not before & qubits()
    assert len(audit.jobs()) == 1


def test_qubits_that_become_faulty_when_jobs_of_the_layer_are_done(
    service: Service, go: Go, tmp_path: Path
) -> None:
    """Part of its rows lie on them: the rest is refused in words until they are repaired."""
    service.inject("job_failure", charged=0.0)
    with pytest.raises(JobError):
        go()
    broken = sorted(RunFolder.open(tmp_path / "run").reader.stage(0).layout.qubits)
    service.configure(faulty={"ibm_torino": broken})
    with pytest.raises(JobError, match=r"Qubits \[.*\] of ibm_torino have become faulty"):
        on(tmp_path / "run")
    service.configure(faulty={})
    assert on(tmp_path / "run").state == "finished"


# --- causes ----------------------------------------------------------------------------------

CODES = [
    (1217, "the batch or session was closed", "Send it again with `qvit resume"),
    (1517, "IBM's software failed", "Send it again with `qvit resume"),
    (1214, "does not run this job with this account or device", "Change that first"),
    (5302, "too large to be sent; make jobs smaller", "Change that first"),
    (8018, "control memory", "Change that first"),
    (1305, "reached its time limit", "It gets a higher limit then"),
    (3211, "calls the job invalid", "would fail again"),
    (6050, "does not run this job with these options", "would fail again"),
]


@pytest.mark.parametrize(("code", "words", "remedy"), CODES, ids=lambda value: str(value)[:4])
def test_the_codes_of_jobs_that_fail(
    service: Service, go: Go, tmp_path: Path, code: int, words: str, remedy: str
) -> None:
    reason = "It went wrong in its own way."
    service.inject("job_failure", code=code, reason=reason)
    with pytest.raises(JobError) as caught:
        go()
    told = str(caught.value)
    assert words in told
    assert '(IBM: "It went wrong in its own way")' in told
    assert remedy in told
    assert "trace" not in told
    assert "{" not in told
    if remedy == "would fail again":
        with pytest.raises(JobError, match="would fail again"):
            on(tmp_path / "run")
    assert on(tmp_path / "run", resubmit=remedy == "would fail again").state == "finished"


def body(code: int, message: str = "It went wrong.") -> str:
    return json.dumps({"trace": "f00d", "errors": [{"code": code, "message": message}]})


PAGE = "<html><head><title>Blocked by Example Guard</title></head><body>no</body></html>"
ANSWERS: list[tuple[str, dict[str, Any], type, str]] = [
    ("POST /jobs", {"code": 400, "body": body(1214)}, RouteError, "does not run this job"),
    ("POST /jobs", {"code": 400, "body": body(8018)}, RouteError, "control memory"),
    ("POST /jobs", {"code": 409, "body": body(1000)}, RouteError, "in its present state"),
    ("POST /jobs", {"code": 409, "body": body(0, "Usage exceeds instance limit")}, RouteError,
     "the allowance of this instance is used up"),
    ("POST /jobs", {"code": 413, "body": PAGE}, RouteError, "larger than IBM's service takes"),
    ("POST /jobs", {"code": 403, "body": PAGE}, RouteError, "a web page answered with HTTP status"),
    ("POST /sessions", {"code": 400, "body": body(1352)}, RouteError, "has no sessions"),
    ("GET /backends/*/configuration", {"code": 503, "count": None}, ServiceError, "IBM's service"),
    ("GET /backends/*/configuration", {"code": 429, "count": None}, ServiceError, "IBM's service"),
    ("GET /backends/*/properties", {"code": 403, "body": PAGE, "count": None}, RouteError,
     "a web page answered"),
    ("GET /instances/usage", {"code": 401, "count": None}, RouteError, "refused the credentials"),
    ("POST /identity/token", {"code": 503, "count": None}, ServiceError, "identity service"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("call", "options", "kind", "words"), ANSWERS, ids=lambda v: v if type(v) is str else None
)
def test_what_the_service_answers(
    service: Service,
    go: Go,
    tmp_path: Path,
    call: str,
    options: dict[str, Any],
    kind: type[QvitError],
    words: str,
) -> None:
    service.inject("status", call=call, **options)
    with pytest.raises(kind) as caught:
        go(patience=SHORT)
    told = str(caught.value)
    assert words in told
    assert "\n" not in told
    assert told.endswith(".")
    assert not any(part in told for part in ("trace", '{"', "<html", "Traceback"))
    service.clear()
    assert on(tmp_path / "run").state == "finished"


def test_credentials_that_are_refused_once_within_a_wait(
    service: Service, go: Go, tmp_path: Path
) -> None:
    service.hold()
    go(wait=False)
    service.inject("status", call="GET /jobs/*", code=401)
    service.hold(False)
    assert on(tmp_path / "run").state == "finished"


@pytest.mark.parametrize("fault", ["garble", "truncate", "empty", "status"])
def test_what_fails_before_a_job_is_sent_is_not_uncertain(
    service: Service, audit: Audit, go: Go, tmp_path: Path, fault: str
) -> None:
    """The client asks for the usage right before it sends."""
    service.inject(fault, call="GET /instances/usage", count=2, after=1)
    assert go().state == "finished"
    assert len(audit.jobs()) == 1


# --- account -------------------------------------------------------------------------------


@pytest.fixture
def home(service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without saved accounts, and a profile in the working directory."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    Path("mine.toml").write_text('kind = "ibm"\ndevice = "ibm_torino"\n')
    return tmp_path


def check() -> int:
    return run(["backends", "check", "mine.toml", "--patience", "20"])


@pytest.mark.parametrize("text", ["{", "[]", '"text"', "\0"])
def test_a_damaged_file_of_accounts_is_named_at_once(
    service: Service, home: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    (home / ".qiskit").mkdir()
    (home / ".qiskit" / "qiskit-ibm.json").write_text(text)
    assert check() == 2
    told = capsys.readouterr().err
    assert "qiskit-ibm.json, is damaged" in told
    assert told.count("\n") == 1
    assert not service.requests()


@pytest.mark.parametrize("cut", [1, 20, 60])
def test_a_crn_that_is_not_whole(
    service: Service,
    home: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    cut: int,
) -> None:
    crn = service.environment["QISKIT_IBM_INSTANCE"]
    monkeypatch.setenv("QISKIT_IBM_INSTANCE", crn[:-cut])
    assert check() == 2
    assert "CRN" in capsys.readouterr().err


def test_no_network_at_all(
    service: Service,
    home: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("IAM_URL", "GLOBAL_SEARCH_URL", "GLOBAL_CATALOG_URL", "QISKIT_IBM_URL"):
        monkeypatch.setenv(name, "http://127.0.0.1:9/experimental")
    assert run(["backends", "check", "mine.toml", "--patience", "2"]) == 1
    told = capsys.readouterr().err
    assert "there is no connection to IBM's service" in told
    assert told.count("\n") == 1


def test_a_classical_checkpoint_is_refused_by_estimate_as_by_submit(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = build_model(ViTConfig(patch_size=14, projection="linear"), seed=0)
    save_checkpoint(home / "model.safetensors", model, {})
    Path("job.toml").write_text(
        'dataset = "phantom"\nsubset = 2\nbackend = "mine.toml"\nbudget_seconds = 20\n'
        'checkpoint = "model.safetensors"\n'
    )
    told = []
    for command in (["estimate"], ["submit"], ["backends", "check", "--job"]):
        assert run([*command, "job.toml"]) == 2
        told.append(capsys.readouterr().err)
    assert "has no quantum layer" in told[0]
    assert len(set(told)) == 1
