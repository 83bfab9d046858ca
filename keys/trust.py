"""Reading a directory out of TUF files that nobody vouches for but their signatures.

May import `schemas`, `keys.directory`, `keys.tuf_files` and tuf; files are fetched by a function that the
caller passes in. `keys.history` reads every published directory with it, bundles a single one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final, TypeVar

from pydantic import BaseModel
from tuf.api.metadata import Delegations, MetaFile, Root, Snapshot, TargetFile, Targets

from keys.derivation import sha256_hex
from keys.directory import (
    MEMBER_ROLE_PREFIX,
    PURGES_PATH,
    CouncilPart,
    Delegation,
    Directory,
    MemberPart,
)
from keys.purge_orders import read_orders
from keys.tuf_files import Fetch as Fetch
from keys.tuf_files import TrustFileMissing as TrustFileMissing
from keys.tuf_files import (
    check_tuf_keys,
    commitment_of,
    fetch_exact,
    fetch_metadata,
    fetch_target,
    metadata_name,
    read_metadata,
    verify_role,
)
from schemas.directory import Council, MemberFile
from schemas.entries import FileVersion
from schemas.errors import ParseError, VerificationError
from schemas.limits import MEMBER_FILE_BYTES_MAX, ROOT_ROTATIONS_MAX, TRUST_FILE_BYTES_MAX
from schemas.loader import parse

COUNCIL_PATHS: Final = ("council.json", "policy.cedar", "policy.cedarschema")
"""The target files that k of n governors sign; beside them at most `CASES_PATH` and `PURGES_PATH`."""

CASES_PATH: Final = "policy.cases.toml"
"""The table of cases by which governors read the access rules; nobody decides by it."""

Model = TypeVar("Model", bound=BaseModel)


def member_path(member: str) -> str:
    """The target path of a member's file."""
    return f"members/{member}.json"


def load_directory(
    initial_root: bytes,
    fetch: Fetch,
    root: FileVersion,
    snapshot: FileVersion,
    known: Directory | None = None,
) -> Directory:
    """Read and verify the directory that a root and a snapshot fix (the protocol's Directory).

    1. Root: from the initial root, each next one signed by its predecessor's threshold and its own.
    2. Snapshot: of the hash given, signed by root's snapshot role; it lists nothing but targets
       metadata, each with version, length and SHA-256.
    3. Council: signed by k of n; its three files by length and hash; at most one delegation a member,
       terminating, for that member's one path, and none for anybody else.
    4. Members: each signed by its delegation's threshold; one file each, of that member and exchange.
    5. No raw key in two members' files.

    Expiry is not judged here: what has lapsed depends on the moment at which the directory is asked.

    Args:
        initial_root: the exact bytes of the trust root, as handed over in person.
        fetch: gets a file by name; what it raises passes through.
        root: version and hash of the root metadata.
        snapshot: version and hash of the snapshot metadata.
        known: a directory read before from the same initial root: what is unchanged in it is neither
            fetched nor parsed again.

    Raises:
        TrustFileMissing: a file is not there, or is not the one that was committed to.
        VerificationError: anything else; the directory is void.
    """
    if known and (known.root_file, known.snapshot_file) == (root, snapshot):
        return known
    trusted = _read_root(initial_root, fetch, root, known)
    listed = _read_snapshot(fetch, trusted, snapshot)
    council = _read_council(fetch, trusted, root, listed, known)
    members = _read_members(fetch, council, listed, known)
    check_distinct_keys(members.values())
    return Directory(trusted, root, snapshot, council, members)


def read_initial_root(data: bytes) -> Root:
    """Read the trust root that everything else descends from.

    Raises:
        VerificationError: not a root, or not signed by its own threshold.
    """
    metadata = read_metadata("the initial root", data, Root)
    verify_role(_usable(metadata.signed), Root.type, metadata)
    return metadata.signed


def _usable(root: Root) -> Root:
    check_tuf_keys(root.keys.values())
    if root.consistent_snapshot is not True:
        raise VerificationError("the root does not ask for consistent snapshots")
    return root


def _read_root(
    initial_root: bytes, fetch: Fetch, wanted: FileVersion, known: Directory | None
) -> Root:
    if known and known.root_file == wanted:
        return known.root
    if known and known.root.version < wanted.version:
        current, current_sha256 = known.root, known.root_file.sha256
    else:
        current, current_sha256 = read_initial_root(initial_root), sha256_hex(initial_root)
    if not 0 <= wanted.version - current.version <= ROOT_ROTATIONS_MAX:
        raise VerificationError(
            f"root {wanted.version} cannot be reached from the trusted root {current.version}"
        )
    while current.version < wanted.version:
        current, current_sha256 = _next_root(current, fetch, wanted)
    if current_sha256 != wanted.sha256:
        raise VerificationError(f"root {wanted.version} is another one than the trusted root")
    return current


