"""The hub collects cosignatures: which it takes, when the next checkpoint is shown, what is witnessed."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from broker.db import reading, writing
from broker.hub.directory_log import Operate
from broker.hub.logbook import read_head
from broker.hub.witnessing import (
    ROUND_SECONDS,
    newest,
    quorum_times,
    show_next,
    shown,
    take,
)
from broker.tlog.cosignature import MlDsa44CosignatureSigner
from broker.tlog.note import Note, NoteSignature, parse_note
from broker.tlog.quorum import Quorum, Witnessed
from broker.tlog.receipt import LogVerifier
from keys.derivation import sha256_hex
from schemas.directory import Witnesses, WitnessKey
from schemas.errors import Problem
from tests.exchange.live import EXCHANGE, STATES, LiveHub, live_hub, run

SIGNERS = {
    member: MlDsa44CosignatureSigner(f"{EXCHANGE}/witness/{member}", secrets.token_bytes(32))
    for member in STATES
}
NINE = Witnesses(
    quorum=5,
    keys={m: WitnessKey(name=s.key.name, ml_dsa_44=s.key.public) for m, s in SIGNERS.items()},
)


@pytest.fixture
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveHub]:
    """Nine states are witnesses by hand, of whom five must cosign."""
    with live_hub(tmp_path_factory.mktemp("cosignatures") / "hub", NINE) as serving:
        yield serving


def _line(member: str, note: Note, at: int) -> NoteSignature:
    return SIGNERS[member].sign(note.text, at)


def _cosigned(member: str, text: str, at: int) -> str:
    note = parse_note(text)
    return Note(note.text, (*note.signatures, _line(member, note, at))).render()


async def _to_cosign(hub: LiveHub, member: str) -> str:
    async with hub.client(f"{member}/main") as client:
        return await client.to_cosign("directory", 1) or ""


async def _cosign(hub: LiveHub, member: str, note: str) -> None:
    async with hub.client(f"{member}/main") as client:
        await client.cosign("directory", 1, note)


async def _witnessed(hub: LiveHub) -> Witnessed:
    async with hub.client("mr/main") as client:
        text = await client.witnessed("directory", 1) or ""
    quorum = Quorum.of(hub.council)
    assert quorum is not None
    return quorum.open(text, LogVerifier.from_keys(hub.invitation.logs.directory))


def test_from_the_first_cosignature_to_the_next_checkpoint(hub: LiveHub) -> None:
    """Five make a quorum, a sixth is added; then the log has grown, and the next one is shown."""
    text = run(_to_cosign(hub, "dz"))
    for member in STATES[:4]:
        run(_cosign(hub, member, _cosigned(member, text, hub.now_unix())))
    with pytest.raises(Problem) as absent:
        run(_witnessed(hub))
    assert absent.value.word == "not-found"
    for count, member in enumerate(STATES[4:6], start=5):
        run(_cosign(hub, member, _cosigned(member, text, hub.now_unix())))
        assert run(_witnessed(hub)).members == STATES[:count]
    assert len(parse_note(run(_to_cosign(hub, "dz"))).signatures) == 2 + 6
    hub.ledger.commit([Operate("configuration")])
    following = parse_note(run(_to_cosign(hub, "dz")))
    assert following.text != parse_note(text).text
    assert len(following.signatures) == 2
    assert run(_witnessed(hub)).checkpoint.size == hub.ledger.state.size - 1


def _unsigned(_hub: LiveHub, text: str) -> str:
    return text


def _of_another(hub: LiveHub, text: str) -> str:
    return _cosigned("ly", text, hub.now_unix())


def _twice(hub: LiveHub, text: str) -> str:
    note = parse_note(_cosigned("dz", text, hub.now_unix()))
    return Note(note.text, (*note.signatures, note.signatures[-1])).render()


def _altered(hub: LiveHub, text: str) -> str:
    note = parse_note(_cosigned("dz", text, hub.now_unix()))
    last = note.signatures[-1]
    flipped = last.signature[:-1] + bytes([last.signature[-1] ^ 1])
    return Note(note.text, (*note.signatures[:-1], replace(last, signature=flipped))).render()


def _of_another_tree(hub: LiveHub, text: str) -> str:
    origin, size, _, _ = parse_note(text).text.split("\n")
    other = f"{origin}\n{int(size) + 1}\n{parse_note(text).text.splitlines()[2]}\n"
    note = Note(other, parse_note(text).signatures)
    return Note(other, (*note.signatures, _line("dz", note, hub.now_unix()))).render()


@pytest.mark.parametrize("wrong", [_unsigned, _of_another, _twice, _altered, _of_another_tree])
def test_what_is_no_cosignature_is_refused(
    hub: LiveHub, wrong: Callable[[LiveHub, str], str]
) -> None:
    """Nothing of it is kept; the right one is taken afterwards."""
    text = run(_to_cosign(hub, "dz"))
    with pytest.raises(Problem) as refusal:
        run(_cosign(hub, "dz", wrong(hub, text)))
    assert refusal.value.word == "cosignature"
    assert len(parse_note(run(_to_cosign(hub, "dz"))).signatures) == 2
    run(_cosign(hub, "dz", _cosigned("dz", text, hub.now_unix())))
    assert len(parse_note(run(_to_cosign(hub, "dz"))).signatures) == 3


def test_what_is_known_is_not_sent_again(hub: LiveHub) -> None:
    """Over a bad line: what a member has cosigned, and the newest quorum, as long as they stand."""
    text = run(_to_cosign(hub, "dz"))
    known = sha256_hex(parse_note(text).text.encode())

    async def ask(member: str, what: str) -> bool:
        async with hub.client(f"{member}/main") as client:
            if what == "cosignatures":
                return await client.to_cosign("directory", 1, known) is None
            newest_text = await client.witnessed("directory", 1) or ""
            sha256 = sha256_hex(newest_text.encode())
            return await client.witnessed("directory", 1, sha256) is None

    assert not run(ask("dz", "cosignatures"))
    for member in STATES[:5]:
        run(_cosign(hub, member, _cosigned(member, text, hub.now_unix())))
        assert run(ask(member, "cosignatures"))
    assert not run(ask(STATES[5], "cosignatures"))
    assert run(ask("mr", "witnessed"))
    hub.ledger.commit([Operate("configuration")])
    assert not run(ask("dz", "cosignatures"))


def test_what_is_no_note_is_refused(hub: LiveHub) -> None:
    """Bytes that are nothing, and a member that the council names no witness of."""
    for note in ("", "\n\n", "a\n\n— b c\n"):
        with pytest.raises(Problem) as refusal:
            run(_cosign(hub, "dz", note))
        assert refusal.value.word == "cosignature"


def test_four_of_nine_are_off_for_two_days(hub: LiveHub) -> None:
    """The newest quorum is never older than a round and a look, by anybody's clock."""
    quorum = Quorum.of(hub.council)
    assert quorum is not None
    log = LogVerifier.from_keys(hub.invitation.logs.directory)
    look, begun = 5, hub.now_unix()
    for second in range(0, 48 * 3600, ROUND_SECONDS // 2):
        now = begun + second
        with writing(hub.ledger.engine) as connection:
            head = read_head(connection, "directory")
            text = show_next(connection, head, quorum, now)
            signed = {line.name for line in parse_note(text).signatures}
            for member in STATES[:5]:
                if SIGNERS[member].key.name not in signed:
                    data = _cosigned(member, text, now + look).encode()
                    take(connection, head, quorum, member, data)
        with reading(hub.ledger.engine) as connection:
            found = quorum.open(newest(connection, head), log)
            assert shown(connection, head, quorum, now) is not None
        age = now + look - found.at.timestamp()
        assert timedelta(seconds=age) <= timedelta(seconds=ROUND_SECONDS)
        assert found.members == STATES[:5]


def test_the_operator_sees_how_old_the_quorum_is(hub: LiveHub) -> None:
    """By the median of its cosignatures; nothing before there is one."""
    quorum = Quorum.of(hub.council)
    assert quorum is not None
    text, now = run(_to_cosign(hub, "dz")), hub.now_unix()
    for count, member in enumerate(STATES[:5]):
        with reading(hub.ledger.engine) as connection:
            assert quorum_times(connection, quorum) == {}
        run(_cosign(hub, member, _cosigned(member, text, now - 10 * count)))
    with reading(hub.ledger.engine) as connection:
        assert quorum_times(connection, quorum) == {"directory": now - 20}


def test_a_witness_that_is_named_no_more_does_not_count(hub: LiveHub) -> None:
    """What it cosigned before is left out as soon as the council names others."""
    quorum = Quorum.of(hub.council)
    assert quorum is not None
    text = run(_to_cosign(hub, "dz"))
    run(_cosign(hub, "dz", _cosigned("dz", text, hub.now_unix())))
    others = replace(
        quorum, verifiers={m: each for m, each in quorum.verifiers.items() if m != "dz"}
    )
    with reading(hub.ledger.engine) as connection:
        head = read_head(connection, "directory")
        assert (
            len(parse_note(shown(connection, head, quorum, hub.now_unix()) or "").signatures) == 3
        )
        assert (
            len(parse_note(shown(connection, head, others, hub.now_unix()) or "").signatures) == 2
        )
