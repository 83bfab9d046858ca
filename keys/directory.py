"""A verified directory as its readers see it: desks with their keys and grants, groups, ceilings, expiry.

May import `schemas`, `keys.signing` and tuf's types; pure. `keys.trust` makes it from TUF files; hub, node,
auditor and access rules ask it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Final

from tuf.api.metadata import DelegatedRole, Key, Root

from keys.signing import VerifyingIdentity, request_keyid
from schemas.bulletin.vocabularies import Classification, DeskFunction
from schemas.directory import Ceiling, Council, Desk, MemberFile, Names, Profile
from schemas.entries import FileVersion
from schemas.errors import Problem
from schemas.purges import PurgeOrder
from schemas.scalars import member_of

MEMBER_ROLE_PREFIX: Final = "member-"
"""The delegated TUF role of a member is this and its id."""

PURGES_PATH: Final = "purges.json"
"""The target file with the orders to destroy openings; absent until there is one."""


@dataclass(frozen=True, slots=True)
class Delegation:
    """Under which keys, and how many of them, a member's metadata was verified."""

    role: DelegatedRole
    keys: Mapping[str, Key]


@dataclass(frozen=True, slots=True)
class CouncilPart:
    """What k of n governors signed: the council, the access rules, and which keys speak for whom."""

    council: Council
    policy_text: str
    schema_text: str
    cases_text: str
    """The table of cases by which governors read the rules; empty where there is none."""
    file_sha256: Mapping[str, str]
    """Target path → SHA-256, hex."""
    metadata: FileVersion
    expires: datetime
    delegations: Mapping[str, Delegation]
    """Member → delegation; a member that is still joining has none."""
    purges: tuple[PurgeOrder, ...] = ()
    """Every order to destroy the opening of a log entry."""


@dataclass(frozen=True, slots=True)
class MemberPart:
    """What one member signed: its file, and the delegation under which it did."""

    file: MemberFile
    file_sha256: str
    metadata: FileVersion
    expires: datetime
    delegation: Delegation


@dataclass(frozen=True, slots=True)
class DeskView:
    """A desk at one moment: what its member declares, what the council grants, and the keys that count.

    A key that its member revoked, or whose member is suspended or has a file that expired, is not here: such
    a desk has no node identity, no request key, or fewer release identities than its threshold.
    """

    id: str
    member: str
    kind: str
    names: Names
    classification_names: Mapping[Classification, Names]
    functions: frozenset[DeskFunction]
    ceiling: Ceiling
    node: VerifyingIdentity | None
    node_keyid: str | None
    request_key: bytes | None
    request_keyid: str | None
    release: tuple[VerifyingIdentity, ...]
    release_threshold: int
    bulletin_versions: tuple[int, ...]
    profile: Profile
    deputy: str | None
    receives: bool
    """Whether bulletins are meant to reach it: while none of its keys counts they wait for the next."""

    def without_keys(self) -> DeskView:
        """The same desk, none of whose keys counts."""
        return replace(
            self, node=None, node_keyid=None, request_key=None, request_keyid=None, release=()
        )


