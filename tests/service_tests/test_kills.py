"""Runs whose process is killed, at every step of their journal; `make soak` does it at random."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from service.handle import Service
from service_tests.victim import (
    Audit,
    End,
    Order,
    Victims,
    network,
    outputs,
    patience,
    shared_victims,
)

from qvit_qiskit.exceptions import JobError
from qvit_qiskit.hardware.events import Submission
from qvit_qiskit.hardware.journal import Journal
from qvit_qiskit.runs import read_results, resume

Make = Callable[..., Order]


@pytest.fixture(scope="module")
def victims(running: Service) -> Victims:
    """Processes that may be killed."""
    return shared_victims(**running.environment)


@pytest.fixture
def order(service: Service, tmp_path: Path) -> Make:
    """What a process is to do in a folder of this test."""

    def make(folder: str, mode: str = "batch", **changes: object) -> Order:
        path = tmp_path / f"{mode}.toml"
        path.write_text(f'kind = "ibm"\ndevice = "ibm_torino"\nmode = "{mode}"\nshots = 32\n')
        return Order(str(tmp_path / folder), str(path), **changes)  # type: ignore[arg-type]

    return make


def undisturbed(victims: Victims, order: Order, service: Service) -> tuple[Counter[str], End]:
    """What was executed, and how the process ended."""
    audit = Audit(service)
    end = victims.run(order)
    assert end.state == "finished", end
    audit.check(Path(order.folder))
    programs = audit.programs()
    assert set(programs.values()) == {1}
    return programs, end


def same(a: Path | str, b: Path | str) -> bool:
    return outputs(Path(a)) == outputs(Path(b))


def test_a_run_dies_in_every_step_of_its_life(
    service: Service, victims: Victims, order: Make
) -> None:
    """Each process takes up what the last one left, and dies within the next step."""
    whole = order("whole", "session")
    programs, end = undisturbed(victims, whole, service)
    audit = Audit(service)
    torn = order("torn", "session", step=3, moment="within")  # before it there is no run
    deaths = [victims.run(torn)]
    step, known = 1, 0
    while deaths[-1].killed:
        events = Journal.open(Path(torn.folder)).events
        passing = ("opening", "workload", "closed", "workload_billed")
        lasting = sum(event.kind not in passing for event in events)
        step, known = (step + 1, known) if lasting == known else (1, lasting)
        deaths.append(victims.run(replace(torn, resume=True, step=step)))
        assert len(deaths) < 3 * len(end.steps)
    assert deaths.pop().state == "finished"
    assert len(deaths) >= len(end.steps) - 5  # events of the session do not count
    assert same(torn.folder, whole.folder)
    assert audit.programs() == programs
    assert len(audit.jobs()) == len(programs)
    audit.check(Path(torn.folder))


POINTS = [
    ("workload", 0, "before"),  # the batch is open, and nobody knows
    ("submitted", 0, "before"),  # the first job of two is sent, and nobody knows
    ("intent", 1, "after"),  # it is not sent
    ("closed", 0, "before"),  # the batch is closed, and nobody knows
    ("finished", 0, "before"),  # the result is stored
    ("done", 0, "before"),  # everything is done, and nobody knows
]


@pytest.mark.parametrize(("name", "which", "moment"), POINTS)
def test_killed_once(
    service: Service,
    victims: Victims,
    order: Make,
    whole: tuple[Path, Counter[str], End],
    name: str,
    which: int,
    moment: str,
) -> None:
    folder, programs, end = whole
    step = [k for k, found in enumerate(end.steps) if found == name][which]
    audit = Audit(service)
    doomed = order("killed", split=True, step=step, moment=moment)
    assert victims.run(doomed).killed
    ends = victims.recover(doomed)
    uncertain = (name, moment) == ("intent", "after")
    assert [e.error for e in ends] == (["JobError", None] if uncertain else [None])
    assert same(doomed.folder, folder)
    assert audit.programs() == programs
    assert len(audit.jobs()) == len(programs)
    audit.check(Path(doomed.folder))


def test_anchors_outlive_a_kill(service: Service, victims: Victims, order: Make) -> None:
    """The second of three jobs is sent, and nobody knows."""
    undisturbed_order = order("whole", split=True, anchors=1)
    programs, end = undisturbed(victims, undisturbed_order, service)
    assert len(programs) == 3
    step = [k for k, found in enumerate(end.steps) if found == "submitted"][1]
    audit = Audit(service)
    doomed = order("killed", split=True, anchors=1, step=step, moment="before")
    assert victims.run(doomed).killed
    assert [e.error for e in victims.recover(doomed)] == [None]
    assert same(doomed.folder, undisturbed_order.folder)
    assert audit.programs() == programs
    audit.check(Path(doomed.folder))
    found, known = (read_results(run.folder).anchors[0][0] for run in (doomed, undisturbed_order))
    assert found.jobs == known.jobs == ("000-0", "000-1", "000-2")
    np.testing.assert_array_equal(found.values, known.values)
    assert found.values.shape == (3, 1, 2)


@pytest.fixture(scope="module")
def whole(
    running: Service, victims: Victims, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Counter[str], End]:
    """A run of two jobs that nobody disturbs: its folder, what was executed, its steps."""
    folder = tmp_path_factory.mktemp("whole")
    profile = folder / "mine.toml"
    profile.write_text('kind = "ibm"\ndevice = "ibm_torino"\nshots = 32\n')
    running.configure(noiseless=False, billing_delay=0.0)
    order = Order(str(folder / "run"), str(profile), split=True)
    programs, end = undisturbed(victims, order, running)
    assert len(programs) == 2
    return folder / "run", programs, end


def test_before_anything_was_written_down_nothing_was_sent(
    service: Service, victims: Victims, order: Make
) -> None:
    audit = Audit(service)
    doomed = order("killed", step=2, moment="before")  # `evaluation`
    assert victims.run(doomed).killed
    with pytest.raises(JobError, match="nothing was sent"):
        resume(doomed.folder, network())
    assert not audit.jobs()
    assert [end.state for end in victims.recover(doomed)] == [None, "finished"]


def test_a_rehearsal_is_simulated_again(victims: Victims, tmp_path: Path) -> None:
    """Its jobs end with their process."""
    profile = tmp_path / "rehearsal.toml"
    profile.write_text('kind = "fake"\ndevice = "fake_torino"\nshots = 32\n')
    whole = Order(str(tmp_path / "whole"), str(profile))
    steps = victims.run(whole).steps
    doomed = replace(whole, folder=str(tmp_path / "killed"), step=steps.index("submitted"))
    assert victims.run(doomed).killed
    (end,) = victims.recover(doomed)
    assert end.state == "finished"
    assert same(doomed.folder, whole.folder)


def test_a_job_that_is_listed_late_is_adopted(
    service: Service, victims: Victims, order: Make
) -> None:
    service.inject("late_listing", seconds=6.0)
    audit = Audit(service)
    doomed = order("killed", "job", step=11, moment="before")  # `submitted`
    assert victims.run(doomed).killed
    with pytest.raises(JobError, match="no job has the tag") as caught:
        resume(doomed.folder, network(), patience=patience())
    (job,) = audit.jobs()
    assert job["tags"][0] in str(caught.value)
    # Who waits has it looked for as long as an outage may last, and need not ask again.
    found = resume(doomed.folder, network(), wait=True, patience=patience())
    assert found.state == "finished"
    assert len(audit.jobs()) == 1
    audit.check(Path(doomed.folder))


def test_other_threads_another_batch_another_folder(
    service: Service, victims: Victims, order: Make, tmp_path: Path
) -> None:
    """Two layers: the first was sent, its copy answers the second."""
    there = order("there", images=10, layers=2, batch_size=32)
    undisturbed(victims, there, service)
    doomed = replace(there, folder=str(tmp_path / "here"), step=14)
    assert victims.run(doomed).killed
    assert Journal.open(Path(doomed.folder)).events[-1].kind == "closed"
    (sent,) = [event.job for event in Journal.open(Path(doomed.folder)).of(Submission)]
    shutil.copytree(doomed.folder, tmp_path / "copy")
    shutil.rmtree(doomed.folder)
    audit = Audit(service)
    moved = replace(doomed, folder=str(tmp_path / "copy"), batch_size=7, threads=2)
    (end,) = victims.recover(moved)
    assert end.state == "finished"
    (job,) = audit.jobs()  # the second layer's alone
    journal = Journal.open(tmp_path / "copy")
    assert [event.job for event in journal.of(Submission)] == [sent, job["id"]]
    first = "results/000-0.npz"
    assert outputs(tmp_path / "copy")[first] == outputs(Path(there.folder))[first]
