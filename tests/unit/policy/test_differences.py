"""A change of the directory is told in words that a governor understands, and nothing of it is left out."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from broker.policy.differences import Report, describe
from broker.policy.rules import default_cases, default_texts
from keys.directory import Directory
from keys.signing import SigningIdentity
from schemas.bulletin.vocabularies import Tlp
from schemas.directory import Council, Group, IdentityKey, MemberFile, Witnesses, WitnessKey
from tests.exchange.trust_world import START, TrustWorld

DIGITS = 64


@pytest.fixture(scope="module")
def before() -> Directory:
    """A directory in force, with the shipped rules and table."""
    world = TrustWorld()
    world.policy_text, world.schema_text = default_texts()
    world.publish()
    world.change_council()
    world.publish()
    directory = world.state().directory
    assert directory is not None
    part = replace(directory.council_part, cases_text=default_cases())
    return replace(directory, council_part=part)


def _council(before: Directory, change: Callable[[Council], Council]) -> Directory:
    part = replace(before.council_part, council=change(before.council))
    return replace(before, council_part=part)


def _file(before: Directory, member: str, **changes: Any) -> Directory:
    part = before.member_parts[member]
    changed = replace(part, file=part.file.model_copy(update=changes))
    return replace(before, member_parts={**before.member_parts, member: changed})


def _told(before: Directory | None, after: Directory) -> Report:
    return describe(before, after, START)


def _sentences(report: Report) -> str:
    return "\n".join(report.lines())


def _identity() -> IdentityKey:
    return SigningIdentity.generate().public


def test_nothing_changes(before: Directory) -> None:
    """The same directory twice says so."""
    report = _told(before, before)
    assert (report.changes, report.effects, report.texts, report.versions) == ((), (), (), {})
    assert "nothing changes" in _sentences(report)


def test_a_group_silently_extended_is_told(before: Directory) -> None:
    """A new member of a group is a line of its own, and what that opens another."""

    def with_members(*members: str) -> Directory:
        def change(council: Council) -> Council:
            # In no other grouping, so that nothing else permits it already.
            group = council.groups["tripoli"].model_copy(update={"members": members})
            return council.model_copy(update={"groups": {"tripoli": group}})

        return _council(before, change)

    told = _sentences(_told(with_members("ly", "tn"), with_members("dz", "ly", "tn")))
    changes, _, exchanged = told.partition("What desks can exchange")
    assert re.search(r"Tripoli .*dz", changes)
    assert re.search("opened: .*dz.*standing-mechanism", exchanged)


def test_every_field_of_the_council_is_told(before: Directory) -> None:
    """Whatever is changed in council.json, some line says it."""
    council = before.council
    seat = council.members["ly"]
    changes: dict[str, dict[str, Any]] = {
        "ceiling": {
            "members": {
                **council.members,
                "ly": seat.model_copy(
                    update={"ceiling": seat.ceiling.model_copy(update={"tlp": Tlp.GREEN})}
                ),
            }
        },
        "suspended": {
            "members": {**council.members, "ly": seat.model_copy(update={"suspended": True})}
        },
        "left": {
            "members": {m: s for m, s in council.members.items() if m != "ly"},
            "groups": {
                name: group.model_copy(
                    update={"members": tuple(m for m in group.members if m != "ly")}
                )
                for name, group in council.groups.items()
            },
        },
        "name": {
            "members": {
                **council.members,
                "ly": seat.model_copy(
                    update={"names": seat.names.model_copy(update={"fr": "Autre"})}
                ),
            }
        },
        "grant": {
            "members": {
                **council.members,
                "ly": seat.model_copy(update={"desks": {**seat.desks, "harbour": ()}}),
            }
        },
        "operation": {
            "groups": {
                **council.groups,
                "joint": Group(
                    names=seat.names,
                    kind="operation",
                    members=("ly", "tn"),
                    until=START + timedelta(days=30),
                ),
            }
        },
        "grace": {"grace_seconds": council.grace_seconds + 1},
        "deadline": {
            "deadlines_seconds": council.deadlines_seconds.model_copy(update={"flash": 1})
        },
        "hub": {"hub": council.hub.model_copy(update={"tls_trust": "another"})},
        "governors": {"governors": {"ab" * 32: "ly"}},
        "logs": {"logs": council.logs.model_copy(update={"generation": 2})},
    }
    for name, update in changes.items():
        part = replace(before.council_part, council=council.model_copy(update=update))
        assert _told(before, replace(before, council_part=part)).changes, name


def test_who_cosigns_is_told(before: Directory) -> None:
    """Who becomes a witness, whose key changes, who is none any more, and how many must cosign."""

    def named(quorum: int, **keys: int) -> Directory:
        witnesses = Witnesses(
            quorum=quorum,
            keys={
                member: WitnessKey(name=f"witness/{member}", ml_dsa_44=bytes([number]) * 1312)
                for member, number in keys.items()
            },
        )
        return _council(before, lambda council: council.model_copy(update={"witnesses": witnesses}))

    two, other = named(2, ly=1, tn=2), named(1, tn=3)
    told = _sentences(_told(before, two))
    assert "the node of Libya (ly) becomes a witness: witness/ly, key id " in told
    assert "2 of 2 witnesses must cosign the logs" in told
    told = _sentences(_told(two, other))
    assert "the node of Libya (ly) is no witness any more" in told
    assert "the witness of Tunisia (tn) has another key: witness/tn, key id " in told
    assert "1 of 1 witnesses must cosign the logs" in told
    assert "nobody cosigns the logs" in _sentences(_told(other, before))
    assert "witness" not in _sentences(_told(two, two))


def test_every_field_of_a_member_is_told(before: Directory) -> None:
    """Whatever a member changes in its file, some line says it; keys in full."""
    file: MemberFile = before.members["ly"]
    desk = file.desks["main"]
    new = _identity()
    changes: dict[str, dict[str, Any]] = {
        "node": {"node": new},
        "request": {"request": bytes(range(32))},
        "release": {"release": (new,), "release_threshold": 1},
        "names": {"names": desk.names.model_copy(update={"en": "Other"})},
        "deputy": {"deputy": "ly/judicial"},
        "versions": {"bulletin_versions": (1, 2)},
        "profile": {"profile": desk.profile.model_copy(update={"area": ("EG",)})},
    }
    for name, update in changes.items():
        desks = {**file.desks, "main": desk.model_copy(update=update)}
        report = _told(before, _file(before, "ly", desks=desks))
        assert report.changes, name
        assert all(change.subject.startswith("ly") for change in report.changes), name
    revoked = _told(before, _file(before, "ly", revoked=("cd" * 32,)))
    assert "cd" * 32 in _sentences(revoked)
    gone = _told(before, _file(before, "ly", desks={"main": desk}))
    assert "ly/judicial" in _sentences(gone)


def test_changed_rules_are_told(before: Directory) -> None:
    """A rule that comes, goes or changes is named with its sentence, and its text is shown."""
    part = before.council_part
    without = part.policy_text.replace("context.personal_data };", "false };", 1)
    more = '\n// For harbours.\n@id("harbours")\npermit (principal, action, resource) when { false };\n'
    after = replace(before, council_part=replace(part, policy_text=without + more))
    report = _told(before, after)
    told = _sentences(report)
    assert "new rule harbours: For harbours." in told
    assert "is changed" in told
    assert [text.path for text in report.texts] == ["policy.cedar"]
    assert any(line.startswith("+") and "harbours" in line for line in report.texts[0].lines)


def test_nobody_forges_a_line(before: Directory) -> None:
    """The table is in other people's words: whatever these break, the report has one line for it."""
    part = before.council_part
    for breaks in ("\\n", "\\r", "\\u2028", "\\u0085"):
        forged = part.cases_text.replace('why = "', f'why = "Quiet.{breaks}  opened: nothing', 1)
        closed = "@id('all')\nforbid (principal, action, resource);\n".replace("'", '"')
        after = replace(before, council_part=replace(part, policy_text=closed, cases_text=forged))
        lines = _told(before, after).lines()
        assert any("Quiet." in line for line in lines if "finding" not in line)
        assert all(len(line.splitlines()) <= 1 for line in lines)


