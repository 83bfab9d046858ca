"""Reading over the agency interface: listed, opened, answered, and not found."""

from __future__ import annotations

import json

import pytest

from tests.unit.node.agency import BULLETIN, INBOX, SENT, Agency, received, word


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
    assert agency.call("GET", f"{INBOX}?unread=true").json() == {
        "witnessed": False,
        "bulletins": [],
    }
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
