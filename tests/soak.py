"""Runs killed at random and struck by every fault at every call: `make soak`.

Each trial is killed by SIGKILL at a step of its journal or at some time, then taken up again. Its
results must be those of an undisturbed run to the byte, and nothing may be executed twice.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))

from service.handle import Service, start_service
from service_tests.victim import (
    CALL_FAULTS,
    CALLS,
    JOB_FAULTS,
    MOMENTS,
    Audit,
    End,
    Order,
    Victims,
    ordeal,
    outputs,
)

SHAPES = ((1, False), (1, True), (2, False), (2, True))
"""Quantum layers, and whether each is two jobs."""
MODES = ("job", "batch", "session")
BY_THE_CLOCK = 0.25
"""The share of trials that are killed at some time instead of at a step."""


def main() -> int:
    """Run all trials; how many failed, at most 1."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--trials", type=int, default=200, help="killed runs")
    parser.add_argument("--seed", type=int, help="by default another one each time")
    parser.add_argument("--no-faults", action="store_true", help="killed runs only")
    asked = parser.parse_args()
    seed = int(np.random.SeedSequence().entropy) % 2**32 if asked.seed is None else asked.seed
    print(f"seed {seed}", flush=True)
    with tempfile.TemporaryDirectory() as name, start_service(Path(name) / "store") as service:
        service.wait_ready()
        os.environ.update(service.environment)
        failures = kills(service, Path(name), asked.trials, seed)
        if not asked.no_faults:
            failures += faults(service, Path(name))
    print(f"{len(failures)} failed" if failures else "all passed", *failures, sep="\n")
    return min(1, len(failures))


def profile(folder: Path, mode: str) -> str:
    """A profile's file."""
    path = folder / f"{mode}.toml"
    path.write_text(f'kind = "ibm"\ndevice = "ibm_torino"\nmode = "{mode}"\nshots = 32\n')
    return str(path)


def kills(service: Service, folder: Path, trials: int, seed: int) -> list[str]:
    """Kill runs at random; what failed."""
    failed: list[str] = []
    with Victims(service.environment) as victims:
        references: dict[tuple[str, int, bool], tuple[Order, End, Counter[str], float]] = {}
        for trial, child in enumerate(np.random.SeedSequence(seed).spawn(trials)):
            rng = np.random.default_rng(child)
            shape = SHAPES[rng.integers(len(SHAPES))]
            mode = MODES[rng.integers(len(MODES))]
            if (mode, *shape) not in references:
                references[mode, *shape] = undisturbed(service, victims, folder, mode, *shape)
            whole, end, programs, seconds = references[mode, *shape]
            doomed = replace(whole, folder=str(folder / f"trial{trial}"))
            if rng.random() < BY_THE_CLOCK:
                doomed = replace(doomed, seconds=float(rng.uniform(0.05, seconds)))
            else:
                step = int(rng.integers(len(end.steps)))
                moment = MOMENTS[rng.integers(len(MOMENTS))]
                doomed = replace(doomed, step=step, moment=moment)
            what = f"trial {trial}: {mode}, layers and split {shape}, " + (
                f"after {doomed.seconds:.3f} s"
                if doomed.step is None
                else f"{doomed.moment} step {doomed.step}, {end.steps[doomed.step]}"
            )
            error = killed(service, victims, doomed, Path(whole.folder), programs)
            print(f"{what}: {error or 'ok'}", flush=True)
            failed += [f"{what}: {error}"] if error else []
    return failed


def undisturbed(
    service: Service, victims: Victims, folder: Path, mode: str, layers: int, split: bool
) -> tuple[Order, End, Counter[str], float]:
    """A run that nobody kills: its order and end, what was executed, how long it took."""
    name = str(folder / f"whole-{mode}-{layers}-{split}")
    order = Order(name, profile(folder, mode), layers=layers, split=split)
    audit, begun = Audit(service), time.monotonic()
    end = victims.run(order)
    assert end.state == "finished", end
    seconds = time.monotonic() - begun
    audit.check(Path(name))
    return order, end, audit.programs(), seconds


def killed(
    service: Service, victims: Victims, doomed: Order, whole: Path, programs: Counter[str]
) -> str:
    """Kill a run and take it up again; what is wrong, if anything."""
    audit = Audit(service)
    first = victims.run(doomed)
    try:
        assert first.killed or doomed.seconds is not None, first
        ends = victims.recover(doomed)
        folder = Path(ends[-1].folder)
        assert outputs(folder) == outputs(whole), "other results"
        assert audit.programs() == programs, "executed more than once or not at all"
        assert len(audit.jobs()) == len(programs), "jobs that nobody needs"
        audit.check(folder)
    except AssertionError as error:
        return str(error)[:1000] or "an assertion failed"
    return ""


def faults(service: Service, folder: Path) -> list[str]:
    """Strike runs with every fault at every call; what failed."""
    from urllib3.util.retry import Retry

    Retry.sleep = lambda self, response=None: None  # the client's pauses
    failed: list[str] = []
    pairs: Iterable[tuple[str, dict[str, object]]] = [
        *((kind, {"call": call} | options) for call in CALLS for kind, options in CALL_FAULTS),
        *JOB_FAULTS,
    ]
    for number, (kind, options) in enumerate(pairs):
        for mode in ("session", "batch") if kind in dict(JOB_FAULTS) else ("session",):
            what = f"fault {kind} {options} in {mode} mode"
            run = folder / f"fault{number}-{mode}"
            try:
                told = ordeal(service, run, profile(folder, mode), kind, options)
                print(f"{what}: ok", *told, sep="\n    ", flush=True)
            except Exception as error:
                service.clear()
                failed.append(f"{what}: {type(error).__name__}: {error}"[:1000])
                print(failed[-1], flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main())
