"""Proposals: what governors or a member's people are asked to sign, made and read without a network.

May import `schemas` and the rest of `keys`; pure. `keys.endorsing` collects the signatures; nobody signs what
`read_proposal` has not verified.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from securesystemslib.signer import Key
from tuf.api.metadata import Metadata, Root, Targets

from keys.ceremony import MemberRequest
from keys.directory import MEMBER_ROLE_PREFIX, Directory
from keys.directory_files import OpenedDirectory
from keys.repository import (
    CouncilFiles,
    make_member,
    make_root,
    make_targets,
    tuf_key,
)
from keys.trust import member_path
from keys.trust_keys import key_message
from keys.tuf_files import check_tuf_keys
from schemas.directory import MemberFile
from schemas.errors import ConfigurationError, VerificationError
from schemas.governance import MemberKeys, Proposal
from schemas.limits import GOVERNORS_MAX
from schemas.loader import dump_json

FIRST_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Governors:
    """The governors from now on: their public keys, and how many must sign."""

    keys: tuple[Key, ...]
    threshold: int

    def __post_init__(self) -> None:
        if not 1 <= self.threshold <= len(self.keys) <= GOVERNORS_MAX:
            raise ConfigurationError(
                f"of {len(self.keys)} governors {self.threshold} cannot sign: choose another threshold"
            )
        try:
            check_tuf_keys(self.keys)
        except VerificationError as error:
            raise ConfigurationError(f"the governors' keys are not right: {error}") from error


@dataclass(frozen=True, slots=True)
class NewRoot:
    """What a new root changes: governors, or the hub's raw Ed25519 key (32 bytes), or its expiry alone."""

    governors: Governors | None = None
    online: bytes | None = None


def governors_of(root: Root) -> Governors:
    """Read the governors out of a root."""
    role = root.roles["targets"]
    return Governors(tuple(root.keys[keyid] for keyid in sorted(role.keyids)), role.threshold)


def online_key_of(root: Root) -> Key:
    """Read the hub's online key out of a root."""
    (keyid,) = root.roles["snapshot"].keyids
    return root.keys[keyid]


def propose_first(
    files: CouncilFiles,
    governors: Governors,
    online: bytes,
    requests: Sequence[MemberRequest],
    expires: datetime,
    made: datetime,
) -> bytes:
    """Propose the first directory of an exchange.

    Args:
        files: council and access rules.
        governors: all of them; a threshold has to sign.
        online: the hub's raw Ed25519 key, 32 bytes.
        requests: those of the members that join at once; the others may follow.
        expires: of root and targets, UTC, whole seconds.
        made: now.
    """
    root = make_root(FIRST_VERSION, governors.keys, governors.threshold, tuf_key(online), expires)
    delegations = {request.member: request.delegation for request in requests}
    targets = make_targets(FIRST_VERSION, files, delegations, expires)
    return _write(files, None, {"root": root, "targets": targets}, requests, made)


def propose_council(
    files: CouncilFiles,
    base: OpenedDirectory,
    requests: Sequence[MemberRequest],
    expires: datetime,
    made: datetime,
    root: NewRoot | None = None,
) -> bytes:
    """Propose another council, other rules, further members, or other governors.

    A new root comes with new targets, which the new governors sign: signatures of governors who have
    left no longer count.

    Args:
        files: council and access rules from now on.
        base: the directory that it follows.
        requests: of members that join, or that change the keys which sign for them.
        expires: of what is signed now, UTC, whole seconds.
        made: now.
        root: makes a new root; None keeps the one in force.

    Raises:
        ConfigurationError: a request does not fit.
    """
    before = base.directory
    parts = before.council_part
    delegations = {m: d for m, d in parts.delegations.items() if m in files.council.members}
    delegations |= {request.member: request.delegation for request in requests}
    proposed: dict[str, Any] = {}
    if root is not None:
        chosen = root.governors or governors_of(before.root)
        hub = online_key_of(before.root) if root.online is None else tuf_key(root.online)
        number = before.root.version + 1
        proposed["root"] = make_root(number, chosen.keys, chosen.threshold, hub, expires)
    number = before.versions["targets"] + 1
    proposed["targets"] = make_targets(number, files, delegations, expires)
    return _write(files, base, proposed, requests, made)


