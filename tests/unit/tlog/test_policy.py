"""Policies (C2SP tlog-policy): what is read, what is refused, and which witnesses make a quorum."""

from __future__ import annotations

import secrets

import pytest
from nacl.signing import SigningKey

from broker.tlog.checkpoint import Checkpoint, sign_checkpoint
from broker.tlog.cosignature import MlDsa44CosignatureSigner
from broker.tlog.merkle import EMPTY_ROOT
from broker.tlog.note import Ed25519NoteSigner, Note, SignatureType, VerifierKey, parse_note
from broker.tlog.policy import parse_policy
from schemas.errors import ParseError, VerificationError

LOG = Ed25519NoteSigner("example.org/log", secrets.token_bytes(32))
SIGNERS = [MlDsa44CosignatureSigner(f"w{n}", secrets.token_bytes(32)) for n in range(6)]
KEYS = [signer.key.render() for signer in SIGNERS]
WITNESSES = "".join(f"witness W{n} {key}\n" for n, key in enumerate(KEYS))
TEXT = f"""# An example of two levels.
log {LOG.key.render()} https://log.example.org

\t{WITNESSES}
group X 2 W0 W1 W2
  group\tY any W3 W4 W5
group both all X Y
quorum both
"""


@pytest.mark.parametrize(
    ("cosigned", "expected"),
    [
        ((), False),
        ((0, 1), False),
        ((0, 3), False),
        ((0, 1, 3), True),
        ((1, 2, 4, 5), True),
        ((3, 4, 5), False),
    ],
)
def test_a_quorum_of_groups(cosigned: tuple[int, ...], expected: bool) -> None:
    """Two of one side and any of the other."""
    assert parse_policy(TEXT).is_met(frozenset(f"W{n}" for n in cosigned)) is expected


def test_the_quorum_may_be_one_witness_or_none() -> None:
    """A name is enough; `none` asks nobody."""
    alone = parse_policy(f"witness W0 {KEYS[0]}\nquorum W0\n")
    assert alone.is_met(frozenset({"W0"}))
    assert not alone.is_met(frozenset())
    assert parse_policy("quorum none\n").is_met(frozenset())


@pytest.mark.parametrize(
    "text",
    [
        "",
        WITNESSES,
        "quorum none",
        "quorum none\nquorum none\n",
        "quorum W0\n",
        f"quorum W0\nwitness W0 {KEYS[0]}\n",
        f"witness none {KEYS[0]}\nquorum none\n",
        f"witness W0 {KEYS[0]}\nwitness W0 {KEYS[1]}\nquorum none\n",
        f"witness W0 {KEYS[0]}\nwitness W1 {KEYS[0]}\nquorum none\n",
        f"log {LOG.key.render()}\nlog {LOG.key.render()}\nquorum none\n",
        f"witness W0 {KEYS[0][:-4]}\nquorum none\n",
        f"witness W0 {KEYS[0]} url more\nquorum none\n",
        f"{WITNESSES}group G 3 W0 W1\nquorum G\n",
        f"{WITNESSES}group G 0 W0 W1\nquorum G\n",
        f"{WITNESSES}group G 01 W0 W1\nquorum G\n",
        f"{WITNESSES}group G all\nquorum G\n",
        f"{WITNESSES}group G all none\nquorum G\n",
        f"{WITNESSES}group G all W0 W0\nquorum G\n",
        f"{WITNESSES}group G all H\ngroup H all W0\nquorum G\n",
        f"{WITNESSES}group G all W0\ngroup H all W0\nquorum G\n",
        f"{WITNESSES}group W0 all W1\nquorum W0\n",
        "quorum none\r\n",
        "witnesses\nquorum none\n",
        "quorum none\x00\n",
    ],
)
def test_what_is_no_policy_is_refused(text: str) -> None:
    """Each rule of the format."""
    with pytest.raises(ParseError):
        parse_policy(text)


def _cosigned(*numbers: int, log: Ed25519NoteSigner = LOG) -> str:
    note = parse_note(sign_checkpoint(Checkpoint(LOG.key.name, 0, EMPTY_ROOT), (log,), 1))
    lines = tuple(SIGNERS[n].sign(note.text, 100 + n) for n in numbers)
    return Note(note.text, (*note.signatures, *lines)).render()


def test_a_checkpoint_is_judged() -> None:
    """By a known log, with a quorum; its time is the median of the cosignatures."""
    found = parse_policy(TEXT).judge(_cosigned(0, 1, 4))
    assert found.witnesses == ("W0", "W1", "W4")
    assert found.at is not None
    assert found.at.timestamp() == 101


def test_a_checkpoint_without_a_quorum_is_refused() -> None:
    """Too few, a line that does not verify, and a log that nobody knows."""
    policy = parse_policy(TEXT)
    with pytest.raises(VerificationError, match="no quorum"):
        policy.judge(_cosigned(0, 4))
    note = parse_note(_cosigned(0, 1, 4))
    moved = Note(note.text, (*note.signatures[:-1], SIGNERS[4].sign(note.text, 1))).render()
    assert policy.judge(moved).witnesses == ("W0", "W1", "W4")
    broken = note.signatures[-1]
    signature = bytes([broken.signature[0] ^ 1]) + broken.signature[1:]
    altered = type(broken)(broken.name, broken.key_id, signature)
    with pytest.raises(VerificationError):
        policy.judge(Note(note.text, (*note.signatures[:-1], altered)).render())
    other = Ed25519NoteSigner(LOG.key.name, secrets.token_bytes(32))
    with pytest.raises(VerificationError, match="no log of the policy"):
        policy.judge(_cosigned(0, 1, 4, log=other))


def test_witnesses_of_others_cosign_with_ed25519() -> None:
    """Type 0x04, as most public witnesses sign."""
    key = SigningKey.generate()
    vkey = VerifierKey("theirs", SignatureType.ED25519_COSIGNATURE, bytes(key.verify_key))
    policy = parse_policy(f"log {LOG.key.render()}\nwitness T {vkey.render()}\nquorum T\n")
    note = parse_note(_cosigned())
    signed = key.sign(f"cosignature/v1\ntime 7\n{note.text}".encode()).signature
    line = type(note.signatures[0])("theirs", vkey.key_id, (7).to_bytes(8, "big") + signed)
    found = policy.judge(Note(note.text, (*note.signatures, line)).render())
    assert found.witnesses == ("T",)
