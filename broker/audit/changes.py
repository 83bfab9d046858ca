"""Every directory that was published: who signed it, what it opened and closed; or why it is void.

Pure; may import `keys`, `schemas` and `broker.policy`. `directory` tells it of each, the report lists them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from tuf.api.metadata import Root

from broker.audit.rules import FINDINGS_OF_A_RULE_MAX
from broker.policy.differences import Report, describe
from keys.directory import MEMBER_ROLE_PREFIX, CouncilPart, Directory
from keys.signers import SignedFile, who_signed, who_tried
from keys.trust import read_initial_root
from keys.tuf_files import metadata_name
from schemas.errors import VerificationError
from schemas.scalars import format_time

CHANGES_OF_A_MEMBER_MAX: Final = 500
"""Changes of one member's file alone that a report lists: what publishes without end fills no memory."""

_COUNCIL_ROLES: Final = ("root", "targets")


@dataclass(frozen=True, slots=True)
class DirectoryChange:
    """A directory that came into force at the entry `index`, which is more than a renewal by the hub.

    Args:
        signed: who signed each file that is new; a new root stands twice, signed under the one before and
            under its own.
        report: what differs from the directory before, and what that opened and closed.
    """

    index: int
    at: datetime
    signed: tuple[SignedFile, ...]
    report: Report

    def to_plain(self) -> dict[str, Any]:
        """All of the change as plain JSON values."""
        report = self.report.to_plain()
        return {
            "index": self.index,
            "at": format_time(self.at),
            "versions": {role: list(each) for role, each in self.report.versions.items()},
            "signed": [_plain(file) for file in self.signed],
            "changes": report["changes"],
            "texts": report["texts"],
            "effects": [
                {**each, "sentence": effect.sentence()}
                for each, effect in zip(report["effects"], self.report.effects, strict=True)
            ],
            "notes": report["findings"],
        }


@dataclass(frozen=True, slots=True)
class VoidDirectory:
    """A directory that the hub logged and that never came into force.

    Args:
        rule: the finding that was reported of it.
        detail: which rule of directories it breaks.
        signed: who signed the files that were read of it, of the keys that counted at that moment.
    """

    index: int
    at: datetime
    rule: str
    detail: str
    signed: tuple[SignedFile, ...]

    def to_plain(self) -> dict[str, Any]:
        """The void directory as plain JSON values."""
        return {
            "index": self.index,
            "at": format_time(self.at),
            "rule": self.rule,
            "detail": self.detail,
            "signed": [_plain(file) for file in self.signed],
        }


def _plain(file: SignedFile) -> dict[str, Any]:
    return {
        "role": file.role,
        "under": file.under,
        "by": [
            {"key": signer.keyid} | ({"member": signer.member} if signer.member else {})
            for signer in file.signers
        ],
        "needed": file.threshold,
        "of": file.key_count,
    }


@dataclass(frozen=True, slots=True)
class DirectoryChanges:
    """What a report tells of the directory.

    Args:
        void: the first of them; `void_count` counts all.
        renewals: how often the hub renewed its snapshot, and nothing that anybody else signs.
        unlisted: by member, how many further changes of its file alone are counted and not listed.
    """

    listed: tuple[DirectoryChange, ...] = ()
    void: tuple[VoidDirectory, ...] = ()
    void_count: int = 0
    renewals: int = 0
    unlisted: Mapping[str, int] = field(default_factory=dict)

    def to_plain(self) -> dict[str, Any]:
        """All of it as plain JSON values."""
        return {
            "listed": [change.to_plain() for change in self.listed],
            "void": [void.to_plain() for void in self.void],
            "void_count": self.void_count,
            "renewals": self.renewals,
            "unlisted": dict(sorted(self.unlisted.items())),
        }


class ChangeLog:
    """Collects what each published directory changed.

    Args:
        trust_root: the exact bytes of the root that everything descends from.
    """

    def __init__(self, trust_root: bytes) -> None:
        self._root = read_initial_root(trust_root)
        self._root_files = {metadata_name("root", self._root.version): trust_root}
        self._listed: list[DirectoryChange] = []
        self._void: list[VoidDirectory] = []
        self._void_count = 0
        self._renewals = 0
        self._of_role: Counter[str] = Counter()
        self._unlisted: Counter[str] = Counter()

    def came_into_force(
        self,
        before: Directory | None,
        after: Directory,
        index: int,
        at: datetime,
        files: Mapping[str, bytes],
    ) -> tuple[str, ...]:
        """Compare a directory with the one before it, and find out who signed what is new.

        Args:
            files: trust files by name, those that were read to verify it.

        Returns:
            The TUF roles whose files are new; none where the hub's snapshot alone is.
        """
        roles = _new_roles(before, after)
        if not roles:
            self._renewals += 1
        elif self._is_to_be_listed(roles):
            known = {**self._root_files, **files}
            signed = [
                file
                for role in roles
                for file in who_signed(
                    role, known[metadata_name(role, after.versions[role])], before, after
                )
            ]
            report = describe(before, after, at, judged=False)
            self._listed.append(DirectoryChange(index, at, tuple(signed), report))
        return roles

    def _is_to_be_listed(self, roles: tuple[str, ...]) -> bool:
        """Whether the council changed, or a member's file of which not too many changes are listed."""
        if any(role in _COUNCIL_ROLES for role in roles):
            return True
        self._of_role.update(roles)
        if any(self._of_role[role] <= CHANGES_OF_A_MEMBER_MAX for role in roles):
            return True
        self._unlisted.update(role.removeprefix(MEMBER_ROLE_PREFIX) for role in roles)
        return False

    def was_void(
        self,
        before: Directory | None,
        index: int,
        at: datetime,
        finding: tuple[str, str],
        files: Mapping[str, bytes],
    ) -> None:
        """Note a directory that did not come into force.

        Args:
            before: the one that stays in force.
            finding: the rule that it was reported by, and its sentence.
            files: trust files by name, those that were read before it was found to be void.
        """
        self._void_count += 1
        if len(self._void) < FINDINGS_OF_A_RULE_MAX:
            root = before.root if before else self._root
            council = before.council_part if before else None
            signed = tuple(_tried(files, root, council))
            self._void.append(VoidDirectory(index, at, *finding, signed))

    def told(self) -> DirectoryChanges:
        """All that was collected."""
        return DirectoryChanges(
            listed=tuple(self._listed),
            void=tuple(self._void),
            void_count=self._void_count,
            renewals=self._renewals,
            unlisted=self._unlisted,
        )


def _new_roles(before: Directory | None, after: Directory) -> tuple[str, ...]:
    """The TUF roles whose files differ, root first; the snapshot is the hub's, and nobody signs it."""
    old = before.files if before else {}
    roles = {role for role, file in after.files.items() if file != old.get(role)} - {"snapshot"}
    return tuple(sorted(roles, key=lambda role: (role not in _COUNCIL_ROLES, role)))


def _tried(
    files: Mapping[str, bytes], root: Root, council: CouncilPart | None
) -> Iterator[SignedFile]:
    for name, data in sorted(files.items()):
        role = name.removeprefix("metadata/").partition(".")[2].removesuffix(".json")
        is_signed_by_people = role in _COUNCIL_ROLES or role.startswith(MEMBER_ROLE_PREFIX)
        if name.startswith("metadata/") and is_signed_by_people:
            try:
                yield who_tried(role, data, root, council)
            except VerificationError:
                # The finding says that it is no metadata, or of somebody to whom nothing is delegated.
                continue
