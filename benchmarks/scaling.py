"""Time and memory of this project's training step over rows and qubits.

    python benchmarks/scaling.py --qubits 4 8 12 --layers 2 --json scaling.json

Every point runs in a fresh process. A point is skipped, and the table says so, when the points
before it predict a step longer than the limit.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import report
from cases import Case
from client import HERE, Client, Settings, WorkerError
from rich.console import Console
from rich.table import Table
from sides import OURS

ROWS = tuple(2**k for k in range(5, 15))
QUBITS = (2, 4, 6, 8, 10, 12, 14, 16)
GROWTH = 2.5
"""Predicted growth of the time from one qubit to the next."""


@dataclass
class Point:
    """One measurement, or the reason why there is none."""

    qubits: int
    rows: int
    seconds: float | None = None
    times: tuple[float, ...] = ()
    rss_mib: float | None = None
    rss_imports_mib: float | None = None
    mode: str = ""
    skipped: str = ""


def measure(case: Case, dtype: str, repeats: int, settings: Settings) -> Point:
    """One point in a fresh worker."""
    point = Point(case.qubits, case.rows)
    client = Client(OURS, settings)
    try:
        point.rss_imports_mib = client.hello()["rss_mib"]
        point.mode = client.ask("open", case=asdict(case), dtype=dtype)["mode"]
        point.times = tuple(client.step() for _ in range(repeats))
        point.seconds = median(point.times)
        point.rss_mib = client.close().get("rss_mib")
    except WorkerError as error:
        point.skipped = str(error)
        client.kill()
    return point


def sweep(arguments: argparse.Namespace, settings: Settings) -> Iterator[Point]:
    """All points, rows rising within a width, each predicted from its smaller neighbours."""
    known: dict[tuple[int, int], float] = {}
    before = 0
    for qubits in sorted(arguments.qubits):
        for rows in sorted(arguments.rows):
            case = Case(
                f"{arguments.family}-{qubits}q", arguments.family, qubits, arguments.layers, rows
            )
            narrower = known.get((before, rows), 0.0) * GROWTH ** (qubits - before)
            last = max((r for n, r in known if n == qubits), default=0)
            predicted = rows / last * known[qubits, last] if last else narrower
            if predicted > arguments.limit:
                yield Point(qubits, rows, skipped=f"predicted {predicted:.2g} s")
                continue
            point = measure(case, arguments.dtype, arguments.repeats, settings)
            if point.seconds is not None:
                known[qubits, rows] = point.seconds
            yield point
        before = qubits


def show(console: Console, points: list[Point], arguments: argparse.Namespace) -> None:
    """Rows down, qubits across; milliseconds and peak MiB beyond the imports."""
    title = f"{arguments.family}, {arguments.layers} layers, {arguments.dtype}"
    table = Table(title=f"{title}: median ms / peak MiB beyond imports", title_justify="left")
    table.add_column("rows", justify="right")
    for qubits in sorted(arguments.qubits):
        table.add_column(f"n = {qubits}", justify="right")
    cells = {(p.qubits, p.rows): _cell(p) for p in points}
    for rows in sorted(arguments.rows):
        table.add_row(str(rows), *(cells.get((n, rows), "") for n in sorted(arguments.qubits)))
    console.print(table)
    for qubits in sorted(arguments.qubits):
        modes = sorted({p.mode for p in points if p.qubits == qubits and p.mode})
        console.print(f"n = {qubits}: {'; '.join(modes)}")


def _cell(point: Point) -> str:
    if point.seconds is None:
        return point.skipped
    memory = (point.rss_mib or 0.0) - (point.rss_imports_mib or 0.0)
    return f"{1e3 * point.seconds:,.1f} / {memory:,.0f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--family", default="ry-ring")
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--rows", type=int, nargs="+", default=ROWS)
    parser.add_argument("--qubits", type=int, nargs="+", default=QUBITS)
    parser.add_argument("--dtype", choices=("complex128", "complex64"), default="complex128")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--limit", type=float, default=20.0, help="seconds of one step")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    settings = Settings(HERE / ".venv-peers/bin/python", threads=arguments.threads)
    console = Console(width=max(120, Console().width))
    points: list[Point] = []
    record: dict[str, Any] = {"machine": report.machine(arguments.threads)}
    record |= {key: getattr(arguments, key) for key in ("family", "layers", "dtype")}
    for point in sweep(arguments, settings):
        points.append(point)
        console.print(f"n = {point.qubits}, {point.rows} rows: {_cell(point)}", highlight=False)
        if arguments.json:
            report.write(arguments.json, {**record, "points": [asdict(p) for p in points]})
    show(console, points, arguments)


if __name__ == "__main__":
    main()
