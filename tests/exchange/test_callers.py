"""Who may call the hub, and how: strangers, replays, lies about time and place, and garbage."""

from __future__ import annotations

import logging
import secrets
import socket
import ssl
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from broker.hub import routes
from keys.signing import RequestSigningKey, request_keyid
from schemas.limits import ACKNOWLEDGEMENT_BYTES_MAX, ENVELOPE_BYTES_MAX, STATEMENT_BYTES_MAX
from schemas.loader import dump_json
from schemas.scalars import format_time
from tests.exchange.live import EXCHANGE, DeskKeys, LiveHub, live_hub, now, run
from tests.exchange.raw import http, problem, rows, send, signature, word

INBOX = "/v1/desks/tn/main/inbox?limit=1"
SECRET = "the words of a bulletin"

NOBODYS_ID = "01a21019-b3ed-709a-b078-d54b066e9a55"
"""An envelope id that was never used; fixed, since it names a test case."""

READS = (
    INBOX,
    "/v1/desks/tn/main/sealing-keys",
    "/v1/log/directory/1/checkpoint",
    "/v1/log/exchange/1/checkpoint",
    "/v1/log/directory/1/tile/0/000.p/1",
    "/v1/log/directory/1/tile/entries/000.p/1",
    "/v1/log/directory/openings?start=0&end=1",
    "/v1/log/exchange/openings?start=0&end=1",
    "/v1/trust/metadata/1.root.json",
    f"/v1/envelopes/ly/main/{NOBODYS_ID}/body",
    f"/v1/envelopes/ly/main/{NOBODYS_ID}/status",
)
WRITES = (
    ("/v1/envelopes", ENVELOPE_BYTES_MAX),
    ("/v1/acknowledgements", ACKNOWLEDGEMENT_BYTES_MAX),
    ("/v1/desks/tn/main/sealing-keys", STATEMENT_BYTES_MAX),
)


@pytest.fixture(scope="module")
def client(hub: LiveHub) -> Iterator[httpx.Client]:
    """One connection for all requests."""
    with http(hub) as opened:
        yield opened


def _refused(answer: httpx.Response, expected: str) -> None:
    """A 401 with this word, and the hub's time."""
    assert (answer.status_code, word(answer)) == (401, expected)
    assert problem(answer)["hub_time"].endswith("Z")


@pytest.mark.parametrize("target", READS)
def test_a_stranger_reads_nothing(hub: LiveHub, client: httpx.Client, target: str) -> None:
    """Without a signature, and with one of a key that no desk has, every resource is closed."""
    _refused(client.get(target), "signature-missing")
    stranger = DeskKeys("tn/main", request=RequestSigningKey.generate())
    known, hub.desks["tn/main"] = hub.desks["tn/main"], stranger
    try:
        _refused(send(client, hub, "tn/main", "GET", target), "unknown-key")
    finally:
        hub.desks["tn/main"] = known


@pytest.mark.parametrize("target", [target for target, _ in WRITES])
def test_a_stranger_writes_nothing(hub: LiveHub, client: httpx.Client, target: str) -> None:
    """An unsigned submission is refused and leaves nothing."""
    before = rows(hub)
    _refused(client.post(target, content=b"{}"), "signature-missing")
    assert rows(hub) == before


def test_the_hub_tells_its_time(hub: LiveHub, client: httpx.Client) -> None:
    """What a 401 says of the time is the hub's clock, to the second."""
    told = problem(client.get(INBOX))["hub_time"]
    assert told in {format_time(now() - timedelta(seconds=back)) for back in (0, 1, 2)}


def test_a_nonce_is_taken_once(hub: LiveHub, client: httpx.Client) -> None:
    """The same signed request again is a replay."""
    headers = signature(hub, "tn/main", "GET", INBOX)
    assert client.get(INBOX, headers=headers).status_code == 200
    _refused(client.get(INBOX, headers=headers), "nonce-replayed")


