"""Openings: each party opens what concerns it, an auditor everything, a stranger nothing."""

from __future__ import annotations

import hashlib

import httpx
import pytest

from broker.hub import routes, showing
from broker.tlog.merkle import leaf_hash
from broker.tlog.receipt import exchange_leaf
from keys.dsse import pae_sha256
from schemas.entries import (
    DeskSealingKey,
    EnvelopeRefused,
    parse_directory_entry,
    parse_exchange_entry,
)
from schemas.errors import ParseError
from schemas.limits import OPENINGS_PAGE_MAX
from schemas.receipts import Opening, OpeningsPage
from tests.exchange.acting import answer, item, openings, refusal, submit, verified
from tests.exchange.live import LiveHub, new_id, run
from tests.exchange.raw import http, send, word

AUDITOR = "auc/audit"


def _opened(hub: LiveHub, desk: str, log: str = "exchange") -> dict[int, Opening]:
    """All that a desk is shown of a log, by index."""
    page = run(openings(hub, desk, log, 0, OPENINGS_PAGE_MAX))
    indexes = [opening.index for opening in page.openings]
    assert indexes == sorted(set(indexes))
    return {opening.index: opening for opening in page.openings}


def test_who_opens_an_accepted_envelope(hub: LiveHub) -> None:
    """Sender and recipients; what they open is the leaf of the receipt, and the statement that was signed."""
    envelope = hub.seal(hub.outgoing("ly/main"), "ne/main", "tn/main")
    receipt = run(submit(hub, envelope))
    for desk in ("ly/main", "ne/main", "tn/main", AUDITOR):
        opening = _opened(hub, desk)[receipt.index]
        assert (opening.entry, opening.salt) == (receipt.entry, receipt.salt)
        assert exchange_leaf(receipt.salt, opening.entry) == verified(hub, receipt).leaf
        assert opening.statement is not None
        assert opening.statement.payload == envelope.payload
        assert opening.statement.signatures == envelope.signatures
    for stranger in ("ly/judicial", "dz/main", "ne/judicial"):
        assert receipt.index not in _opened(hub, stranger)


def test_who_opens_an_acknowledgement(hub: LiveHub) -> None:
    """The desk that answered and the sender; not the other recipients of the same envelope."""
    envelope = hub.seal(hub.outgoing("ly/main"), "ne/main", "tn/main")
    named = item(hub, envelope, run(submit(hub, envelope)))
    receipt = run(answer(hub, "tn/main", named))
    for desk in ("ly/main", "tn/main", AUDITOR):
        opening = _opened(hub, desk)[receipt.index]
        entry = parse_exchange_entry(opening.entry)
        assert entry.type == "acknowledgement"
        assert opening.statement is not None
        assert entry.pae == pae_sha256(opening.statement)
    assert receipt.index not in _opened(hub, "ne/main")


def test_a_refused_envelope_is_opened_with_its_statement(hub: LiveHub) -> None:
    """By its sender and auditors: else the hub could log refusals of what nobody signed."""
    envelope = hub.seal(hub.outgoing("ly/main", withdraws=new_id()), "tn/main")
    problem = refusal(submit(hub, envelope))
    index = problem.extensions["receipt"]["index"]
    for desk in ("ly/main", AUDITOR):
        opening = _opened(hub, desk)[index]
        entry = parse_exchange_entry(opening.entry)
        assert isinstance(entry, EnvelopeRefused)
        assert entry.problem == "original-unknown"
        assert opening.statement is not None
        assert opening.statement.payload == envelope.payload
        raw = b"".join(signature.sig for signature in opening.statement.signatures)
        assert entry.signatures == hashlib.sha256(raw).hexdigest()
    assert index not in _opened(hub, "tn/main")


def test_an_auditor_opens_everything(hub: LiveHub) -> None:
    """Every leaf of the exchange log up to its head, without a gap."""
    run(submit(hub, hub.seal(hub.outgoing("ly/main"), "tn/main")))
    size = hub.ledger.heads()[1].size
    assert list(_opened(hub, AUDITOR)) == list(range(size))


