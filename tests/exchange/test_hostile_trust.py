"""A hub that publishes what governors and members never signed: refused by nodes, seen by auditors."""

from __future__ import annotations

import copy
import re
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from tuf.api.metadata import TargetFile, Targets

from broker.audit.report import AuditReport
from broker.audit.seen import SeenStore
from broker.audit.verify import verify_exchange
from broker.db import reading
from broker.hub.stored import read_trust_file
from keys.ceremony import online_signer
from keys.repository import Governance, TrustSigner, named, sign_root, signed
from keys.signing import SigningIdentity
from keys.tuf_files import metadata_name
from schemas.directory import Council, MemberFile
from schemas.limits import TRUST_FILE_BYTES_MAX
from schemas.loader import dump_json, load_json
from tests.exchange.hostile_trust import YEAR, Hostile
from tests.exchange.live import LiveHub, free_port, now, run
from tests.exchange.nodes import LiveNode, live_exchange, wait_for

LOOSE = '@id("everything")\npermit(principal, action == Action::"send", resource);\n'


@dataclass
class Scene:
    """An exchange whose governors have changed once, with a node that watches and a hub that lies."""

    hub: LiveHub
    node: LiveNode
    hostile: Hostile
    frozen: Path
    second: int
    """The entry at which Libya's second file came into force."""


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """Two of five governors were replaced, and Libya's file and the council have a second version."""
    folder = tmp_path_factory.mktemp("trust")
    with live_exchange(folder, "tn") as (hub, nodes):
        run(hub.announce("ly/main"))
        hostile = Hostile(hub, hub.governors, dict(hub.files))
        second = hostile.honest(hostile.member("ly", _revoke("ab" * 32)))
        hostile.former = hub.governors[:2]
        hostile.governors = [*hub.governors[2:], TrustSigner.generate(), TrustSigner.generate()]
        keys = tuple(governor.public_key for governor in hostile.governors)
        online = hub.ledger.state.directory
        assert online is not None
        root = sign_root(
            2,
            Governance(keys, 3, tuple(hostile.governors)),
            _online(hub),
            now() + YEAR,
            hub.governors[:3],
        )
        hostile.honest(root | hostile.targets(_grace(3600)))
        # The hub's disk as it was before it lied: a copy of a database that is written to is none.
        shutil.copytree(hub.data, folder / "frozen", ignore=shutil.ignore_patterns("hub.db*"))
        with sqlite3.connect(hub.data / "hub.db") as source:
            source.backup(sqlite3.connect(folder / "frozen" / "hub.db"))
        scene = Scene(hub, nodes["tn"], hostile, folder / "frozen", second)
        wait_for(lambda: _index(scene) == scene.hub.directory_ref.index)
        yield scene


def _online(hub: LiveHub) -> bytes:
    return online_signer(hub.keystore.get("online")).public


def _revoke(keyid: str) -> Callable[[MemberFile], MemberFile]:
    return lambda file: file.model_copy(update={"revoked": (keyid,)})


def _grace(seconds: int) -> Callable[[Council], Council]:
    return lambda council: council.model_copy(update={"grace_seconds": seconds})


def _extended(council: Council) -> Council:
    group = council.groups["arab_maghreb_union"]
    members = tuple(sorted((*group.members, "eg")))
    wider = group.model_copy(update={"members": members})
    return council.model_copy(update={"groups": {**council.groups, "arab_maghreb_union": wider}})


def _node_key(file: MemberFile) -> MemberFile:
    desk = file.desks["main"].model_copy(update={"node": SigningIdentity.generate().public})
    return file.model_copy(update={"desks": {**file.desks, "main": desk}})


def _index(scene: Scene) -> int:
    found: int = scene.node.status()["logs"]["directory_entry"]
    return found


def _two_files_of_one_version(hostile: Hostile) -> int:
    version = hostile.version("member-ly")
    return hostile.publish(hostile.member("ly", _revoke("cd" * 32), version=version))


def _old_snapshot(hostile: Hostile) -> int:
    """The one before, as it was."""
    number = hostile.version("snapshot") - 1
    with reading(hostile.hub.ledger.engine) as connection:
        name = metadata_name("snapshot", number)
        data = read_trust_file(connection, name, TRUST_FILE_BYTES_MAX)
    return hostile.log({}, number, data)


def _mixed(role: str) -> Callable[[Hostile], int]:
    """The hub lists one role's first version again, signed by its online key alone."""

    def lie(hostile: Hostile) -> int:
        name = f"metadata/1.{role}.json"
        listed = _without(hostile, role) | {name: hostile.hub.files[name]}
        return hostile.publish({}, only=listed)

    return lie


def _without(hostile: Hostile, role: str) -> dict[str, bytes]:
    ending = f".{role}.json"
    return {name: data for name, data in hostile.files.items() if not name.endswith(ending)}


def _by(count: int, **changes: Any) -> Callable[[Hostile], int]:
    """Targets that only some of the governors sign."""

    def lie(hostile: Hostile) -> int:
        return hostile.publish(hostile.targets(**changes, signers=hostile.governors[:count]))

    return lie


def _by_former(hostile: Hostile) -> int:
    signers = [*hostile.former, hostile.governors[0]]
    return hostile.publish(hostile.targets(_grace(1), signers=signers))


def _swapped(whose: str | None) -> Callable[[Hostile], int]:
    """Another node key in Libya's file, signed by another member's key, or by one of the hub's."""

    def lie(hostile: Hostile) -> int:
        signer = hostile.hub.member_signers[whose] if whose else TrustSigner.generate()
        return hostile.publish(hostile.member("ly", _node_key, signer=signer))

    return lie


