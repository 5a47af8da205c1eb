"""What is looked at before anything is opened: by `submit`, and by `qvit backends check --job`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from service.handle import Service
from service_tests.victim import Audit, images, network

from qvit_qiskit.cli import run
from qvit_qiskit.exceptions import RouteError
from qvit_qiskit.hardware import dispatch
from qvit_qiskit.ibm import preflight
from qvit_qiskit.ibm import service as client_service
from qvit_qiskit.ibm.calls import Patience
from qvit_qiskit.models import ViTConfig, build_model
from qvit_qiskit.runs import Status, resume, submit
from qvit_qiskit.runs.measured_profile import find_measured
from qvit_qiskit.runs.pricing import price
from qvit_qiskit.runs.run_folder import RunFolder
from qvit_qiskit.training import save_checkpoint

Go = Callable[..., Status]
PATIENCE = Patience.of(20.0)


@pytest.fixture
def go(service: Service, tmp_path: Path) -> Go:
    """Begin a run of the small network."""

    def begin(text: str = "", device: str = "ibm_torino", **keys: Any) -> Status:
        path = tmp_path / "mine.toml"
        path.write_text(f'kind = "ibm"\ndevice = "{device}"\nshots = 32\n{text}\n')
        asked = {"budget_seconds": 60.0, "wait": True, "patience": PATIENCE} | keys
        layers = asked.pop("layers", 1)
        return submit(network(layers), images(3), str(path), tmp_path / "run", **asked)

    return begin


@pytest.fixture
def nothing(service: Service) -> Callable[[], None]:
    """Check that no job was made and nothing opened since the test began."""
    audit = Audit(service)

    def check() -> None:
        assert not audit.jobs()
        assert not audit.sessions()

    return check


OPEN = 'instance = "loopback-open"'
REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"consumed": 600.0}, OPEN, "has 0 QPU seconds left"),
    ({"consumed": 598.5}, OPEN, "has 2 QPU seconds left, but what is to be sent is estimated at 2"),
    ({"allowance": 1.0}, "", "has 1 QPU seconds left"),
    ({"offline": ["ibm_torino"]}, "", "takes no jobs now: the service calls it maintenance"),
    ({}, "rep_delay = 0.01", r"outside of what ibm_torino can do, 0 to 0\.0005 s"),
    ({}, OPEN + '\nmode = "session"', "The plan of this instance has no sessions"),
]


@pytest.mark.parametrize(
    ("settings", "text", "told"),
    [
        REFUSED[0],
        *(pytest.param(*case, marks=pytest.mark.check) for case in REFUSED[1:]),
    ],
)
def test_refused_before_anything_is_opened(
    service: Service,
    go: Go,
    tmp_path: Path,
    nothing: Callable[[], None],
    settings: dict[str, Any],
    text: str,
    told: str,
) -> None:
    service.configure(**settings)
    with pytest.raises(RouteError, match=told) as caught:
        go(text)
    assert "\n" not in str(caught.value)
    nothing()


@pytest.mark.check
def test_it_goes_on_once_the_cause_is_gone(
    service: Service, go: Go, tmp_path: Path, nothing: Callable[[], None]
) -> None:
    service.configure(offline=["ibm_torino"])
    with pytest.raises(RouteError):
        go()
    nothing()
    service.configure(offline=[])
    assert resume(tmp_path / "run", network(), wait=True, patience=PATIENCE).state == "finished"


@pytest.mark.check
def test_pending_jobs_of_the_account_count_at_their_limits(
    service: Service, go: Go, tmp_path: Path
) -> None:
    service.hold()
    go(OPEN, wait=False)
    (limit,) = [job["cost"] for job in service.jobs()[-1:]]
    service.configure(consumed=600.0 - limit - 1.0)
    with pytest.raises(RouteError, match=rf"{limit + 1} QPU seconds left, {limit} of them for 1"):
        submit(
            network(),
            images(3),
            str(tmp_path / "mine.toml"),
            tmp_path / "second",
            budget_seconds=60.0,
            patience=PATIENCE,
        )


@pytest.mark.check
def test_the_whole_run_must_fit_before_its_first_job(
    service: Service, go: Go, nothing: Callable[[], None]
) -> None:
    """Either of its two layers alone would."""
    service.configure(consumed=597.0)
    with pytest.raises(RouteError, match=r"estimated at 4\.\d"):
        go(OPEN, layers=2)
    nothing()


@pytest.mark.check
def test_a_request_that_is_too_large(
    service: Service, go: Go, nothing: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preflight, "MAX_REQUEST_BYTES", 10)
    monkeypatch.setattr(dispatch, "MAX_REQUEST_BYTES", 10)
    with pytest.raises(RouteError, match="IBM's service takes at most"):
        go()
    nothing()


@pytest.mark.check
def test_a_request_that_the_service_calls_too_large(service: Service, go: Go) -> None:
    """Its limit is lower than the documented one: the batch is closed again."""
    service.configure(max_bytes=1000)
    audit = Audit(service)
    with pytest.raises(RouteError, match="larger than IBM's service takes; make jobs smaller"):
        go()
    assert not audit.jobs()
    assert not any(session["accepting_jobs"] for session in audit.sessions())


@pytest.mark.check
def test_the_size_of_a_request_is_about_that_of_its_parameters(
    service: Service, go: Go, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    monkeypatch.setattr(client_service, "check_size", sizes.append)
    monkeypatch.setattr(dispatch, "MAX_REQUEST_BYTES", 1)
    model = build_model(ViTConfig(patch_size=4, width=4), seed=0)
    path = tmp_path / "mine.toml"
    path.write_text('kind = "ibm"\ndevice = "ibm_torino"\nshots = 1\n')
    submit(model, images(40), str(path), tmp_path / "run", budget_seconds=100, patience=PATIENCE)
    _, profile = find_measured(str(path), None)
    sizes.append(price(model, model.stage_rows(), 40, profile, 1).request_bytes)
    job = service.jobs()[-1]["id"]
    sent = (service.store / "params" / f"{job}.json").stat().st_size
    assert 0.7 < sizes[0] / sent <= 1
    assert 0.5 < sizes[1] / sent < 1.5


@pytest.mark.check
def test_a_device_that_changes_while_somebody_waits(
    service: Service, go: Go, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second layer is compiled for the device as it is then, not for the first one's qubits."""
    monkeypatch.setattr(client_service, "RENEW_SECONDS", 0.0)

    def qubits(stage: int) -> set[int]:
        return RunFolder.open(tmp_path / "run").reader.stage(stage).layout.qubits

    def tick(_: Status) -> None:
        service.configure(faulty={"ibm_torino": sorted(qubits(0))})

    service.configure(queue_delay=2.0)  # so that somebody waits
    assert go(layers=2, tick=tick).state == "finished"
    assert qubits(0)
    assert not qubits(0) & qubits(1)


