"""Signed requests: the exact form, and a word for every way to miss it."""

from __future__ import annotations

import base64
from dataclasses import replace

import pytest

from schemas.errors import Problem
from tests.unit.keys.signed_requests import (
    COMPONENTS,
    KEY,
    KEYID,
    NONCE,
    NOW,
    PARAMETERS,
    PLAIN,
    POST,
    base_of,
    field,
    forged,
    problem,
    signed,
    verify,
    with_fields,
)


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
    ("parameters", "detail"),
    [
        (PARAMETERS.replace(f';nonce="{NONCE}"', ""), "the parameter nonce is missing"),
        (PARAMETERS + ';alg="ed25519"', "not exactly created, expires, nonce, keyid, tag"),
        (PARAMETERS.replace(NONCE, NONCE.upper()), "the parameter nonce is not in its form"),
        (PARAMETERS.replace("barid-v1", "barid-v2"), "the parameter tag is not in its form"),
        (PARAMETERS.replace(f"={NOW};", f"=0{NOW};"), "the parameter created is not in its form"),
    ],
)
def test_the_wrong_parameter_is_named(parameters: str, detail: str) -> None:
    """Who implements this learns what to change."""
    with pytest.raises(Problem, match=detail):
        verify(forged(PLAIN, COMPONENTS, parameters))


def test_the_components_to_sign_are_listed() -> None:
    """Those of this very request, with its body."""
    with pytest.raises(
        Problem, match="to sign: @method, @authority, @path, @query, content-digest"
    ):
        verify(forged(POST, COMPONENTS, PARAMETERS))


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
