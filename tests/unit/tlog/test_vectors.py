"""The vectors in `tests/vectors/tlog.json`: other languages read them, this file writes and checks.

Run it as a program to write the file anew. ML-DSA-44 signatures are drawn with randomness, so that
writing keeps those in the file; everything else follows from the constants here.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PublicKey

from broker.tlog import merkle, note, proof, tiles
from broker.tlog.checkpoint import (
    Checkpoint,
    open_checkpoint,
    parse_checkpoint_text,
    sign_checkpoint,
)
from broker.tlog.cosignature import (
    MlDsa44CosignatureSigner,
    MlDsa44CosignatureVerifier,
    cosigned_message,
)

PATH = Path(__file__).parents[2] / "vectors" / "tlog.json"

ENTRIES = [b"", b"\x00", b"\x10", b"\x20\x21", b"01", b"@ABC", b"PQRSTUVW", bytes(range(96, 112))]
ORIGIN = "hub.example/exchange"
WITNESS = "witness.example/tn"
AT = 1_795_000_000
ED25519_SEED = bytes(range(32))
ML_DSA_44_SEED = bytes(range(32, 64))


def read(level: int, index: int) -> bytes:
    """Read complete subtrees of ENTRIES."""
    if level == 0:
        return merkle.leaf_hash(ENTRIES[index])
    return merkle.node_hash(read(level - 1, 2 * index), read(level - 1, 2 * index + 1))


def hexes(hashes: Sequence[bytes]) -> list[str]:
    """Show hashes as hex."""
    return [value.hex() for value in hashes]


def tree_vectors() -> dict[str, Any]:
    """Leaves, roots and proofs of all trees of up to eight leaves."""
    sizes = range(len(ENTRIES) + 1)
    return {
        "source": "RFC 6962 section 2.1, RFC 9162 section 2.1; the entries are those of "
        "Certificate Transparency's tests (google/certificate-transparency, merkle_tree_test.cc)",
        "comment": "Hashes are hex. leaf_hashes[i] = SHA-256(00 || entries[i]); roots[n] is over "
        "the first n entries; paths run from the leaf to the root.",
        "entries": hexes(ENTRIES),
        "leaf_hashes": hexes([merkle.leaf_hash(entry) for entry in ENTRIES]),
        "roots": hexes([merkle.root(size, read) for size in sizes]),
        "inclusion": [
            {"index": index, "size": size, "path": hexes(merkle.inclusion_path(index, size, read))}
            for size in sizes
            for index in range(size)
        ],
        "consistency": [
            {"old": old, "new": new, "path": hexes(merkle.consistency_path(old, new, read))}
            for new in sizes
            for old in range(1, new + 1)
        ],
    }


def tile_vectors() -> dict[str, Any]:
    """Paths of tiles, and an entry bundle."""
    named: list[tuple[tiles.TileLevel, int, int]] = [
        (0, 0, 256),
        (0, 1234, 17),
        (1, 1234067, 256),
        (63, 999, 255),
        ("entries", 1000, 1),
    ]
    return {
        "source": "C2SP tlog-tiles",
        "comment": "A width of 256 is a full tile. The bundle holds the entries of `tree` (hex).",
        "paths": [
            {
                "level": level,
                "index": index,
                "width": width,
                "path": tiles.tile_path(level, index, width),
            }
            for level, index, width in named
        ],
        "bundle": tiles.encode_entries(ENTRIES).hex(),
    }


def checkpoint_vectors() -> dict[str, Any]:
    """A checkpoint signed with Ed25519."""
    signer = note.Ed25519NoteSigner(ORIGIN, ED25519_SEED)
    size = len(ENTRIES)
    checkpoint = Checkpoint(ORIGIN, size, merkle.root(size, read))
    return {
        "source": "C2SP signed-note and tlog-checkpoint; Ed25519 is type 0x01",
        "comment": "The tree of `tree`, all eight entries. The note must come out byte for byte.",
        "seed": ED25519_SEED.hex(),
        "vkey": signer.key.render(),
        "key_id": signer.key.key_id.hex(),
        "origin": ORIGIN,
        "size": size,
        "root": checkpoint.root.hex(),
        "text": checkpoint.render_text(),
        "note": sign_checkpoint(checkpoint, [signer], AT),
    }


def cosignature_vectors(kept: dict[str, Any]) -> dict[str, Any]:
    """An ML-DSA-44 cosignature of that checkpoint, and the bytes that it signs."""
    signer = MlDsa44CosignatureSigner(WITNESS, ML_DSA_44_SEED)
    size = len(ENTRIES)
    checkpoint = Checkpoint(ORIGIN, size, merkle.root(size, read))
    message = cosigned_message(WITNESS, AT, ORIGIN, 0, size, checkpoint.root)
    fresh = signer.sign(checkpoint.render_text(), AT).render()
    return {
        "source": "C2SP tlog-cosignature, ML-DSA-44 signed message (label subtree/v1); type 0x06",
        "comment": "Signatures are hedged: verify `line`, do not compare it. Behind the key id it "
        "holds the timestamp (u64 big-endian) and the signature of 2420 bytes over "
        "`cosigned_message`.",
        "seed": ML_DSA_44_SEED.hex(),
        "name": WITNESS,
        "timestamp": AT,
        "origin": ORIGIN,
        "start": 0,
        "end": size,
        "root": checkpoint.root.hex(),
        "cosigned_message": message.hex(),
        "public_key": signer.key.public.hex(),
        "key_id": signer.key.key_id.hex(),
        "vkey": signer.key.render(),
        "line": kept.get("line", fresh),
    }


def build(kept: dict[str, Any]) -> dict[str, Any]:
    """Make the whole file; `kept` is its content before, for what cannot be computed again."""
    return {
        "comment": "Vectors of Barid's transparency log, for implementations in any language.",
        "source": "Computed by tests/unit/tlog/test_vectors.py, but for parts that name a source.",
        "tree": tree_vectors(),
        "tiles": tile_vectors(),
        "checkpoint": checkpoint_vectors(),
        "cosignature": cosignature_vectors(kept.get("cosignature", {})),
        "foreign_cosignature": kept["foreign_cosignature"],
    }


def load() -> dict[str, Any]:
    """Read the file."""
    content: dict[str, Any] = json.loads(PATH.read_text(encoding="utf-8"))
    return content


def test_file_is_what_the_code_computes() -> None:
    """Every value in the file comes out of the code again."""
    assert build(load()) == load()


def test_proofs_of_the_file_verify() -> None:
    """The verifier accepts each proof in the file."""
    tree = load()["tree"]
    roots = [bytes.fromhex(text) for text in tree["roots"]]
    leaves = [bytes.fromhex(text) for text in tree["leaf_hashes"]]
    for item in tree["inclusion"]:
        path = [bytes.fromhex(text) for text in item["path"]]
        index, size = item["index"], item["size"]
        proof.verify_inclusion(leaves[index], index, size, path, roots[size])
    for item in tree["consistency"]:
        path = [bytes.fromhex(text) for text in item["path"]]
        old, new = item["old"], item["new"]
        proof.verify_consistency(old, roots[old], new, roots[new], path)
    assert (len(tree["inclusion"]), len(tree["consistency"])) == (36, 36)


def test_checkpoint_of_the_file_opens() -> None:
    """The signed checkpoint opens with the key in the file, the cosignature's line added."""
    part, cosigned = load()["checkpoint"], load()["cosignature"]
    key = note.parse_verifier_key(part["vkey"])
    witness = MlDsa44CosignatureVerifier(WITNESS, bytes.fromhex(cosigned["public_key"]))
    opened = open_checkpoint(
        part["note"] + cosigned["line"],
        part["origin"],
        [note.Ed25519NoteVerifier(key.name, key.public), witness],
    )
    assert (opened.checkpoint.size, opened.checkpoint.root.hex()) == (part["size"], part["root"])
    assert [signature.at for signature in opened.signatures] == [None, AT]


def test_foreign_cosignature_verifies() -> None:
    """A checkpoint that another implementation signed with ML-DSA-44 verifies over our message."""
    part = load()["foreign_cosignature"]
    key = note.parse_verifier_key(part["vkey"])
    parsed = note.parse_note(part["note"])
    checkpoint = parse_checkpoint_text(parsed.text)
    line = parsed.signatures[0]
    assert (line.name, line.key_id) == (key.name, key.key_id)
    assert int.from_bytes(line.signature[:8], "big") == 0
    message = cosigned_message(key.name, 0, checkpoint.origin, 0, checkpoint.size, checkpoint.root)
    public = MLDSA44PublicKey.from_public_bytes(key.public)
    public.verify(line.signature[8:], message)


if __name__ == "__main__":
    PATH.write_text(
        json.dumps(build(load()), indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
    )
