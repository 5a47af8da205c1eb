"""What a person sees in a terminal of 80 and of 140 columns, as text files beside this one.

After a change that is meant: ``QVIT_SNAPSHOTS=write pytest -m check tests/cli/test_terminal.py``,
and read the difference before it is committed.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from cli.terminal import Ended, run

SNAPSHOTS = Path(__file__).parent / "snapshots"
CHECKPOINT, RUN = "checkpoints/small", "runs/rehearsal"
JOB = f"""
dataset = "phantom"
split = "test"
subset = 4
checkpoint = "{CHECKPOINT}"
backend = "rehearsal.toml"
budget_seconds = 60
shots = 16
"""
STUDY = """
datasets = ["phantom"]
heads = [1]
qubits = [2]
seeds = [0, 1]
split = "val"
[models.vit]
[regimes.scratch]
[training]
epochs = 1
"""
COMMANDS = {
    "train": f"train --dataset phantom --epochs 1 --heads 1 --width 2 --out {CHECKPOINT}",
    "evaluate": f"evaluate {CHECKPOINT} --backend aer-shots --subset 8",
    "estimate": "estimate job.toml",
    "submit": f"submit job.toml --run {RUN} --wait",
    "status": f"status {RUN}",
    "watch": f"watch {RUN}",
    "compare": f"compare {RUN} --out report",
    "plan": "plan job.toml --tolerance 0.2 --set shots=auto",
    "study": "study small.toml --workers 1",
    "demo": "demo --epochs 1 --images 4",
    "backends": "backends",
}
"""In the order in which a person calls them."""
UNPRINTED = ("plan", "demo")
"""Their words depend on what was trained: only their width and their progress are looked at."""
WIDE = ("evaluate", "status", "compare", "backends")
"""What is called in the wider terminal as well, in the same folder: tables, lines and paths."""

pytestmark = pytest.mark.check


@pytest.fixture(scope="module")
def terminal(tmp_path_factory: pytest.TempPathFactory) -> dict[int, dict[str, Ended]]:
    """By the width of a terminal, how every command ended there."""
    folder = tmp_path_factory.mktemp("terminal")
    (folder / "job.toml").write_text(JOB)
    (folder / "small.toml").write_text(STUDY)
    (folder / "rehearsal.toml").write_text('kind = "fake"\ndevice = "fake_torino"\n')
    narrow = {name: run(80, folder, line.split()) for name, line in COMMANDS.items()}
    shutil.rmtree(folder / "report")  # that of the first comparison
    return {80: narrow, 140: {name: run(140, folder, COMMANDS[name].split()) for name in WIDE}}


CASES = [*((80, name) for name in COMMANDS), *((140, name) for name in WIDE)]


@pytest.mark.parametrize(("width", "name"), [case for case in CASES if case[1] not in UNPRINTED])
def test_the_words(terminal: dict[int, dict[str, Ended]], width: int, name: str) -> None:
    ended = terminal[width]
    assert ended[name].code == 0, ended[name].raw
    path = SNAPSHOTS / f"{name}-{width}.txt"
    if os.environ.get("QVIT_SNAPSHOTS") == "write":
        path.parent.mkdir(exist_ok=True)
        path.write_text(ended[name].words + "\n")
    assert ended[name].words == path.read_text().rstrip("\n")


@pytest.mark.parametrize(("width", "name"), CASES)
def test_nothing_is_wider_than_the_terminal(
    terminal: dict[int, dict[str, Ended]], width: int, name: str
) -> None:
    assert [line for line in terminal[width][name].lines if len(line) > width] == []


def test_paths_stay_whole(terminal: dict[int, dict[str, Ended]]) -> None:
    """A command that is suggested can be copied from one line, or from lines cut at spaces."""
    ended = terminal[80]
    for name, path in {
        "submit": RUN,
        "status": f"qvit compare {RUN} --out report",
        "compare": "report/report.html",
    }.items():
        assert path in " ".join(" ".join(ended[name].lines).split()), name


@pytest.mark.parametrize("name", COMMANDS)
def test_something_moves(terminal: dict[int, dict[str, Ended]], name: str) -> None:
    """On a busy machine a frame comes late; a part without any takes a good share of the time."""
    assert terminal[80][name].silent < 0.25, terminal[80][name].times


def test_progress_is_drawn(terminal: dict[int, dict[str, Ended]]) -> None:
    """Loss and AUC while training, the images of an evaluation, the jobs of a run."""
    ended = terminal[80]
    assert "loss 0." in ended["train"].raw
    assert "8/8" in ended["evaluate"].raw
    assert "QPU s" in ended["submit"].raw
