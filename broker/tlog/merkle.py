"""The Merkle tree over SHA-256 (RFC 6962 section 2.1): hashes, and roots and proofs from subtrees.

May import `schemas` only; what is stored is read through the `HashReader` that the caller passes.
The hub makes proofs here, auditors recompute roots; `broker.tlog.proof` verifies.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Final, TypeAlias

from schemas.errors import VerificationError
from schemas.limits import INTEGER_MAX

HASH_BYTES: Final = 32
"""Bytes of one SHA-256 hash."""

TREE_SIZE_MAX: Final = INTEGER_MAX
"""Leaves of a tree: sizes and indexes also travel in JSON."""

EMPTY_ROOT: Final = hashlib.sha256(b"").digest()
"""Root of the tree without leaves."""

HashReader: TypeAlias = Callable[[int, int], bytes]
"""(level, index) → root of a complete subtree: leaves [index · 2^level, (index + 1) · 2^level)."""


def leaf_hash(data: bytes) -> bytes:
    """Hash the data of one leaf: SHA-256(00 ‖ data)."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash two subtree roots, 32 bytes each: SHA-256(01 ‖ left ‖ right)."""
    return pair_hash(left + right)


def pair_hash(pair: bytes) -> bytes:
    """Hash two subtree roots that stand side by side, 64 bytes: SHA-256(01 ‖ pair)."""
    return hashlib.sha256(b"\x01" + pair).digest()


def root(size: int, read: HashReader) -> bytes:
    """Compute the root of the tree over the first `size` leaves (RFC 6962 section 2.1).

    Raises:
        VerificationError: the size is not one that a tree has.
    """
    if not 0 <= size <= TREE_SIZE_MAX:
        raise VerificationError(f"no tree has {size} leaves")
    return _range_root(0, size, read) if size else EMPTY_ROOT


def inclusion_path(index: int, size: int, read: HashReader) -> list[bytes]:
    """Make the proof that a leaf is in the tree of `size` leaves (RFC 6962 section 2.1.1).

    Args:
        index: of the leaf, from 0.
        size: leaves of the tree, more than `index`.
        read: gives complete subtrees of that tree.

    Returns:
        Hashes of 32 bytes from the leaf's sibling up to the root's child.

    Raises:
        VerificationError: such a tree has no such leaf.
    """
    if not 0 <= index < size <= TREE_SIZE_MAX:
        raise VerificationError(f"there is no leaf {index} in a tree of {size}")
    path: list[bytes] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _left_width(end - start)
        if index < middle:
            path.append(_range_root(middle, end, read))
            end = middle
        else:
            path.append(_range_root(start, middle, read))
            start = middle
    path.reverse()
    return path


def consistency_path(old_size: int, new_size: int, read: HashReader) -> list[bytes]:
    """Make the proof that one tree is the beginning of another (RFC 6962 section 2.1.2).

    Args:
        old_size: leaves of the older tree; 0 and `new_size` give an empty path.
        new_size: leaves of the newer tree.
        read: gives complete subtrees of the newer tree.

    Raises:
        VerificationError: the older tree would be larger than the newer.
    """
    if not 0 <= old_size <= new_size <= TREE_SIZE_MAX:
        raise VerificationError(f"a tree of {old_size} does not grow to one of {new_size}")
    path: list[bytes] = []
    start, end = 0, new_size
    while 0 < old_size < end:
        middle = start + _left_width(end - start)
        if old_size <= middle:
            path.append(_range_root(middle, end, read))
            end = middle
        else:
            path.append(_range_root(start, middle, read))
            start = middle
    # A subtree that starts at leaf 0 is the old tree itself, whose root the verifier holds.
    if start > 0:
        path.append(_range_root(start, end, read))
    path.reverse()
    return path


def _left_width(width: int) -> int:
    """The largest power of two below `width`: how many leaves go to the left."""
    return 1 << ((width - 1).bit_length() - 1)


def _range_root(start: int, end: int, read: HashReader) -> bytes:
    """Root over leaves [start, end), where `start` is aligned as the tree's own splits are.

    The range falls into complete subtrees, each a power of two and smaller than the one before.
    """
    complete: list[bytes] = []
    while start < end:
        level = (end - start).bit_length() - 1
        complete.append(read(level, start >> level))
        start += 1 << level
    result = complete.pop()
    while complete:
        result = node_hash(complete.pop(), result)
    return result