def test_a_stranger_burns_no_nonce(hub: LiveHub, client: httpx.Client) -> None:
    """A nonce under a signature that does not verify stays free for its owner."""
    nonce = secrets.token_hex(16)
    wrong = send(client, hub, "tn/main", "GET", INBOX, nonce=nonce, authority="other.test")
    _refused(wrong, "signature-invalid")
    assert send(client, hub, "tn/main", "GET", INBOX, nonce=nonce).status_code == 200


def test_a_nonce_outlives_a_restart(tmp_path: Path) -> None:
    """A submission that was captured cannot be replayed to the restarted hub."""
    with live_hub(tmp_path / "hub") as hub:
        run(hub.announce("tn/main"))
        body = dump_json(hub.seal(hub.outgoing("ly/main"), "tn/main"))
        headers = signature(hub, "ly/main", "POST", "/v1/envelopes", body)
        with http(hub) as before:
            assert before.post("/v1/envelopes", content=body, headers=headers).status_code == 201
        hub.stop()
        hub.start()
        with http(hub) as after:
            replayed = after.post("/v1/envelopes", content=body, headers=headers)
            _refused(replayed, "nonce-replayed")
            assert send(after, hub, "ly/main", "POST", "/v1/envelopes", body).status_code == 201


def test_another_desks_inbox(hub: LiveHub, client: httpx.Client) -> None:
    """A member reads its own inbox and no other, whether the other exists or not."""
    for desk in ("ne/main", "tn/judicial", "zz/nowhere"):
        answer = send(client, hub, "tn/main", "GET", f"/v1/desks/{desk}/inbox?limit=1")
        assert (answer.status_code, word(answer)) == (403, "not-your-desk")


def test_a_member_announces_no_key_for_another(hub: LiveHub, client: httpx.Client) -> None:
    """Neither under the other's address nor under its own."""
    body = dump_json(hub.sealing_statement("ne/main"))
    before = rows(hub)
    for target in ("/v1/desks/ne/main/sealing-keys", "/v1/desks/tn/main/sealing-keys"):
        answer = send(client, hub, "tn/main", "POST", target, body)
        assert (answer.status_code, word(answer)) == (403, "not-your-desk")
    assert rows(hub) == before


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        ({"authority": "other.test:8443"}, "signature-invalid"),
        ({"exchange": "tripoli-exercise"}, "unknown-key"),
        ({"now_unix": -61}, "signature-expired"),
        ({"now_unix": -3600}, "signature-expired"),
        ({"now_unix": 65}, "signature-expired"),
    ],
    ids=["authority", "exchange", "a minute late", "an hour late", "from the future"],
)
def test_a_lie_about_place_or_time(
    hub: LiveHub, client: httpx.Client, other: dict[str, Any], expected: str
) -> None:
    """A signature made for another hub, another exchange or another moment is refused."""
    if "now_unix" in other:
        other = {"now_unix": hub.now_unix() + other["now_unix"]}
    _refused(send(client, hub, "tn/main", "GET", INBOX, **other), expected)


def test_what_is_signed_is_what_is_asked(hub: LiveHub, client: httpx.Client) -> None:
    """The signature of one path, query or method opens no other."""
    headers = signature(hub, "tn/main", "GET", INBOX)
    _refused(client.get(INBOX.replace("limit=1", "limit=2"), headers=headers), "signature-invalid")
    _refused(
        client.get("/v1/desks/tn/judicial/inbox?limit=1", headers=headers), "signature-invalid"
    )
    headers = signature(hub, "tn/main", "POST", "/v1/desks/tn/main/sealing-keys")
    _refused(client.get("/v1/desks/tn/main/sealing-keys", headers=headers), "signature-invalid")


@pytest.mark.parametrize("target", [target for target, _ in WRITES])
def test_a_body_in_place_of_the_signed_one(hub: LiveHub, client: httpx.Client, target: str) -> None:
    """Another body than the digest says is refused; so is one that is not signed at all."""
    before = rows(hub)
    headers = signature(hub, "tn/main", "POST", target, b'{"a":1}')
    answer = client.post(target, content=b'{"a":2}', headers=headers)
    assert (answer.status_code, word(answer)) == (400, "content-digest")
    headers = signature(hub, "tn/main", "POST", target)
    _refused(client.post(target, content=b'{"a":2}', headers=headers), "signature-components")
    assert rows(hub) == before


