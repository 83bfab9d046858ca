"""A hub that lies with its real keys: each lie has its problem, and moves nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from keys.derivation import sha256_hex
from schemas.entries import TreeHead
from schemas.errors import Problem
from schemas.limits import TRUST_FILE_BYTES_MAX
from tests.exchange.following import (
    Scene,
    follower_of,
    live_scene,
    operated,
    replayed,
    truth,
)
from tests.exchange.forging import ForgedLog, Hostile, shown
from tests.exchange.live import run


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """A party that knows part of the logs; the hub has gone on since."""
    with live_scene(tmp_path_factory.mktemp("following")) as live:
        yield live


# Lies: each gets the client and the scene, and returns nothing.


def _forked_exchange(client: Hostile, scene: Scene) -> None:
    client.forge(ForgedLog.of(scene.hub, "exchange").alter(0, b"another"))


def _forked_directory(client: Hostile, scene: Scene) -> None:
    client.forge(
        ForgedLog.of(scene.hub, "directory").alter(1, operated(TreeHead(size=0, root=sha256_hex())))
    )


def _forked_and_grown(client: Hostile, scene: Scene) -> None:
    client.forge(ForgedLog.of(scene.hub, "exchange").alter(0, b"another").add(b"one").add(b"more"))


def _two_trees_of_one_size(client: Hostile, scene: Scene) -> None:
    kept = len(scene.before.kept)
    client.forge(ForgedLog.of(scene.hub, "directory").cut(kept).alter(kept - 1, b"another"))


def _shrunk_directory(client: Hostile, scene: Scene) -> None:
    client.forge(ForgedLog.of(scene.hub, "directory").cut(len(scene.before.kept) - 1))


def _shrunk_to_nothing(client: Hostile, scene: Scene) -> None:
    client.forge(ForgedLog.of(scene.hub, "exchange").cut(0))


def _altered_tile(client: Hostile, _scene: Scene) -> None:
    client.tiles = lambda _log, path: bytes(32 * int(path.rpartition("/")[2]))


def _cut_tile(client: Hostile, _scene: Scene) -> None:
    client.tiles = lambda _log, _path: b""


def _altered_entry(client: Hostile, _scene: Scene) -> None:
    client.pages = lambda page: [
        *page[:-1],
        page[-1].model_copy(update={"entry": page[-1].entry.replace(b"Z", b"Y", 1)}),
    ]


def _withheld_entry(client: Hostile, _scene: Scene) -> None:
    client.pages = lambda page: page[1:]


def _withheld_last_entry(client: Hostile, _scene: Scene) -> None:
    client.pages = lambda page: page[:-1]


def _entries_out_of_order(client: Hostile, _scene: Scene) -> None:
    client.pages = lambda page: page[::-1]


def _entries_renumbered(client: Hostile, _scene: Scene) -> None:
    def swapped(page: Any) -> Any:
        first, second = page[0], page[1]
        moved = {"entry": second.entry}, {"entry": first.entry}
        return [first.model_copy(update=moved[0]), second.model_copy(update=moved[1]), *page[2:]]

    client.pages = swapped


def _entry_twice(client: Hostile, _scene: Scene) -> None:
    client.pages = lambda page: [page[0], *page]


def _withheld_file(number: int) -> Callable[[Hostile, Scene], None]:
    def lie(client: Hostile, scene: Scene) -> None:
        client.files = {scene.files()[number]: None}

    return lie


def _other_bytes(number: int, made: Callable[[bytes], bytes]) -> Callable[[Hostile, Scene], None]:
    def lie(client: Hostile, scene: Scene) -> None:
        name = scene.files()[number]
        true = scene.hub.files.get(name, b"{}")
        client.files = {name: made(true)}

    return lie


def _wrong_head(made: Callable[[int], int]) -> Callable[[Hostile, Scene], None]:
    def lie(client: Hostile, scene: Scene) -> None:
        size = ForgedLog.of(scene.hub, "exchange").checkpoint().size
        head = TreeHead(size=made(size), root="0" * 64)
        client.forge(ForgedLog.of(scene.hub, "directory").add(operated(head)))

    return lie


def _one_signature(keys: slice) -> Callable[[Hostile, Scene], None]:
    def lie(client: Hostile, scene: Scene) -> None:
        client.texts["directory"] = ForgedLog.of(scene.hub, "directory").text(keys)

    return lie


def _the_other_logs_checkpoint(client: Hostile, scene: Scene) -> None:
    client.texts["directory"] = ForgedLog.of(scene.hub, "exchange").text()


def _garbage(client: Hostile, _scene: Scene) -> None:
    client.texts["exchange"] = "no checkpoint\n"


def _altered_checkpoint(client: Hostile, scene: Scene) -> None:
    text = ForgedLog.of(scene.hub, "exchange").text()
    size = ForgedLog.of(scene.hub, "exchange").checkpoint().size
    client.texts["exchange"] = text.replace(f"\n{size}\n", f"\n{size + 1}\n")


LIES: list[tuple[str, str, Callable[[Hostile, Scene], None]]] = [
    ("the exchange log forked", "inconsistent-log", _forked_exchange),
    ("the directory log forked", "inconsistent-log", _forked_directory),
    ("forked and grown", "inconsistent-log", _forked_and_grown),
    ("two trees of one size", "inconsistent-log", _two_trees_of_one_size),
    ("the directory log shrank", "inconsistent-log", _shrunk_directory),
    ("the exchange log is empty again", "inconsistent-log", _shrunk_to_nothing),
    ("a tile altered", "inconsistent-log", _altered_tile),
    ("a tile cut", "inconsistent-log", _cut_tile),
    ("a directory entry altered", "inclusion", _altered_entry),
    ("a directory entry withheld", "inclusion", _withheld_entry),
    ("the last entry withheld", "inclusion", _withheld_last_entry),
    ("entries out of order", "inclusion", _entries_out_of_order),
    ("entries exchanged under their numbers", "inclusion", _entries_renumbered),
    ("an entry twice", "inclusion", _entry_twice),
    ("a member's metadata withheld", "directory-invalid", _withheld_file(0)),
    ("the snapshot withheld", "directory-invalid", _withheld_file(1)),
    ("other bytes for a member's metadata", "directory-invalid", _other_bytes(0, lambda b: b + b" ")),
    ("a truncated member's metadata", "directory-invalid", _other_bytes(0, lambda b: b[:-1])),
    ("nothing for a snapshot", "directory-invalid", _other_bytes(1, lambda _b: b"")),
    ("far too many bytes", "directory-invalid", _other_bytes(0, lambda _b: bytes(TRUST_FILE_BYTES_MAX + 1))),
    ("an invented exchange head", "inconsistent-log", _wrong_head(lambda size: size)),
    ("an exchange head beyond the log", "inconsistent-log", _wrong_head(lambda size: size + 1)),
    ("an empty tree with another root", "inconsistent-log", _wrong_head(lambda _size: 0)),
    ("a tree that nothing has", "inconsistent-log", _wrong_head(lambda _size: 2**53 - 1)),
    ("signed with Ed25519 alone", "inclusion", _one_signature(slice(0, 1))),
    ("signed with ML-DSA alone", "inclusion", _one_signature(slice(1, 2))),
    ("the other log's checkpoint", "inclusion", _the_other_logs_checkpoint),
    ("no checkpoint", "inclusion", _garbage),
    ("a checkpoint altered", "inclusion", _altered_checkpoint),
]  # fmt: skip


@pytest.mark.parametrize(("name", "word", "lie"), LIES, ids=[case[0] for case in LIES])
def test_lies(scene: Scene, name: str, word: str, lie: Callable[[Hostile, Scene], None]) -> None:
    """Each lie is refused with its problem, moves nothing, and the party goes on when it ends."""
    store = scene.before.copy()

    async def follow() -> None:
        async with Hostile(scene.hub) as client:
            follower = follower_of(scene, client, store)
            before = shown(follower)
            lie(client, scene)
            for _ in range(2):
                with pytest.raises(Problem) as caught:
                    await follower.refresh()
                assert caught.value.word == word, name
            assert follower.directory_checkpoint == before[2]
            assert store.kept == scene.before.kept
            assert store.checkpoints["directory"] == scene.before.checkpoints["directory"]
            in_force = follower.state.in_force
            assert in_force is not None
            assert in_force.index <= scene.hub.directory_ref.index
            assert follower.state.size <= scene.hub.ledger.state.size
            client.honest()
            assert await follower.refresh() == ()
            assert shown(follower) == truth(scene)

    run(follow())
    assert shown(run(replayed(scene, store))) == truth(scene)


def test_a_fork_is_told_with_both_checkpoints(scene: Scene) -> None:
    """The evidence are two notes of the hub: the newest that was verified, and the one that breaks it."""
    store = scene.before.copy()

    async def caught() -> tuple[Problem, str, str]:
        async with Hostile(scene.hub) as client:
            follower = follower_of(scene, client, store)
            # Verified but not kept yet: a file is missing, so that the refresh cannot end.
            client.files = {scene.files()[1]: None}
            with pytest.raises(Problem):
                await follower.refresh()
            newest = ForgedLog.of(scene.hub, "exchange").text(slice(0, 1))
            client.forge(
                ForgedLog.of(scene.hub, "exchange").cut(2).add(b"another").add(b"more").add(b"!")
            )
            with pytest.raises(Problem) as found:
                await follower.refresh()
            return found.value, newest, client.texts["exchange"]

    problem, newest, forked = run(caught())
    assert problem.word == "inconsistent-log"
    shown_texts = problem.extensions["checkpoints"]
    assert isinstance(shown_texts, list)
    assert shown_texts[1] == forked
    # The first is the whole tree that was verified, not the shorter one in the store, which the fork extends.
    assert shown_texts[0].splitlines()[:3] == newest.splitlines()[:3]
