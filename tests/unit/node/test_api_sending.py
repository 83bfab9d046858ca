"""Sending over the agency interface: taken, checked, listed, and told what is wrong with it."""

from __future__ import annotations

import pytest

from broker.node.api.views import SentView
from schemas.acknowledgements import Result
from schemas.limits import BULLETIN_BYTES_MAX
from schemas.loader import parse
from schemas.receipts import Receipt
from tests.unit.node.agency import BULLETIN, SENT, Agency, word
from tests.unit.node.world import document, new_id


def test_a_bulletin_is_taken_sent_and_answered(agency: Agency) -> None:
    """202 from the outbox; later its steps with times, policies, receipt and proof."""
    content = document("tn/main", BULLETIN)
    answer = agency.call("POST", f"{SENT}?to=ly/main&to=dz/main&precedence=flash", body=content)
    assert answer.status_code == 202
    assert answer.json() == {
        "id": BULLETIN,
        "desk": "tn/main",
        "witnessed": False,
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
    assert agency.call("GET", SENT).json() == {"witnessed": False, "bulletins": []}


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
            {"desk": "ly/main", "allowed": True, "policies": ["standing-mechanism"]},
        ],
        "warnings": [],
    }
    assert agency.call("GET", SENT).json() == {"witnessed": False, "bulletins": []}


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
    assert agency.call("GET", SENT).json() == {"witnessed": False, "bulletins": []}


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
