"""What a person sees in a terminal of 80 and of 140 columns, as text files beside this one.

After a change that is meant: ``QVIT_SNAPSHOTS=write pytest -m check tests/cli/test_terminal.py``,
and read the difference before it is committed.
"""

from __future__ import annotations

import os
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
    "study": "study small.toml --workers 1",
    "backends": "backends",
}
"""In the order in which a person calls them."""
WIDTHS = (80, 140)

pytestmark = pytest.mark.check


@pytest.fixture(scope="module", params=WIDTHS)
def terminal(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[int, dict[str, Ended]]:
    """The width of a terminal, and how every command ended there."""
    folder = tmp_path_factory.mktemp("terminal")
    (folder / "job.toml").write_text(JOB)
    (folder / "small.toml").write_text(STUDY)
    (folder / "rehearsal.toml").write_text('kind = "fake"\ndevice = "fake_torino"\n')
    ended = {name: run(request.param, folder, line.split()) for name, line in COMMANDS.items()}
    return request.param, ended


@pytest.mark.parametrize("name", COMMANDS)
def test_the_words(terminal: tuple[int, dict[str, Ended]], name: str) -> None:
    width, ended = terminal
    assert ended[name].code == 0, ended[name].raw
    path = SNAPSHOTS / f"{name}-{width}.txt"
    if os.environ.get("QVIT_SNAPSHOTS") == "write":
        path.parent.mkdir(exist_ok=True)
        path.write_text(ended[name].words + "\n")
    assert ended[name].words == path.read_text().rstrip("\n")


@pytest.mark.parametrize("name", COMMANDS)
def test_nothing_is_wider_than_the_terminal(
    terminal: tuple[int, dict[str, Ended]], name: str
) -> None:
    width, ended = terminal
    assert [line for line in ended[name].lines if len(line) > width] == []


def test_paths_stay_whole(terminal: tuple[int, dict[str, Ended]]) -> None:
    """A command that is suggested can be copied from one line, or from lines cut at spaces."""
    _, ended = terminal
    for name, path in {
        "submit": RUN,
        "status": f"qvit compare {RUN} --out report",
        "compare": "report/report.html",
    }.items():
        assert path in " ".join(" ".join(ended[name].lines).split()), name


def test_progress_is_drawn(terminal: tuple[int, dict[str, Ended]]) -> None:
    """Loss and AUC while training, the images of an evaluation, the jobs of a run."""
    _, ended = terminal
    assert "loss 0." in ended["train"].raw
    assert "8/8" in ended["evaluate"].raw
    assert "QPU s" in ended["submit"].raw
