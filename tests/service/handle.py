"""Start the service in its own process and talk to its control endpoint."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent


def start_service(store: Path | str, **options: Any) -> Service:
    """Start a service and wait until it answers.

    Args:
        store: Folder of its jobs and results; made if it is missing, taken up if it is not.
        options: Command line options, e.g. ``plan="open"``, ``plan=["open", "premium"]``,
            ``devices="fake_torino"``, ``noiseless=True``, ``run_delay=0.5``.
    """
    return Service(Path(store).resolve(), options)


class Service:
    """A running service; a context manager that ends it."""

    environment: dict[str, str]
    """Variables that point the client at it."""
    port: int

    def __init__(self, store: Path, options: dict[str, Any]) -> None:
        self.store = store
        self.options = options
        self.port = int(options.get("port", 0))
        self._process: subprocess.Popen[str] | None = None
        self._start()

    def __enter__(self) -> Service:
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The process, to be sent signals."""
        assert self._process is not None
        return self._process.pid

    def inject(self, fault: str, **options: Any) -> dict[str, Any]:
        """Switch a fault on; `service.faults` lists them.

        Common options: ``call`` (e.g. ``"GET /jobs/*"``; faults of jobs need none), ``count``
        (how many calls, None for all; default 1), ``after`` (how many pass first).
        """
        return self._control("POST", "faults", {"kind": fault, **options})

    def faults(self) -> list[dict[str, Any]]:
        """The faults that are on, with ``hits``, how often each struck."""
        return self._control("GET", "faults")

    def clear(self) -> None:
        """Switch all faults off and release held jobs."""
        self._control("DELETE", "faults")

    def jobs(self) -> list[dict[str, Any]]:
        """All jobs in the order of their creation, deleted ones too, as stored."""
        return self._control("GET", "jobs")

    def executed(self) -> list[dict[str, Any]]:
        """Executed jobs: ``id``, ``program`` (hash), ``executions``, ``times``, ``charged``."""
        return self._control("GET", "executed")

    def requests(self, call: str | None = None) -> list[dict[str, Any]]:
        """Requests since the start or `forget`: ``call``, ``status`` (0: dropped), ``at``."""
        log = self._control("GET", "requests")
        return [entry for entry in log if call is None or entry["call"] == call]

    def forget(self) -> None:
        """Empty the log of requests."""
        self._control("DELETE", "requests")

    def begin_period(self) -> None:
        """Let no instance have used anything yet."""
        self._control("POST", "period")

    def hold(self, held: bool = True) -> None:
        """Keep jobs queued, or release them."""
        self._control("POST", "hold", {"held": held})

    def configure(self, **settings: Any) -> None:
        """Change settings while it runs: `service.settings.TUNABLE` names them."""
        self._control("POST", "settings", settings)

    def cancel(self, job_id: str) -> None:
        """Cancel a job as somebody else would."""
        self._control("POST", f"jobs/{job_id}/cancel")

    def delete(self, job_id: str) -> None:
        """Delete a job as somebody else would."""
        self._control("DELETE", f"jobs/{job_id}")

    def expire(self, job_id: str) -> None:
        """Let the results of a job expire."""
        self._control("POST", f"jobs/{job_id}/expire")

    def sessions(self) -> list[dict[str, Any]]:
        """All batches and sessions in the order of their creation, as stored."""
        return self._control("GET", "sessions")

    def close_session(self, session_id: str) -> None:
        """Close a session or batch as the service would."""
        self._control("POST", f"sessions/{session_id}/close")

    def wait_ready(self, timeout: float = 60.0) -> None:
        """Wait until the simulator is loaded."""
        self._wait(lambda: self._control("GET", "health")["ready"], timeout)

    def wait_idle(self, timeout: float = 60.0) -> None:
        """Wait until no job is queued or running."""
        pending = ("Queued", "Running")
        self._wait(lambda: all(job["status"] not in pending for job in self.jobs()), timeout)

    def stop(self) -> None:
        """End it with SIGTERM."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it with SIGKILL."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Start it again on the same port and store, without faults; it is ended first."""
        self.stop()
        self._start()

    def _start(self) -> None:
        options = {**self.options, "store": self.store, "port": self.port}
        command = [sys.executable, "-m", HERE.name, "--with-parent", *_flags(options)]
        for _ in range(3):  # on a restart, somebody may hold the port for a moment
            self._process = subprocess.Popen(
                command,
                cwd=HERE.parent,
                env=os.environ | {"OMP_NUM_THREADS": "1"},
                stdout=subprocess.PIPE,
                text=True,
            )
            assert self._process.stdout is not None
            line = self._process.stdout.readline()
            if line:
                told = json.loads(line)
                self.port, self.environment = told["port"], told["environment"]
                return
            self._end(signal.SIGKILL)
            time.sleep(0.2)
        raise RuntimeError(f"The service did not start: {' '.join(command)}")

    def _end(self, number: int) -> None:
        if self._process is not None:
            if self._process.poll() is None:
                self._process.send_signal(number)
            self._process.wait(timeout=10)
            if self._process.stdout is not None:
                self._process.stdout.close()
            self._process = None

    def _wait(self, condition: Any, timeout: float) -> None:
        end = time.monotonic() + timeout
        while not condition():
            if time.monotonic() > end:
                raise TimeoutError(f"Waited {timeout} s for the service.")
            time.sleep(0.03)

    def _control(self, method: str, path: str, body: Any = None) -> Any:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            data = None if body is None else json.dumps(body)
            connection.request(method, f"/_control/{path}", data)
            response = connection.getresponse()
            text = response.read().decode()
        finally:
            connection.close()
        if response.status >= 400:
            raise ValueError(json.loads(text)["errors"][0]["message"])
        return json.loads(text) if text else None


def _flags(options: dict[str, Any]) -> list[str]:
    """Keyword options as command line flags."""
    flags: list[str] = []
    for name, value in options.items():
        flag = "--" + name.replace("_", "-")
        if value is True:
            flags.append(flag)
        elif value is not None and value is not False:
            values = value if name == "plan" and isinstance(value, (list, tuple)) else [value]
            for one in values:
                text = ",".join(one) if isinstance(one, (list, tuple)) else str(one)
                flags += [flag, text]
    return flags