def _next_root(current: Root, fetch: Fetch, wanted: FileVersion) -> tuple[Root, str]:
    version = current.version + 1
    name = metadata_name(Root.type, version)
    if version == wanted.version:
        data = fetch_exact(fetch, name, wanted.sha256, TRUST_FILE_BYTES_MAX)
    else:
        data = fetch(name, TRUST_FILE_BYTES_MAX)
    metadata = read_metadata(name, data, Root)
    if metadata.signed.version != version:
        raise VerificationError(f"{name} has the version {metadata.signed.version}")
    verify_role(current, Root.type, metadata)
    verify_role(_usable(metadata.signed), Root.type, metadata)
    return metadata.signed, sha256_hex(data)


def _read_snapshot(fetch: Fetch, root: Root, wanted: FileVersion) -> Mapping[str, MetaFile]:
    """Give the targets metadata of a snapshot by role."""
    name = metadata_name(Snapshot.type, wanted.version)
    data = fetch_exact(fetch, name, wanted.sha256, TRUST_FILE_BYTES_MAX)
    metadata = read_metadata(name, data, Snapshot)
    verify_role(root, Snapshot.type, metadata)
    if metadata.signed.version != wanted.version:
        raise VerificationError(f"{name} has the version {metadata.signed.version}")
    return {file.removesuffix(".json"): listed for file, listed in metadata.signed.meta.items()}


def listed_in_snapshot(fetch: Fetch, wanted: FileVersion) -> Mapping[str, FileVersion]:
    """Read which files a snapshot lists, by role; who signed it is not verified.

    Raises:
        TrustFileMissing: it is not there, or is another one.
        VerificationError: it is none.
    """
    name = metadata_name(Snapshot.type, wanted.version)
    data = fetch_exact(fetch, name, wanted.sha256, TRUST_FILE_BYTES_MAX)
    listed = read_metadata(name, data, Snapshot).signed.meta.items()
    return {
        file.removesuffix(".json"): FileVersion(
            version=each.version, sha256=commitment_of(file, each)[0]
        )
        for file, each in listed
    }


def _read_council(
    fetch: Fetch,
    root: Root,
    root_file: FileVersion,
    listed: Mapping[str, MetaFile],
    known: Directory | None,
) -> CouncilPart:
    if Targets.type not in listed:
        raise VerificationError("the snapshot does not list targets.json")
    unchanged = known.council_part if known and known.root_file == root_file else None
    if unchanged and _is_listed(unchanged.metadata, listed[Targets.type]):
        return unchanged
    version, data = fetch_metadata(fetch, Targets.type, listed[Targets.type])
    metadata = read_metadata(Targets.type, data, Targets)
    verify_role(root, Targets.type, metadata)
    if metadata.signed.version != version.version:
        raise VerificationError(f"targets.json has the version {metadata.signed.version}")
    return read_council(
        metadata.signed, version, lambda path, target: fetch_target(fetch, path, target)
    )


def read_council(
    targets: Targets,
    version: FileVersion,
    read_file: Callable[[str, TargetFile], tuple[str, bytes]],
) -> CouncilPart:
    """Read what targets metadata says; whether it is signed is for the caller to verify.

    Args:
        version: of the metadata.
        read_file: gives SHA-256 and bytes of a target file, which it has checked against the listing.

    Raises:
        TrustFileMissing: a file is not there, or is another one.
        VerificationError: it lists or delegates what it must not.
    """
    if set(targets.targets) - {CASES_PATH, PURGES_PATH} != set(COUNCIL_PATHS):
        raise VerificationError(f"targets.json lists {', '.join(COUNCIL_PATHS)}, and nothing else")
    files = {path: read_file(path, listed) for path, listed in targets.targets.items()}
    council = _parse(Council, "council.json", files["council.json"][1])
    return CouncilPart(
        council=council,
        policy_text=_text("policy.cedar", files["policy.cedar"][1]),
        schema_text=_text("policy.cedarschema", files["policy.cedarschema"][1]),
        cases_text=_text(CASES_PATH, files[CASES_PATH][1]) if CASES_PATH in files else "",
        file_sha256={path: sha256 for path, (sha256, _) in files.items()},
        metadata=version,
        expires=targets.expires,
        delegations=_read_delegations(targets.delegations, council),
        purges=read_orders(files[PURGES_PATH][1], council) if PURGES_PATH in files else (),
    )


