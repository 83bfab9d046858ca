"""The keystore: secrets at rest, sealed under a passphrase, one file each.

May import `schemas`, `keys.derivation`, PyNaCl and the standard library; nodes, hub, governors
and the command line keep their private keys here.
"""

from __future__ import annotations

import fcntl
import os
import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal, Self

import nacl.utils
from nacl.exceptions import CryptoError
from nacl.pwhash import argon2id
from nacl.secret import SecretBox
from pydantic import Field

from keys.derivation import label
from schemas.errors import ConfigurationError, ParseError, VerificationError
from schemas.loader import dump_json, parse
from schemas.scalars import Base64, Message

PARAMETERS_FILE: Final = "keystore.json"
KEY_SUFFIX: Final = ".key"
NEW_SUFFIX: Final = ".new"

SECRET_BYTES_MAX: Final = 64 * 1024
"""Bytes of one secret: an identity has 64, a key file of another tool a few thousand."""

PASSPHRASE_BYTES_MIN: Final = 12
"""Bytes of a new passphrase: the files may be stolen and tried for years."""

PASSPHRASE_BYTES_MAX: Final = 1024
_FILE_BYTES_MAX: Final = 2 * SECRET_BYTES_MAX
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_CHECK_NAME: Final = "/check"
"""No secret can have this name."""
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,127}", re.ASCII)


@dataclass(frozen=True, slots=True)
class KdfCost:
    """What one guess of the passphrase costs: passes over memory, and the memory in bytes."""

    operations: int = argon2id.OPSLIMIT_MODERATE
    memory_bytes: int = argon2id.MEMLIMIT_MODERATE


DEFAULT_COST: Final = KdfCost()
"""libsodium's MODERATE: 3 passes over 256 MiB, about a second, and it fits a small server."""


class _Parameters(Message):
    """`keystore.json`; `check` is an empty secret, which tells a wrong passphrase at once."""

    v: Annotated[int, Field(ge=1, le=1)]
    kdf: Literal["argon2id13"]
    salt: Annotated[Base64, Field(min_length=argon2id.SALTBYTES, max_length=argon2id.SALTBYTES)]
    operations: Annotated[int, Field(ge=argon2id.OPSLIMIT_MIN, le=64)]
    memory_bytes: Annotated[int, Field(ge=argon2id.MEMLIMIT_MIN, le=4 * 1024**3)]
    check: Base64


