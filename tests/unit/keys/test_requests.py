"""Signed requests: the exact form, and a word for every way to miss it."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st

from keys.requests import Request, VerifiedRequest, sign_request, verify_request
from keys.signing import RequestSigningKey
from schemas.errors import BaridError, ParseError, Problem

EXCHANGE = "barid-test"
NOW = 1_795_557_600
NONCE = "0123456789abcdef" * 2
KEY = RequestSigningKey.from_seed(bytes(range(32)))
KEYID = KEY.keyid(EXCHANGE)
PLAIN = Request("GET", "hub.example", "/v1/desks/tn/main/inbox", "limit=10&after=a%2Fb")
POST = Request("POST", "hub.example", "/v1/envelopes", body=b'{"payload":"QQ=="}')


def with_fields(request: Request, **fields: str) -> Request:
    """The request with some fields put in place of those of that name."""
    names = {name.replace("_", "-") for name in fields}
    kept = [(name, value) for name, value in request.headers if name.lower() not in names]
    added = [(name.replace("_", "-"), value) for name, value in fields.items()]
    return replace(request, headers=(*kept, *added))


def signed(request: Request, **arguments: Any) -> Request:
    """The request as it arrives."""
    arguments = {"key": KEY, "exchange": EXCHANGE, "now_unix": NOW, "nonce": NONCE, **arguments}
    headers = sign_request(request, **arguments)
    return replace(request, headers=(*request.headers, *headers.items()))


def verify(request: Request, now_unix: int = NOW) -> VerifiedRequest:
    """Verify with the one key that the directory knows."""
    return verify_request(request, {KEYID: KEY.public}.get, now_unix)


def problem(request: Request, now_unix: int = NOW) -> str:
    """The word that is answered."""
    with pytest.raises(Problem) as caught:
        verify(request, now_unix)
    return caught.value.word


def field(request: Request, name: str) -> str:
    """The value of one field."""
    return request.values_of(name)[0]


def base_of(request: Request, components: list[str], parameters: str) -> bytes:
    """The signature base, written by hand (RFC 9421 section 2.5)."""
    values = {
        "@method": request.method,
        "@authority": request.authority,
        "@path": request.path,
        "@query": "?" + request.query,
        **{name.lower(): value for name, value in request.headers},
    }
    lines = [f'"{name}": {values[name]}' for name in components]
    names = " ".join(f'"{name}"' for name in components)
    lines.append(f'"@signature-params": ({names}){parameters}')
    return "\n".join(lines).encode()


def forged(request: Request, components: list[str], parameters: str) -> Request:
    """The request honestly signed by the desk's key in another form than the agreed one."""
    signature = base64.b64encode(KEY.sign(base_of(request, components, parameters))).decode()
    names = " ".join(f'"{name}"' for name in components)
    return with_fields(
        request,
        signature_input=f"barid=({names}){parameters}",
        signature=f"barid=:{signature}:",
    )


COMPONENTS = ["@method", "@authority", "@path", "@query"]
PARAMETERS = f';created={NOW};expires={NOW + 60};nonce="{NONCE}";keyid="{KEYID}";tag="barid-v1"'


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


def test_the_form_is_that_of_the_protocol() -> None:
    """Components and parameters stand in their order, and the base is RFC 9421's."""
    request = signed(replace(POST, headers=(("Upload-Offset", "0"),)))
    components = [*COMPONENTS, "content-digest", "upload-offset"]
    names = " ".join(f'"{name}"' for name in components)
    assert field(request, "signature-input") == f"barid=({names}){PARAMETERS}"
    signature = base64.b64encode(KEY.sign(base_of(request, components, PARAMETERS))).decode()
    assert field(request, "signature") == f"barid=:{signature}:"


def test_the_hand_written_form_verifies() -> None:
    """The forgeries below differ from this, which passes, in one thing each."""
    assert verify(forged(PLAIN, COMPONENTS, PARAMETERS)).nonce == NONCE


