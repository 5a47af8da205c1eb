"""What is around numba's compilation: a word to who waits, and a cache that notices edits."""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from numba.core import event


class CompileNotice(event.Listener):
    """Says to a person that waits why: the first call on a machine compiles, later ones do not."""

    def __init__(self) -> None:
        self.silent = not sys.stderr.isatty()

    def on_start(self, event: Any) -> None:
        """A loop is about to be compiled, since it was not in numba's cache."""
        if not self.silent:
            print("Compiling loops over gates, once on this machine ...", file=sys.stderr)
        self.silent = True

    def on_end(self, event: Any) -> None:
        """It is."""


def forget_stale(folder: Path) -> None:
    """Remove compiled loops that are older than a file of this package.

    Numba's cache looks at the file of the function that is called, not at those of the functions
    which that one calls.

    Args:
        folder: Where numba keeps what it compiled.
    """
    with suppress(OSError):  # somebody else's folder: then nobody here wrote into it
        files = [path.stat().st_mtime for path in Path(__file__).parent.glob("*.py")]
        changed = max([when for when in files if when <= time.time()], default=0.0)
        for index in folder.glob("*loops.*.nbi"):
            if index.stat().st_mtime < changed:
                index.unlink(missing_ok=True)
