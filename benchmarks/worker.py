"""One side of the comparison in its own process: JSON lines in, JSON lines out.

Requests: ``{"op": "open", "side": …, "case": {…}, "dtype": …}`` builds the side's variants,
times them and keeps the fastest; ``check`` writes values and gradients of a case to a file;
``step`` runs one timed step; ``close`` reports the peak memory.
"""

from __future__ import annotations

import os
import sys

THREADS = int(os.environ.get("BENCHMARK_THREADS", "2"))
if hasattr(os, "sched_setaffinity"):  # Before any library counts the cores.
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:THREADS])

import importlib  # noqa: E402
import json  # noqa: E402
import resource  # noqa: E402
import time  # noqa: E402
import traceback  # noqa: E402
from importlib import metadata  # noqa: E402
from typing import Any  # noqa: E402

import numpy as np  # noqa: E402
from cases import Case  # noqa: E402
from sides import BY_NAME  # noqa: E402

SLOW_SECONDS = 3.0
CLOSE = 2.0
"""Variants within this factor of the fastest are timed a second time."""


class Worker:
    """Answers requests; holds the open step."""

    def __init__(self, side: str) -> None:
        import torch

        torch.set_num_threads(THREADS)
        self.module = importlib.import_module(BY_NAME[side].module)
        self.step: Any = None
        self.variant = ""
        self.dtype = ""

    def hello(self) -> dict[str, Any]:
        """Versions, and the memory that imports alone take."""
        found = {name: metadata.version(name) for name in self.module.PACKAGES}
        return {"versions": found, "rss_mib": peak_mib()}

    def open(self, case: dict[str, Any], dtype: str, documented: bool = False) -> dict[str, Any]:
        """Build all variants, keep the fastest.

        Args:
            case: The case.
            dtype: Its precision.
            documented: Leave out variants that rewrite the circuit as one shared matrix.
        """
        tried: dict[str, Any] = {}
        steps: dict[str, Any] = {}
        for name, build in self.module.variants(Case(**case), dtype).items():
            if documented and ("matrix" in name or "unitary" in name):
                continue
            try:
                steps[name] = build()
                tried[name] = _best_time(steps[name], warm=True)
            except Exception as error:
                tried[name] = f"{type(error).__name__}: {error}"[:200]
                steps.pop(name, None)
        best = min((tried[name] for name in steps), default=0.0)
        for name in [name for name in steps if tried[name] < CLOSE * best]:
            tried[name] = min(tried[name], _best_time(steps[name]))
        self.variant = min(steps, key=lambda name: tried[name], default="")
        self.step = steps.get(self.variant)
        self.dtype = dtype
        if self.step is None:
            raise RuntimeError(f"No variant ran: {tried}")
        describe = getattr(self.module, "describe", None)
        mode = describe(Case(**case), dtype) if describe else ""
        return {"variant": self.variant, "tried": tried, "mode": mode}

    def check(self, case: dict[str, Any], path: str) -> dict[str, Any]:
        """Write outputs and gradients of the kept variant for a case."""
        wanted = Case(**case)
        same = self.step.case == wanted
        step = self.step if same else self._build(wanted)
        np.savez(path, **step.values())
        return {}

    def _build(self, case: Case) -> Any:
        builders = self.module.variants(case, self.dtype)
        return builders.get(self.variant, next(iter(builders.values())))()

    def run(self) -> dict[str, Any]:
        """One timed step."""
        start = time.perf_counter()
        self.step()
        return {"seconds": time.perf_counter() - start}


def _best_time(step: Any, *, warm: bool = False) -> float:
    """Best of five steps, fewer if they are slow; a warm-up may compile."""
    if warm:
        step()
    times: list[float] = []
    while len(times) < 5 and sum(times) < SLOW_SECONDS:
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    return min(times)


def peak_mib() -> float:
    """Peak resident memory of this process in MiB (Linux counts in KiB, macOS in bytes)."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


def _answer(worker: Worker, message: dict[str, Any]) -> dict[str, Any]:
    op = message.pop("op")
    if op == "open":
        return worker.open(**message)
    if op == "check":
        return worker.check(**message)
    if op == "step":
        return worker.run()
    if op == "close":
        return {"rss_mib": peak_mib()}
    raise ValueError(f"Expected an operation open, check, step or close, but got {op!r}.")


def main() -> None:
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # Whatever libraries print goes to stderr.

    def reply(message: dict[str, Any]) -> None:
        channel.write(json.dumps(message) + "\n")
        channel.flush()

    try:
        worker = Worker(sys.argv[1])
        reply(worker.hello())
    except (ImportError, metadata.PackageNotFoundError) as error:
        reply({"error": f"not installed: {error}"})
        return
    for line in sys.stdin:
        try:
            reply(_answer(worker, json.loads(line)))
        except Exception as error:
            traceback.print_exc()
            reply({"error": f"{type(error).__name__}: {error}"[:300]})


if __name__ == "__main__":
    main()
