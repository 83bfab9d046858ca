"""What the hub tells its operator: metrics, computed when they are asked for, and why it is not ready.

May import prometheus-client and the hub's own rooms; the application counts with it, and serves it at the
operator's address. No desk is named: who runs the hub sees who writes to whom, but who watches it need not.
"""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError

from broker.db import reading
from broker.hub.acknowledgements import Acknowledge
from broker.hub.attachment_rows import Abandon, Collect, Reserve, Store
from broker.hub.directory_log import AnnounceSealingKey, Operate
from broker.hub.expiry import Expire
from broker.hub.ledger import Ledger, Work
from broker.hub.publications import Publish
from broker.hub.purging import Purge
from broker.hub.relay import Relay
from broker.hub.renewal import Renew
from broker.hub.requests import Hub
from broker.hub.sequencer import Commits
from broker.hub.tables import attachment_owner, slot
from broker.hub.vouching import vouched
from broker.hub.witnessing import quorum_times
from broker.tlog.quorum import Quorum
from schemas.errors import Finality, Problem

_NAMES: Final[Mapping[type, str]] = {
    Relay: "envelope",
    Acknowledge: "acknowledgement",
    AnnounceSealingKey: "sealing_key",
    Publish: "directory",
    Renew: "renewal",
    Operate: "operation",
    Expire: "expiry",
    Purge: "purge",
    Reserve: "upload",
    Store: "attachment",
    Abandon: "upload_abandoned",
    Collect: "collection",
}
"""What works are called in metrics."""

_BATCH_BUCKETS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
_SECONDS_BUCKETS: Final = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)

_LOG: Final = logging.getLogger("barid.hub")


class Watched:
    """The ledger's commits, counted; and the problems that callers were answered with.

    Args:
        commits: what commits: the ledger.
    """

    def __init__(self, commits: Commits) -> None:
        self._commits = commits
        self.registry = CollectorRegistry()
        self._works = Counter(
            "barid_hub_works",
            "What was committed, by what it was and how it ended.",
            ["work", "outcome"],
            registry=self.registry,
        )
        self._expired = Counter(
            "barid_hub_expired_envelopes", "Envelopes logged as expired.", registry=self.registry
        )
        self._purged = Counter(
            "barid_hub_purged_openings",
            "Openings destroyed under an order of the council.",
            registry=self.registry,
        )
        self._problems = Counter(
            "barid_hub_problems",
            "Requests answered with a problem.",
            ["problem"],
            registry=self.registry,
        )
        self._batch = Histogram(
            "barid_hub_batch_works",
            "Works of one commit.",
            buckets=_BATCH_BUCKETS,
            registry=self.registry,
        )
        self._seconds = Histogram(
            "barid_hub_commit_seconds",
            "How long one commit took, with its checks and proofs.",
            buckets=_SECONDS_BUCKETS,
            registry=self.registry,
        )

    def commit(self, works: Sequence[Work], nonces: Sequence[tuple[str, int]] = ()) -> list[Any]:
        """As `Ledger.commit`; on the sequencer's thread. Raises Problem."""
        began = time.perf_counter()
        try:
            results = self._commits.commit(works, nonces)
        except Problem as problem:
            _LOG.error("a batch was not committed: %s", problem.word, extra={"works": len(works)})
            raise
        self._seconds.observe(time.perf_counter() - began)
        self._batch.observe(len(works))
        for work, result in zip(works, results, strict=True):
            outcome = result.word if isinstance(result, Problem) else "done"
            self._works.labels(_NAMES.get(type(work), "other"), outcome).inc()
            if isinstance(work, Relay) and isinstance(result, Problem):
                _note_refusal(work, result)
            if isinstance(work, Expire) and isinstance(result, int):
                self._expired.inc(result)
            if isinstance(work, Purge) and isinstance(result, tuple):
                self._purged.inc(len(result))
        return results

    def answered(self, problem: Problem) -> None:
        """Count a problem that a caller was answered with."""
        self._problems.labels(problem.word).inc()


def _note_refusal(work: Relay, problem: Problem) -> None:
    if problem.type.finality is Finality.FINAL:
        header = work.submission.header
        fields = {"sender": header.from_, "envelope": header.id, "problem": problem.word}
        _LOG.info("an envelope was refused for good", extra=fields)


