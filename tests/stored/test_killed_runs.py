"""Stored runs whose processes were killed while a service had their jobs.

In both folders the first job was sent and not fetched, the second has an intent and no answer, and
the third was not begun. The jobs that were sent wait in the service's stored folder.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from service.handle import Service
from stored.answers import as_json, check, events, killed_answers, restarted

from qvit_qiskit.cli import run

JOBS = 3


@pytest.fixture
def expected(stored: Callable[[str], dict[str, Any]]) -> dict[str, Any]:
    """What is expected of both runs."""
    return stored("killed")


@pytest.fixture
def service(expected: dict[str, Any]) -> Iterator[Service]:
    """The service, started again."""
    with restarted(Path("store")) as service:
        yield service


@pytest.mark.parametrize("name", ["unanswered", "unsent"])
def test_a_killed_run_is_looked_at(expected: dict[str, Any], name: str) -> None:
    folder = Path(name)
    assert [len(events(folder, kind)) for kind in ("intent", "submitted", "finished")] == [2, 1, 0]
    found = as_json("status", folder)
    assert (found["state"], found["jobs_done"], found["jobs"]) == ("uncertain", 0, JOBS)


def test_a_job_that_was_not_answered_is_adopted(expected: dict[str, Any], service: Service) -> None:
    found = killed_answers(Path("unanswered"), service)
    once_each(found)
    check(found, expected["unanswered"])


def test_a_job_that_was_not_sent_is_sent_where_the_user_says_so(
    expected: dict[str, Any], service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["resume", "unsent", "--patience", "2"]) == 2
    assert "uncertain" in capsys.readouterr().err
    found = killed_answers(Path("unsent"), service, "--resubmit")
    once_each(found)
    check(found, expected["unsent"])


def once_each(found: dict[str, Any]) -> None:
    """No job was sent or executed twice."""
    assert (found["jobs"], found["executed"], found["programs"]) == (JOBS, [1] * JOBS, JOBS)
