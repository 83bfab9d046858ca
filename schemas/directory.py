"""The directory: `council.json`, which k of n governors sign, and one `members/{member}.json` each.

May import pydantic and `schemas`; `keys.directory` reads them from the verified TUF repository.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from schemas.bulletin.values import one_line
from schemas.bulletin.vocabularies import Classification, DeskFunction, Tlp, Topic
from schemas.limits import (
    COUNCIL_SECONDS_MAX,
    DESKS_PER_MEMBER_MAX,
    GENERATIONS_MAX,
    GOVERNORS_MAX,
    MEMBERS_MAX,
    SIGNATURES_MAX,
    WITNESSES_MAX,
)
from schemas.scalars import (
    UNIT_PATTERN,
    Base64,
    Count,
    DeskId,
    ExchangeName,
    MemberId,
    Message,
    Ordinal,
    Sha256Hex,
    SortedUnique,
    UtcTime,
    Version,
    Word,
)

_BILATERAL: Final = 2

# What nobody sees, or what changes the direction of the text after it: a governor reads names before signing.
_UNSEEN: Final = re.compile("[\u200b\u202a-\u202c\u2060\u2066-\u2069\ufeff\U000e0000-\U000e007f]")


def _seen(name: str) -> str:
    if found := _UNSEEN.search(name):
        raise ValueError(f"a name has no U+{ord(found[0]):04X}, which nobody sees")
    return name


Name = Annotated[
    str, Field(min_length=1, max_length=200), AfterValidator(one_line), AfterValidator(_seen)
]
Origin = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9./-]{1,200}$")]
UnitName = Annotated[str, StringConstraints(pattern=f"^{UNIT_PATTERN}$")]


class Names(Message):
    """A name in the three languages of the exchange."""

    ar: Name
    fr: Name
    en: Name


class IdentityKey(Message):
    """A signing identity's public pair: Ed25519 (32 bytes) and ML-DSA-65 (1952 bytes)."""

    ed25519: Annotated[Base64, Field(min_length=32, max_length=32)]
    ml_dsa_65: Annotated[Base64, Field(min_length=1952, max_length=1952)]


class Ceiling(Message):
    """The most that a member's desks may receive."""

    tlp: Tlp
    classification: Classification


class CouncilMember(Message):
    """A member: its kind, names, ceiling, and the functions granted to each of its desks (by unit).

    While `suspended`, none of its keys counts: it neither sends nor receives, and the hub answers it nothing.
    """

    kind: Literal["state", "organisation"]
    suspended: bool = False
    names: Names
    ceiling: Ceiling
    desks: Annotated[
        dict[UnitName, Annotated[tuple[DeskFunction, ...], SortedUnique]],
        Field(max_length=DESKS_PER_MEMBER_MAX),
    ]


class Group(Message):
    """Members that belong together: a grouping, a bilateral channel of two, or a joint operation that ends.

    A sender's node expands it to those desks of its members that have `function`. From `until` on, an
    operation is no group any more, for senders and for access rules.
    """

    names: Names
    kind: Literal["grouping", "bilateral", "operation"] = "grouping"
    members: Annotated[tuple[MemberId, ...], Field(min_length=1), SortedUnique]
    function: DeskFunction = DeskFunction.MAIN
    until: UtcTime | None = None

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Self:
        if self.kind == "bilateral" and len(self.members) != _BILATERAL:
            raise ValueError("a bilateral channel has two members")
        if (self.kind == "operation") != (self.until is not None):
            raise ValueError("a joint operation, and nothing else, says until when")
        return self

    def holds(self, at: datetime) -> bool:
        """Whether it is a group at `at`."""
        return self.until is None or at < self.until


class LogKeys(Message):
    """One log: its origin (also its key name), and the pair of keys that sign its checkpoints."""

    origin: Origin
    ed25519: Annotated[Base64, Field(min_length=32, max_length=32)]
    ml_dsa_44: Annotated[Base64, Field(min_length=1312, max_length=1312)]


