"""The client of a node's agency interface: one HTTPS call a method, answers as bytes, problems raised.

May import httpx and `schemas`; `agency` and `analyst` call a node through it, from any machine.
"""

from __future__ import annotations

import ssl
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from broker.cli.exits import NodeUnreachable
from broker.cli.options import desk_formed
from schemas.errors import ConfigurationError, ParseError
from schemas.problems import MEDIA_TYPE, from_document

if TYPE_CHECKING:
    import httpx

NodeUrl = Annotated[
    str,
    typer.Option("--node", envvar="BARID_NODE", help="The node's address: https://HOST:PORT."),
]
TokenFile = Annotated[
    Path,
    typer.Option(
        "--token-file",
        envvar="BARID_TOKEN_FILE",
        exists=True,
        dir_okay=False,
        help="A file that holds the token, mode 0600.",
    ),
]
TrustFile = Annotated[
    Path | None,
    typer.Option(
        "--ca",
        envvar="BARID_CA",
        exists=True,
        dir_okay=False,
        help="The certificate to trust (the node's tls.crt); else those of this machine.",
    ),
]
Desk = Annotated[
    str,
    typer.Option(
        "--desk", envvar="BARID_DESK", callback=desk_formed, help="The own desk, as tn/main."
    ),
]
Query = Sequence[tuple[str, str]]

ANSWER_BYTES_MAX: Final = 16 * 1024 * 1024
"""Largest answer read: a bulletin's status holds the proofs of up to 500 recipients."""

TIMEOUT_SECONDS: Final = 30.0
_TOKEN_BYTES_MAX: Final = 1024


@dataclass(frozen=True, slots=True)
class NodeClient:
    """Calls of one agency to its node.

    Args:
        url: `https://HOST:PORT`.
        token_file: holds the bearer token.
        trust_file: PEM certificates to trust in place of the machine's, or None.
        timeout_seconds: how long a step of a call may take.
    """

    url: str
    token_file: Path
    trust_file: Path | None
    timeout_seconds: float = TIMEOUT_SECONDS

    def get(self, path: str, query: Query = ()) -> bytes:
        """Ask for a document below `/v1`. Raises Problem, NodeUnreachable, ConfigurationError."""
        return self._call("GET", path, query, None)

    def post(self, path: str, query: Query, body: bytes) -> bytes:
        """Hand in a document below `/v1`. Raises Problem, NodeUnreachable, ConfigurationError."""
        return self._call("POST", path, query, body)

    def _call(self, method: str, path: str, query: Query, body: bytes | None) -> bytes:
        headers = {} if body is None else {"Content-Type": "application/json"}
        with self.connected() as client:
            answer = client.request(
                method, f"/v1{path}", params=list(query), content=body, headers=headers
            )
        return content_of(answer, self.url)

    @contextmanager
    def connected(self) -> Iterator[httpx.Client]:
        """A client for several calls, with the token; paths begin with `/v1`.

        Raises:
            ConfigurationError: address, token or trust are not what they should be, or the node's
                certificate is not trusted.
            NodeUnreachable: in place of any failure of the line within the block.
        """
        import httpx

        if not self.url.startswith("https://"):
            raise ConfigurationError(f"{self.url} is not an address of a node: it begins https://")
        headers = {"Authorization": f"Bearer {self._token()}"}
        context = self._tls_context()
        try:
            with httpx.Client(
                base_url=self.url,
                verify=context,
                timeout=self.timeout_seconds,
                trust_env=False,
                headers=headers,
            ) as client:
                yield client
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            if "CERTIFICATE_VERIFY_FAILED" in str(error):
                raise ConfigurationError(
                    f"{self.url} shows a certificate that is not trusted here: give its node's tls.crt"
                    " with --ca (BARID_CA), taken from its administrator"
                ) from error
            raise NodeUnreachable(f"{self.url}: {str(error) or type(error).__name__}") from error

    def _token(self) -> str:
        if self.token_file.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise ConfigurationError(
                f"{self.token_file} is open to other users: run `chmod 0600 {self.token_file}`"
            )
        with self.token_file.open("rb") as file:
            token = file.read(_TOKEN_BYTES_MAX).strip()
        if not token.isascii() or len(token.split()) != 1:
            raise ConfigurationError(
                f"{self.token_file} holds no token: write into it what `barid node token create` printed"
            )
        return token.decode("ascii")

    def _tls_context(self) -> ssl.SSLContext:
        try:
            context = ssl.create_default_context(cafile=self.trust_file)
        except ssl.SSLError as error:
            raise ConfigurationError(
                f"{self.trust_file} holds no certificate: name the node's tls.crt"
            ) from error
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        return context


def content_of(answer: httpx.Response, url: str) -> bytes:
    """An answer's content, if it is a success. Raises Problem, NodeUnreachable."""
    if answer.is_success:
        return answer.content
    if answer.headers.get("content-type", "").partition(";")[0] != MEDIA_TYPE:
        raise NodeUnreachable(
            f"{url} answered {answer.status_code} without saying why: is it a node?"
        )
    try:
        problem = from_document(answer.content)
    except ParseError as error:
        raise NodeUnreachable(f"{url} answered {answer.status_code} unreadably") from error
    raise problem
