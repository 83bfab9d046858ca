"""What members give back to a hub that lost entries: it signed all of it, and was set back to an old disk.

May import pydantic and `schemas`; nodes send it, and the hub verifies it by its own signatures.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from schemas.limits import LOST_ENVELOPES_MAX
from schemas.receipts import Opening, Receipt
from schemas.scalars import Base64, Count, ExchangeName, Message, Ordinal, Version
from schemas.statements import Statement

Note = Annotated[str, Field(min_length=1, max_length=16384)]
"""A checkpoint as it was signed."""


class LostEnvelope(Message):
    """An envelope of the caller that the hub had accepted: its statement, and the receipt."""

    statement: Statement
    receipt: Receipt


class LostEntries(Message):
    """What one member knows of a generation of logs beyond what the hub has of it.

    `checkpoints` are the newest that it verified, by log. `openings` are the entries of the directory log
    from the hub's own size up to its checkpoint, with the TUF `files` that they name; `envelopes` the
    caller's own.
    """

    v: Version
    exchange: ExchangeName
    generation: Ordinal
    checkpoints: Annotated[dict[str, Note], Field(max_length=2)]
    openings: tuple[Opening, ...] = ()
    files: dict[str, Base64] = Field(default_factory=dict)
    envelopes: Annotated[tuple[LostEnvelope, ...], Field(max_length=LOST_ENVELOPES_MAX)] = ()


class GivenBack(Message):
    """How much a hub has of a generation after somebody gave entries back: the sizes of both logs."""

    directory: Count
    exchange: Count