class Keystore:
    """Secrets by name, in a directory of mode 0700, files of mode 0600.

    The key of all files is Argon2id of the passphrase; each file is an XSalsa20-Poly1305 box with
    the secret's name inside, so that two files cannot change places. An older file under its own
    name is not noticed. Use `create` or `open`.
    """

    __slots__ = ("_box", "directory")

    def __init__(self, directory: Path, box: SecretBox) -> None:
        self.directory = directory
        self._box = box

    @classmethod
    def create(cls, directory: Path, passphrase: bytes, cost: KdfCost = DEFAULT_COST) -> Self:
        """Make a new keystore; the directory may exist if it is empty.

        Args:
            directory: where the files will lie; its parent exists.
            passphrase: at least 12 bytes.
            cost: what one guess costs; lower than the default in tests only.

        Raises:
            ConfigurationError: the passphrase is short, the directory is in use or open to others.
        """
        if not PASSPHRASE_BYTES_MIN <= len(passphrase) <= PASSPHRASE_BYTES_MAX:
            raise ConfigurationError(
                f"a passphrase has {PASSPHRASE_BYTES_MIN} to {PASSPHRASE_BYTES_MAX} bytes: choose"
                " another, for instance five random words"
            )
        try:
            directory.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise ConfigurationError(f"cannot make {directory}: {error.strerror}") from error
        # A creation that a crash cut short left at most this.
        if {path.name for path in directory.iterdir()} - {PARAMETERS_FILE + NEW_SUFFIX}:
            raise ConfigurationError(f"{directory} is not empty: name another directory")
        salt = nacl.utils.random(argon2id.SALTBYTES)
        keystore = cls(directory, _derive_box(passphrase, salt, cost))
        parameters = _Parameters(
            v=1,
            kdf="argon2id13",
            salt=salt,
            operations=cost.operations,
            memory_bytes=cost.memory_bytes,
            check=keystore._seal(_CHECK_NAME, b""),
        )
        keystore._write(PARAMETERS_FILE, dump_json(parameters))
        _sync_directory(directory.parent)
        return keystore

    @classmethod
    def open(cls, directory: Path, passphrase: bytes) -> Self:
        """Open a keystore.

        Raises:
            ConfigurationError: there is none, it is open to others, or the passphrase is wrong.
        """
        try:
            _refuse_loose_mode(directory, directory.stat())
        except OSError as error:
            raise ConfigurationError(
                f"there is no keystore at {directory}: make one with `barid node init`, or correct"
                " the path"
            ) from error
        try:
            parameters = parse(
                _Parameters, _read(directory, PARAMETERS_FILE, "the keystore"), _FILE_BYTES_MAX
            )
        except ParseError as error:
            raise ConfigurationError(
                f"{directory / PARAMETERS_FILE} is damaged: restore it from a backup"
            ) from error
        cost = KdfCost(parameters.operations, parameters.memory_bytes)
        keystore = cls(directory, _derive_box(passphrase, parameters.salt, cost))
        try:
            keystore._unseal(_CHECK_NAME, parameters.check)
        except VerificationError as error:
            raise ConfigurationError(
                f"the passphrase does not open {directory}: give the one it was made with"
            ) from error
        return keystore

    def put(self, name: str, secret: bytes) -> None:
        """Keep a secret under a name, in place of what stood there.

        After a power cut the file holds the old secret or the new one, whole.

        Args:
            name: lower-case letters, digits, `.`, `_` and `-`, at most 128.
            secret: at most 64 KiB.
        """
        _check_name(name)
        if len(secret) > SECRET_BYTES_MAX:
            raise ConfigurationError(f"a secret has at most {SECRET_BYTES_MAX} bytes")
        self._write(name + KEY_SUFFIX, self._seal(name, secret))

    def get(self, name: str) -> bytes:
        """Read a secret.

        Raises:
            ConfigurationError: there is no such secret, or its file is open to others.
            VerificationError: the file was altered, or is another secret's.
        """
        _check_name(name)
        file = name + KEY_SUFFIX
        return self._unseal(name, _read(self.directory, file, f"the secret {name}"))

    def seal(self, purpose: str, data: bytes) -> bytes:
        """Seal bytes that rest elsewhere under the same passphrase; no secret can be put in their place.

        Args:
            purpose: a word of the caller, part of what is sealed.
            data: what only the passphrase shall open, and nobody without it can have made.
        """
        return self._seal(f"/{purpose}", data)

    def unseal(self, purpose: str, sealed: bytes) -> bytes:
        """Open what `seal` made.

        Raises:
            VerificationError: it was altered, or sealed for another purpose or under another passphrase.
        """
        return self._unseal(f"/{purpose}", sealed)

    def files(self) -> dict[str, bytes]:
        """All files of the keystore, by name, as they lie on the disk: sealed, and none half written."""
        with self._locked():
            paths = sorted(self.directory.iterdir())
            kept = [path.name for path in paths if path.suffix != NEW_SUFFIX]
            return {name: _read(self.directory, name, f"the file {name}") for name in kept}

    def names(self) -> tuple[str, ...]:
        """The names of all secrets, sorted."""
        files = (path.name for path in self.directory.iterdir())
        return tuple(
            sorted(file.removesuffix(KEY_SUFFIX) for file in files if file.endswith(KEY_SUFFIX))
        )

    def delete(self, name: str) -> None:
        """Destroy a secret: overwrite its file, then remove it; without one, do nothing.

        Overwriting reaches the blocks only where the file system writes in place; what a disk that
        moves blocks or a backup keeps is still sealed under the passphrase.
        """
        _check_name(name)
        file, rest = name + KEY_SUFFIX, name + KEY_SUFFIX + NEW_SUFFIX
        with self._locked() as directory:
            _destroy(rest, directory)
            with suppress(FileNotFoundError):
                # Nobody, a start after a crash neither, finds half a secret under its name.
                os.rename(file, rest, src_dir_fd=directory, dst_dir_fd=directory)
                os.fsync(directory)
                _destroy(rest, directory)
            os.fsync(directory)

    @contextmanager
    def unchanging(self) -> Iterator[None]:
        """Let others write only after the block, which reads several secrets that belong together."""
        with self._locked():
            yield

    def _seal(self, name: str, secret: bytes) -> bytes:
        return bytes(self._box.encrypt(label("barid/v1/keystore", name, secret)))

    def _unseal(self, name: str, sealed: bytes) -> bytes:
        try:
            plaintext = self._box.decrypt(sealed)
        except (CryptoError, ValueError) as error:
            raise VerificationError(f"the file of {name} was altered, or is not ours") from error
        prefix = label("barid/v1/keystore", name, b"")
        if not plaintext.startswith(prefix):
            raise VerificationError(f"the file of {name} holds another secret")
        return plaintext[len(prefix) :]

    @contextmanager
    def _locked(self) -> Iterator[int]:
        """Hold the directory alone: node and command line may write at the same time."""
        try:
            directory = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY)
            try:
                _refuse_loose_mode(self.directory, os.fstat(directory))
                fcntl.flock(directory, fcntl.LOCK_EX)
                yield directory
            finally:
                os.close(directory)
        except OSError as error:
            raise ConfigurationError(
                f"{self.directory} cannot be written: {error.strerror}"
            ) from error

    def _write(self, file: str, data: bytes) -> None:
        new = file + NEW_SUFFIX
        with self._locked() as directory:
            # A crash before the rename leaves the old file, and a rest that the next write
            # replaces; a crash after it, the new file, whose bytes are on the disk already.
            descriptor = os.open(
                new,
                os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW,
                0o600,
                dir_fd=directory,
            )
            with os.fdopen(descriptor, "wb") as stream:
                os.fchmod(descriptor, 0o600)
                stream.write(data)
                stream.flush()
                os.fsync(descriptor)
            os.rename(new, file, src_dir_fd=directory, dst_dir_fd=directory)
            os.fsync(directory)


