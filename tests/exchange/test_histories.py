"""Random histories of an exchange against a model: nothing is lost, shown twice, or left unexplained.

Members send, withdraw and read; nodes and hub crash between any two calls; nodes come back from backups,
with their keys or without; then everything works again, and what there is must be what the model says.
"""

from __future__ import annotations

import json
import os
import random
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import select

from broker.db import reading, writing
from broker.hub import tables as hub_tables
from broker.node import tables
from broker.node.inbox.received import find_readable
from broker.node.places import check_places
from schemas.bulletin.vocabularies import Kind, Precedence
from schemas.errors import Problem
from tests.exchange.histories import MEMBERS, Cut, History, Killed, Node, founded
from tests.exchange.nodes import document

SOAK = bool(os.environ.get("BARID_SOAK"))
HISTORIES = int(os.environ.get("BARID_SOAK_HISTORIES", "1000")) if SOAK else 50
STEPS = 25
CALLS_MAX = 6
"""A pass of a quiet node makes about so many calls; one of them is cut."""

SETTLING_ROUNDS_MAX = 40

ENDED: Final = frozenset({"delivered", "read", "withdrawn"})
OF_A_RESTORE: Final = frozenset(
    {
        "restored",
        "foreign-sealing-key",
        "foreign-acknowledgement",
        "foreign-envelope",
        "acknowledgement-refused",
        "refused",
        "hub-refuses-requests",
    }
)
"""Alarms that a node may raise at its own past, of which its backup knew nothing."""

OF_LOST_KEYS: Final = frozenset({"quarantined", "rejected"})

Named = tuple[str, str]
"""Sender and id of a bulletin."""

members = st.sampled_from(MEMBERS)
calls = st.integers(0, CALLS_MAX)


