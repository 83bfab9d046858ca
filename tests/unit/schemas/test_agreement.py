"""Bulletin and header: what they share, and that each difference is named."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from schemas.bulletin import Bulletin, parse_bulletin
from schemas.bulletin.agreement import check_against_header, fields_of_header, header_fields
from schemas.envelope import Header
from schemas.errors import Fault, Problem
from schemas.limits import STATEMENT_BYTES_MAX
from schemas.loader import dump_json, parse

Example = Callable[[str], dict[str, Any]]
FIRST = "019ab5c0-2a00-7a11-8c01-5f0e6d7a00f1"
SECOND = "019ab5c0-2a00-7a11-8c01-5f0e6d7a00f2"


@pytest.fixture
def bulletin(example: Example) -> Bulletin:
    """A bulletin with two attachments and everything that the header leaves out."""
    plain = example("threat_bulletin")
    plain["attachments"] = [
        {"id": id_, "name": "a.jpg", "media_type": "image/jpeg", "size": 1, "sha256": "ab" * 32}
        for id_ in (SECOND, FIRST)
    ]
    plain["marking"] |= {
        "caveats": ["h3", "release_to"],
        "release_to": ["dz", "ne"],
        "handling_note": {"ar": "ملاحظة"},
    }
    return parse_bulletin(dump_json(plain))


@pytest.fixture
def header(example: Example, bulletin: Bulletin) -> dict[str, Any]:
    """The header that agrees with the bulletin, as plain values."""
    plain = example("header")
    plain["bulletin"]["id"] = bulletin.id
    plain["personal_data"] = True
    plain["topics"] = ["arms", "border_management", "smuggling"]
    plain["marking"] |= {"caveats": ["h3", "release_to"], "release_to": ["dz", "ne"]}
    plain["attachments"] = [{"id": id_, "sha256": "ab" * 32, "size": 9} for id_ in (SECOND, FIRST)]
    return plain


def read(plain: dict[str, Any]) -> Header:
    """Parse a header."""
    return parse(Header, dump_json(plain), STATEMENT_BYTES_MAX)


def test_agree(bulletin: Bulletin, header: dict[str, Any]) -> None:
    """A header that repeats the bulletin passes, without pap and handling note."""
    check_against_header(bulletin, read(header))
    assert header_fields(bulletin) == fields_of_header(read(header))
    assert header_fields(bulletin).sender == "ly/main"
    assert header_fields(bulletin).attachments == (SECOND, FIRST)


@pytest.mark.parametrize(
    ("change", "member"),
    [
        ({"bulletin": {"id": FIRST, "content": "ab" * 32}}, "id"),
        ({"from": "ly/ops"}, "sender"),
        ({"status": "actual"}, "status"),
        ({"kind": "judicial_request"}, "kind"),
        ({"topics": ["arms", "smuggling"]}, "topics"),
        ({"purpose": "analysis"}, "purpose"),
        ({"personal_data": False}, "personal_data"),
        (
            {"marking": {"tlp": "amber", "classification": "restricted", "caveats": ["h3"]}},
            "marking",
        ),
        (
            {
                "marking": {
                    "tlp": "clear",
                    "classification": "restricted",
                    "caveats": ["h3", "release_to"],
                    "release_to": ["dz", "ne"],
                }
            },
            "marking",
        ),
        ({"attachments": []}, "attachments"),
        (
            {"attachments": [{"id": i, "sha256": "ab" * 32, "size": 9} for i in (FIRST, SECOND)]},
            "attachments",
        ),
    ],
)
def test_disagree(
    bulletin: Bulletin, header: dict[str, Any], change: dict[str, Any], member: str
) -> None:
    """Each member that differs is the sender's fault, and is named without its content."""
    with pytest.raises(Problem) as caught:
        check_against_header(bulletin, read(header | change))
    assert caught.value.word == "bulletin-header"
    assert caught.value.type.fault is Fault.SENDER
    assert caught.value.extensions == {"members": [member]}
    assert caught.value.detail == f"The bulletin and its header differ in: {member}"


def test_names_every_difference(bulletin: Bulletin, header: dict[str, Any]) -> None:
    """Two members that differ are both named."""
    with pytest.raises(Problem) as caught:
        check_against_header(bulletin, read(header | {"status": "actual", "purpose": "analysis"}))
    assert caught.value.extensions == {"members": ["status", "purpose"]}


@pytest.fixture
def withdrawal(example: Example) -> Bulletin:
    """A bulletin that withdraws another of its desk."""
    return parse_bulletin(dump_json(example("withdrawal") | {"withdraws": FIRST}))


def header_of(withdrawal: Bulletin, plain: dict[str, Any]) -> dict[str, Any]:
    """Make the header that agrees with a withdrawal, as plain values."""
    del plain["supersedes"]
    return plain | {
        "bulletin": {"id": withdrawal.id, "content": "ab" * 32},
        "from": withdrawal.originator.desk,
        "kind": "withdrawal",
        "topics": list(withdrawal.topics),
        "marking": {"tlp": "amber", "classification": "restricted", "caveats": []},
        "attachments": [],
        "withdraws": FIRST,
    }


def test_a_withdrawal_says_what_it_withdraws(example: Example, withdrawal: Bulletin) -> None:
    """What a withdrawal withdraws stands in its header too; other kinds withdraw nothing."""
    header = read(header_of(withdrawal, example("header")))
    check_against_header(withdrawal, header)
    assert header_fields(withdrawal).withdraws == FIRST
    assert header_fields(parse_bulletin(dump_json(example("threat_bulletin")))).withdraws is None


def test_a_header_that_withdraws_another_is_refused(example: Example, withdrawal: Bulletin) -> None:
    """A sender cannot withdraw one bulletin before the hub and another before the recipient."""
    plain = header_of(withdrawal, example("header")) | {"withdraws": SECOND}
    with pytest.raises(Problem) as caught:
        check_against_header(withdrawal, read(plain))
    assert caught.value.word == "bulletin-header"
    assert caught.value.extensions == {"members": ["withdraws"]}
