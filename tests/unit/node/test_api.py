"""The agency interface: who may call what, what a bad request is told, and that all of it is documented."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from pydantic import BaseModel

from broker.db import reading, writing
from broker.node import tables
from broker.node.api.examples import EXAMPLES, RECEIVED, THREAT_BULLETIN
from broker.node.api.tokens import Action, create_token, revoke_token
from broker.node.api.views import ReceivedView, SentView
from broker.node.app import wire
from broker.node.home import Home
from broker.node.inbox.fetching import Fetcher
from broker.node.pacing import Pace
from broker.node.sending import Sender
from schemas.acknowledgements import Result
from schemas.bulletin import parse_bulletin
from schemas.errors import PROBLEMS
from schemas.limits import BULLETIN_BYTES_MAX
from schemas.loader import dump_json, parse
from schemas.problems import MEDIA_TYPE, from_document
from schemas.receipts import Receipt
from tests.unit.node.world import NodeWorld, PaperClient, document, new_id

SENT = "/v1/desks/tn/main/bulletins"
INBOX = "/v1/desks/tn/main/inbox"
BULLETIN = new_id()

ROUTES = [
    ("POST", f"{SENT}?to=ly/main", "send"),
    ("POST", f"{SENT}/check?to=ly/main", "send"),
    ("GET", SENT, "send"),
    ("GET", f"{SENT}/{BULLETIN}", "send"),
    ("GET", INBOX, "read"),
    ("GET", f"{INBOX}/ly/main/{BULLETIN}", "read"),
    ("GET", "/v1/directory", None),
    ("GET", "/v1/status", None),
]


class Agency:
    """Calls the node of tn as an agency does, and lets its work with the hub run pass by pass."""

    def __init__(self, world: NodeWorld, home: Home) -> None:
        self.world = world
        self.home = home
        self.line, self.hub = world.line(home)
        self.app: FastAPI = wire(home, self.line, lambda: world.now, Pace())
        self.tokens = {
            "both": self.token("tn/main", Action.SEND, Action.READ),
            "send": self.token("tn/main", Action.SEND),
            "read": self.token("tn/main", Action.READ),
            "judicial": self.token("tn/judicial", Action.SEND, Action.READ),
        }

    def token(self, desk: str, *actions: Action) -> str:
        """A token's text."""
        with writing(self.home.engine) as connection:
            return create_token(connection, desk, actions, "test", self.world.now)[1]

    def call(
        self, method: str, url: str, who: str | None = "both", body: bytes | None = None
    ) -> httpx.Response:
        """One request."""
        text = self.tokens.get(who or "", who)
        headers = {} if text is None else {"Authorization": f"Bearer {text}"}

        async def request() -> httpx.Response:
            transport = httpx.ASGITransport(app=self.app)
            async with httpx.AsyncClient(transport=transport, base_url="https://node") as client:
                return await client.request(method, url, content=body, headers=headers)

        return asyncio.run(request())

    def exchange(self) -> PaperClient:
        """One pass of the outbox, the inbox and the answers of tn/main."""
        clock = lambda: self.world.now  # noqa: E731
        sender = Sender(self.home, self.line, "tn/main", clock)
        fetcher = Fetcher(self.home, self.line, "tn/main", clock)

        async def run() -> None:
            await sender.send()
            await sender.ask()
            await fetcher.fetch(0, lambda: None)
            await sender.answer()

        asyncio.run(run())
        return self.hub


@pytest.fixture
def agency(world: NodeWorld, tn: Home) -> Agency:
    """An agency of tn/main."""
    return Agency(world, tn)


def word(answer: httpx.Response) -> str:
    """The problem of an answer."""
    assert answer.headers["content-type"] == MEDIA_TYPE
    return from_document(answer.content).word


# Who may call.


@pytest.mark.parametrize("token", [None, "", "barid_wrong", "Basic"])
def test_without_a_token_nothing_is_answered(agency: Agency, token: str | None) -> None:
    """Every route, whatever the request says besides."""
    for method, url, _ in ROUTES:
        answer = agency.call(method, url, token, b"{" if method == "POST" else None)
        assert (answer.status_code, word(answer)) == (401, "token-missing"), url


def test_a_token_covers_its_desk_and_action_alone(agency: Agency) -> None:
    """Another desk's token, or one for the other action, is refused before the body is read."""
    for method, url, needed in ROUTES:
        others = () if needed is None else ("read" if needed == "send" else "send", "judicial")
        for token in others:
            answer = agency.call(method, url, token, b"{" if method == "POST" else None)
            assert (answer.status_code, word(answer)) == (403, "token-scope"), url


