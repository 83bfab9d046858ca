"""Sending: envelopes submitted, their status asked, answers handed in, sealing keys announced.

May import the node's own rooms; `sync` calls it. Each method does one step of one desk's work with the
hub; blocking work runs on threads.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from broker.db import writing
from broker.node import new_logs, sealing_keys, uploading, watch
from broker.node.alarms.book import raise_fault
from broker.node.clock import Clock
from broker.node.giving_back import ClosedExchange, give_back_envelopes
from broker.node.home import Home
from broker.node.inbox import acknowledge
from broker.node.line import Line
from broker.node.outbox import answers, holding, proofs, reseal, sealing, settle
from broker.node.outbox.expiry import expire
from broker.node.outbox.originals import withdraw
from broker.node.places import RESTORED, check_places, note_places
from broker.node.purged import check_purged, purged_size
from broker.tlog.receipt import verify_receipt
from keys.dsse import pae_sha256
from schemas.bulletin.vocabularies import Precedence
from schemas.entries import AcknowledgementEntry, EnvelopeAccepted, parse_exchange_entry
from schemas.errors import HubUnreachable, ParseError, Problem
from schemas.limits import OPENINGS_PAGE_MAX
from schemas.receipts import EnvelopeStatus, Opening, Receipt
from schemas.statements import Statement

SUBMITTED_AT_ONCE: Final = 50
"""Envelopes of one pass: a second of submitting."""

ASKED_AT_ONCE: Final = 50
"""Envelopes whose status is asked in one pass."""


class Sender:
    """The outgoing work of one desk.

    Args:
        home: the node's home.
        line: to the hub.
        desk: an own desk.
        clock: the node's own.
    """

    def __init__(self, home: Home, line: Line, desk: str, clock: Clock) -> None:
        self._home = home
        self._line = line
        self._client = line.clients[desk]
        self._desk = desk
        self._clock = clock
        self._answering = asyncio.Lock()
        self._origin = watch.watched_origin(home, desk)

    async def send(self) -> int:
        """Seal what is queued and submit what is due, by precedence, then age.

        What comes meanwhile and is more urgent than the next envelope is sealed, and goes first.

        Returns:
            How many envelopes were submitted.

        Raises:
            HubUnreachable: the hub is away; nothing else is tried now.
        """
        if self._has_new_log:
            return 0
        await asyncio.to_thread(expire, self._home, self._desk, self._clock())
        if await asyncio.to_thread(reseal.is_needed, self._home, self._desk):
            await self._line.refresh()
        due = deque(await asyncio.to_thread(self._seal))
        submitted = 0
        while due and submitted < SUBMITTED_AT_ONCE:
            if await asyncio.to_thread(self._is_overtaken, due[0].rank):
                due = deque(await asyncio.to_thread(self._seal))
                if not due:
                    break
            submitted += await self._submit(due.popleft())
        return submitted

    def _is_overtaken(self, rank: int) -> bool:
        now, state = self._clock(), self._line.state
        return sealing.is_overtaken(self._home, self._desk, state, rank, now)

    def _seal(self) -> tuple[sealing.Due, ...]:
        now, state = self._clock(), self._line.state
        holding.hold(self._home, self._desk, state.directory, now)
        reseal.seal_again(self._home, self._desk, state, now)
        sealing.seal_queued(self._home, self._desk, state, now)
        return sealing.due(self._home, self._desk, now, SUBMITTED_AT_ONCE)

    async def _submit(self, due: sealing.Due) -> bool:
        """Submit one envelope. Returns whether it was, and not withdrawn just before."""
        if not await asyncio.to_thread(sealing.begin_try, self._home, due.envelope_id):
            return False
        try:
            receipt = await self._client.submit(due.sealed)
        except HubUnreachable:
            now = self._clock()
            await asyncio.to_thread(settle.note_unreachable, self._home, due.envelope_id, now)
            raise
        except Problem as problem:
            self._line.time.learn(problem)
            await self._settle_refusal(due.envelope_id, problem)
            return True
        await self._settle(due.envelope_id, receipt, None)
        return True

    async def _settle_refusal(self, envelope_id: str, problem: Problem) -> None:
        receipt = proofs.receipt_within(problem)
        if receipt is not None:
            await self._settle(envelope_id, receipt, problem)
            return
        if problem.word == "attachments-missing":
            await asyncio.to_thread(uploading.note_missing, self._home, envelope_id)
        now = self._clock()
        await asyncio.to_thread(settle.note_problem, self._home, envelope_id, problem, now)

    async def _settle(self, envelope_id: str, receipt: Receipt, refusal: Problem | None) -> None:
        """What the hub says ends the trying only once the log proves it."""
        log = self._line.follower.exchange_log
        try:
            proved = await asyncio.to_thread(proofs.prove, self._home, envelope_id, receipt, log)
            await self._line.prove(proved.verified.checkpoint)
            now = self._clock()
            await asyncio.to_thread(settle.settle, self._home, proved, refusal, now)
        except Problem as problem:
            await asyncio.to_thread(self._blame_hub, f"{self._desk} {envelope_id}", problem)
            now = self._clock()
            await asyncio.to_thread(settle.note_unreachable, self._home, envelope_id, now)

    async def ask(self) -> int:
        """Ask what became of envelopes whose recipients may have answered. Returns how many."""
        if self._has_new_log:
            return 0
        origin = self._line.follower.exchange_log.origin
        due = await asyncio.to_thread(
            answers.status_due, self._home, self._desk, origin, self._clock(), ASKED_AT_ONCE
        )
        for number, asked in enumerate(due):
            if await asyncio.to_thread(self._is_overtaken, Precedence.ROUTINE.rank):
                # What is urgent goes before what was answered, and the next pass comes at once.
                return number + 1
            try:
                status = await self._client.status(self._desk, asked.envelope_id)
                await self._note_answers(asked, status)
            except Problem as problem:
                subject = f"{self._desk} {asked.envelope_id}"
                await asyncio.to_thread(self._blame_hub, subject, problem)
                await asyncio.to_thread(answers.put_off, self._home, asked, self._clock())
        return len(due)

    async def _note_answers(self, asked: answers.Asked, status: EnvelopeStatus) -> None:
        await self._line.state_at(_directory_size(status))
        proved = await asyncio.to_thread(
            answers.prove_answers,
            asked,
            status,
            self._line.follower.exchange_log,
            self._line.follower.history,
        )
        for checkpoint in {answer.checkpoint for answer in proved}:
            await self._line.prove(checkpoint)
        now = self._clock()
        await asyncio.to_thread(answers.note_answers, self._home, asked, proved, now)
        if status.purged is not None:
            await self._note_purged(asked, status.purged)

    async def _note_purged(self, asked: answers.Asked, receipt: Receipt) -> None:
        state = await self._line.state_at(purged_size(receipt))
        log = self._line.follower.exchange_log
        purged = await asyncio.to_thread(check_purged, receipt, log, state)
        await self._line.prove(purged.checkpoint)
        now = self._clock()
        await asyncio.to_thread(answers.note_purged, self._home, asked, purged, now)

    async def answer(self) -> int:
        """Sign what this desk owes to senders, and hand it in.

        Returns:
            How many statements.

        Raises:
            HubUnreachable: the hub is away.
            Problem: the first that the hub said against one of them; all were tried.
        """
        if self._has_new_log:
            return 0
        async with self._answering:
            signer = self._home.desks[self._desk].node
            waiting, refusals = await self._sign_and_hand_in()
            if any(refusal.word == "statement-signature" for refusal in refusals):
                await self._line.refresh()
                if self._home.desks[self._desk].node is not signer:
                    # The hub knew before this node did that the desk has a new identity.
                    waiting, refusals = await self._sign_and_hand_in()
        for refusal in refusals:
            if refusal.word != "acknowledgement-items":
                raise refusal
        return len(waiting)

    async def _sign_and_hand_in(self) -> tuple[Sequence[Statement], list[Problem]]:
        now = self._clock()
        origin = self._line.follower.exchange_log.origin
        await asyncio.to_thread(acknowledge.sign_answers, self._home, self._desk, origin, now)
        waiting = await asyncio.to_thread(acknowledge.statements_to_send, self._home, self._desk)
        return waiting, await self._hand_in_all(waiting)

    async def _hand_in_all(self, waiting: Sequence[Statement]) -> list[Problem]:
        """Hand in statements in their order. Returns what the hub said against some of them."""
        refusals: list[Problem] = []
        held: set[tuple[str, str]] = set()
        for statement in waiting:
            items = acknowledge.items_of(statement)
            # The hub takes `read` after `delivered` only: what follows a refusal waits for the next pass.
            refusal = None if items & held else await self._hand_in(statement)
            if refusal is not None:
                held |= items
                refusals.append(refusal)
        return refusals

    async def _hand_in(self, statement: Statement) -> Problem | None:
        """Hand in one statement; what is said against it keeps no other from being handed in."""
        try:
            receipt = await self._client.acknowledge(statement)
            await self._note_logged(statement, receipt)
        except Problem as problem:
            if problem.word == "acknowledgement-items":
                wrong, now = _refused_items(problem), self._clock()
                await asyncio.to_thread(acknowledge.mark_refused, self._home, statement, wrong, now)
            return problem
        return None

    async def _note_logged(self, statement: Statement, receipt: Receipt) -> None:
        verified = verify_receipt(receipt, self._line.follower.exchange_log)
        entry = verified.entry
        if not isinstance(entry, AcknowledgementEntry) or entry.pae != pae_sha256(statement):
            raise Problem("entry-invalid", "the entry is not of this acknowledgement")
        await self._line.prove(verified.checkpoint)
        mark, now = acknowledge.mark_logged, self._clock()
        await asyncio.to_thread(mark, self._home, statement, receipt, verified, now)

    def idle_seconds(self, longest_seconds: float) -> float:
        """How long nothing of this desk is due, at the longest so long; at least a second."""
        at = sealing.next_due(self._home, self._desk)
        if at is None:
            return longest_seconds
        return min(longest_seconds, max(1.0, (at - self._clock()).total_seconds()))

    async def keep_keys(self) -> bool:
        """Announce a sealing key if one is due, and destroy old ones. Returns whether one was."""
        now = self._clock()
        statement = await asyncio.to_thread(
            sealing_keys.prepare_key, self._home, self._desk, self._line.state, now
        )
        if statement is not None:
            await self._client.publish_sealing_key(self._desk, statement)
        await asyncio.to_thread(sealing_keys.destroy_old_keys, self._home, self._desk, now)
        return statement is not None

    async def watch(self, restored: datetime | None = None) -> None:
        """Look at what the exchange log gained that concerns this desk.

        Args:
            restored: when this node was restored, while it looks for the first time since.
        """
        if self._has_new_log:
            await self._move_on()
        follower = self._line.follower
        origin, size = follower.exchange_log.origin, follower.exchange_checkpoint.size
        start = await asyncio.to_thread(watch.watched_size, self._home, self._desk)
        if start is None and restored is not None:
            # Its backup is older than its first look: all that it ever did came after.
            start = 0
        if start is None:
            # Nothing before the first day of this node can be its own.
            await asyncio.to_thread(
                watch.note_openings, self._home, self._desk, (), origin, size, self._clock()
            )
            self._origin = origin
            return
        while start < size:
            end = min(start + OPENINGS_PAGE_MAX, size)
            page = await self._client.openings(
                "exchange", start, end, self._line.follower.generation
            )
            end = end if page.next is None else page.next
            if restored is not None:
                await self._account_for_lost(page.openings)
            now = self._clock()
            await asyncio.to_thread(
                watch.note_openings,
                self._home,
                self._desk,
                page.openings,
                origin,
                end,
                now,
                restored,
            )
            start = end
        self._origin = origin

    @property
    def _has_new_log(self) -> bool:
        """Whether the exchange log that is followed is not the one that this desk has gone on with."""
        return self._origin not in {None, self._line.follower.exchange_log.origin}

    async def _move_on(self) -> None:
        """Go on with the new log: what the closed one lost is given back first, then sent again."""
        logs = self._line.follower.logs
        for generation, ended in enumerate(logs.previous, 1):
            if ended.exchange.origin == self._origin:
                closed = ClosedExchange(generation, ended.exchange.origin)
                await give_back_envelopes(self._home, self._client, self._desk, closed)
        now = self._clock()
        await asyncio.to_thread(new_logs.move_on, self._home, self._desk, logs.exchange.origin, now)
        self._origin = logs.exchange.origin

    async def _account_for_lost(self, openings: Sequence[Opening]) -> None:
        """Note what this desk did after its backup.

        The places of what it sent: else they would look like a gap. What it withdrew: else it would
        leave again, also for desks that the withdrawal never went to.
        """
        history = self._line.follower.history
        lost = await asyncio.to_thread(
            watch.lost_envelopes, self._home, self._desk, openings, history
        )
        for each in lost:
            receipt = (await self._client.status(self._desk, each.envelope_id)).receipt
            if receipt is None:
                raise Problem(
                    "entry-invalid", "the log shows an envelope, and the hub no receipt of it"
                )
            verified = verify_receipt(receipt, self._line.follower.exchange_log)
            if not isinstance(verified.entry, EnvelopeAccepted):
                raise Problem("entry-invalid", "the entry is not of an accepted envelope")
            if verified.entry.pae != each.pae:
                raise Problem("entry-invalid", "the entry is of another envelope")
            await self._line.prove(verified.checkpoint)
            await asyncio.to_thread(self._note_lost, receipt, each.withdraws)

    def _note_lost(self, receipt: Receipt, withdraws: str | None) -> None:
        origin, desk, now = self._line.follower.exchange_log.origin, self._desk, self._clock()
        with writing(self._home.engine) as connection:
            note_places(connection, desk, desk, origin, receipt.index, receipt.places, RESTORED)
            check_places(connection, desk, now)
            if withdraws is not None:
                withdraw(connection, desk, withdraws, now)

    def _blame_hub(self, subject: str, problem: Problem) -> None:
        with writing(self._home.engine) as connection:
            raise_fault(connection, subject, problem, self._clock())


def _directory_size(status: EnvelopeStatus) -> int:
    """The highest directory size that the answers' entries name; what is no entry is refused later."""
    sizes = [0]
    for recipient in status.recipients:
        for proof in recipient.acknowledgements:
            try:
                sizes.append(parse_exchange_entry(proof.receipt.entry).directory_size)
            except ParseError as error:
                raise Problem("entry-invalid", str(error)) from error
    return max(sizes)


def _refused_items(problem: Problem) -> set[tuple[str, str]]:
    items = problem.extensions.get("items")
    if not isinstance(items, list):
        return set()
    return {
        (str(item.get("from")), str(item.get("id"))) for item in items if isinstance(item, dict)
    }
