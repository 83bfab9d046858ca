"""The client of the hub: one signed HTTPS call a method, typed answers, problems raised.

May import httpx, `keys` and `schemas`; nodes and auditors call the hub through it and nothing else does.
It verifies the hub's TLS certificate, and nothing that the hub says: that is the caller's work.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self, TypeVar
from urllib.parse import urlencode

import httpx
from pydantic import BaseModel

from keys.requests import Request, sign_request
from keys.signing import RequestSigningKey
from schemas.directory import HubAddress
from schemas.errors import BaridError, ConfigurationError, HubUnreachable, ParseError, Problem
from schemas.limits import (
    ENVELOPE_BYTES_MAX,
    INLINE_BYTES_MAX,
    LONG_POLL_SECONDS_MAX,
    TRUST_FILE_BYTES_MAX,
)
from schemas.loader import dump_json, parse
from schemas.problems import MEDIA_TYPE, from_document
from schemas.receipts import (
    EnvelopeStatus,
    InboxPage,
    OpeningsPage,
    Receipt,
    SealingKeyStatements,
)
from schemas.statements import Statement

ANSWER_BYTES_MAX: Final = 64 * 1024 * 1024
"""Largest answer read: an inbox page of 100 items with inline bodies stays under 20 MB."""

_TIMEOUT_SECONDS: Final = 30.0
_NULLABLE: Final = frozenset({"release"})

Model = TypeVar("Model", bound=BaseModel)


class TrustFileAbsent(BaridError):
    """The hub does not have a trust file that was asked for."""


def tls_context(trust_pem: str) -> ssl.SSLContext:
    """TLS 1.3, trusting exactly these certificates.

    Raises:
        ConfigurationError: the text holds no certificate.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    try:
        context.load_verify_locations(cadata=trust_pem)
    except ssl.SSLError as error:
        raise ConfigurationError("the TLS trust is not PEM certificates") from error
    return context


