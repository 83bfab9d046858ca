"""Handing in a bulletin over HTTPS: the query that says where it goes, the body, and their documentation.

May import FastAPI and the node's own rooms; `routes` uses it for sending and for checking alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final

from fastapi import Query

from broker.node.api.access import UUID_PATTERN
from broker.node.api.examples import THREAT_BULLETIN
from broker.node.outbox.checking import Order
from schemas.bulletin.vocabularies import Precedence
from schemas.errors import Problem
from schemas.limits import RECIPIENTS_MAX
from schemas.scalars import MEMBER_PATTERN, UNIT_PATTERN, parse_time

DeskName = Annotated[str, Query(pattern=f"^{MEMBER_PATTERN}/{UNIT_PATTERN}$")]


@dataclass(frozen=True, slots=True)
class Where:
    """The query of a bulletin that is handed in: where it goes, how urgently, for how long."""

    to: tuple[str, ...]
    groups: tuple[str, ...]
    precedence: Precedence
    expires: str | None
    supersedes: str | None
    separately: bool

    def order(self, desk: str, document: bytes) -> Order:
        """The order that a bulletin and this query make. Raises Problem `bad-parameter`."""
        return Order(
            desk,
            document,
            self.to,
            self.groups,
            self.precedence,
            read_expires(self.expires),
            supersedes=self.supersedes,
            separately=self.separately,
        )


def read_expires(text: str | None) -> datetime | None:
    """Read the query's `expires`. Raises Problem `bad-parameter`."""
    try:
        return None if text is None else parse_time(text)
    except ValueError as error:
        raise Problem("bad-parameter", f"expires: {error}") from error


def read_where(
    to: Annotated[
        list[DeskName],
        Query(max_length=RECIPIENTS_MAX, description="A desk. Repeat it.", examples=[["tn/main"]]),
    ] = [],  # noqa: B006 - FastAPI copies it
    group: Annotated[
        list[str],
        Query(max_length=64, description="A group of the council: its main desks. Repeat it."),
    ] = [],  # noqa: B006 - FastAPI copies it
    precedence: Precedence = Precedence.ROUTINE,
    expires: Annotated[
        str | None,
        Query(
            description="UTC, at most 30 days ahead, as 2026-12-24T22:00:00Z; by default 30 days."
        ),
    ] = None,
    supersedes: Annotated[
        str | None,
        Query(
            pattern=UUID_PATTERN,
            description="The bulletin of this desk that this one replaces. Without `to` and `group` it goes"
            " where that one went; so does a withdrawal.",
        ),
    ] = None,
    *,
    separately: Annotated[
        bool,
        Query(description="An envelope for each desk, since they must not learn of each other."),
    ] = False,
) -> Where:
    """Read the query; FastAPI calls it."""
    return Where(tuple(to), tuple(group), precedence, expires, supersedes, separately)


BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "description": "The bulletin. These exact bytes are sealed and signed.",
        "content": {
            "application/json": {
                "schema": {"type": "object"},
                "examples": {"threat_bulletin": {"value": THREAT_BULLETIN}},
            }
        },
    }
}

BULLETIN_PROBLEMS: Final = (
    "token-scope",
    "malformed-json",
    "schema-violation",
    "too-large",
    "attachments-missing",
    "unknown-recipient",
    "original-unknown",
    "original-desks",
    "original-withdrawal",
    "withdrawn",
    "busy",
)