class ClosedLog(Message):
    """The tree with which a log ended: nothing that its keys sign beyond it counts."""

    origin: Origin
    size: Count
    root: Sha256Hex


class ClosedLogs(Message):
    """Both logs of a generation that the council has closed."""

    directory: ClosedLog
    exchange: ClosedLog


class Logs(Message):
    """The two logs of the exchange in their newest generation, and how each generation before ended.

    A hub that lost entries, or whose log keys are in other hands, gets new origins (the protocol's Restore).
    """

    generation: Ordinal
    directory: LogKeys
    exchange: LogKeys
    previous: Annotated[tuple[ClosedLogs, ...], Field(max_length=GENERATIONS_MAX)] = ()

    @model_validator(mode="after")
    def _each_origin_once(self) -> Self:
        if self.generation != len(self.previous) + 1:
            raise ValueError("each generation before the newest one says how it ended")
        origins = [self.directory.origin, self.exchange.origin]
        for closed in self.previous:
            origins += [closed.directory.origin, closed.exchange.origin]
        if len(set(origins)) != len(origins):
            raise ValueError("an origin is used once, by one log")
        return self

    @property
    def first_directory_origin(self) -> str:
        """The origin of the directory log with which the exchange began."""
        first = self.previous[0] if self.previous else self
        return first.directory.origin


class WitnessKey(Message):
    """The key with which a member's node cosigns, under the name that its cosignatures carry."""

    name: Origin
    ml_dsa_44: Annotated[Base64, Field(min_length=1312, max_length=1312)]


class Witnesses(Message):
    """The nodes that cosign both logs, one of a member, and how many of them make a quorum.

    More than half of them must: two quorums then share a witness, which cosigns no two histories. With f
    witnesses that lie, k > (n + f) / 2 is needed.
    """

    quorum: Annotated[int, Field(ge=1, le=WITNESSES_MAX)]
    keys: Annotated[dict[MemberId, WitnessKey], Field(min_length=1, max_length=WITNESSES_MAX)]

    @model_validator(mode="after")
    def _two_quorums_meet(self) -> Self:
        if not len(self.keys) < 2 * self.quorum <= 2 * len(self.keys):
            raise ValueError("a quorum is more than half of the witnesses, and at most all of them")
        if len({key.ml_dsa_44 for key in self.keys.values()}) != len(self.keys):
            raise ValueError("two witnesses have the same key")
        if len({key.name for key in self.keys.values()}) != len(self.keys):
            raise ValueError("two witnesses have the same name")
        return self


class WitnessKeyFile(Message):
    """`witness-public.json`: the key of a member's witness, which governors put into `council.json`."""

    v: Version
    exchange: ExchangeName
    member: MemberId
    key: WitnessKey


class HubAddress(Message):
    """Where the hub answers: `authority` is what requests sign; `tls_trust` is PEM certificates."""

    authority: Annotated[str, StringConstraints(pattern=r"^[a-z0-9.-]+(:[0-9]{1,5})?$")]
    url: Annotated[str, StringConstraints(pattern=r"^https://[a-z0-9.:\[\]-]+$")]
    tls_trust: Annotated[str, Field(min_length=1, max_length=65536)]


Seconds = Annotated[int, Field(ge=1, le=COUNCIL_SECONDS_MAX)]


class Deadlines(Message):
    """Seconds within which a recipient answers, by precedence."""

    flash: Seconds
    immediate: Seconds
    priority: Seconds
    routine: Seconds


