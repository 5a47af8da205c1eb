"""The price of an evaluation before anything is sent: executions, QPU seconds, money.

Everything here is arithmetic on plain numbers; no network, no account. The time formula is the one
IBM publishes: two seconds per sub-job, and for every execution the repetition delay plus the length
of the circuit. Nearly all of it is the delay.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any

import numpy as np
from qiskit.circuit import QuantumCircuit
from qiskit.providers import BackendV2
from qiskit.transpiler import Target

from qvit_qiskit.card import Card, Facts

SUBJOB_SECONDS = 2.0
MAX_EXECUTIONS = 10_000_000
"""Per job, for jobs that return bitstrings (IBM's job limits)."""
MAX_JOB_SECONDS = 10_800
MAX_SUBMISSIONS_PER_MINUTE = 5
MERGE_SECONDS = 60.0
"""IBM advises to merge jobs that take less than a minute of QPU time."""
NOISE_FACTORS = (1, 3, 5)
"""Gate folding at resilience level 2."""


@dataclass(frozen=True)
class Timing:
    """What one execution takes on a device."""

    device: str
    rep_delay: float
    """Seconds of waiting before each execution."""
    circuit: float
    """Seconds from the first gate to the end of the measurement."""

    @property
    def execution(self) -> float:
        """Seconds per execution."""
        return self.rep_delay + self.circuit


def timing(
    circuit: QuantumCircuit, target: Target, device: BackendV2, rep_delay: float | None = None
) -> Timing:
    """The timing of a compiled circuit.

    Args:
        circuit: An ISA circuit with its measurements.
        target: The target it was compiled to.
        device: The device, for its default repetition delay.
        rep_delay: Another delay, in seconds.
    """
    delay = device.configuration().default_rep_delay if rep_delay is None else rep_delay
    return Timing(device.name, float(delay), float(circuit.estimate_duration(target)))


@dataclass(frozen=True)
class Mitigation:
    """What a resilience level adds: 0 nothing, 1 readout, 2 readout and gate folding."""

    level: int
    """IBM's resilience level: 0, 1 or 2."""
    twirl_gates: bool = False
    """Also below level 2, where gates are always twirled."""

    @property
    def factors(self) -> tuple[int, ...]:
        """How often each two-qubit gate is run, circuit by circuit."""
        return NOISE_FACTORS if self.level == 2 else (1,)

    @property
    def twirls(self) -> tuple[bool, bool]:
        """Whether gates and whether measurements are twirled."""
        return self.twirl_gates or self.level == 2, self.level > 0

    def split(self, shots: int) -> tuple[int, int]:
        """(twirls, shots each) for the shots asked for; the client rounds up.

        Without twirling there is one batch. With it, shots come in batches of at least 64 and at
        most 32 batches, as qiskit-ibm-runtime 0.51 splits them.
        """
        if not any(self.twirls):
            return 1, shots
        each = max(64, math.ceil(shots / 32))
        return math.ceil(shots / each), each

    def executed(self, shots: int) -> int:
        """Shots as they are run for those asked for: batches round them up.

        Args:
            shots: Asked for.
        """
        twirls, each = self.split(shots)
        return twirls * each

    @property
    def circuits_per_row(self) -> int:
        """Circuits run for one row."""
        return len(self.factors)

    @property
    def calibration_rows(self) -> int:
        """Extra rows per job, to calibrate the readout."""
        return 0 if self.level == 0 else 1


@dataclass(frozen=True)
class Procedure:
    """How the rows of an evaluation are run, as far as prices depend on it."""

    timing: Timing
    """Of one execution."""
    mitigation: Mitigation
    """The resilience level."""
    bases: int = 1
    """Measurement bases of a row's observables, each with executions of its own."""
    copies: int = 1
    """Rows that share an execution, side by side on the chip."""
    control_rows: int = 0
    """Where there are copies: rows of a stage that run once more, alone."""
    anchor_rows: int = 0
    """Rows of a stage that each of its jobs runs besides."""
    job_seconds: float = MAX_JOB_SECONDS
    """QPU seconds: no job is planned longer than this, or than a minute where that is more."""


def extrapolation(factors: Sequence[int]) -> np.ndarray:
    """What each noise factor's value counts in the value at zero noise, on a straight line."""
    if len(factors) == 1:
        return np.ones(1)
    design = np.stack([np.ones(len(factors)), np.asarray(factors, float)], axis=1)  # (F, 2)
    return np.asarray(np.linalg.pinv(design)[0])


@dataclass(frozen=True, repr=False)
class Estimate(Card):
    """What an evaluation costs."""

    rows: int
    """Circuits with their own angles, over all stages."""
    stages: int
    """Queue waits: one for each quantum layer, or for each share of its shots."""
    shots: int
    """Executed per circuit, at most where they are not equal, rounding included."""
    executions: int
    """Of circuits, over all stages: shots times circuits, of which one may hold several copies."""
    jobs: int
    """How many the service makes of them."""
    seconds: float
    """QPU time by the published formula."""
    timing: Timing
    anchor_executions: int = 0
    """Those of `executions` that repeat the same rows in every job."""
    quiet_shots: int = 0
    """Executed per circuit of quiet projections; 0 where there are none."""

    def money(self, plan: str) -> float:
        """Price on a plan of the dated table, in its currency."""
        return self.seconds * float(prices()["per_second"][plan])

    @property
    def open_plan_share(self) -> float:
        """The share of the Open plan's allowance in 28 days; above 1 it does not fit."""
        return self.seconds / float(prices()["open_plan_seconds"])

    def card(self) -> tuple[str, Facts]:
        """What a shell and a notebook show."""
        table = prices()
        money = ", ".join(f"{plan} {self.money(plan):.2f}" for plan in table["per_second"])
        few = f" ({self.quiet_shots:,} for quiet projections)" if self.quiet_shots else ""
        facts = {
            "device": self.timing.device,
            "rows": f"{self.rows:,} in {self.stages} stage(s), {self.shots:,} shots each{few}",
            "executions": f"{self.executions:,} in {self.jobs} job(s)",
            "QPU time": f"{self.seconds:,.1f} s, estimated",
            "of the Open plan's ten minutes": f"{self.open_plan_share:.1%}",
            f"price, {table['currency']} as of {table['date']}": money,
        }
        return "Estimate", facts


def estimate(stage_rows: Sequence[int], shots: int, how: Procedure) -> Estimate:
    """Price an evaluation.

    Args:
        stage_rows: Rows of every stage (quantum layer) for the whole test set.
        shots: Asked for per row.
        how: How rows are run.
    """
    run = how.mitigation.executed(shots)
    per_row = how.bases * run * how.mitigation.circuits_per_row
    calibration = how.bases * run * how.mitigation.calibration_rows
    again = how.control_rows if how.copies > 1 else 0
    executions = jobs = anchors = 0
    for rows in stage_rows:
        executed = math.ceil(rows / how.copies) + min(again, rows)
        repeated = math.ceil(min(how.anchor_rows, rows) / how.copies) * per_row
        fits = rows_per_job(per_row, calibration + repeated, how.timing, how.job_seconds)
        needed = math.ceil(executed / fits)
        jobs += needed
        anchors += needed * repeated
        executions += executed * per_row + needed * (calibration + repeated)
    seconds = jobs * SUBJOB_SECONDS + executions * how.timing.execution
    return Estimate(
        rows=sum(stage_rows),
        stages=len(stage_rows),
        shots=run,
        executions=executions,
        jobs=jobs,
        seconds=seconds,
        timing=how.timing,
        anchor_executions=anchors,
    )


def joined(shares: Sequence[Estimate]) -> Estimate:
    """The price of shares of shots of the same quantum layer, one after the other.

    Args:
        shares: The first is of all rows, further ones of some of them.
    """
    return Estimate(
        rows=shares[0].rows,
        stages=sum(share.stages for share in shares),
        shots=sum(share.shots for share in shares),
        executions=sum(share.executions for share in shares),
        jobs=sum(share.jobs for share in shares),
        seconds=sum(share.seconds for share in shares),
        timing=shares[0].timing,
        anchor_executions=sum(share.anchor_executions for share in shares),
        quiet_shots=shares[0].shots if len(shares) > 1 else 0,
    )


def rows_per_job(
    per_row: int, common: int, timing: Timing, job_seconds: float = MAX_JOB_SECONDS
) -> int:
    """How many rows fit in one job within IBM's limits; at least one.

    Args:
        per_row: Executions of one row.
        common: Executions that every job adds: calibrations and anchors.
        timing: Of one execution.
        job_seconds: See `Procedure`.
    """
    longest = min(MAX_JOB_SECONDS, max(job_seconds, MERGE_SECONDS))
    by_time = int((longest - SUBJOB_SECONDS) / timing.execution)
    return max(1, (min(MAX_EXECUTIONS, by_time) - common) // per_row)


@lru_cache(maxsize=1)
def prices() -> dict[str, Any]:
    """The dated price table (``prices.toml``)."""
    text = files("qvit_qiskit.devices").joinpath("prices.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)
