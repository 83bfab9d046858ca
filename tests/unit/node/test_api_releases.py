"""Releases over the agency interface: listed, shown, signed, and their attachments looked at."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import pytest

from keys.dsse import sign_statement
from schemas.loader import dump_json
from schemas.statements import PayloadType
from tests.unit.node.agency import RELEASES, SENT, Agency, word
from tests.unit.node.releasing import demand
from tests.unit.node.world import document, new_id


class Office:
    """tn/main, two of whose people must agree, as agency and people call its node."""

    def __init__(self, agency: Agency) -> None:
        self.agency = agency
        self.each = demand(agency.world, "tn/main", 2, 2)

    def send(self, **changed: Any) -> str:
        """An agency hands a bulletin in."""
        bulletin = new_id()
        content = document("tn/main", bulletin, **changed)
        answer = self.agency.call("POST", f"{SENT}?to=ly/main", body=content)
        assert answer.json()["recipients"] == [{"desk": "ly/main", "state": "unreleased"}]
        return bulletin

    def sign(self, bulletin: str, person: int) -> dict[str, Any]:
        """A person fetches the draft, signs, and hands it in."""
        shown = self.agency.call("GET", f"{RELEASES}/{bulletin}", "release").json()
        payload = base64.b64decode(shown["payload"])
        exchange, identity = self.agency.world.exchange, self.each[person]
        statement = sign_statement(PayloadType.RELEASE, payload, exchange, [identity])
        answer = self.agency.call("POST", f"{RELEASES}/{bulletin}", "release", dump_json(statement))
        assert answer.status_code == 200, answer.text
        signed: dict[str, Any] = answer.json()
        return signed


@pytest.fixture
def office(agency: Agency) -> Office:
    """tn/main demands both of its people."""
    return Office(agency)


def test_people_release_over_https(office: Office) -> None:
    """Listed, shown, signed by one, then by the other; then it leaves, and is listed no more."""
    agency = office.agency
    bulletin = office.send()
    [listed] = agency.call("GET", RELEASES, "release").json()["releases"]
    assert (listed["id"], listed["signed"], listed["needed"]) == (bulletin, 0, 2)
    assert office.sign(bulletin, 0)["recipients"] == [{"desk": "ly/main", "state": "unreleased"}]
    [listed] = agency.call("GET", RELEASES, "release").json()["releases"]
    assert listed["signed"] == 1
    assert office.sign(bulletin, 1)["recipients"] == [{"desk": "ly/main", "state": "queued"}]
    assert agency.call("GET", RELEASES, "release").json() == {"releases": []}
    assert word(agency.call("GET", f"{RELEASES}/{bulletin}", "release")) == "not-found"
    agency.exchange()
    shown = agency.call("GET", f"{SENT}/{bulletin}").json()["recipients"]
    assert [each["state"] for each in shown] == ["accepted"]


@pytest.mark.parametrize("body", [b"{", b"{}", b"[]"])
def test_what_is_no_statement_is_refused(office: Office, body: bytes) -> None:
    """With the path and the rule."""
    bulletin = office.send()
    answer = office.agency.call("POST", f"{RELEASES}/{bulletin}", "release", body)
    assert word(answer) in {"malformed-json", "schema-violation"}


def test_an_attachment_can_be_looked_at_before_it_is_signed(office: Office) -> None:
    """The file whose SHA-256 a person signs, whole or a range of it; afterwards it is not shown here."""
    agency, content = office.agency, b"a photograph" * 9000
    attachment, bulletin = new_id(), new_id()
    named = {
        "id": attachment,
        "name": "photograph.jpg",
        "media_type": "image/jpeg",
        "size": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    url = f"{SENT}/{bulletin}/attachments/{attachment}"
    query = f"size={named['size']}&sha256={named['sha256']}"
    agency.call("PUT", f"{url}?{query}", body=content, more={"Upload-Offset": "0"})
    handed_in = document("tn/main", bulletin, attachments=[named])
    assert agency.call("POST", f"{SENT}?to=ly/main", body=handed_in).status_code == 202
    shown = f"{RELEASES}/{bulletin}/attachments/{attachment}"
    whole = agency.call("GET", shown, "release")
    assert (whole.status_code, whole.content) == (200, content)
    part = agency.call("GET", shown, "release", more={"Range": "bytes=70000-70009"})
    assert (part.status_code, part.content) == (206, content[70000:70010])
    other = f"{RELEASES}/{bulletin}/attachments/{new_id()}"
    assert word(agency.call("GET", other, "release")) == "not-found"
    office.sign(bulletin, 0)
    office.sign(bulletin, 1)
    assert word(agency.call("GET", shown, "release")) == "not-found"
