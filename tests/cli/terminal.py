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
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
ROWS = 50
ESCAPE = r"\x1b\[[0-9;?]*"
ERASED = re.compile(rf".*{ESCAPE}2K")
"""What a redrawn line held before."""
PROGRESS = re.compile(r"[⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏]|(━|╺|╸).* left$|time left|once on this machine")
"""Spinners, bars over what is done, and what is said while loops are compiled."""
CODES = re.compile(rf"{ESCAPE}[A-Za-z]")


@dataclass(frozen=True)
class Ended:
    """A command that ended."""

    code: int
    raw: str
    """All that was written, with the codes that move the cursor."""

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
    written = b""
    while True:
        try:
            piece = os.read(ours, 1 << 16)
        except OSError:  # Linux says so when the last process has closed its side
            break
        if not piece:
            break
        written += piece
    os.close(ours)
    return Ended(process.wait(), written.decode())
