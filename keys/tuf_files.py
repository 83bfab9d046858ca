"""One TUF file at a time: its name, its strict JSON, its hash, its signatures.

May import `schemas`, `keys.derivation`, tuf, securesystemslib and `cryptography`; `keys.trust` reads whole
directories with it, `keys.ceremony` makes them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Final, Self

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    SECP384R1,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.asymmetric.mldsa import (
    MLDSA44PublicKey,
    MLDSA65PublicKey,
    MLDSA87PublicKey,
)
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_public_key,
)
from pydantic import ValidationError
from securesystemslib.exceptions import Error as SigningLibraryError
from securesystemslib.signer import KEY_TYPE_ECDSA, KEY_TYPE_ED25519, KEY_TYPE_MLDSA, Key
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, MetaFile, Root, T, TargetFile, Targets
from tuf.api.serialization import DeserializationError, SerializationError

from keys.derivation import sha256_hex
from schemas.entries import FileVersion
from schemas.errors import ParseError, VerificationError
from schemas.limits import TRUST_FILE_BYTES_MAX
from schemas.loader import load_json

Fetch = Callable[[str, int], bytes]
"""Gets a file by its name under `/v1/trust/`, of at most so many bytes; raises TrustFileMissing."""

_ED25519_HEX: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)


class ExactName(str):
    """A file's name, with the SHA-256 of the file that is committed to.

    Whoever keeps files sees by it which one is meant: a void directory may have had another of that name.
    """

    sha256: str

    def __new__(cls, name: str, sha256: str) -> Self:
        """Make the name."""
        made = super().__new__(cls, name)
        made.sha256 = sha256
        return made


def pick(get: Callable[[str], bytes | None], name: str, size_bytes_max: int) -> bytes:
    """Give a file out of those that somebody keeps: of two of one name the one that is committed to.

    The second of a name is kept under it, `@` and its SHA-256.

    Raises:
        TrustFileMissing: it is not there, or over its limit.
    """
    data = get(name)
    if isinstance(name, ExactName) and (data is None or sha256_hex(data) != name.sha256):
        data = get(f"{name}@{name.sha256}") or data
    if data is None or len(data) > size_bytes_max:
        raise TrustFileMissing(f"{name} is not there")
    return data


def recording(fetch: Fetch) -> tuple[dict[str, bytes], Fetch]:
    """Note the files that are read, for `pick`: those noted so far, and what reads and notes them."""
    read: dict[str, bytes] = {}

    def noting(name: str, size_bytes_max: int) -> bytes:
        data = fetch(name, size_bytes_max)
        if read.setdefault(str(name), data) != data:
            read[f"{name}@{sha256_hex(data)}"] = data
        return data

    return read, noting


class TrustFileMissing(VerificationError):
    """A file that is committed to cannot be had, or other bytes were given in its place.

    The directory is then neither void nor valid: the caller waits, with an alarm (the protocol). If
    other bytes made it void, a hub could hold one node back on an old directory by serving it garbage.
    """


def metadata_name(role: str, version: int) -> str:
    """The name of a TUF metadata file under `/v1/trust/`."""
    return f"metadata/{version}.{role}.json"


def target_name(path: str, sha256: str) -> str:
    """The name of a TUF target file under `/v1/trust/`: its SHA-256 stands before its last part."""
    parent, separator, name = path.rpartition("/")
    return f"targets/{parent}{separator}{sha256}.{name}"


def fetch_exact(fetch: Fetch, name: str, sha256: str, size_bytes_max: int) -> bytes:
    """Get the file of a known hash.

    Raises:
        TrustFileMissing: it is not there, or is another one.
    """
    try:
        data = fetch(ExactName(name, sha256), size_bytes_max)
    except TrustFileMissing:
        raise
    except (VerificationError, ParseError) as error:
        # Whatever went wrong on the way is no property of the file.
        raise TrustFileMissing(f"{name} could not be fetched: {error}") from error
    if sha256_hex(data) != sha256:
        raise TrustFileMissing(f"what was given as {name} is not the file that is committed to")
    return data


def commitment_of(name: str, file: MetaFile | TargetFile) -> tuple[str, int]:
    """Read the SHA-256 and size in bytes by which another file commits to this one.

    Raises:
        VerificationError: either is absent, another hash is used, or the size is over the limit.
    """
    length, hashes = file.length, file.hashes or {}
    if set(hashes) != {"sha256"} or type(length) is not int:
        raise VerificationError(f"{name} is not listed with its length and its SHA-256 alone")
    if length > TRUST_FILE_BYTES_MAX:
        raise VerificationError(f"{name} has {length} bytes; the limit is {TRUST_FILE_BYTES_MAX}")
    return hashes["sha256"], length


def fetch_metadata(fetch: Fetch, role: str, listed: MetaFile) -> tuple[FileVersion, bytes]:
    """Get the metadata that a snapshot lists.

    Raises:
        TrustFileMissing: it is not there, or is another one.
        VerificationError: it is not listed as it must be.
    """
    sha256, size_bytes = commitment_of(role, listed)
    try:
        version = FileVersion(version=listed.version, sha256=sha256)
    except ValidationError as error:
        raise VerificationError(f"{role} is not listed with a version and a SHA-256") from error
    data = fetch_exact(fetch, metadata_name(role, version.version), sha256, TRUST_FILE_BYTES_MAX)
    if len(data) != size_bytes:
        raise VerificationError(f"{role} is listed with {size_bytes} bytes, and has {len(data)}")
    return version, data


def fetch_target(fetch: Fetch, path: str, listed: TargetFile) -> tuple[str, bytes]:
    """Get a target file that targets metadata lists, with its SHA-256.

    Raises:
        TrustFileMissing: it is not there, or is another one.
        VerificationError: it is not listed as it must be.
    """
    sha256, size_bytes = commitment_of(path, listed)
    if not _ED25519_HEX.fullmatch(sha256):
        raise VerificationError(f"{path} is not listed with a SHA-256")
    data = fetch_exact(fetch, target_name(path, sha256), sha256, TRUST_FILE_BYTES_MAX)
    if len(data) != size_bytes:
        raise VerificationError(f"{path} is listed with {size_bytes} bytes, and has {len(data)}")
    return sha256, data


def read_metadata(name: str, data: bytes, role: type[T]) -> Metadata[T]:
    """Parse TUF metadata: strict JSON first, since tuf keeps the last of two equal names.

    Raises:
        VerificationError: not strict JSON, or not metadata of that type.
    """
    try:
        load_json(data, TRUST_FILE_BYTES_MAX)
        metadata = Metadata[T].from_bytes(data)
    except (ParseError, DeserializationError) as error:
        raise VerificationError(f"{name} is not TUF metadata: {error}") from error
    if not isinstance(metadata.signed, role) or type(metadata.signed.version) is not int:
        raise VerificationError(f"{name} is not {role.type} metadata")
    return metadata


def verify_role(delegator: Root | Targets, role: str, metadata: Metadata[T]) -> None:
    """Verify that a role's threshold of keys signed some metadata.

    Raises:
        VerificationError: fewer signatures verify, or there is no such role.
    """
    try:
        delegator.verify_delegate(role, metadata.signed_bytes, metadata.signatures)
    except (
        RepositoryError,
        SerializationError,
        SigningLibraryError,
        ValueError,
        TypeError,
    ) as error:
        raise VerificationError(
            f"the metadata of {role} is not signed as it must be: {error}"
        ) from error


def check_tuf_keys(keys: Iterable[Key]) -> None:
    """Refuse keys of other types, and one key under two names: TUF counts names towards a threshold.

    Raises:
        VerificationError: naming the key.
    """
    seen: set[bytes] = set()
    for key in keys:
        raw = _raw_public(key)
        if raw in seen:
            raise VerificationError(f"the TUF key {key.keyid} occurs under two names")
        seen.add(raw)


def _raw_public(key: Key) -> bytes:
    public = key.keyval.get("public")
    if (
        isinstance(public, str)
        and key.keytype == KEY_TYPE_ED25519
        and _ED25519_HEX.fullmatch(public)
    ):
        return bytes.fromhex(public)
    if isinstance(public, str) and key.keytype in {KEY_TYPE_MLDSA, KEY_TYPE_ECDSA}:
        try:
            loaded = load_pem_public_key(public.encode())
        except (ValueError, UnsupportedAlgorithm) as error:
            raise VerificationError(f"the TUF key {key.keyid} does not load") from error
        if isinstance(loaded, MLDSA44PublicKey | MLDSA65PublicKey | MLDSA87PublicKey):
            return loaded.public_bytes_raw()
        # What tokens (PKCS#11) can do.
        if isinstance(loaded, EllipticCurvePublicKey) and isinstance(
            loaded.curve, SECP256R1 | SECP384R1
        ):
            return loaded.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    raise VerificationError(
        f"the TUF key {key.keyid} is neither Ed25519 in lower-case hex, nor ML-DSA, nor ECDSA on"
        " P-256 or P-384"
    )