class Histories(RuleBasedStateMachine):
    """What anybody may do, and what must be so at any time and at the end."""

    @initialize()
    def begin(self) -> None:
        """A new exchange, in which every node has looked at the logs once."""
        self.folder = Path(tempfile.mkdtemp(prefix="barid-history-"))
        self.history = History(self.folder)
        self.taken: dict[Named, bytes] = {}
        self.withdrawn: set[Named] = set()
        self.seen: dict[str, set[Named]] = {member: set() for member in MEMBERS}
        self.opened: dict[str, set[Named]] = {member: set() for member in MEMBERS}
        self.backups = {member: [founded().early / member] for member in MEMBERS}
        self.restored: set[str] = set()
        self.keyless: set[str] = set()
        self.everybody_works()
        for member in MEMBERS:
            self.send(member, alone=False)
        self.everybody_works()

    # What people do.

    @rule(member=members, alone=st.booleans())
    def send(self, member: str, alone: bool) -> None:
        """An agency hands in a bulletin for one or both of the others."""
        others = [f"{other}/main" for other in MEMBERS if other != member]
        self._hand_in(member, *document(f"{member}/main", "news"), *others[: 1 if alone else 2])

    @rule(member=members, which=st.integers(0, 100), urgent=st.booleans())
    def withdraw(self, member: str, which: int, urgent: bool) -> None:
        """An agency withdraws one of its bulletins; what is urgent overtakes what it withdraws."""
        own = [
            named
            for named in self.taken
            if named[0] == member
            and named not in self.withdrawn
            and b'"withdraws"' not in self.taken[named]
        ]
        if own:
            named = own[which % len(own)]
            bulletin_id, content = document(
                f"{member}/main",
                "withdrawn",
                Kind.WITHDRAWAL,
                withdraws=named[1],
                reason={"en": "It was wrong."},
            )
            precedence = Precedence.FLASH if urgent else Precedence.ROUTINE
            if self._hand_in(member, bulletin_id, content, precedence=precedence):
                self.withdrawn.add(named)

    @rule(member=members, urgent=st.booleans())
    def change_of_mind(self, member: str, urgent: bool) -> None:
        """It sends something, and withdraws that before anybody has fetched it."""
        self.send(member, alone=False)
        self.history.work(member)
        self.withdraw(member, which=-1, urgent=urgent)
        self.history.work(member)

    @rule(member=members, which=st.integers(0, 100))
    def read(self, member: str, which: int) -> None:
        """An analyst opens something that is shown."""
        node = self.history.nodes[member]
        shown = node.shown()
        if shown:
            one = shown[which % len(shown)]
            if node.read(one.sender, one.bulletin_id):
                self.opened[member].add((_member(one.sender), one.bulletin_id))

    # What machines do.

    @rule(member=members)
    def work(self, member: str) -> None:
        """A node does what is due."""
        self.history.work(member)

    @rule()
    def everybody_works(self) -> None:
        """All of them do, one after the other."""
        for member in MEMBERS:
            self.history.work(member)

    @rule(member=members, at=calls, after=st.booleans())
    def line_cut(self, member: str, at: int, after: bool) -> None:
        """The line is cut in one of its calls, and it goes on."""
        self.history.work(member, Cut(at, after, lambda: httpx.ReadError("cut")))

    @rule(member=members, at=calls, after=st.booleans())
    def node_killed(self, member: str, at: int, after: bool) -> None:
        """It is killed at one of its calls, and starts again."""
        self.history.work(member, Cut(at, after, Killed))

    @rule(member=members, at=calls, after=st.booleans())
    def hub_killed(self, member: str, at: int, after: bool) -> None:
        """The hub is killed around one of its calls, and starts again."""

        def away() -> BaseException:
            self.history.wire.hub = None
            return httpx.ReadError("the hub died")

        self.history.work(member, Cut(at, after, away))
        self.history.crash_hub()

    @rule(hours=st.integers(1, 5))
    def time_passes(self, hours: int) -> None:
        """Pauses end, acknowledgements age."""
        self.history.later(hours=hours)

    @rule(member=members)
    def backup(self, member: str) -> None:
        """A node is saved."""
        archive = self.folder / f"{member}.{len(self.backups[member])}.backup"
        self.history.nodes[member].backup(archive)
        self.backups[member].append(archive)

    @rule(member=members, which=st.integers(0, 100))
    def restore(self, member: str, which: int) -> None:
        """A node's machine is lost, and it comes back from one of its backups."""
        archives = self.backups[member][1:]
        if archives:
            self.restored.add(member)
            self.history.nodes[member].restore(archives[which % len(archives)])

    @precondition(lambda self: not self.keyless)
    @rule(member=members)
    def lose_keys(self, member: str) -> None:
        """It comes back from the day before it made its sealing key."""
        self.restored.add(member)
        self.keyless.add(member)
        self.history.nodes[member].restore(self.backups[member][0])
        # What it knows of the directory is gone as well: until it has looked it takes nothing in.
        self.history.work(member)

    # What must be so at any time.

    @invariant()
    def nothing_is_shown_twice(self) -> None:
        """Nor is what was withdrawn unread shown at all."""
        if not hasattr(self, "history"):
            return
        for member, node in self.history.nodes.items():
            shown = node.shown()
            counts = Counter((each.sender, each.bulletin_id) for each in shown)
            assert not {named: n for named, n in counts.items() if n > 1}
            for each in shown:
                if each.is_hidden:
                    self._is_not_readable(node, each.sender, each.bulletin_id)
            self.seen[member] |= {(_member(each.sender), each.bulletin_id) for each in shown}

    def _is_not_readable(self, node: Node, sender: str, bulletin_id: str) -> None:
        with (
            reading(node.home.engine) as connection,
            pytest.raises(Problem, match="withdrew it before it was read"),
        ):
            find_readable(connection, node.desk, sender, bulletin_id)
        assert not node.read(sender, bulletin_id)

    def _may_be_withdrawn(self, named: Named) -> bool:
        return named not in self.withdrawn and b'"withdraws"' not in self.taken[named]

    def _hand_in(
        self,
        member: str,
        bulletin_id: str,
        content: bytes,
        *to: str,
        precedence: Precedence = Precedence.ROUTINE,
    ) -> bool:
        """Whether the node took it; a restored one does not know what it withdraws."""
        try:
            self.history.nodes[member].hand_in(content, to, precedence)
        except Problem as problem:
            if problem.word != "original-unknown" or member not in self.restored:
                raise
            return False
        self.taken[member, bulletin_id] = content
        return True

    # The end.

    def teardown(self) -> None:
        """Everything works again; then the whole is looked at."""
        if not hasattr(self, "history"):
            return
        try:
            self._settle()
            self.nothing_is_shown_twice()
            self._nothing_accepted_is_lost()
            self._senders_know_the_end()
            self._places_explain_everything()
            self._alarms_tell_the_truth()
            assert self.history.audit().findings == ()
        finally:
            self.history.close()

    def _settle(self) -> None:
        if self.keyless:
            # One sealing key in 24 hours.
            self.history.later(hours=25)
        before: Any = None
        for _ in range(SETTLING_ROUNDS_MAX):
            self.history.later(minutes=45)
            for member in MEMBERS:
                self.history.work(member)
            after = (self.history.ledger.heads()[1].size, self._ends())
            if before == after:
                return
            before = after
        pytest.fail("it never came to rest")

    def _ends(self) -> dict[Named, dict[str, tuple[str, str | None]]]:
        return {named: self.history.nodes[named[0]].states(named[1]) for named in self.taken}

    def _accepted(self) -> set[tuple[str, str, str]]:
        """Sender, bulletin and recipient of all that the hub has accepted."""
        envelope, slot = hub_tables.envelope.c, hub_tables.slot.c
        query = (
            select(envelope.sender, envelope.bulletin_id, slot.desk)
            .join(hub_tables.slot, slot.entry_index == envelope.entry_index)
            .where(envelope.problem.is_(None))
        )
        with reading(self.history.ledger.engine) as connection:
            rows = connection.execute(query).all()
        return {(_member(row.sender), row.bulletin_id, _member(row.desk)) for row in rows}

    def _nothing_accepted_is_lost(self) -> None:
        """It is in its recipient's inbox; or that desk lost its keys, and had shown it or said so."""
        for sender, bulletin_id, recipient in self._accepted():
            named = (sender, bulletin_id)
            shown = {
                (_member(s.sender), s.bulletin_id) for s in self.history.nodes[recipient].shown()
            }
            if named in shown:
                continue
            assert recipient in self.keyless, (named, recipient)
            told = self.history.nodes[sender].states(bulletin_id).get(f"{recipient}/main")
            ended = told == ("rejected", "cannot_open") or named in self.withdrawn
            seen = named in self.seen[recipient] or sender in self.restored
            assert ended or seen, (named, told)

    def _senders_know_the_end(self) -> None:
        for (member, bulletin_id), states in self._ends().items():
            if not states:
                # A restored node forgot it, or it withdrew what was never sent.
                assert member in self.restored or b'"withdraws"' in self.taken[member, bulletin_id]
            for desk, (state, reason) in states.items():
                recipient = _member(desk)
                self._is_the_end(member, (member, bulletin_id), recipient, state, reason)

    def _is_the_end(
        self, member: str, named: Named, recipient: str, state: str, reason: str | None
    ) -> None:
        if state == "rejected":
            assert (reason, recipient in self.keyless) == ("cannot_open", True), (named, recipient)
            return
        if state == "refused":
            assert member in self.restored or self._never_left(named, recipient), (named, reason)
            return
        assert state in ENDED, (named, recipient, state, reason)
        if recipient not in self.restored:
            if member not in self.restored:
                assert (state == "withdrawn") == (named in self.withdrawn), (named, recipient)
            was_read = named in self.opened[recipient]
            assert was_read == (state == "read" or (state, reason) == ("withdrawn", "read")), named

    def _never_left(self, named: Named, recipient: str) -> bool:
        """Whether it withdraws what turned out never to have left for that desk."""
        original = json.loads(self.taken[named]).get("withdraws")
        if original is None:
            return False
        states = self.history.nodes[named[0]].states(original)
        return states.get(f"{recipient}/main") == ("withdrawn", "unsent")

    def _places_explain_everything(self) -> None:
        for node in self.history.nodes.values():
            with writing(node.home.engine) as connection:
                gaps = check_places(connection, node.desk, self.history.clock())
                assert gaps == (), (node.desk, gaps)

    def _alarms_tell_the_truth(self) -> None:
        for member, node in self.history.nodes.items():
            # Nobody lied: neither a line that was cut nor a process that was killed is a reason.
            allowed = OF_A_RESTORE if member in self.restored else frozenset()
            allowed |= OF_LOST_KEYS if self.keyless else frozenset()
            with reading(node.home.engine) as connection:
                raised = {(row.kind, row.text) for row in connection.execute(select(tables.alarm))}
            assert not {alarm for alarm in raised if alarm[0] not in allowed}, member


def _member(desk: str) -> str:
    return desk.partition("/")[0]


def _machine(number: int) -> type[RuleBasedStateMachine]:
    made = type("SeededHistories", (Histories,), {})
    seed(number)(made)
    return made


@pytest.mark.timeout(4 * 3600 if SOAK else 400)
def test_random_histories() -> None:
    """However members send, withdraw, crash, come back and lose their keys, the promises hold."""
    number = int(os.environ.get("BARID_HISTORY_SEED", random.SystemRandom().randrange(2**32)))
    print(f"seed {number}, {HISTORIES} histories of {STEPS} steps")  # noqa: T201 - a failure must be repeatable
    run_state_machine_as_test(
        _machine(number),
        settings=settings(
            max_examples=HISTORIES,
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            phases=(Phase.generate,),
            suppress_health_check=list(HealthCheck),
        ),
    )
