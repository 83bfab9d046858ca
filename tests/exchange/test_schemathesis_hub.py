"""Schemathesis over the hub's OpenAPI document: whatever a desk sends, the hub has an answer."""

from __future__ import annotations

import pytest
import requests
from requests.auth import AuthBase

from keys.requests import Request, sign_request
from tests.exchange.acting import envelope_id, submit
from tests.exchange.crawling import Target, operations
from tests.exchange.live import EXCHANGE, LiveHub, run

LEFT_OUT = {"GET /v1/desks/{member}/{unit}/events": "a stream that does not end"}
OPERATIONS = operations("hub.json", LEFT_OUT)


class Signed(AuthBase):
    """Signs each request as a desk (RFC 9421), just before it leaves."""

    def __init__(self, hub: LiveHub, desk: str) -> None:
        self._hub = hub
        self._desk = desk

    def __call__(self, prepared: requests.PreparedRequest) -> requests.PreparedRequest:
        """Replace whatever was made up in the place of a signature."""
        body = prepared.body or b""
        if not isinstance(body, bytes):
            body = str(body).encode()
        path, _, query = prepared.path_url.partition("?")
        for name in ("Signature", "Signature-Input", "Content-Digest"):
            prepared.headers.pop(name, None)
        request = Request(
            prepared.method or "",
            self._hub.invitation.hub.authority,
            path,
            query,
            tuple((n, str(v)) for n, v in prepared.headers.items() if n == "Upload-Offset"),
            body,
        )
        key = self._hub.desks[self._desk].request
        prepared.headers.update(sign_request(request, key, EXCHANGE, self._hub.now_unix()))
        return prepared


@pytest.fixture(scope="module")
def sent(hub: LiveHub) -> str:
    """The id of an envelope that the calling desk has sent."""
    envelope = hub.seal(hub.outgoing("tn/main"), "ly/main")
    run(submit(hub, envelope))
    return envelope_id(envelope)


@pytest.mark.parametrize("label", sorted(OPERATIONS))
def test_the_hub_answers_whatever_is_called(hub: LiveHub, sent: str, label: str) -> None:
    """No 500, every refusal a problem document, every answer as the document says."""
    target = Target(
        url=hub.url,
        certificate=hub.data / "tls.crt",
        auth=Signed(hub, "tn/main"),
        own={"member": "tn", "unit": "main", "generation": "1", "envelope_id": sent},
        # A long poll is tested where it is at home.
        query={"wait": 0},
    )
    target.crawl(OPERATIONS[label])
