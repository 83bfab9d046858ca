"""What governors, members and a hostile hub do to the directory: helpers for the tests of the auditor.

Each case publishes, so that the entry it makes is the last of the directory log.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tuf.api.metadata import MetaFile, TargetFile, Targets

from keys.derivation import sha256_hex
from keys.repository import TrustSigner
from keys.signing import SigningIdentity
from schemas.bulletin.vocabularies import DeskFunction
from schemas.directory import Council, Group, MemberFile
from schemas.entries import FileVersion, HubOperated
from schemas.loader import dump_json, to_plain
from tests.exchange.trust_crafting import honest_meta, publish_snapshot
from tests.unit.audit.fake_hub import FakeHub
from tests.unit.audit.world import AuditWorld

HOLDERS = ("dz", "ly", "ml", "ne", "tn")
"""Which member holds the key of each governor, in the world's order."""

LOOSE = '@id("everything")\npermit(principal, action == Action::"send", resource);\n'

CouncilChange = Callable[[Council], Council]


def attributed(world: AuditWorld) -> CouncilChange:
    """The council says whose the governors' keys are."""
    held = dict(zip((g.public_key.keyid for g in world.governors), HOLDERS, strict=True))
    return lambda council: council.model_copy(update={"governors": held})


def govern(world: AuditWorld) -> int:
    """Publish a second council, which says whose the governors' keys are; gives the entry's index."""
    world.change_council(attributed(world))
    return published(world)


def published(world: AuditWorld, **named: Any) -> int:
    """Publish what stands; gives the entry's index."""
    world.publish(**named)
    return len(world.entries) - 1


def log_operation(world: AuditWorld) -> None:
    """Log that the hub was started."""
    head = world.exchange_head()
    world.log(HubOperated(type="hub.operated", at=world.now, exchange_log=head, operation="start"))


def publish_council(
    world: AuditWorld, change: CouncilChange = lambda council: council, signing: int = 3
) -> int:
    """Publish a council that so many governors sign."""
    world.change_council(change, signing=signing)
    return published(world)


def publish_rules(world: AuditWorld, text: str, signing: int = 3) -> int:
    """Publish other access rules."""
    world.policy_text = text
    return publish_council(world, signing=signing)


def rotate(world: AuditWorld) -> list[TrustSigner]:
    """Replace the first two governors; gives those who were."""
    former = world.governors[:2]
    world.change_root([TrustSigner.generate(), TrustSigner.generate(), *world.governors[2:]])
    publish_council(world, attributed(world))
    return former


def extended(council: Council) -> Council:
    """Egypt is in the Arab Maghreb Union."""
    return with_group(council, "arab_maghreb_union", lambda members: (*members, "eg"))


def with_group(
    council: Council, name: str, change: Callable[[tuple[str, ...]], tuple[str, ...]]
) -> Council:
    """A council in which one group has other members."""
    group = council.groups[name]
    members = tuple(sorted(change(group.members)))
    changed = group.model_copy(update={"members": members})
    return council.model_copy(update={"groups": {**council.groups, name: changed}})


def without(council: Council, member: str) -> dict[str, Group]:
    """The groups, none of which has this member any more."""
    return {
        name: group.model_copy(update={"members": tuple(m for m in group.members if m != member)})
        for name, group in council.groups.items()
    }


def with_seat(member: str, **changed: Any) -> CouncilChange:
    """A council in which one member's seat is otherwise."""

    def change(council: Council) -> Council:
        seat = council.members[member].model_copy(update=changed)
        return council.model_copy(update={"members": {**council.members, member: seat}})

    return change


def granted(council: Council, member: str, unit: str, *functions: DeskFunction) -> Council:
    """A council that grants one desk these functions and no others."""
    desks = {**council.members[member].desks, unit: functions}
    return with_seat(member, desks=desks)(council)


def grace(seconds: int) -> CouncilChange:
    """A council with another grace."""
    return lambda council: council.model_copy(update={"grace_seconds": seconds})


def revoke(*keyids: str) -> Callable[[MemberFile], MemberFile]:
    """A member's file that revokes these keys."""
    return lambda file: file.model_copy(update={"revoked": tuple(sorted(keyids))})


def other_node_key(file: MemberFile) -> MemberFile:
    """A member's file in which its main desk has another node identity."""
    desk = file.desks["main"].model_copy(update={"node": SigningIdentity.generate().public})
    return file.model_copy(update={"desks": {**file.desks, "main": desk}})


def publish_member(
    world: AuditWorld,
    member: str,
    change: Callable[[MemberFile], MemberFile] = lambda file: file,
    **signed: Any,
) -> int:
    """Publish a member's file."""
    world.change_member(member, change, **signed)
    return published(world)


def publish_claim(world: AuditWorld) -> int:
    """Libya signs a file in which it grants itself a function."""
    value = to_plain(world.member_files["ly"])
    value["desks"]["main"]["functions"] = ["auditor"]
    data, path = dump_json(value), "members/ly.json"
    version = world.versions.members["ly"] + 1
    payload = Targets(
        version=version, expires=world.expires, targets={path: TargetFile.from_data(path, data)}
    )
    world.files[f"targets/members/{sha256_hex(data)}.ly.json"] = data
    world.craft("member-ly", payload, world.member_keys["ly"])
    return published(world)


def publish_garbage(world: AuditWorld) -> int:
    """The hub lists as Libya's next file what is no metadata at all."""
    data = b"{}"
    number = world.versions.members["ly"] + 1
    meta = honest_meta(world)
    meta["member-ly.json"] = MetaFile(number, len(data), {"sha256": sha256_hex(data)})
    world.files[f"metadata/{number}.member-ly.json"] = data
    world.versions.snapshot -= 1
    return published(world, snapshot=publish_snapshot(world, meta))


def publish_old(world: AuditWorld, *endings: str) -> int:
    """The hub's online key lists the files with these endings as they were first."""
    for ending in endings:
        for name in [name for name in world.current if name.endswith(ending)]:
            del world.current[name]
        world.current[f"metadata/1{ending}"] = world.files[f"metadata/1{ending}"]
    return published(world)


def publish_snapshot_of(world: AuditWorld, version: int) -> int:
    """The hub logs an earlier snapshot once more."""
    data = world.files[f"metadata/{version}.snapshot.json"]
    return published(world, snapshot=FileVersion(version=version, sha256=sha256_hex(data)))


class Turning(FakeHub):
    """A hub that serves one file as it was for the first time it is asked, and otherwise later."""

    def __init__(self, hub: FakeHub, first: dict[str, bytes]) -> None:
        super().__init__(hub.logs, hub.files)
        self._first = dict(first)

    async def trust_file(self, name: str) -> bytes:
        """A TUF file."""
        return self._first.pop(name, None) or await super().trust_file(name)
