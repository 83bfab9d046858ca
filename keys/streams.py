"""Attachments: libsodium's secretstream over files of any size, a chunk at a time.

May import `schemas`, `keys.derivation`, `keys.padding` and PyNaCl; the node seals what its agencies upload
and opens what it fetched. Pure iterators over bytes: no file is ever held in memory.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Iterator
from typing import Final, Self

from nacl.bindings import (
    crypto_secretstream_xchacha20poly1305_ABYTES,
    crypto_secretstream_xchacha20poly1305_HEADERBYTES,
    crypto_secretstream_xchacha20poly1305_init_pull,
    crypto_secretstream_xchacha20poly1305_init_push,
    crypto_secretstream_xchacha20poly1305_KEYBYTES,
    crypto_secretstream_xchacha20poly1305_pull,
    crypto_secretstream_xchacha20poly1305_push,
    crypto_secretstream_xchacha20poly1305_state,
    crypto_secretstream_xchacha20poly1305_TAG_FINAL,
    crypto_secretstream_xchacha20poly1305_TAG_MESSAGE,
)
from nacl.exceptions import CryptoError

from keys.derivation import label
from keys.padding import padme
from schemas.errors import VerificationError

CHUNK_BYTES: Final = 65_536
"""Plaintext bytes of a chunk (the protocol); the last one may be shorter."""

STREAM_KEY_BYTES: Final = crypto_secretstream_xchacha20poly1305_KEYBYTES
STREAM_HEADER_BYTES: Final = crypto_secretstream_xchacha20poly1305_HEADERBYTES
SEALED_CHUNK_BYTES: Final = CHUNK_BYTES + crypto_secretstream_xchacha20poly1305_ABYTES

_MESSAGE: Final = crypto_secretstream_xchacha20poly1305_TAG_MESSAGE
_FINAL: Final = crypto_secretstream_xchacha20poly1305_TAG_FINAL
_OVERHEAD_BYTES: Final = crypto_secretstream_xchacha20poly1305_ABYTES


def attachment_label(exchange: str, bulletin_id: str, attachment_id: str) -> bytes:
    """The associated data of every chunk (Envelope, step 4): it stands for this attachment alone."""
    return label("barid/v1/attachment", exchange, bulletin_id, attachment_id)


def sealed_size(size_bytes: int) -> int:
    """Bytes of a sealed attachment whose plaintext has `size_bytes`: header, chunks and tags."""
    padded = padme(size_bytes)
    return STREAM_HEADER_BYTES + padded + _chunks_of(padded) * _OVERHEAD_BYTES


def sealed_prefix(offset_bytes: int) -> int:
    """Ciphertext bytes in which the first `offset_bytes`, whole chunks, of a plaintext are sealed."""
    if offset_bytes == 0:
        return 0
    return STREAM_HEADER_BYTES + offset_bytes + _chunks_of(offset_bytes) * _OVERHEAD_BYTES


def _chunks_of(padded_bytes: int) -> int:
    """How many chunks carry so many padded bytes; an empty file is one, which is the last."""
    return max(1, -(-padded_bytes // CHUNK_BYTES))


class Sealer:
    """Seals one attachment, from its first byte or from where a crash left it (Envelope, step 4).

    A key seals one file. What is sealed and then lost before it was kept may be sealed again after
    `resume`; nobody but this machine's disk has seen the first attempt, since only whole attachments
    leave.

    Args:
        key: 32 fresh bytes.
        associated: `attachment_label` of the attachment.
        size_bytes: of the whole plaintext.
    """

    def __init__(self, key: bytes, associated: bytes, size_bytes: int) -> None:
        self._state = crypto_secretstream_xchacha20poly1305_state()
        # Goes out before the first chunk; a resumed stream has sent it.
        self._header = crypto_secretstream_xchacha20poly1305_init_push(self._state, key)
        self._associated = associated
        self._size_bytes = size_bytes
        self._padded_bytes = padme(size_bytes)
        self._held = bytearray()
        self._digest = hashlib.sha256()
        self._done_bytes = 0
        self._whole = False

    @classmethod
    def resume(
        cls, key: bytes, associated: bytes, size_bytes: int, sealed: Iterable[bytes]
    ) -> Self:
        """Go on after what was sealed so far: reading it gives back the state, none is stored.

        Args:
            key: of the stream.
            associated: as it was sealed.
            size_bytes: of the whole plaintext.
            sealed: header and whole chunks, in pieces of any size; a chunk that is not whole is
                passed over, and `sealed_bytes` does not count it.

        Raises:
            VerificationError: these bytes were not sealed so.
        """
        sealer = cls(key, associated, size_bytes)
        reader = _Reader(sealed)
        header = reader.take(STREAM_HEADER_BYTES)
        if len(header) < STREAM_HEADER_BYTES:
            return sealer
        crypto_secretstream_xchacha20poly1305_init_pull(sealer._state, header, key)
        sealer._header = b""
        while not sealer._whole:
            expected = sealer._next_chunk_bytes() + _OVERHEAD_BYTES
            chunk = reader.take(expected)
            if len(chunk) < expected:
                return sealer
            plaintext, tag = _pull(sealer._state, chunk, associated)
            sealer._note(plaintext)
            if (tag == _FINAL) != sealer._whole:
                raise VerificationError("the last chunk alone is marked as the last")
        return sealer

    @property
    def offset_bytes(self) -> int:
        """Plaintext bytes that are sealed: what was pushed beyond them waits for a whole chunk."""
        return min(self._done_bytes, self._size_bytes)

    @property
    def sealed_bytes(self) -> int:
        """Ciphertext bytes given out so far."""
        if self._header:
            return 0
        chunks = _chunks_of(self._done_bytes) if self._done_bytes or self._whole else 0
        return STREAM_HEADER_BYTES + self._done_bytes + chunks * _OVERHEAD_BYTES

    @property
    def whole(self) -> bool:
        """Whether the last chunk is sealed."""
        return self._whole

    @property
    def sha256(self) -> str:
        """SHA-256 (hex) of the plaintext sealed so far, without its padding."""
        return self._digest.hexdigest()

    def push(self, piece: bytes) -> Iterator[bytes]:
        """Seal the whole chunks that a piece completes; to be read to its end.

        Args:
            piece: the next bytes of the plaintext, as many as one likes.

        Raises:
            VerificationError: the plaintext is longer than it was said to be.
        """
        if self.offset_bytes + len(self._held) + len(piece) > self._size_bytes:
            raise VerificationError("the attachment is longer than its size")
        yield from self._take_header()
        # The last chunk of the padded plaintext is left to `finish`, which marks it. Of a large piece
        # no more than a chunk is ever copied.
        rest = memoryview(piece)
        while len(self._held) + len(rest) >= CHUNK_BYTES < self._padded_bytes - self._done_bytes:
            needed = CHUNK_BYTES - len(self._held)
            chunk = bytes(self._held) + rest[:needed]
            self._held.clear()
            rest = rest[needed:]
            yield self._seal(chunk)
        self._held += rest

    def finish(self) -> Iterator[bytes]:
        """Seal what is left, zeros up to Padmé(size), and mark the last chunk; to be read to its end.

        Raises:
            VerificationError: the plaintext is shorter than it was said to be.
        """
        if self.offset_bytes + len(self._held) != self._size_bytes:
            raise VerificationError("the attachment is shorter than its size")
        yield from self._take_header()
        while not self._whole:
            chunk = bytes(self._held).ljust(self._next_chunk_bytes(), b"\x00")
            self._held.clear()
            yield self._seal(chunk)

    def _take_header(self) -> Iterator[bytes]:
        if self._header:
            header, self._header = self._header, b""
            yield header

    def _next_chunk_bytes(self) -> int:
        return min(CHUNK_BYTES, self._padded_bytes - self._done_bytes)

    def _seal(self, chunk: bytes) -> bytes:
        last = self._done_bytes + len(chunk) == self._padded_bytes
        sealed = crypto_secretstream_xchacha20poly1305_push(
            self._state, chunk, self._associated, _FINAL if last else _MESSAGE
        )
        self._note(chunk)
        return sealed

    def _note(self, chunk: bytes) -> None:
        self._digest.update(chunk[: self._size_bytes - self.offset_bytes])
        self._done_bytes += len(chunk)
        self._whole = self._done_bytes == self._padded_bytes


def open_stream(
    sealed: Iterable[bytes], key: bytes, associated: bytes, size_bytes: int, sha256: str
) -> Iterator[bytes]:
    """Open a sealed attachment; what was given out counts only once the iterator has ended.

    Every chunk is authentic, in its order and of this attachment when it is given out; that the stream
    is whole, and the file the one that the bulletin names, is known at the end.

    Args:
        sealed: header and chunks, in pieces of any size.
        key: 32 bytes, from the sealed part.
        associated: `attachment_label` of the attachment.
        size_bytes: of the plaintext, from the bulletin.
        sha256: of the plaintext, hex, from the bulletin.

    Yields:
        The plaintext, up to 65,536 bytes each, without padding.

    Raises:
        VerificationError: it ends early or late, a chunk is not authentic or out of order, another
            than the last is marked as the last, the padding is not zero, or the hash differs.
    """
    reader = _Reader(sealed)
    state = _begin(reader, key)
    digest = hashlib.sha256()
    padded_bytes, done_bytes, last = padme(size_bytes), 0, False
    while not last:
        chunk_bytes = min(CHUNK_BYTES, padded_bytes - done_bytes)
        plaintext, tag = _pull(state, reader.take(chunk_bytes + _OVERHEAD_BYTES), associated)
        if len(plaintext) < chunk_bytes:
            raise VerificationError("the attachment ends early")
        kept = plaintext[: max(0, size_bytes - done_bytes)]
        done_bytes += chunk_bytes
        last = done_bytes == padded_bytes
        if (tag == _FINAL) != last or tag not in {_FINAL, _MESSAGE}:
            raise VerificationError("the last chunk alone is marked as the last")
        if any(plaintext[len(kept) :]):
            raise VerificationError("the padding of the attachment is not zero")
        digest.update(kept)
        if kept:
            yield kept
    if reader.take(1):
        raise VerificationError("bytes follow the last chunk of the attachment")
    if not hmac.compare_digest(digest.hexdigest(), sha256):
        raise VerificationError("the attachment is not the file that the bulletin names")


def open_range(
    sealed: Iterable[bytes],
    key: bytes,
    associated: bytes,
    size_bytes: int,
    sha256: str,
    start: int,
    end: int,
) -> Iterator[bytes]:
    """Open a sealed attachment, and give out its bytes start ≤ index < end, up to 65,536 at once.

    A stream opens from its beginning only. The last bytes are given out once the whole is known to be the
    file that the bulletin names.

    Args:
        sealed, key, associated, size_bytes, sha256: as `open_stream`.
        start: bytes of the plaintext.
        end: bytes of the plaintext, at most its size.

    Raises:
        VerificationError: as `open_stream`.
    """
    held, at = b"", 0
    for chunk in open_stream(sealed, key, associated, size_bytes, sha256):
        if held:
            yield held
        held = chunk[max(0, start - at) : max(0, end - at)]
        at += len(chunk)
        if at >= end and end < size_bytes:
            break
    if held:
        yield held


def _begin(reader: _Reader, key: bytes) -> crypto_secretstream_xchacha20poly1305_state:
    header = reader.take(STREAM_HEADER_BYTES)
    if len(header) < STREAM_HEADER_BYTES:
        raise VerificationError("the attachment ends within its header")
    state = crypto_secretstream_xchacha20poly1305_state()
    crypto_secretstream_xchacha20poly1305_init_pull(state, header, key)
    return state


def _pull(
    state: crypto_secretstream_xchacha20poly1305_state, chunk: bytes, associated: bytes
) -> tuple[bytes, int]:
    try:
        return crypto_secretstream_xchacha20poly1305_pull(state, chunk, associated)
    except CryptoError as error:
        raise VerificationError("a chunk of the attachment does not open") from error


class _Reader:
    """Takes exact numbers of bytes out of pieces of any size."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._held = bytearray()

    def take(self, size_bytes: int) -> bytes:
        """The next bytes, fewer only where the pieces end."""
        while len(self._held) < size_bytes:
            piece = next(self._pieces, None)
            if piece is None:
                break
            self._held += piece
        taken = bytes(self._held[:size_bytes])
        del self._held[:size_bytes]
        return taken
