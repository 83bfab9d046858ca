"""The kind `withdrawal`: a desk takes back a bulletin that it sent, and says why.

May import pydantic and `schemas`; `schemas.bulletin` lists it. The header repeats `withdraws`, so that the
hub and the recipients' nodes know what to stop.
"""

from __future__ import annotations

from typing import Literal, Self

from pydantic import model_validator

from schemas.bulletin.common import Bulletin
from schemas.bulletin.values import ParagraphMap
from schemas.bulletin.vocabularies import Kind
from schemas.rules import broken
from schemas.scalars import Uuid7


class Withdrawal(Bulletin):
    """`withdraws` is the id of a bulletin of the same desk: nobody withdraws what another desk said."""

    kind: Literal[Kind.WITHDRAWAL]
    withdraws: Uuid7
    reason: ParagraphMap

    @model_validator(mode="after")
    def _withdraws_another(self) -> Self:
        if self.withdraws == self.id:
            raise broken("withdraws_itself")
        return self