def test_a_stranger_opens_nothing(hub: LiveHub) -> None:
    """A desk that neither sent, received nor answered sees an empty page, not an error."""
    run(submit(hub, hub.seal(hub.outgoing("ly/main"), "tn/main")))
    assert _opened(hub, "mr/judicial") == {}


@pytest.mark.parametrize("desk", ["mr/judicial", "ly/main", AUDITOR])
def test_every_member_opens_the_directory_log(hub: LiveHub, desk: str) -> None:
    """All of it, without salts; the statement stands beside a sealing key and nothing else."""
    opened = _opened(hub, desk, "directory")
    assert list(opened) == list(range(hub.ledger.heads()[0].size))
    for opening in opened.values():
        entry = parse_directory_entry(opening.entry)
        assert opening.salt is None
        assert (opening.statement is not None) == isinstance(entry, DeskSealingKey)
        if isinstance(entry, DeskSealingKey) and opening.statement is not None:
            assert pae_sha256(opening.statement) == entry.pae
    in_force = hub.directory_ref
    assert leaf_hash(opened[in_force.index].entry).hex() == in_force.leaf


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [(0, 0, 400), (1, 0, 400), (0, 257, 400), (5, 4, 400), (0, 256, 200), (0, 1, 200)],
)
@pytest.mark.parametrize("log", ["directory", "exchange"])
def test_ranges_are_checked(hub: LiveHub, log: str, start: int, end: int, expected: int) -> None:
    """1 to 256 leaves at a time, forwards."""
    with http(hub) as client:
        answered = send(
            client, hub, "tn/main", "GET", f"/v1/log/{log}/openings?start={start}&end={end}"
        )
    assert answered.status_code == expected
    if expected == httpx.codes.BAD_REQUEST:
        assert word(answered) == "bad-parameter"


def test_beyond_the_head_is_nothing(hub: LiveHub) -> None:
    """A range behind the end of a log is empty, and one across it is cut."""
    size = hub.ledger.heads()[0].size
    assert run(openings(hub, "tn/main", "directory", size, size + 1)).openings == ()
    across = run(openings(hub, "tn/main", "directory", size - 1, size + 9)).openings
    assert [opening.index for opening in across] == [size - 1]


@pytest.mark.parametrize("desk", [AUDITOR, "ly/main"])
@pytest.mark.parametrize("log", ["exchange", "directory"])
def test_large_openings_come_in_several_answers(
    hub: LiveHub, monkeypatch: pytest.MonkeyPatch, desk: str, log: str
) -> None:
    """The first of them, at least one, and where to ask on: whose senders pad them can still read them."""
    for _ in range(3):
        run(submit(hub, hub.seal(hub.outgoing("ly/main"), "tn/main")))
    whole = list(_opened(hub, desk, log))
    monkeypatch.setattr(showing, "PAGE_BYTES_MAX", 20_000)
    found: list[int] = []
    answers, start = 0, 0
    while start < OPENINGS_PAGE_MAX:
        page = run(openings(hub, desk, log, start, OPENINGS_PAGE_MAX))
        assert page.openings
        found += [opening.index for opening in page.openings]
        answers += 1
        start = OPENINGS_PAGE_MAX if page.next is None else page.next
    assert found == whole
    assert answers > 1


@pytest.mark.parametrize("leads", [0, 3, 9, 12])
def test_openings_that_lead_nowhere(
    hub: LiveHub, monkeypatch: pytest.MonkeyPatch, leads: int
) -> None:
    """A hub that would have a party ask for the same again, or pass others over, is not followed."""

    def astray(*_arguments: object) -> OpeningsPage:
        return OpeningsPage(openings=(), next=leads)

    monkeypatch.setattr(routes, "openings", astray)
    with pytest.raises(ParseError, match="leads"):
        run(openings(hub, "tn/main", "exchange", 3, 9))
