"""Whether a published directory is void, for whoever has not folded the log.

May import `keys` and `schemas`; pure. Evidence and bundles ask it of what a hub logged between a directory
and an acceptance, else one void entry would take every proof away; bundles ask it of that directory itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from keys.directory import Directory
from keys.trust import listed_in_snapshot, load_directory
from keys.tuf_files import Fetch, TrustFileMissing
from schemas.entries import (
    DirectoryLogEntry,
    DirectoryPublished,
    FileVersion,
    parse_directory_entry,
)
from schemas.errors import ParseError, VerificationError


def check_stays_in_force(
    directory: Directory, entries: Sequence[bytes], initial_root: bytes, fetch: Fetch
) -> None:
    """Check that nothing logged behind a directory came into force in its place.

    An entry counts for nothing where it is not well-formed, its time or exchange log runs backwards, or it
    publishes a directory that is void. What a void directory is judged by are hashes in the entry: no file
    that somebody else gives can make one void.

    Args:
        directory: in force.
        entries: exact bytes: the one that published it, and all that follow.
        initial_root: the exact bytes of the trust root.
        fetch: gives TUF files.

    Raises:
        TrustFileMissing: a file that an entry commits to is not there.
        VerificationError: another directory came into force, or it cannot be said.
    """
    before = parse_directory_entry(entries[0])
    for data in entries[1:]:
        try:
            entry = parse_directory_entry(data)
        except ParseError:
            continue
        if _runs_backwards(before, entry):
            continue
        before = entry
        if isinstance(entry, DirectoryPublished) and not _is_void(
            directory, entry, initial_root, fetch
        ):
            raise VerificationError("another directory was published before the acceptance")


def check_nothing_is_old(directory: Directory, before: Iterable[bytes], fetch: Fetch) -> None:
    """Check that no file of a directory is older than one that the log had before: else it is void.

    Whatever was listed counts, also by a directory that was void itself: so nothing that a hub logs makes an
    old file pass. What it can do is to list what nobody signed; then a true directory is refused here, and
    the whole log has to be asked. The snapshot itself is the hub's, and makes nothing old.

    Args:
        directory: as an entry published it, verified from the trust root.
        before: the exact bytes of every directory entry before that, of closed logs as well.
        fetch: gives the snapshots.

    Raises:
        TrustFileMissing: a snapshot is not there.
        VerificationError: one of its files is older, or another of the same version.
    """
    highest: dict[str, FileVersion] = {}
    for data in before:
        for role, file in _listed(data, fetch).items():
            if role not in highest or file.version > highest[role].version:
                highest[role] = file
    for role, file in directory.files.items():
        known = highest.get(role, file)
        if role != "snapshot" and file != known and file.version <= known.version:
            raise VerificationError(
                f"the directory is void: {role} {file.version}, where the log had {known.version} before"
            )


def _listed(data: bytes, fetch: Fetch) -> Mapping[str, FileVersion]:
    """The files of a directory by role; none where an entry publishes none, or its snapshot is not one."""
    try:
        entry = parse_directory_entry(data)
        if not isinstance(entry, DirectoryPublished):
            return {}
        return {**listed_in_snapshot(fetch, entry.snapshot), "root": entry.root}
    except TrustFileMissing:
        raise
    except (ParseError, VerificationError):
        return {}


def _runs_backwards(before: DirectoryLogEntry, entry: DirectoryLogEntry) -> bool:
    known, head = before.exchange_log, entry.exchange_log
    falls = head.size < known.size or (head.size == known.size and head != known)
    return entry.at < before.at or falls


def _is_void(
    directory: Directory, entry: DirectoryPublished, initial_root: bytes, fetch: Fetch
) -> bool:
    named = {"root": entry.root, "snapshot": entry.snapshot}
    if not all(_follows(directory.files[role], file) for role, file in named.items()):
        return True
    try:
        # With the one before as known, so that a next root, too, is the one that the entry names.
        after = load_directory(initial_root, fetch, entry.root, entry.snapshot, directory)
    except TrustFileMissing:
        raise
    except VerificationError:
        return True
    roles = after.files.keys() & directory.files.keys()
    omitted = {
        member
        for member in after.council.members
        if member in directory.member_parts and member not in after.member_parts
    }
    # Of who joins it is not known here which version was the highest: that alone makes nothing void.
    return (
        after.council.exchange != directory.council.exchange
        or after.council.logs != directory.council.logs
        or bool(omitted)
        or not all(_follows(directory.files[role], after.files[role]) for role in roles)
    )


def _follows(known: FileVersion, file: FileVersion) -> bool:
    return file == known or file.version == known.version + 1
