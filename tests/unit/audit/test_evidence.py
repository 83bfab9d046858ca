"""Evidence: what audits write of a lying hub convinces who holds the trust root; nothing else does."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from broker.audit.evidence import FOLDER, keep
from broker.audit.report import AuditReport
from broker.cli.exits import Exit
from broker.evidence import verify_evidence
from broker.tlog.merkle import consistency_path, inclusion_path, leaf_hash
from broker.tlog.tiles import reader_from_tiles
from schemas.bulletin.vocabularies import Kind
from schemas.errors import BaridError, HubUnreachable, VerificationError
from schemas.loader import dump_json, to_plain
from schemas.receipts import OpeningsPage
from schemas.scalars import decode_base64, encode_base64
from tests.exchange.trust_world import TrustWorld
from tests.unit.audit.fake_hub import FakeHub
from tests.unit.audit.forging import envelope_to_nobody, resigned
from tests.unit.audit.world import AuditWorld, audit, found
from tests.unit.cli.conftest import barid as barid
from tests.unit.cli.founding import Barid, run

Plain = dict[str, Any]


def _what(report: AuditReport) -> list[str]:
    return [each.verdict.what for each in report.evidence]


def test_an_honest_hub_gives_none(story: AuditWorld, tmp_path: Path) -> None:
    """Nothing is found, nothing is written."""
    audit(story.served(), story, tmp_path)
    story.later(minutes=1)
    story.accept(story.envelope("ly/main", "tn/main"))
    assert audit(story.served(), story, tmp_path).evidence == ()


def _two_faces(story: AuditWorld, data: Path, grown: int) -> AuditReport:
    other = story.copy()
    audit(story.served(), story, data)
    del other.exchange_entries[8]
    for _ in range(1 + grown):
        other.accept(other.envelope("ma/main", "ne/main"))
    return audit(other.served(), story, data)


@pytest.mark.parametrize(("grown", "what"), [(0, "two-roots"), (1, "forked"), (300, "forked")])
def test_two_faces(story: AuditWorld, tmp_path: Path, grown: int, what: str) -> None:
    """Two signed trees of one size; or a larger one that did not grow from the smaller."""
    report = _two_faces(story, tmp_path, grown)
    assert found(report) == [("exchange", None, "log-forked")]
    assert _what(report) == [what]
    (written,) = report.evidence
    assert verify_evidence(written.data, story.initial_root) == written.verdict
    assert written.verdict.origin == story.exchange_log.origin


def test_a_directory_log_with_two_faces(story: AuditWorld, tmp_path: Path) -> None:
    """Of the directory log as well."""
    audit(story.served(), story, tmp_path)
    other = story.copy()
    del other.exchange_entries[6:]
    del other.entries[18:]
    other._history = None
    other.later(seconds=1)
    other.announce(other.sealing_statement("tn/judicial", 1))
    other.later(seconds=1)
    other.publish()
    report = audit(other.served(), story, tmp_path)
    told = {(e.verdict.what, e.verdict.origin) for e in report.evidence}
    assert ("two-roots", story.directory_log.origin) in told


def test_two_roots_in_one_audit(story: AuditWorld, tmp_path: Path) -> None:
    """Shown within seconds to one auditor."""
    other = story.copy()
    other.entries[19] = other.entries[18]
    answers = [each.served().logs["directory"].checkpoint for each in (story, other)]

    class TwoFaced(FakeHub):
        async def checkpoint(self, log: str, generation: int) -> str:
            if log == "directory" and answers:
                return answers.pop(0)
            return await super().checkpoint(log, generation)

    hub = other.served()
    assert "two-roots" in _what(audit(TwoFaced(hub.logs, hub.files), story, tmp_path))


def test_a_log_set_back(story: AuditWorld, tmp_path: Path) -> None:
    """Only where it signed the smaller tree later: an old checkpoint that it shows again convicts nobody."""
    old = story.copy()
    story.later(minutes=1)
    story.accept(story.envelope("ly/main", "tn/main"))
    audit(story.served(), story, tmp_path)
    report = audit(old.served(), story, tmp_path, story.now)
    assert found(report) == [("exchange", None, "log-shrank")]
    assert report.evidence == ()
    old.now = story.now + timedelta(minutes=1)
    report = audit(old.served(), story, tmp_path)
    assert _what(report) == ["shrank"]


WRONG: dict[str, Callable[[AuditWorld], object]] = {
    "access-denied": lambda w: w.accept(
        w.envelope("ly/main", "tn/main", kind=Kind.JUDICIAL_REQUEST)
    ),
    "unknown-recipient": lambda w: w.accept(envelope_to_nobody(w)),
    "lifetime": lambda w: w.accept(
        w.envelope("ly/main", "tn/main", expires=w.now + timedelta(days=31))
    ),
    "created-skew": lambda w: w.accept(
        w.envelope("ly/main", "tn/main", created=w.now - timedelta(hours=25))
    ),
    "wrong-exchange": lambda w: w.accept(
        resigned(w, "ly/main", "tn/main", exchange="other-exchange")
    ),
    "statement-signature": lambda w: w.accept(
        w.envelope("ly/main", "tn/main", signer=w.identity("tn/main"))
    ),
}


@pytest.mark.parametrize("word", sorted(WRONG))
def test_what_no_honest_hub_accepts(story: AuditWorld, tmp_path: Path, word: str) -> None:
    """Statement, entry and the directory in force are in the file; the rule that it breaks is named."""
    WRONG[word](story)
    for _ in range(300):
        story.accept(story.envelope("tn/main", "ly/main"))
    report = audit(story.served(), story, tmp_path)
    assert len(report.findings) == 1
    assert _what(report) == ["wrongly-accepted"]
    (written,) = report.evidence
    assert word in " ".join(written.verdict.says)
    assert verify_evidence(written.data, story.initial_root) == written.verdict


def test_a_hub_that_falls_silent_does_not_undo_what_was_found(
    story: AuditWorld, tmp_path: Path
) -> None:
    """The finding stays, without evidence."""
    WRONG["access-denied"](story)
    hub = story.served()

    class Silent(FakeHub):
        asked = 0

        async def openings(
            self, log: str, start: int, end: int, generation: int = 1
        ) -> OpeningsPage:
            self.asked += 1
            if self.asked > len(self.logs):
                raise HubUnreachable("the hub does not answer")
            return await super().openings(log, start, end, generation)

    report = audit(Silent(hub.logs, hub.files), story, tmp_path)
    assert found(report) == [("exchange", 9, "accepted-access-denied")]
    assert report.evidence == ()


# What proves nothing.


def _wrong(story: AuditWorld, data: Path) -> bytes:
    WRONG["access-denied"](story)
    (written,) = audit(story.served(), story, data).evidence
    return written.data


def test_an_honest_acceptance_convicts_nobody(story: AuditWorld, tmp_path: Path) -> None:
    """Put in the place of the wrong one, with all its proofs."""
    plain = json.loads(_wrong(story, tmp_path))
    honest = story.exchange_entries[8]
    assert honest.statement is not None
    leaves = [leaf_hash(each.data) for each in story.exchange_entries]
    read = reader_from_tiles(lambda _level, _index: b"".join(leaves), len(leaves))
    path = inclusion_path(8, len(leaves), read)
    plain["proof"] |= {
        "statement": to_plain(honest.statement),
        "entry": encode_base64(honest.entry),
        "salt": encode_base64(honest.salt),
        "index": 8,
        "path": [step.hex() for step in path],
    }
    with pytest.raises(VerificationError, match="admits"):
        verify_evidence(json.dumps(plain).encode(), story.initial_root)


def _flipped(text: str) -> str:
    data = bytearray(decode_base64(text))
    data[len(data) // 2] ^= 1
    return encode_base64(bytes(data))


def _proof(name: str, change: Callable[[Any], Any]) -> Callable[[Plain], None]:
    def altered(plain: Plain) -> None:
        plain["proof"][name] = change(plain["proof"][name])

    return altered


def _file(part: str, where: Callable[[Plain], Plain]) -> Callable[[Plain], None]:
    def altered(plain: Plain) -> None:
        files = where(plain)
        name = next(each for each in files if part in each)
        files[name] = _flipped(files[name])

    return altered


def _unsigned(text: str) -> str:
    body, _, lines = text.partition("\n\n")
    return f"{body}\n\n{lines.splitlines()[0]}\n"


ALTERED: dict[str, Callable[[Plain], None]] = {
    "entry": _proof("entry", _flipped),
    "salt": _proof("salt", _flipped),
    "index": _proof("index", lambda index: index + 1),
    "path": _proof("path", lambda path: ["0" * 64, *path[1:]]),
    "statement": _proof("statement", lambda s: s | {"payload": _flipped(s["payload"])}),
    "signature": _proof(
        "statement",
        lambda s: s | {"signatures": [x | {"sig": _flipped(x["sig"])} for x in s["signatures"]]},
    ),
    "signed by one key": _proof("exchange_checkpoint", _unsigned),
    "directory signed by one key": _proof("directory_checkpoint", _unsigned),
    "earlier directory entries": _proof("directory", lambda entries: entries[:-1]),
    "later directory entries": _proof("directory", lambda entries: entries[1:]),
    "rules": _file(".cedar", lambda plain: plain["proof"]["files"]),
    "member's file": _file(".ly.json", lambda plain: plain["proof"]["files"]),
    "council": _file("council.json", lambda plain: plain["council"]),
    "council's signatures": _file(".targets.json", lambda plain: plain["council"]),
    "another exchange": lambda plain: plain.update(exchange="another-exchange"),
    "another kind": lambda plain: plain["proof"].update(kind="two-trees"),
    "another version": lambda plain: plain.update(v=2),
}


@pytest.mark.parametrize("name", sorted(ALTERED))
def test_what_is_altered_convicts_nobody(story: AuditWorld, tmp_path: Path, name: str) -> None:
    """Each part is bound by the hub's signatures or the council's."""
    # Behind a directory that is not the newest directory entry.
    for unit in ("main", "judicial"):
        story.later(days=1)
        story.announce(story.sealing_statement(f"tn/{unit}", 2))
    for index in (2, 6, 7, 8):
        story.expire(index)
    story.later(minutes=1)
    plain = json.loads(_wrong(story, tmp_path))
    ALTERED[name](plain)
    with pytest.raises(BaridError):
        verify_evidence(json.dumps(plain).encode(), story.initial_root)


@pytest.mark.parametrize("grown", [0, 1])
def test_two_trees_altered_convict_nobody(story: AuditWorld, tmp_path: Path, grown: int) -> None:
    """One tree twice; a tree and what it grew to; the smaller for the larger; another log; one key."""
    plain = json.loads(_two_faces(story, tmp_path, grown).evidence[0].data)
    honest = story.copy()
    small = honest.served().logs["exchange"].checkpoint
    honest.accept(honest.envelope("ly/main", "tn/main"))
    large = honest.served().logs["exchange"].checkpoint
    proof = plain["proof"]
    leaves = [leaf_hash(each.data) for each in honest.exchange_entries]
    read = reader_from_tiles(lambda _level, _index: b"".join(leaves), len(leaves))
    path = [step.hex() for step in consistency_path(9, len(leaves), read)]
    changes: list[Plain] = [
        {"smaller": proof["larger"]},
        {"larger": proof["smaller"]},
        {"smaller": small, "larger": large},
        {
            "smaller": small,
            "larger": large,
            "earlier_root": story.exchange_head().root,
            "path": path,
        },
        {"smaller": small, "larger": large, "path": []},
        {"smaller": large, "larger": small},
        {"log": "directory"},
        {"smaller": _unsigned(proof["smaller"])},
        {"larger": _unsigned(proof["larger"])},
    ]
    if grown:
        changes += [
            {"earlier_root": "0" * 64},
            {"path": []},
            {"path": [_other(step) for step in proof["path"]]},
        ]
    rootless = {name: value for name, value in proof.items() if name != "earlier_root"}
    forgeries = [proof | change for change in changes]
    forgeries += [rootless | change for change in changes if "earlier_root" not in change]
    forgeries += [rootless] if grown else []
    for forged in forgeries:
        with pytest.raises(VerificationError):
            verify_evidence(dump_json(plain | {"proof": forged}), story.initial_root)


def _other(step: str) -> str:
    return step[:-1] + ("0" if step[-1] != "0" else "1")


def test_another_exchange_of_the_name(story: AuditWorld, tmp_path: Path) -> None:
    """Whoever founds another exchange under this name convicts only the hub of that one."""
    data = _two_faces(story, tmp_path, 0).evidence[0].data
    with pytest.raises(VerificationError):
        verify_evidence(data, TrustWorld().initial_root)


def test_the_command(story: AuditWorld, tmp_path: Path, barid: Barid) -> None:
    """It says what the hub did, or that the file shows nothing."""
    report = _two_faces(story, tmp_path, 1)
    (path,) = keep(tmp_path, report.evidence)
    assert path.parent == tmp_path / FOLDER
    assert keep(tmp_path, report.evidence) == (path,)
    invitation = tmp_path / "invitation.json"
    invitation.write_bytes(dump_json(story.invitation))
    command = ("audit", "evidence", "verify", str(path), "--invitation", str(invitation))
    assert "The evidence holds: forked" in run(barid, *command)
    assert json.loads(run(barid, *command, "--json"))["what"] == "forked"
    for data, code in ((b"{}", Exit.CONFIGURATION), (_honest(path), Exit.VERIFICATION)):
        path.write_bytes(data)
        assert barid(*command).exit_code == code


def _honest(path: Path) -> bytes:
    plain = json.loads(path.read_bytes())
    plain["proof"] |= {"smaller": plain["proof"]["larger"], "path": []}
    del plain["proof"]["earlier_root"]
    return dump_json(plain)
