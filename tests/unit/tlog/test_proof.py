"""Proofs that were altered in any way are refused."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import pytest

from broker.tlog import merkle, proof
from schemas.errors import VerificationError

ENTRIES = [bytes([index]) for index in range(40)]
LEAVES = [merkle.leaf_hash(entry) for entry in ENTRIES]
OTHER = hashlib.sha256(b"another").digest()


def read(level: int, index: int) -> bytes:
    """Read complete subtrees of ENTRIES."""
    if level == 0:
        return LEAVES[index]
    return merkle.node_hash(read(level - 1, 2 * index), read(level - 1, 2 * index + 1))


ROOTS = [merkle.root(size, read) for size in range(len(ENTRIES) + 1)]


def inclusion_refused(
    leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes
) -> bool:
    """Tell whether the inclusion proof is refused."""
    try:
        proof.verify_inclusion(leaf, index, size, path, root)
    except VerificationError:
        return True
    return False


def consistency_refused(
    old_size: int, old_root: bytes, new_size: int, new_root: bytes, path: Sequence[bytes]
) -> bool:
    """Tell whether the consistency proof is refused."""
    try:
        proof.verify_consistency(old_size, old_root, new_size, new_root, path)
    except VerificationError:
        return True
    return False


def bit_flips(value: bytes) -> list[bytes]:
    """Every value that differs in one bit."""
    number = int.from_bytes(value, "big")
    return [(number ^ (1 << bit)).to_bytes(len(value), "big") for bit in range(8 * len(value))]


def altered_paths(path: list[bytes]) -> list[list[bytes]]:
    """The path with one bit flipped, shorter, longer, reordered, or with hashes of odd length."""
    altered = [
        [*path[:at], flipped, *path[at + 1 :]]
        for at in range(len(path))
        for flipped in bit_flips(path[at])
    ]
    altered += [path[:at] + path[at + 1 :] for at in range(len(path))]
    altered += [[*path[:at], OTHER, *path[at:]] for at in range(len(path) + 1)]
    altered += [[*path[:at], path[at], *path[at:]] for at in range(len(path))]
    altered += [
        [*path[:at], *reversed(path[at : at + 2]), *path[at + 2 :]] for at in range(len(path) - 1)
    ]
    altered += [[], [*path, b""], [path[0][:-1], *path[1:]], [path[0] + b"\x00", *path[1:]]]
    return [candidate for candidate in altered if candidate != path]


SHAPES = [(0, 8), (5, 8), (6, 7), (4, 5), (2, 3), (0, 33), (32, 33), (17, 40), (39, 40)]


@pytest.mark.parametrize(("index", "size"), SHAPES)
def test_altered_inclusion_path_is_refused(index: int, size: int) -> None:
    """A path with any bit flipped, or any hash more, less or elsewhere, proves nothing."""
    path = merkle.inclusion_path(index, size, read)
    assert not inclusion_refused(LEAVES[index], index, size, path, ROOTS[size])
    for altered in altered_paths(path):
        assert inclusion_refused(LEAVES[index], index, size, altered, ROOTS[size])


@pytest.mark.parametrize(("index", "size"), SHAPES)
def test_altered_leaf_root_or_index_is_refused(index: int, size: int) -> None:
    """Another leaf, another root or another index is not what the path proves."""
    path = merkle.inclusion_path(index, size, read)
    leaf, root = LEAVES[index], ROOTS[size]
    for flipped in bit_flips(leaf):
        assert inclusion_refused(flipped, index, size, path, root)
    for flipped in bit_flips(root):
        assert inclusion_refused(leaf, index, size, path, flipped)
    for other in range(-1, size + 2):
        assert inclusion_refused(leaf, other, size, path, root) == (other != index)


def test_root_of_another_size_is_refused() -> None:
    """A path proves nothing about the root of another size."""
    for size in range(1, 41):
        for index in range(size):
            path = merkle.inclusion_path(index, size, read)
            for other in range(1, 41):
                if other != size:
                    assert inclusion_refused(LEAVES[index], index, other, path, ROOTS[other])


@pytest.mark.parametrize(
    ("index", "size", "claimed"), [(5, 8, 5), (5, 8, 9), (6, 7, 8), (7, 8, 16)]
)
def test_size_that_needs_another_path_length_is_refused(
    index: int, size: int, claimed: int
) -> None:
    """A claimed size whose path would be longer or shorter is refused with the true root, too."""
    path = merkle.inclusion_path(index, size, read)
    assert inclusion_refused(LEAVES[index], index, claimed, path, ROOTS[size])


def test_path_length_is_that_of_the_tree() -> None:
    """A path is measured by the tree's shape, before its root is compared."""
    path = merkle.inclusion_path(5, 8, read)
    with pytest.raises(VerificationError, match="too long"):
        proof.root_from_inclusion(LEAVES[5], 5, 8, [*path, OTHER])
    with pytest.raises(VerificationError, match="too short"):
        proof.root_from_inclusion(LEAVES[5], 5, 8, path[:-1])
    path = merkle.consistency_path(6, 8, read)
    with pytest.raises(VerificationError, match="too long"):
        proof.verify_consistency(6, ROOTS[6], 8, ROOTS[8], [*path, OTHER])
    with pytest.raises(VerificationError, match="too short"):
        proof.verify_consistency(6, ROOTS[6], 8, ROOTS[8], path[:-1])


