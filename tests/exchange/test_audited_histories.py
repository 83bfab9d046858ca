"""Random histories of an honest exchange that is governed meanwhile: the audit of each has no finding.

Members join, leave, are suspended, change their keys, send, withdraw and read; nodes and hub crash between
any two calls, or are off for hours; days pass. Whoever takes part cosigns both logs. An auditor comes back in
the middle, and at the end; then another one reads all of it, and no node may have an alarm without a cause.
"""

from __future__ import annotations

import os
import random
import tempfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Final

import httpx
import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from broker.audit.report import AuditReport
from broker.db import writing
from broker.hub.before import Before
from broker.hub.expiry import Expire
from broker.hub.ledger import Batch
from broker.node.outbox.checking import Order
from broker.node.outbox.queueing import queue
from broker.node.places import check_places
from schemas.bulletin.vocabularies import Kind, Precedence
from schemas.errors import Problem
from schemas.receipts import Place
from tests.exchange.audited_histories import LATE, AuditedHistory
from tests.exchange.histories import MEMBERS, Cut, Killed
from tests.exchange.nodes import document

SOAK = bool(os.environ.get("BARID_SOAK"))
HISTORIES = int(os.environ.get("BARID_SOAK_HISTORIES", "1000")) if SOAK else 50
STEPS = 25 if SOAK else 7
CALLS_MAX = 8
"""A pass of a node that is a witness makes about so many calls; one of them is cut."""

GROWN_MIN = 10
"""Entries of both logs after which the auditor comes back: more of it would be the same."""

SETTLING_ROUNDS_MAX = 30

WITNESSES_AWAY: Final = frozenset({"unwitnessed", "quorum-old"})
"""What an auditor finds, and rightly, while too few witnesses are there."""

NOT_SENT: Final = frozenset({"busy", "unknown-recipient"})
"""Why a node does not take a bulletin: it takes no part, or does not know yet who does."""

anybody = st.sampled_from((*MEMBERS, LATE))
calls = st.integers(0, CALLS_MAX)
numbers = st.integers(0, 100)


