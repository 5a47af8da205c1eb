"""The stored folders are whole: here, and in the repository."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest
from stored.answers import STORED

ROOT = STORED.parents[2]
MANIFEST = "SHA256SUMS"


def listed() -> dict[str, str]:
    """The checksum of every stored file."""
    lines = (STORED / MANIFEST).read_text().splitlines()
    return {name: digest for digest, name in (line.split("  ", 1) for line in lines)}


def test_every_file_is_what_was_stored() -> None:
    files = [path for path in STORED.rglob("*") if path.is_file() and path.name != MANIFEST]
    found = {
        path.relative_to(STORED).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }
    assert found == listed()


def test_every_file_is_in_the_repository() -> None:
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("the tests do not run in a clone")
    command = ["git", "-C", str(ROOT), "ls-files", "-z", "--", str(STORED)]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    tracked = {Path(name) for name in told.split("\0") if name}
    place = STORED.relative_to(ROOT)
    assert tracked == {place / name for name in (*listed(), MANIFEST)}
