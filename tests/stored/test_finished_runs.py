"""A stored run that is finished, read and compared from its folder alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from stored.answers import check, comparison_answers, run_answers

Stored = Callable[[str], dict[str, Any]]


def test_a_finished_run_is_read(stored: Stored) -> None:
    expected = stored("finished")
    found = run_answers(Path("run"))
    assert {len(circuit["jobs"]) for layer in found["anchors"] for circuit in layer} == {2}
    assert {copy for layer in found["layers"] for o in layer for copy in o["copies"]} == {0, 1}
    assert all(len(layer) == 1 for layer in found["controls"])
    check(found, expected["run"])


def test_a_finished_run_is_compared(stored: Stored) -> None:
    expected = stored("finished")["comparison"]
    found = comparison_answers(Path("run"))
    assert len(found["rungs"]) == 4
    # Ratios of small differences of logits in single precision: processors round differently.
    for part in ("attribution", "tests"):
        check(found[part], expected.pop(part), tolerance=1e-5)
    check(found, expected)
