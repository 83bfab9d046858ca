"""Signed requests: RFC 9421 signatures and RFC 9530 digests in the protocol's exact form.

May import `schemas`, `keys.signing` and `http-message-signatures`; the client signs, the hub verifies
and keeps the nonces. The library takes fewer components, no nonce and small-order keys: the form is
checked here to the letter before the library builds the signature base, and libsodium verifies.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from http_message_signatures import (
    ContentDigest,
    HTTPMessageSignaturesException,
    HTTPMessageSigner,
    HTTPMessageVerifier,
    HTTPSignatureAlgorithm,
    HTTPSignatureKeyResolver,
    PreparedSignature,
)

from keys.signing import RequestSigningKey, verify_request_signature
from schemas.errors import ParseError, Problem
from schemas.limits import REQUEST_LIFE_SECONDS_MAX, REQUEST_SKEW_SECONDS_MAX

LABEL: Final = "barid"
TAG: Final = "barid-v1"
NONCE_BYTES: Final = 16

_INPUT: Final = re.compile(r"barid=\(([^()]*)\)(.*)", re.ASCII)
_FORMS: Final = {
    "created": "([1-9][0-9]{0,14})",
    "expires": "([1-9][0-9]{0,14})",
    "nonce": '"([0-9a-f]{32})"',
    "keyid": '"([0-9a-f]{64})"',
    "tag": f'"({TAG})"',
}
"""The parameters in their order, each with the form of its value."""
_PARAMETERS: Final = re.compile(
    "".join(f";{name}={form}" for name, form in _FORMS.items()), re.ASCII
)
_SIGNATURE: Final = re.compile(r"barid=:[A-Za-z0-9+/]{85}[AQgw]==:", re.ASCII)
"""64 bytes in canonical base64: the last character holds two bits."""
_PATH: Final = re.compile(r"/[!\"$->@-~]*", re.ASCII)
_QUERY: Final = re.compile(r"[!\"$-~]*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Request:
    """What is signed of a request, alike on both sides."""

    method: str
    """Upper case."""
    authority: str
    """The hub's name in council.json, wherever the bytes go and whatever `Host` says."""
    path: str
    """In the exact spelling that travels, `%2F` and all."""
    query: str = ""
    """What follows the first `?`, without it; empty where there is none."""
    headers: tuple[tuple[str, str], ...] = ()
    """Every field line, as name and value."""
    body: bytes = field(default=b"", repr=False)
    """The exact bytes; none means that there is no body, or that it follows."""
    body_follows: bool = False
    """Whether a body is still to be read: its digest is signed, and `check_digest` compares it."""

    def values_of(self, name: str) -> list[str]:
        """The values of one field (its name in lower case), a line each."""
        return [value for line, value in self.headers if line.lower() == name]

    @property
    def components(self) -> tuple[str, ...]:
        """What must be signed, in its order."""
        digest = ("content-digest",) if self.body or self.body_follows else ()
        offset = ("upload-offset",) if self.values_of("upload-offset") else ()
        return ("@method", "@authority", "@path", "@query", *digest, *offset)


@dataclass(frozen=True, slots=True)
class VerifiedRequest:
    """Who signed a request, and until when its nonce must not be taken again."""

    keyid: str
    nonce: str
    created: int
    """Seconds since 1970."""
    expires: int
    """Seconds since 1970."""


