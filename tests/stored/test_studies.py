"""A stored study of which some cells are finished, one is half trained, and some are not begun."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from stored.answers import check, study_answers

from qvit_qiskit.profile import UNROUTED


def test_a_study_goes_on_and_says_the_same(stored: Callable[[str], dict[str, Any]]) -> None:
    expected = stored("study")
    tables = expected["tables"]
    for line in [*expected["scores"], *tables["scores"], *tables["cells"]]:
        if line["model"] == "vit":  # since then, tables name no backend on which nothing ran
            assert line["profile"] == "aer-exact"
            line["profile"] = UNROUTED
    kept = results(Path("study"))
    found = study_answers(Path("tiny.toml"), Path("study"))
    assert (len(kept), found["found"], found["done"]) == (3, 3, 5)
    check(found, expected)
    after = results(Path("study"))
    assert len(after) == 8
    assert {path: after[path] for path in kept} == kept  # nothing was computed again


def results(folder: Path) -> dict[Path, bytes]:
    """What finished cells have written."""
    return {path: path.read_bytes() for path in folder.glob("cells/*/result.json")}
