"""The kind `information_request`: questions to other desks, each with an id that its answer repeats.

May import pydantic and `schemas`; `schemas.bulletin` lists it.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from schemas.bulletin.common import Bulletin, each_once
from schemas.bulletin.limits import QUESTIONS_MAX
from schemas.bulletin.values import LocalId, ParagraphMap
from schemas.bulletin.vocabularies import Kind
from schemas.rules import broken
from schemas.scalars import Message, UtcTime


class Question(Message):
    """One question; `about` is the id of the entity that it asks about."""

    id: LocalId
    text: ParagraphMap
    about: LocalId | None = None


class InformationRequest(Bulletin):
    """A request for what other desks know: the questions, why they are asked, and until when.

    `deadline` is for all of it. Where `action.reply_by` is given as well, both are the same time.
    """

    kind: Literal[Kind.INFORMATION_REQUEST]
    questions: Annotated[tuple[Question, ...], Field(min_length=1, max_length=QUESTIONS_MAX)]
    grounds: ParagraphMap | None = None
    deadline: UtcTime

    @model_validator(mode="after")
    def _questions_have_their_own_ids(self) -> Self:
        each_once(question.id for question in self.questions)
        for question in self.questions:
            if question.about is not None:
                self._entity(question.about)
        return self

    @model_validator(mode="after")
    def _one_deadline_that_lies_ahead(self) -> Self:
        if self.deadline <= self.created:
            raise broken("after_created", member="deadline")
        reply_by = self.action.reply_by if self.action else None
        if reply_by is not None and reply_by != self.deadline:
            raise broken("deadline")
        return self