class Council(Message):
    """`council.json`: what only the council decides.

    `witnesses` is the literal `none` for test exchanges alone, shown everywhere as unwitnessed. `governors`
    says which member holds which governor's key (TUF keyid → member), for people who read who signed.
    """

    v: Version
    exchange: ExchangeName
    test: bool
    members: Annotated[dict[MemberId, CouncilMember], Field(min_length=1, max_length=MEMBERS_MAX)]
    groups: dict[Word, Group]
    governors: Annotated[dict[Sha256Hex, MemberId], Field(max_length=GOVERNORS_MAX)] = Field(
        default_factory=dict
    )
    logs: Logs
    witnesses: Witnesses | Literal["none"]
    hub: HubAddress
    deadlines_seconds: Deadlines
    grace_seconds: Annotated[int, Field(ge=0, le=COUNCIL_SECONDS_MAX)]

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        if isinstance(self.witnesses, Witnesses):
            self._check_witnesses(self.witnesses)
        elif not self.test:
            raise ValueError("without witnesses an exchange is a test exchange")
        for name, group in self.groups.items():
            for stranger in sorted(set(group.members) - set(self.members)):
                what = "a group: list its members" if stranger in self.groups else "no member"
                raise ValueError(f"the group {name} lists {stranger}, which is {what}")
        if strangers := sorted(set(self.governors.values()) - set(self.members)):
            raise ValueError(f"a governor's key belongs to {strangers[0]}, which is no member")
        return self

    def _check_witnesses(self, witnesses: Witnesses) -> None:
        if strangers := sorted(witnesses.keys.keys() - self.members.keys()):
            raise ValueError(f"{strangers[0]} has a witness, and is no member")
        origins = {self.logs.directory.origin, self.logs.exchange.origin}
        if origins & {key.name for key in witnesses.keys.values()}:
            raise ValueError("a witness has the name of a log")


class Profile(Message):
    """What a desk cares for: topics, and the ISO 3166 codes of its area."""

    topics: Annotated[tuple[Topic, ...], SortedUnique]
    area: Annotated[
        tuple[Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")], ...], SortedUnique
    ]


class Desk(Message):
    """A desk as its member declares it. Without `node` it cannot send or receive (an auditor's desk)."""

    names: Names
    request: Annotated[Base64, Field(min_length=32, max_length=32)]
    node: IdentityKey | None = None
    release: Annotated[tuple[IdentityKey, ...], Field(max_length=SIGNATURES_MAX)]
    release_threshold: Annotated[int, Field(ge=0, le=SIGNATURES_MAX)]
    bulletin_versions: Annotated[tuple[Ordinal, ...], Field(min_length=1, max_length=16)]
    profile: Profile
    deputy: DeskId | None = None

    @model_validator(mode="after")
    def _threshold_can_be_met(self) -> Self:
        if self.release_threshold > len(self.release):
            raise ValueError("the release threshold is more than the release keys")
        return self


class MemberFile(Message):
    """`members/{member}.json`: a member's desks and keys, signed by the member alone."""

    v: Version
    exchange: ExchangeName
    member: MemberId
    desks: Annotated[dict[UnitName, Desk], Field(max_length=DESKS_PER_MEMBER_MAX)]
    classification_names: dict[Classification, Names]
    revoked: Annotated[tuple[Sha256Hex, ...], Field(max_length=1024), SortedUnique]

    @model_validator(mode="after")
    def _no_raw_key_twice(self) -> Self:
        raw: list[bytes] = []
        for desk in self.desks.values():
            raw.append(desk.request)
            for identity in (*desk.release, *((desk.node,) if desk.node else ())):
                raw += [identity.ed25519, identity.ml_dsa_65]
        if len(set(raw)) != len(raw):
            raise ValueError("a raw key occurs twice")
        return self


class Invitation(Message):
    """What a new node or auditor needs: where the hub is, its logs' keys, and the first trust root.

    `root` is the exact bytes of a TUF root that k of n governors signed; it is handed over in person.
    """

    v: Version
    exchange: ExchangeName
    hub: HubAddress
    logs: Logs
    root: Base64


class HubDescription(Message):
    """What a new hub tells the governors, who put it into `council.json`; `online` is its TUF key."""

    v: Version
    exchange: ExchangeName
    hub: HubAddress
    logs: Logs
    online: Annotated[Base64, Field(min_length=32, max_length=32)]
