"""Receipt files of a lying hub: its entry says other than what was signed, or claims a time yet to come."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from broker.cli.exits import Exit
from broker.tlog.cosignature import MlDsa44CosignatureSigner
from broker.tlog.merkle import inclusion_path
from broker.tlog.note import Note, parse_note
from broker.tlog.policy import parse_policy, policy_text
from broker.tlog.receipt_file import verify_receipt_file, write_receipt_file
from broker.tlog.tiles import reader_from_tiles
from broker.tlog.tlog_proof import TlogProof
from schemas.acknowledgements import Result
from schemas.directory import Witnesses, WitnessKey
from schemas.entries import AcknowledgementEntry, parse_exchange_entry
from schemas.errors import VerificationError
from tests.unit.audit.fake_hub import grow
from tests.unit.audit.world import AuditWorld
from tests.unit.cli.conftest import barid as barid
from tests.unit.cli.founding import Barid

WITNESS = MlDsa44CosignatureSigner("tn.example/witness", bytes(32))


@pytest.fixture
def world() -> AuditWorld:
    """An envelope from Libya was accepted, and Tunisia rejected it."""
    made = AuditWorld()
    made.council = made.council.model_copy(
        update={
            "witnesses": Witnesses(
                quorum=1,
                keys={"tn": WitnessKey(name=WITNESS.key.name, ml_dsa_44=WITNESS.key.public)},
            )
        }
    )
    made.accept(made.envelope("ly/main", "tn/main"))
    made.acknowledge("tn/main", 0, Result.REJECTED, reason="padding")
    return made


def _receipt(world: AuditWorld, index: int, *, with_statement: bool = True) -> str:
    """The file of an entry, cosigned now."""
    logged, data = world.exchange_entries[index], [each.data for each in world.exchange_entries]
    note = parse_note(world.served().logs["exchange"].checkpoint)
    line = WITNESS.sign(note.text, int(world.now.timestamp()))
    tiles = grow(data)[1]
    read = reader_from_tiles(lambda level, at: tiles[level, at], len(data))
    path = tuple(inclusion_path(index, len(data), read))
    proof = TlogProof(index, path, Note(note.text, (*note.signatures, line)).render())
    statement = logged.statement if with_statement else None
    return write_receipt_file(logged.entry, logged.salt, proof, statement)


def _policy(world: AuditWorld) -> str:
    return policy_text(world.council, "of a test")


def test_an_honest_one(world: AuditWorld) -> None:
    """Of both entries, with and without what was signed."""
    for index in (0, 1):
        for with_statement in (True, False):
            text = _receipt(world, index, with_statement=with_statement)
            assert verify_receipt_file(text, parse_policy(_policy(world))).index == index


def _answered_read(world: AuditWorld) -> int:
    entry = parse_exchange_entry(world.exchange_entries[1].entry)
    assert isinstance(entry, AcknowledgementEntry)
    said = json.loads(entry.statement) | {"result": "read"}
    del said["reason"]
    world.alter(1, statement=json.dumps(said).encode())
    return 1


def _sent_by_another(world: AuditWorld) -> int:
    other = world.envelope("ma/main", "tn/main")
    world.alter(0, header=other.payload)
    return 0


def _in_five_years(world: AuditWorld) -> int:
    world.alter(0, at=world.now + timedelta(days=5 * 365))
    return 0


@pytest.mark.parametrize(
    ("lie", "why"),
    [
        (_answered_read, "not the one that was logged"),
        (_sent_by_another, "not the one that was logged"),
        (_in_five_years, "a later time than the quorum"),
    ],
)
def test_an_entry_that_says_other_than_what_was_signed(
    world: AuditWorld, lie: Callable[[AuditWorld], int], why: str
) -> None:
    """The log holds it, witnesses have cosigned that, and it convinces nobody."""
    text = _receipt(world, lie(world))
    with pytest.raises(VerificationError, match=why):
        verify_receipt_file(text, parse_policy(_policy(world)))


def test_whose_word_it_is(world: AuditWorld, tmp_path: Path, barid: Barid) -> None:
    """A receipt knows no desk's keys: that a desk answered is the hub's word, and the command says so."""
    _answered_read(world)
    file, policy = tmp_path / "read.tlog-proof", tmp_path / "council.policy"
    policy.write_text(_policy(world))
    file.write_text(_receipt(world, 1, with_statement=False))
    shown = barid("receipt", "verify", str(file), "--policy", str(policy))
    assert shown.exit_code == Exit.OK, shown.output
    assert "as the answer of tn/main: read" in shown.output
    assert "is the hub's word" in shown.output
    file.write_text(_receipt(world, 0))
    shown = barid("receipt", "verify", str(file), "--policy", str(policy))
    assert "a bundle or an audit verifies" in shown.output