def _read_delegations(delegations: Delegations | None, council: Council) -> dict[str, Delegation]:
    if delegations is None:
        return {}
    if delegations.roles is None:
        raise VerificationError("delegations name each member's role")
    check_tuf_keys(delegations.keys.values())
    found = {}
    for name, role in delegations.roles.items():
        member = str(name).removeprefix(MEMBER_ROLE_PREFIX)
        if name == member or member not in council.members:
            raise VerificationError(f"the role {member[:64]!r} is not a member's")
        if role.terminating is not True or role.paths != [member_path(member)]:
            raise VerificationError(
                f"the role {name} ends at {member_path(member)}, and has no other"
            )
        keys = {
            keyid: delegations.keys[keyid] for keyid in role.keyids if keyid in delegations.keys
        }
        found[member] = Delegation(role, keys)
    return found


def _read_members(
    fetch: Fetch, council: CouncilPart, listed: Mapping[str, MetaFile], known: Directory | None
) -> dict[str, MemberPart]:
    found = {}
    for role, file in sorted(listed.items()):
        if role == Targets.type:
            continue
        member = role.removeprefix(MEMBER_ROLE_PREFIX)
        if role == member or member not in council.delegations:
            raise VerificationError(
                f"the snapshot lists {role[:64]!r}, to which nothing is delegated"
            )
        delegation = council.delegations[member]
        part = known.member_parts.get(member) if known else None
        if part is None or part.delegation != delegation or not _is_listed(part.metadata, file):
            part = _read_member(fetch, member, delegation, file)
        if part.file.exchange != council.council.exchange:
            raise VerificationError(f"{member_path(member)} belongs to {part.file.exchange}")
        found[member] = part
    return found


def _read_member(fetch: Fetch, member: str, delegation: Delegation, listed: MetaFile) -> MemberPart:
    version, data = fetch_metadata(fetch, MEMBER_ROLE_PREFIX + member, listed)
    part = verify_member(
        member, delegation, data, lambda path, target: fetch_target(fetch, path, target)
    )
    if part.metadata != version:
        raise VerificationError(f"member-{member}.json has the version {part.metadata.version}")
    return part


def verify_member(
    member: str,
    delegation: Delegation,
    metadata: bytes,
    read_file: Callable[[str, TargetFile], tuple[str, bytes]],
) -> MemberPart:
    """Verify one member's metadata and its file.

    Args:
        member: its id.
        delegation: whose signatures count.
        metadata: the exact bytes of its `member-xx` metadata.
        read_file: gives SHA-256 and bytes of the target file, which it has checked against the listing.

    Raises:
        TrustFileMissing: the file is not there, or is another one.
        VerificationError: a signature, hash or name does not verify.
    """
    role, path = MEMBER_ROLE_PREFIX + member, member_path(member)
    parsed = read_metadata(role, metadata, Targets)
    delegator = Targets(delegations=Delegations(dict(delegation.keys), {role: delegation.role}))
    verify_role(delegator, role, parsed)
    if parsed.signed.delegations is not None or set(parsed.signed.targets) != {path}:
        raise VerificationError(f"{role} lists {path} alone, and delegates nothing")
    sha256, data = read_file(path, parsed.signed.targets[path])
    if len(data) > MEMBER_FILE_BYTES_MAX:
        raise VerificationError(f"{path} has more than {MEMBER_FILE_BYTES_MAX} bytes")
    file = _parse(MemberFile, path, data)
    if file.member != member:
        raise VerificationError(f"{path} is the file of {file.member}")
    version = FileVersion(version=parsed.signed.version, sha256=sha256_hex(metadata))
    return MemberPart(file, sha256, version, parsed.signed.expires, delegation)


def check_distinct_keys(members: Iterable[MemberPart]) -> None:
    """Refuse a raw key in two members' files: else one member could make another's requests ambiguous.

    Raises:
        VerificationError: naming both members.
    """
    owners: dict[bytes, str] = {}
    for part in members:
        for desk in part.file.desks.values():
            identities = (*desk.release, *((desk.node,) if desk.node else ()))
            halves = [half for i in identities for half in (i.ed25519, i.ml_dsa_65)]
            for raw in (desk.request, *halves):
                owner = owners.setdefault(raw, part.file.member)
                if owner != part.file.member:
                    raise VerificationError(f"{owner} and {part.file.member} have a key in common")


def _is_listed(file: FileVersion, listed: MetaFile) -> bool:
    return file.version == listed.version and listed.hashes == {"sha256": file.sha256}


def _parse(model: type[Model], path: str, data: bytes) -> Model:
    try:
        return parse(model, data, TRUST_FILE_BYTES_MAX)
    except ParseError as error:
        raise VerificationError(f"{path} is not well-formed: {error}") from error


def _text(path: str, data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise VerificationError(f"{path} is not UTF-8") from error