@pytest.mark.check
def test_the_least_busy_device_is_kept(service: Service, go: Go, tmp_path: Path) -> None:
    service.configure(queues={"ibm_boston": 9, "ibm_fez": 3, "ibm_torino": 1})
    done = go('priced_as = "fake_torino"', device="least-busy")
    assert (done.state, done.device) == ("finished", "ibm_torino")
    service.configure(queues={"ibm_boston": 0, "ibm_fez": 3, "ibm_torino": 9})
    assert resume(tmp_path / "run", network(), patience=PATIENCE).device == "ibm_torino"


# --- qvit backends check --job ---------------------------------------------------------------


@pytest.fixture
def job(service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A job spec of two images, its profile and checkpoint."""
    monkeypatch.chdir(tmp_path)
    model = build_model(ViTConfig(patch_size=14, width=2, heads=1), seed=0)
    save_checkpoint(tmp_path / "model.safetensors", model, {"dataset": "phantom"})
    Path("mine.toml").write_text(f'kind = "ibm"\ndevice = "ibm_torino"\nshots = 16\n{OPEN}\n')
    path = tmp_path / "job.toml"
    path.write_text(
        'dataset = "phantom"\nsubset = 2\nbackend = "mine.toml"\nbudget_seconds = 20\n'
        'checkpoint = "model.safetensors"\n'
    )
    return path


def check(*arguments: str) -> int:
    return run(["backends", "check", *arguments, "--patience", "20"])


def test_a_job_that_could_be_sent(
    service: Service, job: Path, nothing: Callable[[], None], capsys: pytest.CaptureFixture[str]
) -> None:
    assert check("mine.toml", "--job", str(job), "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["device"] == "ibm_torino"
    assert told["job"]["ready"]
    assert 2 < told["job"]["seconds"] < 3
    assert check("--job", str(job)) == 0
    out = capsys.readouterr().out
    assert "could be sent now" in out
    assert "(estimate)" in out
    nothing()


@pytest.mark.check
@pytest.mark.parametrize(
    ("settings", "change", "fragment", "code"),
    [
        ({"consumed": 599.5}, "", "has 0 QPU seconds left", 2),
        ({"offline": ["ibm_torino"]}, "", "takes no jobs now", 2),
        ({}, "rep_delay = 0.01", "rep_delay", 2),
        ({}, 'mode = "session"', "has no sessions", 2),
        ({"retired": ["ibm_torino"]}, "", "no such device", 2),
    ],
)
def test_a_job_that_could_not_be_sent(
    service: Service,
    job: Path,
    nothing: Callable[[], None],
    capsys: pytest.CaptureFixture[str],
    settings: dict[str, Any],
    change: str,
    fragment: str,
    code: int,
) -> None:
    service.configure(**settings)
    with Path("mine.toml").open("a") as profile:
        profile.write(change)
    assert check("--job", str(job)) == code
    told = capsys.readouterr().err
    assert fragment in told
    assert told.count("\n") == 1
    nothing()


@pytest.mark.check
def test_a_job_over_its_budget_or_of_another_profile(
    job: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check("ibm-boston", "--job", str(job)) == 2
    assert "is for the profile 'mine.toml'" in capsys.readouterr().err
    assert check() == 2
    assert "Expected the name of a profile" in capsys.readouterr().err
    job.write_text(job.read_text().replace("= 20", "= 2"))
    assert check("--job", str(job), "--json") == 2
    out, err = capsys.readouterr()
    assert "over the budget" in err
    assert not json.loads(out)["job"]["ready"]
