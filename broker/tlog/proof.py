"""Verification of inclusion and consistency proofs (RFC 9162 sections 2.1.3.2 and 2.1.4.2).

Pure; may import `schemas` and `broker.tlog.merkle`. Nodes, witnesses and auditors call it, and the
hub before it signs what it restored.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from broker.tlog.merkle import EMPTY_ROOT, HASH_BYTES, TREE_SIZE_MAX, node_hash
from schemas.errors import VerificationError

PATH_HASHES_MAX: Final = TREE_SIZE_MAX.bit_length() + 1
"""Hashes of a proof: one for each level of the largest tree, and a consistency proof's start."""


def root_from_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes:
    """Compute the root that an inclusion proof leads to.

    Args:
        leaf: the leaf's hash (`merkle.leaf_hash`), 32 bytes.
        index: of the leaf, from 0.
        size: leaves of the tree.
        path: hashes of 32 bytes, from the leaf's sibling up.

    Raises:
        VerificationError: no tree of that size has such a leaf, or its path another length.
    """
    if not 0 <= index < size <= TREE_SIZE_MAX:
        raise VerificationError(f"there is no leaf {index} in a tree of {size}")
    _check_hashes(path, leaf)
    position, last = index, size - 1
    result = leaf
    for sibling in path:
        if last == 0:
            raise VerificationError("the inclusion path is too long")
        if position & 1 or position == last:
            result = node_hash(sibling, result)
            while position and not position & 1:
                position, last = position >> 1, last >> 1
        else:
            result = node_hash(result, sibling)
        position, last = position >> 1, last >> 1
    if last != 0:
        raise VerificationError("the inclusion path is too short")
    return result


def verify_inclusion(
    leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes
) -> None:
    """Check that a leaf is in a tree (RFC 9162 section 2.1.3.2).

    Args:
        leaf: the leaf's hash, 32 bytes.
        index: of the leaf, from 0.
        size: leaves of the tree. A path does not tell all sizes apart: take size and root from one
            checkpoint whose signature was verified.
        path: hashes of 32 bytes, from the leaf's sibling up.
        root: of the tree, 32 bytes.

    Raises:
        VerificationError: the proof does not lead to this root.
    """
    if root_from_inclusion(leaf, index, size, path) != root:
        raise VerificationError("the inclusion path leads to another root")


def verify_consistency(
    old_size: int, old_root: bytes, new_size: int, new_root: bytes, path: Sequence[bytes]
) -> None:
    """Check that the older tree is the beginning of the newer (RFC 9162 section 2.1.4.2).

    Args:
        old_size: leaves of the older tree; the empty tree begins every other.
        old_root: its root, 32 bytes.
        new_size: leaves of the newer tree.
        new_root: its root, 32 bytes.
        path: hashes of 32 bytes; empty if `old_size` is 0 or `new_size`.

    Raises:
        VerificationError: the proof does not connect these two trees.
    """
    if not 0 <= old_size <= new_size <= TREE_SIZE_MAX:
        raise VerificationError(f"a tree of {old_size} does not grow to one of {new_size}")
    _check_hashes(path, old_root, new_root)
    if old_size in (0, new_size):
        # Nothing is left to prove, so that the roots alone decide.
        if path:
            raise VerificationError("the consistency path is too long")
        if old_size == 0 and old_root != EMPTY_ROOT:
            raise VerificationError("this is not the root of an empty tree")
        if old_size == new_size and old_root != new_root:
            raise VerificationError(f"there are two roots of a tree of {old_size}")
        return
    if _roots_from_consistency(old_size, old_root, new_size, path) != (old_root, new_root):
        raise VerificationError("the consistency path leads to other roots")


def _roots_from_consistency(
    old_size: int, old_root: bytes, new_size: int, path: Sequence[bytes]
) -> tuple[bytes, bytes]:
    """Old and new root that a proof leads to, for 0 < old_size < new_size."""
    position, last = old_size - 1, new_size - 1
    while position & 1:
        position, last = position >> 1, last >> 1
    # The proof starts at the old tree's last complete subtree; a tree of 2^n leaves is that itself.
    hashes = [old_root, *path] if position == 0 else list(path)
    if not hashes:
        raise VerificationError("the consistency path is too short")
    old_result = new_result = hashes[0]
    for sibling in hashes[1:]:
        if last == 0:
            raise VerificationError("the consistency path is too long")
        if position & 1 or position == last:
            old_result = node_hash(sibling, old_result)
            new_result = node_hash(sibling, new_result)
            while position and not position & 1:
                position, last = position >> 1, last >> 1
        else:
            new_result = node_hash(new_result, sibling)
        position, last = position >> 1, last >> 1
    if last != 0:
        raise VerificationError("the consistency path is too short")
    return old_result, new_result


def _check_hashes(path: Sequence[bytes], *others: bytes) -> None:
    # Hashes of another length would shift the boundary between left and right child.
    if len(path) > PATH_HASHES_MAX:
        raise VerificationError(f"a path has at most {PATH_HASHES_MAX} hashes")
    if any(len(value) != HASH_BYTES for value in (*path, *others)):
        raise VerificationError(f"every hash is {HASH_BYTES} bytes long")