def test_what_was_not_looked_at_is_not_called_sound(before: Directory) -> None:
    """Nobody reads "nothing was found" where nothing was looked for."""
    judged, unjudged = (
        describe(before, before, START, judged=each).lines() for each in (True, False)
    )
    assert "were not looked at" not in judged[-1]
    assert "were not looked at" in unjudged[-1]


def _with_text(before: Directory, **texts: Any) -> Directory:
    return replace(before, council_part=replace(before.council_part, **texts))


def test_no_example_has_to_show_what_a_rule_opens(before: Directory) -> None:
    """A hole for a purpose that no table names: the change is told with the facts, not with chosen words."""
    part = before.council_part
    old = "context.personal_data };"
    assert old in part.policy_text
    hole = 'context.personal_data && context.purpose != Purpose::"search_and_rescue" };'
    after = _with_text(before, policy_text=part.policy_text.replace(old, hole))
    opened = [each for each in _told(before, after).effects if each.change == "opened"]
    said = "\n".join(each.sentence() for each in opened)
    assert "for search_and_rescue" in said
    assert "with personal data" in said


def test_a_table_cannot_hide_what_it_left_out(before: Directory) -> None:
    """Nor call it otherwise: what the table in force and the shipped one name is asked as well."""
    part = before.council_part
    hole = part.policy_text.replace(
        "context.personal_data };",
        'context.personal_data && context.purpose != Purpose::"border_monitoring" };',
    )
    blind = re.sub(
        r"\[what\.ordinary\]\nsays = .*", '[what.ordinary]\nsays = "a test"', part.cases_text
    )
    blind = blind.replace("personal_data = true", "personal_data = false")
    assert "personal_data = true" not in blind != part.cases_text
    report = _told(before, _with_text(before, policy_text=hole, cases_text=blind))
    said = [each.sentence() for each in report.effects if each.change == "opened"]
    assert any("with personal data" in each and "border_monitoring" in each for each in said)


