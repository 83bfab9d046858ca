"""The inbox over the agency interface: what was withdrawn or superseded, bulletins saved, threads."""

from __future__ import annotations

import base64
import json
from typing import Any

from tests.unit.node.agency import BULLETIN, INBOX, SENT, Agency, received, word
from tests.unit.node.documents import document, new_id, withdrawal

THREAD = "/v1/desks/tn/main/thread"


def send(agency: Agency, content: bytes, **changed: Any) -> str:
    """A bulletin of these bytes arrives from ly/main; gives its id."""
    outgoing = agency.world.outgoing("ly/main", content, **changed)
    agency.world.accept(agency.world.envelope("ly/main", "tn/main", outgoing=outgoing))
    agency.exchange()
    return outgoing.bulletin_id


def listed(agency: Agency) -> dict[str, dict[str, Any]]:
    """What the inbox lists, by id."""
    bulletins = agency.call("GET", INBOX).json()["bulletins"]
    return {each["id"]: each for each in bulletins}


def results(agency: Agency) -> list[tuple[str, str | None]]:
    """The acknowledgements in the log: result and reason."""
    payloads = [json.loads(item.statement.payload) for item in agency.world.items]
    return [(each["result"], each.get("reason")) for each in payloads if "result" in each]


def test_what_was_withdrawn_unread_is_a_stub(agency: Agency) -> None:
    """Sender, id, kind, times and the reason; neither title nor anything else inside, wherever asked."""
    content = document("ly/main", title={"en": "Zamzam"}, text={"en": "a secret route"})
    original = send(agency, content)
    by = send(agency, withdrawal("ly/main", original))
    stub = listed(agency)[original]
    assert stub.keys() == {
        *("sender", "id", "kind", "status", "topics", "precedence", "received", "withdrawn")
    }
    assert stub["topics"] == []
    assert (stub["withdrawn"]["by"], stub["withdrawn"]["reason"]) == (
        by,
        {"en": "The report was wrong."},
    )
    answer = agency.call("GET", f"{INBOX}/ly/main/{original}")
    assert answer.json().keys() == {"verified", "marks"}
    assert "read" not in answer.json()["verified"]
    assert answer.json()["marks"]["withdrawn"]["by"] == by
    thread = agency.call("GET", f"{THREAD}/ly/main/{original}")
    assert "title" not in thread.json()["bulletins"][0]
    exported = agency.call("POST", f"{INBOX}/ly/main/{original}/export")
    assert (exported.status_code, word(exported)) == (404, "not-found")
    assert by in exported.json()["detail"]
    for each in (answer, thread, exported, agency.call("GET", INBOX)):
        assert "a secret route" not in each.text
        assert "Zamzam" not in each.text
    unread = agency.call("GET", f"{INBOX}?unread=true").json()["bulletins"]
    assert [each["id"] for each in unread] == [by]
    assert agency.call("GET", "/v1/status").json()["unread"] == 1
    agency.exchange()
    assert results(agency) == [("delivered", None), ("delivered", None), ("withdrawn", "unread")]


def test_what_was_read_before_stays_readable_with_its_mark(agency: Agency) -> None:
    """The bytes are the same, and every answer says that its sender has withdrawn it."""
    original, content = received(agency)
    agency.call("GET", f"{INBOX}/ly/main/{original}")
    by = send(agency, withdrawal("ly/main", original))
    answer = agency.call("GET", f"{INBOX}/ly/main/{original}")
    assert answer.content.endswith(b'"bulletin":' + content + b"}")
    assert answer.json()["marks"]["withdrawn"]["by"] == by
    assert listed(agency)[original]["title"] == json.loads(content)["title"]


def test_a_correction_is_shown_on_both_sides(agency: Agency) -> None:
    """The old one names the new one, and the new one the old."""
    original, _ = received(agency)
    correction = send(agency, document("ly/main"), supersedes=original)
    assert listed(agency)[original]["superseded_by"] == correction
    assert listed(agency)[correction]["supersedes"] == original
    marks = agency.call("GET", f"{INBOX}/ly/main/{original}").json()["marks"]
    assert marks == {"superseded_by": correction}


