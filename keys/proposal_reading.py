"""Reading a proposal: everything in it that can be verified, from the reader's own trust root.

May import `schemas` and the rest of `keys`; pure. People are shown what `read_proposal` gives, and
`keys.endorsing` signs that alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from pydantic import ValidationError
from securesystemslib.signer import Key
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, Root, TargetFile, Targets

from keys.derivation import sha256_hex
from keys.desk_requests import check_desk_keys
from keys.directory import MEMBER_ROLE_PREFIX, CouncilPart, Delegation, Directory, MemberPart
from keys.directory_files import OpenedDirectory, member_of_role, open_directory
from keys.proposals import Governors, governors_of, online_key_of
from keys.purge_orders import check_kept
from keys.repository import delegation
from keys.trust import check_distinct_keys, member_path, read_council, verify_member
from keys.trust_keys import load_key, load_member_keys
from keys.tuf_files import TrustFileMissing, check_tuf_keys, metadata_name, read_metadata
from schemas.directory import MemberFile
from schemas.entries import FileVersion
from schemas.errors import ConfigurationError, ParseError, VerificationError
from schemas.governance import Proposal, TrustKey
from schemas.limits import PUBLICATION_BYTES_MAX, TRUST_FILE_BYTES_MAX
from schemas.loader import parse

_NOTHING: Final = FileVersion(version=1, sha256=sha256_hex())

Payload = TypeVar("Payload", Root, Targets)


@dataclass(frozen=True, slots=True)
class Quorum:
    """Whose signatures one role needs: `threshold` of `keys`, by keyid; `what` says who they are."""

    what: str
    keys: Mapping[str, Key]
    threshold: int


@dataclass(frozen=True, slots=True)
class Task:
    """One role's metadata to be signed: by one quorum, or by two where the governors change."""

    role: str
    metadata: Metadata[Root] | Metadata[Targets]
    quorums: tuple[Quorum, ...]

    @property
    def keys(self) -> dict[str, Key]:
        """Everyone who may sign it."""
        return {keyid: key for quorum in self.quorums for keyid, key in quorum.keys.items()}

    def missing(self, signed: Iterable[str]) -> int:
        """How many more must sign, where these keyids have."""
        present = set(signed)
        return max(max(0, q.threshold - len(present & set(q.keys))) for q in self.quorums)


@dataclass(frozen=True, slots=True)
class ReadProposal:
    """A proposal that is whole: what is in force as its maker says, what would be, and who must sign.

    `before` is absent where an exchange is founded; `before` and `after` where a member asks to join, and
    `member` is what a member proposes. Nothing in `after` is signed yet; it is for showing. `sha256` is
    what people read to each other before they sign.
    """

    message: Proposal
    sha256: str
    before: Directory | None
    after: Directory | None
    member: MemberPart | None
    tasks: tuple[Task, ...]

    def task(self, role: str) -> Task | None:
        """The task of one role."""
        return next((task for task in self.tasks if task.role == role), None)

    def roles_of(self, keyid: str) -> tuple[str, ...]:
        """Which roles a key would sign."""
        return tuple(task.role for task in self.tasks if keyid in task.keys)


def read_proposal(data: bytes, initial_root: bytes | None) -> ReadProposal:
    """Read a proposal, and verify all of it that can be verified before anyone signs.

    1. The directory on which it builds descends from the reader's own trust root.
    2. Each role is well-formed, and has the version that follows.
    3. Root and targets are signed by the same governors, snapshot and timestamp by one key; every key stands
       under its own keyid, which people compare.
    4. Council, rules, delegations and the members' files are what a node would take; no purge order is taken
       back.

    Args:
        data: the exact bytes.
        initial_root: the exact bytes of the reader's trust root; None where an exchange is founded, or a
            member asks to join.

    Raises:
        ConfigurationError: it is no proposal, or asks for what no governor should sign; says what.
        VerificationError: what it builds on does not descend from the trust root.
    """
    try:
        message = parse(Proposal, data, PUBLICATION_BYTES_MAX)
    except ParseError as error:
        raise ConfigurationError(f"this is no proposal: {error}") from error
    base = _open_base(message, initial_root)
    before = base.directory if base else None
    try:
        if "targets" in message.unsigned or "root" in message.unsigned:
            council, tasks = _read_council(message, before)
            return ReadProposal(message, sha256_hex(data), before, council, None, tasks)
        part, task = _read_member(message, before)
        after = _with_member(before, part) if before else None
        return ReadProposal(message, sha256_hex(data), before, after, part, (task,))
    except VerificationError as error:
        raise ConfigurationError(f"the proposal must not be signed: {error}") from error