def _own_function(hostile: Hostile) -> int:
    files = hostile.member("ly")
    name = next(name for name in files if name.startswith("targets/"))
    value = load_json(files[name], 10**6)
    value["desks"]["main"]["functions"] = ["auditor"]
    return hostile.publish(_resigned("ly", dump_json(value), hostile))


def _resigned(member: str, data: bytes, hostile: Hostile) -> dict[str, bytes]:
    path = f"members/{member}.json"
    payload = Targets(
        version=hostile.version(f"member-{member}") + 1,
        expires=now() + YEAR,
        targets={path: TargetFile.from_data(path, data)},
    )
    metadata = signed(payload, [hostile.hub.member_signers[member]])
    return {f"metadata/{payload.version}.member-{member}.json": metadata} | named(
        payload, {path: data}
    )


@dataclass(frozen=True)
class Lie:
    """A directory that nobody may take; `says` is what the node's alarm says of it."""

    name: str
    tell: Callable[[Hostile], int]
    says: str
    rule: str = "directory"


UNSIGNED = "targets is not signed as it must be"
STRANGER = "member-ly is not signed as it must be"

LIES = [
    Lie("two of five governors", _by(2, change=_grace(1)), UNSIGNED),
    Lie("governors who were replaced", _by_former, UNSIGNED),
    Lie("rules loosened by two", _by(2, rules=LOOSE), UNSIGNED),
    Lie("a group extended by two", _by(2, change=_extended), UNSIGNED),
    Lie("another member key by two", _by(2, keys={"ly": TrustSigner.generate()}), UNSIGNED),
    Lie("the snapshot before", _old_snapshot, r"snapshot version \d+ does not follow"),
    Lie(
        "a snapshot that jumps",
        lambda hostile: hostile.publish({}, snapshot=10**6),
        r"snapshot version 1000000 does not follow",
    ),
    Lie("the council rolled back", _mixed("targets"), UNSIGNED),
    Lie("a member's file rolled back", _mixed("member-ly"), "member-ly version 1 does not follow"),
    Lie(
        "the first root again",
        lambda hostile: hostile.publish({}, root=1),
        "root version 1 does not follow version 2",
    ),
    Lie(
        "two files of one version",
        _two_files_of_one_version,
        "member-ly version 2 does not follow version 2",
        # A hub has one file for one name: whoever reads later misses the one before.
        "trust-file-missing",
    ),
    Lie(
        "a version skipped",
        lambda hostile: hostile.publish(hostile.member("ly", version=9)),
        "member-ly version 9 does not follow version 2",
    ),
    Lie("a desk's key swapped by the hub", _swapped(None), STRANGER),
    Lie("a member signs another's file", _swapped("eg"), STRANGER),
    Lie(
        "a member grants itself a function",
        _own_function,
        r"members/ly.json is not well-formed: \$.desks.main.functions",
    ),
    Lie(
        "a member is left out",
        lambda hostile: hostile.publish({}, only=_without(hostile, "member-ly")),
        "the files of ly are omitted",
    ),
]


@pytest.mark.parametrize("lie", LIES, ids=lambda lie: lie.name.replace(" ", "-"))
def test_a_directory_that_nobody_signed(scene: Scene, lie: Lie, tmp_path: Path) -> None:
    """The node says what is wrong and keeps the directory before; the auditor names the same entry."""
    before = _index(scene)
    index = lie.tell(scene.hostile)
    subject = f"directory log {index}"
    wait_for(lambda: subject in _alarms(scene))
    assert re.search(lie.says, _alarms(scene)[subject]), _alarms(scene)[subject]
    assert _index(scene) == before
    # Told to a hub that has told no other lie under the same file names.
    with _copied(scene, tmp_path) as hostile:
        told = lie.tell(hostile)
        found = {(f.index, f.rule) for f in _audit(hostile.hub, tmp_path).findings}
    assert found >= {(told if lie.rule == "directory" else scene.second, lie.rule)}


def _alarms(scene: Scene) -> dict[str, str]:
    return {each["subject"]: each["text"] for each in scene.node.status()["alarms"]}


@contextmanager
def _copied(scene: Scene, folder: Path) -> Iterator[Hostile]:
    """The same hub as it was before its first lie, at another port."""
    hub = copy.copy(scene.hub)
    hub.data, hub.port = folder / "hub", free_port()
    shutil.copytree(scene.frozen, hub.data)
    address = hub.invitation.hub.model_copy(update={"url": f"https://127.0.0.1:{hub.port}"})
    hub.invitation = hub.invitation.model_copy(update={"hub": address})
    hub.start()
    try:
        yield replace(scene.hostile, hub=hub)
    finally:
        hub.stop()


def _audit(hub: LiveHub, folder: Path) -> AuditReport:
    async def audit() -> AuditReport:
        async with hub.client("auc/audit") as client:
            return await verify_exchange(client, hub.invitation, SeenStore(folder), now)

    report: AuditReport = run(audit())
    return report


def test_a_void_directory_keeps_no_node_from_starting_again(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """The honest one after it has a snapshot of the same version: a node that starts anew knows both."""
    with live_exchange(tmp_path_factory.mktemp("again"), "tn") as (hub, nodes):
        node, hostile = nodes["tn"], Hostile(hub, hub.governors, dict(hub.files))
        void = hostile.publish({}, only=_without(hostile, "member-ly"))
        wait_for(
            lambda: any(
                alarm["subject"] == f"directory log {void}" for alarm in node.status()["alarms"]
            )
        )
        honest = hostile.honest(hostile.member("ly", _revoke("ab" * 32)))
        for _ in range(2):
            wait_for(lambda: node.status()["logs"]["directory_entry"] == honest)
            node.stop()
            node.start()
        wait_for(lambda: node.status()["logs"]["directory_entry"] == honest)
