"""Job specs: what is read, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from qvit_qiskit.exceptions import JobError
from qvit_qiskit.runs.spec import load_spec

GOOD = 'dataset = "phantom"\nbackend = "ibm-boston"\nbudget_seconds = 10\n'
SHIPPED = sorted((Path(__file__).parents[2] / "jobs").glob("*.toml"))


def write(folder: Path, text: str) -> Path:
    path = folder / "job.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_specs_are_valid(path: Path) -> None:
    assert load_spec(path).budget_seconds > 0


def test_defaults(tmp_path: Path) -> None:
    spec = load_spec(write(tmp_path, GOOD))
    assert (spec.split, spec.subset, spec.shots, spec.checkpoint) == ("test", None, None, None)
    assert (spec.control_rows, spec.anchor_rows) == (0, 0)


@pytest.mark.parametrize(
    ("text", "fragment"),
    [
        (GOOD + "subst = 4\n", "Did you mean 'subset'?"),
        (GOOD.replace("10", "0"), "budget_seconds"),
        (GOOD + "shots = 0\n", "shots"),
        (GOOD + "anchor_rows = -1\n", "anchor_rows"),
        (GOOD + "anchor_rows = 1.5\n", "anchor_rows"),
        (GOOD + "anchor_row = 2\n", "Did you mean 'anchor_rows'?"),
        (GOOD.replace('dataset = "phantom"\n', ""), "dataset: Field required"),
        ("dataset = ", "not valid TOML"),
        (GOOD + 'checkpoint = "../../secret"\n', "Copy the checkpoint there"),
        (GOOD + 'checkpoint = "/etc/passwd"\n', "Copy the checkpoint there"),
        ("\x00", "TOML"),
    ],
)
def test_bad_specs_are_told(tmp_path: Path, text: str, fragment: str) -> None:
    with pytest.raises(JobError) as caught:
        load_spec(write(tmp_path, text))
    assert fragment in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(JobError, match="does not exist"):
        load_spec(tmp_path / "nothing.toml")


def test_a_folder_is_no_spec(tmp_path: Path) -> None:
    with pytest.raises(JobError, match="Cannot read"):
        load_spec(tmp_path)


def test_a_checkpoint_below_the_spec(tmp_path: Path) -> None:
    spec = load_spec(write(tmp_path, GOOD + 'checkpoint = "models/best"\n'))
    assert spec.checkpoint == "models/best"
