"""Stored checkpoints of every kind of model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from stored.answers import check, checkpoint_answers


@pytest.mark.parametrize("name", ["qvit", "vit", "token", "resnet"])
def test_a_checkpoint_answers_as_it_did(stored: Callable[[str], dict[str, Any]], name: str) -> None:
    expected = stored("checkpoints")
    check(checkpoint_answers(Path(f"{name}.safetensors")), expected[name])
