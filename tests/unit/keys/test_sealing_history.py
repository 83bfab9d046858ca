"""Sealing keys as the directory log announces them: epochs, rates, revocations, and which one counts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from keys.derivation import sha256_hex
from keys.dsse import pae_sha256, sign_statement
from keys.history import DirectoryHistory
from keys.sealing import SealingPrivateKey
from keys.signing import SigningIdentity
from keys.tuf_files import TrustFileMissing
from schemas.directory import MemberFile
from schemas.entries import DeskSealingKey
from schemas.limits import INTEGER_MAX
from schemas.scalars import encode_base64
from schemas.statements import PayloadType, Statement
from tests.exchange.trust_world import EMPTY_TREE, START, TrustWorld

DESK = "ly/main"
SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)


@pytest.fixture
def world() -> TrustWorld:
    """An exchange whose first directory is in force, without any sealing key."""
    world = TrustWorld.fresh()
    world.publish()
    return world


def announce(world: TrustWorld, epoch: int, **options: object) -> str:
    """Log a key of the desk; gives its keyid."""
    return world.announce(world.sealing_statement(DESK, epoch, **options))  # type: ignore[arg-type]


def usable(history: DirectoryHistory, world: TrustWorld) -> str | None:
    """The keyid of the key to which senders seal now."""
    record = history.newest.sealing_key(DESK, world.now)
    return record.keyid if record else None


def replace_node(world: TrustWorld, revoked: tuple[str, ...] = ()) -> SigningIdentity:
    """Give the desk a new node identity, in force at once; returns the old one."""
    old = world.desks[DESK].node
    assert old is not None
    world.desks[DESK] = type(world.desks[DESK])(
        world.desks[DESK].request, SigningIdentity.generate()
    )
    file: MemberFile = world.declare("ly").model_copy(update={"revoked": revoked})
    world.change_member("ly", lambda _: file)
    world.publish()
    return old


def test_a_desk_without_a_key_waits(world: TrustWorld) -> None:
    """Before the first announcement there is no key, and the next epoch is 1."""
    state = world.state()
    assert state.sealing_key(DESK, START) is None
    assert state.highest_epoch(DESK) == 0
    assert state.sealing_keys(DESK) == ()


def test_senders_use_the_highest_epoch(world: TrustWorld) -> None:
    """After a renewal both keys are valid, and the newer one is used."""
    first = announce(world, 1)
    world.later(days=30)
    second = announce(world, 2)
    history = world.history()
    assert usable(history, world) == second
    assert [record.keyid for record in history.newest.sealing_keys(DESK)] == [first, second]
    assert history.newest.highest_epoch(DESK) == 2
    before = history.at(2).sealing_key(DESK, world.now)
    assert before is not None
    assert (before.keyid, before.epoch, before.index) == (first, 1, 1)
    assert before.public_key == world.sealing_secrets[first].public_bytes()


def test_a_key_is_valid_from_its_first_second_to_before_its_last(world: TrustWorld) -> None:
    """`not_before` counts, `not_after` does not."""
    opens, closes = START + DAY, START + 2 * DAY
    announce(world, 1, not_before=opens, not_after=closes)
    state = world.state()
    shown = [
        state.sealing_key(DESK, at) is not None
        for at in (opens - SECOND, opens, closes - SECOND, closes)
    ]
    assert shown == [False, True, True, False]


def test_a_lower_epoch_serves_where_the_higher_is_not_valid_yet(world: TrustWorld) -> None:
    """A key announced ahead of its time leaves its predecessor in use."""
    first = announce(world, 1)
    world.later(days=1)
    second = announce(world, 2, not_before=world.now + DAY)
    history = world.history()
    assert usable(history, world) == first
    world.later(days=1)
    assert usable(history, world) == second


# Epochs.


@pytest.mark.parametrize("epoch", [1, 3, INTEGER_MAX])
def test_an_epoch_is_the_next(world: TrustWorld, epoch: int) -> None:
    """A repeated or skipped epoch announces nothing, and the next one stays what it was."""
    first = announce(world, 1)
    history = world.history()
    world.later(days=2)
    announce(world, epoch)
    assert world.rules(history) == ["sealing-key-epoch"]
    assert usable(history, world) == first
    assert history.newest.highest_epoch(DESK) == 1
    second = announce(world, 2)
    assert world.rules(history) == []
    assert usable(history, world) == second


def test_a_thief_cannot_burn_the_epochs(world: TrustWorld) -> None:
    """Whoever holds the node identity and jumps to 2^53 - 1 has announced nothing."""
    history = world.history()
    announce(world, INTEGER_MAX)
    assert world.rules(history) == ["sealing-key-epoch"]
    assert history.newest.highest_epoch(DESK) == 0
    announce(world, 1)
    assert world.rules(history) == []


def test_a_key_that_does_not_count_uses_up_its_epoch(world: TrustWorld) -> None:
    """An epoch with a weak key is spent: the desk goes on with the next."""
    history = world.history()
    announce(world, 1, public_key=bytes(1216))
    assert world.rules(history) == ["sealing-key-unusable"]
    assert history.newest.highest_epoch(DESK) == 1
    assert usable(history, world) is None
    world.later(days=1)
    second = announce(world, 2)
    assert world.rules(history) == []
    assert usable(history, world) == second


# The key itself.


def _zero_x25519(public: bytes) -> bytes:
    return public[:1184] + bytes(32)


def _zero_ml_kem(public: bytes) -> bytes:
    return bytes(1152) + public[1152:]


def _small_order(public: bytes) -> bytes:
    return public[:1184] + b"\x01" + bytes(31)


@pytest.mark.parametrize("weaken", [_zero_x25519, _zero_ml_kem, _small_order])
def test_a_weak_key_counts_as_none(world: TrustWorld, weaken: object) -> None:
    """Nobody seals to a key that is nobody's secret; the predecessor stays in use."""
    assert callable(weaken)
    first = announce(world, 1)
    history = world.history()
    world.later(days=1)
    announce(world, 2, public_key=weaken(SealingPrivateKey.generate().public_bytes()))
    assert world.rules(history) == ["sealing-key-unusable"]
    assert usable(history, world) == first


