"""Signed calls to the hub: one HTTPS request each, problems raised, answers bounded.

May import httpx, `keys` and `schemas`; the hub's client is built on it, and nothing else uses it.
"""

from __future__ import annotations

import ssl
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

import httpx

from keys.requests import Request, sign_request
from keys.signing import RequestSigningKey
from schemas.directory import HubAddress
from schemas.errors import BaridError, ConfigurationError, HubUnreachable, ParseError, Problem
from schemas.problems import MEDIA_TYPE, from_document

ANSWER_BYTES_MAX: Final = 64 * 1024 * 1024
"""Largest answer read: an inbox page of 100 items with inline bodies stays under 20 MB."""

TIMEOUT_SECONDS: Final = 30.0
"""For each step of a call: to connect, to send on, to be sent more."""

UPLOAD_OFFSET: Final = "Upload-Offset"
"""The one field beside the digest that a signature covers."""

LOG_CLOSED: Final = "Barid-Log-Closed"
"""The field of an answer with the last checkpoint of a closed log: the generation that follows."""

_ANOTHER_WAY: Final = frozenset({"unknown-key", "signature-invalid"})
"""Refusals of who calls: another key of the desk, or the name that the hub has elsewhere, may be right."""


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


class LogClosed(BaridError):
    """The log asked for is closed: another generation follows it.

    Args:
        note: its last checkpoint, as note text.
    """

    def __init__(self, note: str) -> None:
        self.note = note
        super().__init__("the council has closed this log")


@dataclass(frozen=True, slots=True)
class _Way:
    """One way to be heard: where the hub may answer, and the request key by which it may know the desk."""

    address: HubAddress
    key: RequestSigningKey


@dataclass(frozen=True, slots=True)
class _Call:
    """What is asked, whichever way it goes, and by which client."""

    http: httpx.AsyncClient
    method: str
    target: str
    body: bytes | None
    fields: Mapping[str, str]
    timeout_seconds: float


class SignedCalls:
    """Requests of one desk to the hub.

    Args:
        address: where the hub answers, and the authority that requests sign.
        exchange: the exchange's name.
        key: the desk's request key.
        now_unix: seconds since 1970, corrected by the caller if its clock is known to be wrong.

    Raises:
        ConfigurationError: the address's TLS trust holds no certificate.
    """

    def __init__(
        self,
        address: HubAddress,
        exchange: str,
        key: RequestSigningKey,
        now_unix: Callable[[], int],
    ) -> None:
        self._exchange = exchange
        self._now_unix = now_unix
        self._trust = address.tls_trust
        self._http = _client(self._trust)
        self._retired: list[httpx.AsyncClient] = []
        # How many calls are under way by each: what was retired is closed after its last.
        self._calls: Counter[httpx.AsyncClient] = Counter()
        self._aim: tuple[tuple[HubAddress, ...], tuple[RequestSigningKey, ...]] = (
            (address,),
            (key,),
        )
        self._ways: tuple[_Way, ...] = (_Way(address, key),)
        self.look_for_keys: Callable[[], Awaitable[None]] | None = None
        """Called where the hub knows none of the keys: it may `aim` with others, and the call goes on."""

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
        for each in (self._http, *self._retired):
            await each.aclose()

    def aim(self, addresses: Sequence[HubAddress], keys: Sequence[RequestSigningKey]) -> None:
        """Say where the hub may answer, and by which keys it may know the desk; the likeliest come first.

        A call goes on to the next address where nobody answers, and to the next key where the first is
        not known; later calls begin with what was answered. All certificates are trusted at all
        addresses. A call that is under way ends as it began.

        Args:
            addresses: at least one.
            keys: at least one.

        Raises:
            ConfigurationError: the TLS trust is not PEM certificates; everything stays as it was.
        """
        aim = (tuple(addresses), tuple(keys))
        if aim == self._aim:
            return
        trust = "\n".join(dict.fromkeys(address.tls_trust for address in addresses))
        if trust != self._trust:
            client = _client(trust)
            self._retired.append(self._http)
            self._http, self._trust = client, trust
        self._aim = aim
        self._ways = tuple(_Way(address, key) for address in addresses for key in keys)

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
        http = self._http
        self._calls[http] += 1
        try:
            call = _Call(http, method, target, body, fields or {}, timeout_seconds)
            answer = await self._answer(call)
            try:
                yield answer
            finally:
                await answer.aclose()
        except httpx.HTTPError as error:
            raise HubUnreachable(f"the hub did not answer: {type(error).__name__}") from error
        finally:
            self._calls[http] -= 1
            for idle in [each for each in self._retired if not self._calls[each]]:
                self._retired.remove(idle)
                await idle.aclose()

    async def _answer(self, call: _Call) -> httpx.Response:
        aim = self._aim
        try:
            return await self._try_ways(call)
        except Problem as problem:
            if problem.word != "unknown-key" or self.look_for_keys is None:
                raise
            await self.look_for_keys()
            if self._aim == aim:
                raise
        return await self._try_ways(call)

    async def _try_ways(self, call: _Call) -> httpx.Response:
        """Try one way after the other. What the first met with is raised where none leads to the hub."""
        failures: list[BaridError | httpx.HTTPError] = []
        silent: set[str] = set()
        for way in self._ways:
            if way.address.url in silent:
                continue
            try:
                answer = await call.http.send(self._request(way, call), stream=True)
                if answer.is_success:
                    self._prefer(way)
                    return answer
                try:
                    raise await _problem(answer)
                finally:
                    await answer.aclose()
            except (httpx.HTTPError, HubUnreachable) as error:
                silent.add(way.address.url)
                failures.append(error)
            except Problem as problem:
                if problem.word not in _ANOTHER_WAY:
                    raise
                failures.append(problem)
        raise failures[0]

    def _prefer(self, way: _Way) -> None:
        # Since the call began, `aim` may have taken this way away.
        if way in self._ways:
            self._ways = (way, *(other for other in self._ways if other != way))

    def _request(self, way: _Way, call: _Call) -> httpx.Request:
        path, _, query = call.target.partition("?")
        request = Request(
            call.method,
            way.address.authority,
            path,
            query,
            tuple((name, value) for name, value in call.fields.items() if name == UPLOAD_OFFSET),
            call.body or b"",
        )
        signed = sign_request(request, way.key, self._exchange, self._now_unix())
        return call.http.build_request(
            call.method,
            way.address.url + call.target,
            content=call.body,
            headers={**call.fields, **signed},
            timeout=call.timeout_seconds,
        )


def _client(trust_pem: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        verify=tls_context(trust_pem), timeout=TIMEOUT_SECONDS, trust_env=False
    )


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
