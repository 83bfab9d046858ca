"""Openings destroyed under an order of the council: at the hub, at the nodes, and before an auditor."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from broker.db import reading
from broker.hub import purging, showing
from broker.hub.purging import due_orders, next_work
from broker.hub.retention import Ended, look
from broker.hub.tables import acknowledgement, body, entry, envelope, purge, slot
from broker.node import tables as node_tables
from broker.tlog.receipt import exchange_leaf
from keys.repository import CouncilFiles, sign_targets
from schemas.errors import ConfigurationError, Problem
from schemas.limits import PURGE_DELAY_SECONDS, PURGE_OVERDUE_SECONDS
from schemas.purges import PurgeOrder
from tests.exchange.acting import openings, submit
from tests.exchange.destroying import REASON, Purging
from tests.exchange.histories import History
from tests.exchange.live import live_hub, now, run
from tests.exchange.nodes import wait_for


@pytest.fixture
def purging_(tmp_path: Path) -> Iterator[Purging]:
    """Nodes without bulletins."""
    history = History(tmp_path / "exchange")
    yield Purging(history)
    history.close()


def test_what_is_ordered_is_destroyed(purging_: Purging) -> None:
    """Nothing opens it any more; the tree stays, nobody misses it, and everybody is told why."""
    each = purging_
    each.send("ly", "ne", "tn")
    index = each.size - 1
    each.work("ne", "ly")
    [row] = each.rows(entry, index)
    [sealed] = each.rows(body, index)
    slots = [found.slot for found in each.rows(slot, index)]
    stored = (row.salt, row.entry, row.statement, sealed.ciphertext, *slots)
    # What is longer does not stand in one piece.
    kept = [secret[:40] for secret in stored]
    assert all(secret in each.raw() for secret in kept)
    each.orders.append(each.order(index))
    each.load(each.signed(each.orders))
    # Who reads the logs by then knows the order first.
    assert (due_orders(each.history.ledger, each.history.clock()), each.obey().purged) == ((), ())
    each.history.later(seconds=PURGE_DELAY_SECONDS)
    assert look(each.history.ledger, each.history.clock()).purged == tuple(each.orders)
    assert each.obey() == Ended(0, tuple(each.orders))
    assert each.obey() == Ended(0, ())
    raw = each.raw()
    assert [secret in raw for secret in kept] == [False] * len(kept)
    [row] = each.rows(entry, index)
    assert (row.salt, row.statement) == (None, None)


def test_whom_it_concerns_is_told(purging_: Purging) -> None:
    """Nobody misses it: recipient and sender learn why nothing comes, and the auditor under which order."""
    each = purging_
    bulletin = each.send("ly", "ne", "tn")
    index = each.size - 1
    each.work("ne", "ly")
    each.command(index)
    before = each.history.ledger.heads()[1]
    each.obey()
    # Whoever had not answered is told what it will not get, and its sender too.
    each.work("tn", "ly", "ne", rounds=2)
    assert each.kinds("tn") == {"missed"}
    assert "judgment of a court" in each.history.nodes["tn"].alarms()["missed"]
    assert each.kinds("ly") == {"expired-unanswered"}
    assert each.history.nodes["ly"].states(bulletin) == {
        "ne/main": ("delivered", None),
        "tn/main": ("expired", "purged"),
    }
    assert each.kinds("ne") == set()
    # Numbers go on behind it, without a gap.
    each.send("ly", "ne", "tn")
    each.work(rounds=2)
    assert (each.kinds("tn"), each.kinds("ne")) == ({"missed"}, set())
    report = each.history.audit()
    assert report.findings == ()
    assert report.counts is not None
    assert (report.counts.destroyed, report.counts.unjudged) == (1, 0)
    [purged] = report.purged
    assert (purged.order.order, purged.index) == (each.orders[0], before.size)
    assert purged.listed_in == each.history.ledger.state.directory.purges_sha256  # type: ignore[union-attr]
    told = report.changes.listed[-1].report.changes
    assert [change.area for change in told if change.area == "purge"] == ["purge"]
    # With what was verified before, too.
    assert each.history.audit().findings == ()


def test_a_newcomer_and_a_restart_change_nothing(purging_: Purging) -> None:
    """A hub that starts anew, and a node that comes back from a backup, see the same."""
    each = purging_
    archive = each.history.folder / "tn.backup"
    each.history.nodes["tn"].backup(archive)
    each.send("ly", "ne", "tn")
    index = each.size - 1
    each.work(rounds=2)
    each.command(index)
    each.obey()
    each.history.crash_hub()
    assert each.obey().purged == ()
    each.history.nodes["tn"].restore(archive)
    each.work(rounds=3)
    assert "gap" not in each.kinds("tn")
    assert each.history.audit().findings == ()


def test_other_entries(purging_: Purging) -> None:
    """An answer, and a refusal, are entries as well; the envelope that was answered stays."""
    each = purging_
    bulletin = each.send("ly", "ne")
    index = each.size - 1
    each.work("ne", "ly")
    [answered] = [at for at in range(index + 1, each.size) if each.rows(acknowledgement, at)]
    each.command(answered)
    assert len(each.obey().purged) == 1
    each.work(rounds=2)
    assert each.history.nodes["ly"].states(bulletin) == {"ne/main": ("delivered", None)}
    report = each.history.audit()
    assert report.findings == ()
    [row] = each.rows(acknowledgement, answered)
    assert row.pae == f"purged {answered}"


def test_the_same_bytes_again(purging_: Purging) -> None:
    """A node whose answer was lost gets none: nothing is accepted a second time."""
    each = purging_
    each.send("ly", "ne")
    index = each.size - 1
    node = each.history.nodes["ly"]
    with reading(node.home.engine) as connection:
        sealed = connection.execute(select(node_tables.outgoing_envelope.c.sealed)).scalar_one()
    each.command(index)
    each.obey()
    with pytest.raises(Problem) as caught:
        each.history.run(node.line.clients["ly/main"].submit(sealed))
    assert caught.value.word == "purged"
    assert [found.purged_index is not None for found in each.rows(envelope, index)] == [True]


def test_a_closed_log(purging_: Purging) -> None:
    """What a closed log holds is destroyed there, and the log that follows says so; also after a crash."""
    each = purging_
    each.send("ly", "ne")
    index = each.size - 1
    each.work("ne", "ly")
    each.begin()
    each.work(rounds=3)
    each.command(index, generation=1)
    assert next_work(each.history.ledger, each.history.clock()) is not None
    each.history.crash_hub()
    assert each.history.audit().findings == ()
    assert len(each.obey().purged) == 1
    report = each.history.audit()
    assert report.findings == ()
    [purged] = report.purged
    assert purged.order.order.origin == report.closed[0].exchange.origin
    each.begin()
    each.work(rounds=3)
    assert (each.obey().purged, each.history.audit().findings) == ((), ())
    assert each.kinds("ly") | each.kinds("ne") == {"new-logs"}


def test_orders_stay(purging_: Purging) -> None:
    """An order that was in force is neither taken back nor changed: it explains what is not there."""
    each = purging_
    each.send("ly", "ne")
    each.command(each.size - 1)
    other = each.orders[0].model_copy(update={"ordered": now()})
    for orders in ([], [other]):
        with pytest.raises(ConfigurationError, match="orders stay for good"):
            each.load(each.signed(orders))
    assert len(each.obey().purged) == 1


@pytest.mark.parametrize("what", ["leaf", "beyond", "origin", "record"])
def test_an_order_that_cannot_be_obeyed(purging_: Purging, what: str) -> None:
    """It is refused before it is in force, where it would stay for good."""
    each = purging_
    each.send("ly", "ne")
    order = each.order(each.size - 1)
    if what == "leaf":
        order = order.model_copy(update={"leaf": "00" * 32})
    elif what == "beyond":
        order = order.model_copy(update={"index": each.size})
    elif what == "origin":
        order = order.model_copy(update={"origin": "other/exchange/1"})
    else:
        each.command(each.size - 1)
        each.obey()
        order = each.order(each.size - 1)
    with pytest.raises(ConfigurationError):
        each.load(each.signed([*each.orders, order]))
    assert each.history.audit().findings == ()


def test_a_hub_that_serves_obeys_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten minutes after the directory with the order came into force, and its metrics count it."""
    monkeypatch.setattr(purging, "LOOK_SECONDS", 0.05)
    with live_hub(tmp_path / "hub") as hub:
        run(hub.announce("ly/main", "tn/main"))
        receipt = run(submit(hub, hub.seal(hub.outgoing("ly/main"), "tn/main")))
        order = PurgeOrder(
            origin=hub.invitation.logs.exchange.origin,
            index=receipt.index,
            leaf=exchange_leaf(receipt.salt, receipt.entry).hex(),
            reason=REASON,
            ordered=now(),
        )
        files = CouncilFiles(hub.council, *hub.rules(), purges=(order,))
        keys = {member: (signer.public_key,) for member, signer in hub.member_signers.items()}
        until = now() + timedelta(days=365)
        hub.publish(sign_targets(2, files, keys, hub.governors[:3], until))
        wait_for(lambda: bool(hub.ledger.state.purges))
        assert hub.ledger.heads()[1].size == receipt.index + 1
        hub.clock_offset_seconds = PURGE_DELAY_SECONDS + 1
        wait_for(lambda: hub.ledger.heads()[1].size == receipt.index + 2)
        shown = run(openings(hub, "auc/audit", "exchange", receipt.index, receipt.index + 2))
        assert [each.index for each in shown.openings] == [receipt.index + 1]
        counted = hub.app.state.watched.registry.get_sample_value("barid_hub_purged_openings_total")
        assert counted == 1


