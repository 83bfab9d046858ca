"""The ceremony that starts an exchange: members hand in requests, governors sign root and targets.

May import `schemas`, `keys.repository` and `keys.trust`; does no I/O, so that it also runs on a machine
without a network. `barid trust init`, `barid node init` and the hub call it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from securesystemslib.signer import Key, Signer
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import TargetFile

from keys.derivation import sha256_hex
from keys.desk_requests import check_desk_keys
from keys.directory import MEMBER_ROLE_PREFIX, Delegation, MemberPart
from keys.repository import (
    CouncilFiles,
    Governance,
    delegation,
    make_targets,
    named,
    sign_member,
    sign_root,
    signed,
)
from keys.repository import TrustSigner as TrustSigner
from keys.repository import online_signer as online_signer
from keys.repository import sign_snapshot as sign_snapshot
from keys.repository import sign_timestamp as sign_timestamp
from keys.trust import check_distinct_keys, member_path, verify_member
from keys.trust_keys import key_message, load_member_keys
from keys.tuf_files import check_tuf_keys, metadata_name, target_name
from schemas.directory import MemberFile
from schemas.errors import ConfigurationError, VerificationError
from schemas.governance import MemberKeys
from schemas.governance import MemberRequest as RequestMessage
from schemas.limits import TRUST_FILE_BYTES_MAX
from schemas.loader import dump_json, parse
from schemas.scalars import format_time

REQUEST_BYTES_MAX: Final = 4 * TRUST_FILE_BYTES_MAX
"""Bytes of a member's request: its metadata and its file, in base64."""


@dataclass(frozen=True, slots=True)
class MemberRequest:
    """A member's verified wish to take part: its keys, how many must sign, and its file signed by them."""

    member: str
    keys: tuple[Key, ...]
    threshold: int
    metadata: bytes
    data: bytes
    part: MemberPart

    @property
    def file(self) -> MemberFile:
        """The member's file."""
        return self.part.file

    def check_in_time(self, now: datetime) -> None:
        """Refuse a file none of whose keys would count.

        Raises:
            ConfigurationError: it has expired; says what to do.
        """
        if now >= self.part.expires:
            raise ConfigurationError(
                f"the file of {self.member} expired at {format_time(self.part.expires)}: "
                "have the member make its request again"
            )

    @property
    def delegation(self) -> Delegation:
        """The role that the governors are asked for."""
        return delegation(self.member, self.keys, self.threshold)

    def files(self) -> dict[str, bytes]:
        """Its TUF files by their name under `/v1/trust/`."""
        role = MEMBER_ROLE_PREFIX + self.member
        return {
            metadata_name(role, self.part.metadata.version): self.metadata,
            target_name(member_path(self.member), self.part.file_sha256): self.data,
        }


def member_request(exchange: str, file: MemberFile, signer: Signer, expires: datetime) -> bytes:
    """Write a member's request: the first version of its file, signed by its key.

    Args:
        exchange: the exchange that it asks to join.
        file: its desks and keys.
        signer: the member's key.
        expires: UTC, whole seconds; from then on none of the file's keys counts.

    Raises:
        ConfigurationError: the file is of another exchange.
    """
    if file.exchange != exchange:
        raise ConfigurationError(f"the member file is of {file.exchange}, not of {exchange}")
    metadata, data = sign_member(1, file, [signer], expires).values()
    return write_member_request(file.member, [signer.public_key], 1, metadata, data)


def write_member_request(
    member: str, keys: Sequence[Key], threshold: int, metadata: bytes, file: bytes
) -> bytes:
    """Write a request whose file `threshold` of the member's keys have signed already."""
    signers = MemberKeys(keys=tuple(key_message(key) for key in keys), threshold=threshold)
    return dump_json(
        RequestMessage(v=1, member=member, signers=signers, metadata=metadata, file=file)
    )


def read_member_request(data: bytes, known: Mapping[str, int] | None = None) -> MemberRequest:
    """Read and verify a member's request: the governors decide whose it is, this whether it is whole.

    Args:
        known: member → version of its metadata in the directory that the request is for; None where there is
            no directory yet. A member that has some goes on with the next; one that left and comes back, with
            what the directory log says.

    Raises:
        ParseError: not a request.
        VerificationError: the keys did not sign this file, or it is another version.
        ConfigurationError: a key in it is weak.
    """
    request = parse(RequestMessage, data, REQUEST_BYTES_MAX)
    keys, threshold = load_member_keys(request.signers)

    def read_file(path: str, listed: TargetFile) -> tuple[str, bytes]:
        try:
            listed.verify_length_and_hashes(request.file)
        except RepositoryError as error:
            raise VerificationError(f"{path} is not the file that was signed") from error
        return sha256_hex(request.file), request.file

    part = verify_member(
        request.member, delegation(request.member, keys, threshold), request.metadata, read_file
    )
    members = known or {}
    expected = members.get(request.member, 0) + 1
    if part.metadata.version != expected and (known is None or request.member in members):
        raise VerificationError(
            f"the request carries version {part.metadata.version} of the member's metadata, not {expected}"
        )
    check_desk_keys(part.file.member, part.file.desks)
    return MemberRequest(request.member, keys, threshold, request.metadata, request.file, part)


def init_repository(
    council: CouncilFiles,
    requests: Sequence[MemberRequest],
    governance: Governance,
    online: bytes,
    expires: datetime,
) -> dict[str, bytes]:
    """Make the first version of everything but snapshot and timestamp, which the hub signs.

    Args:
        council: council and access rules.
        requests: those of the members that join at once; the others may follow.
        governance: the governors, of whom a threshold signs.
        online: the hub's raw Ed25519 key, 32 bytes.
        expires: of root and targets, UTC, whole seconds.

    Returns:
        Name under `/v1/trust/` → bytes.

    Raises:
        ConfigurationError: a request does not fit the council, or two members share a key.
    """
    for request in requests:
        _check_request(request, council)
    if len({request.member for request in requests}) != len(requests):
        raise ConfigurationError("a member handed in two requests: choose one")
    try:
        check_distinct_keys(request.part for request in requests)
        check_tuf_keys(key for request in requests for key in request.keys)
    except VerificationError as error:
        raise ConfigurationError(f"{error}: each member makes its own keys") from error
    delegations = {request.member: request.delegation for request in requests}
    targets = make_targets(1, council, delegations, expires)
    files = sign_root(1, governance, online, expires)
    files |= {metadata_name("targets", 1): signed(targets, governance.signers)}
    files |= named(targets, council.targets())
    for request in requests:
        files |= request.files()
    return files


def _check_request(request: MemberRequest, files: CouncilFiles) -> None:
    council = files.council
    if request.file.exchange != council.exchange:
        raise ConfigurationError(
            f"{request.member} asks to join {request.file.exchange}, not {council.exchange}"
        )
    if request.member not in council.members:
        raise ConfigurationError(f"{request.member} is no member: add it to council.json first")
    strangers = request.file.desks.keys() - council.members[request.member].desks.keys()
    if strangers:
        raise ConfigurationError(
            f"council.json grants nothing to {request.member}/{min(strangers)}: add the desk there"
        )
