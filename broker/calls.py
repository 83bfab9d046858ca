"""Signed calls to the hub: one HTTPS request each, problems raised, answers bounded.

May import httpx, `keys` and `schemas`; the hub's client is built on it, and nothing else uses it.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Final, Self

import httpx

from keys.requests import Request, sign_request
from keys.signing import RequestSigningKey
from schemas.directory import HubAddress
from schemas.errors import BaridError, ConfigurationError, HubUnreachable, ParseError
from schemas.problems import MEDIA_TYPE, from_document

ANSWER_BYTES_MAX: Final = 64 * 1024 * 1024
"""Largest answer read: an inbox page of 100 items with inline bodies stays under 20 MB."""

TIMEOUT_SECONDS: Final = 30.0
"""For each step of a call: to connect, to send on, to be sent more."""

UPLOAD_OFFSET: Final = "Upload-Offset"
"""The one field beside the digest that a signature covers."""


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


class SignedCalls:
    """Requests of one desk to the hub.

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
            timeout=TIMEOUT_SECONDS,
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

    @asynccontextmanager
    async def asked(
        self,
        method: str,
        target: str,
        *,
        body: bytes | None = None,
        fields: Mapping[str, str] | None = None,
        timeout_seconds: float = TIMEOUT_SECONDS,
    ) -> AsyncIterator[httpx.Response]:
        """Sign and send a request; the block reads its answer, which is a success.

        Args:
            target: path and query in the spelling that travels.
            fields: further headers; of them `Upload-Offset` alone is signed.

        Raises:
            Problem: what the hub answered instead.
            HubUnreachable: it did not answer, or as no hub would, or not to the end.
        """
        path, _, query = target.partition("?")
        fields = fields or {}
        request = Request(
            method,
            self._address.authority,
            path,
            query,
            tuple((name, value) for name, value in fields.items() if name == UPLOAD_OFFSET),
            body or b"",
        )
        signed = sign_request(request, self._key, self._exchange, self._now_unix())
        asked = self._http.stream(
            method, target, content=body, headers={**fields, **signed}, timeout=timeout_seconds
        )
        try:
            async with asked as answer:
                if not answer.is_success:
                    raise await _problem(answer)
                yield answer
        except httpx.HTTPError as error:
            raise HubUnreachable(f"the hub did not answer: {type(error).__name__}") from error


async def _problem(answer: httpx.Response) -> BaridError:
    """What a refusal says; HubUnreachable where it says nothing that can be read."""
    content = await read_answer(answer)
    if answer.headers.get("content-type", "").partition(";")[0] != MEDIA_TYPE:
        return HubUnreachable(f"the hub answered {answer.status_code} without saying why")
    try:
        return from_document(content)
    except ParseError as error:
        unreadable = HubUnreachable(f"the hub answered {answer.status_code} unreadably")
        unreadable.__cause__ = error
        return unreadable


async def read_answer(answer: httpx.Response) -> bytes:
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
