"""The parent's handle on a worker process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Timer
from typing import Any

import numpy as np
from cases import Array, Case
from sides import Side

HERE = Path(__file__).parent


class WorkerError(Exception):
    """A side that is not there, failed, or took too long."""


@dataclass(frozen=True)
class Settings:
    """How workers are started."""

    peers_python: Path
    threads: int = 2
    patience: float = 300.0
    """Seconds after which a silent worker is given up."""
    verbose: bool = False


class Client:
    """A worker process of one side, fresh for every case."""

    def __init__(self, side: Side, settings: Settings) -> None:
        self.side = side
        self.settings = settings
        python = settings.peers_python if side.peer else Path(sys.executable)
        if not python.exists():
            raise WorkerError("no environment for peers, see benchmarks/README.md")
        self._stderr = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed in `close`
        self._process = subprocess.Popen(
            [str(python), str(HERE / "worker.py"), side.name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if settings.verbose else self._stderr,
            text=True,
            env=environment(settings.threads),
        )

    def hello(self) -> dict[str, Any]:
        """The first message: versions and memory after imports."""
        return self._receive()

    def ask(self, op: str, **message: Any) -> dict[str, Any]:
        """Send a request, wait for its answer.

        Raises:
            WorkerError: If the worker answers with an error, ends, or stays silent too long.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"op": op, **message}) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise WorkerError("the worker ended") from None
        return self._receive()

    def check(self, case: Case) -> dict[str, Array]:
        """Outputs and gradients of a case."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "values.npz"
            self.ask("check", case=asdict(case), path=str(path))
            with np.load(path) as found:
                return dict(found)

    def step(self) -> float:
        """Seconds of one step."""
        return float(self.ask("step")["seconds"])

    def close(self) -> dict[str, Any]:
        """End the worker; its peak memory, if it still answers."""
        try:
            last = self.ask("close")
        except WorkerError:
            last = {}
        self.kill()
        return last

    def kill(self) -> None:
        """End the worker at once."""
        self._process.kill()
        self._process.communicate()
        self._stderr.close()

    def _receive(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        timer = Timer(self.settings.patience, self._process.kill)
        timer.start()
        line = self._process.stdout.readline()
        timed_out = timer.finished.is_set()
        timer.cancel()
        if not line:
            reason = f"no answer in {self.settings.patience:g} s" if timed_out else "it ended"
            raise WorkerError(f"{reason}; {self._last_words()}")
        message: dict[str, Any] = json.loads(line)
        if "error" in message:
            raise WorkerError(message["error"])
        return message

    def _last_words(self) -> str:
        self._stderr.seek(0)
        lines = self._stderr.read().strip().splitlines()
        return lines[-1][:200] if lines else "nothing on stderr"


def environment(threads: int) -> dict[str, str]:
    """The same thread counts for every library; the worker also restricts its cores."""
    names = ("OMP", "MKL", "OPENBLAS", "NUMEXPR", "VECLIB_MAXIMUM")
    counts = {f"{name}_NUM_THREADS": str(threads) for name in names}
    return {**os.environ, **counts, "BENCHMARK_THREADS": str(threads), "JAX_PLATFORMS": "cpu"}