class AuditedHistories(RuleBasedStateMachine):
    """What anybody may do, and what must be so when an auditor comes."""

    @initialize()
    def begin(self) -> None:
        """A new exchange, in which everybody has sent and received something."""
        self.folder = Path(tempfile.mkdtemp(prefix="barid-audited-"))
        self.history = AuditedHistory(self.folder)
        self.off: set[str] = set()
        self.audited, self.was_audited = self._logged(), False
        self.sent: dict[str, list[str]] = {member: [] for member in self.history.nodes}

    # What agencies do.

    @rule(
        member=anybody,
        which=numbers,
        days=st.integers(1, 30),
        precedence=st.sampled_from(Precedence),
    )
    def send(self, member: str, which: int, days: int, precedence: Precedence) -> None:
        """A bulletin for one or more of the others, whoever takes part."""
        others = [f"{each}/main" for each in sorted(self.history.taking_part - {member})]
        to = tuple(others[: 1 + which % len(others)])
        bulletin_id, content = document(f"{member}/main", "news")
        expires = self.history.clock() + timedelta(days=days)
        if self._hand_in(
            Order(f"{member}/main", content, to, precedence=precedence, expires=expires)
        ):
            self.sent[member].append(bulletin_id)

    @rule(member=anybody, which=numbers)
    def withdraw(self, member: str, which: int) -> None:
        """An agency withdraws one of its bulletins."""
        if not self.sent[member]:
            return
        original = self.sent[member].pop(which % len(self.sent[member]))
        _, content = document(
            f"{member}/main",
            "withdrawn",
            Kind.WITHDRAWAL,
            withdraws=original,
            reason={"en": "Wrong."},
        )
        self._hand_in(Order(f"{member}/main", content, ()))

    @rule(member=anybody, which=numbers)
    def read(self, member: str, which: int) -> None:
        """An analyst opens something that is shown."""
        node = self.history.nodes[member]
        if shown := node.shown():
            one = shown[which % len(shown)]
            node.read(one.sender, one.bulletin_id)

    # What the council decides, and members.

    @rule(
        member=anybody, is_removed=st.booleans(), at=calls, after=st.booleans(), dies=st.booleans()
    )
    def decide(self, member: str, is_removed: bool, at: int, after: bool, dies: bool) -> None:
        """It admits a member, reinstates it, suspends or removes it; two stay at the least."""
        history = self.history
        history.wire.cut = self._broken(at, after, dies)
        try:
            if member not in history.directory.members:
                history.admit(member)
            elif member not in history.taking_part:
                history.reinstate(member)
            elif len(history.taking_part) > 2:
                (history.remove if is_removed else history.suspend)(member)
        finally:
            history.wire.cut = None

    @rule(member=anybody, at=st.integers(0, 1), after=st.booleans(), dies=st.booleans())
    def rekey(self, member: str, at: int, after: bool, dies: bool) -> None:
        """A member's desk gets new keys while bulletins flow."""
        if self.history.nodes[member].line.state.directory is None:
            return
        if member in self.history.taking_part and member not in self.off:
            # Its node has to know the directory in force.
            self.history.work(member)
            self.history.wire.cut = self._broken(at, after, dies)
            try:
                self.history.rekey(member)
            finally:
                self.history.wire.cut = None

    # What machines do.

    @rule()
    def everybody_works(self) -> None:
        """Each node does what is due."""
        for member in self.history.nodes:
            self._work(member)

    @rule(member=anybody)
    def work(self, member: str) -> None:
        """One of them does."""
        self._work(member)

    @rule(member=anybody, at=calls, after=st.booleans(), dies=st.booleans())
    def line_cut(self, member: str, at: int, after: bool, dies: bool) -> None:
        """The line is cut in one of a node's calls, or the hub is killed around it and starts again."""
        self._work(member, self._broken(at, after, dies))
        if dies:
            self.history.crash_hub()

    @rule(member=anybody, at=calls, after=st.booleans())
    def node_killed(self, member: str, at: int, after: bool) -> None:
        """It is killed at one of its calls, and starts again."""
        self._work(member, Cut(at, after, Killed))

    @rule(member=anybody)
    def switch(self, member: str) -> None:
        """A node goes off, or comes back."""
        self.off ^= {member}
        if member not in self.off:
            self.history.nodes[member].reopen()

    @rule(minutes=st.integers(1, 300))
    def time_passes(self, minutes: int) -> None:
        """Witnesses begin new rounds, pauses end."""
        self.history.later(minutes=minutes)

    @rule(days=st.integers(1, 4))
    def days_pass(self, days: int) -> None:
        """Bulletins expire, sealing keys and the hub's snapshot are renewed."""
        self.history.later(days=days)

    @rule(hours=st.integers(1, 30))
    def hub_is_away(self, hours: int) -> None:
        """For hours; some have tried in vain."""
        working = self.history.nodes.keys() - self.off
        self.history.hub_is_away(sorted(working), hours=hours)

    def _work(self, member: str, cut: Cut | None = None) -> None:
        if member not in self.off:
            self.history.work(member, cut)
            self.history.run(self.history.nodes[member].look_around())

    def _broken(self, at: int, after: bool, dies: bool) -> Cut:
        def how() -> BaseException:
            if dies:
                self.history.wire.hub = None
            return httpx.ReadError("cut")

        return Cut(at, after, how)

    def _hand_in(self, order: Order) -> bool:
        """Whether the node took it; who takes no part, or does not know that another does, may not send."""
        node = self.history.nodes[order.desk.partition("/")[0]]
        try:
            queue(node.home, order, node.line.state, self.history.clock())
        except Problem as problem:
            if problem.word not in NOT_SENT:
                raise
            return False
        return True

    # The auditor.

    @precondition(lambda self: self._logged() >= self.audited + GROWN_MIN)
    @rule()
    def an_auditor_comes(self) -> None:
        """Whatever is under way, nothing is wrong; but there may be no quorum."""
        self.audited, self.was_audited = self._logged(), True
        report = self.history.audit_on()
        assert {each.rule for each in report.findings} <= WITNESSES_AWAY, report.findings
        self._is_whole(report)

    def _logged(self) -> int:
        return sum(head.size for head in self.history.ledger.heads())

    def _is_whole(self, report: AuditReport) -> None:
        """Every entry was examined, of both trees that the hub has signed."""
        heads = self.history.ledger.heads()
        audited = (report.directory, report.exchange_log)
        assert report.counts is not None
        counts = (report.directory_entries.total(), report.counts.entries.total())
        for head, log, count in zip(heads, audited, counts, strict=True):
            assert log is not None
            assert (head.size, head.root) == (log.checkpoint.size, log.checkpoint.root)
            assert count == head.size
        assert report.counts.unjudged == 0

    # The end.

    def teardown(self) -> None:
        """All are back, and everything works; then the whole is looked at."""
        if not hasattr(self, "history"):
            return
        try:
            self._settle()
            self._places_explain_everything()
            self._alarms_have_a_cause()
            self._nothing_is_found()
        finally:
            self.history.close()

    def _settle(self) -> None:
        for member in sorted(self.off):
            self.switch(member)
        self.everybody_works()
        # So that the log's newest entry is of now: what should have been logged before would be missing.
        self.send(min(self.history.taking_part), which=0, days=1, precedence=Precedence.ROUTINE)
        before = None
        for _ in range(SETTLING_ROUNDS_MAX):
            self.history.later(minutes=45)
            for member in sorted(self.history.taking_part):
                self.history.work(member)
            after = self._logged()
            if before == after:
                break
            before = after
        else:
            pytest.fail("it never came to rest")
        self.everybody_works()

    def _places_explain_everything(self) -> None:
        for node in self.history.nodes.values():
            with writing(node.home.engine) as connection:
                gaps = check_places(connection, node.desk, self.history.clock())
                assert gaps == (), (node.desk, gaps)

    def _alarms_have_a_cause(self) -> None:
        for member in self.history.nodes:
            unexplained = self.history.unexplained_alarms(member)
            assert unexplained == {}, member

    def _nothing_is_found(self) -> None:
        """Neither by an auditor who remembers what it saw, nor by one who reads everything anew."""
        report = self.history.audit_on()
        self._is_sound(report)
        if self.was_audited:
            another = self.folder / "another auditor"
            another.mkdir()
            whole = self.history.audit(data=another)
            self._is_sound(whole)
            assert whole.counts == report.counts

    def _is_sound(self, report: AuditReport) -> None:
        assert report.findings == ()
        assert set(report.witnesses.named) == self.history.taking_part
        self._is_whole(report)


