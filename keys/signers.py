"""Who signed a TUF file: the keys whose signatures on it verify.

May import tuf and securesystemslib; pure. People read it in `barid trust status` and in an audit; whether
enough signed was decided when the directory was verified.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from securesystemslib.exceptions import Error as SigningLibraryError
from securesystemslib.exceptions import UnverifiedSignatureError
from securesystemslib.signer import Key
from tuf.api.metadata import Metadata
from tuf.api.serialization import DeserializationError

from schemas.errors import VerificationError


def signers_of(data: bytes, keys: Mapping[str, Key]) -> tuple[str, ...]:
    """Find which keys signed some metadata.

    Args:
        data: the exact bytes of the metadata.
        keys: keyid → key, of those who might have.

    Returns:
        The keyids whose signatures verify, sorted.

    Raises:
        VerificationError: it is no TUF metadata.
    """
    try:
        metadata: Metadata[Any] = Metadata[Any].from_bytes(data)
    except DeserializationError as error:
        raise VerificationError(f"this is no TUF metadata: {error}") from error
    found = []
    for keyid, key in sorted(keys.items()):
        signature = metadata.signatures.get(keyid)
        if signature is None:
            continue
        try:
            key.verify_signature(signature, metadata.signed_bytes)
        except (UnverifiedSignatureError, SigningLibraryError):
            continue
        found.append(keyid)
    return tuple(found)
