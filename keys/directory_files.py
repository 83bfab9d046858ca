"""A whole directory in one file, carried by hand: written from verified TUF files, read from the trust root.

May import `schemas`, `keys.trust` and `keys.tuf_files`; pure but for the function that fetches TUF files.
Proposals build on such a file, so that a ceremony needs no network.
"""

from __future__ import annotations

from dataclasses import dataclass

from keys.derivation import sha256_hex
from keys.directory import MEMBER_ROLE_PREFIX, Directory
from keys.trust import load_directory, member_path, read_initial_root
from keys.tuf_files import Fetch, TrustFileMissing, metadata_name, target_name
from schemas.errors import ConfigurationError, ParseError, VerificationError
from schemas.governance import DirectoryFile
from schemas.limits import PUBLICATION_BYTES_MAX, TRUST_FILE_BYTES_MAX
from schemas.loader import dump_json, parse


@dataclass(frozen=True, slots=True)
class OpenedDirectory:
    """A directory file that was verified from `initial_root`, the exact bytes of the trust root."""

    message: DirectoryFile
    directory: Directory
    initial_root: bytes


def file_names(directory: Directory) -> tuple[str, ...]:
    """The names of all files of a directory under `/v1/trust/`, but for the roots before its own."""
    versions = directory.versions
    council = directory.council_part.file_sha256
    members = directory.member_parts.items()
    return (
        *(metadata_name(role, version) for role, version in sorted(versions.items())),
        *(target_name(path, sha256) for path, sha256 in sorted(council.items())),
        *(target_name(member_path(member), part.file_sha256) for member, part in sorted(members)),
    )


def make_directory_file(directory: Directory, fetch: Fetch, initial_root: bytes) -> DirectoryFile:
    """Gather a verified directory's files, with the chain of roots that leads to it.

    Args:
        fetch: gets a file by name; earlier roots that are not there are left out.
        initial_root: the exact bytes of the trust root from which the directory was verified.

    Raises:
        TrustFileMissing: another file is not there.
    """
    first = metadata_name("root", read_initial_root(initial_root).version)
    files = {first: initial_root}
    for name in file_names(directory):
        if name != first:
            files[name] = fetch(name, TRUST_FILE_BYTES_MAX)
    for version in range(1, directory.root.version):
        name = metadata_name("root", version)
        try:
            files.setdefault(name, fetch(name, TRUST_FILE_BYTES_MAX))
        except TrustFileMissing:
            # Whoever joined later has a later trust root, and never saw those before it.
            continue
    return DirectoryFile(
        v=1,
        exchange=directory.council.exchange,
        root=directory.root_file,
        snapshot=directory.snapshot_file,
        files=files,
    )


def write_directory_file(directory: Directory, fetch: Fetch, initial_root: bytes) -> bytes:
    """Write `directory.json`. Raises TrustFileMissing, as `make_directory_file`."""
    return dump_json(make_directory_file(directory, fetch, initial_root))


def open_directory(message: DirectoryFile, initial_root: bytes) -> OpenedDirectory:
    """Verify a directory from the trust root.

    That it is the one in force, only the directory log can say: a file on a stick may be an old one.

    Raises:
        VerificationError: it does not descend from the trust root, or a file is missing.
    """

    def fetch(name: str, size_bytes_max: int) -> bytes:
        data = message.files.get(name)
        if data is None or len(data) > size_bytes_max:
            raise TrustFileMissing(f"the directory file does not hold {name}")
        return data

    directory = load_directory(initial_root, fetch, message.root, message.snapshot)
    if directory.council.exchange != message.exchange:
        raise VerificationError(f"the directory file is of {directory.council.exchange}")
    return OpenedDirectory(message, directory, initial_root)


def read_directory_file(data: bytes, initial_root: bytes) -> OpenedDirectory:
    """Read `directory.json`.

    Args:
        data: its exact bytes.
        initial_root: the exact bytes of the trust root: an invitation's, or what the reader has kept.

    Raises:
        ConfigurationError: it is no directory file.
        VerificationError: it does not descend from the trust root.
    """
    try:
        message = parse(DirectoryFile, data, PUBLICATION_BYTES_MAX)
    except ParseError as error:
        raise ConfigurationError(f"this is no directory file: {error}") from error
    return open_directory(message, initial_root)


def fingerprint(data: bytes) -> str:
    """SHA-256 of a file in groups of four hex digits, to be read out over a telephone."""
    digits = sha256_hex(data)
    return " ".join(digits[at : at + 4] for at in range(0, len(digits), 4))


def member_of_role(role: str) -> str | None:
    """The member of a delegated role; None for root and targets."""
    return role.removeprefix(MEMBER_ROLE_PREFIX) if role.startswith(MEMBER_ROLE_PREFIX) else None
