"""Envelopes that break one rule each: an honest one, altered in its text, its header or its sealed bytes.

May import the live hub; the tables of hostile submissions are written with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from keys.dsse import sign_statement
from schemas.envelope import Envelope
from schemas.loader import dump_json, load_json
from schemas.statements import PayloadType
from tests.exchange.live import EXCHANGE, LiveHub
from tests.exchange.raw import signature

SENDER: Final = "ly/main"
TARGET: Final = "/v1/envelopes"


@dataclass(frozen=True)
class Call:
    """A request as it travels, whatever is wrong with it."""

    body: bytes
    method: str = "POST"
    target: str = TARGET
    headers: Mapping[str, str] = field(default_factory=dict)
    further: tuple[tuple[str, str], ...] = ()
    """Field lines whose names are there already."""


Make = Callable[[LiveHub], Envelope | bytes | Call]


@dataclass(frozen=True)
class Row:
    """One hostile submission: its name, the word of its problem, how it is made, and who calls."""

    name: str
    word: str
    make: Make
    caller: str = SENDER


def call_of(hub: LiveHub, row: Row) -> Call:
    """What a row sends; what is no call yet is signed as its caller would."""
    made = row.make(hub)
    if isinstance(made, Call):
        return made
    return signed(hub, made, caller=row.caller)


def signed(
    hub: LiveHub, body: Envelope | bytes, *, caller: str = SENDER, target: str = TARGET, **lies: Any
) -> Call:
    """A call with the right signature, but for what `raw.signature` is told to lie about."""
    data = body if isinstance(body, bytes) else dump_json(body)
    return Call(data, target=target, headers=signature(hub, caller, "POST", target, data, **lies))


def honest(hub: LiveHub, *recipients: str, sender: str = SENDER, **changes: Any) -> Envelope:
    """An envelope that would be accepted, but for `changes`."""
    return hub.seal(hub.outgoing(sender, **changes), *(recipients or ("tn/main",)))


def text(edit: Callable[[bytes], bytes], *recipients: str) -> Callable[[LiveHub], bytes]:
    """An honest envelope's JSON, edited as text."""
    return lambda hub: edit(dump_json(honest(hub, *recipients)))


def members(**changed: Any) -> Callable[[LiveHub], bytes]:
    """An honest envelope's JSON with members changed; None takes one away."""

    def make(hub: LiveHub) -> bytes:
        value = load_json(dump_json(honest(hub)), 10**7) | changed
        return dump_json({name: each for name, each in value.items() if each is not None})

    return make


def header(
    edit: Callable[[Any], Any], *recipients: str, **changes: Any
) -> Callable[[LiveHub], Envelope]:
    """An honest envelope whose header is edited as JSON and signed again by its sender."""

    def make(hub: LiveHub) -> Envelope:
        envelope = honest(hub, *recipients, **changes)
        value = load_json(envelope.payload, 10**7)
        return resigned(hub, envelope, dump_json(edit(value)))

    return make


def header_text(edit: Callable[[bytes], bytes]) -> Callable[[LiveHub], Envelope]:
    """An honest envelope whose header is edited as text and signed again by its sender."""

    def make(hub: LiveHub) -> Envelope:
        envelope = honest(hub)
        return resigned(hub, envelope, edit(envelope.payload))

    return make


def resigned(hub: LiveHub, envelope: Envelope, payload: bytes, desk: str = SENDER) -> Envelope:
    """The same sealed bytes under another header, signed by a desk."""
    again = sign_statement(PayloadType.ENVELOPE, payload, EXCHANGE, [hub.desks[desk].node])
    return envelope.model_copy(update={"payload": payload, "signatures": again.signatures})


def put(path: str, value: Any) -> Callable[[Any], Any]:
    """An edit of JSON: what stands at a path (`recipients.0.desk`) becomes another value."""

    def edit(whole: Any) -> Any:
        place = whole
        *steps, last = path.split(".")
        for step in steps:
            place = place[int(step)] if isinstance(place, list) else place[step]
        place[int(last) if isinstance(place, list) else last] = value
        return whole

    return edit


def without(name: str) -> Callable[[Any], Any]:
    """An edit of JSON: a member is not there."""
    return lambda whole: {other: value for other, value in whole.items() if other != name}


def flipped(data: bytes, at: int = 0) -> bytes:
    """One bit is another, in the byte at a position."""
    changed = bytearray(data)
    changed[at] ^= 1
    return bytes(changed)