def council_files(directory: Directory) -> CouncilFiles:
    """Council, rules and purge orders as they are in a directory, to be changed."""
    part = directory.council_part
    texts = (part.policy_text, part.schema_text, part.cases_text)
    return CouncilFiles(part.council, *texts, part.purges)


def propose_member(
    file: MemberFile, base: OpenedDirectory, expires: datetime, made: datetime
) -> bytes:
    """Propose another version of a member's file, which its own people sign.

    Args:
        file: its desks and keys from now on.
        base: the directory that it follows, in which the member has a file.
        expires: UTC, whole seconds; from then on none of the file's keys counts.
        made: now.

    Raises:
        ConfigurationError: the directory has no file of this member, or is of another exchange.
    """
    directory = base.directory
    part = directory.member_parts.get(file.member)
    if part is None or file.exchange != directory.council.exchange:
        raise ConfigurationError(
            f"{file.member} has no file in the directory of {directory.council.exchange}: its first"
            " one comes with its request"
        )
    targets = make_member(part.metadata.version + 1, file, expires)
    return _write_member(file, base, targets, None, made)


def propose_joining(
    file: MemberFile,
    keys: Sequence[Key],
    threshold: int,
    expires: datetime,
    made: datetime,
    version: int = FIRST_VERSION,
) -> bytes:
    """Propose the first file of a member that asks to join, or that changes the keys that sign for it.

    Args:
        file: its desks and keys.
        keys: of the people who sign for the member from now on.
        threshold: how many of them must.
        expires: UTC, whole seconds.
        made: now.
        version: of the member's metadata; the next one where it had some before.
    """
    if not 1 <= threshold <= len(keys):
        raise ConfigurationError(f"{threshold} of {len(keys)} keys cannot sign")
    joining = MemberKeys(keys=tuple(key_message(key) for key in keys), threshold=threshold)
    return _write_member(file, None, make_member(version, file, expires), joining, made)


def _write_member(
    file: MemberFile,
    base: OpenedDirectory | None,
    targets: Targets,
    joining: MemberKeys | None,
    made: datetime,
) -> bytes:
    return dump_json(
        Proposal(
            v=1,
            exchange=file.exchange,
            made=made,
            base=base.message if base else None,
            joining=joining,
            unsigned={MEMBER_ROLE_PREFIX + file.member: Metadata(targets).to_bytes()},
            targets={member_path(file.member): dump_json(file)},
            signed={},
        )
    )


def _write(
    files: CouncilFiles,
    base: OpenedDirectory | None,
    proposed: Mapping[str, Any],
    requests: Sequence[MemberRequest],
    made: datetime,
) -> bytes:
    _check_requests(files, base, requests)
    signed: dict[str, bytes] = {}
    for request in requests:
        signed |= request.files()
    return dump_json(
        Proposal(
            v=1,
            exchange=files.council.exchange,
            made=made,
            base=base.message if base else None,
            unsigned={role: Metadata(payload).to_bytes() for role, payload in proposed.items()},
            targets=files.targets(),
            signed=signed,
        )
    )


def _check_requests(
    files: CouncilFiles, base: OpenedDirectory | None, requests: Sequence[MemberRequest]
) -> None:
    council = files.council
    if len({request.member for request in requests}) != len(requests):
        raise ConfigurationError("a member handed in two requests: choose one")
    for request in requests:
        member = request.member
        if request.file.exchange != council.exchange:
            raise ConfigurationError(
                f"{member} asks to join {request.file.exchange}, not {council.exchange}"
            )
        if member not in council.members:
            raise ConfigurationError(f"{member} is no member: add it to council.json first")
        strangers = request.file.desks.keys() - council.members[member].desks.keys()
        if strangers:
            raise ConfigurationError(
                f"council.json grants nothing to {member}/{min(strangers)}: add the desk there"
            )
        part = base.directory.member_parts.get(member) if base else None
        # One that comes back after it left goes on where it was, and the directory log says where.
        if part and request.part.metadata.version != (known := part.metadata.version) + 1:
            raise ConfigurationError(
                f"the request of {member} carries version {request.part.metadata.version} of its"
                f" file; {known + 1} is next"
            )
