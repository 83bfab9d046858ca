"""A report's section on the directory, as people read it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from broker.audit import changes as changes_module
from broker.audit.changes import DirectoryChanges
from broker.audit.remarks import Remark
from broker.audit.telling import LINES_SHOWN, change_lines, remark_lines, signers_in_words
from keys.signers import SignedFile, Signer
from schemas.directory import MemberFile
from schemas.entries import FileVersion
from tests.unit.audit.governing import (
    LOOSE,
    extended,
    govern,
    grace,
    publish_council,
    publish_member,
    publish_rules,
    published,
    revoke,
    rotate,
)
from tests.unit.audit.world import AuditWorld, audit


@pytest.fixture
def governed(story: AuditWorld) -> AuditWorld:
    """An honest exchange whose council says whose the governors' keys are."""
    govern(story)
    return story


def test_what_was_told_before_is_counted(governed: AuditWorld, tmp_path: Path) -> None:
    """Unless all of it is asked for."""
    report = audit(governed.served(), governed, tmp_path)
    size = len(governed.entries)
    later = list(change_lines(report.changes, whole=False, since=size))
    count = len(report.changes.listed)
    assert later[1:] == [
        f"  {count} of them an earlier audit has told: `barid audit verify --changes` tells all."
    ]
    newest = report.changes.listed[-1].index
    told = list(change_lines(report.changes, whole=False, since=newest))
    assert [line for line in told if line.startswith("  entry ")] != []
    assert list(change_lines(report.changes, whole=True, since=size)) == list(
        change_lines(report.changes, whole=True)
    )


def _told(world: AuditWorld, data: Path, *, whole: bool = False) -> list[str]:
    report = audit(world.served(), world, data)
    return list(change_lines(report.changes, whole=whole))


def _from(lines: list[str], index: int) -> list[str]:
    """The lines of one entry."""
    start = next(n for n, line in enumerate(lines) if line.startswith(f"  entry {index},"))
    rest = lines[start + 1 :]
    end = next((n for n, line in enumerate(rest) if not line.startswith("    ")), len(rest))
    return [lines[start], *rest[:end]]


def test_a_council_a_member_and_a_void_directory(governed: AuditWorld, tmp_path: Path) -> None:
    """Entry, time, version, who signed of how many, what changed; and a void one with its rule."""
    council = publish_council(governed, extended)
    member = publish_member(governed, "ly", revoke("ab" * 32))
    published(governed)
    bad = publish_council(governed, grace(1), signing=2)
    lines = _told(governed, tmp_path)
    entries = [int(line.split()[1].rstrip(",")) for line in lines if line.startswith("  entry")]
    assert entries == [0, 19, 20, council, member, bad]
    assert lines[0] == "Changes of the directory: 5; void: 1; renewals by the hub alone: 1"
    assert _from(lines, council) == [
        f"  entry {council}, 2026-11-24T22:01:20Z",
        "    targets version 3, signed by dz, ly, ml (3 of 5 must)",
        "    - Arab Maghreb Union (arab_maghreb_union): eg joined",
        "    - by the table of cases, what desks can exchange stays the same",
    ]
    key = governed.member_keys["ly"].public_key.keyid[:16]
    assert _from(lines, member) == [
        f"  entry {member}, 2026-11-24T22:01:20Z",
        f"    member-ly version 3, signed by ly with {key} (1 of 1 must)",
        f"    - ly revokes its key {'ab' * 32}",
    ]
    void = _from(lines, bad)
    assert void[0].endswith("VOID, rule directory")
    assert "targets is not signed as it must be" in void[1]
    assert void[2:] == ["    targets: of the keys in force signed dz, ly (3 of 5 must)"]


def test_a_root_says_under_which_root_it_was_signed(governed: AuditWorld, tmp_path: Path) -> None:
    """Twice: by those who were, and by those who are."""
    rotate(governed)
    lines = _from(_told(governed, tmp_path), len(governed.entries) - 1)
    assert lines[1:4] == [
        "    root version 2, signed by dz, ly, ml (3 of 5 must) under the root before",
        "    root version 2, signed by dz, ly, ml (3 of 5 must) under its own",
        "    targets version 3, signed by dz, ly, ml (3 of 5 must)",
    ]


