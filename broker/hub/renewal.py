"""Renewal: the hub signs its timestamp anew every hour, and its snapshot before that lapses.

May import asyncio, SQLAlchemy and the hub's own rooms; the application runs it while it serves. Both happen
within the ledger's transaction: a crash before the commit leaves what there was, and the next look does it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from broker.db import reading
from broker.hub.ledger import Answer, Batch, Ledger
from broker.hub.publications import Shelf, draft, log
from broker.hub.sequencer import Sequencer
from broker.hub.signers import Signers
from broker.hub.vouching import store_timestamp, vouched
from schemas.errors import BaridError

LOOK_SECONDS: Final = 300.0
"""How often the hub looks whether something is due; both have hours left by then."""

_LOG: Final = logging.getLogger("barid.hub")


@dataclass(frozen=True, slots=True)
class Renew:
    """Sign what is due: a snapshot, which is logged as a directory of its own, or the timestamp alone."""

    signers: Signers

    def apply(self, batch: Batch) -> Answer:
        """Look again, since a directory may have been published meanwhile; answers whether it signed."""
        newest = batch.trial.newest
        directory = newest.directory
        if directory is None:
            return lambda _committed: False
        file = directory.snapshot_file
        present = vouched(batch.connection, file)
        if present.snapshot_is_due(batch.at):
            shelf = Shelf.of(batch.connection, {})
            log(batch, draft(shelf, batch.trial, self.signers, batch.at), self.signers)
        elif present.timestamp_is_due(batch.at):
            online = self.signers.online
            store_timestamp(batch.connection, online, file, present.snapshot, batch.at)
        else:
            return lambda _committed: False
        return lambda _committed: True


def is_due(ledger: Ledger, at: datetime) -> bool:
    """Whether snapshot or timestamp are to be signed anew. Raises VerificationError: the snapshot is none."""
    directory = ledger.state.directory
    if directory is None:
        return False
    with reading(ledger.engine) as connection:
        present = vouched(connection, directory.snapshot_file)
    return present.snapshot_is_due(at) or present.timestamp_is_due(at)


async def renew(ledger: Ledger, sequencer: Sequencer, now_unix: Callable[[], int]) -> None:
    """Sign what is due now; what fails is told to the operator, and tried again at the next look."""
    try:
        at = datetime.fromtimestamp(now_unix(), UTC)
        if await asyncio.to_thread(is_due, ledger, at):
            await sequencer.submit(Renew(ledger.signers))
    except (BaridError, SQLAlchemyError) as error:
        _LOG.error("snapshot or timestamp were not renewed: %s", type(error).__name__)


async def keep_renewing(ledger: Ledger, sequencer: Sequencer, now_unix: Callable[[], int]) -> None:
    """Look every `LOOK_SECONDS`; runs until it is cancelled."""
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        await renew(ledger, sequencer, now_unix)
