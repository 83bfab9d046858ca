"""Sealing keys at the hub: each desk its own, epoch by epoch, fit for use, and not too often."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from broker.tlog.receipt import LogVerifier
from keys.dsse import pae_sha256, sign_statement
from keys.sealing import ML_KEM_PUBLIC_BYTES, ML_KEM_VECTOR_BYTES, SealingPrivateKey
from schemas.entries import DeskSealingKey, EnvelopeAccepted, parse_directory_entry
from schemas.limits import INTEGER_MAX
from schemas.loader import dump_json, load_json
from schemas.scalars import format_time
from schemas.statements import PayloadType, Statement
from tests.exchange.acting import announce, openings, refusal, submit, verified
from tests.exchange.live import EXCHANGE, LiveHub, live_hub, now, run
from tests.exchange.raw import http, rows, send

DAY_SECONDS = 24 * 3600


@pytest.fixture
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveHub]:
    """A hub whose clock a test may move: what it logs by then cannot be taken back."""
    with live_hub(tmp_path_factory.mktemp("keys") / "hub") as serving:
        yield serving


def _later(hub: LiveHub, desk: str, **changes: Any) -> Statement:
    """The next epoch's statement by the hub's clock, with a new key."""
    hub.desks[desk].sealing = SealingPrivateKey.generate()
    began = hub.moment()
    times = {"not_before": began, "not_after": began + timedelta(days=59)}
    return hub.sealing_statement(desk, **(times | changes))


def _told(hub: LiveHub, desk: str, reader: str = "mr/judicial") -> list[str]:
    """The keyids that any member is told of a desk."""

    async def read() -> list[str]:
        async with hub.client(reader) as client:
            return [pae_sha256(s) for s in (await client.sealing_keys(desk)).statements]

    found: list[str] = run(read())
    return found


def _sound(hub: LiveHub) -> None:
    """Both checkpoints verify with both keys and say what the heads say; neither log ran backwards."""
    for head, keys in zip(
        hub.ledger.heads(),
        (hub.invitation.logs.directory, hub.invitation.logs.exchange),
        strict=True,
    ):
        opened = LogVerifier.from_keys(keys).open(head.checkpoint, both=True)
        assert (opened.size, opened.root) == (head.size, head.root)


def test_an_announced_key_is_logged(hub: LiveHub) -> None:
    """One entry in the directory log, which every member reads, and from then on senders seal to it."""
    desk = "ml/main"
    directory, exchange = hub.ledger.heads()
    statement = hub.sealing_statement(desk)
    with http(hub) as client:
        target = f"/v1/desks/{desk}/sealing-keys"
        told = send(client, hub, desk, "POST", target, dump_json(statement))
    assert (told.status_code, told.json()) == (201, {"keyid": pae_sha256(statement)})
    grown, same = hub.ledger.heads()
    assert (grown.size, same) == (directory.size + 1, exchange)
    _sound(hub)
    (opening,) = run(openings(hub, "mr/judicial", "directory", directory.size, grown.size)).openings
    entry = parse_directory_entry(opening.entry)
    assert isinstance(entry, DeskSealingKey)
    assert (entry.pae, entry.exchange_log) == (pae_sha256(statement), exchange.tree)
    assert opening.statement == statement
    assert _told(hub, desk) == [pae_sha256(statement)]
    receipt = run(submit(hub, hub.seal(hub.outgoing("ly/main"), desk)))
    accepted = verified(hub, receipt).entry
    assert isinstance(accepted, EnvelopeAccepted)
    assert accepted.directory_size == grown.size


def test_announced_twice(hub: LiveHub) -> None:
    """The same statement again is answered alike and not logged again, signed rightly or not."""
    statement = hub.sealing_statement("ma/main")
    run(announce(hub, "ma/main", statement))
    before = rows(hub)
    run(announce(hub, "ma/main", statement))
    assert rows(hub) == before


@pytest.mark.parametrize("epoch", [2, 3, INTEGER_MAX])
def test_an_epoch_is_the_next(hub: LiveHub, epoch: int) -> None:
    """A jump is refused, burns nothing, and the next epoch is still the first."""
    desk = "ma/judicial"
    before = rows(hub)
    statement = hub.sealing_statement(desk, epoch=epoch)
    assert refusal(announce(hub, desk, statement)).word == "sealing-key-epoch"
    assert rows(hub) == before
    assert hub.ledger.state.highest_epoch(desk) == 0


def test_an_epoch_is_used_once(hub: LiveHub) -> None:
    """Another key for an epoch that is logged is refused."""
    desk = "eg/main"
    run(announce(hub, desk, hub.sealing_statement(desk)))
    before = rows(hub)
    assert refusal(announce(hub, desk, _later(hub, desk, epoch=1))).word == "sealing-key-epoch"
    assert rows(hub) == before


def _zero_x25519(public: bytes) -> bytes:
    return public[:ML_KEM_PUBLIC_BYTES] + bytes(32)


def _zero_ml_kem(public: bytes) -> bytes:
    return bytes(ML_KEM_VECTOR_BYTES) + public[ML_KEM_VECTOR_BYTES:]


def _small_order(public: bytes) -> bytes:
    return public[:ML_KEM_PUBLIC_BYTES] + bytes([1]) + bytes(31)


def _not_reduced(public: bytes) -> bytes:
    return b"\xff" * ML_KEM_VECTOR_BYTES + public[ML_KEM_VECTOR_BYTES:]


@pytest.mark.parametrize("weaken", [_zero_x25519, _zero_ml_kem, _small_order, _not_reduced])
def test_a_weak_key_is_not_logged(hub: LiveHub, weaken: Any) -> None:
    """A half that is zero, of small order or no key at all is refused, and the epoch stays free."""
    desk = "eg/judicial"
    before = rows(hub)
    weak = weaken(SealingPrivateKey.generate().public_bytes())
    problem = refusal(announce(hub, desk, hub.sealing_statement(desk, public_key=weak)))
    assert problem.word == "sealing-key-unusable"
    assert rows(hub) == before


@pytest.mark.parametrize(
    "times",
    [
        {"not_before": -61 * DAY_SECONDS, "not_after": -DAY_SECONDS},
        {"not_before": -DAY_SECONDS, "not_after": 0},
        {"not_before": 0, "not_after": 61 * DAY_SECONDS},
    ],
    ids=["lapsed", "lapsing", "too long"],
)
def test_a_key_outside_its_times(hub: LiveHub, times: dict[str, int]) -> None:
    """A key that has lapsed, or would be valid for over 60 days, is refused."""
    desk = "eg/judicial"
    before = rows(hub)
    changes = {name: now() + timedelta(seconds=seconds) for name, seconds in times.items()}
    problem = refusal(announce(hub, desk, hub.sealing_statement(desk, **changes)))
    assert problem.word == "sealing-key-unusable"
    assert rows(hub) == before


def test_another_desks_identity(hub: LiveHub) -> None:
    """A key that another desk's node signed, half signed or in a second name, is nobody's."""
    desk = "td/main"
    before = rows(hub)
    payload = hub.sealing_statement(desk).payload
    nodes = {name: hub.desks[name].node for name in (desk, "ly/main")}
    by_another = sign_statement(PayloadType.SEALING_KEY, payload, EXCHANGE, [nodes["ly/main"]])
    by_both = sign_statement(PayloadType.SEALING_KEY, payload, EXCHANGE, list(nodes.values()))
    own = sign_statement(PayloadType.SEALING_KEY, payload, EXCHANGE, [nodes[desk]])
    (signature,) = own.signatures
    half = signature.model_copy(update={"sig": signature.sig[:64] + bytes(3309)})
    for statement in (by_another, by_both, own.model_copy(update={"signatures": (half,)})):
        assert refusal(announce(hub, desk, statement)).word == "statement-signature"
    wrong_type = sign_statement(PayloadType.RELEASE, payload, EXCHANGE, [nodes[desk]])
    assert refusal(announce(hub, desk, wrong_type)).word == "entry-invalid"
    assert rows(hub) == before
    run(announce(hub, desk, own))


def test_another_exchange(hub: LiveHub) -> None:
    """A key of an exercise is not logged here."""
    fields = load_json(hub.sealing_statement("td/judicial").payload, 10**6)
    payload = dump_json(fields | {"exchange": "tripoli-exercise"})
    node = hub.desks["td/judicial"].node
    statement = sign_statement(PayloadType.SEALING_KEY, payload, EXCHANGE, [node])
    assert refusal(announce(hub, "td/judicial", statement)).word == "wrong-exchange"


def test_a_desk_without_a_node(hub: LiveHub) -> None:
    """An auditor's desk cannot receive, and announces nothing."""
    statement = hub.sealing_statement("auc/audit")
    assert refusal(announce(hub, "auc/audit", statement)).word == "statement-signature"


