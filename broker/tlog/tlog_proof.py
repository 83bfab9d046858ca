"""Proofs of logging as files (C2SP tlog-proof): an entry's index, its path, and a checkpoint with all lines.

Pure; may import `schemas` and `broker.tlog`. Nodes export receipts in it, and anybody verifies them offline.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from broker.tlog.merkle import HASH_BYTES, TREE_SIZE_MAX
from broker.tlog.note import NOTE_BYTES_MAX
from broker.tlog.proof import PATH_HASHES_MAX
from schemas.errors import ParseError
from schemas.scalars import decode_base64, encode_base64

PROOF_BYTES_MAX: Final = 2 * 1024 * 1024
"""Bytes of a proof: a note, a path, and an entry with its statement as extra data."""

_HEADER: Final = "c2sp.org/tlog-proof@v1"
_INDEX: Final = re.compile(r"index (0|[1-9][0-9]{0,15})")


@dataclass(frozen=True, slots=True)
class TlogProof:
    """What a proof file says; nothing of it is verified.

    Args:
        index: of the entry.
        path: hashes of 32 bytes from the leaf's sibling to the root's child.
        checkpoint: the note, verbatim.
        extra: what it takes to make the leaf; the format does not protect it.
    """

    index: int
    path: tuple[bytes, ...]
    checkpoint: str
    extra: bytes = b""

    def render(self) -> str:
        """Write the file.

        Raises:
            ParseError: it holds what cannot be read back the same.
        """
        lines = [_HEADER]
        if self.extra:
            lines.append(f"extra {encode_base64(self.extra)}")
        lines += [f"index {self.index}", *map(encode_base64, self.path), "", self.checkpoint]
        written = "\n".join(lines)
        if parse_tlog_proof(written) != self:
            raise ParseError("this cannot be written as a tlog-proof")
        return written


def parse_tlog_proof(text: str) -> TlogProof:
    """Read a proof file; its checkpoint is read by whoever verifies it.

    Raises:
        ParseError: another version, no index, a hash that is none, or it is too long.
    """
    if len(text.encode(errors="surrogatepass")) > PROOF_BYTES_MAX:
        raise ParseError(f"a tlog-proof has at most {PROOF_BYTES_MAX} bytes")
    head, separator, checkpoint = text.partition("\n\n")
    if not separator or not checkpoint or len(checkpoint) > NOTE_BYTES_MAX:
        raise ParseError("a tlog-proof has an empty line, and a checkpoint after it")
    header, *lines = head.split("\n")
    if header != _HEADER:
        raise ParseError(f"a tlog-proof begins with {_HEADER}")
    extra = b""
    if lines and lines[0].startswith("extra "):
        extra = _decoded(lines.pop(0).removeprefix("extra "))
        if not extra:
            raise ParseError("extra data that is empty is left out")
    index = _INDEX.fullmatch(lines.pop(0)) if lines else None
    if index is None or int(index[1]) >= TREE_SIZE_MAX:
        raise ParseError("a tlog-proof names the index of its entry")
    path = tuple(map(_decoded, lines))
    if len(path) > PATH_HASHES_MAX or any(len(each) != HASH_BYTES for each in path):
        raise ParseError(f"a path has at most {PATH_HASHES_MAX} hashes of {HASH_BYTES} bytes")
    return TlogProof(int(index[1]), path, checkpoint, extra)


def _decoded(text: str) -> bytes:
    try:
        return decode_base64(text)
    except ValueError as error:
        raise ParseError(f"a tlog-proof: {error}") from error
