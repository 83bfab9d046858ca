"""A bundle: one bulletin with all that proves it, for whoever holds the trust root, years later.

May import pydantic and `schemas`; nodes write it, `broker.bundles` verifies it.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from schemas.limits import BUNDLE_ENTRIES_MAX, BUNDLE_FILES_MAX, GENERATIONS_MAX
from schemas.receipts import PATH_MAX, Salt
from schemas.scalars import Base64, Count, ExchangeName, Message, Sha256Hex, Version
from schemas.statements import Statement

CONTENT_KEY_BYTES = 32

Note = Annotated[str, Field(min_length=1, max_length=131072)]
"""A checkpoint with all its signature lines."""

Path = Annotated[tuple[Sha256Hex, ...], Field(max_length=PATH_MAX)]


class ProvedAcceptance(Message):
    """The `envelope.accepted` entry, its salt, and its path to `Bundle.exchange_checkpoint`."""

    entry: Base64
    salt: Salt
    index: Count
    path: Path


class ProvedEntry(Message):
    """An entry of the directory log, and its path to `Bundle.directory_checkpoint`."""

    entry: Base64
    index: Count
    path: Path


Entries = Annotated[tuple[Base64, ...], Field(min_length=1, max_length=BUNDLE_ENTRIES_MAX)]
"""The first entries of a directory log, none left out."""


class DirectoryLog(Message):
    """The directory log up to the acceptance's `directory_size`.

    `path` is the consistency proof from the tree of these entries to that of `Bundle.directory_checkpoint`,
    `judging` the index of the `directory.published` in force.
    """

    entries: Entries
    judging: Count
    path: Annotated[tuple[Sha256Hex, ...], Field(max_length=2 * PATH_MAX)]


class Bundle(Message):
    """`bundle.json`: statement, body and content key; where it was logged; the directory that judges it.

    `closed` are the directory logs that the council closed before, whole. `witnessing` is a later
    `directory.published`, where the witnesses or log keys of its council cosigned, since those of the judging
    one have changed. `files` are the TUF files of these two directories with the roots that lead to them, and
    the snapshot of every directory in the logs, by their names under `/v1/trust/`; of two files of one name
    one has `@` and its SHA-256 behind it.
    """

    v: Version
    exchange: ExchangeName
    statement: Statement
    content_key: Annotated[
        Base64, Field(min_length=CONTENT_KEY_BYTES, max_length=CONTENT_KEY_BYTES)
    ]
    body: Base64
    acceptance: ProvedAcceptance
    exchange_checkpoint: Note
    directory: DirectoryLog
    closed: Annotated[tuple[Entries, ...], Field(max_length=GENERATIONS_MAX)] = ()
    directory_checkpoint: Note
    witnessing: ProvedEntry | None = None
    files: Annotated[dict[str, Base64], Field(max_length=BUNDLE_FILES_MAX)]
