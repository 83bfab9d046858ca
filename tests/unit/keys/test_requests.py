"""Signed requests: what the signature covers, whose it is, and for how long."""

from __future__ import annotations

import base64
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st

from keys.requests import Request, VerifiedRequest, sign_request, verify_request
from keys.signing import RequestSigningKey
from schemas.errors import BaridError, ParseError, Problem
from tests.unit.keys.signed_requests import (
    COMPONENTS,
    EXCHANGE,
    KEY,
    KEYID,
    NONCE,
    NOW,
    PARAMETERS,
    PLAIN,
    POST,
    base_of,
    field,
    problem,
    signed,
    verify,
    with_fields,
)


@pytest.mark.parametrize(
    "request_",
    [
        PLAIN,
        replace(PLAIN, query=""),
        replace(PLAIN, path="/"),
        POST,
        replace(POST, headers=(("Upload-Offset", "65536"), ("Content-Type", "a/b"))),
        replace(PLAIN, method="HEAD", headers=(("upload-offset", "0"),)),
        replace(PLAIN, authority="hub.example:8443"),
    ],
    ids=lambda request: f"{request.method} {request.path}?{request.query}",
)
def test_a_signed_request_verifies(request_: Request) -> None:
    """With and without query, body, upload offset and port."""
    expected = VerifiedRequest(KEYID, NONCE, NOW, NOW + 60)
    assert verify(signed(request_)) == expected


def test_each_request_draws_its_own_nonce() -> None:
    """Two requests have two nonces, and neither repeats a signature."""
    first, second = (verify(signed(PLAIN, nonce=None)) for _ in range(2))
    assert first.nonce != second.nonce


@pytest.mark.parametrize(
    ("now", "word"),
    [
        (NOW + 61, "signature-expired"),
        (NOW + 10**6, "signature-expired"),
        (NOW - 61, "signature-expired"),
    ],
)
def test_times_are_around_now(now: int, word: str) -> None:
    """An expired request and one from the future are refused; at the limits they pass."""
    assert problem(signed(PLAIN), now) == word
    assert verify(signed(PLAIN), NOW + 60).created == NOW
    assert verify(signed(PLAIN), NOW - 60).created == NOW


@pytest.mark.parametrize(
    "changes",
    [
        {"method": "DELETE"},
        {"method": "get"},
        {"authority": "hub.example.org"},
        {"authority": "hub.example:444"},
        {"path": "/v1/desks/tn/main/inbox/"},
        {"path": "/v1/desks/tn%2Fmain/inbox"},
        {"path": "/v1/desks/tn/%6Dain/inbox"},
        {"path": "/v1//desks/tn/main/inbox"},
        {"query": ""},
        {"query": "limit=10&after=a/b"},
        {"query": "after=a%2Fb&limit=10"},
        {"query": "limit=10&after=a%2fb"},
    ],
    ids=str,
)
def test_another_request_is_not_the_signed_one(changes: dict[str, str]) -> None:
    """Method, authority, and the raw spelling of path and query are signed."""
    assert problem(replace(signed(PLAIN), **changes)) == "signature-invalid"  # type: ignore[arg-type]


def test_an_escaped_slash_is_signed_as_it_travels() -> None:
    """`%2F` stays `%2F` on both sides, and is not a slash."""
    escaped = replace(PLAIN, path="/v1/attachments/a%2Fb")
    assert verify(signed(escaped)).keyid == KEYID
    assert problem(replace(signed(escaped), path="/v1/attachments/a/b")) == "signature-invalid"


@pytest.mark.parametrize(
    "path", ["", "v1", "@evil.example/", ":1@evil/", "/a?b", "/a#b", "/a b", "/é", "/a\n", "/a\\b"]
)
def test_a_path_cannot_move_the_parts_of_the_url(path: str) -> None:
    """What is no encoded path is refused on both sides."""
    with pytest.raises(ParseError):
        sign_request(replace(PLAIN, path=path), KEY, EXCHANGE, NOW)
    assert problem(replace(signed(PLAIN), path=path)) == "signature-invalid"


def test_a_fragment_in_the_query_is_refused() -> None:
    """The library would drop it from the signed query."""
    assert problem(replace(signed(PLAIN), query=PLAIN.query + "#x")) == "signature-invalid"


