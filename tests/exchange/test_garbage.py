"""What the hub makes of garbage: bodies, parameters, paths and bytes that nobody honest would send."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.serving import HEAD_BYTES_MAX
from schemas.limits import ACKNOWLEDGEMENT_BYTES_MAX, ENVELOPE_BYTES_MAX, STATEMENT_BYTES_MAX
from schemas.loader import dump_json
from tests.exchange.live import LiveHub
from tests.exchange.raw import bare, http, rows, send, signature, word

INBOX = "/v1/desks/tn/main/inbox?limit=1"

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


@pytest.mark.parametrize(("target", "limit_bytes"), WRITES)
def test_an_oversized_body_is_refused(
    hub: LiveHub, client: httpx.Client, target: str, limit_bytes: int
) -> None:
    """Whether its size is declared or not, nothing of it is stored; at its limit a body is read."""
    before = rows(hub)
    body = b" " * (limit_bytes + 1)
    declared = send(client, hub, "tn/main", "POST", target, body)
    assert (declared.status_code, word(declared)) == (413, "too-large")
    headers = signature(hub, "tn/main", "POST", target, body)
    pieces = (body[at : at + 65536] for at in range(0, len(body), 65536))
    chunked = client.post(target, content=pieces, headers=headers)
    assert (chunked.status_code, word(chunked)) == (413, "too-large")
    at_limit = send(client, hub, "tn/main", "POST", target, body[:-1])
    assert (at_limit.status_code, word(at_limit)) == (400, "malformed-json")
    assert rows(hub) == before


def test_a_declared_size_is_believed_at_once(hub: LiveHub) -> None:
    """A stranger that announces a terabyte is answered before it sends any of it."""
    answer = bare(
        hub,
        b"POST /v1/envelopes HTTP/1.1\r\nHost: hub\r\nContent-Length: 1099511627776\r\n"
        b"Connection: close\r\n\r\n",
    )
    assert answer.startswith(b"HTTP/1.1 413 ")


def test_headers_have_an_end(hub: LiveHub) -> None:
    """A stranger that sends headers without end is cut off; the hub keeps none of them."""
    start = b"GET /v1/envelopes HTTP/1.1\r\nHost: hub\r\n"
    many = bare(hub, start, then=b"X-Filler: " + b"a" * 4000 + b"\r\n", times=200)
    one = bare(hub, start + b"X-Filler: ", then=b"a" * 4096, times=200)
    for answer in (many, one):
        assert answer == b"" or answer.startswith(b"HTTP/1.1 400 ")
    fitting = b"X-Filler: " + b"a" * (HEAD_BYTES_MAX // 2) + b"\r\nConnection: close\r\n\r\n"
    short = bare(hub, start + fitting)
    assert short.startswith(b"HTTP/1.1 405 ")


@pytest.mark.parametrize(
    ("method", "target", "expected"),
    [
        ("GET", "/", "not-found"),
        ("GET", "/v1", "not-found"),
        ("GET", "/v2/envelopes", "not-found"),
        ("GET", "//v1/envelopes", "not-found"),
        ("POST", "/v1/envelopes/", "not-found"),
        ("POST", "/v1/acknowledgements/", "not-found"),
        ("GET", "/v1/log/exchange/1/checkpoint/", "not-found"),
        ("GET", "/healthz", "not-found"),
        ("GET", "/docs", "not-found"),
        ("GET", "/v1/envelopes", "method-not-allowed"),
        ("PUT", "/v1/envelopes", "method-not-allowed"),
        ("DELETE", "/v1/desks/tn/main/inbox", "method-not-allowed"),
        ("PUT", "/v1/trust/metadata/1.root.json", "method-not-allowed"),
        ("POST", "/v1/log/exchange/1/checkpoint", "method-not-allowed"),
        ("OPTIONS", "/v1/acknowledgements", "method-not-allowed"),
        ("BREW", "/v1/acknowledgements", "method-not-allowed"),
    ],
)
def test_unknown_places_are_problem_documents(
    client: httpx.Client, method: str, target: str, expected: str
) -> None:
    """An unknown route or method is told as any other problem, and no spelling is redirected."""
    answer = client.request(method, target)
    if method == "BREW" and answer.headers["content-type"].startswith("text/plain"):
        assert answer.status_code == 400  # The HTTP parser knows no such method.
        return
    assert word(answer) == expected
    if expected == "method-not-allowed":
        assert answer.headers["allow"] in {"GET", "POST"}


BAD_PARAMETERS = (
    *(f"/v1/desks/tn/main/inbox?{query}" for query in (
        "limit=0", "limit=101", "limit=-1", "limit=x", "limit=", "limit=1e3", "limit=" + "9" * 5000,
        "wait=61", "wait=-1", "after=4-1", "after=0-", "after=0-12345678901234567", "after=x",
        "since=-1", "since=9007199254740992", "inline_bytes=-1", "inline_bytes=65537",
    )),
    *(f"/v1/log/exchange/openings?{query}" for query in (
        "", "start=0", "end=1", "start=1&end=1", "start=2&end=1", "start=0&end=257", "start=-1&end=1",
        "start=0&end=9007199254740992", "start=a&end=b",
    )),
    "/v1/log/other/openings?start=0&end=1",
    "/v1/log/other/1/checkpoint",
    "/v1/log/exchange/x/checkpoint",
)  # fmt: skip


@pytest.mark.parametrize("target", BAD_PARAMETERS, ids=lambda target: target[:70])
def test_bad_parameters(hub: LiveHub, client: httpx.Client, target: str) -> None:
    """A parameter out of its range is refused, and the refusal names it."""
    answer = send(client, hub, "tn/main", "GET", target)
    assert (answer.status_code, word(answer)) == (400, "bad-parameter")


STRANGE_PLACES = (
    "/v1/log/exchange/0/checkpoint",
    "/v1/log/exchange/2/checkpoint",
    "/v1/log/exchange/-1/checkpoint",
    "/v1/log/exchange/" + "9" * 30 + "/checkpoint",
    "/v1/log/exchange/2/tile/0/000",
    "/v1/log/directory/1/tile/0/000",
    "/v1/log/directory/1/tile/0/x001/000",
    "/v1/log/directory/1/tile/64/000",
    "/v1/log/directory/1/tile/0/000.p/0",
    "/v1/log/directory/1/tile/0/000.p/256",
    "/v1/log/directory/1/tile/0/000.p/999",
    "/v1/log/directory/1/tile/entries/000.p/250",
    "/v1/log/directory/1/tile/1/000.p/1",
    "/v1/log/directory/1/tile/",
    "/v1/log/directory/1/tile/0/../../checkpoint",
    "/v1/trust/",
    "/v1/trust/metadata/0.root.json",
    "/v1/trust/../hub.db",
    "/v1/trust/metadata/1.root.json/",
    "/v1/trust/" + "a" * 8000,
    "/v1/envelopes/ly/main/not-an-id/body",
    "/v1/envelopes/tn/main/not-an-id/status",
    "/v1/envelopes/ly/main/" + "0" * 4000 + "/body",
)


@pytest.mark.parametrize("target", STRANGE_PLACES, ids=lambda target: target[:60])
def test_strange_places(hub: LiveHub, target: str) -> None:
    """What is not there is not found, however it is spelt."""
    path, _, query = target.partition("?")
    headers = signature(hub, "tn/main", "GET", target)
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    # By hand, since a client would put the dots of a path in order.
    answer = bare(
        hub, f"GET {path} HTTP/1.1\r\nHost: hub\r\n{lines}Connection: close\r\n\r\n".encode()
    )
    assert query == ""
    assert answer.split(b" ", 2)[1] == b"404"
    assert b"application/problem+json" in answer


def test_an_unknown_desks_keys_are_none(hub: LiveHub, client: httpx.Client) -> None:
    """A desk that does not exist has announced nothing."""
    answer = send(client, hub, "tn/main", "GET", "/v1/desks/zz/nowhere/sealing-keys")
    assert answer.json() == {"statements": []}


GARBAGE = (
    b"", b" ", b"{", b"{}", b"[]", b"null", b"0", b'"x"', b"\xff\xfe\x00", b"\x00" * 64, b"[" * 10_000,
    b'{"payloadType":1}', b'{"payloadType":"application/vnd.barid.envelope.v1+json"}',
    b'{"a":1e400}', b'{"a":1,"a":2}', b'{"a":"\\ud800"}', b'{"a":' + b"9" * 5000 + b"}",
    b'{"payloadType":"application/vnd.barid.release.v1+json","payload":"e30=","signatures":[]}',
)  # fmt: skip


@pytest.mark.parametrize("target", [target for target, _ in WRITES])
def test_garbage_is_the_callers_fault(hub: LiveHub, client: httpx.Client, target: str) -> None:
    """A signed body of any kind is answered with what is wrong with it, and nothing is written."""
    before = rows(hub)
    for body in GARBAGE:
        answer = send(client, hub, "tn/main", "POST", target, body)
        assert answer.status_code in {400, 422}, body[:40]
        assert word(answer) in {"malformed-json", "schema-violation"}, body[:40]
    assert rows(hub) == before


_SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
    | st.sampled_from(["", "ly/main", "QQ==", "QR==", "é" * 9, "0" * 64, "2026-01-01T00:00:00Z"])
)  # fmt: skip
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    children = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for name, child in children:
        yield from _paths(child, (*path, name))


def _altered(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    copied = dict(value) if isinstance(value, dict) else list(value)
    copied[path[0]] = _altered(copied[path[0]], path[1:], new)
    return copied


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_no_alteration_breaks_the_hub(hub: LiveHub, client: httpx.Client, data: Any) -> None:
    """A statement or its payload with any member replaced by anything is refused as the caller's fault."""
    target, statement = data.draw(st.sampled_from(_statements(hub)))
    document = json.loads(dump_json(statement))
    if data.draw(st.booleans()):
        path = data.draw(st.sampled_from(list(_paths(document))))
        document = _altered(document, path, data.draw(_VALUES))
    else:
        payload = json.loads(statement.payload)
        path = data.draw(st.sampled_from(list(_paths(payload))))
        changed = statement.model_copy(
            update={"payload": _dumped(_altered(payload, path, data.draw(_VALUES)))}
        )
        document = json.loads(dump_json(changed))
    desk = "ly/main" if target == "/v1/envelopes" else "tn/main"
    answer = send(client, hub, desk, "POST", target, _dumped(document))
    # An alteration may be none, or touch what the hub looks at only when it is known already.
    assert answer.status_code < 500
    if answer.status_code >= 400:
        assert word(answer) != "internal"