class HubClient:
    """Calls of one desk to the hub.

    Args:
        address: where the hub answers, and the authority that requests sign.
        exchange: the exchange's name.
        key: the desk's request key.
        now_unix: seconds since 1970, corrected by the caller if its clock is known to be wrong.
    """

    def __init__(
        self,
        address: HubAddress,
        exchange: str,
        key: RequestSigningKey,
        now_unix: Callable[[], int],
    ) -> None:
        self._address = address
        self._exchange = exchange
        self._key = key
        self._now_unix = now_unix
        self._http = httpx.AsyncClient(
            base_url=address.url,
            verify=tls_context(address.tls_trust),
            timeout=_TIMEOUT_SECONDS,
            trust_env=False,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def submit(self, envelope: bytes) -> Receipt:
        """Submit the exact bytes of an envelope; harmless to repeat. Raises Problem when refused."""
        return await self._model(Receipt, "POST", "/v1/envelopes", body=envelope)

    async def inbox(
        self,
        desk: str,
        *,
        limit: int,
        after: str | None = None,
        wait_seconds: int = 0,
        since: int | None = None,
        inline_bytes: int = INLINE_BYTES_MAX,
    ) -> InboxPage:
        """Waiting envelopes of the own desk, by precedence, then index.

        Args:
            after: the cursor of an earlier page.
            wait_seconds: how long the hub may hold the request while nothing waits.
            since: an index of the exchange log: everything unexpired from there on, acknowledged or not.
        """
        query: dict[str, str | int] = {
            "limit": limit,
            "wait": wait_seconds,
            "inline_bytes": inline_bytes,
        }
        query |= {} if after is None else {"after": after}
        query |= {} if since is None else {"since": since}
        path = f"/v1/desks/{desk}/inbox?{urlencode(query)}"
        return await self._model(
            InboxPage, "GET", path, timeout_seconds=_TIMEOUT_SECONDS + LONG_POLL_SECONDS_MAX
        )

    async def body(self, sender: str, envelope_id: str) -> bytes:
        """The ciphertext of an envelope's body."""
        return await self._call("GET", f"/v1/envelopes/{sender}/{envelope_id}/body")

    async def status(self, sender: str, envelope_id: str) -> EnvelopeStatus:
        """What became of an own envelope, with proofs."""
        return await self._model(
            EnvelopeStatus, "GET", f"/v1/envelopes/{sender}/{envelope_id}/status"
        )

    async def acknowledge(self, statement: Statement) -> Receipt:
        """Hand in an acknowledgement. Raises Problem `acknowledgement-items` naming the wrong ones."""
        return await self._model(Receipt, "POST", "/v1/acknowledgements", body=dump_json(statement))

    async def publish_sealing_key(self, desk: str, statement: Statement) -> None:
        """Have a sealing key of the own desk logged."""
        await self._call("POST", f"/v1/desks/{desk}/sealing-keys", body=dump_json(statement))

    async def sealing_keys(self, desk: str) -> SealingKeyStatements:
        """Every sealing-key statement of a desk that was logged."""
        return await self._model(SealingKeyStatements, "GET", f"/v1/desks/{desk}/sealing-keys")

    async def checkpoint(self, log: str, generation: int) -> str:
        """The newest signed checkpoint of `directory` or `exchange`, as note text."""
        data = await self._call("GET", f"/v1/log/{log}/{generation}/checkpoint")
        try:
            return data.decode()
        except UnicodeDecodeError as error:
            raise ParseError("a checkpoint is UTF-8") from error

    async def tile(self, log: str, generation: int, path: str) -> bytes:
        """A tile or entry bundle by its path (`tile/0/000`)."""
        return await self._call("GET", f"/v1/log/{log}/{generation}/{path}")

    async def openings(self, log: str, start: int, end: int) -> OpeningsPage:
        """What stands behind the leaves start ≤ index < end, as far as it concerns this desk."""
        query = urlencode({"start": start, "end": end})
        return await self._model(OpeningsPage, "GET", f"/v1/log/{log}/openings?{query}")

    async def trust_file(self, name: str, size_bytes_max: int = TRUST_FILE_BYTES_MAX) -> bytes:
        """A TUF metadata or target file by its name under `/v1/trust/`.

        Raises:
            TrustFileAbsent: the hub does not have it.
        """
        try:
            data = await self._call("GET", f"/v1/trust/{name}")
        except Problem as problem:
            if problem.word == "not-found":
                raise TrustFileAbsent(name) from problem
            raise
        if len(data) > size_bytes_max:
            raise ParseError(f"{name} is over its limit of {size_bytes_max} bytes")
        return data

    async def _model(
        self,
        model: type[Model],
        method: str,
        target: str,
        *,
        body: bytes | None = None,
        timeout_seconds: float = _TIMEOUT_SECONDS,
    ) -> Model:
        answer = await self._call(method, target, body=body, timeout_seconds=timeout_seconds)
        return parse(model, answer, ANSWER_BYTES_MAX, nullable=_NULLABLE)

    async def _call(
        self,
        method: str,
        target: str,
        *,
        body: bytes | None = None,
        timeout_seconds: float = _TIMEOUT_SECONDS,
    ) -> bytes:
        if body is not None and len(body) > ENVELOPE_BYTES_MAX:
            raise ParseError(f"{len(body)} bytes are more than the hub takes")
        path, _, query = target.partition("?")
        request = Request(method, self._address.authority, path, query, body=body or b"")
        headers = sign_request(request, self._key, self._exchange, self._now_unix())
        if body is not None:
            headers["Content-Type"] = "application/json"
        asked = self._http.stream(
            method, target, content=body, headers=headers, timeout=timeout_seconds
        )
        try:
            async with asked as answer:
                content = await _read(answer)
        except httpx.HTTPError as error:
            raise HubUnreachable(f"the hub did not answer: {type(error).__name__}") from error
        if answer.is_success:
            return content
        if answer.headers.get("content-type", "").partition(";")[0] != MEDIA_TYPE:
            raise HubUnreachable(f"the hub answered {answer.status_code} without saying why")
        try:
            problem = from_document(content)
        except ParseError as error:
            raise HubUnreachable(f"the hub answered {answer.status_code} unreadably") from error
        raise problem


async def _read(answer: httpx.Response) -> bytes:
    """Read an answer, and stop at the limit: a hostile hub would send without end.

    Raises:
        ParseError: it is over the limit.
    """
    chunks: list[bytes] = []
    size_bytes = 0
    async for chunk in answer.aiter_bytes():
        size_bytes += len(chunk)
        if size_bytes > ANSWER_BYTES_MAX:
            raise ParseError(f"the answer is over the limit of {ANSWER_BYTES_MAX} bytes")
        chunks.append(chunk)
    return b"".join(chunks)
