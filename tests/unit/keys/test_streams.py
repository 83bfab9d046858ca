"""Sealed attachments: the vectors to the byte, resuming, and everything that must not open."""

from __future__ import annotations

import base64
import hashlib
import json
import runpy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nacl.bindings import (
    crypto_secretstream_xchacha20poly1305_init_push,
    crypto_secretstream_xchacha20poly1305_push,
    crypto_secretstream_xchacha20poly1305_state,
    crypto_secretstream_xchacha20poly1305_TAG_REKEY,
)

from keys.padding import padme
from keys.streams import (
    CHUNK_BYTES,
    SEALED_CHUNK_BYTES,
    STREAM_HEADER_BYTES,
    Sealer,
    attachment_label,
    open_stream,
    sealed_size,
)
from schemas.errors import VerificationError

FOLDER = Path(__file__).parents[2] / "vectors"
VECTORS: dict[str, Any] = json.loads((FOLDER / "streams.json").read_bytes())
ASSOCIATED = base64.b64decode(VECTORS["associated"])
KEY = bytes(range(32))
FINAL, MESSAGE = 3, 0


def plaintext_of(name: str, size_bytes: int) -> bytes:
    """The file of a vector."""
    return hashlib.shake_128(f"barid vectors: {name}".encode()).digest(size_bytes)


def sealed(plaintext: bytes, associated: bytes = ASSOCIATED) -> bytes:
    """A file, sealed at once."""
    sealer = Sealer(KEY, associated, len(plaintext))
    return b"".join([*sealer.push(plaintext), *sealer.finish()])


def opened(stream: bytes, plaintext: bytes, associated: bytes = ASSOCIATED) -> bytes:
    """What a stream opens to, when this plaintext is expected."""
    digest = hashlib.sha256(plaintext).hexdigest()
    return b"".join(open_stream(iter([stream]), KEY, associated, len(plaintext), digest))


def crafted(*chunks: tuple[bytes, int]) -> bytes:
    """A stream of these chunks and tags, as a sender who breaks the rules would make it."""
    state = crypto_secretstream_xchacha20poly1305_state()
    header = crypto_secretstream_xchacha20poly1305_init_push(state, KEY)
    pushed = [
        crypto_secretstream_xchacha20poly1305_push(state, chunk, ASSOCIATED, tag)
        for chunk, tag in chunks
    ]
    return b"".join([header, *pushed])


def pieces(data: bytes, size_bytes: int) -> Iterator[bytes]:
    """The data in pieces."""
    for at in range(0, len(data), size_bytes):
        yield data[at : at + size_bytes]


@pytest.mark.parametrize("vector", VECTORS["attachments"], ids=lambda v: str(v["size"]))
def test_vectors_are_sealed_to_the_byte(vector: dict[str, Any]) -> None:
    """From key and header on, every byte of the sealed file follows; it opens to the file."""
    plaintext = plaintext_of(vector["name"], vector["size"])
    key, header = bytes.fromhex(vector["key"]), bytes.fromhex(vector["header"])
    sealer = Sealer.resume(key, ASSOCIATED, vector["size"], [header])
    stream = b"".join([header, *sealer.push(plaintext), *sealer.finish()])
    assert hashlib.sha256(stream).hexdigest() == vector["sealed_sha256"]
    assert len(stream) == sealed_size(vector["size"]) == vector["sealed_size"]
    assert base64.b64decode(vector.get("sealed", "")) in {b"", stream}
    again = open_stream(iter([stream]), key, ASSOCIATED, vector["size"], vector["sha256"])
    assert b"".join(again) == plaintext


def test_the_label_names_exchange_bulletin_and_attachment() -> None:
    """The associated data is the one of the vectors."""
    label = attachment_label(VECTORS["exchange"], VECTORS["bulletin_id"], VECTORS["attachment_id"])
    assert label == ASSOCIATED


