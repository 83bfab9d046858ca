"""Making a node: its desks' keys, its encrypted database, its member's request; and joining.

May import `keys`, `broker.db`, `broker.settings` and the node's own rooms; the command line calls it.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from broker.certificates import make_certificate
from broker.db import migrate, open_sqlcipher
from broker.node import migrations
from broker.node.desk_requests import make_desk_request
from broker.node.home import (
    DATABASE_FILE,
    DATABASE_KEY_NAME,
    INVITATION_FILE,
    KEYSTORE_DIRECTORY,
    MEMBER_KEY_NAME,
    REQUEST_FILE,
    load_desk,
    load_invitation,
    node_key_name,
    request_key_name,
)
from broker.node.witness_keys import make_witness_key
from broker.settings import CONFIG_FILE, NodeSettings, load_node, save_node, write_whole
from keys.ceremony import TrustSigner, member_request
from keys.default_council import classification_names, desk_names
from keys.history import DirectoryHistory
from keys.keystore import DEFAULT_COST, KdfCost, Keystore
from keys.signing import RequestSigningKey, SigningIdentity
from schemas.bulletin.common import BULLETIN_VERSION
from schemas.directory import Desk, IdentityKey, Invitation, MemberFile, Names, Profile
from schemas.errors import ConfigurationError, ParseError, VerificationError
from schemas.limits import SIGNATURES_MAX, TRUST_FILE_BYTES_MAX
from schemas.loader import parse

DATABASE_KEY_BYTES: Final = 32

MEMBER_FILE_LIFE: Final = timedelta(days=365)
"""From then on none of the file's keys counts, so that the member signs a new version each year."""


@dataclass(frozen=True, slots=True)
class Releasers:
    """The people who release what a desk sends: their public keys, and how many of them must sign, m."""

    keys: tuple[IdentityKey, ...]
    threshold: int


@dataclass(frozen=True, slots=True)
class Choices:
    """What may be chosen when a node is made.

    Args:
        names: further DNS names and addresses of the TLS certificate, beside where it listens.
        releasers: by desk (`main`), the people without whom nothing of it leaves; their private keys are
            never here.
        apart: the member's people keep their keys elsewhere: no key that speaks for the member is made.
    """

    names: tuple[str, ...] = ()
    releasers: Mapping[str, Releasers] = field(default_factory=dict)
    apart: bool = False


def init_node(
    data: Path,
    settings: NodeSettings,
    passphrase: bytes,
    now: datetime,
    choices: Choices | None = None,
    cost: KdfCost = DEFAULT_COST,
) -> Path:
    """Make a node in an empty directory.

    A desk of the default council gets its national names, another one is called by its id until its member
    says otherwise.

    Args:
        data: the directory; made if it is not there.
        settings: the exchange, the member, its desks, where agencies reach the node.
        passphrase: of the new keystore, at least 12 bytes.
        now: UTC, whole seconds.
        choices: what may be chosen besides.
        cost: what one guess of the passphrase costs; lower than the default in tests only.

    Returns:
        The member's request, which the governors get in person; where keys are kept apart, the request for
        its desks, which the member's people get.

    Raises:
        ConfigurationError: the directory holds something already, the passphrase is short, or a desk's
            releasers do not fit; nothing was made then.
    """
    chosen = choices or Choices()
    people = chosen.releasers
    check_releasers(people, settings)
    if (data / CONFIG_FILE).exists():
        raise ConfigurationError(f"{data} is in use already: choose another data directory")
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    keystore = Keystore.create(data / KEYSTORE_DIRECTORY, passphrase, cost)
    desks = {
        unit: _make_desk(keystore, f"{settings.member}/{unit}", people.get(unit, Releasers((), 0)))
        for unit in settings.desks
    }
    keystore.put(DATABASE_KEY_NAME, secrets.token_bytes(DATABASE_KEY_BYTES))
    engine = open_sqlcipher(data / DATABASE_FILE, keystore.get(DATABASE_KEY_NAME))
    migrate(engine, migrations)
    engine.dispose()
    make_witness_key(data, keystore, settings.exchange, settings.member)
    make_certificate(
        data, tuple(dict.fromkeys((settings.listen.host, "localhost", *chosen.names))), now
    )
    if chosen.apart:
        identities = {unit: load_desk(keystore, f"{settings.member}/{unit}").node for unit in desks}
        request = make_desk_request(data, settings.exchange, settings.member, desks, identities)
    else:
        request = _make_member_request(data, settings, keystore, desks, now)
    # Last, since who finds settings finds the whole node.
    save_node(data, settings)
    return request


