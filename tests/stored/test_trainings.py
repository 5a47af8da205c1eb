"""Stored trainings that were stopped half-way."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from stored.answers import check, training_answers


@pytest.mark.parametrize(("name", "epochs"), [("plain", 2), ("distilled", 1)])
def test_a_training_ends_with_the_weights_it_would_have_had(
    stored: Callable[[str], dict[str, Any]], name: str, epochs: int
) -> None:
    expected = stored("training")
    assert len(json.loads((Path(name) / "history.json").read_text())) == epochs
    found = training_answers(Path(name))
    assert found["epochs"] == 4
    check(found, expected[name])