def test_one_key_a_day(fresh: LiveHub) -> None:
    """A second key within 24 hours is refused, retryably; one second later than that it is taken."""
    desk = "tn/main"
    run(announce(fresh, desk, _later(fresh, desk)))
    logged_at = fresh.ledger.heads()[0].at
    fresh.clock_offset_seconds = DAY_SECONDS - 60
    before = rows(fresh)
    problem = refusal(announce(fresh, desk, _later(fresh, desk)))
    assert problem.word == "sealing-key-rate"
    following = datetime.fromtimestamp(logged_at + DAY_SECONDS, UTC)
    assert format_time(following) in problem.detail
    assert rows(fresh) == before
    # A refusal moves no clock: the next attempt is judged by its own time.
    assert fresh.ledger.heads()[0].at == logged_at
    fresh.clock_offset_seconds = DAY_SECONDS + 1
    run(announce(fresh, desk, _later(fresh, desk)))
    assert fresh.ledger.state.highest_epoch(desk) == 2
    assert len(_told(fresh, desk)) == 2


def test_revoking(fresh: LiveHub) -> None:
    """Once a day a key may come early if it revokes own earlier keys, and nobody else's."""
    desk = "tn/main"
    first = _later(fresh, desk)
    run(announce(fresh, desk, first))
    run(announce(fresh, "ne/main", _later(fresh, "ne/main")))
    (of_another,) = _told(fresh, "ne/main")
    before = rows(fresh)
    for strangers in ((of_another,), ("0" * 64,), tuple(sorted((pae_sha256(first), of_another)))):
        statement = _later(fresh, desk, revokes=strangers)
        assert refusal(announce(fresh, desk, statement)).word == "sealing-key-revokes"
    assert rows(fresh) == before
    second = _later(fresh, desk, revokes=(pae_sha256(first),))
    run(announce(fresh, desk, second))
    third = _later(fresh, desk, revokes=(pae_sha256(second),))
    assert refusal(announce(fresh, desk, third)).word == "sealing-key-rate"
    record = fresh.ledger.state.sealing_key(desk, now())
    assert record is not None
    assert record.keyid == pae_sha256(second)


