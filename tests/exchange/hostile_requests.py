"""Hostile requests around an honest envelope: who calls, what is signed, where it is sent, and how.

May import the crafting of hostile envelopes; `test_hostile_submissions` sends each.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import httpx

from keys.signing import RequestSigningKey, request_keyid
from schemas.limits import ENVELOPE_BYTES_MAX
from schemas.loader import dump_json
from tests.exchange.hostile_claims import EXERCISE, SMALL_ORDER
from tests.exchange.hostile_crafting import SENDER, TARGET, Call, Row, flipped, honest, signed
from tests.exchange.live import EXCHANGE, DeskKeys, LiveHub
from tests.exchange.raw import http

Edit = Callable[[str], str]


def _input(edit: Edit) -> Any:
    """The signature's parameters or components are others than those signed."""
    return _lines(**{"Signature-Input": edit})


def _lines(**edits: Edit | None) -> Any:
    """Header lines edited after the signature was made; None takes one away."""

    def make(hub: LiveHub) -> Call:
        call = signed(hub, honest(hub))
        headers = dict(call.headers)
        for name, edit in edits.items():
            value = headers.pop(name)
            if edit is not None:
                headers[name] = edit(value)
        return replace(call, headers=headers)

    return make


def _cut(pattern: str) -> Edit:
    """A part of the line is not there."""
    return lambda line: re.sub(pattern, "", line, count=1)


def _swap(pattern: str, by: str) -> Edit:
    """A part of the line is another."""
    return lambda line: re.sub(pattern, by, line, count=1)


def _lies(**lies: Any) -> Any:
    """Signed over what is not so."""

    def make(hub: LiveHub) -> Call:
        shift = lies.get("now_unix")
        told = lies if shift is None else lies | {"now_unix": hub.now_unix() + shift}
        return signed(hub, honest(hub), **told)

    return make


def _sent_to(target: str, method: str = "POST") -> Any:
    """Signed for one place, sent to another."""
    return lambda hub: replace(signed(hub, honest(hub)), target=target, method=method)


def _signed_for(target: str, caller: str = SENDER) -> Any:
    """Signed for another place than envelopes have, and sent there."""
    return lambda hub: signed(hub, honest(hub), caller=caller, target=target)


def _unsigned(hub: LiveHub) -> Call:
    return Call(dump_json(honest(hub)))


def _nonce_twice(hub: LiveHub) -> Call:
    call = signed(hub, honest(hub))
    with http(hub) as client:
        first = client.post(call.target, content=call.body, headers=dict(call.headers))
        assert first.status_code == httpx.codes.CREATED
    return call


def _other_body(hub: LiveHub) -> Call:
    return replace(signed(hub, honest(hub)), body=dump_json(honest(hub)))


def _one_blank_more(hub: LiveHub) -> Call:
    call = signed(hub, honest(hub))
    return replace(call, body=call.body + b" ")


def _compressed_by_name(hub: LiveHub) -> Call:
    """The digest is of what travels; the hub unpacks nothing."""
    call = signed(hub, gzip.compress(dump_json(honest(hub))))
    return replace(call, headers={**call.headers, "Content-Encoding": "gzip"})


def _bomb(hub: LiveHub) -> Call:
    call = signed(hub, gzip.compress(bytes(64 * 1024 * 1024)))
    return replace(call, headers={**call.headers, "Content-Encoding": "gzip"})


def _too_large(hub: LiveHub) -> Call:
    return signed(hub, dump_json(honest(hub)) + b" " * ENVELOPE_BYTES_MAX)


def _stranger(hub: LiveHub) -> Call:
    return _as(hub, RequestSigningKey.generate())


def _as(hub: LiveHub, key: RequestSigningKey) -> Call:
    envelope = honest(hub)
    known = hub.desks[SENDER]
    hub.desks[SENDER] = DeskKeys(SENDER, request=key, node=known.node)
    try:
        return signed(hub, envelope)
    finally:
        hub.desks[SENDER] = known


def _small_order(hub: LiveHub) -> Call:
    """Chad's judicial desk declared a key under which anybody could sign; zeros are the signature."""
    call = signed(hub, honest(hub, sender="td/judicial"), caller="td/judicial")
    keyid = request_keyid(EXCHANGE, SMALL_ORDER)
    zeros = "barid=:AQ" + "A" * 84 + "==:"
    return replace(
        call,
        headers={
            **call.headers,
            "Signature-Input": re.sub(
                'keyid="[0-9a-f]+"', f'keyid="{keyid}"', call.headers["Signature-Input"]
            ),
            "Signature": zeros,
        },
    )


def _again(name: str) -> Any:
    """A field line that is there twice."""

    def make(hub: LiveHub) -> Call:
        call = signed(hub, honest(hub))
        return replace(call, further=((name, call.headers[name]),))

    return make


