"""A bundle: one bulletin with all that proves it, for whoever holds the trust root, years later.

May import pydantic and `schemas`; nodes write it, `broker.bundles` verifies it.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from schemas.limits import BUNDLE_ENTRIES_MAX, PUBLICATION_FILES_MAX
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


class Bundle(Message):
    """`bundle.json`: statement, body and content key; where it was logged; the directory that judges it.

    `directory` is the `directory.published` entry in force and every entry behind it up to the acceptance's
    `directory_size`: none of them published another. `witnessing` is a later `directory.published`, where
    the witnesses or log keys of its council cosigned, since those of the first have changed. `files` are the
    TUF files of these directories with the roots that lead to them, by their names under `/v1/trust/`.
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
    directory: Annotated[
        tuple[ProvedEntry, ...], Field(min_length=1, max_length=BUNDLE_ENTRIES_MAX)
    ]
    directory_checkpoint: Note
    witnessing: ProvedEntry | None = None
    files: Annotated[dict[str, Base64], Field(max_length=PUBLICATION_FILES_MAX)]
