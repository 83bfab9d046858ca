"""The tree hash as RFC 6962 section 2.1 writes it: slow, recursive, independent of the code."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

import pytest


def _tree_hash(entries: Sequence[bytes]) -> bytes:
    if not entries:
        return hashlib.sha256(b"").digest()
    if len(entries) == 1:
        return hashlib.sha256(b"\x00" + entries[0]).digest()
    split = 1
    while split * 2 < len(entries):
        split *= 2
    left, right = _tree_hash(entries[:split]), _tree_hash(entries[split:])
    return hashlib.sha256(b"\x01" + left + right).digest()


@pytest.fixture(scope="session")
def tree_hash() -> Callable[[Sequence[bytes]], bytes]:
    """MTH(D[n]) over the entries' data."""
    return _tree_hash
