"""One case, all sides: correctness first, then interleaved steps."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

import numpy as np
from cases import Array, Case
from client import Client, Settings, WorkerError
from sides import OURS, Side

TOLERANCE = {"complex128": 1e-6, "complex64": 1e-3}
SLOW_SECONDS = 3.0
PAUSE_SECONDS = 0.25
"""Between two sides, so that threads of the last one stop spinning."""
WARM_SECONDS = 0.5
"""Sides with faster steps take one more, untimed, at each turn: in a training loop one step follows
another, and the last side has emptied the caches."""


@dataclass
class Result:
    """What one side did on one case; times in seconds, scaled to the whole case."""

    side: str
    variant: str = ""
    mode: str = ""
    rows: int = 0
    scale: float = 1.0
    """Whole case over what was run; above 1 the times are extrapolated."""
    times: list[float] = field(default_factory=list)
    deviation: float | None = None
    note: str = ""
    rss_mib: float | None = None
    rss_imports_mib: float | None = None
    tried: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)

    @property
    def median(self) -> float | None:
        """Median time, None for a side without times."""
        return median(self.times) if self.times else None

    def record(self) -> dict[str, Any]:
        """For the JSON file."""
        return {**asdict(self), "median": self.median}


@dataclass(frozen=True)
class Plan:
    """How often."""

    repeats: int = 20
    seconds: float = 20.0
    """A side whose repeats would take longer gets fewer."""
    documented: bool = False
    """Use the peers as their documentation does: no circuit rewritten as one shared matrix."""

    def repeats_of(self, step: float) -> int:
        """At least 5, or 2 for steps above three seconds."""
        least = 5 if step <= SLOW_SECONDS else 2
        return min(self.repeats, max(least, int(self.seconds / step)))


def run_case(
    case: Case, dtype: str, sides: list[Side], plan: Plan, settings: Settings
) -> list[Result]:
    """Results in the order of the sides; a side that cannot take part says why in its note."""
    results = {side.name: Result(side.name) for side in sides}
    clients: dict[str, Client] = {}
    for side in sides:
        if dtype not in side.dtypes:
            results[side.name].note = f"computes in {', '.join(side.dtypes)} only"
            continue
        try:
            clients[side.name] = Client(side, settings)
        except WorkerError as error:
            results[side.name].note = str(error)
    _each(clients, results, lambda client, result: _greet(client, result))
    documented = plan.documented
    _each(clients, results, lambda c, result: _open(c, result, case, dtype, documented))
    _check(clients, results, case, dtype)
    _time(clients, results, plan)
    for name, client in clients.items():
        results[name].rss_mib = client.close().get("rss_mib")
    return list(results.values())


def _each(clients: dict[str, Client], results: dict[str, Result], act: Any) -> None:
    """Do something with every side; those that fail leave with a note."""
    for name, client in list(clients.items()):
        try:
            act(client, results[name])
        except WorkerError as error:
            results[name].note = str(error)
            results[name].times = []
            client.kill()
            del clients[name]


def _greet(client: Client, result: Result) -> None:
    hello = client.hello()
    result.versions = hello["versions"]
    result.rss_imports_mib = hello["rss_mib"]


def _open(client: Client, result: Result, case: Case, dtype: str, documented: bool) -> None:
    run = client.side.case(case)
    found = client.ask("open", case=asdict(run), dtype=dtype, documented=documented)
    result.variant, result.tried, result.mode = found["variant"], found["tried"], found["mode"]
    result.rows, result.scale = run.rows, case.volume / run.volume


def _check(clients: dict[str, Client], results: dict[str, Result], case: Case, dtype: str) -> None:
    """Compare every side with ours, or with the first one if ours is missing."""
    if not clients:
        return
    name = OURS.name if OURS.name in clients else next(iter(clients))
    reference, known = clients[name], {}

    def act(client: Client, result: Result) -> None:
        run = client.side.case(case)
        if run not in known:
            known[run] = reference.check(run)
        result.deviation = deviation(client.check(run), known[run])
        allowed = client.side.tolerance or TOLERANCE[dtype]
        if not result.deviation <= allowed:
            raise WorkerError(f"disagrees with {name} by {result.deviation:.1e} > {allowed:g}")

    _each(clients, results, act)
    if name != OURS.name:
        results[name].note = "reference, since this project's own side is missing"


def deviation(found: dict[str, Array], reference: dict[str, Array]) -> float:
    """Largest deviation of outputs and gradients, relative to the largest entry if above 1."""
    return max(
        float(np.abs(found[key] - value).max() / max(1.0, np.abs(value).max()))
        for key, value in reference.items()
    )


def _time(clients: dict[str, Client], results: dict[str, Result], plan: Plan) -> None:
    """Round-robin: one step of every side per round; slow sides sit out evenly."""
    counts: dict[str, int] = {}
    steps: dict[str, float] = {}

    def warm(client: Client, result: Result) -> None:
        steps[result.side] = min(client.step(), client.step())
        counts[result.side] = plan.repeats_of(steps[result.side])

    _each(clients, results, warm)
    rounds = max(counts.values(), default=0)
    for k in range(rounds):

        def act(client: Client, result: Result, k: int = k) -> None:
            count = counts[result.side]
            if (k + 1) * count // rounds > k * count // rounds:
                time.sleep(PAUSE_SECONDS)
                if steps[result.side] < WARM_SECONDS:
                    client.step()
                result.times.append(client.step() * result.scale)

        _each(clients, results, act)