def _open_base(message: Proposal, initial_root: bytes | None) -> OpenedDirectory | None:
    if message.base is None:
        if initial_root is not None and message.joining is None:
            raise ConfigurationError(
                "the proposal founds a new exchange, and you have a trust root of"
                f" {message.exchange} already: ask its maker which directory it builds on"
            )
        return None
    if initial_root is None:
        raise ConfigurationError(
            "the proposal builds on a directory, and you have no trust root yet to verify it from:"
            " give the invitation that you were handed (--invitation)"
        )
    base = open_directory(message.base, initial_root)
    if base.message.exchange != message.exchange:
        raise ConfigurationError(f"the proposal builds on a directory of {base.message.exchange}")
    return base


def _read_council(
    message: Proposal, before: Directory | None
) -> tuple[Directory, tuple[Task, ...]]:
    if message.unsigned.keys() - {"root", "targets"} or "targets" not in message.unsigned:
        raise ConfigurationError("a council is proposed by targets, alone or with a root")
    if message.joining is not None:
        raise ConfigurationError("a proposal is the council's or a member's, not both")
    tasks = []
    root, root_file = (before.root, before.root_file) if before else (None, None)
    if "root" in message.unsigned:
        metadata = _unsigned(message, "root", Root, before)
        root, root_file = metadata.signed, _file_of(message, "root", metadata.signed.version)
        tasks.append(Task("root", metadata, _root_quorums(before, root)))
    if root is None or root_file is None:
        raise ConfigurationError("the first proposal has a root")
    targets = _unsigned(message, "targets", Targets, before)
    version = _file_of(message, "targets", targets.signed.version)
    council = read_council(targets.signed, version, _reader(message.targets))
    for delegated in council.delegations.values():
        _check_delegation(delegated)
    if message.targets.keys() != targets.signed.targets.keys():
        raise ConfigurationError("the proposal carries files that its targets do not list")
    if council.council.exchange != message.exchange:
        raise ConfigurationError(f"council.json is of {council.council.exchange}")
    if before is not None:
        check_kept(before.council_part.purges, council.purges)
    tasks.append(Task("targets", targets, (_council_quorum("governors", root),)))
    snapshot = before.snapshot_file if before else _NOTHING
    after = Directory(root, root_file, snapshot, council, _members(message, council, before))
    return after, tuple(tasks)


def _check_delegation(delegated: Delegation) -> None:
    """Refuse keys that are named and not there: people would count them among those who can sign."""
    if len(delegated.keys) != len(delegated.role.keyids):
        raise VerificationError(f"{delegated.role.name} names keys that are not there")
    if delegated.role.threshold > len(delegated.keys):
        raise VerificationError(f"{delegated.role.name} asks for more signatures than it has keys")
    _check_keyids(delegated.keys.values())


def _root_quorums(before: Directory | None, root: Root) -> tuple[Quorum, ...]:
    new = _council_quorum("governors", root)
    if before is None:
        return (new,)
    old = _council_quorum("governors until now", before.root)
    return (old, new)


def _council_quorum(what: str, root: Root) -> Quorum:
    governors = _checked_root(root)
    return Quorum(what, {key.keyid: key for key in governors.keys}, governors.threshold)


