"""The list of slower tests names tests that there are."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.check
def test_every_line_names_a_test() -> None:
    line = ["-m", "pytest", "-q", "-p", "no:xdist", "--collect-only", "-m", "check or not check"]
    told = subprocess.run(
        [sys.executable, *line], cwd=ROOT, check=True, capture_output=True, text=True
    )
    known = {name for name in told.stdout.splitlines() if "::" in name}
    listed = (ROOT / "tests" / "slower.txt").read_text().splitlines()
    assert listed == sorted(set(listed))
    assert [name for name in listed if name not in known] == []
