"""Backup archives: a tar file that begins with a manifest of SHA-256s, sealed so that nobody alters it.

May import `keys.keystore`, `schemas` and the standard library; `hub.backup` and `node.backup` say what goes
in and comes out. The reader is no tar parser: it computes each header from the manifest, and takes no other.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, BinaryIO, Final, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from keys.keystore import Keystore
from schemas.errors import ConfigurationError, ParseError, VerificationError
from schemas.limits import INTEGER_MAX
from schemas.loader import dump_json, parse
from schemas.scalars import ExchangeName, Message, Sha256Hex, UtcTime

KEYSTORE_FOLDER: Final = "keystore/"
MANIFEST: Final = "manifest.json"
SEAL: Final = "manifest.sealed"

MANIFEST_BYTES_MAX: Final = 64 * 1024 * 1024
"""Bytes of a manifest: 300,000 files, a hub's attachments of a year."""

_FILES_MAX: Final = 1_000_000
_SEAL_BYTES_MAX: Final = 1024
_KEYSTORE_BYTES_MAX: Final = 16 * 1024 * 1024
"""Bytes of all files of a keystore: they are unpacked to be opened, before anything is believed."""

_PIECE_BYTES: Final = 1024 * 1024
_PURPOSE: Final = "backup"
_SOFTWARE: Final = "barid-broker"
_FILE_MODE: Final = 0o600

_NAME: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,199}(/[A-Za-z0-9][A-Za-z0-9._-]{0,199}){0,3}$"
"""A file below the data directory: no part is empty or begins with a dot, so that none leads out of it."""


class ArchivedFile(Message):
    """One file of an archive."""

    name: Annotated[str, StringConstraints(pattern=_NAME)]
    size: Annotated[int, Field(ge=0, le=INTEGER_MAX)]
    sha256: Sha256Hex


class Manifest(Message):
    """What an archive holds, whose it is, and when it was made."""

    v: Annotated[int, Field(ge=1, le=1)]
    role: Literal["hub", "node"]
    exchange: ExchangeName
    owner: Annotated[str, Field(min_length=1, max_length=200)]
    at: UtcTime
    software: Annotated[str, Field(min_length=1, max_length=40)]
    files: Annotated[tuple[ArchivedFile, ...], Field(min_length=1, max_length=_FILES_MAX)]

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        if len({each.name for each in self.files}) != len(self.files):
            raise ValueError("a file is named twice")
        return self


@dataclass(frozen=True, slots=True)
class Source:
    """A file that goes into an archive: its name there, and where it lies."""

    name: str
    path: Path


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose archive it is: a hub's or a node's, of which exchange, under which name, and when."""

    role: Literal["hub", "node"]
    exchange: str
    name: str
    at: datetime


def write_archive(
    out: Path, owner: Owner, sources: Sequence[Source], keystore: Keystore
) -> Manifest:
    """Write an archive to a new file of mode 0600; under its name it is whole, or not there.

    1. Hash every file; a source that is gone meanwhile was not needed any more, and is left out.
    2. Write manifest, seal and files under another name, and hash again what is written.
    3. Have the disk take it, then give it its name. A crash before this leaves a file that ends in `.part`.

    Args:
        out: the archive; its directory exists.
        owner: goes into the manifest.
        sources: in the order of the archive, the keystore's first.
        keystore: seals the manifest, so that only who has its passphrase can have made the archive.

    Raises:
        ConfigurationError: `out` is there already, or a file changed while it was saved.
    """
    if out.exists():
        raise ConfigurationError(f"{out} is there already: name another file")
    hashed = [(source, found) for source in sources if (found := _hashed(source)) is not None]
    manifest = Manifest(
        v=1,
        role=owner.role,
        exchange=owner.exchange,
        owner=owner.name,
        at=owner.at,
        software=version(_SOFTWARE),
        files=tuple(found for _, found in hashed),
    )
    described = dump_json(manifest)
    if len(described) > MANIFEST_BYTES_MAX:
        raise ConfigurationError(f"over {MANIFEST_BYTES_MAX} bytes of manifest: too many files")
    seal = keystore.seal(_PURPOSE, hashlib.sha256(described).digest())
    with _new_file(out) as file:
        for name, data in ((MANIFEST, described), (SEAL, seal)):
            file.write(_header(name, len(data), owner.at) + data + _padding(len(data)))
        for source, found in hashed:
            file.write(_header(found.name, found.size, owner.at))
            with source.path.open("rb") as contents:
                if _copy(contents, file, found.size) != found.sha256:
                    raise ConfigurationError(f"{source.path} changed while it was saved: run again")
            file.write(_padding(found.size))
        file.write(bytes(2 * tarfile.BLOCKSIZE))
    return manifest


def _hashed(source: Source) -> ArchivedFile | None:
    try:
        with source.path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            return ArchivedFile(name=source.name, size=file.tell(), sha256=sha256)
    except FileNotFoundError:
        return None


@contextmanager
def _new_file(out: Path) -> Iterator[BinaryIO]:
    part = out.with_name(f".{out.name}.part")
    part.unlink(missing_ok=True)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, _FILE_MODE)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(descriptor)
        if out.exists():
            raise ConfigurationError(f"{out} is there already: name another file")
        part.rename(out)
    finally:
        part.unlink(missing_ok=True)
    sync_folder(out.parent)


def sync_folder(folder: Path) -> None:
    """Have the disk know the names within a folder."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _header(name: str, size: int, at: datetime) -> bytes:
    """The one header that a file of this name and size has in an archive."""
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.mtime = size, _FILE_MODE, int(at.timestamp())
    return info.tobuf(tarfile.GNU_FORMAT, "ascii", "strict")


