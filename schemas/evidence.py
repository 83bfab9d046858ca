"""Evidence of a misbehaving hub: what it signed, and why no honest hub signs that.

May import pydantic and `schemas`; auditors write it, `broker.evidence` verifies it for a third party.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from schemas.bundle import Note, Path, ProvedEntry
from schemas.limits import EVIDENCE_ENTRIES_MAX, PUBLICATION_FILES_MAX
from schemas.receipts import Salt
from schemas.scalars import Base64, Count, ExchangeName, Message, Sha256Hex, Version
from schemas.statements import Statement

LogWord = Literal["directory", "exchange"]


class TwoTrees(Message):
    """Two checkpoints of one log that no log grew through.

    Of one size they have two roots. Else `earlier_root` and `path` show that the larger tree's beginning
    has another root than the smaller checkpoint; or, where both are absent, the smaller was signed after the
    larger.
    """

    kind: Literal["two-trees"]
    log: LogWord
    smaller: Note
    larger: Note
    earlier_root: Sha256Hex | None = None
    path: Path = ()


class WronglyAccepted(Message):
    """An acceptance that the directory in force forbids: its statement, its place in the log, that directory.

    The directory entries reach from the one in force to the acceptance's `directory_size`, as in a bundle.
    """

    kind: Literal["wrongly-accepted"]
    statement: Statement
    entry: Base64
    salt: Salt
    index: Count
    path: Path
    exchange_checkpoint: Note
    directory: Annotated[
        tuple[ProvedEntry, ...], Field(min_length=1, max_length=EVIDENCE_ENTRIES_MAX)
    ]
    directory_checkpoint: Note
    files: Annotated[dict[str, Base64], Field(max_length=PUBLICATION_FILES_MAX)]


class Evidence(Message):
    """`evidence.json`; `council` are the TUF files of a directory whose council names the logs' keys."""

    v: Version
    exchange: ExchangeName
    proof: Annotated[TwoTrees | WronglyAccepted, Field(discriminator="kind")]
    council_entry: Base64
    council: Annotated[dict[str, Base64], Field(max_length=PUBLICATION_FILES_MAX)]