def _dumped(value: Any) -> bytes:
    return json.dumps(value).encode()


def _statements(hub: LiveHub) -> list[tuple[str, Any]]:
    if "mutated" not in hub.__dict__:
        envelope = hub.seal(hub.outgoing("ly/main"), "tn/main")
        key = hub.sealing_statement("tn/main")
        hub.__dict__["mutated"] = [
            ("/v1/envelopes", envelope),
            ("/v1/desks/tn/main/sealing-keys", key),
        ]
    found: list[tuple[str, Any]] = hub.__dict__["mutated"]
    return found


@pytest.mark.parametrize(
    "data",
    [
        b"\x00\x01\x02\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /v1/\xff\xfe HTTP/1.1\r\nHost: hub\r\n\r\n",
        b"GET * HTTP/1.1\r\nHost: hub\r\nConnection: close\r\n\r\n",
        b"CONNECT hub:443 HTTP/1.1\r\nHost: hub\r\n\r\n",
        b"POST /v1/envelopes HTTP/1.1\r\nHost: hub\r\nContent-Length: 99999999999999999999999\r\n\r\n",
        b"POST /v1/envelopes HTTP/1.1\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /v1/envelopes HTTP/1.1\r\nHost: hub\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"GET /v1/envelopes HTTP/1.1\r\nSignature-Input: \xff\xff\r\nConnection: close\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)
def test_what_is_not_http(hub: LiveHub, client: httpx.Client, data: bytes) -> None:
    """Bytes that are no request get no 5xx, and the hub answers the next caller."""
    answer = bare(hub, data)
    assert answer == b"" or answer.split(b" ", 2)[1].startswith(b"4")
    assert send(client, hub, "tn/main", "GET", INBOX).status_code == 200