def test_each_request_draws_its_own_nonce() -> None:
    """Two requests have two nonces, and neither repeats a signature."""
    first, second = (verify(signed(PLAIN, nonce=None)) for _ in range(2))
    assert first.nonce != second.nonce


@pytest.mark.parametrize(
    ("components", "word"),
    [
        (COMPONENTS[:3], "signature-components"),
        (COMPONENTS[1:], "signature-components"),
        (["@method", "@path", "@authority", "@query"], "signature-components"),
        ([*COMPONENTS, "host"], "signature-components"),
        ([], "signature-components"),
        ([*COMPONENTS, "content-digest"], "signature-components"),
        ([*COMPONENTS, "upload-offset"], "signature-components"),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, list) else "",
)
def test_other_components_are_refused(components: list[str], word: str) -> None:
    """Fewer, more, and others of the agreed components, and another order, signed honestly."""
    request = replace(PLAIN, headers=(("host", "hub.example"),))
    digest = {"content-digest": "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:"}
    extra = {
        name: {**digest, "upload-offset": "0"}[name] for name in components[4:] if name != "host"
    }
    if "upload-offset" in extra:
        # Signed, but then not sent: the component must be there exactly when the field is.
        request = forged(replace(request, headers=tuple(extra.items())), components, PARAMETERS)
        request = replace(
            request, headers=tuple(p for p in request.headers if p[0] != "upload-offset")
        )
    else:
        request = forged(
            replace(request, headers=(*request.headers, *extra.items())), components, PARAMETERS
        )
    assert problem(request) == word


def test_a_body_must_be_covered() -> None:
    """A body without its digest among the components is refused."""
    assert problem(forged(POST, COMPONENTS, PARAMETERS)) == "signature-components"


def test_an_upload_offset_must_be_covered() -> None:
    """An upload offset that somebody added, or the sender did not sign, is refused."""
    added = with_fields(signed(PLAIN), Upload_Offset="0")
    assert problem(added) == "signature-components"


@pytest.mark.parametrize(
    "parameters",
    [
        PARAMETERS.replace(f';nonce="{NONCE}"', ""),
        PARAMETERS.replace(f";created={NOW}", ""),
        PARAMETERS.replace(f";expires={NOW + 60}", ""),
        PARAMETERS.replace(f';keyid="{KEYID}"', ""),
        PARAMETERS.replace(';tag="barid-v1"', ""),
        PARAMETERS.replace("barid-v1", "barid-v2"),
        PARAMETERS + ';alg="ed25519"',
        f';alg="ed25519"{PARAMETERS}',
        PARAMETERS + ";extra=1",
        PARAMETERS.replace(NONCE, NONCE[:-1]),
        PARAMETERS.replace(NONCE, NONCE.upper()),
        PARAMETERS.replace(KEYID, KEYID.upper()),
        f';expires={NOW + 60};created={NOW};nonce="{NONCE}";keyid="{KEYID}";tag="barid-v1"',
        f';created={NOW};keyid="{KEYID}";expires={NOW + 60};nonce="{NONCE}";tag="barid-v1"',
        PARAMETERS.replace(f"={NOW};", f"={NOW}.0;"),
        PARAMETERS.replace(f"={NOW};", f"=0{NOW};"),
        PARAMETERS.replace(f"={NOW};", f"=-{NOW};"),
        PARAMETERS.replace(";expires", "; expires"),
        PARAMETERS + f';nonce="{NONCE}"',
        PARAMETERS.replace(str(NOW + 60), str(NOW + 61)),
        PARAMETERS.replace(str(NOW + 60), str(NOW)),
        PARAMETERS.replace(str(NOW + 60), str(NOW - 1)),
        "",
    ],
)
def test_other_parameters_are_refused(parameters: str) -> None:
    """Missing, extra, other and reordered parameters, and a longer life, signed honestly."""
    assert problem(forged(PLAIN, COMPONENTS, parameters)) == "signature-parameters"


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


@pytest.mark.parametrize("name", ["signature", "signature-input"])
def test_an_unsigned_request_is_refused(name: str) -> None:
    """Without both fields a request is not signed."""
    request = signed(PLAIN)
    without = tuple(pair for pair in request.headers if pair[0].lower() != name)
    assert problem(replace(request, headers=without)) == "signature-missing"
    assert problem(PLAIN) == "signature-missing"