def _checked_root(root: Root) -> Governors:
    """Refuse a root that gives its parts to different people: a governor would read only one of them."""
    roles = root.roles
    if roles["root"].keyids != roles["targets"].keyids or (
        roles["root"].threshold != roles["targets"].threshold
    ):
        raise VerificationError("root and targets are not signed by the same governors")
    hub = (roles["snapshot"], roles["timestamp"])
    if any(role.threshold != 1 or len(role.keyids) != 1 for role in hub) or (
        hub[0].keyids != hub[1].keyids
    ):
        raise VerificationError("snapshot and timestamp are not signed by one key of the hub")
    if root.consistent_snapshot is not True:
        raise VerificationError("the root does not ask for consistent snapshots")
    governors = governors_of(root)
    check_tuf_keys((*governors.keys, online_key_of(root)))
    if set(root.keys) != {key.keyid for key in (*governors.keys, online_key_of(root))}:
        raise VerificationError("the root lists keys that have no role")
    _check_keyids(root.keys.values())
    return governors


def _check_keyids(keys: Iterable[Key]) -> None:
    """Refuse a key under another's keyid: TUF takes any name, and people compare nothing but keyids."""
    for key in keys:
        try:
            own = load_key(TrustKey.model_validate(key.to_dict())).keyid
        except (ValidationError, ParseError) as error:
            raise VerificationError(
                f"the key {key.keyid[:64]} is not written as ours are"
            ) from error
        if own != key.keyid:
            raise VerificationError(f"the key {own} stands under the name {key.keyid[:64]}")


def _members(
    message: Proposal, council: CouncilPart, before: Directory | None
) -> dict[str, MemberPart]:
    """The members' files as they would be: kept, or those that came with a request."""
    known = before.member_parts if before else {}
    left = dict(message.signed)
    found = {}
    for member, delegated in sorted(council.delegations.items()):
        part = known.get(member)
        if part is None or part.delegation != delegated:
            part = _signed_part(member, delegated, left, part)
            if part is None:
                raise ConfigurationError(
                    f"{member} has no file that its new keys signed: its request is missing"
                )
        if part.file.exchange != message.exchange:
            raise VerificationError(f"the file of {member} belongs to {part.file.exchange}")
        found[member] = part
    if left:
        raise ConfigurationError(f"the proposal carries {min(left)}, which nothing refers to")
    for member in sorted(known.keys() & council.council.members.keys() - found.keys()):
        raise ConfigurationError(f"{member} stays in the council, and nobody would speak for it")
    check_distinct_keys(found.values())
    return found


def _signed_part(
    member: str, delegated: Delegation, left: dict[str, bytes], known: MemberPart | None
) -> MemberPart | None:
    role = MEMBER_ROLE_PREFIX + member
    names = [name for name in left if name.endswith(f".{role}.json")]
    if len(names) != 1:
        return None
    metadata = left.pop(names[0])
    path = member_path(member)
    files = {n: d for n, d in left.items() if n.startswith("targets/members/")}

    def read_file(_path: str, listed: TargetFile) -> tuple[str, bytes]:
        sha256 = (listed.hashes or {}).get("sha256", "")
        name = f"targets/members/{sha256}.{member}.json"
        if name not in files:
            raise TrustFileMissing(f"the proposal does not carry {path}")
        return _reader({path: left.pop(name)})(path, listed)

    part = verify_member(member, delegated, metadata, read_file)
    if names[0] != metadata_name(role, part.metadata.version):
        raise VerificationError(f"{names[0]} has the version {part.metadata.version}")
    if known and part.metadata.version != known.metadata.version + 1:
        raise VerificationError(f"{role} {part.metadata.version} does not follow what is in force")
    check_desk_keys(part.file.member, part.file.desks)
    return part