def test_node_is_not_accepted_as_leaf() -> None:
    """Two leaf hashes joined are not the data of a leaf: nodes and leaves hash apart."""
    joined = LEAVES[0] + LEAVES[1]
    assert merkle.leaf_hash(joined) != ROOTS[2]
    assert inclusion_refused(merkle.leaf_hash(joined), 0, 1, [], ROOTS[2])


@pytest.mark.parametrize("size", [0, -1, merkle.TREE_SIZE_MAX + 1])
def test_impossible_size_is_refused(size: int) -> None:
    """No leaf is in a tree without leaves or of an impossible size, nor does one grow to it."""
    assert inclusion_refused(LEAVES[0], 0, size, [], LEAVES[0])
    assert consistency_refused(0, merkle.EMPTY_ROOT, size, ROOTS[1], [])


def test_endless_path_is_refused() -> None:
    """A path longer than any tree is high is refused before anything is hashed."""
    size = merkle.TREE_SIZE_MAX
    with pytest.raises(VerificationError, match="at most"):
        proof.root_from_inclusion(LEAVES[0], 0, size, [OTHER] * 1000)


GROWTHS = [(1, 2), (2, 8), (3, 4), (4, 7), (6, 8), (7, 8), (8, 33), (13, 40), (32, 40), (39, 40)]


@pytest.mark.parametrize(("old", "new"), GROWTHS)
def test_altered_consistency_path_is_refused(old: int, new: int) -> None:
    """A path with any bit flipped, or any hash more, less or elsewhere, connects nothing."""
    path = merkle.consistency_path(old, new, read)
    assert not consistency_refused(old, ROOTS[old], new, ROOTS[new], path)
    for altered in altered_paths(path):
        assert consistency_refused(old, ROOTS[old], new, ROOTS[new], altered)


@pytest.mark.parametrize(("old", "new"), GROWTHS)
def test_altered_roots_are_refused(old: int, new: int) -> None:
    """Another old or new root is not what the path connects."""
    path = merkle.consistency_path(old, new, read)
    for flipped in bit_flips(ROOTS[old]):
        assert consistency_refused(old, flipped, new, ROOTS[new], path)
    for flipped in bit_flips(ROOTS[new]):
        assert consistency_refused(old, ROOTS[old], new, flipped, path)


def test_path_of_other_sizes_is_refused() -> None:
    """A path between two sizes connects no roots of other sizes."""
    for old, new in GROWTHS:
        path = merkle.consistency_path(old, new, read)
        for other_old in range(1, 40):
            for other_new in range(other_old + 1, 41):
                if (other_old, other_new) != (old, new):
                    refused = consistency_refused(
                        other_old, ROOTS[other_old], other_new, ROOTS[other_new], path
                    )
                    assert refused


def test_forked_log_is_refused() -> None:
    """A log that changed an old entry cannot prove that it only grew."""
    forked = [*LEAVES[:2], OTHER, *LEAVES[3:]]

    def read_forked(level: int, index: int) -> bytes:
        if level == 0:
            return forked[index]
        left, right = read_forked(level - 1, 2 * index), read_forked(level - 1, 2 * index + 1)
        return merkle.node_hash(left, right)

    for old in range(3, 20):
        path = merkle.consistency_path(old, 20, read_forked)
        new_root = merkle.root(20, read_forked)
        assert consistency_refused(old, ROOTS[old], 20, new_root, path)


def test_edges_of_consistency() -> None:
    """The empty tree begins every tree, a tree itself, and nothing shrinks or has two roots."""
    assert not consistency_refused(0, merkle.EMPTY_ROOT, 8, ROOTS[8], [])
    assert not consistency_refused(8, ROOTS[8], 8, ROOTS[8], [])
    assert not consistency_refused(0, merkle.EMPTY_ROOT, 0, merkle.EMPTY_ROOT, [])
    assert consistency_refused(0, OTHER, 8, ROOTS[8], [])
    assert consistency_refused(0, merkle.EMPTY_ROOT, 0, OTHER, [])
    assert consistency_refused(8, ROOTS[8], 8, OTHER, [])
    assert consistency_refused(0, merkle.EMPTY_ROOT, 8, ROOTS[8], [OTHER])
    assert consistency_refused(8, ROOTS[8], 8, ROOTS[8], [OTHER])
    assert consistency_refused(8, ROOTS[8], 7, ROOTS[7], [])
    assert consistency_refused(4, ROOTS[4], 8, ROOTS[8], [])
    assert consistency_refused(3, ROOTS[3], 8, ROOTS[8], [])
    assert consistency_refused(8, ROOTS[8][:-1], 8, ROOTS[8][:-1], [])
