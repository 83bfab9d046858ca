"""Notes, cosignatures, proofs and policies of others: what their own tests take, and what they refuse."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import pytest

from broker.tlog.checkpoint import Checkpoint, open_checkpoint, parse_checkpoint_text
from broker.tlog.cosignature import Ed25519CosignatureVerifier
from broker.tlog.merkle import leaf_hash
from broker.tlog.note import (
    Ed25519NoteSigner,
    Note,
    NoteSignature,
    SignatureType,
    VerifierKey,
    parse_note,
    parse_verifier_key,
)
from broker.tlog.policy import Policy, parse_policy
from broker.tlog.proof import verify_inclusion
from broker.tlog.tlog_proof import TlogProof, parse_tlog_proof
from schemas.errors import ParseError, VerificationError
from tests.unit.tlog.foreign import load, verifier

SIGSUM, FORMATS, C2SP = load("sigsum"), load("formats"), load("c2sp")


def test_c2sp_the_example_of_a_note() -> None:
    """The key of signed-note verifies its note; the poem's empty line belongs to its text."""
    key = verifier(C2SP["note"]["vkey"])
    note = parse_note(C2SP["note"]["text"])
    key.verify(note.text, note.signatures[0].signature)
    with pytest.raises(VerificationError):
        key.verify(note.text.upper(), note.signatures[0].signature)
    poem = parse_note(C2SP["poem"])
    assert poem.text.split("\n")[2:] == ["", "ed è subito sera.", ""]
    assert poem.render() == C2SP["poem"]


def test_sigsum_a_checkpoint_of_its_own() -> None:
    """Barid opens it, and with sigsum's seed signs the same bytes."""
    text: str = SIGSUM["checkpoint"]
    origin = text.split("\n", 1)[0]
    signer = Ed25519NoteSigner(origin, bytes.fromhex(SIGSUM["seed"]))
    opened = open_checkpoint(text, origin, [verifier(signer.key)])
    assert opened.checkpoint.size == 10
    note = parse_note(text)
    assert Note(note.text, (signer.sign(note.text, 1),)).render() == text
    with pytest.raises(VerificationError):
        open_checkpoint(text.replace("\n10\n", "\n11\n"), origin, [verifier(signer.key)])


def test_sigsum_the_line_of_one_witness_among_others() -> None:
    """One of its four lines is of the known key: another id or name is nobody's."""
    origin = "example.org/log"
    public = Ed25519NoteSigner(origin, bytes.fromhex(SIGSUM["seed"])).key.public
    witness = Ed25519CosignatureVerifier(SIGSUM["cosignature_name"], public)
    lines = SIGSUM["cosignature_lines"].splitlines(keepends=True)
    text = SIGSUM["cosigned_text"] + "\n"
    opened = open_checkpoint(text + "".join(lines[:3]), origin, [witness])
    assert [each.at for each in opened.signatures] == [SIGSUM["cosignature_at"]]
    for missing in (lines[:1], lines[2:3]):
        with pytest.raises(VerificationError, match="did not sign"):
            open_checkpoint(text + "".join(missing), origin, [witness])
    # sigsum passes over the fourth, which has two bytes too many; a line of a known key that does not
    # verify refuses the whole note here (signed-note: SHOULD).
    with pytest.raises(VerificationError):
        open_checkpoint(text + lines[3], origin, [witness])


def test_sumdb_a_checkpoint_of_the_public_log() -> None:
    """sum.golang.org's note verifies; as a checkpoint of ours it is refused, for an origin with spaces."""
    note = parse_note(SIGSUM["sumdb"]["checkpoint"])
    key = verifier(SIGSUM["sumdb"]["vkey"])
    key.verify(note.text, note.signatures[0].signature)
    with pytest.raises(ParseError, match="no spaces"):
        parse_checkpoint_text(note.text)


