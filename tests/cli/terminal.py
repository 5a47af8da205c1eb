"""Commands in a pseudo-terminal, and the text that stands there in the end."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
ROWS = 50
ESCAPE = r"\x1b\[[0-9;?]*"
ERASED = re.compile(rf".*{ESCAPE}2K")
"""What a redrawn line held before."""
PROGRESS = re.compile(r"[⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏]|(━|╺|╸).*( left|:[0-9]+)$|time left|once on this machine")
"""Spinners, bars over what is done, and what is said while loops are compiled."""
CODES = re.compile(rf"{ESCAPE}[A-Za-z]")


SILENCE = 2.0
"""Seconds after which a person asks whether a command still runs."""


@dataclass(frozen=True)
class Ended:
    """A command that ended."""

    code: int
    raw: str
    """All that was written, with the codes that move the cursor."""
    times: tuple[float, ...]
    """Seconds from the start to each change of what stands there; those of the start first."""

    @property
    def silent(self) -> float:
        """The share of the time to the last word in which nothing had changed for `SILENCE`."""
        waits = (after - before for before, after in pairwise(self.times))
        return sum(wait for wait in waits if wait > SILENCE) / self.times[-1]

    @property
    def lines(self) -> list[str]:
        """What stands on the terminal, without colours and without what was drawn over."""
        text = self.raw.replace("\r\n", "\n")
        shown = (
            CODES.sub("", ERASED.sub("", line).rsplit("\r", 1)[-1]) for line in text.split("\n")
        )
        return [line.rstrip() for line in shown]

    @property
    def words(self) -> str:
        """The words alone, one a line: numbers as 0, no frames, no progress, no path of this place.

        Where a line ends depends on the numbers in it, and so on the machine.
        """
        text = " ".join(line for line in self.lines if not PROGRESS.search(line))
        text = re.sub(r"[┏┓┗┛┡┩│┃└┘├┤┬┴┼─╇┳━]+", " ", text)
        text = text.replace(str(PROJECT), "PROJECT")
        return "\n".join(re.sub(r"[0-9]+([.,:][0-9]+)*", "0", text).split())


def run(columns: int, folder: Path, arguments: Sequence[str]) -> Ended:
    """Run ``qvit`` in a terminal of so many columns.

    Args:
        columns: The terminal's width.
        folder: The working directory.
        arguments: What follows ``qvit``.
    """
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, columns, 0, 0))
    environment = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES")}
    process = subprocess.Popen(
        [sys.executable, "-m", "qvit_qiskit", *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=folder,
        env=environment | {"TERM": "xterm-256color"},
        start_new_session=True,
    )
    os.close(theirs)
    written, times, began = b"", [0.0], time.monotonic()
    before = ""
    while True:
        try:
            piece = os.read(ours, 1 << 16)
        except OSError:  # Linux says so when the last process has closed its side
            break
        if not piece:
            break
        written += piece
        now = CODES.sub("", piece.decode(errors="replace")).strip()
        if now and now != before:
            before = now
            times.append(time.monotonic() - began)
    os.close(ours)
    return Ended(process.wait(), written.decode(), tuple(times))
