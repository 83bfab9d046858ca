"""Making an auditor: its request key, its member's request, and the invitation that it joined by.

May import `broker.settings`, `keys` and `schemas`; the command line calls it. An auditor desk has no node: it
reads the logs, and can neither send nor receive.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from broker.settings import CONFIG_FILE, AuditorSettings, load_auditor, save_auditor, write_whole
from keys.ceremony import TrustSigner, member_request
from keys.keystore import DEFAULT_COST, KdfCost, Keystore
from keys.signing import RequestSigningKey
from keys.trust import read_initial_root
from schemas.directory import Desk, Invitation, MemberFile, Names, Profile
from schemas.errors import ConfigurationError, ParseError, VerificationError
from schemas.limits import TRUST_FILE_BYTES_MAX
from schemas.loader import parse
from schemas.scalars import member_of

KEYSTORE_DIRECTORY: Final = "keystore"
INVITATION_FILE: Final = "invitation.json"
REQUEST_FILE: Final = "member-request.json"
MEMBER_KEY: Final = "member"

MEMBER_FILE_LIFE: Final = timedelta(days=365)
"""How long the member's first file counts; the member signs the next one before."""

_INVITATION_BYTES_MAX: Final = 2 * TRUST_FILE_BYTES_MAX
"""Bytes of an invitation: the trust root in base64, and the TLS trust."""


def request_secret(desk: str) -> str:
    """Name of the secret of a desk's request key: its seed, 32 bytes."""
    return f"desk.{desk.partition('/')[2]}.request"


@dataclass(frozen=True, slots=True)
class Auditor:
    """An opened auditor: whom it calls as, by which invitation, with which key."""

    settings: AuditorSettings
    invitation: Invitation
    request_key: RequestSigningKey


def init_auditor(
    data: Path,
    settings: AuditorSettings,
    passphrase: bytes,
    now: datetime,
    names: Names | None = None,
    cost: KdfCost = DEFAULT_COST,
) -> Path:
    """Make an auditor in a new directory: its keys, and its member's request to the governors.

    Args:
        data: the directory to make.
        settings: the exchange, and the desk that audits.
        passphrase: of the new keystore.
        now: UTC, whole seconds.
        names: of the desk; its id by default.
        cost: of one guess of the passphrase; lower than the default in tests only.

    Returns:
        The path of the request, which the governors need.

    Raises:
        ConfigurationError: the directory is in use, or the passphrase is short.
    """
    if (data / CONFIG_FILE).exists():
        raise ConfigurationError(f"{data} is in use already: choose another data directory")
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    keystore = Keystore.create(data / KEYSTORE_DIRECTORY, passphrase, cost)
    request_key, member_key = RequestSigningKey.generate(), TrustSigner.generate()
    keystore.put(request_secret(settings.desk), request_key.seed())
    keystore.put(MEMBER_KEY, member_key.seed())
    file = _member_file(settings, names, request_key)
    request = member_request(settings.exchange, file, member_key, now + MEMBER_FILE_LIFE)
    path = data / REQUEST_FILE
    write_whole(path, request)
    # Last, since who finds settings finds the whole auditor.
    save_auditor(data, settings)
    return path


def _member_file(
    settings: AuditorSettings, names: Names | None, request_key: RequestSigningKey
) -> MemberFile:
    desk = settings.desk
    declared = Desk(
        names=names or Names(ar=desk, fr=desk, en=desk),
        request=request_key.public,
        release=(),
        release_threshold=0,
        bulletin_versions=(1,),
        profile=Profile(topics=(), area=()),
    )
    return MemberFile(
        v=1,
        exchange=settings.exchange,
        member=member_of(desk),
        desks={desk.partition("/")[2]: declared},
        classification_names={},
        revoked=(),
    )


def join_auditor(data: Path, invitation: bytes) -> None:
    """Store the invitation that the governors handed over; from then on the auditor can verify.

    Args:
        data: the directory that `init_auditor` made.
        invitation: the exact bytes of `invitation.json`.

    Raises:
        ConfigurationError: no auditor here, another exchange, no sound trust root, or an invitation
            with another root was accepted before.
    """
    exchange = load_auditor(data).exchange
    parsed = _read_invitation(invitation, exchange)
    path = data / INVITATION_FILE
    # Where the hub is and what its TLS is trusted by may change: neither is trusted for anything else.
    known = _read_invitation(path.read_bytes(), exchange) if path.exists() else parsed
    if known.model_copy(update={"hub": parsed.hub}) != parsed:
        raise ConfigurationError(
            f"{path} is another invitation: move it away if the governors really replaced it"
        )
    write_whole(path, invitation)


def open_auditor(data: Path, passphrase: bytes) -> Auditor:
    """Open an auditor.

    Raises:
        ConfigurationError: something is missing, or the passphrase is wrong; says what to do.
        VerificationError: a key file was altered.
    """
    settings, invitation = load_auditor(data), load_invited(data)
    keystore = Keystore.open(data / KEYSTORE_DIRECTORY, passphrase)
    key = RequestSigningKey.from_seed(keystore.get(request_secret(settings.desk)))
    return Auditor(settings, invitation, key)


def load_invited(data: Path) -> Invitation:
    """Read the invitation that an auditor took: no passphrase is needed to verify what lies in a folder.

    Raises:
        ConfigurationError: something is missing; says what to do.
    """
    path = data / INVITATION_FILE
    exchange = load_auditor(data).exchange
    if not path.exists():
        raise ConfigurationError(f"{path} does not exist: run `barid audit join` first")
    return _read_invitation(path.read_bytes(), exchange)


def read_invited(data: bytes) -> Invitation:
    """Read an invitation of any exchange. Raises ConfigurationError: it is none."""
    try:
        invitation = parse(Invitation, data, _INVITATION_BYTES_MAX)
        read_initial_root(invitation.root)
    except (ParseError, VerificationError) as error:
        raise ConfigurationError(f"this is no sound invitation: {error}") from error
    return invitation


def _read_invitation(data: bytes, exchange: str) -> Invitation:
    invitation = read_invited(data)
    if invitation.exchange != exchange:
        raise ConfigurationError(
            f"the invitation is to {invitation.exchange}, and this auditor belongs to {exchange}"
        )
    return invitation