def _derive_box(passphrase: bytes, salt: bytes, cost: KdfCost) -> SecretBox:
    try:
        key = argon2id.kdf(SecretBox.KEY_SIZE, passphrase, salt, cost.operations, cost.memory_bytes)
    except CryptoError as error:
        raise ConfigurationError(
            f"Argon2id needs {cost.memory_bytes} bytes of memory: give the process more"
        ) from error
    return SecretBox(key)


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise ConfigurationError(
            f"{name!r} names no secret: use lower-case letters, digits, `.`, `_` and `-`"
        )


def _refuse_loose_mode(path: Path, status: os.stat_result) -> None:
    if status.st_mode & _OTHERS:
        strict = "0700" if stat.S_ISDIR(status.st_mode) else "0600"
        raise ConfigurationError(
            f"{path} is open to other users (mode {stat.S_IMODE(status.st_mode):04o}):"
            f" run `chmod {strict} {path}`"
        )


def _read(directory: Path, file: str, what: str) -> bytes:
    path = directory / file
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError as error:
        raise ConfigurationError(f"{what} cannot be read at {path}: {error.strerror}") from error
    with os.fdopen(descriptor, "rb") as stream:
        _refuse_loose_mode(path, os.fstat(descriptor))
        data = stream.read(_FILE_BYTES_MAX + 1)
    if len(data) > _FILE_BYTES_MAX:
        raise VerificationError(f"{path} is over {_FILE_BYTES_MAX} bytes, and not ours")
    return data


def _destroy(file: str, directory: int) -> None:
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_NOFOLLOW, dir_fd=directory)
    except FileNotFoundError:
        return
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(bytes(os.fstat(descriptor).st_size))
        stream.flush()
        os.fsync(descriptor)
    os.unlink(file, dir_fd=directory)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_passphrase(environment: Mapping[str, str]) -> bytes:
    """Read the passphrase of an unattended start; one newline at its end is not part of it.

    Args:
        environment: of these, the first that is set counts: `BARID_PASSPHRASE_FD`, the number of an
            open file descriptor, which is read and closed; `BARID_PASSPHRASE_FILE`, a path of mode
            0600; `CREDENTIALS_DIRECTORY`, systemd's, with the credential `passphrase`.

    Raises:
        ConfigurationError: none of them is set, it cannot be read, or it is empty.
    """
    try:
        if number := environment.get("BARID_PASSPHRASE_FD"):
            data = _read_descriptor(int(number))
        elif path := environment.get("BARID_PASSPHRASE_FILE"):
            _refuse_loose_mode(Path(path), Path(path).stat())
            data = _read_descriptor(os.open(path, os.O_RDONLY))
        elif credentials := environment.get("CREDENTIALS_DIRECTORY"):
            # systemd opens this file to the service by an access list, which shows as group bits.
            data = _read_descriptor(os.open(Path(credentials) / "passphrase", os.O_RDONLY))
        else:
            raise ConfigurationError(
                "there is no passphrase: set BARID_PASSPHRASE_FD or BARID_PASSPHRASE_FILE, or start"
                " with systemd's LoadCredential=passphrase:PATH"
            )
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"the passphrase cannot be read: {error}") from error
    passphrase = data.removesuffix(b"\n")
    if not 0 < len(passphrase) <= PASSPHRASE_BYTES_MAX:
        raise ConfigurationError(f"a passphrase has 1 to {PASSPHRASE_BYTES_MAX} bytes")
    return passphrase


def _read_descriptor(descriptor: int) -> bytes:
    with os.fdopen(descriptor, "rb") as stream:
        return stream.read(PASSPHRASE_BYTES_MAX + 2)
