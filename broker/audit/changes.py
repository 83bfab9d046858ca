"""What each directory that came into force changed: which files, who signed them, what it opened and closed.

Pure; may import `keys`, `schemas` and `broker.policy`. `directory` makes one for each, the report lists them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from securesystemslib.signer import Key

from broker.policy.differences import Report, describe
from keys.directory import MEMBER_ROLE_PREFIX, Directory
from keys.proposals import governors_of
from keys.signers import signers_of
from keys.tuf_files import metadata_name
from schemas.scalars import format_time

MAJORITY: Final = 2
"""A threshold of one half or less lets two groups of governors sign two directories."""


@dataclass(frozen=True, slots=True)
class DirectoryChange:
    """A directory that came into force at entry `index`.

    Args:
        signers: by TUF role that changed, who signed it: members for governors' keys that the council
            attributes, else keyids.
        report: what differs from the directory before, and what that opened and closed.
    """

    index: int
    at: datetime
    signers: Mapping[str, tuple[str, ...]]
    report: Report

    @property
    def is_renewal(self) -> bool:
        """Whether the hub's snapshot alone is new, and nothing that anybody else signed."""
        return not self.report.versions

    def to_plain(self) -> dict[str, Any]:
        """The change as plain JSON values."""
        return {
            "index": self.index,
            "at": format_time(self.at),
            "versions": {role: list(each) for role, each in self.report.versions.items()},
            "signed_by": {role: list(names) for role, names in self.signers.items()},
            "changes": [change.text for change in self.report.changes],
            "effects": [effect.sentence() for effect in self.report.effects],
        }


def change_of(
    before: Directory | None,
    after: Directory,
    index: int,
    at: datetime,
    files: Mapping[str, bytes],
) -> DirectoryChange:
    """Compare a directory with the one before it, and find out who signed what is new.

    Args:
        files: trust files by name: those that were read to verify it, and the trust root.
    """
    report = describe(before, after, at, judged=False)
    signers = {}
    for role in sorted(report.versions):
        data = files[metadata_name(role, after.versions[role])]
        signers[role] = _names(signers_of(data, _keys(role, before, after)), before, after)
    return DirectoryChange(index, at, signers, report)


def _keys(role: str, before: Directory | None, after: Directory) -> Mapping[str, Key]:
    member = role.removeprefix(MEMBER_ROLE_PREFIX)
    if member != role:
        return after.council_part.delegations[member].keys
    keys = {key.keyid: key for key in governors_of(after.root).keys}
    if role == "root" and before is not None:
        keys |= {key.keyid: key for key in governors_of(before.root).keys}
    return keys


def _names(keyids: tuple[str, ...], before: Directory | None, after: Directory) -> tuple[str, ...]:
    holders = {**(before.council.governors if before else {}), **after.council.governors}
    return tuple(sorted(holders.get(keyid, keyid) for keyid in keyids))


def remarks_on(directory: Directory, at: datetime) -> tuple[str, ...]:
    """What people should look at in the directory in force, though it breaks no rule."""
    governors = governors_of(directory.root)
    held = directory.council.governors
    found = []
    if strangers := [key.keyid for key in governors.keys if key.keyid not in held]:
        found.append(f"council.json does not say whose {len(strangers)} governors' keys are")
    for member, count in sorted(Counter(held.values()).items()):
        if count > 1:
            found.append(f"{member} holds {count} governors' keys")
    if governors.threshold * MAJORITY <= len(governors.keys):
        found.append(
            f"{governors.threshold} of {len(governors.keys)} governors are no majority: two groups could"
            " sign two directories"
        )
    if directory.council_expired(at):
        found.append(
            f"what the governors signed lapsed at {format_time(directory.council_expires)}"
        )
    return tuple(found)