def test_what_no_example_shows_is_not_called_nothing(before: Directory) -> None:
    """Where the rules' text differs, people are sent to the text."""
    part = before.council_part
    hole = part.policy_text.replace(
        "context.personal_data };",
        'context.personal_data && !(context.purpose == Purpose::"training" && context.kind =='
        ' Kind::"incident_report" && context.precedence == Precedence::"flash") };',
    )
    lines = _told(before, _with_text(before, policy_text=hole)).lines()
    assert not any("nothing changes" in line for line in lines)
    assert any("the text above changed: read it" in line for line in lines)


def test_a_founding_shows_how_its_rules_differ_from_the_shipped_ones(before: Directory) -> None:
    """A rule's comment is its author's; its text is printed."""
    assert _told(None, before).texts == ()
    text = before.council_part.policy_text.replace(
        "context.personal_data };",
        'context.personal_data && context.purpose != Purpose::"search_and_rescue" };',
    )
    lines = _told(None, _with_text(before, policy_text=text)).lines()
    assert any("search_and_rescue" in line and line.strip().startswith("+") for line in lines)


def test_a_first_directory_is_all_new(before: Directory) -> None:
    """Everything is told of a directory that follows none, and what the rules open."""
    report = _told(None, before)
    told = _sentences(report)
    assert "governors sign who the governors are" in told
    assert "new desk ly/main" in told
    assert report.effects
    assert report.to_plain()["versions"]["targets"] == (0, before.versions["targets"])
