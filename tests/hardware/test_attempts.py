"""Tags of attempts: the same in every copy of a folder, another one only for another attempt."""

from __future__ import annotations

import shutil
from pathlib import Path

from qvit_qiskit.hardware.attempts import Attempts
from qvit_qiskit.hardware.events import Loss, Submission
from qvit_qiskit.hardware.journal import Journal
from qvit_qiskit.hardware.stages.stage import Chunk

CHUNK = Chunk("000-0", (), 1, 2.0)


def test_copies_share_the_tag_however_often_a_job_was_looked_for(tmp_path: Path) -> None:
    attempts = Attempts(Journal.create(tmp_path / "run"))
    first = attempts.tag(CHUNK)
    lost = Loss(chunk=CHUNK.name, tag=first, job="a", reason="It is gone.")
    attempts.journal.append(Submission(chunk=CHUNK.name, tag=first, job="a"))
    attempts.journal.append(lost)
    shutil.copytree(tmp_path / "run", tmp_path / "copy")
    attempts.journal.append(Submission(chunk=CHUNK.name, tag=first, job="a"))
    attempts.journal.append(lost)
    copied = Attempts(Journal.open(tmp_path / "copy"))
    assert attempts.tag(CHUNK) == copied.tag(CHUNK) != first


def test_other_runs_and_chunks_have_other_tags(tmp_path: Path) -> None:
    one, two = (Attempts(Journal.create(tmp_path / name)) for name in ("one", "two"))
    other = Chunk("000-1", (), 1, 2.0)
    assert len({one.tag(CHUNK), one.tag(other), two.tag(CHUNK), two.tag(other)}) == 4
