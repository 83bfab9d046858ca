"""What the directory log says up to one size: the directory in force, and each desk's sealing keys.

May import `schemas` and `keys`; pure. `keys.history` makes a state after each entry; whoever judges an
envelope asks the state of its entry's `directory_size`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from keys.directory import Directory
from keys.purge_orders import Orders
from keys.sealing_history import SealingKeyRecord, SealingLog
from schemas.entries import FileVersion, TreeHead
from schemas.envelope import DirectoryRef
from schemas.limits import DIRECTORY_GRACE_SECONDS


@dataclass(frozen=True, slots=True)
class Publication:
    """A directory that was in force from `since` until `until`."""

    ref: DirectoryRef
    directory: Directory
    since: datetime
    until: datetime | None = None


def within_grace(former: Publication, at: datetime) -> bool:
    """Whether a directory that was in force may still be named at `at`: it ended within 10 minutes."""
    return (
        former.until is not None and (at - former.until).total_seconds() <= DIRECTORY_GRACE_SECONDS
    )


@dataclass(frozen=True, slots=True)
class DirectoryState:
    """What the first `size` entries of the directory log say. It never changes.

    `highest` is the newest version of each TUF file that was ever in force; `recent` are the directories
    that may still be within the tolerance; `purges` are all orders to destroy an opening, for good.
    """

    size: int
    publication: Publication | None
    recent: tuple[Publication, ...]
    highest: Mapping[str, FileVersion]
    last_at: datetime | None
    exchange_log: TreeHead | None
    sealing: SealingLog = field(repr=False, compare=False)
    purges: Orders = field(default_factory=dict)

    @property
    def in_force(self) -> DirectoryRef | None:
        """The entry of the directory in force, as headers name it."""
        return self.publication.ref if self.publication else None

    @property
    def in_force_since(self) -> datetime | None:
        """The `at` of that entry."""
        return self.publication.since if self.publication else None

    @property
    def directory(self) -> Directory | None:
        """The directory in force."""
        return self.publication.directory if self.publication else None

    def acceptable(self, ref: DirectoryRef, at: datetime, members: Collection[str]) -> bool:
        """Whether a header may name this directory (the protocol's Directory).

        Args:
            ref: what the header names.
            at: the entry's `at`, or the hub's clock.
            members: those of the sender and of all recipients.

        Returns:
            True for the one in force, and for one that was within the last 10 minutes if council, access
            rules and these members' files are still the same.
        """
        if self.publication is None:
            return False
        if ref == self.publication.ref:
            return True
        return any(
            ref == former.ref
            and within_grace(former, at)
            and former.directory.same_for(self.publication.directory, members)
            for former in self.recent
        )

    def sealing_keys(self, desk: str) -> tuple[SealingKeyRecord, ...]:
        """Every sealing key of a desk that was logged, ascending by epoch."""
        return self.sealing.keys(desk, self.size)

    def highest_epoch(self, desk: str) -> int:
        """The highest epoch ever logged for a desk, counted or not; 0 for none. The next is one more."""
        return self.sealing.highest_epoch(desk, self.size)

    def sealing_key(self, desk: str, at: datetime) -> SealingKeyRecord | None:
        """The key to which senders seal at `at`: the highest usable epoch; None if the desk must wait."""
        view = self.directory.desk(desk, at) if self.directory else None
        if self.directory is None or view is None:
            return None
        for record in reversed(self.sealing_keys(desk)):
            if record.usable(at, view.node_keyid) and not self.directory.revoked(
                view.member, record.keyid
            ):
                return record
        return None
