"""What governors and members pass from hand to hand: public keys, requests, proposals, signatures.

May import pydantic and `schemas`; `keys` makes and verifies these files, and the hub takes a publication.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints

from schemas.bulletin.values import one_line
from schemas.directory import Desk, UnitName
from schemas.entries import FileVersion
from schemas.limits import (
    DESKS_PER_MEMBER_MAX,
    MEMBER_KEYS_MAX,
    PUBLICATION_FILES_MAX,
)
from schemas.scalars import (
    MEMBER_PATTERN,
    Base64,
    ExchangeName,
    MemberId,
    Message,
    Sha256Hex,
    UtcTime,
    Version,
)

PersonName = Annotated[str, Field(min_length=1, max_length=100), AfterValidator(one_line)]
"""Whose key it is, in the words of its holder; for people, and nothing is decided by it."""

TrustFileName = Annotated[
    str, StringConstraints(pattern=r"^(metadata|targets)/[A-Za-z0-9][A-Za-z0-9._/-]{0,199}$")
]
"""The name of a TUF file under `/v1/trust/`."""

TargetPath = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._/-]{0,99}$")]
"""A TUF target path: `council.json`, `members/tn.json`."""

RoleName = Annotated[str, StringConstraints(pattern=f"^(root|targets|member-{MEMBER_PATTERN})$")]
"""A TUF role that people sign."""


class KeyValue(Message):
    """The public half: lower-case hex for Ed25519, PEM for ECDSA and ML-DSA."""

    public: Annotated[str, Field(min_length=1, max_length=8192)]


class TrustKey(Message):
    """A public key in TUF's form (TUF specification 1.0.33, section 4.2.1); its keyid is computed."""

    keytype: Literal["ed25519", "ecdsa", "ml-dsa"]
    scheme: Literal[
        "ed25519",
        "ecdsa-sha2-nistp256",
        "ecdsa-sha2-nistp384",
        "ml-dsa-44/1",
        "ml-dsa-65/1",
        "ml-dsa-87/1",
    ]
    keyval: KeyValue


class TrustKeyFile(Message):
    """`trust-public.json`: the public key of a governor, or of a person who signs for a member."""

    v: Version
    exchange: ExchangeName
    name: PersonName
    key: TrustKey


class DeskRequest(Message):
    """`desk-request.json` is a statement of this: desks whose keys a node made, signed by those keys.

    The node identity of each desk signs, so that nobody asks for a desk with another's key.
    """

    v: Version
    exchange: ExchangeName
    member: MemberId
    desks: Annotated[dict[UnitName, Desk], Field(min_length=1, max_length=DESKS_PER_MEMBER_MAX)]


class MemberKeys(Message):
    """The keys of the people who sign for a member, and how many of them must."""

    keys: Annotated[tuple[TrustKey, ...], Field(min_length=1, max_length=MEMBER_KEYS_MAX)]
    threshold: Annotated[int, Field(ge=1, le=MEMBER_KEYS_MAX)]


class MemberRequest(Message):
    """`member-request.json`: a member's keys, and its file signed by them.

    `metadata` is the TUF metadata, and `file` the member's file that it lists.
    """

    v: Version
    member: MemberId
    signers: MemberKeys
    metadata: Base64
    file: Base64


class DirectoryFile(Message):
    """`directory.json`: one directory with all its TUF files, to be verified from the trust root."""

    v: Version
    exchange: ExchangeName
    root: FileVersion
    snapshot: FileVersion
    files: Annotated[dict[TrustFileName, Base64], Field(max_length=PUBLICATION_FILES_MAX)]


class Proposal(Message):
    """`proposal.json`: what people are asked to sign, beside the directory that it would follow.

    `unsigned` is TUF metadata without signatures by role, `targets` the files that it lists; `signed` are
    files that are whole already: those of members that join. `base` is absent in the first proposal, and in
    that of a member that asks to join: it names the keys that will speak for it, `joining`.
    """

    v: Version
    exchange: ExchangeName
    made: UtcTime
    base: DirectoryFile | None = None
    joining: MemberKeys | None = None
    unsigned: Annotated[dict[RoleName, Base64], Field(min_length=1, max_length=3)]
    targets: Annotated[dict[TargetPath, Base64], Field(max_length=8)]
    signed: Annotated[dict[TrustFileName, Base64], Field(max_length=PUBLICATION_FILES_MAX)]


class RoleSignature(Message):
    """A signature over one role's metadata, in the form of the key's scheme; hex."""

    role: RoleName
    sig: Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{2}){1,8192}$")]


class ProposalSignature(Message):
    """`signature-….json`: one key's signatures of one proposal; `proposal` is the SHA-256 of its bytes."""

    v: Version
    exchange: ExchangeName
    proposal: Sha256Hex
    keyid: Sha256Hex
    signatures: Annotated[tuple[RoleSignature, ...], Field(min_length=1, max_length=3)]


class Publication(Message):
    """What the hub is asked to publish: TUF files whose signatures are whole, without snapshot and timestamp.

    Only what is new: the hub has the rest. `PUT /v1/trust/publication` takes it, and a file of it is what
    `barid trust publish --out` writes.
    """

    v: Version
    exchange: ExchangeName
    files: Annotated[
        dict[TrustFileName, Base64], Field(min_length=1, max_length=PUBLICATION_FILES_MAX)
    ]


class Published(Message):
    """The hub's answer: where the directory stands in the directory log, and its snapshot's version."""

    index: Annotated[int, Field(ge=0)]
    snapshot: FileVersion