def test_a_bulletin_is_exported_with_its_evidence(agency: Agency) -> None:
    """Its exact bytes, the signed header and the proved entry; its withdrawal is then answered `exported`."""
    original, content = received(agency)
    answer = agency.call("POST", f"{INBOX}/ly/main/{original}/export")
    view = answer.json()
    assert base64.b64decode(view["document"]) == content
    header = json.loads(base64.b64decode(view["statement"]["payload"]))
    entry = json.loads(base64.b64decode(view["receipt"]["entry"]))
    assert header["bulletin"]["id"] == original
    assert base64.b64decode(entry["header"]) == base64.b64decode(view["statement"]["payload"])
    assert view["verified"]["content"] == header["bulletin"]["content"]
    assert "exported" in listed(agency)[original]
    send(agency, withdrawal("ly/main", original))
    agency.exchange()
    assert results(agency)[-1] == ("withdrawn", "exported")
    assert ("read", None) in results(agency)


def test_a_thread_joins_what_was_received_and_sent(agency: Agency) -> None:
    """Oldest first, from any of its bulletins; what is about something else is not in it."""
    question, _ = received(agency)
    received(agency)
    agency.world.later(minutes=1)
    answer = new_id()
    reply = document("tn/main", answer, in_reply_to={"desk": "ly/main", "id": question})
    assert agency.call("POST", f"{SENT}?to=ly/main", body=reply).status_code == 202
    agency.world.later(minutes=1)
    again = send(agency, document("ly/main", in_reply_to={"desk": "tn/main", "id": answer}))
    for start in (f"ly/main/{question}", f"tn/main/{answer}", f"ly/main/{again}"):
        view = agency.call("GET", f"{THREAD}/{start}").json()
        assert [(each["direction"], each["id"]) for each in view["bulletins"]] == [
            ("received", question),
            ("sent", answer),
            ("received", again),
        ]
        assert view["complete"] is True
        assert view["bulletins"][2]["in_reply_to"] == {"desk": "tn/main", "id": answer}


def test_a_token_that_only_reads_sees_nothing_sent(agency: Agency) -> None:
    """The thread runs through what the desk sent, and does not show it."""
    question, _ = received(agency)
    answer = new_id()
    reply = document("tn/main", answer, in_reply_to={"desk": "ly/main", "id": question})
    agency.call("POST", f"{SENT}?to=ly/main", body=reply)
    again = send(agency, document("ly/main", in_reply_to={"desk": "tn/main", "id": answer}))
    view = agency.call("GET", f"{THREAD}/ly/main/{question}", "read").json()
    assert {each["id"] for each in view["bulletins"]} == {question, again}


def test_a_thread_in_a_circle_ends(agency: Agency) -> None:
    """A sender chooses ids and answers as it likes: each bulletin is shown once."""
    first, second = new_id(), new_id()
    for mine, other in ((first, second), (second, first)):
        send(agency, document("ly/main", mine, in_reply_to={"desk": "ly/main", "id": other}))
    view = agency.call("GET", f"{THREAD}/ly/main/{first}").json()
    assert sorted(each["id"] for each in view["bulletins"]) == sorted([first, second])


def test_siblings_meet_in_what_is_not_here(agency: Agency) -> None:
    """Two answers to a bulletin that this desk was never sent are one thread."""
    elsewhere = {"desk": "dz/main", "id": new_id()}
    first, second = (send(agency, document("ly/main", in_reply_to=elsewhere)) for _ in range(2))
    view = agency.call("GET", f"{THREAD}/ly/main/{first}").json()
    assert sorted(each["id"] for each in view["bulletins"]) == sorted([first, second])
    missing = agency.call("GET", f"{THREAD}/dz/main/{elsewhere['id']}")
    assert word(missing) == "not-found"
    assert word(agency.call("GET", f"{THREAD}/ly/main/{BULLETIN}")) == "not-found"


def test_a_long_thread_is_cut(agency: Agency, monkeypatch: Any) -> None:
    """Nobody has this node show more than so many at once; the answer says that there are more."""
    monkeypatch.setattr("broker.node.inbox.threads.find_thread.__kwdefaults__", {"limit": 3})
    question, _ = received(agency)
    for _ in range(4):
        send(agency, document("ly/main", in_reply_to={"desk": "ly/main", "id": question}))
    view = agency.call("GET", f"{THREAD}/ly/main/{question}").json()
    assert (len(view["bulletins"]), view["complete"]) == (3, False)
