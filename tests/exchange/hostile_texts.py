"""Hostile submissions whose bytes are no envelope: broken JSON, bombs, broken schema.

May import the crafting of hostile envelopes; `test_hostile_submissions` sends each.
"""

from __future__ import annotations

import gzip
from typing import Any, Final

from schemas.limits import ENVELOPE_BYTES_MAX
from schemas.loader import dump_json
from tests.exchange.hostile_crafting import (
    Row,
    header,
    header_text,
    honest,
    members,
    put,
    text,
    without,
)
from tests.exchange.live import LiveHub, new_id

ONE_SLOT: Final = bytes(1168)

JSON: Final[tuple[Row, ...]] = tuple(
    Row(name, "malformed-json", make)
    for name, make in (
        ("nothing at all", lambda _h: b" "),
        ("not JSON", lambda _h: b"submit this"),
        ("truncated", text(lambda t: t[:-9])),
        ("truncated within a character", text(lambda t: t[:-1] + b',"\xc3')),
        ("trailing bytes", text(lambda t: t + b"x")),
        ("a second document behind", text(lambda t: t + t)),
        ("a trailing comma", text(lambda t: t[:-1] + b",}")),
        ("a comment", text(lambda t: b"/* honest */" + t)),
        ("name twice", text(lambda t: t[:-1] + b',"body":""}')),
        ("name twice, once escaped", text(lambda t: t[:-1] + b',"bod\\u0079":""}')),
        ("a desk's slot twice", text(lambda t: t.replace(b'"slots":{', b'"slots":{"tn/main":"",'))),
        ("byte order mark", text(lambda t: b"\xef\xbb\xbf" + t)),
        ("UTF-16", text(lambda t: t.decode().encode("utf-16"))),
        ("bad UTF-8", text(lambda t: t.replace(b"tn/main", b"tn/ma\xffn"))),
        ("overlong UTF-8", text(lambda t: t.replace(b"tn/main", b"tn\xc0\xafmain"))),
        ("a lone surrogate", text(lambda t: t.replace(b"tn/main", b"tn/\\ud800main"))),
        ("a raw control character", text(lambda t: t.replace(b"tn/main", b"tn/\x00main"))),
        ("NaN", text(lambda t: t[:-1] + b',"x":NaN}')),
        ("Infinity", text(lambda t: t[:-1] + b',"x":-Infinity}')),
        ("bomb of arrays", lambda _h: b"[" * (ENVELOPE_BYTES_MAX // 2)),
        ("bomb of closed arrays", lambda _h: b"[" * 100_000 + b"]" * 100_000),
        ("bomb of objects", lambda _h: b'{"slots":' * 100_000),
        ("a number without end", lambda _h: b'{"body":' + b"9" * 200_000 + b"}"),
        ("compressed, and not called so", text(gzip.compress)),
        ("the type of a release", members(payloadType="application/vnd.barid.release.v1+json")),
        ("the header is not JSON", header_text(lambda t: t[:-1])),
        ("the header has a name twice", header_text(lambda t: t[:-1] + b',"kind":"withdrawal"}')),
        ("the header has bytes behind", header_text(lambda t: t + b"\n\x00")),
        ("the header has bad UTF-8", header_text(lambda t: t.replace(b'"v"', b'"\xff"'))),
        ("the header is empty", header_text(lambda _t: b"")),
        ("the header is over its limit", header_text(lambda t: t[:-1] + b" " * 300_000 + b"}")),
    )
)
"""Not strict JSON."""


def _many_slots(hub: LiveHub) -> bytes:
    envelope = honest(hub)
    desks = {f"tn/u{number}": envelope.slots["tn/main"] for number in range(501)}
    return dump_json(envelope.model_copy(update={"slots": desks}))


def _many_names(hub: LiveHub) -> bytes:
    names = b",".join(b'"%x":1' % number for number in range(90_000))
    return dump_json(honest(hub))[:-1] + b"," + names + b"}"


def _two_signatures(hub: LiveHub) -> bytes:
    mine, other = honest(hub), honest(hub, sender="ne/main")
    return dump_json(mine.model_copy(update={"signatures": (*mine.signatures, *other.signatures)}))


def _signature_twice(hub: LiveHub) -> bytes:
    mine = honest(hub)
    return dump_json(mine.model_copy(update={"signatures": mine.signatures * 2}))


def _lone_ed25519(hub: LiveHub) -> bytes:
    mine = honest(hub)
    (both,) = mine.signatures
    lone = both.model_copy(update={"sig": both.sig[:64]})
    return dump_json(mine.model_copy(update={"signatures": (lone,)}))


def _slots(value: Any) -> Any:
    return members(slots=value)


ENVELOPE: Final[tuple[Row, ...]] = tuple(
    Row(name, "schema-violation", make)
    for name, make in (
        ("an array", lambda _h: b"[]"),
        ("null", lambda _h: b"null"),
        ("a number", lambda _h: b"1"),
        ("a float without end", lambda _h: b'{"body":1e999999999}'),
        ("65 levels", lambda _h: b'{"body":' + b"[" * 65 + b"]" * 65 + b"}"),
        ("an unknown member", members(note="please")),
        ("bomb of names", _many_names),
        ("no body", members(body=None)),
        ("no signature", members(signatures=[])),
        ("two signatures", _two_signatures),
        ("the signature twice", _signature_twice),
        ("Ed25519 alone", _lone_ed25519),
        ("slots in a list", _slots([])),
        ("no slot", _slots({})),
        ("501 slots", _many_slots),
        ("a slot too short", _slots({"tn/main": "AAAA"})),
        ("a slot for no desk", _slots({"../tn/main": "AAAA"})),
        ("a null slot", text(lambda t: t.replace(b'"slots":{', b'"slots":{"ne/main":null,'))),
        ("a body in a list", members(body=[])),
        ("base64 without padding", members(body="QQ")),
        ("base64 for addresses", members(body="-_8=")),
        ("base64 that is not canonical", members(body="QR==")),
        ("base64 with a blank", members(body="QQ ==")),
        ("base64 with a line's end", members(body="QQ==\n")),
        ("an unknown type", members(payloadType="text/plain")),
        ("the header is a list", header_text(lambda _t: b"[]")),
    )
)  # fmt: skip
"""JSON, but not an envelope."""


def _another_recipient(value: Any) -> Any:
    first = value["recipients"][0]
    value["recipients"].append(first | {"desk": "ne/main"})
    return value


def _recipient_twice(value: Any) -> Any:
    value["recipients"] *= 2
    return value


def _many_recipients(value: Any) -> Any:
    first = value["recipients"][0]
    value["recipients"] = [first | {"desk": f"tn/a{number:03}"} for number in range(501)]
    return value


def _attachments(count: int = 1, size: int = 1) -> list[dict[str, Any]]:
    return [{"id": new_id(), "sha256": "0" * 64, "size": size} for _ in range(count)]


_BOTH: Final = dict.fromkeys(("withdraws", "supersedes"), new_id())

HEADER: Final[tuple[Row, ...]] = tuple(
    Row(f"header: {name}", "schema-violation", header(edit))
    for name, edit in (
        ("an unknown member", put("priority", "high")),
        ("no purpose", without("purpose")),
        ("null for what is absent", put("withdraws", None)),
        ("a float", put("body.size", 4112.5)),
        ("a whole float", put("v", 1.0)),
        ("an integer beyond 2^53", put("body.size", 2**53)),
        ("a negative size", put("body.size", -1)),
        ("an integer in quotes", put("body.size", "4112")),
        ("true for one", put("v", True)),
        ("another version", put("v", 2)),
        ("yes for true", put("personal_data", "yes")),
        ("no topic", put("topics", [])),
        ("topics not sorted", put("topics", ["terrorism", "arms"])),
        ("a topic twice", put("topics", ["arms", "arms"])),
        ("an unknown word", put("precedence", "urgent")),
        ("a word in capitals", put("precedence", "FLASH")),
        ("recipients not sorted", _another_recipient),
        ("a recipient twice", _recipient_twice),
        ("nobody", put("recipients", [])),
        ("501 recipients", _many_recipients),
        ("a group's name", put("recipients.0.desk", "all")),
        ("a desk in capitals", put("recipients.0.desk", "TN/main")),
        ("a desk of another folder", put("recipients.0.desk", "tn/../main")),
        ("hex in capitals", put("recipients.0.slot_sha256", "A" * 64)),
        ("hex with a line's end", put("recipients.0.slot_sha256", "a" * 64 + "\n")),
        ("a random id", put("id", "9b2c1f0e-7f43-4b0e-9c1d-6a7b8c9d0e1f")),
        ("an id in capitals", put("id", "01A21019-B3ED-709A-B078-D54B066E9A55")),
        ("a time with another zone", put("created", "2026-11-25T02:00:00+01:00")),
        ("a time with fractions", put("created", "2026-11-25T02:00:00.5Z")),
        ("a day that does not exist", put("expires", "2027-02-30T00:00:00Z")),
        ("withdraws without its kind", put("withdraws", new_id())),
        ("its kind without withdraws", put("kind", "withdrawal")),
        ("withdraws and supersedes", lambda v: v | {"kind": "withdrawal"} | _BOTH),
        ("21 attachments", put("attachments", _attachments(21))),
        ("an attachment of nothing", put("attachments", _attachments(size=0))),
        ("an attachment over its limit", put("attachments", _attachments(size=2**30 + 1))),
    )
)  # fmt: skip
"""An envelope whose header breaks its schema, under its sender's signature."""

TEXTS: Final = (*JSON, *ENVELOPE, *HEADER)
