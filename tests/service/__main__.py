"""Start the service in this process: ``python -m tests.service --help``."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from types import FrameType

from .app import App
from .server import Server
from .settings import parse


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGTERM or, with ``--with-parent``, until the parent process is gone."""
    settings, with_parent = parse(arguments)
    app = App(settings)
    server = Server(app)
    stop = threading.Event()

    def on_signal(number: int, frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    app.worker.start()
    line = {"port": server.port, "pid": os.getpid(), "environment": app.environment(server.port)}
    print(json.dumps(line), flush=True)
    parent = os.getppid()
    while not stop.wait(0.2):
        if with_parent and os.getppid() != parent:
            break
    app.stopping.set()
    server.shutdown()
    deadline = time.monotonic() + 0.5
    while app.worker.busy and time.monotonic() < deadline:  # a store is valid at any moment
        time.sleep(0.01)
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
