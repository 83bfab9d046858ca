"""What the agency interface answers about receipts.

May import pydantic and `schemas`.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from schemas.scalars import Message


class ReceiptFileView(Message):
    """A receipt as a file: its name, and its text (C2SP tlog-proof).

    `witnessed`: a quorum of witnesses has cosigned the tree to which it leads.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9.-]{1,120}\.tlog-proof$")]
    witnessed: bool
    text: str


class ReceiptsView(Message):
    """Receipts of one bulletin."""

    receipts: tuple[ReceiptFileView, ...]