def _padding(size: int) -> bytes:
    return bytes(-size % tarfile.BLOCKSIZE)


def _copy(contents: BinaryIO, to: BinaryIO | None, size: int) -> str:
    """Copy so many bytes, or fewer where they end. Returns the SHA-256 of what was copied, hex."""
    digest = hashlib.sha256()
    left = size
    while left and (piece := contents.read(min(left, _PIECE_BYTES))):
        digest.update(piece)
        left -= len(piece)
        if to is not None:
            to.write(piece)
    return digest.hexdigest()


def open_archive(archive: Path, passphrase: bytes) -> tuple[Manifest, Keystore]:
    """Verify all of an archive; nothing of it is written, but its keystore to a folder that goes.

    1. Manifest and seal, then every file by the header and the hash that the manifest gives, and no more.
    2. The keystore in it opens with the passphrase.
    3. The keystore opens the seal, and what it says is the manifest.

    Args:
        archive: the file.
        passphrase: of the keystore in it.

    Returns:
        The manifest, and the keystore, which can open what was sealed, and whose files are gone.

    Raises:
        ConfigurationError: it cannot be read, or the passphrase is not the keystore's.
        VerificationError: it is no archive, was cut short, or altered.
    """
    with _reading(archive) as file, tempfile.TemporaryDirectory() as folder:
        manifest, seal = _read_manifest(file)
        keystore_folder = Path(folder) / KEYSTORE_FOLDER
        keystore_folder.mkdir(mode=0o700)
        left_bytes = _KEYSTORE_BYTES_MAX
        for each in manifest.files:
            if not each.name.startswith(KEYSTORE_FOLDER):
                _take(file, each, manifest.at, None)
                continue
            left_bytes -= each.size
            if left_bytes < 0 or each.name.count("/") != 1:
                raise VerificationError("the archive's keystore is not one")
            with _exclusive(Path(folder) / each.name) as copied:
                _take(file, each, manifest.at, copied)
        if file.read(2 * tarfile.BLOCKSIZE + 1) != bytes(2 * tarfile.BLOCKSIZE):
            raise VerificationError("the archive does not end where its manifest says")
        keystore = Keystore.open(keystore_folder, passphrase)
    if not is_sealed_by(keystore, manifest, seal):
        raise VerificationError("the archive's manifest is not the one that was sealed")
    return manifest, keystore


def look_at_archive(archive: Path) -> tuple[Manifest, bytes]:
    """Read what an archive says that it holds, and its seal; of its files nothing is read.

    Args:
        archive: the file.

    Returns:
        The manifest, which anybody may have written, and the seal: see `is_sealed_by`.

    Raises:
        ConfigurationError: it cannot be read.
        VerificationError: it is no archive, or was cut short.
    """
    try:
        with archive.open("rb") as file:
            return _read_manifest(file)
    except OSError as error:
        raise ConfigurationError(f"{archive} cannot be read: {error.strerror}") from error


def is_sealed_by(keystore: Keystore, manifest: Manifest, seal: bytes) -> bool:
    """Whether a keystore's passphrase sealed this manifest."""
    try:
        sealed = keystore.unseal(_PURPOSE, seal)
    except VerificationError:
        return False
    return sealed == hashlib.sha256(dump_json(manifest)).digest()