def test_a_key_for_more_than_sixty_days_counts_as_none(world: TrustWorld) -> None:
    """A key that would stay valid for years ends forward secrecy, and does not count."""
    history = world.history()
    announce(world, 1, not_after=START + 60 * DAY + SECOND)
    assert world.rules(history) == ["sealing-key-unusable"]
    assert usable(history, world) is None


# Who signed.


def test_a_key_lapses_with_the_identity_that_announced_it(world: TrustWorld) -> None:
    """Once the desk has another node identity, keys of the old one are not used."""
    announce(world, 1)
    history = world.history()
    replace_node(world)
    assert world.rules(history) == []
    assert usable(history, world) is None
    second = announce(world, 2)
    assert world.rules(history) == []
    assert usable(history, world) == second


def test_a_key_lapses_with_its_members_file(world: TrustWorld) -> None:
    """The keys of an expired member do not count, sealing keys included."""
    world.change_member("ly", expires=START + DAY)
    world.publish()
    announce(world, 1)
    state = world.state()
    assert state.sealing_key(DESK, START + DAY - SECOND) is not None
    assert state.sealing_key(DESK, START + DAY) is None


def test_a_member_revokes_a_sealing_key_in_its_file(world: TrustWorld) -> None:
    """A keyid in the member's `revoked` is no key, whatever it names."""
    keyid = announce(world, 1)
    world.change_member("ly", lambda file: file.model_copy(update={"revoked": (keyid,)}))
    world.publish()
    assert world.state().sealing_key(DESK, START) is None


def test_an_identity_that_left_the_directory_announces_nothing(world: TrustWorld) -> None:
    """A statement signed by the former node identity does not verify."""
    history = world.history()
    old = replace_node(world)
    announce(world, 1, signer=old)
    assert world.rules(history) == ["statement-signature"]
    assert usable(history, world) is None


def test_a_revoked_identity_announces_nothing(world: TrustWorld) -> None:
    """A desk whose node identity is revoked has nobody to announce a key."""
    node = world.desks[DESK].node
    assert node is not None
    keyid = node.keyid(world.exchange)
    world.change_member("ly", lambda file: file.model_copy(update={"revoked": (keyid,)}))
    world.publish()
    history = world.history()
    announce(world, 1)
    assert world.rules(history) == ["statement-signature"]
    assert history.newest.highest_epoch(DESK) == 0


def test_another_desk_announces_nothing_here(world: TrustWorld) -> None:
    """The judicial desk's node cannot announce a key of the main desk."""
    history = world.history()
    announce(world, 1, signer=world.desks["ly/judicial"].node)
    assert world.rules(history) == ["statement-signature"]
    assert usable(history, world) is None


@pytest.mark.parametrize("desk", ["ly/nowhere", "auc/audit"])
def test_a_desk_that_cannot_receive_announces_nothing(world: TrustWorld, desk: str) -> None:
    """An unknown desk, or one without a node identity, has no sealing key."""
    history = world.history()
    world.announce(world.sealing_statement(desk, 1, signer=world.desks[DESK].node))
    assert world.rules(history) == ["statement-signature"]
    assert history.newest.highest_epoch(desk) == 0


def _break(statement: Statement) -> Statement:
    (signature,) = statement.signatures
    broken = signature.model_copy(update={"sig": signature.sig[:-1] + b"\x00"})
    return statement.model_copy(update={"signatures": (broken,)})


