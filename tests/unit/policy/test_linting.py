"""What is wrong, or looks wrong, is found before anybody signs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from broker.policy.linting import Finding, lint
from broker.policy.rulebook import Rulebook
from schemas.bulletin.vocabularies import DeskFunction
from schemas.directory import Council, Group
from schemas.errors import ParseError
from schemas.loader import dump_json, parse, to_plain
from tests.unit.policy.examples import AT, shipped_book

ALL = "(principal, action, resource)"

BookChange = Callable[[Rulebook], Rulebook]


def _rule(text: str) -> BookChange:
    return lambda book: replace(book, policy_text=f"{book.policy_text}\n{text}\n")


def _council(**changes: Any) -> BookChange:
    return lambda book: replace(book, council=book.council.model_copy(update=changes))


def _groups(**groups: Group) -> BookChange:
    return lambda book: _council(groups={**book.council.groups, **groups})(book)


def _names() -> Any:
    return shipped_book().council.groups["tripoli"].names


def _group(**fields: Any) -> Group:
    return Group(**{"names": _names(), "members": ("ly", "tn"), **fields})


def _wrong_case(book: Rulebook) -> Rulebook:
    case = '[[case]]\nwhy = "never"\nfrom = "tn/main"\nto = "ly/main"\nwhat = "ordinary"\n'
    return replace(
        book, cases_text=book.cases_text + case + 'expected = "refuse"\nby = ["no-permit"]\n'
    )


FOUND = {
    "a permit for everything": (_rule(f'@id("open") permit {ALL};'), "open", "everything"),
    "a permit that never takes effect": (
        _rule(f'@id("idle") permit {ALL} when {{ resource.ceiling.tlp_rank > 9 }};'),
        "idle",
        "never",
    ),
    "a forbid that never matches": (
        _rule(f'@id("idle") forbid {ALL} when {{ resource.ceiling.tlp_rank > 9 }};'),
        "idle",
        "never",
    ),
    "an unknown desk": (
        _rule(f'@id("one") permit {ALL} when {{ resource == Desk::"ly/harbour" }};'),
        "one",
        "ly/harbour",
    ),
    "an unknown member": (
        _rule(f'@id("one") permit {ALL} when {{ resource.member == "zz" }};'),
        "one",
        "zz",
    ),
    "an unknown group": (
        _rule(f'@id("one") permit {ALL} when {{ resource.groups.contains("nobody") }};'),
        "one",
        "nobody",
    ),
    "an operation asked as a grouping": (
        lambda book: _rule(
            f'@id("one") permit {ALL} when {{ resource.groups.contains("joint") }};'
        )(_groups(joint=_group(kind="operation", until=AT + timedelta(days=1)))(book)),
        "one",
        "ask `operations`, not `groups`",
    ),
    "a member that release_to never names": (
        _rule(f'@id("one") forbid {ALL} when {{ context.marking.release_to.contains("zz") }};'),
        "one",
        "zz",
    ),
    "a permit for all that there is": (
        _rule(f'@id("wide") permit {ALL} when {{ resource.ceiling.tlp_rank < 9 }};'),
        "wide",
        "permits everything",
    ),
    "arithmetic that overflows": (
        _rule(
            f'@id("sum") forbid {ALL}'
            " when { context.marking.tlp_rank + 9223372036854775807 < 0 };"
        ),
        "sum",
        "cannot always be evaluated",
    ),
    "a table that does not load": (
        lambda book: replace(book, cases_text=book.cases_text + '[[case]]\nwhy = "w"\n'),
        "policy.cases.toml",
        "from",
    ),
    "a group of suspended members": (
        lambda book: _council(
            members={
                member: seat.model_copy(update={"suspended": member in {"ly", "tn"}})
                for member, seat in book.council.members.items()
            }
        )(_groups(pair=_group())(book)),
        "council.json groups.pair",
        "empty",
    ),
    "an empty group": (
        _groups(harbours=_group(function=DeskFunction.MILITARY)),
        "council.json groups.harbours",
        "empty",
    ),
    "an operation that has ended": (
        _groups(joint=_group(kind="operation", until=AT - timedelta(days=1))),
        "council.json groups.joint",
        "ended",
    ),
    "a case that fails": (_wrong_case, "policy.cases.toml case", "answer permit"),
    "no table": (lambda book: replace(book, cases_text=""), "policy.cases.toml", "no table"),
    "a rule without an id": (_rule(f"permit {ALL};"), "policy.cedar", "has no @id"),
    "two rules of one id": (
        _rule(f'@id("a") permit {ALL}; @id("a") forbid {ALL};'),
        "policy.cedar",
        "2 policies have this @id",
    ),
    "a rule that does not validate": (
        _rule(f'@id("a") permit {ALL} when {{ context.colour == "red" }};'),
        "policy.cedar",
        "a:",
    ),
    "no rules at all": (
        lambda book: replace(book, policy_text="permit ("),
        "policy.cedar",
        "rules",
    ),
    "a governor of nobody": (
        _council(governors={"ab" * 32: "tn"}),
        "council.json governors",
        "does not sign the root",
    ),
}

ERRORS = {
    "a permit for everything",
    "a governor of nobody",
    "an unknown desk",
    "an unknown member",
    "a member that release_to never names",
    "an operation asked as a grouping",
    "a table that does not load",
    "a case that fails",
    "a rule without an id",
    "two rules of one id",
    "a rule that does not validate",
    "no rules at all",
}


def _lint(book: Rulebook) -> tuple[Finding, ...]:
    return lint(book, set(book.council.governors), AT)


@pytest.mark.parametrize("name", FOUND)
def test_found(name: str) -> None:
    """Each is named with its place; what must not be signed is an error, all else a warning."""
    change, place, said = FOUND[name]
    book = change(shipped_book())
    findings = lint(book, (), AT) if "governor" in name else _lint(book)
    found = [each for each in findings if place in each.place and said in each.message]
    assert found, [each.sentence() for each in findings]
    assert found[0].severity == ("error" if name in ERRORS else "warning")


def test_what_is_shipped_is_sound() -> None:
    """Nothing but the missing names of governors is said of what an exchange starts with."""
    assert [each for each in _lint(shipped_book()) if "governor" not in each.message] == []


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ([], "at least 1"),
        (["tripoli"], "lists tripoli, which is"),
        (["ly", "zz"], "lists zz, which is no member"),
    ],
    ids=["empty", "a-group", "unknown"],
)
def test_a_group_lists_members(members: list[str], said: str) -> None:
    """A group without members, one that lists itself, and one with a stranger are no council."""
    plain = to_plain(shipped_book().council)
    plain["groups"]["tripoli"]["members"] = members
    with pytest.raises(ParseError, match=said):
        parse(Council, dump_json(plain), 10**6)