def test_a_revoked_token_is_refused_at_once(agency: Agency) -> None:
    """Without a restart."""
    assert agency.call("GET", "/v1/status", "send").status_code == 200
    with writing(agency.home.engine) as connection:
        for row in connection.execute(tables.token.select()).all():
            revoke_token(connection, row.token_id, agency.world.now)
    assert word(agency.call("GET", "/v1/status", "send")) == "token-missing"


# Sending.


def test_a_bulletin_is_taken_sent_and_answered(agency: Agency) -> None:
    """202 from the outbox; later its steps with times, policies, receipt and proof."""
    content = document("tn/main", BULLETIN)
    answer = agency.call("POST", f"{SENT}?to=ly/main&to=dz/main&precedence=flash", body=content)
    assert answer.status_code == 202
    assert answer.json() == {
        "id": BULLETIN,
        "desk": "tn/main",
        "recipients": [
            {"desk": "dz/main", "state": "queued"},
            {"desk": "ly/main", "state": "queued"},
        ],
    }
    again = agency.call("POST", f"{SENT}?to=ly/main&to=dz/main&precedence=flash", body=content)
    assert (again.status_code, again.json()) == (202, answer.json())
    agency.exchange()
    agency.world.log_answer(agency.world.answer("ly/main", 0, Result.DELIVERED))
    agency.world.later(minutes=2)
    agency.exchange()
    shown = agency.call("GET", f"{SENT}/{BULLETIN}")
    view = parse(SentView, shown.content, 10**7)
    assert {d.desk: d.state for d in view.recipients} == {
        "dz/main": "accepted",
        "ly/main": "delivered",
    }
    assert [step.state for step in view.recipients[1].steps] == ["queued", "accepted", "delivered"]
    assert view.recipients[1].steps[2].proof is not None
    assert isinstance(view.envelopes[0].receipt, Receipt)
    assert not view.witnessed


def test_own_bulletins_are_listed_newest_first_in_pages(agency: Agency) -> None:
    """Each once."""
    ids = [new_id() for _ in range(3)]
    for bulletin_id in ids:
        agency.call("POST", f"{SENT}?to=ly/main", body=document("tn/main", bulletin_id))
    seen: list[str] = []
    after = ""
    while True:
        page = agency.call("GET", f"{SENT}?limit=2{after}").json()
        seen += [bulletin["id"] for bulletin in page["bulletins"]]
        if "next" not in page:
            break
        after = f"&after={page['next']}"
    assert seen == ids[::-1]


def test_a_forbidden_recipient_is_named_with_the_rule(agency: Agency) -> None:
    """403 with desk and policies; nothing is queued."""
    marking = {
        "tlp": "amber",
        "classification": "restricted",
        "caveats": ["release_to"],
        "release_to": ["ly"],
    }
    content = document("tn/main", marking=marking)
    answer = agency.call("POST", f"{SENT}?to=ly/main&to=dz/main", body=content)
    assert (answer.status_code, word(answer)) == (403, "access-denied")
    assert answer.json()["desk"] == "dz/main"
    assert answer.json()["policies"] == ["release-to-listed-members-only"]
    assert agency.call("GET", SENT).json() == {"bulletins": []}


def test_check_answers_per_recipient_and_stores_nothing(agency: Agency) -> None:
    """The rules' answer for each desk, before anything is sent."""
    marking = {
        "tlp": "amber",
        "classification": "restricted",
        "caveats": ["release_to"],
        "release_to": ["ly"],
    }
    content = document("tn/main", BULLETIN, marking=marking)
    answer = agency.call("POST", f"{SENT}/check?to=ly/main&to=dz/main", body=content)
    assert answer.json() == {
        "id": BULLETIN,
        "allowed": False,
        "recipients": [
            {"desk": "dz/main", "allowed": False, "policies": ["release-to-listed-members-only"]},
            {"desk": "ly/main", "allowed": True, "policies": ["states-to-states"]},
        ],
    }
    assert agency.call("GET", SENT).json() == {"bulletins": []}


@pytest.mark.parametrize(
    ("query", "body", "status", "expected"),
    [
        ("to=ly/main", b"{", 400, "malformed-json"),
        ("to=ly/main", b'{"id":1,"id":2}', 400, "malformed-json"),
        ("to=ly/main", b"{}", 422, "schema-violation"),
        ("to=ly/main", document("ly/main"), 422, "schema-violation"),
        ("to=ly/main", b" " * (BULLETIN_BYTES_MAX + 1), 413, "too-large"),
        ("to=xx/main", document("tn/main"), 422, "unknown-recipient"),
        ("to=LY", document("tn/main"), 400, "bad-parameter"),
        ("", document("tn/main"), 400, "bad-parameter"),
        ("to=ly/main&precedence=now", document("tn/main"), 400, "bad-parameter"),
        ("to=ly/main&expires=tomorrow", document("tn/main"), 400, "bad-parameter"),
        ("to=ly/main&expires=2020-01-01T00:00:00Z", document("tn/main"), 400, "bad-parameter"),
    ],
)
def test_a_bad_bulletin_is_told_what_is_wrong(
    agency: Agency, query: str, body: bytes, status: int, expected: str
) -> None:
    """The right status and word; nothing is stored."""
    for path in (SENT, f"{SENT}/check"):
        answer = agency.call("POST", f"{path}?{query}", body=body)
        assert (answer.status_code, word(answer)) == (status, expected)
    assert agency.call("GET", SENT).json() == {"bulletins": []}


