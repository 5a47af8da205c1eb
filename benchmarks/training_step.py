"""Time a training step of this project and of its peers, side by side.

    python benchmarks/training_step.py --cases six-projections ry-8q --dtype complex128

See benchmarks/README.md for the peers' environment and for what is measured.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

import report
from cases import CASES, select
from client import HERE, Settings
from compare import Plan, run_case
from rich.console import Console
from sides import BY_NAME, SIDES

DTYPES = ("complex128", "complex64")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    names = [case.name for case in CASES]
    parser.add_argument("--cases", nargs="+", choices=names, metavar="CASE", help=", ".join(names))
    parser.add_argument("--extra", action="store_true", help="also the cases marked extra")
    parser.add_argument("--dtype", choices=(*DTYPES, "both"), default="both")
    parser.add_argument("--sides", nargs="+", choices=list(BY_NAME), metavar="SIDE")
    parser.add_argument(
        "--as-documented",
        action="store_true",
        help="peers on torch as their documentation uses them: no shared matrices, no JAX",
    )
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument(
        "--seconds", type=float, default=20.0, help="time for the repeats of one side"
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--peers-python", type=Path, default=HERE / ".venv-peers/bin/python")
    parser.add_argument("--json", type=Path, help="write all times to this file")
    parser.add_argument("--verbose", action="store_true", help="show what workers print")
    return parser.parse_args()


def main() -> None:
    arguments = parse()
    console = Console(width=max(120, Console().width))
    plan = Plan(arguments.repeats, arguments.seconds, arguments.as_documented)
    settings = Settings(
        arguments.peers_python, threads=arguments.threads, verbose=arguments.verbose
    )
    sides = [s for s in SIDES if not arguments.sides or s.name in arguments.sides]
    if arguments.as_documented:
        sides = [s for s in sides if "JAX" not in s.name]
    machine = report.machine(arguments.threads)
    console.print(f"{machine['cpu']}, {machine['threads']} of {machine['cores']} cores\n")
    runs = []
    for dtype in DTYPES if arguments.dtype == "both" else (arguments.dtype,):
        for case in select(arguments.cases, arguments.extra):
            results = run_case(case, dtype, sides, plan, settings)
            report.show(console, case, dtype, results)
            runs.append(
                {"case": asdict(case), "dtype": dtype, "sides": [r.record() for r in results]}
            )
            if arguments.json:  # After every case: an interrupted run keeps what it has.
                report.write(arguments.json, {"machine": machine, "runs": runs})


if __name__ == "__main__":
    main()