@pytest.mark.parametrize("name", ["signature", "signature-input"])
def test_another_label_is_no_signature_of_ours(name: str) -> None:
    """Only the label barid is looked at."""
    request = signed(PLAIN)
    other = field(request, name).replace("barid=", "sig1=", 1)
    relabelled = with_fields(request, **{name.replace("-", "_"): other})
    assert problem(relabelled) == "signature-missing"


@pytest.mark.parametrize("name", ["Signature", "signature-input"])
def test_a_second_field_line_is_refused(name: str) -> None:
    """Two lines of a signature field, also the same twice, are refused."""
    request = signed(PLAIN)
    twice = (*request.headers, (name, field(request, name.lower())))
    assert problem(replace(request, headers=twice)) == "signature-parameters"


def test_a_second_label_is_refused() -> None:
    """Two labels in one field, each valid, are refused: there is one caller."""
    request = signed(PLAIN)
    two_inputs = field(request, "signature-input") + f", sig2=(){PARAMETERS}"
    two_signatures = field(request, "signature") + ", sig2=:QQ==:"
    assert problem(with_fields(request, signature_input=two_inputs)) == "signature-parameters"
    assert problem(with_fields(request, signature=two_signatures)) == "signature-invalid"


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


@pytest.mark.parametrize(
    "value", ["barid=::", "barid=:QQ==:", "barid=QQ==", "barid", "barid=?1", "barid=:é:"]
)
def test_a_malformed_signature_is_refused(value: str) -> None:
    """Signature holds 64 bytes."""
    word = problem(with_fields(signed(PLAIN), signature=value))
    assert word == ("signature-missing" if value == "barid" else "signature-invalid")


def test_a_second_spelling_of_the_signature_is_refused() -> None:
    """Non-canonical base64 of the same 64 bytes is refused."""
    request = signed(PLAIN)
    value = field(request, "signature")
    spelled = value[:-4] + chr(ord(value[-4]) + 1) + value[-3:]
    assert base64.b64decode(spelled[7:-1]) == base64.b64decode(value[7:-1])
    assert problem(with_fields(request, signature=spelled)) == "signature-invalid"
    unpadded = value.replace("==", "")
    assert problem(with_fields(request, signature=unpadded)) == "signature-invalid"


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
    assert problem(replace(request, headers=without)) == "signature-invalid"


@pytest.mark.parametrize(
    "value",
    [
        "sha-512=:z4PhNX7vuL3xVChQ1m2AB9Yg5AULVxXcg/SpIdNs6c5H0NE8XYXysP+DGNKHfuwvY7kxvUdBeoGlODJ6+SfaPg==:",
        "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:",
        "sha-256",
        "",
    ],
    ids=["sha-512", "of nothing", "no value", "empty"],
)
def test_another_digest_signed_honestly_is_refused(value: str) -> None:
    """Only the SHA-256 of the body will do."""
    request = replace(POST, headers=(("content-digest", value),))
    request = forged(request, [*COMPONENTS, "content-digest"], PARAMETERS)
    assert problem(request) == "content-digest"


def test_two_digests_are_refused() -> None:
    """A second line of a signed field changes what is signed."""
    request = signed(POST)
    digest = field(request, "content-digest")
    twice = replace(request, headers=(*request.headers, ("content-digest", digest)))
    assert problem(twice) == "signature-invalid"
    joined = replace(POST, headers=(("content-digest", f"{digest}, {digest}"),))
    assert problem(forged(joined, [*COMPONENTS, "content-digest"], PARAMETERS)) == "content-digest"


def test_two_upload_offsets_are_refused() -> None:
    """Upload-Offset twice is not the one that was signed."""
    request = signed(replace(PLAIN, headers=(("Upload-Offset", "0"),)))
    twice = replace(request, headers=(*request.headers, ("upload-offset", "1")))
    assert problem(twice) == "signature-invalid"


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
