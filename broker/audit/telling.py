"""The changes of the directory and the remarks of a report, as lines for people.

Pure; may import the auditor's own rooms. The command line prints them, `report` has the form for programs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from broker.audit.changes import DirectoryChange, DirectoryChanges, VoidDirectory
from broker.audit.remarks import KEYID_SHOWN, Remark
from broker.policy.changes import one_line
from keys.directory import MEMBER_ROLE_PREFIX
from keys.signers import SignedFile
from schemas.scalars import format_time

LINES_SHOWN: Final = 5
"""Changes of one directory that are told unless all are asked for; effects likewise."""

FILES_SHOWN: Final = 3
"""More members' files in one directory than this are told together, as in the first of an exchange."""


def change_lines(told: DirectoryChanges, *, whole: bool, since: int = 0) -> Iterator[str]:
    """Tell each directory, in the order of the log.

    Args:
        whole: all changes and effects of each, and the lines of the rules that differ.
        since: entries before this one an earlier audit has told; they are told again only if `whole`.
    """
    yield (
        f"Changes of the directory: {len(told.listed)}; void: {told.void_count};"
        f" renewals by the hub alone: {told.renewals}"
    )
    listed = [each for each in told.listed if whole or each.index >= since]
    both: list[DirectoryChange | VoidDirectory] = [*listed, *told.void]
    for entry in sorted(both, key=lambda each: each.index):
        if isinstance(entry, DirectoryChange):
            yield from map(one_line, _change(entry, whole=whole))
        else:
            yield from map(one_line, _void(entry))
    if earlier := len(told.listed) - len(listed):
        yield f"  {earlier} of them an earlier audit has told: `barid audit verify --changes` tells all."
    if hidden := told.void_count - len(told.void):
        yield f"  {hidden} more void directories are counted, not listed."
    for member, count in sorted(told.unlisted.items()):
        yield f"  {count} more changes of the file of {member} are counted, not listed."


def _change(change: DirectoryChange, *, whole: bool) -> Iterator[str]:
    report = change.report
    yield f"  entry {change.index}, {format_time(change.at)}"
    yield from (f"    {line}" for line in _signatures(change.signed, report.versions))
    said = [each.text for each in report.changes]
    effects = [effect.sentence() for effect in report.effects]
    for lines, what in ((said, "changes"), (effects, "effects")):
        shown = lines if whole else lines[:LINES_SHOWN]
        yield from (f"    - {line}" for line in shown)
        if len(lines) > len(shown):
            more = len(lines) - len(shown)
            yield f"    and {more} more {what}: `barid audit verify --changes` tells all"
    if "targets" in report.versions and not effects and not report.findings:
        yield "    - by the table of cases, what desks can exchange stays the same"
    yield from (f"    - {finding.sentence()}" for finding in report.findings)
    for text in report.texts if whole else ():
        yield f"    how {text.path} changes"
        yield from (f"      {line}" for line in text.lines)


def _signatures(
    signed: Sequence[SignedFile], versions: dict[str, tuple[int, int]]
) -> Iterator[str]:
    members = [file for file in signed if file.role.startswith(MEMBER_ROLE_PREFIX)]
    together = members if len(members) > FILES_SHOWN else []
    for file in signed:
        if file in together:
            continue
        name = f"{file.role} version {versions[file.role][1]}"
        yield f"{name}, signed {_by(file)}"
    if together:
        names = ", ".join(file.role.removeprefix(MEMBER_ROLE_PREFIX) for file in together)
        yield f"the files of {names}, each signed by its member"


def _by(file: SignedFile) -> str:
    if file.role == "root":
        whose = " under the root before" if file.under == "before" else " under its own"
    else:
        whose = ""
    return f"by {signers_in_words(file)} ({file.threshold} of {file.key_count} must){whose}"


def signers_in_words(file: SignedFile) -> str:
    """Name who signed: governors by the member that holds the key, a member's people by their keys."""
    if not file.signers:
        return "nobody who counts"
    if file.role.startswith(MEMBER_ROLE_PREFIX):
        keys = ", ".join(signer.keyid[:KEYID_SHOWN] for signer in file.signers)
        return f"{file.role.removeprefix(MEMBER_ROLE_PREFIX)} with {keys}"
    names = Counter(signer.member or signer.keyid[:KEYID_SHOWN] for signer in file.signers)
    return ", ".join(
        name if count == 1 else f"{name} (with {count} keys)"
        for name, count in sorted(names.items())
    )


def _void(void: VoidDirectory) -> Iterator[str]:
    yield f"  entry {void.index}, {format_time(void.at)}: VOID, rule {void.rule}"
    yield f"    {void.detail}"
    for file in void.signed:
        must = f"{file.threshold} of {file.key_count} must"
        yield f"    {file.role}: of the keys in force signed {signers_in_words(file)} ({must})"


def remark_lines(remarks: Sequence[Remark]) -> Iterator[str]:
    """Tell what people should look at: no finding, so that the exit code does not depend on it."""
    for remark in remarks:
        yield f"To look at{_when(remark)}: {remark.text}"


def _when(remark: Remark) -> str:
    if remark.since is None:
        return ""
    if remark.until is None:
        return f", {remark.log} log from entry {remark.since} on"
    return f", {remark.log} log from entry {remark.since} until entry {remark.until}"
