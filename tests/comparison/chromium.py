"""Headless Chromium over the DevTools protocol, spoken through a pair of pipes.

``--remote-debugging-pipe`` makes the browser read commands from descriptor 3 and write answers to
descriptor 4, JSON ended by a zero byte: no port, no websocket, no further package.
"""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = (
    "--headless=new",
    "--no-sandbox",  # tests run as root in containers
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
)


def find_chromium() -> str | None:
    """The browser's program, if there is one."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


class Browser:
    """A running browser with one page."""

    def __init__(self, process: subprocess.Popen[bytes], commands: int, answers: int) -> None:
        self.process, self.commands, self.answers = process, commands, answers
        self.events: list[dict[str, Any]] = []
        """What the page reported, from the beginning."""
        self._buffer, self._number = b"", 0
        self.session = ""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self.session = attached["sessionId"]
        for domain in ("Page", "Network", "Log", "Runtime", "Security"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command and wait for its answer; events on the way are kept."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.commands, json.dumps(message).encode() + b"\0")
        while True:
            found = self._receive()
            if found.get("id") == self._number:
                assert "error" not in found, found
                return dict(found["result"])

    def _receive(self, patience: float = 120.0) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self.answers], [], [], patience)
            assert ready, "the browser does not answer"
            piece = os.read(self.answers, 1 << 16)
            assert piece, "the browser ended"
            self._buffer += piece
        line, self._buffer = self._buffer.split(b"\0", 1)
        message: dict[str, Any] = json.loads(line)
        if "method" in message:
            self.events.append(message)
        return message

    def open(self, page: Path, width: int, dark: bool = False, media: str = "") -> None:
        """Load a file in a window of that width, in pixels, and wait until it is there."""
        self.open_address(page.as_uri(), width, dark, media)

    def open_address(self, address: str, width: int, dark: bool = False, media: str = "") -> None:
        """Load what is at an address, as `open` does."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=900,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", media=media, features=[scheme])
        before = len(self.events)
        self.call("Page.navigate", url=address)
        until = time.monotonic() + 120
        while not any(e["method"] == "Page.loadEventFired" for e in self.events[before:]):
            assert time.monotonic() < until, "the page does not load"
            self._receive()

    def ask(self, expression: str) -> Any:
        """The value of a JavaScript expression, or of what it promises."""
        answer = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def picture(self, path: Path) -> None:
        """The whole page as a PNG."""
        shot = self.call("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))

    def complaints(self) -> list[Any]:
        """Console messages and log entries of any level, exceptions included."""
        kinds = ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded")
        return [event["params"] for event in self.events if event["method"] in kinds]

    def requests(self) -> list[str]:
        """Addresses that were asked for; ``data:`` addresses hold their content themselves."""
        asked = [e["params"] for e in self.events if e["method"] == "Network.requestWillBeSent"]
        return [a["request"]["url"] for a in asked if not a["request"]["url"].startswith("data:")]


@contextmanager
def chromium(program: str, profile: Path) -> Iterator[Browser]:
    """Start the browser with a profile of its own, and end it."""
    for_browser, commands = os.pipe()
    answers, from_browser = os.pipe()
    line = [program, *FLAGS, f"--user-data-dir={profile}", "about:blank"]
    # The shell puts the pipes where the browser expects them, whatever their numbers are here.
    moved = f'exec "$@" 3<&{for_browser} 4>&{from_browser}'
    process = subprocess.Popen(
        ["bash", "-c", moved, "bash", *line],
        pass_fds=(for_browser, from_browser),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"HOME": str(profile)},
    )
    os.close(for_browser)
    os.close(from_browser)
    try:
        browser = Browser(process, commands, answers)
        yield browser
        browser.session = ""
        browser.call("Browser.close")
        process.wait(timeout=20)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        os.close(commands)
        os.close(answers)