def test_a_broken_rule_names_path_rule_and_value(agency: Agency) -> None:
    """As the bulletin's specification asks."""
    body = document("tn/main", topics=["unheard_of"])
    answer = agency.call("POST", f"{SENT}?to=ly/main", body=body)
    error = answer.json()["errors"][0]
    assert (error["path"], error["value"]) == ("$.topics[0]", '"unheard_of"')
    assert "terrorism" in error["rule"]


def test_another_content_under_a_used_id_is_refused(agency: Agency) -> None:
    """409 id-taken."""
    agency.call("POST", f"{SENT}?to=ly/main", body=document("tn/main", BULLETIN))
    other = document("tn/main", BULLETIN, personal_data=True)
    answer = agency.call("POST", f"{SENT}?to=ly/main", body=other)
    assert (answer.status_code, word(answer)) == (409, "id-taken")


# Reading.


def received(agency: Agency) -> tuple[str, bytes]:
    """A bulletin that arrived from ly/main: its id and exact bytes."""
    content = document("ly/main", text={"en": "a secret route"})
    outgoing = agency.world.outgoing("ly/main", content)
    agency.world.accept(agency.world.envelope("ly/main", "tn/main", outgoing=outgoing))
    agency.exchange()
    return outgoing.bulletin_id, content


def test_a_received_bulletin_is_listed_read_and_answered(agency: Agency) -> None:
    """Listing does not count as reading; reading does, once, and the sender is told."""
    bulletin_id, content = received(agency)
    [summary] = agency.call("GET", f"{INBOX}?unread=true").json()["bulletins"]
    assert (summary["id"], summary["sender"]) == (bulletin_id, "ly/main")
    assert "read" not in summary
    assert "text" not in summary
    answer = agency.call("GET", f"{INBOX}/ly/main/{bulletin_id}")
    assert answer.content.endswith(b'"bulletin":' + content + b"}")
    verified = answer.json()["verified"]
    assert (verified["index"], verified["witnessed"]) == (0, False)
    assert verified["signer"] == agency.world.items[0].statement.signatures[0].keyid
    assert agency.call("GET", f"{INBOX}?unread=true").json() == {"bulletins": []}
    agency.call("GET", f"{INBOX}/ly/main/{bulletin_id}")
    agency.exchange()
    results = [json.loads(item.statement.payload).get("result") for item in agency.world.items]
    assert results == [None, "delivered", "read"]


def test_what_is_not_there_is_not_found(agency: Agency) -> None:
    """Neither in the outbox nor in the inbox nor anywhere."""
    received(agency)
    for url in (
        f"{SENT}/{BULLETIN}",
        f"{INBOX}/ly/main/{BULLETIN}",
        f"{INBOX}/dz/main/{BULLETIN}",
        "/v1/nothing",
        "/docs",
    ):
        answer = agency.call("GET", url)
        assert (answer.status_code, word(answer)) == (404, "not-found")
    assert word(agency.call("DELETE", SENT)) == "method-not-allowed"


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "after=x", "unread=maybe"])
def test_a_bad_parameter_is_named(agency: Agency, query: str) -> None:
    """400 with the parameter in the detail."""
    answer = agency.call("GET", f"{INBOX}?{query}")
    assert (answer.status_code, word(answer)) == (400, "bad-parameter")
    assert query.partition("=")[0] in answer.json()["detail"]


# The directory and the state.


def test_the_directory_says_who_may_be_sent_what(agency: Agency) -> None:
    """A main desk may send no judicial request; the sender itself is not in the list."""
    answer = agency.call("GET", "/v1/directory").json()
    desks = {desk["desk"]: desk for desk in answer["desks"]}
    assert "tn/main" not in desks
    assert desks["ly/main"]["may_send"] == ["threat_bulletin"]
    assert desks["ly/main"]["receives"]
    assert desks["auc/audit"]["may_send"] == []
    judicial = agency.call("GET", "/v1/directory", "judicial").json()
    shown = {desk["desk"]: desk["may_send"] for desk in judicial["desks"]}
    assert "judicial_request" in shown["ly/judicial"]
    assert shown["ly/main"] == ["threat_bulletin"]
    assert {group["group"] for group in answer["groups"]} <= set(agency.world.council.groups)


