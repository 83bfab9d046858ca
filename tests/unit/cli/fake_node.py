"""A node that answers what a test tells it to, over TLS, and remembers what it was asked."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from broker.certificates import make_certificate
from schemas.errors import Problem
from schemas.problems import MEDIA_TYPE, to_document

TOKEN = "barid_token-of-tests"


@dataclass(frozen=True)
class Asked:
    """One request."""

    method: str
    path: str
    query: list[tuple[str, str]]
    token: str
    body: bytes


@dataclass
class FakeNode:
    """What it answers to each path; `url`, `certificate` and `token_file` are how an agency reaches it."""

    folder: Path
    url: str = ""
    answers: dict[str, tuple[int, str, bytes]] = field(default_factory=dict)
    posts: dict[str, tuple[int, str, bytes]] = field(default_factory=dict)
    """What it answers to POST alone, where that differs."""
    asked: list[Asked] = field(default_factory=list)

    @property
    def certificate(self) -> Path:
        """What an agency trusts."""
        return self.folder / "tls.crt"

    @property
    def token_file(self) -> Path:
        """What an agency calls with."""
        return self.folder / "token"

    @property
    def options(self) -> tuple[object, ...]:
        """The options of a command that calls this node."""
        return ("--node", self.url, "--token-file", self.token_file, "--ca", self.certificate)

    def answer(self, path: str, value: Any, status: int = 200) -> None:
        """Answer JSON, or the given bytes."""
        data = value if isinstance(value, bytes) else json.dumps(value, ensure_ascii=False).encode()
        self.answers[path] = (status, "application/json", data)

    def refuse(self, path: str, problem: Problem) -> None:
        """Answer a problem document."""
        data = json.dumps(to_document(problem)).encode()
        self.answers[path] = (problem.type.status, MEDIA_TYPE, data)


@contextmanager
def fake_node(folder: Path) -> Iterator[FakeNode]:
    """Serve on a free port of loopback."""
    certificate, key = make_certificate(folder, ("127.0.0.1",), datetime.now(UTC))
    node = FakeNode(folder)
    node.token_file.touch(mode=0o600)
    node.token_file.write_text(TOKEN + "\n")
    server = HTTPServer(("127.0.0.1", 0), _handler(node))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    node.url = f"https://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield node
    finally:
        server.shutdown()
        server.server_close()


def _handler(node: FakeNode) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._serve()

        def do_POST(self) -> None:
            self._serve()

        def _serve(self) -> None:
            parts = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            token = self.headers.get("Authorization", "")
            node.asked.append(
                Asked(str(self.command), parts.path, parse_qsl(parts.query), token, body)
            )
            known = node.answers | (node.posts if self.command == "POST" else {})
            status, media_type, data = known.get(parts.path, (404, "text/plain", b"no"))
            self.send_response(status)
            self.send_header("Content-Type", media_type)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_arguments: object) -> None:
            """Say nothing."""

    return Handler
