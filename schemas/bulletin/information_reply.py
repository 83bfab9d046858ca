"""The kind `information_reply`: answers to the questions of an information request.

May import pydantic and `schemas`; `schemas.bulletin` lists it. Whether the questions exist, only a reader
with both bulletins can see.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from schemas.bulletin.common import Bulletin, each_once
from schemas.bulletin.limits import QUESTIONS_MAX
from schemas.bulletin.parts import BulletinReference, Evaluation
from schemas.bulletin.values import LocalId, ParagraphMap
from schemas.bulletin.vocabularies import AnswerOutcome, Kind
from schemas.rules import broken
from schemas.scalars import Message

WITHOUT_TEXT: Final = frozenset({AnswerOutcome.NOTHING_KNOWN})
"""Outcomes that say everything; a delay or a refusal says why."""


class Answer(Message):
    """What became of one question, by its id in the request; `evaluation` is of this answer alone."""

    question: LocalId
    outcome: AnswerOutcome
    text: ParagraphMap | None = None
    evaluation: Evaluation | None = None


class InformationReply(Bulletin):
    """Answers, question by question; `in_reply_to` names the request, and a reply always has it."""

    kind: Literal[Kind.INFORMATION_REPLY]
    in_reply_to: BulletinReference
    answers: Annotated[tuple[Answer, ...], Field(min_length=1, max_length=QUESTIONS_MAX)]

    @model_validator(mode="after")
    def _answers_are_whole(self) -> Self:
        each_once(answer.question for answer in self.answers)
        for answer in self.answers:
            if answer.text is None and answer.outcome not in WITHOUT_TEXT:
                raise broken("answer_text", question=answer.question, outcome=answer.outcome.value)
        return self
