"""Worker processes: the same bits as in this process; deaths cost a cell, or nothing at all."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from study.studies import EPOCHS, epochs, same_answers, write_spec

from qvit_qiskit.exceptions import JobError
from qvit_qiskit.study import Pool, Watcher, make_plan, run_study
from qvit_qiskit.study.logs import read_lines
from qvit_qiskit.study.running.process_environment import ONE_THREAD, environment

RUN = """
import sys
from pathlib import Path
from qvit_qiskit.study import Pool, make_plan, run_study
if __name__ == "__main__":
    run_study(make_plan(Path(sys.argv[1])), sys.argv[2], Pool(1))
"""


def until(condition, seconds=120):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end
        time.sleep(0.02)
    return found


def children(pid):
    """Processes whose parent it is."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            if int(fields[1]) == pid:
                found.append(int(entry.name))
    return found


def alive(pid):
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks into /proc")
def test_a_killed_study_loses_no_finished_cell_and_no_finished_epoch(tmp_path, whole):
    """One cell is finished and one is half-trained when the whole study is killed."""
    made, undisturbed = whole
    script, folder = tmp_path / "run.py", tmp_path / "s"
    script.write_text(RUN)
    process = subprocess.Popen([sys.executable, str(script), str(made.path), str(folder)])
    try:
        first, second = made.cells
        result = folder / "cells" / first.key / "result.json"
        history = folder / "cells" / second.key / "training" / "history.csv"
        until(lambda: len(epochs(history)) > 1)
        workers = children(process.pid)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        until(lambda: not any(alive(pid) for pid in workers))
    finally:
        process.kill()
    assert workers
    assert not (history.parent.parent / "result.json").exists()
    before = result.read_bytes(), result.stat().st_mtime_ns
    trained = epochs(history)
    assert 1 < len(trained) < EPOCHS
    summary = run_study(made, folder)
    assert (summary.found, summary.done) == (1, 1)
    assert (result.read_bytes(), result.stat().st_mtime_ns) == before
    kept = len(trained) - 1  # the last one may have been cut off before it was kept
    assert epochs(history)[:kept] == trained[:kept]
    same_answers(made, folder, undisturbed)


def test_a_worker_s_death_costs_its_cell_only(tmp_path):
    made = make_plan(write_spec(tmp_path / "a.toml", models={"vit": {"projection": "linear"}}))

    def kill_first():
        (worker,) = until(multiprocessing.active_children)
        os.kill(worker.pid, signal.SIGKILL)

    threading.Thread(target=kill_first).start()
    told = []
    watcher = Watcher(
        progress=lambda cell, share: told.append((cell.label, share)),
        end=lambda cell, outcome: told.append((cell.label, outcome.state)),
    )
    summary = run_study(made, tmp_path / "s", Pool(1), watcher=watcher)
    first, second = made.cells
    (failed,) = summary.failed
    assert failed.key == first.key
    assert failed.reason == "Its worker process was ended by SIGKILL (was there enough memory?)."
    assert told == [
        (first.label, "failed"), (second.label, 0.5), (second.label, 1.0), (second.label, "done"),
    ]  # fmt: skip
    assert multiprocessing.active_children() == []
    states = [line["event"] for line in read_lines(tmp_path / "s" / "journal.jsonl")]
    assert states == ["begun", "failed", "done", "ended"]


def test_workers_have_one_thread_and_the_parent_its_own(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.delenv("RAYON_NUM_THREADS", raising=False)
    with environment(ONE_THREAD):
        assert {os.environ[name] for name in ONE_THREAD} == {"1"}
    assert os.environ["OMP_NUM_THREADS"] == "3"
    assert "RAYON_NUM_THREADS" not in os.environ


def test_a_pool_without_workers():
    with pytest.raises(JobError, match="at least one worker, but got 0"):
        Pool(0)
    assert list(Pool(2)([])) == []
