"""Trust keys: what governors, and the people who sign for a member, hold apart from every node.

May import `schemas`, the keystore, tuf and securesystemslib; the ceremonies load public keys with it, and
`barid trust keygen` makes a key in a keystore of its own.
"""

from __future__ import annotations

from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from securesystemslib.signer import KEY_TYPE_ED25519, Key, SSlibKey

from keys.keystore import Keystore
from keys.repository import TrustSigner
from keys.signing import check_ed25519
from keys.tuf_files import check_tuf_keys
from schemas.errors import ConfigurationError, ParseError, VerificationError
from schemas.governance import MemberKeys, TrustKey, TrustKeyFile
from schemas.loader import dump_json, parse

TRUST_KEY_FILE: Final = "trust-public.json"

_PREFIX: Final = "trust."
"""The exchange's name follows: the keystore seals the name with the seed, so that nobody changes it."""

_FILE_BYTES_MAX: Final = 16 * 1024


def make_trust_key(keystore: Keystore, exchange: str) -> TrustSigner:
    """Draw a new Ed25519 key, and keep it.

    Args:
        keystore: a new one, of this person alone.
        exchange: the exchange's name.
    """
    signer = TrustSigner.generate()
    keystore.put(_PREFIX + exchange, signer.seed())
    return signer


def load_trust_key(keystore: Keystore, exchange: str) -> TrustSigner:
    """Load the key that `make_trust_key` kept.

    Raises:
        ConfigurationError: the keystore holds none for this exchange, or one that is not whole.
        VerificationError: its file was altered, or is another secret's.
    """
    if _PREFIX + exchange not in keystore.names():
        raise ConfigurationError(
            f"{keystore.directory} holds no trust key for {exchange}: make one with"
            " `barid trust keygen`"
        )
    try:
        return TrustSigner.from_seed(keystore.get(_PREFIX + exchange))
    except ParseError as error:
        raise ConfigurationError(
            f"the trust key in {keystore.directory} is not whole: restore it from a backup"
        ) from error


def key_message(key: Key) -> TrustKey:
    """Write a public key as it travels."""
    return TrustKey.model_validate(key.to_dict())


def load_key(message: TrustKey) -> Key:
    """Load a public key that travelled; its keyid is computed.

    Raises:
        ParseError: it does not load, or is not what its type says.
        ConfigurationError: an Ed25519 key that libsodium refuses.
    """
    try:
        if message.keytype == KEY_TYPE_ED25519:
            raw = bytes.fromhex(message.keyval.public)
            loaded = SSlibKey.from_crypto(Ed25519PublicKey.from_public_bytes(raw))
        else:
            loaded = SSlibKey.from_crypto(load_pem_public_key(message.keyval.public.encode()))
        check_tuf_keys([loaded])
    except (ValueError, UnsupportedAlgorithm, VerificationError) as error:
        raise ParseError("the trust key does not load") from error
    if loaded.to_dict() != message.model_dump():
        raise ParseError("the trust key is not what its type says")
    if message.keytype == KEY_TYPE_ED25519:
        check_ed25519("the trust key", bytes.fromhex(message.keyval.public))
    return loaded


def load_member_keys(message: MemberKeys) -> tuple[tuple[Key, ...], int]:
    """Load the keys that sign for a member, and how many must.

    Raises:
        ParseError: a key does not load.
        ConfigurationError: more must sign than there are, or one key is there twice.
    """
    keys = tuple(load_key(key) for key in message.keys)
    try:
        check_tuf_keys(keys)
    except VerificationError as error:
        raise ConfigurationError(f"the member's keys are not right: {error}") from error
    if message.threshold > len(keys):
        raise ConfigurationError(f"{message.threshold} of {len(keys)} keys cannot sign")
    return keys, message.threshold


def write_trust_key_file(exchange: str, name: str, key: Key) -> bytes:
    """Write `trust-public.json`, which its holder hands over in person."""
    return dump_json(TrustKeyFile(v=1, exchange=exchange, name=name, key=key_message(key)))


def read_trust_key_file(data: bytes, exchange: str) -> tuple[str, Key]:
    """Read what a governor or a member's person handed over.

    Returns:
        Whose it is, and the key.

    Raises:
        ConfigurationError: it is none, is for another exchange, or its key is weak.
    """
    try:
        file = parse(TrustKeyFile, data, _FILE_BYTES_MAX)
        key = load_key(file.key)
    except ParseError as error:
        raise ConfigurationError(f"this is no {TRUST_KEY_FILE}: {error}") from error
    if file.exchange != exchange:
        raise ConfigurationError(
            f"the key of {file.name} is for {file.exchange}, not for {exchange}"
        )
    return file.name, key