def _read_member(message: Proposal, before: Directory | None) -> tuple[MemberPart, Task]:
    if len(message.unsigned) != 1 or message.signed:
        raise ConfigurationError("a member proposes one file of its own, and nothing else")
    (role,) = message.unsigned
    member = member_of_role(role)
    if member is None or set(message.targets) != {member_path(member)}:
        raise ConfigurationError("the proposal does not carry the file of its member alone")
    metadata = _unsigned(message, role, Targets, before, joining=message.joining is not None)
    delegated = _delegated(message, member, before)
    targets = metadata.signed
    if set(targets.targets) != {member_path(member)} or targets.delegations is not None:
        raise VerificationError(f"{role} lists {member_path(member)} alone, and delegates nothing")
    path = member_path(member)
    sha256, data = _reader(message.targets)(path, targets.targets[path])
    try:
        file = parse(MemberFile, data, TRUST_FILE_BYTES_MAX)
    except ParseError as error:
        raise VerificationError(f"{path} is not well-formed: {error}") from error
    if file.member != member or file.exchange != message.exchange:
        raise VerificationError(f"{path} is the file of {file.member} in {file.exchange}")
    check_desk_keys(file.member, file.desks)
    version = _file_of(message, role, targets.version)
    part = MemberPart(file, sha256, version, targets.expires, delegated)
    what = f"people who sign for {member}"
    quorum = Quorum(what, delegated.keys, delegated.role.threshold)
    return part, Task(role, metadata, (quorum,))


def _delegated(message: Proposal, member: str, before: Directory | None) -> Delegation:
    if message.joining is not None:
        keys, threshold = load_member_keys(message.joining)
        return delegation(member, keys, threshold)
    known = before.council_part.delegations.get(member) if before else None
    if known is None:
        raise ConfigurationError(f"nobody speaks for {member} yet: it joins by its request")
    return known


def _with_member(before: Directory, part: MemberPart) -> Directory:
    members = {**before.member_parts, part.file.member: part}
    check_distinct_keys(members.values())
    return Directory(
        before.root, before.root_file, before.snapshot_file, before.council_part, members
    )


def _unsigned(
    message: Proposal,
    role: str,
    kind: type[Payload],
    before: Directory | None,
    *,
    joining: bool = False,
) -> Metadata[Payload]:
    metadata = read_metadata(role, message.unsigned[role], kind)
    if metadata.signatures:
        raise ConfigurationError(f"the metadata of {role} carries signatures already")
    if metadata.unrecognized_fields or any(map(_says_more, _parts(metadata.signed))):
        raise ConfigurationError(
            f"the metadata of {role} says more than TUF knows, and is not shown"
        )
    if Metadata(metadata.signed).to_bytes() != message.unsigned[role]:
        raise ConfigurationError(f"the metadata of {role} is not written as TUF writes it")
    known = before.versions.get(role, 0) if before else 0
    version: int = metadata.signed.version
    if not joining and version != known + 1:
        raise VerificationError(f"{role} version {version} does not follow version {known}")
    return metadata


def _says_more(part: Any) -> bool:
    return bool(part.unrecognized_fields)


def _parts(payload: Any) -> Iterator[Any]:
    """A payload and everything within it that TUF lets carry more than TUF knows."""
    yield payload
    if isinstance(payload, Root):
        yield from payload.keys.values()
        yield from payload.roles.values()
        return
    yield from payload.targets.values()
    if payload.delegations is not None:
        yield payload.delegations
        yield from payload.delegations.keys.values()
        yield from (payload.delegations.roles or {}).values()


def _file_of(message: Proposal, role: str, version: int) -> FileVersion:
    return FileVersion(version=version, sha256=sha256_hex(message.unsigned[role]))


def _reader(files: Mapping[str, bytes]) -> Callable[[str, TargetFile], tuple[str, bytes]]:
    def read_file(path: str, listed: TargetFile) -> tuple[str, bytes]:
        data = files.get(path)
        if data is None:
            raise TrustFileMissing(f"the proposal does not carry {path}")
        try:
            listed.verify_length_and_hashes(data)
        except RepositoryError as error:
            raise VerificationError(f"{path} is not the file that is listed") from error
        return sha256_hex(data), data

    return read_file
