"""The operator's address: `/healthz`, `/readyz` and `/metrics` in plain HTTP, apart from what others reach.

May import prometheus-client and `broker.settings`; hub and node serve it on a thread while they run.
"""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from sqlalchemy.exc import SQLAlchemyError

from broker.settings import Listen

REQUEST_SECONDS: Final = 5.0
"""For a request to arrive: it comes from this machine, or the next."""

_END_SECONDS: Final = 0.2
"""How soon it notices that it is to end."""

_TEXT: Final = "text/plain; charset=utf-8"
_LOG: Final = logging.getLogger("barid.operating")

Why = Callable[[], str]
"""Says why a server is not ready; empty when it is."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, listen: Listen, handler: type[BaseHTTPRequestHandler]) -> None:
        self.address_family = socket.AF_INET6 if ":" in listen.host else socket.AF_INET
        super().__init__((listen.host, listen.port), handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: who asked has gone, and the base would print a traceback."""


@contextmanager
def operator_served(
    listen: Listen | None, why_not_ready: Why, metrics: CollectorRegistry
) -> Iterator[int]:
    """Answer the operator while the block runs.

    Args:
        listen: where; None: nowhere.
        why_not_ready: asked at each `/readyz`, on a thread.
        metrics: what `/metrics` shows; gauges are computed when they are asked for.

    Yields:
        The port; 0 where nothing is served.

    Raises:
        OSError: the address is taken, or not of this machine.
    """
    if listen is None:
        yield 0
        return

    class Handler(BaseHTTPRequestHandler):
        timeout = REQUEST_SECONDS

        def do_GET(self) -> None:
            status, kind, said = _answer(self.path, why_not_ready, metrics)
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def version_string(self) -> str:
            return "barid"

        def log_message(self, *_arguments: object) -> None:
            """Say nothing: health checks are not news."""

    server = _Server(listen, Handler)
    serve = partial(server.serve_forever, _END_SECONDS)
    threading.Thread(target=serve, name="operator", daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


def _answer(path: str, why_not_ready: Why, metrics: CollectorRegistry) -> tuple[int, str, bytes]:
    match path.partition("?")[0]:
        case "/healthz":
            return HTTPStatus.OK, _TEXT, b"the process runs"
        case "/readyz":
            why = why_not_ready()
            status = HTTPStatus.SERVICE_UNAVAILABLE if why else HTTPStatus.OK
            return status, _TEXT, (why or "ready").encode()
        case "/metrics":
            try:
                return HTTPStatus.OK, CONTENT_TYPE_LATEST, generate_latest(metrics)
            except SQLAlchemyError as error:
                _LOG.error("no metrics: the database does not answer: %s", type(error).__name__)
                return HTTPStatus.SERVICE_UNAVAILABLE, _TEXT, b"the database does not answer"
        case _:
            return HTTPStatus.NOT_FOUND, _TEXT, b"there are /healthz, /readyz and /metrics"