def test_a_statement_that_does_not_verify_stops_the_desks_keys(world: TrustWorld) -> None:
    """The log fixes the payload, not the signature: what it may revoke is unknown, so the desk waits.

    A hub that shows one sender a broken signature of a revocation cannot make it seal to a stolen key.
    """
    stolen = announce(world, 1)
    history = world.history()
    assert usable(history, world) == stolen
    world.later(days=1)
    world.announce(_break(world.sealing_statement(DESK, 2, revokes=(stolen,))))
    assert world.rules(history) == ["statement-signature"]
    assert usable(history, world) is None
    assert history.newest.highest_epoch(DESK) == 2
    world.later(days=1)
    third = announce(world, 3)
    assert world.rules(history) == []
    assert usable(history, world) == third


# What was logged, and what is shown.


def test_a_withheld_statement_is_waited_for(world: TrustWorld) -> None:
    """Without the statement nobody knows whose key it is, or what it revokes: wait."""
    history = world.history()
    statement = world.sealing_statement(DESK, 1)
    world.announce(statement)
    entry = world.entries[-1]
    with pytest.raises(TrustFileMissing, match="was not given"):
        history.apply(1, entry.leaf, entry.data, None, world.fetch)
    assert history.size == 1
    assert history.apply(1, entry.leaf, entry.data, statement, world.fetch) == ()


def test_another_statement_is_as_good_as_none(world: TrustWorld) -> None:
    """A statement of another PAE than the one logged is not the one logged."""
    history = world.history()
    world.announce(world.sealing_statement(DESK, 1))
    entry = world.entries[-1]
    other = world.sealing_statement(DESK, 1)
    with pytest.raises(TrustFileMissing, match="was not given"):
        history.apply(1, entry.leaf, entry.data, other, world.fetch)
    assert history.newest.highest_epoch(DESK) == 0


def test_a_key_of_another_exchange_is_a_finding(world: TrustWorld) -> None:
    """A sealing key cannot be replayed from an exercise."""
    history = world.history()
    announce(world, 1, exchange="another-exchange")
    assert world.rules(history) == ["wrong-exchange"]
    assert history.newest.highest_epoch(DESK) == 0


@pytest.mark.parametrize("payload_type", [PayloadType.SEALING_KEY, PayloadType.ACKNOWLEDGEMENT])
def test_a_statement_that_is_no_sealing_key_is_a_finding(
    world: TrustWorld, payload_type: PayloadType
) -> None:
    """What was logged as a sealing key, and is none by payload or type, is a finding and no more."""
    node = world.desks[DESK].node
    assert node is not None
    payload = world.sealing_statement(DESK, 1).payload
    if payload_type is PayloadType.SEALING_KEY:
        payload = payload.replace(b'"epoch":1', b'"epoch":0')
    history = world.history()
    world.announce(sign_statement(payload_type, payload, world.exchange, [node]))
    assert world.rules(history) == ["entry-invalid"]
    assert (history.size, history.newest.highest_epoch(DESK)) == (2, 0)


def test_the_keyid_is_the_hash_of_the_pae(world: TrustWorld) -> None:
    """The log, the record and the statement name a key alike."""
    statement = world.sealing_statement(DESK, 1)
    keyid = world.announce(statement)
    kind = PayloadType.SEALING_KEY.value.encode()
    size = len(statement.payload)
    message = b"DSSEv1 %d %b %d %b" % (len(kind), kind, size, statement.payload)
    assert keyid == pae_sha256(statement) == sha256_hex(message)
    record = world.state().sealing_keys(DESK)[0]
    assert record.keyid == keyid
    assert encode_base64(record.public_key) in statement.payload.decode()


def test_a_key_announced_before_any_directory_counts_for_nothing() -> None:
    """Without a directory there are no desks."""
    world = TrustWorld.fresh()
    statement = world.sealing_statement(DESK, 1)
    world.log(
        DeskSealingKey(
            type="desk.sealing_key",
            at=world.now,
            exchange_log=EMPTY_TREE,
            pae=pae_sha256(statement),
        ),
        statement,
    )
    history = world.empty_history()
    assert world.rules(history) == ["statement-signature"]


def test_an_entry_of_the_last_second_is_judged_like_any_other() -> None:
    """A hub may log any time: two keys at the end of time are one too many, and nothing fails."""
    end = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
    world = TrustWorld(expires=end)
    world.publish()
    history = world.history()
    keys = [
        world.sealing_statement(
            "ly/main", epoch, not_before=START, not_after=START + timedelta(days=60)
        )
        for epoch in (1, 2)
    ]
    world.now = end - timedelta(seconds=1)
    for key in keys:
        world.announce(key)
    assert "sealing-key-rate" in [finding.rule for finding in world.feed(history)]