def test_an_old_key_is_stale(fresh: LiveHub) -> None:
    """Once a new epoch is logged, what is sealed to the old key is refused, retryably, and names the desk."""
    for desk in ("tn/main", "ly/main"):
        run(announce(fresh, desk, _later(fresh, desk)))
    fresh.clock_offset_seconds = DAY_SECONDS + 1
    outgoing = fresh.outgoing("ly/main")
    early = fresh.seal(outgoing, "tn/main")
    run(submit(fresh, early))
    late = fresh.seal(outgoing, "tn/main")
    run(announce(fresh, "tn/main", _later(fresh, "tn/main")))
    before = rows(fresh)
    problem = refusal(submit(fresh, late))
    assert (problem.word, problem.extensions["desk"]) == ("stale-key", "tn/main")
    assert rows(fresh) == before
    # What was accepted before stays accepted, and the new key is taken.
    run(submit(fresh, early))
    run(submit(fresh, fresh.seal(outgoing, "tn/main")))
    _sound(fresh)


def test_both_heads_move_together(fresh: LiveHub) -> None:
    """Every entry of either log names the other log as it stood: neither size ever falls."""
    for desk in ("tn/main", "ne/main", "dz/main"):
        run(announce(fresh, desk, _later(fresh, desk)))
        run(submit(fresh, fresh.seal(fresh.outgoing("ly/main"), desk)))
    directory, exchange = fresh.ledger.heads()
    page = run(openings(fresh, "ly/main", "directory", 0, directory.size)).openings
    named = [parse_directory_entry(opening.entry).exchange_log.size for opening in page]
    assert named == sorted(named)
    assert named[-3:] == [0, 1, 2]
    page = run(openings(fresh, "ly/main", "exchange", 0, exchange.size)).openings
    sizes = [load_json(opening.entry, 10**6)["directory_size"] for opening in page]
    assert sizes == [directory.size - 2, directory.size - 1, directory.size]
