"""Which tests `make test` leaves to `make check`: measure all of them, and write `slower.txt`.

    python tests/tiers.py [--seconds 1]

Runs every test but those marked by hand on two processes and lists those that took longer, in
seconds of processor time (of the test and of the processes that it waited for), so that a busy
machine changes little. As a pytest plugin it only measures.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
LIST = FOLDER / "slower.txt"
KEPT = (
    "tests/service_tests/test_budget.py::test_what_is_billed_never_exceeds_the_budget",
    "tests/cli/test_commands.py::test_demo_climbs",
    "tests/cli/test_commands.py::test_train",
    "tests/cli/test_commands.py::test_every",
    "tests/cli/test_commands.py::test_an_interrupt",
    "tests/cli/test_commands.py::test_profiles",
    "tests/cli/test_estimate.py",
    "tests/cli/test_overrides.py",
    "tests/cli/test_study.py",
    "tests/cli/test_compare.py::test_a_run_is_read_once",
    "tests/cli/test_compare.py::test_checkpoints_on_backends",
    "tests/cli/test_compare.py::test_mistakes",
    "tests/runs/test_results.py::test_every",
    "tests/runs/test_pricing.py::test_the_price_counts",
    "tests/runs/test_pricing.py::test_least_busy",
    "tests/service_tests/test_account.py::test_check",
    "tests/service_tests/test_account.py::test_refusals",
    "tests/service_tests/test_account.py::test_the_least_busy",
    "tests/service_tests/test_commands.py::test_submit_and_resume",
    "tests/service_tests/test_commands.py::test_cancel",
    "tests/service_tests/test_commands.py::test_a_budget",
    "tests/service_tests/test_compared_runs.py",
    "tests/service_tests/test_preflight.py",
    "tests/service_tests/test_watching.py",
    "tests/service_tests/test_run_faults.py::test_a_fault_of_each_call",
    "tests/service_tests/test_run_faults.py::test_submissions[empty",
    "tests/service_tests/test_run_folder.py",
    "tests/study/test_running.py",
    "tests/cli/test_plans.py::test_the_answer",
    "tests/runs/planning/test_planner.py::test_labels_change_nothing",
    "tests/service_tests/test_adaptive_runs.py::test_every_share",
    "tests/test_layering.py",
    "tests/test_style.py",
    "tests/study/test_tables.py",
    "tests/study/test_pool.py::test_a_worker_s",
    "tests/simulation/noise/test_parities.py::test_auto",
    "tests/devices/test_wide.py::test_a_placed",
)
"""Tests that stay in `make test` however long they take: promises that each change must keep, the
doors by which users come in, and files that nothing quicker covers."""


def _used() -> float:
    """Processor seconds of this process and of its children that ended."""
    who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(one.ru_utime + one.ru_stime for one in map(resource.getrusage, who))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Note what a test used, its fixtures included."""
    before = _used()
    yield
    if folder := os.environ.get("QVIT_TIERS"):
        with (Path(folder) / str(os.getpid())).open("a") as file:
            file.write(f"{_used() - before:.2f}\t{item.nodeid}\n")


def measured(folder: Path) -> dict[str, float]:
    """Processor seconds by test, from what the processes noted."""
    lines = [line for path in folder.iterdir() for line in path.read_text().splitlines()]
    return {name: float(seconds) for seconds, _, name in (line.partition("\t") for line in lines)}


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--measured", type=Path, help="a folder of an earlier measurement")
    asked = parser.parse_args()
    folder = asked.measured or Path(tempfile.mkdtemp())
    if not asked.measured:
        LIST.write_text("")
        line = ["-m", "pytest", "-q", "--numprocesses", "2", "-p", "tiers"]
        path = os.pathsep.join([str(FOLDER), *filter(None, [os.environ.get("PYTHONPATH")])])
        subprocess.run(
            [sys.executable, *line],
            cwd=FOLDER.parent,
            env=os.environ | {"QVIT_TIERS": str(folder), "PYTHONPATH": path},
        )
    known = measured(folder)
    slower = sorted(
        name
        for name, seconds in known.items()
        if seconds > asked.seconds and not name.startswith(KEPT)
    )
    LIST.write_text("".join(f"{name}\n" for name in slower))
    left = sum(seconds for name, seconds in known.items() if name not in slower)
    print(f"{len(slower)} of {len(known)} tests are slower; the others take {left:.0f} s in all")


if __name__ == "__main__":
    main()