def test_a_lower_case_method_is_not_signed() -> None:
    """The method is upper case on both sides."""
    with pytest.raises(ParseError):
        sign_request(replace(PLAIN, method="get"), KEY, EXCHANGE, NOW)


def test_an_unknown_key_is_refused() -> None:
    """A key that no desk of the directory has, and this desk's key in another exchange."""
    stranger = RequestSigningKey.from_seed(bytes(32))
    assert problem(signed(PLAIN, key=stranger)) == "unknown-key"
    assert problem(signed(PLAIN, exchange="barid-exercise")) == "unknown-key"


def test_another_desks_signature_is_refused() -> None:
    """A signature under the keyid of another desk does not verify."""
    stranger = RequestSigningKey.from_seed(bytes(32))
    request = signed(PLAIN)
    other = base64.b64encode(stranger.sign(base_of(PLAIN, COMPONENTS, PARAMETERS))).decode()
    assert problem(with_fields(request, signature=f"barid=:{other}:")) == "signature-invalid"


def test_a_small_order_request_key_is_refused() -> None:
    """A desk whose key is the neutral point could be anyone: OpenSSL takes it, the hub does not."""
    point = b"\x01" + bytes(31)
    everybodys = point + bytes(32)
    Ed25519PublicKey.from_public_bytes(point).verify(
        everybodys, base_of(PLAIN, COMPONENTS, PARAMETERS)
    )
    text = base64.b64encode(everybodys).decode()
    request = with_fields(signed(PLAIN), signature=f"barid=:{text}:")
    with pytest.raises(Problem, match="signature-invalid"):
        verify_request(request, {KEYID: point}.get, NOW)


def test_a_request_key_of_another_size_is_refused() -> None:
    """A directory that holds no 32 bytes verifies nothing."""
    with pytest.raises(Problem, match="signature-invalid"):
        verify_request(signed(PLAIN), {KEYID: KEY.public + b"\x00"}.get, NOW)


def test_another_body_than_the_signed_one_is_refused() -> None:
    """The digest is of the exact bytes."""
    assert problem(replace(signed(POST), body=POST.body + b" ")) == "content-digest"


def test_a_digest_that_was_changed_with_its_body_is_refused() -> None:
    """The digest is signed: another body with its right digest does not verify."""
    other = signed(replace(POST, body=b"{}"))
    swapped = with_fields(signed(POST), content_digest=field(other, "content-digest"))
    assert problem(replace(swapped, body=b"{}")) == "signature-invalid"


def test_a_digest_without_a_body_is_refused() -> None:
    """A body that was cut away leaves its digest behind, signed or not."""
    assert problem(replace(signed(POST), body=b"")) == "signature-components"
    digest = field(signed(POST), "content-digest")
    assert problem(with_fields(signed(PLAIN), content_digest=digest)) == "content-digest"


def test_a_body_without_a_digest_is_refused() -> None:
    """A digest taken out of the fields cannot be covered."""
    request = signed(POST)
    without = tuple(pair for pair in request.headers if pair[0] != "Content-Digest")
    with pytest.raises(Problem, match="no Content-Digest") as caught:
        verify(replace(request, headers=without))
    assert caught.value.word == "content-digest"


def test_the_same_request_verifies_twice() -> None:
    """A replay has the same nonce, which is what the caller refuses it by."""
    request = signed(PLAIN)
    assert verify(request).nonce == verify(request).nonce == NONCE


_TEXT = st.text(st.characters(max_codepoint=255), max_size=120)


@settings(deadline=None, max_examples=100)
@given(
    path=_TEXT,
    query=_TEXT,
    method=_TEXT,
    signature_input=_TEXT | st.just(f"barid=(){PARAMETERS}"),
    signature=_TEXT | _TEXT.map(lambda text: f"barid=:{text}:"),
    digest=_TEXT,
)
def test_arbitrary_requests_raise_nothing_but_barids_errors(
    path: str, query: str, method: str, signature_input: str, signature: str, digest: str
) -> None:
    """Whatever a stranger sends, alone or around a good signature, a problem is answered."""
    good = signed(PLAIN)
    for request in (
        with_fields(good, signature_input=signature_input),
        with_fields(good, signature=signature),
        with_fields(good, content_digest=digest),
        replace(good, path=path),
        replace(good, method=method),
        replace(good, query=query + "!"),
    ):
        with pytest.raises(BaridError):
            verify(request)
