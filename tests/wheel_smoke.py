"""The wheel alone, in a fresh environment and an empty folder, as a new user has it.

``python tests/wheel_smoke.py`` builds the wheel and, for each Python 3.11 to 3.13 that is on the
path, installs it with what it needs and runs the first commands of the README: the list of trained
models, the demo, a plan, a rehearsed submission, its comparison, a study. ``--lowest`` installs the
oldest releases that `pyproject.toml` allows, ``--tests`` runs the quick tests as well, or those of
the folders named after it. The data set of the first run is read from
QVIT_DATA_ROOT, or downloaded. Not a test of `make test`: an installation takes minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTHONS = ("python3.11", "python3.12", "python3.13")
COMMANDS = (
    ("--version", "qvit "),
    ("models", "trained models"),
    ("models qvit-retinamnist", "CC BY 4.0"),
    ("backends", "aer-boston"),
    ("demo --epochs 1 --images 4", "checkpoints/demo"),
    ("evaluate checkpoints/demo", "phantom"),
    ("evaluate zoo:vit-breastmnist", "0."),
    ("train --preset qvit-breastmnist --epochs 1 --subset 32 --out mine", "val AUC"),
    ("plan first-run --set subset=4", "QPU seconds for 4 images on"),
    ("submit first-run --set subset=4 --wait --run first", "finished"),
    ("status first", "finished"),
    ("compare first --out report --no-figures", "loss of AUC"),
    ("study tiny --workers 1", "cells are finished"),
)
"""What is run in this order, with words that its output must have."""
FIRST = (
    ("--version", "qvit "),
    ("models", "trained models"),
    ("demo --epochs 1 --images 2", "checkpoints/demo"),
    ("plan first-run --set subset=2", "QPU seconds for 2 images on"),
    ("submit small.toml --wait --run first", "finished"),
    ("compare first --out report --no-figures", "loss of AUC"),
)
"""Fewer of them and smaller ones, which `make check` runs from a wheel beside its own packages."""


SMALL = """
dataset = "breastmnist"
subset = 2
checkpoint = "zoo:qvit-breastmnist"
backend = "fake-boston"
shots = 32
budget_seconds = 60
"""
"""A job without a plan."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", action="append", help="An interpreter; may be repeated.")
    parser.add_argument("--lowest", action="store_true", help="The oldest allowed dependencies.")
    parser.add_argument("--cuda", action="store_true", help="Install torch even if it brings CUDA.")
    parser.add_argument("--tests", nargs="*", metavar="PATH", help="Run the quick tests, too.")
    options = parser.parse_args()
    pythons = options.python or [name for name in PYTHONS if works(name)]
    failures = 0
    with tempfile.TemporaryDirectory(prefix="wheel-") as folder:
        wheel = build(Path(folder))
        for python in pythons:
            place = Path(folder) / Path(python).name
            place.mkdir()
            good = smoke(python, wheel, place, lowest=options.lowest, cuda=options.cuda)
            if good and options.tests is not None and (place / "work").exists():
                good = test(place, wheel, options.tests)
            failures += not good
            shutil.rmtree(place)
    return 1 if failures else 0


def works(name: str) -> bool:
    """Whether there is such an interpreter, and not only a name for one."""
    path = shutil.which(name)
    return path is not None and subprocess.run([path, "-V"], capture_output=True).returncode == 0


