"""One desk's signed requests, honest and forged, for the tests of `keys.requests`."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any

import pytest

from keys.requests import Request, VerifiedRequest, sign_request, verify_request
from keys.signing import RequestSigningKey
from schemas.errors import Problem

EXCHANGE = "barid-test"
NOW = 1_795_557_600
NONCE = "0123456789abcdef" * 2
KEY = RequestSigningKey.from_seed(bytes(range(32)))
KEYID = KEY.keyid(EXCHANGE)
PLAIN = Request("GET", "hub.example", "/v1/desks/tn/main/inbox", "limit=10&after=a%2Fb")
POST = Request("POST", "hub.example", "/v1/envelopes", body=b'{"payload":"QQ=="}')
COMPONENTS = ["@method", "@authority", "@path", "@query"]
PARAMETERS = f';created={NOW};expires={NOW + 60};nonce="{NONCE}";keyid="{KEYID}";tag="barid-v1"'


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
