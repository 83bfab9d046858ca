"""The tree and its proofs, against the standard's recursive definition and published vectors."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.tlog import merkle, proof
from schemas.errors import VerificationError

TreeHash = Callable[[Sequence[bytes]], bytes]

# Leaves, roots and proofs that google/certificate-transparency publishes in
# cpp/merkletree/merkle_tree_test.cc, and transparency-dev/merkle in testonly/constants.go.
CT_ENTRIES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
CT_ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
CT_INCLUSION = {
    (0, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (5, 8): [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
}
CT_CONSISTENCY = {
    (2, 8): [
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (6, 8): [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
}


def reader(entries: Sequence[bytes]) -> merkle.HashReader:
    """Read complete subtrees of these entries."""

    def read(level: int, index: int) -> bytes:
        if level == 0:
            return merkle.leaf_hash(entries[index])
        return merkle.node_hash(read(level - 1, 2 * index), read(level - 1, 2 * index + 1))

    return read


def entries_of(size: int) -> list[bytes]:
    """Make that many different entries."""
    return [index.to_bytes(4, "big") for index in range(size)]


def hexes(hashes: Sequence[bytes]) -> list[str]:
    """Show hashes as hex."""
    return [value.hex() for value in hashes]


def test_roots_are_the_published_ones() -> None:
    """Certificate Transparency's eight leaves have the roots that it publishes."""
    read = reader(CT_ENTRIES)
    roots = [merkle.root(size, read) for size in range(9)]
    assert hexes(roots) == CT_ROOTS


@pytest.mark.parametrize(("index", "size"), CT_INCLUSION)
def test_inclusion_path_is_the_published_one(index: int, size: int) -> None:
    """Certificate Transparency's inclusion proofs come out hash for hash."""
    path = merkle.inclusion_path(index, size, reader(CT_ENTRIES))
    assert hexes(path) == CT_INCLUSION[index, size]


@pytest.mark.parametrize(("old", "new"), CT_CONSISTENCY)
def test_consistency_path_is_the_published_one(old: int, new: int) -> None:
    """Certificate Transparency's consistency proofs come out hash for hash."""
    path = merkle.consistency_path(old, new, reader(CT_ENTRIES))
    assert hexes(path) == CT_CONSISTENCY[old, new]


@settings(deadline=None, max_examples=40)
@given(entries=st.lists(st.binary(max_size=40), max_size=70))
def test_root_is_the_recursive_definition(tree_hash: TreeHash, entries: list[bytes]) -> None:
    """The root from complete subtrees is MTH of the standard."""
    assert merkle.root(len(entries), reader(entries)) == tree_hash(entries)


@settings(deadline=None, max_examples=40)
@given(size=st.integers(1, 300), data=st.data())
def test_every_leaf_is_proved(tree_hash: TreeHash, size: int, data: st.DataObject) -> None:
    """A leaf's path leads to the recursive root."""
    entries = entries_of(size)
    index = data.draw(st.integers(0, size - 1))
    path = merkle.inclusion_path(index, size, reader(entries))
    leaf = merkle.leaf_hash(entries[index])
    assert proof.root_from_inclusion(leaf, index, size, path) == tree_hash(entries)


@settings(deadline=None, max_examples=40)
@given(new_size=st.integers(0, 300), data=st.data())
def test_every_growth_is_proved(tree_hash: TreeHash, new_size: int, data: st.DataObject) -> None:
    """A consistency path connects the recursive roots of any two sizes."""
    entries = entries_of(new_size)
    old_size = data.draw(st.integers(0, new_size))
    path = merkle.consistency_path(old_size, new_size, reader(entries))
    old_root, new_root = tree_hash(entries[:old_size]), tree_hash(entries)
    proof.verify_consistency(old_size, old_root, new_size, new_root, path)


def test_all_small_trees_prove_everything() -> None:
    """Each leaf and each growth of every tree of up to 20 leaves is proved."""
    entries = entries_of(20)
    read = reader(entries)
    roots = [merkle.root(size, read) for size in range(21)]
    for size in range(1, 21):
        for index in range(size):
            path = merkle.inclusion_path(index, size, read)
            leaf = merkle.leaf_hash(entries[index])
            proof.verify_inclusion(leaf, index, size, path, roots[size])
        for old in range(size + 1):
            path = merkle.consistency_path(old, size, read)
            proof.verify_consistency(old, roots[old], size, roots[size], path)


@pytest.mark.parametrize(
    ("index", "size"), [(0, 0), (5, 5), (-1, 5), (0, merkle.TREE_SIZE_MAX + 1)]
)
def test_no_path_for_a_leaf_outside(index: int, size: int) -> None:
    """A path is made only for a leaf of the tree."""
    with pytest.raises(VerificationError):
        merkle.inclusion_path(index, size, reader(CT_ENTRIES))


@pytest.mark.parametrize(("old", "new"), [(5, 4), (-1, 4), (0, merkle.TREE_SIZE_MAX + 1)])
def test_no_path_from_a_larger_tree(old: int, new: int) -> None:
    """A tree that shrinks gets no consistency path."""
    with pytest.raises(VerificationError):
        merkle.consistency_path(old, new, reader(CT_ENTRIES))


@pytest.mark.parametrize("size", [-1, merkle.TREE_SIZE_MAX + 1])
def test_no_root_of_an_impossible_size(size: int) -> None:
    """A size that no tree has gives no root."""
    with pytest.raises(VerificationError):
        merkle.root(size, reader(CT_ENTRIES))