def build(folder: Path) -> Path:
    """The wheel of this checkout."""
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT]
    subprocess.run(command, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    print(f"{wheel.name}: {wheel.stat().st_size / 1e6:.2f} MB", flush=True)
    return wheel


def smoke(python: str, wheel: Path, place: Path, *, lowest: bool, cuda: bool) -> bool:
    """Install the wheel and run the commands; whether everything went well, or could not be tried.

    Args:
        python: The interpreter.
        wheel: The wheel.
        place: An empty folder.
        lowest: Whether the oldest allowed dependencies are installed.
        cuda: Whether a torch that brings CUDA may be installed.
    """
    subprocess.run([python, "-m", "venv", place / "venv"], check=True)
    pip = [place / "venv" / "bin" / "python", "-m", "pip", "--disable-pip-version-check", "install"]
    subprocess.run([*pip, "--quiet", "--upgrade", "pip"], check=True)  # old ones bring no report
    constraints = ROOT / "constraints.txt"
    if lowest:
        constraints = place / "lowest.txt"
        constraints.write_text("\n".join(lowest_releases()) + "\n", encoding="utf-8")
    # scikit-learn and others have no wheels of their oldest releases for the newest Python
    what = [*pip, "--quiet", "--only-binary", ":all:", "--constraint", constraints]
    if not cuda and brings_cuda(what):
        print(f"{python}: left out, its torch would bring CUDA (--cuda takes it)", flush=True)
        return True
    begun = time.perf_counter()
    done = subprocess.run([*what, wheel], capture_output=True, text=True)
    if done.returncode:
        print(f"{python}: not installable: {done.stderr.strip()[-2000:]}", flush=True)
        return False
    print(f"{python}: installed in {time.perf_counter() - begun:.0f} s", flush=True)
    return all(list(run(place / "venv" / "bin" / "qvit", place)))


def test(place: Path, wheel: Path, paths: Sequence[str]) -> bool:
    """Run the quick tests of this checkout with the environment that was made; whether all pass.

    Args:
        place: Where the environment is; its constraints stay in force.
        wheel: The wheel, which knows what tests need.
        paths: Which tests; none means all.
    """
    python = place / "venv" / "bin" / "python"
    lowest = place / "lowest.txt"
    constraints = lowest if lowest.exists() else ROOT / "constraints.txt"
    need = ["--quiet", "--constraint", constraints, f"{wheel}[dev]"]
    subprocess.run([python, "-m", "pip", "install", *need], check=True)
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    line = [python, "-m", "pytest", "-q", "--numprocesses", "2", "--dist", "worksteal", *paths]
    return subprocess.run(line, cwd=ROOT, env=environment).returncode == 0


def brings_cuda(install: list[str | Path]) -> bool:
    """Whether the torch that would be installed asks for CUDA's libraries; downloads none of it.

    Args:
        install: pip's command, without what is to be installed.
    """
    look = ["--dry-run", "--no-deps", "--use-feature", "fast-deps", "--report", "-", "torch"]
    done = subprocess.run([*install, *look], capture_output=True, text=True)
    if done.returncode:
        return False  # the installation itself says what is wrong
    (torch,) = json.loads(done.stdout)["install"]
    needs = torch["metadata"].get("requires_dist", ())
    return any(need.startswith(("nvidia-", "cuda-")) for need in needs)


def run(
    qvit: Path, place: Path, commands: Sequence[tuple[str, str]] = COMMANDS, path: str | None = None
) -> Iterator[bool]:
    """Each command in an empty folder, without this checkout in sight; whether it went well.

    Args:
        qvit: The command.
        place: Where the folder is made.
        commands: What is run, with words of the output.
        path: Where Python finds the package, if the command's own interpreter does not.
    """
    work = place / "work"
    work.mkdir()
    (work / "small.toml").write_text(SMALL, encoding="utf-8")
    hidden = {"PYTHONPATH", "QVIT_BACKENDS", "VIRTUAL_ENV"}
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    environment |= {"QVIT_CACHE": str(place / "cache"), "OMP_NUM_THREADS": "1"}
    environment |= {"PYTHONPATH": path} if path else {}
    for line, words in commands:
        begun = time.perf_counter()
        done = subprocess.run(
            [qvit, *line.split()], cwd=work, env=environment, capture_output=True, text=True
        )
        good = done.returncode == 0 and words in " ".join(done.stdout.split())
        verdict = "ok" if good else f"exit {done.returncode}"
        print(f"  {verdict:8} {time.perf_counter() - begun:5.1f} s  qvit {line}", flush=True)
        if not good:
            print(done.stdout[-2000:], done.stderr[-2000:], sep="\n", flush=True)
        yield good


def lowest_releases() -> list[str]:
    """The lower bound of every dependency as the only release that may be installed."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    bounds = [re.match(r"([\w-]+)>=([\d.]+)", one) for one in project["dependencies"]]
    return [f"{bound[1]}=={bound[2]}" for bound in bounds if bound]


if __name__ == "__main__":
    sys.exit(main())