def test_the_generator_still_writes_this_file() -> None:
    """The vectors follow from the generator, which knows nothing of Barid."""
    assert runpy.run_path(str(FOLDER / "generate_streams.py"))["build"]() == VECTORS


@settings(max_examples=40, deadline=None)
@given(
    size=st.integers(0, 3 * CHUNK_BYTES) | st.sampled_from([CHUNK_BYTES, 2 * CHUNK_BYTES]),
    piece=st.integers(1000, 2 * CHUNK_BYTES),
    cut=st.integers(0, 4 * SEALED_CHUNK_BYTES),
)
def test_a_cut_anywhere_is_resumed(size: int, piece: int, cut: int) -> None:
    """Sealed in pieces of any size, cut anywhere and resumed, it opens to the same file."""
    plaintext = plaintext_of("resumed", size)
    first = Sealer(KEY, ASSOCIATED, size)
    stream = b"".join(part for each in pieces(plaintext, piece) for part in first.push(each))
    if cut > len(stream):
        stream += b"".join(first.finish())
    kept = stream[:cut]
    again = Sealer.resume(KEY, ASSOCIATED, size, pieces(kept, 5000))
    before = kept[: again.sealed_bytes]
    assert len(before) == again.sealed_bytes
    assert again.sha256 == hashlib.sha256(plaintext[: again.offset_bytes]).hexdigest()
    rest = [*again.push(plaintext[again.offset_bytes :]), *again.finish()]
    assert opened(b"".join([before, *rest]), plaintext) == plaintext
    assert again.sha256 == hashlib.sha256(plaintext).hexdigest()


def test_a_whole_stream_resumes_as_whole() -> None:
    """What was sealed to its end needs nothing more."""
    plaintext = bytes(70_000)
    stream = sealed(plaintext)
    again = Sealer.resume(KEY, ASSOCIATED, len(plaintext), [stream])
    assert (again.whole, again.offset_bytes, again.sealed_bytes) == (True, 70_000, len(stream))
    assert list(again.finish()) == []


def test_resuming_something_else_is_refused() -> None:
    """A file that rotted, or belongs to another attachment, gives no state to go on from."""
    stream = bytearray(sealed(bytes(70_000)))
    stream[100] ^= 1
    with pytest.raises(VerificationError):
        Sealer.resume(KEY, ASSOCIATED, 70_000, [bytes(stream)])
    with pytest.raises(VerificationError):
        Sealer.resume(KEY, ASSOCIATED + b"x", 70_000, [sealed(bytes(70_000))])
    with pytest.raises(VerificationError):
        Sealer.resume(KEY, ASSOCIATED, 90_000, [crafted((bytes(CHUNK_BYTES), FINAL))])


def test_sizes_must_be_kept() -> None:
    """More or fewer bytes than were announced are refused."""
    with pytest.raises(VerificationError, match="longer"):
        list(Sealer(KEY, ASSOCIATED, 4).push(b"12345"))
    sealer = Sealer(KEY, ASSOCIATED, 4)
    list(sealer.push(b"123"))
    with pytest.raises(VerificationError, match="shorter"):
        list(sealer.finish())


def test_every_file_has_its_own_header() -> None:
    """Sealing the same file twice gives two streams."""
    assert sealed(b"same") != sealed(b"same")


TWO = plaintext_of("two chunks", 2 * CHUNK_BYTES)
AT = STREAM_HEADER_BYTES


def _swapped(stream: bytes) -> bytes:
    middle = AT + SEALED_CHUNK_BYTES
    return stream[:AT] + stream[middle:] + stream[AT:middle]