def _sigsum_proof(text: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in filter(None, text.split("\n")):
        name, _, value = line.partition("=")
        found.setdefault(name, []).append(value)
    return found


def _sigsum_note(proof: dict[str, list[str]], log: VerifierKey, witness: VerifierKey | None) -> str:
    """What sigsum's tree head is as a note: the same bytes are signed."""
    checkpoint = Checkpoint(log.name, int(proof["size"][0]), bytes.fromhex(proof["root_hash"][0]))
    lines = [NoteSignature(log.name, log.key_id, bytes.fromhex(proof["signature"][0]))]
    for cosignature in proof.get("cosignature", ()) if witness is not None else ():
        _, at, signature = cosignature.split(" ")
        stamped = int(at).to_bytes(8, "big") + bytes.fromhex(signature)
        assert witness is not None
        lines.append(NoteSignature(witness.name, witness.key_id, stamped))
    return Note(checkpoint.render_text(), tuple(lines)).render()


def _sigsum_log(public: bytes) -> VerifierKey:
    origin = f"sigsum.org/v1/tree/{hashlib.sha256(public).hexdigest()}"
    return VerifierKey(origin, SignatureType.ED25519, public)


@pytest.mark.parametrize("number", [0, 1])
def test_sigsum_a_proof_of_a_real_log(number: int) -> None:
    """Leaf, path, the log's signature and a witness's: all that `sigsum-verify` looks at."""
    given = SIGSUM["proofs"][number]
    proof, keys = _sigsum_proof(given["proof"]), [bytes.fromhex(each) for each in given["keys"]]
    log = _sigsum_log(keys[0])
    witness = None
    quorum = "quorum none\n"
    if "cosignature" in proof:
        witness = VerifierKey("witness", SignatureType.ED25519_COSIGNATURE, keys[2])
        quorum = f"witness W {witness.render()}\nquorum W\n"
    policy = parse_policy(f"log {log.render()}\n{quorum}")
    text = _sigsum_note(proof, log, witness)
    judged = policy.judge(text)
    assert judged.witnesses == (("W",) if witness else ())
    keyhash, signature = proof["leaf"][0].split(" ")
    checksum = hashlib.sha256(bytes.fromhex(given["message"])).digest()
    leaf = leaf_hash(checksum + bytes.fromhex(signature) + bytes.fromhex(keyhash))
    path = [bytes.fromhex(each) for each in proof["node_hash"]]
    tree = judged.checkpoint
    verify_inclusion(leaf, int(proof["leaf_index"][0]), tree.size, path, tree.root)
    with pytest.raises(VerificationError):
        verify_inclusion(leaf, 2, tree.size, path, tree.root)
    if witness is not None:
        with pytest.raises(VerificationError, match="no quorum"):
            policy.judge(_sigsum_note(proof, log, None))
        later = {**proof, "cosignature": [proof["cosignature"][0].replace(" 168", " 169")]}
        with pytest.raises(VerificationError):
            policy.judge(_sigsum_note(later, log, witness))


def _with_vkeys(text: str) -> str:
    """A policy of sigsum's older form in the newer: 64 hex digits become the vkey of that key."""
    lines = []
    for line in text.split("\n"):
        words = line.split()
        place = {"log": 1, "witness": 2}.get(words[0]) if words else None
        if place is not None and place < len(words):
            public = bytes.fromhex(words[place])
            key = VerifierKey("w", SignatureType.ED25519_COSIGNATURE, public)
            words[place] = (_sigsum_log(public) if place == 1 else key).render()
        lines.append(line if place is None else " ".join(words))
    return "\n".join(lines)


def _policy(number: int) -> Policy:
    return parse_policy(_with_vkeys(SIGSUM["policies"]["valid"][number]))


@pytest.mark.parametrize(
    ("number", "cosigned", "expected"),
    [
        (0, "", False),
        (0, "W1", False),
        (0, "W2", False),
        (0, "W3", False),
        (0, "W3 W4 W5", False),
        (0, "W1 W2", False),
        (0, "W1 W3", False),
        (0, "W1 W3 W4", True),
        (0, "W2 W3 W5", True),
        (1, "", False),
        (1, "A1", True),
        (1, "A3 B1", True),
        (1, "B1", False),
        (1, "B1 B2", True),
        (1, "B1 B3", True),
        (1, "A2 B1 B2 B3", True),
    ],
)
def test_sigsum_which_witnesses_are_a_quorum(number: int, cosigned: str, expected: bool) -> None:
    """The table of its own tests, for its two policies of groups within groups."""
    assert _policy(number).is_met(frozenset(cosigned.split())) is expected


@pytest.mark.parametrize(
    "policy", [each["policy"] for each in SIGSUM["policies"]["invalid"]],
    ids=[each["what"] for each in SIGSUM["policies"]["invalid"]],
)  # fmt: skip
def test_sigsum_what_is_no_policy(policy: str) -> None:
    """Everything that sigsum refuses is refused."""
    with pytest.raises(ParseError):
        parse_policy(_with_vkeys(policy))


@pytest.mark.parametrize("name", SIGSUM["policies"]["builtin"])
def test_sigsum_policies_in_use(name: str) -> None:
    """Those that it ships are read, and need the quorum of their last group."""
    policy = parse_policy(_with_vkeys(SIGSUM["policies"]["builtin"][name]))
    assert policy.quorum == "quorum-rule"
    assert policy.is_met(frozenset(policy.witnesses))
    assert not policy.is_met(frozenset())


@pytest.mark.parametrize("vkey", FORMATS["vkeys"] + load("tessera")["ml_dsa_44_vkeys"])
def test_others_verifier_keys_are_read_and_written(vkey: str) -> None:
    """Each kind of key, with the id that its name and material give; with another id it is none."""
    key = parse_verifier_key(vkey)
    assert key.render() == vkey
    with pytest.raises(ParseError, match="id"):
        parse_verifier_key(vkey.replace(key.key_id.hex(), key.key_id[::-1].hex(), 1))


def test_formats_a_key_under_another_id_is_refused() -> None:
    """transparency-dev computes the id anew, and does not look at the one that is written."""
    with pytest.raises(ParseError, match="id is not that"):
        parse_verifier_key(FORMATS["vkey_of_another_id"])


def test_formats_the_time_of_a_cosignature() -> None:
    """Behind the key's id stand eight bytes, big-endian."""
    given = FORMATS["cosignature"]
    line = parse_note(f"text\n\n— witness {given['base64']}\n").signatures[0]
    assert int.from_bytes(line.signature[:8], "big") == given["at"]


@pytest.mark.parametrize("given", FORMATS["proofs"]["valid"])
def test_formats_proofs_are_read_and_written(given: dict[str, Any]) -> None:
    """Byte for byte as transparency-dev writes them."""
    path = tuple(base64.b64decode(each) for each in given["hashes"])
    proof = TlogProof(given["index"], path, given["checkpoint"], given["extra"].encode())
    assert parse_tlog_proof(given["text"]) == proof
    assert proof.render() == given["text"]


@pytest.mark.parametrize("text", FORMATS["proofs"]["invalid"])
def test_formats_what_is_no_proof(text: str) -> None:
    """What transparency-dev refuses is refused."""
    with pytest.raises(ParseError):
        parse_tlog_proof(text)


@pytest.mark.parametrize("policy", FORMATS["policies"])
def test_formats_policies_that_name_no_cosigners_are_refused(policy: str) -> None:
    """Its examples give witnesses note keys (0x01), or a comment behind a line: tlog-policy has neither."""
    with pytest.raises(ParseError):
        parse_policy(policy)