def _make_member_request(
    data: Path, settings: NodeSettings, keystore: Keystore, desks: dict[str, Desk], now: datetime
) -> Path:
    member_key = TrustSigner.generate()
    keystore.put(MEMBER_KEY_NAME, member_key.seed())
    file = MemberFile(
        v=1,
        exchange=settings.exchange,
        member=settings.member,
        desks=desks,
        classification_names=classification_names(settings.member),
        revoked=(),
    )
    path = data / REQUEST_FILE
    expires = now + MEMBER_FILE_LIFE
    write_whole(path, member_request(settings.exchange, file, member_key, expires))
    return path


def check_releasers(releasers: Mapping[str, Releasers], settings: NodeSettings) -> None:
    """Refuse what the member's file could not say, before anything is made.

    Args:
        releasers: by unit.
        settings: of the node whose desks they release for.

    Raises:
        ConfigurationError: says what does not fit.
    """
    seen: set[bytes] = set()
    for unit, people in releasers.items():
        desk = f"{settings.member}/{unit}"
        if unit not in settings.desks:
            raise ConfigurationError(f"{desk} has releasers, and is no desk of this node")
        if not 1 <= people.threshold <= len(people.keys) <= SIGNATURES_MAX:
            raise ConfigurationError(
                f"{people.threshold} of {len(people.keys)} people cannot release what {desk} sends:"
                f" give 1 to {SIGNATURES_MAX} keys, and a threshold of at most as many"
            )
        for key in people.keys:
            if seen & {key.ed25519, key.ml_dsa_65}:
                raise ConfigurationError(
                    f"a release key of {desk} is given twice: each person has one for each desk"
                )
            seen |= {key.ed25519, key.ml_dsa_65}


def _make_desk(keystore: Keystore, desk: str, releasers: Releasers) -> Desk:
    node, request = SigningIdentity.generate(), RequestSigningKey.generate()
    member, _, unit = desk.partition("/")
    keystore.put(node_key_name(desk), node.seeds())
    keystore.put(request_key_name(desk), request.seed())
    return Desk(
        names=desk_names(member, unit) or Names(ar=desk, fr=desk, en=desk),
        request=request.public,
        node=node.public,
        release=releasers.keys,
        release_threshold=releasers.threshold,
        bulletin_versions=(BULLETIN_VERSION,),
        profile=Profile(topics=(), area=()),
    )


def join_node(data: Path, invitation: bytes) -> None:
    """Take the governors' invitation, which is handed over in person: it holds the root of trust.

    Args:
        data: the directory that `init_node` made.
        invitation: the exact bytes.

    Raises:
        ConfigurationError: it is no invitation, is to another exchange, its root is not signed by its
            own threshold, or this node holds one with another root or other logs.
    """
    settings = load_node(data)
    try:
        parsed = parse(Invitation, invitation, TRUST_FILE_BYTES_MAX)
        DirectoryHistory(parsed.exchange, parsed.root, parsed.logs.directory.origin)
    except (ParseError, VerificationError) as error:
        raise ConfigurationError(f"this is no invitation: {error}") from error
    if parsed.exchange != settings.exchange:
        raise ConfigurationError(
            f"the invitation is to {parsed.exchange}, and this node belongs to {settings.exchange}"
        )
    path = data / INVITATION_FILE
    # Where the hub is and what its TLS is trusted by may change: neither is trusted for anything else.
    if path.exists():
        known = load_invitation(data, settings.exchange)
        if known.model_copy(update={"hub": parsed.hub}) != parsed:
            raise ConfigurationError(
                f"{path} is another invitation: a root of trust is never replaced"
            )
    write_whole(path, invitation)
