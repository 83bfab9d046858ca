"""The agency interface as a whole: who may call what, what it says of itself, what leaks nowhere."""

from __future__ import annotations

import pytest

from broker.db import reading, writing
from broker.node import tables
from broker.node.api.tokens import revoke_token
from schemas.bulletin.vocabularies import Kind
from tests.unit.node.agency import INBOX, ROUTES, SENT, Agency, received, word
from tests.unit.node.world import NodeWorld, document

# Who may call.


@pytest.mark.parametrize("token", [None, "", "barid_wrong", "Basic"])
def test_without_a_token_nothing_is_answered(agency: Agency, token: str | None) -> None:
    """Every route, whatever the request says besides."""
    for method, url, _ in ROUTES:
        answer = agency.call(method, url, token, b"{" if method == "POST" else None)
        assert answer.status_code == 401, url
        assert method == "HEAD" or word(answer) == "token-missing", url


def test_a_token_covers_its_desk_and_action_alone(agency: Agency) -> None:
    """Another desk's token, or one for the other action, is refused before the body is read."""
    for method, url, needed in ROUTES:
        others = () if needed is None else ("read" if needed == "send" else "send", "judicial")
        for token in others:
            answer = agency.call(method, url, token, b"{" if method == "POST" else None)
            assert answer.status_code == 403, url
            assert method == "HEAD" or word(answer) == "token-scope", url


def test_a_revoked_token_is_refused_at_once(agency: Agency) -> None:
    """Without a restart."""
    assert agency.call("GET", "/v1/status", "send").status_code == 200
    with writing(agency.home.engine) as connection:
        for row in connection.execute(tables.token.select()).all():
            revoke_token(connection, row.token_id, agency.world.now)
    assert word(agency.call("GET", "/v1/status", "send")) == "token-missing"


# The directory and the state.


def test_the_directory_says_who_may_be_sent_what(agency: Agency) -> None:
    """A main desk may send no judicial request; the sender itself is not in the list."""
    answer = agency.call("GET", "/v1/directory").json()
    desks = {desk["desk"]: desk for desk in answer["desks"]}
    assert "tn/main" not in desks
    others = [kind for kind in Kind if kind is not Kind.JUDICIAL_REQUEST]
    assert desks["ly/main"]["may_send"] == others
    assert desks["ly/main"]["receives"]
    assert desks["ly/main"]["member_names"] == {"ar": "ليبيا", "fr": "Libye", "en": "Libya"}
    assert desks["auc/audit"]["may_send"] == []
    judicial = agency.call("GET", "/v1/directory", "judicial").json()
    shown = {desk["desk"]: desk["may_send"] for desk in judicial["desks"]}
    assert "judicial_request" in shown["ly/judicial"]
    assert shown["ly/main"] == others
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


# What is left behind.


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


def test_nothing_was_stored_by_reading(agency: Agency) -> None:
    """GET changes the inbox's own marks at most."""
    for method, url, _ in ROUTES:
        if method == "GET":
            agency.call(method, url)
    with reading(agency.home.engine) as connection:
        assert connection.execute(tables.outgoing_bulletin.select()).all() == []