def _machine(number: int) -> type[RuleBasedStateMachine]:
    made = type("SeededHistories", (AuditedHistories,), {})
    seed(number)(made)
    return made


@pytest.mark.timeout(4 * 3600 if SOAK else 400)
def test_honest_histories_have_no_finding() -> None:
    """Whoever joins, leaves, crashes or changes its keys: both logs are sound, and nobody is alarmed."""
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


def _takes_no_cosignature(_history: AuditedHistory, patch: pytest.MonkeyPatch) -> None:
    patch.setattr("broker.hub.witness_routes.take", lambda *_: None)


def _skips_a_place(_history: AuditedHistory, patch: pytest.MonkeyPatch) -> None:
    given = Before.next_place

    def skipping(before: Before, batch: Batch, sender: str, recipient: str, salt: bytes) -> Place:
        given(before, batch, sender, recipient, salt)
        return given(before, batch, sender, recipient, salt)

    patch.setattr(Before, "next_place", skipping)


def _logs_no_expiry(_history: AuditedHistory, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Expire, "apply", lambda _work, _batch: lambda _committed: 0)


def _dates_two_hours_back(history: AuditedHistory, patch: pytest.MonkeyPatch) -> None:
    history.later(hours=3)
    history.everybody_works()
    patch.setattr(history.ledger, "_now_unix", lambda: history.now_unix() - 7200)


@pytest.mark.parametrize(
    ("breaks", "told"),
    [
        (_takes_no_cosignature, "directory-over-grace"),
        (_skips_a_place, "ly/main"),
        (_logs_no_expiry, "expired-missing"),
        (_dates_two_hours_back, "entry-time"),
    ],
)
def test_a_history_that_is_not_honest_fails(
    breaks: Callable[[AuditedHistory, pytest.MonkeyPatch], None],
    told: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The same machine, by hand, with a hub that cheats in one thing."""
    machine = AuditedHistories()
    machine.begin()
    breaks(machine.history, monkeypatch)
    machine.send("ly", which=1, days=1, precedence=Precedence.ROUTINE)
    machine.everybody_works()
    machine.days_pass(2)
    with pytest.raises(AssertionError, match=told):
        machine.teardown()
