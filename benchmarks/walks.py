"""How many files of the package four walks pass: those of which a function runs.

A batch to a gradient, a job spec to logits, a run to a page, a study to its tables. Each walk is a
process of its own (a study's workers count too), on the synthetic set. With ``--against FOLDER``,
a checkout of another commit, both are counted.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent

WATCH = """
import os, sys, threading
log = os.open(os.environ["WALK_LOG"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
root, seen = os.environ["WALK_ROOT"], set()

def begun(frame, event, arg):
    code = frame.f_code
    if code.co_flags & 1 and code.co_filename.startswith(root) and code.co_filename not in seen:
        seen.add(code.co_filename)  # the flag is 0 where a module itself runs, as it is imported
        os.write(log, code.co_filename[len(root):].encode() + b"\\n")

sys.settrace(begun)
threading.settrace(begun)
"""

TRAINED = """
from qvit_qiskit import ViTConfig, build_model, load, save_checkpoint
model = build_model(ViTConfig(patch_size=14, width=4, heads=2), seed=0)
facts = {"dataset": "phantom", "md5": load("phantom").md5}
save_checkpoint(__import__("pathlib").Path("model.safetensors"), model, facts)
"""
BATCH = """
import torch
from qvit_qiskit import ViTConfig, build_model
model = build_model(ViTConfig(patch_size=14, width=4, heads=2), seed=0)
loss = torch.nn.functional.cross_entropy(model(torch.rand(4, 1, 28, 28)), torch.zeros(4).long())
loss.backward()
"""
COMMAND = "import sys; from qvit_qiskit.cli import main; sys.argv = ['qvit', *sys.argv[1:]]; main()"
JOB = """
dataset = "phantom"
split = "test"
subset = 4
backend = "fake-torino"
shots = 64
budget_seconds = 60
checkpoint = "model.safetensors"
"""
STUDY = """
datasets = ["phantom"]
heads = [1]
qubits = [2]
seeds = [0, 1]
split = "val"
[models.qvit]
patch_size = 14
[regimes.scratch]
[training]
epochs = 1
subset = 16
"""
WALKS = {
    "a batch to a gradient": ("-c", BATCH),
    "a job spec to logits": ("-c", COMMAND, "submit", "job.toml", "--run", "run", "--wait"),
    "a run to a page": ("-c", COMMAND, "compare", "run", "--out", "page"),
    "a study to its tables": ("-c", COMMAND, "study", "study.toml", "--out", "study"),
}


def count(checkout: Path, place: Path) -> dict[str, list[str]]:
    """The files that each walk passes in a checkout.

    Args:
        checkout: The root of the repository.
        place: An empty folder to work in.
    """
    (place / "watch").mkdir(parents=True)
    (place / "watch" / "sitecustomize.py").write_text(WATCH)
    (place / "job.toml").write_text(JOB)
    (place / "study.toml").write_text(STUDY)
    path = f"{place / 'watch'}{os.pathsep}{checkout}"
    plain = os.environ | {"PYTHONPATH": str(checkout)}
    subprocess.run([sys.executable, "-c", TRAINED], cwd=place, env=plain, check=True)
    passed = {}
    for number, (walk, line) in enumerate(WALKS.items()):
        log = place / f"walk{number}.txt"
        log.touch()
        watched = plain | {
            "PYTHONPATH": path,
            "WALK_LOG": str(log),
            "WALK_ROOT": f"{checkout / 'qvit_qiskit'}{os.sep}",
        }
        done = subprocess.run(
            [sys.executable, *line], cwd=place, env=watched, capture_output=True, text=True
        )
        if done.returncode:
            sys.exit(f"{walk} failed in {checkout}:\n{done.stdout}\n{done.stderr}")
        passed[walk] = sorted(set(log.read_text().split()))
    return passed


def main() -> None:
    """Count, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--against", type=Path, help="a checkout of another commit")
    parser.add_argument("--json", type=Path, help="where to write the names of the files")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        here = count(HERE, Path(folder) / "here")
        other = chosen.against and count(chosen.against.resolve(), Path(folder) / "other")
    for walk, files in here.items():
        before = f", {len(other[walk])} in {chosen.against}" if other else ""
        print(f"{walk}: {len(files)} files{before}")
    if chosen.json:
        chosen.json.write_text(json.dumps({"here": here, "other": other}, indent=1))


if __name__ == "__main__":
    main()