@dataclass(frozen=True)
class Directory:
    """One verified directory. What it says never changes; what of it still counts depends on the moment.

    Every question about keys takes `at`, the moment at which expiry is judged: the entry's `at` in hub,
    recipient and auditor, the clock in the sender.
    """

    root: Root
    root_file: FileVersion
    snapshot_file: FileVersion
    council_part: CouncilPart
    member_parts: Mapping[str, MemberPart]

    @property
    def council(self) -> Council:
        """`council.json`."""
        return self.council_part.council

    @property
    def policy_text(self) -> str:
        """`policy.cedar`."""
        return self.council_part.policy_text

    @property
    def schema_text(self) -> str:
        """`policy.cedarschema`."""
        return self.council_part.schema_text

    @property
    def purges_sha256(self) -> str | None:
        """SHA-256 of `purges.json`, hex; None where nothing was ever ordered to be destroyed."""
        return self.council_part.file_sha256.get(PURGES_PATH)

    @cached_property
    def members(self) -> Mapping[str, MemberFile]:
        """Member → its file; a member that is still joining has none."""
        return {member: part.file for member, part in self.member_parts.items()}

    @cached_property
    def files(self) -> Mapping[str, FileVersion]:
        """TUF role → version and SHA-256 of its metadata."""
        members = {
            MEMBER_ROLE_PREFIX + member: part.metadata for member, part in self.member_parts.items()
        }
        return {
            "root": self.root_file,
            "snapshot": self.snapshot_file,
            "targets": self.council_part.metadata,
            **members,
        }

    @cached_property
    def versions(self) -> Mapping[str, int]:
        """TUF role → version of its metadata."""
        return {role: file.version for role, file in self.files.items()}

    @property
    def council_expires(self) -> datetime:
        """When what the governors signed lapses; the hub's own expiry dates bind nobody, the log does."""
        return min(self.root.expires, self.council_part.expires)

    def council_expired(self, at: datetime) -> bool:
        """Whether the council has lapsed, which counts as being over the grace (the protocol)."""
        return at >= self.council_expires

    def member_expired(self, member: str, at: datetime) -> bool:
        """Whether a member's file has lapsed (or is not there), so that none of its keys counts."""
        part = self.member_parts.get(member)
        return part is None or at >= part.expires

    def suspended(self, member: str) -> bool:
        """Whether the council has suspended a member, so that none of its keys counts."""
        seat = self.council.members.get(member)
        return seat is not None and seat.suspended

    def revoked(self, member: str, keyid: str) -> bool:
        """Whether a member has revoked one of its own keys in its file."""
        part = self.member_parts.get(member)
        return part is not None and keyid in part.file.revoked

    def desks(self) -> tuple[str, ...]:
        """The ids of all desks, sorted: those that their member declares and the council grants."""
        return tuple(
            sorted(
                f"{member}/{unit}"
                for member, file in self.members.items()
                for unit in file.desks.keys() & self.council.members[member].desks.keys()
            )
        )

    def desk(self, desk: str, at: datetime) -> DeskView | None:
        """Find a desk with the keys that count at a moment.

        Args:
            desk: `member/unit`.
            at: the moment at which expiry is judged.

        Returns:
            None unless its member declares it and the council grants it functions.
        """
        if desk not in self._views:
            self._views[desk] = self._view(desk)
        view = self._views[desk]
        if view and (self.suspended(view.member) or self.member_expired(view.member, at)):
            return view.without_keys()
        return view

    def forget_views(self) -> None:
        """Let go of the keys that were loaded; for readers of many directories, each asked in its time."""
        self._views.clear()

    def desk_by_request_keyid(self, keyid: str) -> str | None:
        """Find whose request key has this keyid; ask `desk` whether it still counts."""
        return self._request_keyids.get(keyid)

    def expand_group(self, group: str, at: datetime) -> tuple[str, ...]:
        """Give the desks of a group's members that have its function and can receive, sorted.

        A desk whose keys do not count at the moment is among them, since it gets others; a suspended
        member's desks are not.

        Raises:
            Problem: `unknown-recipient`: no such group, a joint operation that has ended, or nobody of it
                can receive. An empty list is an error, never 'everyone'.
        """
        found = self.council.groups.get(group)
        if found is None:
            raise Problem("unknown-recipient", f"the council has no group {group[:64]!r}")
        if not found.holds(at):
            raise Problem("unknown-recipient", f"the joint operation {group} has ended")
        members = set(found.members)
        desks = []
        for desk in self.desks():
            view = self.desk(desk, at) if member_of(desk) in members else None
            if view and view.receives and found.function in view.functions:
                desks.append(desk)
        if not desks:
            raise Problem(
                "unknown-recipient", f"no {found.function} desk of the group {group} can receive"
            )
        return tuple(desks)

    def same_for(self, other: Directory, members: Collection[str]) -> bool:
        """Whether council, access rules and the files of these members are the same in both."""
        return self.council_part.file_sha256 == other.council_part.file_sha256 and all(
            self._file_sha256(member) == other._file_sha256(member) for member in members
        )

    def _file_sha256(self, member: str) -> str | None:
        part = self.member_parts.get(member)
        return part.file_sha256 if part else None

    @cached_property
    def _views(self) -> dict[str, DeskView | None]:
        # Loading an identity costs more than a look-up, and one directory answers many envelopes.
        return {}

    @cached_property
    def _request_keyids(self) -> Mapping[str, str]:
        found = {}
        for desk in self.desks():
            view = self._view(desk)
            if view and view.request_keyid:
                found[view.request_keyid] = desk
        return found

    def _view(self, desk: str) -> DeskView | None:
        member, _, unit = desk.partition("/")
        part, seat = self.member_parts.get(member), self.council.members.get(member)
        if part is None or seat is None or unit not in part.file.desks or unit not in seat.desks:
            return None
        declared = part.file.desks[unit]
        node, node_keyid = self._node(declared, part.file)
        keyid = request_keyid(self.council.exchange, declared.request)
        request = None if keyid in part.file.revoked else declared.request
        return DeskView(
            id=desk,
            member=member,
            kind=seat.kind,
            names=declared.names,
            classification_names=part.file.classification_names,
            functions=frozenset(seat.desks[unit]),
            ceiling=seat.ceiling,
            node=node,
            node_keyid=node_keyid,
            request_key=request,
            request_keyid=keyid if request else None,
            release=self._release(declared, part.file),
            release_threshold=declared.release_threshold,
            bulletin_versions=declared.bulletin_versions,
            profile=declared.profile,
            deputy=declared.deputy,
            receives=declared.node is not None and not seat.suspended,
        )

    def _node(
        self, declared: Desk, file: MemberFile
    ) -> tuple[VerifyingIdentity, str] | tuple[None, None]:
        if declared.node is None:
            return None, None
        identity = VerifyingIdentity.from_key(declared.node)
        keyid = identity.keyid(self.council.exchange)
        return (None, None) if keyid in file.revoked else (identity, keyid)

    def _release(self, declared: Desk, file: MemberFile) -> tuple[VerifyingIdentity, ...]:
        identities = [VerifyingIdentity.from_key(key) for key in declared.release]
        return tuple(
            identity
            for identity in identities
            if identity.keyid(self.council.exchange) not in file.revoked
        )