def _flip_signature(line: str) -> str:
    data = flipped(line.encode(), len("barid=:") + 4)
    return data.decode()


def _as_niger(hub: LiveHub) -> Call:
    keyid = hub.desks["ne/main"].request.keyid(EXCHANGE)
    made: Call = _input(_swap('keyid="[0-9a-f]+"', f'keyid="{keyid}"'))(hub)
    return made


_METHOD: Final = '"@method"'
_FIRST_TWO: Final = '("@method") ("@authority")'
_TIMES: Final = "(;created=[0-9]+)(;expires=[0-9]+)"

REQUESTS: Final[tuple[Row, ...]] = (
    # Who calls.
    Row("not signed", "signature-missing", _unsigned),
    Row("the parameters alone", "signature-missing", _lines(Signature=None)),
    Row("under another label", "signature-missing", _input(_swap("^barid", "sig1"))),
    Row("a stranger's key", "unknown-key", _stranger),
    Row("a request keyid of another exchange", "unknown-key", _lies(exchange=EXERCISE)),
    Row("a small-order request key", "signature-invalid", _small_order),
    Row("another desk's keyid", "signature-invalid", _as_niger),
    # What is signed.
    Row("a bit of the signature", "signature-invalid", _lines(Signature=_flip_signature)),
    Row("a signature of zeros", "signature-invalid", _lines(Signature=_swap(":.*:", ":" + "A" * 86 + "==:"))),
    Row("a signature cut short", "signature-invalid", _lines(Signature=_swap(":.*:", ":AAAA:"))),
    Row("a signature in other base64", "signature-invalid", _lines(Signature=_swap(".==:$", "B==:"))),
    Row("for another hub", "signature-invalid", _lies(authority="other.test:8443")),
    Row("no method signed", "signature-components", _input(_cut('"@method" '))),
    Row("no authority signed", "signature-components", _input(_cut('"@authority" '))),
    Row("no path signed", "signature-components", _input(_cut('"@path" '))),
    Row("no query signed", "signature-components", _input(_cut('"@query" '))),
    Row("no digest signed", "signature-components", _input(_cut(' "content-digest"'))),
    Row("nothing signed", "signature-components", _input(_cut('"@method".*?"content-digest"'))),
    Row("components in another order", "signature-components", _input(_swap(_FIRST_TWO, r"\2 \1"))),
    Row("a component too many", "signature-components", _input(_swap(_METHOD, f'{_METHOD} "date"'))),
    Row("no nonce", "signature-parameters", _input(_cut(';nonce="[0-9a-f]+"'))),
    Row("a short nonce", "signature-parameters", _input(_swap('nonce="[0-9a-f]+"', 'nonce="00"'))),
    Row("no expiry", "signature-parameters", _input(_cut(";expires=[0-9]+"))),
    Row("a life of a year", "signature-parameters", _input(_swap("expires=[0-9]+", "expires=99999999999"))),
    Row("no tag", "signature-parameters", _input(_cut(';tag="barid-v1"'))),
    Row("an algorithm named", "signature-parameters", _input(lambda line: line + ';alg="none"')),
    Row("parameters in another order", "signature-parameters", _input(_swap(_TIMES, r"\2\1"))),
    Row("two lines of parameters", "signature-parameters", _again("Signature-Input")),
    Row("signed a minute ago", "signature-expired", _lies(now_unix=-61)),
    Row("signed in the future", "signature-expired", _lies(now_unix=70)),
    Row("sent again", "nonce-replayed", _nonce_twice),
    # What is sent.
    Row("another envelope under the digest", "content-digest", _other_body),
    Row("a blank more than digested", "content-digest", _one_blank_more),
    Row("no digest", "content-digest", _lines(**{"Content-Digest": None})),
    Row("two digests", "signature-invalid", _again("Content-Digest")),
    Row("over the limit", "too-large", _too_large),
    Row("compressed, and called so", "malformed-json", _compressed_by_name),
    Row("a compressed bomb", "malformed-json", _bomb),
    # Where.
    Row("a slash behind", "not-found", _sent_to(TARGET + "/")),
    Row("an encoded slash", "not-found", _sent_to("/v1%2Fenvelopes")),
    Row("an encoded letter", "not-found", _signed_for("/v1/%65nvelopes")),
    Row("two slashes", "not-found", _sent_to("//v1/envelopes")),
    Row("a query that was not signed", "signature-invalid", _sent_to(TARGET + "?force=true")),
    Row("another method", "method-not-allowed", _sent_to(TARGET, "PUT")),
    Row("an envelope for an answer", "schema-violation", _signed_for("/v1/acknowledgements")),
    Row("an envelope for a key", "schema-violation", _signed_for("/v1/desks/ly/main/sealing-keys")),
    Row("at another desk's address", "not-your-desk", _signed_for("/v1/desks/tn/main/sealing-keys")),
)  # fmt: skip
