"""Tables and JSON of the comparison."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cases import Case
from compare import Result
from rich.console import Console
from rich.table import Table
from sides import OURS


def show(console: Console, case: Case, dtype: str, results: Iterable[Result]) -> None:
    """One table for a case, and the name of its fastest peer."""
    results = list(results)
    ours = next((r for r in results if r.side == OURS.name), None)
    base = ours.median if ours else None
    title = (
        f"{case.name}, {dtype}: {case.family}, {case.projections} x {case.rows} rows, "
        f"{case.qubits} qubits, {case.layers} layers"
    )
    table = Table(title=title, title_justify="left")
    for name in ("side", "variant", "rows run"):
        table.add_column(name)
    for name in ("median ms", "min–max ms", "n", "x ours", "deviation"):
        table.add_column(name, justify="right", no_wrap=True)
    for result in results:
        table.add_row(*_cells(result, base))
    console.print(table)
    console.print(_verdict(results, base))
    if ours and ours.rss_mib is not None:
        console.print(
            f"Peak memory of {OURS.name}: {ours.rss_mib:.0f} MiB, "
            f"of which imports {ours.rss_imports_mib:.0f} MiB. Engine: {ours.mode}."
        )
    console.print()


def _cells(result: Result, base: float | None) -> list[str]:
    deviation = "" if result.deviation is None else f"{result.deviation:.0e}"
    middle = result.median
    if middle is None:
        return [result.side, result.note, "", "–", "", "", "", deviation]
    rows = str(result.rows) if result.scale == 1 else f"{result.rows}, x {result.scale:g}"
    times = result.times
    span = f"{_ms(min(times))}–{_ms(max(times))}"
    ratio = f"{middle / base:.2f}" if base else ""
    label = result.variant or result.note
    return [result.side, label, rows, _ms(middle), span, str(len(times)), ratio, deviation]


def _verdict(results: list[Result], base: float | None) -> str:
    timed = [(r.median, r.side) for r in results if r.median is not None and r.side != OURS.name]
    if not timed:
        return "No peer was timed."
    fastest, name = min(timed)
    ratio = f", {fastest / base:.2f} times ours" if base else ""
    return f"Fastest peer: {name}, {_ms(fastest)} ms{ratio}."


def _ms(seconds: float) -> str:
    value = 1e3 * seconds
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:,.0f}"


def machine(threads: int) -> dict[str, Any]:
    """What the times depend on."""
    return {
        "cpu": cpu_model(),
        "cores": os.cpu_count(),
        "threads": threads,
        "system": platform.system(),
        "python": platform.python_version(),
    }


def cpu_model() -> str:
    """The processor's name."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def write(path: Path, content: dict[str, Any]) -> None:
    """Write the record of a run."""
    path.write_text(json.dumps(content, indent=1) + "\n")