TAMPERED: dict[str, Callable[[bytes], bytes]] = {
    "nothing": lambda _: b"",
    "within-header": lambda stream: stream[:10],
    "header-alone": lambda stream: stream[:AT],
    "within-chunk": lambda stream: stream[:-1],
    "last-chunk-missing": lambda stream: stream[: AT + SEALED_CHUNK_BYTES],
    "extended": lambda stream: stream + b"\x00",
    "last-chunk-twice": lambda stream: stream + stream[AT + SEALED_CHUNK_BYTES :],
    "first-chunk-twice": lambda stream: stream[: AT + SEALED_CHUNK_BYTES] + stream[AT:],
    "chunks-swapped": _swapped,
    "header-flipped": lambda stream: bytes([stream[0] ^ 1]) + stream[1:],
    "bit-flipped": lambda stream: stream[:5000] + bytes([stream[5000] ^ 1]) + stream[5001:],
    "tag-byte-flipped": lambda stream: stream[:AT] + bytes([stream[AT] ^ 3]) + stream[AT + 1 :],
}


@pytest.mark.parametrize("name", TAMPERED)
def test_what_was_tampered_with_does_not_open(name: str) -> None:
    """A stream cut, extended, reordered or altered on the way raises VerificationError."""
    stream = sealed(TWO)
    assert opened(stream, TWO) == TWO
    with pytest.raises(VerificationError):
        opened(TAMPERED[name](stream), TWO)


FIRST, SECOND = TWO[:CHUNK_BYTES], TWO[CHUNK_BYTES:]

BROKEN: dict[str, tuple[bytes, bytes, str]] = {
    "message-at-the-end": (crafted((FIRST, MESSAGE), (SECOND, MESSAGE)), TWO, "marked as the last"),
    "final-in-the-middle": (crafted((FIRST, FINAL), (SECOND, FINAL)), TWO, "marked as the last"),
    "rekey-tag": (
        crafted((FIRST, crypto_secretstream_xchacha20poly1305_TAG_REKEY), (SECOND, FINAL)),
        TWO,
        "marked as the last",
    ),
    "padding-not-zero": (crafted((bytes(9) + b"x", FINAL)), bytes(9), "not zero"),
    "no-padding": (crafted((bytes(9), FINAL)), bytes(9), "ends early"),
    "smaller-chunks": (crafted((TWO[:100], MESSAGE), (TWO[100:], FINAL)), TWO, "does not open"),
    "bytes-behind-the-last": (crafted((b"", FINAL), (b"more", FINAL)), b"", "follow"),
    "another-file": (crafted((b"1234", FINAL)), b"1235", "not the file"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_sender_who_breaks_the_rules_is_caught(name: str) -> None:
    """A stream that its sender made otherwise than the protocol says raises VerificationError."""
    stream, plaintext, why = BROKEN[name]
    with pytest.raises(VerificationError, match=why):
        opened(stream, plaintext)


@pytest.mark.parametrize("size", [0, 2 * CHUNK_BYTES - 1, 2 * CHUNK_BYTES + 1, 3 * CHUNK_BYTES])
def test_another_size_than_the_bulletin_says_does_not_open(size: int) -> None:
    """The bulletin's size and the sealed file must be of each other."""
    digest = hashlib.sha256(TWO).hexdigest()
    with pytest.raises(VerificationError):
        list(open_stream(iter([sealed(TWO)]), KEY, ASSOCIATED, size, digest))


def test_padding_of_another_size_in_the_same_class_does_not_open() -> None:
    """Two sizes that are padded alike are told apart by the hash."""
    assert padme(9) == padme(10)
    with pytest.raises(VerificationError, match="not the file"):
        opened(sealed(b"nine byte"), b"nine bytes")


@pytest.mark.parametrize(
    "label",
    [
        attachment_label("other", VECTORS["bulletin_id"], VECTORS["attachment_id"]),
        attachment_label(VECTORS["exchange"], VECTORS["attachment_id"], VECTORS["attachment_id"]),
        attachment_label(VECTORS["exchange"], VECTORS["bulletin_id"], VECTORS["bulletin_id"]),
    ],
    ids=["exchange", "bulletin", "attachment"],
)
def test_an_attachment_of_another_place_does_not_open(label: bytes) -> None:
    """Sealed for another exchange, bulletin or id, the same bytes raise VerificationError."""
    with pytest.raises(VerificationError):
        opened(sealed(TWO, label), TWO)
