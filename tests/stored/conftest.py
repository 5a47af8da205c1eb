"""Copies of stored folders, in empty places."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from stored.answers import STORED


@pytest.fixture
def stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], dict[str, Any]]:
    """Copy a stored folder and work in it; what is expected of it."""

    def copy(name: str) -> dict[str, Any]:
        folder = tmp_path / name
        shutil.copytree(STORED / name, folder)
        monkeypatch.chdir(folder)
        return json.loads((folder / "expected.json").read_text())

    return copy