def sign_request(
    request: Request,
    key: RequestSigningKey,
    exchange: str,
    now_unix: int,
    nonce: str | None = None,
) -> dict[str, str]:
    """Sign a request to the hub (the protocol's Hub API).

    Args:
        request: as it will be sent.
        key: the desk's request key.
        exchange: the exchange's name.
        now_unix: seconds since 1970.
        nonce: 32 characters of hex; drawn fresh by default.

    Returns:
        The headers to add: `Signature-Input`, `Signature`, and `Content-Digest` with a body.

    Raises:
        ParseError: the method is not upper case, or path and query are not encoded.
    """
    parameters: dict[str, int | str] = {
        "created": now_unix,
        "expires": now_unix + REQUEST_LIFE_SECONDS_MAX,
        "nonce": nonce if nonce is not None else secrets.token_hex(NONCE_BYTES),
        "keyid": key.keyid(exchange),
        "tag": TAG,
    }
    digest = {"Content-Digest": ContentDigest.create(request.body)} if request.body else {}
    fields = {**dict(request.headers), **digest}
    try:
        message = _Message(request.method, _url(request), fields)
        _Signer(signature_algorithm=_Ed25519).sign_exactly(
            message, request.components, parameters, key
        )
    except HTTPMessageSignaturesException as error:
        raise ParseError(f"the request cannot be signed: {error}") from error
    return {**digest, **{name: fields[name] for name in ("Signature-Input", "Signature")}}


def verify_request(
    request: Request, resolve: Callable[[str], bytes | None], now_unix: int
) -> VerifiedRequest:
    """Verify who signed a request (the protocol's Hub API).

    1. One signature, labelled `barid`.
    2. Exactly the agreed components, then exactly the agreed parameters, in their order.
    3. Its times are around now.
    4. The keyid is a desk's request key, and the signature verifies with it.
    5. The body is the one that was signed, unless it follows.

    Args:
        request: as received.
        resolve: gives the raw key (32 bytes) of a keyid in the directory in force, or None.
        now_unix: seconds since 1970.

    Returns:
        The request's signer; that its nonce is fresh is for the caller to check, in the database.

    Raises:
        Problem: `signature-missing` (1), `signature-components` or `signature-parameters` (1, 2),
            `signature-expired` (3), `unknown-key`, `signature-invalid` (4), `content-digest` (2, 5).
    """
    verified = _read_signature(request)
    if verified.created > now_unix + REQUEST_SKEW_SECONDS_MAX or verified.expires < now_unix:
        raise Problem("signature-expired")
    public = resolve(verified.keyid)
    if public is None:
        raise Problem("unknown-key")
    try:
        message = _Message(request.method, _url(request), _Lines(request.headers))
        _Verifier(signature_algorithm=_Ed25519, key_resolver=_OneKey(public)).verify(
            message, max_age=None, expect_tag=TAG, expect_label=LABEL
        )
    except (HTTPMessageSignaturesException, ParseError) as error:
        raise Problem("signature-invalid") from error
    if not request.body_follows:
        check_digest(request.values_of("content-digest"), request.body)
    return verified


def check_digest(given: Sequence[str], body: bytes) -> None:
    """Check that a body is the one that was signed.

    Args:
        given: the values of `Content-Digest`.
        body: all of it.

    Raises:
        Problem: `content-digest`.
    """
    expected = [ContentDigest.create(body)] if body else []
    if list(given) != expected:
        raise Problem("content-digest")


def _read_signature(request: Request) -> VerifiedRequest:
    """Steps 1 and 2: the form, to the letter."""
    inputs, signatures = request.values_of("signature-input"), request.values_of("signature")
    if not inputs or not signatures:
        raise Problem("signature-missing")
    # Of two lines, or two labels in one, two readers might choose differently.
    if len(inputs) > 1 or len(signatures) > 1:
        raise Problem("signature-parameters", "a request carries one signature")
    if not (inputs[0].startswith(f"{LABEL}=") and signatures[0].startswith(f"{LABEL}=")):
        raise Problem("signature-missing", f"the signature is not labelled {LABEL}")
    matched = _INPUT.fullmatch(inputs[0])
    if matched is None:
        raise Problem("signature-parameters", "Signature-Input is not in its exact form")
    if matched[1] != " ".join(f'"{name}"' for name in request.components):
        raise Problem("signature-components", f"to sign: {', '.join(request.components)}")
    has_body = bool(request.body) or request.body_follows
    if has_body and not request.values_of("content-digest"):
        raise Problem("content-digest", "the request has a body, and no Content-Digest")
    parameters = _PARAMETERS.fullmatch(matched[2])
    if parameters is None:
        raise Problem("signature-parameters", _parameters_fault(matched[2]))
    created, expires = int(parameters[1]), int(parameters[2])
    if not created < expires <= created + REQUEST_LIFE_SECONDS_MAX:
        raise Problem(
            "signature-parameters", f"a signature lives 1 to {REQUEST_LIFE_SECONDS_MAX} seconds"
        )
    if _SIGNATURE.fullmatch(signatures[0]) is None:
        raise Problem("signature-invalid", "Signature is not 64 bytes in its exact form")
    return VerifiedRequest(parameters[4], parameters[3], created, expires)


