"""A sender desk, its people, three recipients, one bulletin and its envelope, from fixed seeds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime

import pytest

from keys.envelope import Outgoing, Sealed, address, parse_header, seal_content
from keys.release import ReleaseDraft, draft_release, sign_release
from keys.sealing import SealingPrivateKey, SealingPublicKey
from keys.signing import SigningIdentity
from schemas.bulletin.vocabularies import (
    Classification,
    Kind,
    Precedence,
    Purpose,
    Status,
    Tlp,
    Topic,
)
from schemas.envelope import DirectoryRef, Envelope, Header, HeaderMarking
from schemas.limits import ENVELOPE_BYTES_MAX
from schemas.loader import dump_json, parse

EXCHANGE = "barid-test"
CREATED = datetime(2026, 11, 24, 22, 0, 0, tzinfo=UTC)


def identity(number: int) -> SigningIdentity:
    """An identity from its number."""
    return SigningIdentity.from_seeds(bytes([number]) * 32, bytes([number + 100]) * 32)


@dataclass(frozen=True)
class Traffic:
    """What a sender needs to send, and its recipients to open."""

    exchange: str
    envelope_id: str
    created: datetime
    node: SigningIdentity
    people: tuple[SigningIdentity, ...]
    private_keys: dict[str, SealingPrivateKey]
    keyids: dict[str, str]
    outgoing: Outgoing
    directory: DirectoryRef

    @property
    def desks(self) -> tuple[str, ...]:
        """The recipients."""
        return tuple(sorted(self.private_keys))

    def slots_for(self, *desks: str) -> dict[str, tuple[str, SealingPublicKey]]:
        """Keyid and key of some desks, of all by default."""
        return {
            desk: (
                self.keyids[desk],
                SealingPublicKey.from_bytes(self.private_keys[desk].public_bytes()),
            )
            for desk in desks or self.desks
        }

    def seal(self, outgoing: Outgoing | None = None) -> Sealed:
        """Seal the body for all desks."""
        return seal_content(outgoing or self.outgoing, self.exchange, self.envelope_id, self.desks)

    def envelope(self, outgoing: Outgoing | None = None) -> Envelope:
        """Seal, address and sign for all desks."""
        outgoing = outgoing or self.outgoing
        return address(
            outgoing,
            self.seal(outgoing),
            self.exchange,
            self.slots_for(),
            self.node,
            self.directory,
            self.created,
        )

    def draft(self, *desks: str) -> ReleaseDraft:
        """Draft a release, for all desks by default."""
        return draft_release(self.outgoing, self.exchange, desks or self.desks, self.created)

    def released(self, draft: ReleaseDraft, *people: SigningIdentity) -> Outgoing:
        """The bulletin with a release, signed by two people by default."""
        statement = sign_release(draft.release, people or self.people[:2])
        return replace(self.outgoing, release=statement, release_salts=draft.salts)


@pytest.fixture(scope="session")
def traffic() -> Traffic:
    """One bulletin of tn/main for three desks."""
    desks = ("dz/main", "ly/customs", "ml/main")
    return Traffic(
        exchange=EXCHANGE,
        envelope_id="019ab8a0-0000-7000-8000-000000000001",
        created=CREATED,
        node=identity(1),
        people=tuple(identity(number) for number in (11, 12, 13)),
        private_keys={
            desk: SealingPrivateKey.from_bytes(bytes([number]) * 96)
            for number, desk in enumerate(desks, start=21)
        },
        keyids={desk: f"{number:064x}" for number, desk in enumerate(desks, start=31)},
        outgoing=Outgoing(
            bulletin_id="019ab8a0-0000-7000-8000-00000000000b",
            bulletin_json='{"title":{"ar":"تحذير"}}'.encode(),
            content_salt=bytes(range(32)),
            status=Status.EXERCISE,
            sender="tn/main",
            expires=datetime(2026, 12, 1, tzinfo=UTC),
            precedence=Precedence.PRIORITY,
            kind=Kind.THREAT_BULLETIN,
            topics=(Topic.ARMS, Topic.SMUGGLING),
            purpose=Purpose.BORDER_MONITORING,
            personal_data=False,
            marking=HeaderMarking(
                tlp=Tlp.AMBER, classification=Classification.RESTRICTED, caveats=()
            ),
        ),
        directory=DirectoryRef(origin="hub.example/directory", index=7, leaf="d" * 64),
    )


@pytest.fixture(scope="module")
def envelope(traffic: Traffic) -> Envelope:
    """The bulletin for three desks, as it was read from the wire."""
    return parse(Envelope, dump_json(traffic.envelope()), ENVELOPE_BYTES_MAX)


@pytest.fixture(scope="module")
def header(envelope: Envelope) -> Header:
    """Its header."""
    return parse_header(envelope)