def unpack(archive: Path, expected: Manifest, data: Path, last: str) -> None:
    """Write a verified archive's files into an empty directory, each hashed again on its way.

    Args:
        archive: the file.
        expected: its manifest, as `open_archive` gave it.
        data: the directory; made if it is not there.
        last: the file that is written after all others are on the disk: who finds it finds all. Until
            then the directory is no data directory, and a crash leaves one to be deleted.

    Raises:
        ConfigurationError: the directory is not empty.
        VerificationError: the archive is not what was verified.
    """
    check_empty(data)
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    data.chmod(0o700)
    try:
        with _reading(archive) as file:
            if _read_manifest(file)[0] != expected:
                raise VerificationError("the archive was replaced while it was read")
            for each in expected.files:
                path = data / (f"{each.name}.new" if each.name == last else each.name)
                # One after the other: those that `parents` makes would be open to others.
                for folder in reversed(path.relative_to(data).parents):
                    (data / folder).mkdir(mode=0o700, exist_ok=True)
                with _exclusive(path) as written:
                    _take(file, each, expected.at, written)
    except BaseException:
        for path in data.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        raise
    for folder in {data, *(path.parent for path in data.rglob("*"))}:
        sync_folder(folder)


def finish(data: Path, last: str) -> None:
    """Give the last file its name: from here on the directory is whole."""
    (data / f"{last}.new").replace(data / last)
    sync_folder(data)


def check_empty(data: Path) -> None:
    """Raises ConfigurationError: something is in a directory, or it is none."""
    if data.exists() and not (data.is_dir() and not any(data.iterdir())):
        raise ConfigurationError(f"{data} is not empty: restore into a new directory")


@contextmanager
def _reading(archive: Path) -> Iterator[BinaryIO]:
    try:
        with archive.open("rb") as file:
            yield file
    except FileNotFoundError as error:
        raise ConfigurationError(f"{archive} does not exist: name the archive") from error


def _read_manifest(file: BinaryIO) -> tuple[Manifest, bytes]:
    """Read manifest and seal, whose sizes only their own headers tell."""
    head, described = _read_small(file, MANIFEST, MANIFEST_BYTES_MAX)
    try:
        manifest = parse(Manifest, described, MANIFEST_BYTES_MAX)
    except ParseError as error:
        raise VerificationError("the archive's manifest is not one of ours") from error
    seal_head, seal = _read_small(file, SEAL, _SEAL_BYTES_MAX)
    # One manifest has one form, and so has its archive: what is sealed are these very bytes.
    if (head, described, seal_head) != (
        _header(MANIFEST, len(described), manifest.at),
        dump_json(manifest),
        _header(SEAL, len(seal), manifest.at),
    ):
        raise VerificationError("the archive's manifest is not one of ours")
    return manifest, seal


def _read_small(file: BinaryIO, name: str, size_max: int) -> tuple[bytes, bytes]:
    """Read the next file of the archive: its header, and its bytes."""
    head = file.read(tarfile.BLOCKSIZE)
    try:
        info = tarfile.TarInfo.frombuf(head, "ascii", "strict")
    except tarfile.HeaderError as error:
        raise VerificationError("this is no archive of a backup") from error
    if (info.name, info.type) != (name, tarfile.REGTYPE) or not 0 < info.size <= size_max:
        raise VerificationError("this is no archive of a backup")
    data = file.read(info.size)
    if len(data) != info.size or any(file.read(-info.size % tarfile.BLOCKSIZE)):
        raise VerificationError("the archive was cut short")
    return head, data


def _take(file: BinaryIO, each: ArchivedFile, at: datetime, to: BinaryIO | None) -> None:
    """Read one file of the archive, which is exactly what the manifest says."""
    header = _header(each.name, each.size, at)
    if file.read(len(header)) != header:
        raise VerificationError(f"the archive holds something else in place of {each.name}")
    found = _copy(file, to, each.size)
    padding = _padding(each.size)
    if found != each.sha256 or file.read(len(padding)) != padding:
        raise VerificationError(f"{each.name} in the archive was altered, or cut short")


@contextmanager
def _exclusive(path: Path) -> Iterator[BinaryIO]:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, _FILE_MODE)
    with os.fdopen(descriptor, "wb") as file:
        yield file
        file.flush()
        os.fsync(descriptor)
