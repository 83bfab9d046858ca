"""The protocol's messages: each example is read, each rule between members refuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from schemas.entries import parse_directory_entry, parse_exchange_entry
from schemas.errors import PROBLEMS, ParseError, Problem
from schemas.limits import TRUST_FILE_BYTES_MAX
from schemas.loader import dump_json, load_json, parse, to_plain
from schemas.problems import from_document, of_parse_error, to_document
from schemas.publish import MESSAGES

Example = Callable[[str], dict[str, Any]]
NULLABLE = frozenset({"release"})
UUID = "019ab5c0-2a00-7a11-8c01-5f0e6d7a0001"
SHA = "ab" * 32


def read(name: str, plain: dict[str, Any]) -> dict[str, Any]:
    """Read a message by its name, and give what its model holds as plain values."""
    data = dump_json(plain)
    return to_plain(parse(MESSAGES[name], data, TRUST_FILE_BYTES_MAX, nullable=NULLABLE))


@pytest.mark.parametrize("name", sorted(set(MESSAGES) - {"sealed_part"}))
def test_reads_and_writes(example: Example, name: str) -> None:
    """Each message is read, and written again with the same members."""
    assert read(name, example(name)) == example(name)


@pytest.mark.parametrize("name", sorted(MESSAGES))
def test_refuses_unknown_and_missing_members(example: Example, name: str) -> None:
    """An unknown member, or the loss of the first one, is refused in each message."""
    plain = example(name)
    with pytest.raises(ParseError):
        read(name, plain | {"surprise": 1})
    del plain[next(iter(plain))]
    with pytest.raises(ParseError):
        read(name, plain)


_RECIPIENT = {"desk": "dz/main", "keyid": SHA, "slot_sha256": SHA}
_ITEM = {"from": "ly/main", "id": UUID, "origin": "o/x", "index": 7, "leaf": SHA}


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("header", {"v": 2}),
        ("header", {"withdraws": UUID}),
        ("header", {"topics": ["smuggling", "arms"]}),
        ("header", {"topics": []}),
        ("header", {"kind": "watch_list"}),
        ("header", {"kind": "withdrawal"}),
        ("header", {"personal_data": 0}),
        ("header", {"recipients": []}),
        ("header", {"recipients": [_RECIPIENT | {"desk": "tn/main"}, _RECIPIENT]}),
        ("header", {"recipients": [_RECIPIENT, _RECIPIENT]}),
        (
            "header",
            {"marking": {"tlp": "red", "classification": "secret", "caveats": ["release_to"]}},
        ),
        (
            "header",
            {
                "marking": {
                    "tlp": "red",
                    "classification": "secret",
                    "caveats": ["release_to"],
                    "release_to": ["tn", "dz"],
                }
            },
        ),
        ("header", {"title": "x"}),
        ("statement", {"payload": "QR=="}),
        ("statement", {"payload": "-_-_"}),
        ("statement", {"payload": "QQ"}),
        ("statement", {"payload": "QQ== "}),
        ("statement", {"payloadType": "application/json"}),
        ("statement", {"signatures": []}),
        ("release", {"recipients": [SHA, SHA]}),
        ("release", {"recipients": ["aa" * 32, "bb" * 32, "cc" * 32]}),
        ("sealing_key", {"not_after": "2026-11-24T22:00:00Z"}),
        ("sealing_key", {"epoch": 0}),
        ("sealing_key", {"revokes": []}),
        ("acknowledgement", {"result": "delivered"}),
        ("acknowledgement", {"items": []}),
        ("acknowledgement", {"items": [_ITEM, _ITEM]}),
        ("acknowledgement", {"items": [_ITEM, _ITEM | {"from": "tn/main", "index": 8}]}),
        ("council", {"test": False}),
        ("council", {"witnesses": "all"}),
        (
            "council",
            {"groups": {"g": {"names": {"ar": "x", "fr": "x", "en": "x"}, "members": ["xx"]}}},
        ),
        (
            "council",
            {"groups": {"g": {"names": {"ar": "x", "fr": "x", "en": "x\nz"}, "members": []}}},
        ),
        (
            "council",
            {"groups": {"g": {"names": {"ar": "x", "fr": "x", "en": "x\u2067"}, "members": []}}},
        ),
        ("council", {"grace_seconds": 90 * 24 * 3600 + 1}),
        ("directory_entry", {"type": "envelope.accepted"}),
        ("exchange_entry", {"type": "envelope.expired"}),
        ("inbox_page", {"next": "4-1"}),
        ("receipt", {"index": -1}),
    ],
)
def test_refuses(example: Example, name: str, change: dict[str, Any]) -> None:
    """A message that breaks one rule is refused."""
    with pytest.raises(ParseError):
        read(name, example(name) | change)


def test_a_lost_reason_is_refused(example: Example) -> None:
    """What is rejected says why."""
    plain = example("acknowledgement")
    del plain["reason"]
    with pytest.raises(ParseError):
        read("acknowledgement", plain)


def test_each_identity_signs_once(example: Example) -> None:
    """Two signatures with one keyid are refused, and an envelope has one signature."""
    plain = example("statement")
    first = plain["signatures"][0]
    with pytest.raises(ParseError):
        read("statement", plain | {"signatures": [first, first]})
    two = {"signatures": [first, first | {"keyid": "00" * 32}]}
    assert len(read("statement", plain | two)["signatures"]) == 2
    with pytest.raises(ParseError):
        read("envelope", example("envelope") | two)


def test_a_raw_key_occurs_once(example: Example) -> None:
    """A member file in which one raw key has two roles is refused."""
    plain = example("member")
    desk = plain["desks"]["main"]
    desk["request"] = desk["node"]["ed25519"]
    with pytest.raises(ParseError, match="raw key"):
        read("member", plain)


def test_a_threshold_can_be_met(example: Example) -> None:
    """A desk cannot ask for more releases than it has releasers."""
    plain = example("member")
    plain["desks"]["main"]["release_threshold"] = 2
    with pytest.raises(ParseError, match="threshold"):
        read("member", plain)


def test_two_logs_have_two_origins(example: Example) -> None:
    """A council whose logs share an origin is refused."""
    plain = example("council")
    plain["logs"]["directory"]["origin"] = plain["logs"]["exchange"]["origin"]
    with pytest.raises(ParseError, match="an origin is used once"):
        read("council", plain)


def test_the_one_null_of_the_protocol(example: Example) -> None:
    """A sealed part says `release: null`; where that is not allowed, and elsewhere, null is refused."""
    plain = example("sealed_part")
    read("sealed_part", plain)
    with pytest.raises(ParseError):
        parse(MESSAGES["sealed_part"], dump_json(plain), 10_000)
    with pytest.raises(ParseError):
        read("sealed_part", plain | {"salt": None})


@pytest.mark.parametrize(
    "entry",
    [
        {
            "type": "envelope.refused",
            "pae": SHA,
            "signatures": SHA,
            "header": "AAAA",
            "problem": "lifetime",
            "directory_size": 1,
        },
        {
            "type": "acknowledgement",
            "pae": SHA,
            "signatures": SHA,
            "statement": "AAAA",
            "directory_size": 1,
        },
        {"type": "attachment.stored", "sha256": SHA, "size": 4096, "directory_size": 1},
        {"type": "envelope.expired", "from": "ly/main", "id": UUID, "directory_size": 1},
    ],
)
def test_exchange_entries(entry: dict[str, Any]) -> None:
    """Each other entry of the exchange log is read as its own type, and is none of the directory log."""
    data = dump_json(entry | {"at": "2026-11-24T22:00:00Z"})
    assert to_plain(parse_exchange_entry(data))["type"] == entry["type"]
    with pytest.raises(ParseError):
        parse_directory_entry(data)


@pytest.mark.parametrize(
    "entry",
    [
        {"type": "desk.sealing_key", "pae": SHA},
        {"type": "hub.operated", "operation": "start"},
    ],
)
def test_directory_entries(entry: dict[str, Any]) -> None:
    """Each other entry of the directory log is read as its own type, and is none of the exchange log."""
    head = {"at": "2026-11-24T22:00:00Z", "exchange_log": {"size": 1, "root": SHA}}
    data = dump_json(entry | head)
    assert to_plain(parse_directory_entry(data))["type"] == entry["type"]
    with pytest.raises(ParseError):
        parse_exchange_entry(data)


@pytest.mark.parametrize("word", sorted(PROBLEMS))
def test_problems_travel(word: str) -> None:
    """Each problem is read back from its document with detail and further members."""
    sent = Problem(word, "why", earlier={"index": 1})
    got = from_document(dump_json(to_document(sent)))
    assert (got.word, got.detail, got.extensions) == (word, "why", {"earlier": {"index": 1}})


@pytest.mark.parametrize(
    "document",
    [[], {}, {"type": "about:blank"}, {"type": "https://barid.invalid/problems/no-such-word"}],
)
def test_foreign_problems_are_refused(document: object) -> None:
    """A document that is no problem of this protocol is refused."""
    with pytest.raises(ParseError):
        from_document(dump_json(document))


def test_a_parse_error_becomes_a_problem(example: Example) -> None:
    """Broken JSON is malformed, a broken rule names path, rule and value."""
    with pytest.raises(ParseError) as caught:
        load_json(b"{", 10)
    assert of_parse_error(caught.value).word == "malformed-json"
    with pytest.raises(ParseError) as caught:
        read("header", example("header") | {"v": 2})
    problem = of_parse_error(caught.value)
    errors = problem.extensions["errors"]
    assert problem.word == "schema-violation"
    assert isinstance(errors, list)
    assert errors[0] | {"path": "$.v", "rule": "must be at most 1", "value": "2"} == errors[0]


@pytest.mark.parametrize("name", ["header", "release", "exchange_entry"])
def test_a_name_of_ours_is_not_taken_for_one_of_the_protocol(example: Example, name: str) -> None:
    """What Python calls `from_` is `from` on the wire, and nothing else."""
    plain = example(name)
    if "from" not in plain:
        plain = {
            "type": "envelope.expired",
            "at": "2026-11-24T22:00:00Z",
            "from": "ly/main",
            "id": UUID,
            "directory_size": 1,
        }
    assert read(name, plain)["from"] == plain["from"]
    plain["from_"] = plain.pop("from")
    with pytest.raises(ParseError):
        read(name, plain)