class HubGauges(Collector):
    """What the hub's database and memory say at this moment.

    Args:
        hub: the running hub.
        data: its directory.
    """

    def __init__(self, hub: Hub, data: Path) -> None:
        self._hub = hub
        self._data = data

    def describe(self) -> Iterator[Metric]:
        """Nothing: registering asks no database."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """Compute each gauge. Raises SQLAlchemyError where the database does not answer."""
        hub = self._hub
        yield from _logs(hub.ledger)
        yield _gauge(
            "barid_hub_queue_works", "Works that wait for a commit.", hub.sequencer.waiting
        )
        requests, streams = hub.inboxes.held()
        yield _gauge("barid_hub_held_requests", "Inbox requests held open.", requests)
        yield _gauge("barid_hub_event_streams", "Event streams held open.", streams)
        yield _gauge("barid_hub_halted", "1: the hub signs nothing.", int(bool(hub.ledger.halted)))
        yield from self._stored()
        yield from self._signed()
        yield from self._witnessed()
        free_bytes = shutil.disk_usage(self._data).free
        yield _gauge("barid_hub_disk_free_bytes", "Free bytes of the data directory.", free_bytes)
        size = (self._data / "hub.db").stat().st_size
        yield _gauge("barid_hub_database_bytes", "Bytes of the database.", size)

    def _stored(self) -> Iterator[Metric]:
        directory = self._hub.ledger.state.directory
        mine = attachment_owner.c
        with reading(self._hub.ledger.engine) as connection:
            # Desk by desk the index is asked for what waits alone; all at once it would be read whole.
            waiting = sum(
                connection.execute(
                    select(func.count()).where(slot.c.desk == desk, slot.c.answered == 0)
                ).scalar_one()
                for desk in (() if directory is None else directory.desks())
            )
            rows = connection.execute(
                select(mine.stored, func.count(), func.coalesce(func.sum(mine.size), 0)).group_by(
                    mine.stored
                )
            ).all()
        counted = {stored: (count, size) for stored, count, size in rows}
        yield _gauge(
            "barid_hub_inbox_items", "Envelopes that wait for an answer, by desk.", waiting
        )
        unfinished, stored = counted.get(0, (0, 0)), counted.get(1, (0, 0))
        yield _gauge("barid_hub_uploads", "Unfinished uploads of attachments.", unfinished[0])
        yield _gauge("barid_hub_attachments", "Stored attachments, by owner.", stored[0])
        yield _gauge("barid_hub_attachments_bytes", "Bytes of stored attachments.", stored[1])

    def _signed(self) -> Iterator[Metric]:
        """How old the hub's own signatures in the trust root are."""
        directory, at = self._hub.ledger.state.directory, self._hub.now()
        if directory is None:
            return
        with reading(self._hub.ledger.engine) as connection:
            present = vouched(connection, directory.snapshot_file)
        said = "Since the snapshot was signed; it is signed anew after 20 days."
        age_seconds = present.snapshot_age_seconds(at)
        yield _gauge("barid_hub_snapshot_age_seconds", said, age_seconds)
        stamped_seconds = present.timestamp_age_seconds(at)
        if stamped_seconds is not None:
            said = "Since the timestamp was signed; it is signed anew after an hour."
            yield _gauge("barid_hub_timestamp_age_seconds", said, stamped_seconds)

    def _witnessed(self) -> Iterator[Metric]:
        """How old the newest quorum of witnesses on each log is, where the council names witnesses."""
        directory, now = self._hub.ledger.state.directory, self._hub.now_unix()
        quorum = None if directory is None else Quorum.of(directory.council)
        said = "Since a quorum of witnesses cosigned a log; they cosign anew every ten minutes."
        age = GaugeMetricFamily("barid_hub_quorum_age_seconds", said, labels=["log"])
        if quorum is not None:
            with reading(self._hub.ledger.engine) as connection:
                times = quorum_times(connection, quorum)
            for log, at in times.items():
                age.add_metric([log], now - at)
        yield age


def _logs(ledger: Ledger) -> Iterator[Metric]:
    size = GaugeMetricFamily("barid_hub_log_entries", "Entries of a log.", labels=["log"])
    for name, head in zip(("directory", "exchange"), ledger.heads(), strict=True):
        size.add_metric([name], head.size)
    yield size


def _gauge(name: str, said: str, value: float) -> Metric:
    return GaugeMetricFamily(name, said, value=value)


def why_not_ready(ledger: Ledger) -> str:
    """Why the hub takes no envelopes; empty where it does."""
    if ledger.halted:
        return ledger.halted
    if ledger.state.directory is None:
        return "no directory is in force"
    try:
        ledger.heads()
    except SQLAlchemyError as error:
        return f"the database does not answer ({type(error).__name__})"
    return ""
