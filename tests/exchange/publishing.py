"""Publications as desks bring them: signed parts to mix at will, sent over HTTPS, and what the hub said.

May import the live hub; the tests of publishing, its rate, renewal and staleness use it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from securesystemslib.signer import Key
from tuf.api.metadata import TargetFile, Targets

from keys.directory import Directory
from keys.repository import Governance, TrustSigner, make_targets, named, sign_root, signed
from keys.trust import member_path
from keys.tuf_files import metadata_name
from schemas.directory import Council, MemberFile
from schemas.errors import Problem
from schemas.governance import Publication, Published
from tests.exchange.hostile_trust import YEAR, Hostile
from tests.exchange.live import EXCHANGE, LiveHub, now, run

Files = Mapping[str, bytes]

PUBLICATION = "/v1/trust/publication"


def publication(files: Files, exchange: str = EXCHANGE) -> Publication:
    """As it is sent."""
    return Publication(v=1, exchange=exchange, files=dict(files))


def publish(hub: LiveHub, files: Files, desk: str = "tn/main") -> Published:
    """Bring a publication as a desk. Raises Problem."""
    return run(send(hub, files, desk))  # type: ignore[no-any-return]


async def send(hub: LiveHub, files: Files, desk: str = "tn/main") -> Published:
    """The same, within an event loop."""
    async with hub.client(desk) as client:
        return await client.publish(publication(files))


def refused(hub: LiveHub, files: Files, desk: str = "tn/main") -> Problem:
    """Why a publication was refused."""
    with pytest.raises(Problem) as caught:
        publish(hub, files, desk)
    return caught.value


def in_force(hub: LiveHub) -> Directory:
    """The directory in force at the hub."""
    directory = hub.ledger.state.directory
    assert directory is not None
    return directory


def signers(hub: LiveHub) -> Hostile:
    """Everybody's keys, to sign further versions of what is in force; nothing is published by it."""
    return Hostile(hub, hub.governors, dict(hub.files))


def revoking(*numbers: int) -> Callable[[MemberFile], MemberFile]:
    """A change of a member's file that touches no key in use."""
    return lambda file: file.model_copy(update={"revoked": tuple(f"{n:064x}" for n in numbers)})


def grace(seconds: int) -> Callable[[Council], Council]:
    """A change of the council that touches no desk."""
    return lambda council: council.model_copy(update={"grace_seconds": seconds})


def root(
    hub: LiveHub,
    governors: list[TrustSigner],
    predecessors: list[TrustSigner],
    version: int = 2,
    online: bytes = b"",
) -> dict[str, bytes]:
    """A root with other governors, three of whom sign."""
    keys: tuple[Key, ...] = tuple(governor.public_key for governor in governors)
    governance = Governance(keys, 3, tuple(governors[:3]))
    key = online or hub.ledger.signers.online.public
    return sign_root(version, governance, key, now() + YEAR, predecessors)


def crafted_member(
    hub: LiveHub, member: str, data: bytes, version: int = 2, **other: Any
) -> dict[str, bytes]:
    """A member's metadata over any bytes, signed by its key; `other` changes the payload."""
    path = member_path(member)
    payload = Targets(
        version=version,
        expires=now() + YEAR,
        targets={path: TargetFile.from_data(path, data)},
        **other,
    )
    metadata = {
        metadata_name(f"member-{member}", version): signed(payload, [hub.member_signers[member]])
    }
    return metadata | named(payload, {path: data})


def undelegated(
    hub: LiveHub, change: Callable[[Council], Council], *members: str
) -> dict[str, bytes]:
    """Targets that delegate to some members no more."""
    parties = signers(hub)
    files, number = parties.council_files(change), parties.version("targets") + 1
    known = in_force(hub).council_part.delegations
    kept = {member: each for member, each in known.items() if member not in members}
    payload = make_targets(number, files, kept, now() + YEAR)
    metadata = {metadata_name("targets", number): signed(payload, parties.governors[:3])}
    return metadata | named(payload, files.targets())


def with_governors(parties: Hostile, governors: list[TrustSigner]) -> Hostile:
    """The same with other governors."""
    return replace(parties, governors=governors)
