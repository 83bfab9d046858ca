"""Release keys: one person's signing identity, kept on that person's own machine.

May import `schemas` and the keystore; `barid release` makes and loads one, `barid node init` reads the
public half that the person hands over.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Final

from pydantic import Field

from keys.keystore import Keystore
from keys.signing import SEED_BYTES, SigningIdentity, check_ed25519
from schemas.directory import IdentityKey
from schemas.errors import ConfigurationError, ParseError
from schemas.loader import parse
from schemas.scalars import ExchangeName, Message, Version

RELEASE_FILE: Final = "release-public.json"

_PREFIX: Final = "release."
"""The exchange's name follows: the keystore seals the name with the seeds, so that nobody changes it."""

_FILE_BYTES_MAX: Final = 16 * 1024


class ReleaseKeyFile(Message):
    """`release-public.json`: what a releaser gives the node's administrator, in person.

    `name` is for the administrator's own list; the directory has the key alone.
    """

    v: Version
    exchange: ExchangeName
    name: Annotated[str, Field(min_length=1, max_length=100)]
    key: IdentityKey


@dataclass(frozen=True, slots=True)
class ReleaseKey:
    """A person's identity in one exchange."""

    exchange: str
    identity: SigningIdentity = field(repr=False)

    @property
    def keyid(self) -> str:
        """The name under which its signatures count."""
        return self.identity.keyid(self.exchange)


def make_release_key(keystore: Keystore, exchange: str) -> ReleaseKey:
    """Draw a new identity, and keep both seeds.

    Args:
        keystore: a new one, of this person alone.
        exchange: the exchange's name.
    """
    key = ReleaseKey(exchange, SigningIdentity.generate())
    keystore.put(_PREFIX + exchange, key.identity.seeds())
    return key


def load_release_key(keystore: Keystore) -> ReleaseKey:
    """Load the identity that `make_release_key` kept.

    Raises:
        ConfigurationError: the keystore holds none, several, or one that is not whole.
        VerificationError: its file was altered, or is another secret's.
    """
    names = [name for name in keystore.names() if name.startswith(_PREFIX)]
    if len(names) != 1:
        raise ConfigurationError(
            f"{keystore.directory} holds {len(names)} release keys, not one: make one with"
            " `barid release keygen`"
        )
    seeds = keystore.get(names[0])
    try:
        identity = SigningIdentity.from_seeds(seeds[:SEED_BYTES], seeds[SEED_BYTES:])
    except ParseError as error:
        raise ConfigurationError(
            f"the release key in {keystore.directory} is not whole: restore it from a backup"
        ) from error
    return ReleaseKey(names[0].removeprefix(_PREFIX), identity)


def read_release_file(data: bytes, exchange: str) -> ReleaseKeyFile:
    """Read what a releaser handed over.

    Args:
        data: the exact bytes of `release-public.json`.
        exchange: the exchange that the node belongs to.

    Raises:
        ConfigurationError: it is none, is for another exchange, or its key is weak.
    """
    try:
        file = parse(ReleaseKeyFile, data, _FILE_BYTES_MAX)
    except ParseError as error:
        raise ConfigurationError(f"this is no {RELEASE_FILE}: {error}") from error
    if file.exchange != exchange:
        raise ConfigurationError(
            f"the release key of {file.name} is for {file.exchange}, not for {exchange}"
        )
    check_ed25519(f"the release key of {file.name}", file.key.ed25519)
    return file