def test_a_first_directory_tells_its_members_together(story: AuditWorld, tmp_path: Path) -> None:
    """Ten members are one line."""
    lines = _from(_told(story, tmp_path), 0)
    together = [line for line in lines if "each signed by its member" in line]
    assert together == [
        "    the files of auc, dz, eg, ly, ma, ml, mr, ne, td, tn, each signed by its member"
    ]


def test_short_and_whole(governed: AuditWorld, tmp_path: Path) -> None:
    """Few changes and few effects, unless all are asked for, with the lines of the rules."""
    index = publish_rules(governed, LOOSE)
    short = _from(_told(governed, tmp_path), index)
    whole = _from(_told(governed, tmp_path, whole=True), index)
    more = [line for line in short if "`barid audit verify --changes` tells all" in line]
    assert [line.split(":")[0].split()[-1] for line in more] == ["changes", "effects"][: len(more)]
    assert more
    said = [line for line in short if line.startswith("    - ")]
    assert len([line for line in said if "opened: " not in line]) == LINES_SHOWN
    assert len([line for line in said if "opened: " in line]) <= LINES_SHOWN
    assert len(whole) > len(short)
    assert not any("--changes" in line for line in whole)
    assert "    how policy.cedar changes" in whole
    assert "      +" + LOOSE.splitlines()[0] in whole
    assert "    how policy.cedar changes" not in short


def test_what_is_not_listed_is_counted(
    governed: AuditWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Void directories and a member's changes beyond the limit."""
    monkeypatch.setattr(changes_module, "CHANGES_OF_A_MEMBER_MAX", 2)
    monkeypatch.setattr(changes_module, "FINDINGS_OF_A_RULE_MAX", 1)
    for _ in range(4):
        publish_member(governed, "ly")
    for _ in range(3):
        published(governed, root=FileVersion(version=7, sha256="0" * 64))
    assert _told(governed, tmp_path)[-2:] == [
        "  2 more void directories are counted, not listed.",
        "  3 more changes of the file of ly are counted, not listed.",
    ]


def test_nothing_to_tell() -> None:
    """An exchange without a directory says so."""
    assert list(change_lines(DirectoryChanges(), whole=False)) == [
        "Changes of the directory: 0; void: 0; renewals by the hub alone: 0"
    ]


SIGNERS: list[tuple[SignedFile, str]] = [
    (SignedFile("targets", "before", (), 3, 5), "nobody who counts"),
    (
        SignedFile("targets", "after", (Signer("a" * 64, "tn"), Signer("b" * 64, "tn")), 2, 5),
        "tn (with 2 keys)",
    ),
    (SignedFile("root", "after", (Signer("c" * 64, None),), 1, 1), "c" * 16),
]


@pytest.mark.parametrize(("file", "words"), SIGNERS, ids=["nobody", "twice", "unknown"])
def test_signers_in_words(file: SignedFile, words: str) -> None:
    """Nobody, one state twice, a key of nobody."""
    assert signers_in_words(file) == words


def test_remarks_say_where_they_begin_and_end() -> None:
    """From an entry on, until an entry, or at the moment of the audit."""
    at = datetime(2026, 11, 24, tzinfo=UTC)
    remarks = (
        Remark("directory", "governor-twice", 3, None, "tn holds 2"),
        Remark("exchange", "logged-while-lapsed", 4, 9, "5 entries"),
        Remark("directory", "council-lapsed", None, None, f"lapsed at {at.year}"),
    )
    assert list(remark_lines(remarks)) == [
        "To look at, directory log from entry 3 on: tn holds 2",
        "To look at, exchange log from entry 4 until entry 9: 5 entries",
        "To look at: lapsed at 2026",
    ]


def test_a_name_forges_no_line(governed: AuditWorld, tmp_path: Path) -> None:
    """A member's file whose names break lines is void, and the report of it has no line of the member's."""

    def renamed(file: MemberFile) -> MemberFile:
        forged = "Main\n  entry 99, 2026-11-24T22:00:00Z: VOID, rule directory"
        desk = file.desks["main"]
        names = desk.names.model_copy(update={"en": forged})
        desks = {**file.desks, "main": desk.model_copy(update={"names": names})}
        return file.model_copy(update={"desks": desks})

    publish_member(governed, "ly", renamed)
    lines = _told(governed, tmp_path, whole=True)
    assert any("VOID, rule directory" in line for line in lines)
    assert not any("entry 99" in line for line in lines)
    assert not any("\n" in line for line in lines)
