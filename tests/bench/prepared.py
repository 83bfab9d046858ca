"""The generator of requests: real envelopes sealed beforehand, and signed shortly before they are sent.

May import `keys` and the exchange of `world`; `submissions` and `latency` play what is written here. Sealing
is slow and lasts a day; a request's signature lives a minute, so that it is made before each run.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from keys.requests import Request, sign_request
from keys.signing import RequestSigningKey
from schemas.limits import REQUEST_LIFE_SECONDS_MAX
from schemas.loader import dump_json
from tests.bench.world import BenchExchange
from tests.exchange.live import EXCHANGE

PATH: Final = "/v1/envelopes"
_WORKERS: Final = 2
_CHUNK: Final = 64
_FORKS: Final = multiprocessing.get_context("fork")


@dataclass(frozen=True, slots=True)
class Sealed:
    """One submission: who sends it, and its exact bytes."""

    sender: str
    body: bytes = field(repr=False)


class Generator:
    """Makes submissions of an exchange, on all cores.

    Args:
        exchange: founded, with every desk's sealing key; its hub may be stopped.
    """

    def __init__(self, exchange: BenchExchange) -> None:
        self._exchange = exchange
        self._made = 0

    def seal(self, count: int) -> list[Sealed]:
        """Seal so many envelopes of 4 KiB bulletins for three desks each, none like another."""
        numbers = range(self._made, self._made + count)
        self._made += count
        with _FORKS.Pool(_WORKERS, _inherit, (self._exchange,)) as pool:
            return pool.map(_seal, numbers, _CHUNK)

    def write_requests(self, path: Path, sealed: Sequence[Sealed]) -> float:
        """Sign submissions as requests of this moment, and write them for `play.lua`.

        Args:
            path: of the file; each request after its length as eight hex digits.

        Returns:
            When the signatures end, by `time.time()`.
        """
        signed_at = int(time.time())
        numbered = ((each.sender, each.body, signed_at) for each in sealed)
        with _FORKS.Pool(_WORKERS, _inherit, (self._exchange,)) as pool, path.open("wb") as file:
            for request in pool.imap(_request, numbered, _CHUNK):
                file.write(b"%08x" % len(request))
                file.write(request)
        return float(signed_at + REQUEST_LIFE_SECONDS_MAX)


_inherited: list[BenchExchange] = []
"""In a worker: the exchange, which it got by being forked."""


def _inherit(exchange: BenchExchange) -> None:
    _inherited[:] = [exchange]


def _seal(number: int) -> Sealed:
    sender, envelope = _inherited[0].envelope(number)
    return Sealed(sender, dump_json(envelope))


def _request(work: tuple[str, bytes, int]) -> bytes:
    sender, body, at = work
    hub = _inherited[0].hub
    return request_bytes(f"127.0.0.1:{hub.port}", hub.desks[sender].request, "POST", PATH, body, at)


def request_bytes(
    authority: str, key: RequestSigningKey, method: str, path: str, body: bytes, at: int
) -> bytes:
    """A whole signed HTTP/1.1 request, as it travels."""
    signed = sign_request(Request(method, authority, path, body=body), key, EXCHANGE, at)
    fields = {
        "Host": authority,
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        **signed,
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body