@pytest.mark.parametrize(
    "target",
    [
        "/v1/desks/tn%2Fmain/inbox",
        "/v1/desks/tn/m%61in/inbox",
        "/v1/log/exchange/1/tile/0%2F000",
        "/v1/trust/metadata%2F1.root.json",
        "/v1/trust/%2e%2e/metadata/1.root.json",
        f"/v1/envelopes/ly%2Fmain/{NOBODYS_ID}/body",
        "/v1/log/%65xchange/1/checkpoint",
        "/v1/desks/tn/main%00/sealing-keys",
    ],
)
def test_an_encoded_path_is_not_found(hub: LiveHub, client: httpx.Client, target: str) -> None:
    """No path has a second spelling, even where it is signed as it travels."""
    answer = send(client, hub, "tn/main", "GET", target)
    assert (answer.status_code, word(answer)) == (404, "not-found")


def test_a_lapsed_member_is_no_caller(hub: LiveHub, client: httpx.Client) -> None:
    """Once a member's file has expired none of its desks is known, and the others go on."""
    hub.publish(hub.signed_member("td", 2, now() + timedelta(hours=1)))
    hub.ledger.catch_up()
    target = "/v1/desks/tn/main/sealing-keys"
    assert send(client, hub, "td/main", "GET", target).status_code == 200
    hub.clock_offset_seconds = 3700
    try:
        _refused(send(client, hub, "td/main", "GET", target), "unknown-key")
        _refused(send(client, hub, "td/judicial", "GET", target), "unknown-key")
        assert send(client, hub, "ml/main", "GET", target).status_code == 200
    finally:
        hub.clock_offset_seconds = 0


def test_a_revoked_request_key_is_unknown(hub: LiveHub, client: httpx.Client) -> None:
    """A member that revokes a desk's request key shuts out whoever has it, at once."""
    target = "/v1/desks/tn/main/sealing-keys"
    assert send(client, hub, "mr/judicial", "GET", target).status_code == 200
    revoked = request_keyid(EXCHANGE, hub.desks["mr/judicial"].request.public)
    hub.publish(hub.signed_member("mr", 2, now() + timedelta(days=300), (revoked,)))
    hub.ledger.catch_up()
    _refused(send(client, hub, "mr/judicial", "GET", target), "unknown-key")
    assert send(client, hub, "mr/main", "GET", target).status_code == 200


@pytest.mark.parametrize("highest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_only_tls_1_3_is_spoken(hub: LiveHub, highest: ssl.TLSVersion) -> None:
    """A client that speaks TLS 1.2 at most gets no connection, and the same client with 1.3 does."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=hub.invitation.hub.tls_trust)
    context.maximum_version = highest
    with socket.create_connection(("127.0.0.1", hub.port), timeout=5) as plain:
        if highest is ssl.TLSVersion.TLSv1_3:
            with context.wrap_socket(plain, server_hostname="127.0.0.1") as tls:
                assert tls.version() == "TLSv1.3"
            return
        with pytest.raises((ssl.SSLError, ConnectionError)):
            context.wrap_socket(plain, server_hostname="127.0.0.1")


def test_a_bug_says_nothing(
    hub: LiveHub,
    client: httpx.Client,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """An unforeseen failure is a problem document, and neither it nor the log quotes what failed."""

    def fail(*_arguments: object, **_more: object) -> None:
        raise RuntimeError(SECRET)

    monkeypatch.setattr(routes, "inbox_page", fail)
    with caplog.at_level(logging.DEBUG):
        answer = send(client, hub, "tn/main", "GET", INBOX)
    assert (answer.status_code, word(answer)) == (500, "internal")
    assert "RuntimeError" in caplog.text
    assert SECRET not in answer.text + caplog.text


def test_no_shared_cache_may_keep_an_answer(hub: LiveHub, client: httpx.Client) -> None:
    """What members read is for them: a cache in between must not hand it to others."""
    for target in READS:
        answer = send(client, hub, "tn/main", "GET", target)
        if answer.status_code == 200:
            kept = answer.headers["cache-control"]
            assert kept == "no-store" or kept.startswith("private"), target
