"""What the node tells its operator: metrics, computed when they are asked for, and why it is not ready.

May import prometheus-client and the node's own rooms; the application serves it at the operator's address.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import Connection, func, select
from sqlalchemy.exc import SQLAlchemyError

from broker.db import reading
from broker.node import tables
from broker.node.alarms.conditions import UNREACHABLE_AFTER
from broker.node.alarms.kinds import Severity, severity_of
from broker.node.clock import Clock, to_seconds
from broker.node.freshness import freshness_of
from broker.node.home import DATABASE_FILE, Home
from broker.node.line import Line
from broker.node.outbox.holding import is_waiting
from broker.node.outbox.state import DeliveryState
from schemas.bulletin.vocabularies import Precedence

_LEAVING: Final = (DeliveryState.QUEUED, DeliveryState.WAITING)
"""States of a bulletin that the hub does not have yet."""


class NodeGauges(Collector):
    """What the node's database and memory say at this moment.

    Args:
        home: the node's home.
        line: to the hub.
        clock: the node's own.
    """

    def __init__(self, home: Home, line: Line, clock: Clock) -> None:
        self._home = home
        self._line = line
        self._clock = clock

    def describe(self) -> Iterator[Metric]:
        """Nothing: registering asks no database."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """Compute each gauge. Raises SQLAlchemyError where the database does not answer."""
        with reading(self._home.engine) as connection:
            yield _outbox(connection)
            yield _oldest(connection, to_seconds(self._clock()))
            yield _unread(connection)
            yield _alarms(connection)
            yield from self._freshness(connection)
        yield from self._hub()
        yield from _disk(self._home.data)

    def _freshness(self, connection: Connection) -> Iterator[Metric]:
        directory = self._line.state.directory
        if directory is None:
            return
        freshness = freshness_of(connection, directory, self._clock())
        if freshness.age is not None:
            age_seconds = freshness.age.total_seconds()
            said = "Since the directory in force was last verified as the newest."
            yield _gauge("barid_node_directory_age_seconds", said, age_seconds)
        said = "1: the directory is over the grace; what is not urgent waits."
        yield _gauge("barid_node_directory_over_grace", said, int(freshness.over_grace))
        held = connection.execute(select(func.count()).where(is_waiting())).scalar_one()
        yield _gauge("barid_node_held", "Bulletins that wait because of that.", held)

    def _hub(self) -> Iterator[Metric]:
        line, now = self._line, self._clock()
        reach = line.reach
        reachable = int(reach.last is not None and reach.since is not None)
        yield _gauge("barid_node_hub_reachable", "1: the hub answered last.", reachable)
        if reach.last is not None:
            age_seconds = (now - reach.last).total_seconds()
            yield _gauge(
                "barid_node_hub_answered_seconds", "Since the hub last answered.", age_seconds
            )
        offset_seconds = line.time.offset_seconds
        said = "How far the hub's clock is ahead of this machine's, as far as the hub said."
        yield _gauge("barid_node_clock_offset_seconds", said, offset_seconds)
        size = GaugeMetricFamily(
            "barid_node_log_entries", "Entries of a log, as verified.", labels=["log"]
        )
        size.add_metric(["directory"], line.follower.directory_checkpoint.size)
        size.add_metric(["exchange"], line.follower.exchange_checkpoint.size)
        yield size


def _outbox(connection: Connection) -> Metric:
    state = tables.delivery.c.state
    rows = connection.execute(select(state, func.count()).group_by(state)).all()
    counted = {each[0]: each[1] for each in rows}
    made = GaugeMetricFamily(
        "barid_node_deliveries", "Bulletins by recipient, and where they stand.", labels=["state"]
    )
    for each in DeliveryState:
        made.add_metric([each], counted.get(each, 0))
    return made


def _oldest(connection: Connection, now: int) -> Metric:
    bulletin, delivery = tables.outgoing_bulletin.c, tables.delivery.c
    rows = connection.execute(
        select(bulletin.precedence, func.min(bulletin.queued))
        .where(
            delivery.state.in_(_LEAVING),
            bulletin.desk == delivery.desk,
            bulletin.bulletin_id == delivery.bulletin_id,
        )
        .group_by(bulletin.precedence)
    ).all()
    oldest = {precedence: now - queued for precedence, queued in rows}
    made = GaugeMetricFamily(
        "barid_node_oldest_queued_seconds",
        "Age of the oldest bulletin that the hub does not have yet.",
        labels=["precedence"],
    )
    for each in Precedence:
        made.add_metric([each], max(0, oldest.get(each, 0)))
    return made


def _unread(connection: Connection) -> Metric:
    column = tables.incoming_bulletin.c
    rows = connection.execute(
        select(column.rank, func.count())
        .where(column.read.is_(None), column.withdrawn.is_(None), column.quarantined == 0)
        .group_by(column.rank)
    ).all()
    counted = {each[0]: each[1] for each in rows}
    made = GaugeMetricFamily(
        "barid_node_unread", "Bulletins that nobody opened.", labels=["precedence"]
    )
    for each in Precedence:
        made.add_metric([each], counted.get(each.rank, 0))
    return made


def _alarms(connection: Connection) -> Metric:
    column = tables.alarm.c
    rows = connection.execute(
        select(column.kind, column.acknowledged.is_(None), func.count()).group_by(
            column.kind, column.acknowledged.is_(None)
        )
    ).all()
    made = GaugeMetricFamily(
        "barid_node_alarms",
        "Alarms that stand, and whether a person has acknowledged them.",
        labels=["severity", "acknowledged"],
    )
    for severity in Severity:
        for waiting in (True, False):
            count = sum(
                n
                for kind, is_open, n in rows
                if severity_of(kind) is severity and is_open == waiting
            )
            made.add_metric([severity, "no" if waiting else "yes"], count)
    return made


def _disk(data: Path) -> Iterator[Metric]:
    free_bytes = shutil.disk_usage(data).free
    yield _gauge("barid_node_disk_free_bytes", "Free bytes of the data directory.", free_bytes)
    size_bytes = (data / DATABASE_FILE).stat().st_size
    yield _gauge("barid_node_database_bytes", "Bytes of the encrypted database.", size_bytes)


def _gauge(name: str, said: str, value: float) -> Metric:
    return GaugeMetricFamily(name, said, value=value)


def node_metrics(home: Home, line: Line, clock: Clock) -> CollectorRegistry:
    """What `/metrics` of a node shows."""
    registry = CollectorRegistry()
    registry.register(NodeGauges(home, line, clock))
    return registry


def why_not_ready(home: Home, line: Line, clock: Clock) -> str:
    """Why the node does not exchange with the hub; empty where it does."""
    try:
        with reading(home.engine) as connection:
            connection.execute(select(tables.watched.c.desk).limit(1)).all()
    except SQLAlchemyError as error:
        return f"the database does not answer ({type(error).__name__})"
    if line.state.directory is None:
        return "no directory is known yet: the hub has not been followed"
    last = line.reach.last
    if last is None or clock() - last > UNREACHABLE_AFTER:
        return f"the hub does not answer: {line.reach.problem or 'it is silent'}"
    return ""