class TestHostileHub:
    """A hub that destroys, or says that it did, as nobody ordered."""

    def test_without_an_order(self, purging_: Purging) -> None:
        """What it withholds is a finding, and the recipient's gap."""
        each = purging_
        each.send("ly", "tn")
        index = each.size - 1
        order = each.order(index)
        with each.history.ledger.engine.begin() as connection:
            purging._destroy(connection, order, None)
        each.send("ly", "tn")
        each.work(rounds=2)
        assert "gap" in each.kinds("tn")
        assert (index, "opening-missing") in each.found(each.history.audit())

    def test_another_entry_than_ordered(
        self, purging_: Purging, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """One order covers one leaf: its recipient and the auditor compare that."""
        each = purging_
        each.send("ly", "tn")
        index = each.size - 1
        each.work("ne", rounds=1)
        each.send("ly", "tn")
        each.command(index)
        true = purging._log

        def lie(batch: Any, order: PurgeOrder, found: Any) -> None:
            true(batch, order.model_copy(update={"index": index + 1}), found)

        monkeypatch.setattr(purging, "_log", lie)
        each.history.ledger.commit([next_work(each.history.ledger, each.history.clock())])  # type: ignore[list-item]
        each.work(rounds=2)
        assert "hub-fault" in each.kinds("tn")
        assert each.found(each.history.audit()) == {(index + 2, "purge-order")}

    def test_said_of_another_place(
        self, purging_: Purging, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A purge explains no other bulletin that the hub keeps back."""
        each = purging_
        each.send("ly", "tn")
        index = each.size - 1
        each.send("ly", "tn")
        kept_back = each.size - 1
        each.command(index)
        each.obey()
        true: Callable[..., Any] = showing._tombstone

        def lie(connection: Any, prover: Any, row: Any) -> Any:
            found, size = true(connection, prover, row)
            [other] = each.rows(slot, kept_back)
            place = found.place.model_copy(update={"n": other.n, "place_salt": other.place_salt})
            return found.model_copy(update={"place": place}), size

        monkeypatch.setattr(showing, "_tombstone", lie)
        with each.history.ledger.engine.begin() as connection:
            hidden = slot.c.entry_index == kept_back
            connection.execute(update(slot).where(hidden).values(answered=1))
        each.history.work("tn")
        assert (
            f"entry {index} gave tn/main no such place"
            in (each.history.nodes["tn"].alarms()["hub-fault"])
        )

    def test_obeyed_and_not_said(self, purging_: Purging, monkeypatch: pytest.MonkeyPatch) -> None:
        """The log says what was destroyed: within an hour, or it is a finding."""
        each = purging_
        each.send("ly", "tn")
        index = each.size - 1
        each.command(index)
        with each.history.ledger.engine.begin() as connection:
            purging._destroy(connection, each.orders[0], None)
        assert each.history.audit().findings == ()
        each.history.later(hours=1, minutes=1)
        each.send("ly", "ne")
        assert each.found(each.history.audit()) == {(index, "purge-unlogged")}

    def test_not_obeyed(self, purging_: Purging) -> None:
        """An order that is not carried out is told after a day."""
        each = purging_
        each.send("ly", "tn")
        each.command(each.size - 1)
        assert "purge-overdue" not in [one.word for one in each.history.audit().remarks]
        each.history.later(seconds=PURGE_OVERDUE_SECONDS + 1)
        report = each.history.audit()
        assert [one.word for one in report.remarks if one.word == "purge-overdue"]
        assert report.purged == ()

    def test_said_twice(self, purging_: Purging) -> None:
        """The second entry is a finding."""
        each = purging_
        each.send("ly", "tn")
        each.command(each.size - 1)
        each.obey()

        class Again:
            """The same entry once more."""

            def apply(self, batch: Any) -> Any:
                """Log it."""
                purging._log(batch, each.orders[0], purging._Destroyed((), ()))
                return lambda _committed: None

        with each.history.ledger.engine.begin() as connection:
            connection.execute(purge.delete())
        each.history.ledger.commit([Again()])
        assert (each.size - 1, "purge-order") in each.found(each.history.audit())