def _parameters_fault(text: str) -> str:
    """Say which parameter is wrong; the names shown are ours, never what was sent."""
    given = [part.partition("=") for part in text.split(";")[1:]]
    names = [name for name, _, _ in given]
    for name in _FORMS:
        if name not in names:
            return f"the parameter {name} is missing"
    if names != list(_FORMS):
        return f"the parameters are not exactly {', '.join(_FORMS)}, in this order"
    for name, _, value in given:
        if re.fullmatch(_FORMS[name], value, re.ASCII) is None:
            return f"the parameter {name} is not in its form"
    return "Signature-Input is not in its exact form"


def _url(request: Request) -> str:
    # Else a `?` or `#` within the path, or an `@` before it, would move the parts of the URL.
    if not (_PATH.fullmatch(request.path) and _QUERY.fullmatch(request.query)):
        raise ParseError("a path begins with `/`; path and query are percent-encoded")
    return f"https://{request.authority}{request.path}?{request.query}"


class _Ed25519(HTTPSignatureAlgorithm):
    """Verification by libsodium; signing goes through `RequestSigningKey`."""

    algorithm_id = "ed25519"

    def __init__(self, public_key: bytes) -> None:
        self._public = public_key

    def verify(self, signature: bytes, message: bytes) -> None:
        verify_request_signature(self._public, message, signature)


class _OneKey(HTTPSignatureKeyResolver):
    """The key that was looked up already."""

    def __init__(self, public: bytes) -> None:
        self._public = public

    def resolve_public_key(self, key_id: str) -> bytes:  # noqa: ARG002 - the library's interface
        return self._public


@dataclass(frozen=True, slots=True)
class _Lines:
    """The field lines received, as the library reads them."""

    lines: tuple[tuple[str, str], ...]

    def items(self) -> tuple[tuple[str, str], ...]:
        return self.lines


@dataclass(frozen=True, slots=True)
class _Message:
    """A request, as the library reads and signs it."""

    method: str
    url: str
    headers: dict[str, str] | _Lines


class _Signer(HTTPMessageSigner):
    """The library's signer puts the parameters in an order of its own; ours is fixed."""

    def sign_exactly(
        self,
        message: _Message,
        components: tuple[str, ...],
        parameters: Mapping[str, int | str],
        key: RequestSigningKey,
    ) -> None:
        """Add the signature's two fields to the request's headers."""
        nodes = self._parse_covered_component_ids(components)  # type: ignore[no-untyped-call]
        base, input_, _ = self._build_signature_base(
            message,
            covered_component_ids=nodes,
            signature_params=dict(parameters),
        )
        prepared = PreparedSignature(base.encode(), str(input_), LABEL, _Ed25519.algorithm_id)
        self.apply(message, prepared, key.sign(prepared.signature_base))


class _Verifier(HTTPMessageVerifier):
    """The library's verifier reads the machine's clock; the times were checked against ours."""

    def validate_created_and_expires(self, sig_input: Any, max_age: Any = None) -> None:
        """Nothing is left to check."""
