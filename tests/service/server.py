"""The socket: HTTP/1.1 on 127.0.0.1."""

from __future__ import annotations

import socket
import sys
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from .app import App, serve
from .wire import PREFIXES, ApiError, Request, Response


class Server(ThreadingHTTPServer):
    """A thread per connection; only this machine can reach it."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, app: App) -> None:
        self.app = app
        super().__init__(("127.0.0.1", app.settings.port), _Handler)
        self.port = int(self.server_address[1])

    def handle_error(self, request: object, client_address: object) -> None:
        """Stay quiet about clients that went away."""
        if not isinstance(sys.exc_info()[1], OSError):
            traceback.print_exc()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "Loopback"
    sys_version = ""
    wbufsize = -1
    disable_nagle_algorithm = True
    server: Server

    def log_message(self, format: str, *args: object) -> None:
        """Write no access log; the application keeps one."""

    def _serve(self) -> None:
        request = self._read()
        try:
            response = serve(self.server.app, request)
        except Exception:
            traceback.print_exc()
            response = ApiError(500, 1000, "The loopback service itself failed.").response()
        if response is None:
            self._hang_up()
        else:
            self._send(response)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815

    def _read(self) -> Request:
        parts = urlsplit(self.path)  # a plain proxy gets absolute addresses
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        return Request(
            method=self.command,
            path=PREFIXES.sub("", parts.path),
            query=parse_qs(parts.query),
            headers={name.lower(): value for name, value in self.headers.items()},
            body=body,
        )

    def _send(self, response: Response) -> None:
        self.send_response(response.status)
        for name, value in response.headers.items():
            self.send_header(name, value)
        if response.status != 204:
            self.send_header("Content-Length", str(len(response.body)))
        self.end_headers()
        body = response.body[: len(response.body) // 2] if response.cut else response.body
        self.wfile.write(body)
        self.wfile.flush()
        if response.cut:
            self._hang_up()

    def _hang_up(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)
