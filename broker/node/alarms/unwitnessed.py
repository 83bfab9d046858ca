"""Bulletins that came, and for which no quorum of witnesses stands: the hub could deny that it logged them.

May import SQLAlchemy, `keys` and the node's own rooms; `conditions` asks it, and keeps the alarm.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, func, select

from broker.node import tables
from broker.node.alarms.kinds import AlarmKind
from broker.node.clock import from_seconds, to_seconds
from broker.node.line import Line
from keys.directory import Directory
from schemas.scalars import format_time

RECEIVED_WITHIN: Final = timedelta(hours=1)
"""An entry that is not witnessed by then is an alarm at its recipient (the protocol, "Witnesses")."""


def find_unwitnessed(
    connection: Connection, line: Line, directory: Directory, now: datetime
) -> dict[AlarmKind, dict[str, str]]:
    """Find what came over an hour ago and stands in no tree that a quorum cosigned, by desk.

    One alarm a desk, however much it is: it mostly has one cause, that the witnesses are away, and then
    `directory-stale` says so as well.

    Args:
        connection: of the caller.
        line: whose follower knows what was witnessed.
        directory: in force; its council says whether there are witnesses.
        now: UTC, whole seconds.
    """
    if directory.council.witnesses == "none":
        return {AlarmKind.RECEIVED_UNWITNESSED: {}}
    witnessed = line.follower.witnessed.get("exchange")
    column = tables.incoming_envelope.c
    query = (
        select(column.desk, func.count().label("count"), func.min(column.received).label("since"))
        .where(
            column.origin == line.follower.exchange_log.origin,
            column.entry_index >= (0 if witnessed is None else witnessed.checkpoint.size),
            column.received <= to_seconds(now - RECEIVED_WITHIN),
        )
        .group_by(column.desk)
    )
    found = {
        row.desk: f"{row.count} since {format_time(from_seconds(row.since))}"
        for row in connection.execute(query)
    }
    return {AlarmKind.RECEIVED_UNWITNESSED: found}
