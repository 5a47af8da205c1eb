"""What a person sees: tables and progress. Quiet when standard error is no terminal."""

from __future__ import annotations

import importlib
import json
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qvit_qiskit.files import finite

if TYPE_CHECKING:
    from qvit_qiskit.pages.table import Table
    from qvit_qiskit.runs import Status
    from qvit_qiskit.training.loop import Epoch


BAR = 16
"""Characters of a progress bar: a line of 80 has room for what matters."""
LONGEST_NAME = 40
"""Characters of a first column that is kept on one line, as names are."""


def table(title: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Print rows with the same keys as a table."""
    heads = {key: isinstance(value, int | float) for key, value in rows[0].items()}
    _print_table(title, heads, ([_text(value) for value in row.values()] for row in rows))


def report_table(shown: Table) -> None:
    """Print a table of a report; intervals stand below their values."""
    rows = [[f"{entry.text}\n{entry.interval}".strip() for entry in row] for row in shown.rows]
    _print_table(shown.caption, dict.fromkeys(shown.heads, False), rows)


def _print_table(title: str, heads: Mapping[str, bool], rows: Iterable[Iterable[str]]) -> None:
    """Print cells below heads, each with whether it is a number's."""
    from rich import table as rich_table
    from rich.console import Console

    cells, console = [list(row) for row in rows], Console()
    names = all(len(row[0]) <= LONGEST_NAME for row in cells)  # rather than sentences
    columns = [[head, *words] for head, *words in zip(heads, *cells, strict=True)]
    widest = [_widest(words, "\n") for words in columns]
    over = sum(widest) + 3 * len(widest) + 1 - console.width
    # A name of several words makes room for numbers where that spares cutting their intervals.
    gives = 0 < over <= widest[0] - _widest(columns[0], None)
    printed = rich_table.Table(title=title, title_justify="left")
    for place, (head, number) in enumerate(heads.items()):
        justify: Any = "right" if number else "left"
        whole = place == 0 and names and not gives
        printed.add_column(head, justify=justify, overflow="fold", no_wrap=whole)
    for row in cells:
        printed.add_row(*row)
    console.print(printed)


def _widest(words: Iterable[str], mark: str | None) -> int:
    """The most characters between two marks; between spaces where there is none."""
    return max((len(piece) for word in words for piece in word.split(mark)), default=0)


def lines(text: Sequence[str]) -> None:
    """Print lines wrapped between words at the width of the terminal; no word or path is cut.

    A line that goes on is indented four characters further than it began.
    """
    from rich.console import Console

    from qvit_qiskit.card import wrapped

    width = Console().width
    for line in text:
        inner = len(line) - len(line.lstrip())  # an indented line keeps its indent
        print(wrapped(line, width, " " * inner, " " * (inner + 4)))


def line(text: str) -> None:
    """Print a line; a terminal gets it wrapped between words, a pipe as it is."""
    if sys.stdout.isatty():
        lines([text])
    else:
        print(text, flush=True)


def facts(title: str, entries: Mapping[str, Any]) -> None:
    """Print names and values in two columns; no word or path is cut."""
    from rich.console import Console

    from qvit_qiskit.card import text_card

    texts = {name: _text(value) for name, value in entries.items() if value is not None}
    print(text_card(title, texts, Console().width))


def near(path: Path) -> Path:
    """A path as it is shown: relative where it lies in the working directory."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_absolute() and path.is_relative_to(here) else path


def as_json(value: Any) -> None:
    """Print JSON; a number that is not finite becomes null."""
    print(json.dumps(finite(value), indent=2, default=str))


def _text(value: Any) -> str:
    if isinstance(value, Path):
        return str(near(value))
    if isinstance(value, float):
        return "–" if math.isnan(value) else f"{value:.3f}"
    return str(value)


def load(module: str) -> None:
    """Import a module that takes seconds, with a spinner on a terminal.

    Args:
        module: Its full name.
    """
    with steps("loading", shown=module not in sys.modules):
        importlib.import_module(module)


def _progress(*columns: Any) -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn
    from rich.progress import TimeRemainingColumn as Left
    from rich.text import Text

    class Remaining(Left):
        def render(self, task: Any) -> Text:
            """Nothing where nobody knows, lest a time beside it is taken for what is left."""
            remaining = super().render(task)
            return Text.assemble(remaining, " left") if remaining else remaining

    console = Console(stderr=True)
    name = TextColumn("{task.description}")
    parts = [SpinnerColumn(), name, BarColumn(BAR), MofNCompleteColumn(), *columns]
    return Progress(*parts, Remaining(compact=True), console=console,
                    disable=not console.is_terminal)  # fmt: skip


@contextmanager
def epochs(label: str) -> Iterator[Callable[[Epoch, int], None]]:
    """A progress bar over epochs with the loss and the validation AUC."""
    from rich.progress import TextColumn

    with _progress(TextColumn("{task.fields[scores]}")) as bar:
        task = bar.add_task(label, total=None, scores="")

        def show(record: Epoch, total: int) -> None:
            scores = f"loss {record.loss:.3f}  AUC {record.val_auc:.3f}"
            bar.update(task, total=total, completed=record.epoch, scores=scores)

        yield show


@contextmanager
def images(label: str, total: int) -> Iterator[Callable[[int], None]]:
    """A progress bar over images."""
    with _progress() as bar:
        task = bar.add_task(label, total=total)
        yield lambda done: bar.update(task, advance=done)


@contextmanager
def steps(label: str, *, shown: bool = True) -> Iterator[Callable[[str], None]]:
    """What is being computed, on a terminal only.

    Args:
        label: What it is for.
        shown: Whether there is anything to compute.
    """
    from rich.console import Console

    console = Console(stderr=True)
    if not (shown and console.is_terminal):
        yield lambda _: None
        return
    with console.status(label) as status:
        yield lambda step: status.update(f"{label}: {step}")


@contextmanager
def watching(label: str) -> Iterator[Callable[[str], None]]:
    """A spinner while lines come now and then, each of which is printed as `line` does.

    Args:
        label: What is waited for.
    """
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        yield line
        return
    with console.status(label) as status:

        def show(text: str) -> None:
            status.stop()  # what is printed meanwhile would go where the spinner is drawn
            line(text)
            status.start()

        yield show


@contextmanager
def run_progress(waiting: bool) -> Iterator[Callable[[Status], None]]:
    """A progress bar over the jobs of a run, with what it has cost; only while waiting."""
    from rich.progress import TextColumn, TimeElapsedColumn

    with _progress(TextColumn("{task.fields[cost]}"), TimeElapsedColumn()) as bar:
        task = bar.add_task("jobs", total=None, cost="", visible=waiting)

        def show(status: Status) -> None:
            label = f"{status.device}, quantum layer {status.stage} of {status.stages}"
            queue = f"{status.queue} jobs in the queue, " if status.queue else ""
            cost = f"{queue}{status.spent_seconds:.1f} of {status.budget_seconds:g} QPU s"
            bar.update(
                task, description=label, total=status.jobs, completed=status.jobs_done, cost=cost
            )

        yield show
