"""Runs killed at random, billed at random, and struck by every fault at every call: `make soak`.

Kills: each trial is killed by SIGKILL at a step of its journal or at some time, then taken up
again. Its results must be those of an undisturbed run to the byte, nothing may be executed twice,
and no batch or session be left open. Budgets: bills, kills, failures and resumes are drawn; what is
billed must never exceed the budget. ``--part 2/5`` does the second fifth of all trials.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from service.handle import Service, start_service
from service_tests.fault_matrix import every_trial, job_trials, outcomes
from service_tests.spending import trial
from service_tests.victim import MOMENTS, Audit, End, Order, Victims, outputs, split_jobs

from qvit_qiskit.devices import prices

SHAPES = ((1, False), (1, True), (2, False), (2, True))
"""Quantum layers, and whether each is two jobs."""
MODES = ("job", "batch", "session")
BY_THE_CLOCK = 0.25
"""The share of trials that are killed at some time instead of at a step."""


def main() -> int:
    """Run all trials; how many failed, at most 1."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--kills", type=int, default=1000, help="runs that are killed")
    parser.add_argument("--budgets", type=int, default=300, help="runs whose bills are drawn")
    parser.add_argument("--part", type=part, default=(1, 1), help="e.g. 2/5: of all trials a fifth")
    parser.add_argument("--seed", type=int, help="by default another one each time")
    parser.add_argument("--no-faults", action="store_true", help="leave the faults of calls out")
    asked = parser.parse_args()
    seed = int(np.random.SeedSequence().entropy) % 2**32 if asked.seed is None else asked.seed
    print(f"seed {seed}", flush=True)
    with tempfile.TemporaryDirectory() as name, start_service(Path(name) / "store") as service:
        service.wait_ready()
        os.environ.update(service.environment)
        failures = kills(service, Path(name), draws(asked.kills, seed, asked.part))
        failures += budgets(service, Path(name), draws(asked.budgets, seed, asked.part))
        if not asked.no_faults:
            failures += faults(asked.part)
    print(f"{len(failures)} failed" if failures else "all passed", *failures, sep="\n")
    return min(1, len(failures))


def part(text: str) -> tuple[int, int]:
    """``"2/5"`` as numbers.

    Raises:
        ValueError: If it is no part.
    """
    number, parts = map(int, text.split("/"))
    if not 1 <= number <= parts:
        raise ValueError(text)
    return number, parts


def draws(
    trials: int, seed: int, part: tuple[int, int]
) -> Iterator[tuple[int, np.random.Generator]]:
    """The numbers of the trials of a part, each with its random stream."""
    children = np.random.SeedSequence(seed).spawn(trials)
    for number in range(part[0] - 1, trials, part[1]):
        yield number, np.random.default_rng(children[number])


def profile(folder: Path, mode: str) -> str:
    """A profile's file."""
    path = folder / f"{mode}.toml"
    path.write_text(f'kind = "ibm"\ndevice = "ibm_torino"\nmode = "{mode}"\nshots = 32\n')
    return str(path)


Draws = Iterable[tuple[int, np.random.Generator]]
"""Numbers of trials, each with its random stream."""


def budgets(service: Service, folder: Path, trials: Draws) -> list[str]:
    """Draw bills, kills and failures of runs; what failed."""
    failed: list[str] = []
    for number, rng in trials:
        mode = MODES[rng.integers(len(MODES))]
        what, begun = f"budget {number} in {mode} mode", time.monotonic()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(prices, "MERGE_SECONDS", split_jobs())
            patch.setattr("urllib3.util.retry.Retry.sleep", lambda self, response=None: None)
            try:
                trial(service, folder / f"budget{number}", profile(folder, mode), mode, rng)
                print(f"{what}: ok, {time.monotonic() - begun:.1f} s", flush=True)
            except Exception as error:
                failed.append(f"{what}: {type(error).__name__}: {error}"[:1000])
                print(failed[-1], flush=True)
        service.clear()
        service.configure(bill_factor=1.0, bill_surcharge=0.0, billing_delay=0.0)
    return failed


def kills(service: Service, folder: Path, trials: Draws) -> list[str]:
    """Kill runs at random; what failed."""
    failed: list[str] = []
    with Victims(service.environment) as victims:
        references: dict[tuple[str, int, bool], tuple[Order, End, Counter[str], float]] = {}
        for number, rng in trials:
            shape = SHAPES[rng.integers(len(SHAPES))]
            mode = MODES[rng.integers(len(MODES))]
            if (mode, *shape) not in references:
                references[mode, *shape] = undisturbed(service, victims, folder, mode, *shape)
            whole, end, programs, seconds = references[mode, *shape]
            doomed = replace(whole, folder=str(folder / f"kill{number}"))
            if rng.random() < BY_THE_CLOCK:
                doomed = replace(doomed, seconds=float(rng.uniform(0.05, seconds)))
            else:
                step = int(rng.integers(len(end.steps)))
                moment = MOMENTS[rng.integers(len(MOMENTS))]
                doomed = replace(doomed, step=step, moment=moment)
            what = f"kill {number}: {mode}, layers and split {shape}, " + (
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


def faults(part: tuple[int, int]) -> list[str]:
    """Strike runs with every fault at every call and moment; what failed."""
    trials = [trial for mode in MODES for trial in (*every_trial(mode), *job_trials(mode))]
    failed: list[str] = []
    for outcome in outcomes(trials[part[0] - 1 :: part[1]]):
        told = ["not called"] if outcome.errors is None else [str(e) for e in outcome.errors]
        print(f"{outcome.trial}: {outcome.failure or 'ok'}", *told, sep="\n    ", flush=True)
        failed += [f"{outcome.trial}: {outcome.failure}"] if outcome.failure else []
    return failed


if __name__ == "__main__":
    sys.exit(main())