def test_the_status_shows_line_logs_outbox_and_alarms(agency: Agency) -> None:
    """And that the exchange is a test, and unwitnessed."""
    agency.call("POST", f"{SENT}?to=ly/main", body=document("tn/main"))
    received(agency)
    status = agency.call("GET", "/v1/status").json()
    assert (status["test"], status["witnessed"], status["unread"]) == (True, False, 1)
    assert status["outbox"] == {"accepted": 1}
    assert status["hub"] == {"problem": "the hub was not called yet"}
    assert status["logs"]["directory_entry"] == agency.world.newest.in_force.index  # type: ignore[union-attr]
    assert status["alarms"] == []


def test_a_node_without_a_directory_says_so(
    agency: Agency, monkeypatch: pytest.MonkeyPatch
) -> None:
    """503 with a time to come back; its status still answers."""
    empty = agency.world.empty_history()
    monkeypatch.setattr(NodeWorld, "known", empty)
    answer = agency.call("POST", f"{SENT}?to=ly/main", body=document("tn/main"))
    assert (answer.status_code, word(answer)) == (503, "busy")
    assert "retry-after" in answer.headers
    assert word(agency.call("GET", "/v1/directory")) == "busy"
    assert agency.call("GET", "/v1/status").status_code == 200


# What is logged and documented.


def test_no_content_reaches_a_log_line(
    agency: Agency, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """Sent, received, refused and broken bulletins leave no word of theirs behind."""
    with caplog.at_level("DEBUG"):
        bulletin_id, _ = received(agency)
        agency.call("GET", f"{INBOX}/ly/main/{bulletin_id}")
        secret = {"en": "a secret route"}
        agency.call("POST", f"{SENT}?to=ly/main", body=document("tn/main", text=secret))
        agency.call("POST", f"{SENT}?to=ly/main", body=document("tn/main", text=secret, more=1))
        agency.exchange()
    printed = capfd.readouterr()
    for text in (caplog.text, printed.out, printed.err):
        assert "a secret route" not in text
        assert agency.tokens["both"] not in text


def operations(agency: Agency) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Path, method and description of every documented route."""
    document_ = agency.call("GET", "/openapi.json").json()
    for path, methods in document_["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def test_every_route_documents_its_errors_and_examples(agency: Agency) -> None:
    """Problem documents by status with an example each; never another error model."""
    found = list(operations(agency))
    assert len(found) == len(ROUTES)
    for path, method, operation in found:
        where = f"{method} {path}"
        success = [s for s in operation["responses"] if s.startswith("2")]
        [content] = [operation["responses"][s]["content"]["application/json"] for s in success]
        assert content["examples"], where
        words: set[str] = set()
        for status, answer in operation["responses"].items():
            if status in success:
                continue
            assert list(answer["content"]) == [MEDIA_TYPE], where
            for name, example in answer["content"][MEDIA_TYPE]["examples"].items():
                assert PROBLEMS[name].status == int(status), where
                assert from_document(dump_json(example["value"])).word == name
                words.add(name)
        needed = {"token-missing", "bad-parameter", "internal"}
        needed |= {"token-scope"} if "/desks/" in path else set()
        needed |= {"schema-violation", "access-denied"} if method == "post" else set()
        if path.endswith("/check"):
            needed -= {"access-denied"}
        assert needed <= words, where
        if method == "post":
            body = operation["requestBody"]["content"]["application/json"]
            assert body["examples"], where


def test_the_document_names_the_bearer_scheme(agency: Agency) -> None:
    """Every route demands it."""
    described = agency.call("GET", "/openapi.json").json()
    assert described["components"]["securitySchemes"]["HTTPBearer"]["scheme"] == "bearer"
    assert all(operation["security"] for _, _, operation in operations(agency))
    assert "HTTPValidationError" not in described["components"]["schemas"]


@pytest.mark.parametrize("view", list(EXAMPLES), ids=lambda view: view.__name__)
def test_every_example_is_what_its_model_says(view: type[BaseModel]) -> None:
    """An example that the model refuses would mislead."""
    assert view.model_validate_json(dump_json(EXAMPLES[view])) is not None


def test_the_examples_of_bulletins_are_valid() -> None:
    """The one to send, and the one received."""
    assert parse_bulletin(dump_json(THREAT_BULLETIN)).originator.desk == "ly/main"
    assert ReceivedView.model_validate_json(dump_json(RECEIVED)).verified.sender == "ly/main"


def test_nothing_was_stored_by_reading(agency: Agency) -> None:
    """GET changes the inbox's own marks at most."""
    for method, url, _ in ROUTES:
        if method == "GET":
            agency.call(method, url)
    with reading(agency.home.engine) as connection:
        assert connection.execute(tables.outgoing_bulletin.select()).all() == []
