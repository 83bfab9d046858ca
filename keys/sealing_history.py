"""Every sealing key that the directory log ever announced, and which of them a sender may seal to.

May import `schemas` and the signing half of `keys`; pure. `keys.history` folds announcements into it, in log
order.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final, Self

from keys.directory import DeskView
from keys.dsse import pae_sha256, verify_statement
from keys.sealing import check_sealing_key
from keys.signing import VerifyingIdentity
from schemas.errors import Problem, VerificationError
from schemas.limits import SEALING_KEY_LIFE_SECONDS, SEALING_KEY_RATE_SECONDS
from schemas.scalars import format_time
from schemas.sealing_keys import SealingKey
from schemas.statements import PayloadType, Statement

_LAST: Final = datetime.max.replace(microsecond=0, tzinfo=UTC)
"""The last second that a time can name."""

_BEFORE: Final = -1
"""The index of what stands in a closed log: before every size of the one that follows."""


@dataclass(frozen=True, slots=True)
class SealingKeyRecord:
    """A sealing key as it stands in the directory log.

    `counted` is false where the announcement broke a rule or the key is weak: it has used up its epoch, and
    nobody seals to it. `signer` is the keyid of the node identity that announced it.
    """

    desk: str
    keyid: str
    epoch: int
    public_key: bytes
    not_before: datetime
    not_after: datetime
    signer: str
    index: int
    counted: bool
    revoked: bool = False

    def usable(self, at: datetime, node_keyid: str | None) -> bool:
        """Whether a sender may seal to it: it counts, holds at `at`, and is the present identity's.

        Args:
            at: the entry's `at`, or the sender's clock.
            node_keyid: the desk's node identity in the directory in force.
        """
        holds = self.not_before <= at < self.not_after
        return self.counted and not self.revoked and holds and self.signer == node_keyid


@dataclass(slots=True)
class SealingLog:
    """The announcements of all desks; it only grows, so that any earlier size can be asked about.

    The rules (the protocol's Keys):
     * An epoch is the highest of its desk plus 1. Whoever announces another has announced nothing,
       and does not move the highest: a thief cannot burn the numbers up.
     * One that has the right epoch uses it up, whatever else is wrong with it.
     * The desk's node identity in the directory in force has signed it.
     * An identity announces one key without and one with `revokes` in 24 hours.
     * `revokes` names earlier keys of the same desk; each covers its lower epochs, for good.
     * A key is valid at most 60 days, and a test message seals to it.
    """

    records: dict[str, list[SealingKeyRecord]] = field(default_factory=dict)
    """Desk → its announcements, in log order."""
    revocations: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    """Desk → index of the entry, and the epoch up to which it revokes."""
    last: dict[tuple[str, bool], datetime] = field(default_factory=dict)
    """Identity, and whether with `revokes` → when it last announced."""

    def copy(self) -> Self:
        """Give an independent log with the same announcements."""
        return type(self)(
            {desk: list(records) for desk, records in self.records.items()},
            {desk: list(epochs) for desk, epochs in self.revocations.items()},
            dict(self.last),
        )

    def carried(self) -> Self:
        """Give the same announcements as a new log begins with them: made before its first entry."""
        records = {
            desk: [replace(record, index=_BEFORE) for record in records]
            for desk, records in self.records.items()
        }
        revocations = {
            desk: [(_BEFORE, epoch) for _, epoch in epochs]
            for desk, epochs in self.revocations.items()
        }
        return type(self)(records, revocations, dict(self.last))

    def highest_epoch(self, desk: str, size: int) -> int:
        """The highest epoch announced for a desk within the first `size` entries; 0 for none."""
        return max((r.epoch for r in self.records.get(desk, ()) if r.index < size), default=0)

    def keys(self, desk: str, size: int) -> tuple[SealingKeyRecord, ...]:
        """What the first `size` entries say of a desk's keys, ascending by epoch."""
        revocations = self.revocations.get(desk, ())
        highest_revoked = max((epoch for index, epoch in revocations if index < size), default=0)
        return tuple(
            replace(record, revoked=record.epoch <= highest_revoked)
            for record in self.records.get(desk, ())
            if record.index < size
        )

    def announce(
        self,
        statement: Statement,
        key: SealingKey,
        view: DeskView | None,
        index: int,
        at: datetime,
    ) -> Problem | None:
        """Fold one announcement that was logged.

        1. Its desk has a node identity, and its epoch is the next: else nothing has happened.
        2. The identity signed it. If not, the hub logged what nobody signed, or showed this reader other
           signatures than the rest (the log fixes the payload alone). What it may revoke is unknown, so
           that no earlier key of the desk counts any more: it waits until it announces the next.
        3. Rate and revocations are in order.
        4. The key itself is fit for use; what it revokes is revoked in any case.

        Args:
            statement: of the PAE that was logged.
            key: its payload, of this exchange.
            view: its desk in the directory in force at `at`; None if there is no such desk.
            index: of the entry.
            at: of the entry.

        Returns:
            Why the key does not count, or None.
        """
        if view is None or view.node is None or view.node_keyid is None:
            return Problem("statement-signature", f"{key.desk} has no node identity in force")
        expected = self.highest_epoch(key.desk, index) + 1
        if key.epoch != expected:
            return Problem(
                "sealing-key-epoch", f"epoch {key.epoch} of {key.desk} is not {expected}"
            )
        revoked, problem = self._judge(statement, key, view.node_keyid, view.node, at)
        record = SealingKeyRecord(
            desk=key.desk,
            keyid=pae_sha256(statement),
            epoch=key.epoch,
            public_key=key.public_key,
            not_before=key.not_before,
            not_after=key.not_after,
            signer=view.node_keyid,
            index=index,
            counted=problem is None,
        )
        self.records.setdefault(key.desk, []).append(record)
        self.revocations.setdefault(key.desk, []).extend((index, epoch) for epoch in revoked)
        return problem

    def _judge(
        self,
        statement: Statement,
        key: SealingKey,
        signer: str,
        identity: VerifyingIdentity,
        at: datetime,
    ) -> tuple[list[int], Problem | None]:
        """Give the epochs that are revoked (each with all lower ones), and why the key does not count."""
        try:
            verify_statement(statement, PayloadType.SEALING_KEY, {signer: identity})
        except VerificationError as error:
            return [key.epoch], Problem("statement-signature", str(error))
        try:
            self._check_rate(key, signer, at)
            revoked = self._revoked_epochs(key)
        except Problem as problem:
            return [], problem
        self.last[signer, key.revokes is not None] = at
        try:
            _check_fitness(key)
        except VerificationError as error:
            return revoked, Problem("sealing-key-unusable", str(error))
        return revoked, None

    def _check_rate(self, key: SealingKey, signer: str, at: datetime) -> None:
        last = self.last.get((signer, key.revokes is not None))
        if last is None:
            return
        rate = timedelta(seconds=SEALING_KEY_RATE_SECONDS)
        # Not added to `last` before: an entry may say that it is of the last second of all.
        if at - last < rate:
            following = min(last, _LAST - rate) + rate
            raise Problem(
                "sealing-key-rate",
                f"{key.desk} announced a key within 24 hours; the next is possible from"
                f" {format_time(following)}",
            )

    def _revoked_epochs(self, key: SealingKey) -> list[int]:
        own = {record.keyid: record.epoch for record in self.records.get(key.desk, ())}
        strangers = set(key.revokes or ()) - set(own)
        if strangers:
            raise Problem(
                "sealing-key-revokes", f"{min(strangers)} is no earlier key of {key.desk}"
            )
        return [own[keyid] for keyid in key.revokes or ()]


def _check_fitness(key: SealingKey) -> None:
    if (key.not_after - key.not_before).total_seconds() > SEALING_KEY_LIFE_SECONDS:
        raise VerificationError("a sealing key is valid for at most 60 days")
    check_sealing_key(key.public_key)
