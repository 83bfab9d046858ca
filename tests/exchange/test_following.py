"""Following a hub: from nothing, from what was kept, over cut lines and void entries."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from broker.following import Follower
from broker.hub import showing
from broker.tlog.checkpoint import Checkpoint
from keys.derivation import sha256_hex
from keys.history import Finding
from schemas.entries import DirectoryPublished, FileVersion, TreeHead
from schemas.errors import BaridError, HubUnreachable, Problem, VerificationError
from schemas.loader import dump_json
from schemas.receipts import Opening
from schemas.statements import Statement
from tests.exchange.following import (
    Scene,
    follower_of,
    live_scene,
    operated,
    refreshed,
    replayed,
    truth,
)
from tests.exchange.forging import ForgedLog, Hostile, MemoryStore, shown
from tests.exchange.live import live_hub, now, run


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """A party that knows part of the logs; the hub has gone on since."""
    with live_scene(tmp_path_factory.mktemp("following")) as live:
        yield live


def test_an_honest_hub(scene: Scene) -> None:
    """From nothing or from what was kept, a party comes to know all that the hub logged."""
    assert run(refreshed(scene, Hostile(scene.hub), MemoryStore())) == truth(scene)
    store = scene.before.copy()
    assert run(refreshed(scene, Hostile(scene.hub), store)) == truth(scene)
    assert run(refreshed(scene, Hostile(scene.hub), store)) == truth(scene)


def test_openings_in_several_answers(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a member padded its statements, one answer holds fewer entries: they are asked for in turn."""
    monkeypatch.setattr(showing, "PAGE_BYTES_MAX", 1)
    assert run(refreshed(scene, Hostile(scene.hub), MemoryStore())) == truth(scene)


def test_following_on(scene: Scene) -> None:
    """Each refresh keeps what is new, once: after several of them the store still replays."""
    store = scene.before.copy()

    async def follow() -> None:
        async with Hostile(scene.hub) as client:
            follower = follower_of(scene, client, store)
            for size in (1, 2, 4):
                known = len(scene.before.kept) + size
                client.forge(ForgedLog.of(scene.hub, "directory").cut(known))
                await follower.refresh()
                assert follower.state.size == len(store.kept) == known
                await follower.refresh()

    run(follow())
    assert shown(run(replayed(scene, store)))[0] == len(store.kept)


def test_an_exchange_head_that_was_newer(scene: Scene) -> None:
    """Where a directory entry names a later tree than was shown, that tree is fetched, proved and kept."""
    store = scene.before.copy()

    async def follow() -> None:
        async with Hostile(scene.hub) as client:
            follower = follower_of(scene, client, store)
            client.once["exchange"] = store.checkpoints["exchange"]
            await follower.refresh()
            assert follower.exchange_checkpoint.size > 1
            named = follower.state.exchange_log
            assert named is not None
            assert follower.exchange_checkpoint.size >= named.size

    run(follow())
    size = store.checkpoints["exchange"].splitlines()[1]
    assert int(size) == scene.hub.ledger.heads()[1].size


def test_a_restart_needs_no_hub(scene: Scene) -> None:
    """What was kept is replayed and verified without a line, sealing keys included."""
    store = MemoryStore()
    run(refreshed(scene, Hostile(scene.hub), store))

    async def restarted() -> Follower:
        cut = Hostile(scene.hub)
        cut.calls_left = 0
        async with cut:
            return follower_of(scene, cut, store)

    follower = run(restarted())
    assert shown(follower) == truth(scene)
    key = follower.state.sealing_key("tn/main", now())
    assert key == scene.hub.ledger.state.sealing_key("tn/main", now())
    assert key is not None


def _alter_kept_entry(store: MemoryStore) -> None:
    data = store.kept[0].entry.replace(b"Z", b"Y", 1)
    store.kept[0] = store.kept[0].model_copy(update={"entry": data})


def _forget_last(store: MemoryStore) -> None:
    store.kept.pop()


def _swap_kept(store: MemoryStore) -> None:
    store.kept[0], store.kept[1] = store.kept[1], store.kept[0]


def _older_checkpoint(store: MemoryStore) -> None:
    store.checkpoints["directory"] = store.checkpoints["exchange"]


def _alter_kept_file(store: MemoryStore) -> None:
    name = next(name for name in store.files if name.endswith("targets.json"))
    store.files[name] += b" "


def _lose_kept_file(store: MemoryStore) -> None:
    del store.files[next(name for name in store.files if "council.json" in name)]


@pytest.mark.parametrize(
    "spoil",
    [
        _alter_kept_entry,
        _forget_last,
        _swap_kept,
        _older_checkpoint,
        _alter_kept_file,
        _lose_kept_file,
    ],
    ids=lambda spoil: spoil.__name__.strip("_"),
)
def test_a_store_that_was_altered(scene: Scene, spoil: Callable[[MemoryStore], None]) -> None:
    """What was kept is believed no more than the hub: altered, it does not open."""
    store = scene.before.copy()
    spoil(store)

    async def restarted() -> None:
        async with Hostile(scene.hub) as client:
            follower_of(scene, client, store)

    with pytest.raises(VerificationError):
        run(restarted())


def test_a_receipts_tree_is_proved(scene: Scene) -> None:
    """Every tree that the hub signed is one with the newest, and no other is."""

    async def prove() -> list[str]:
        words = []
        async with Hostile(scene.hub) as client:
            follower = follower_of(scene, client, scene.before.copy())
            newest = ForgedLog.of(scene.hub, "exchange").checkpoint()
            for size in range(newest.size + 1):
                honest = ForgedLog.of(scene.hub, "exchange").cut(size).checkpoint()
                await follower.prove_exchange_head(honest)
                await follower.prove_exchange_head(honest)
                if size:
                    forged = Checkpoint(honest.origin, size, bytes(32))
                    with pytest.raises(Problem) as caught:
                        await follower.prove_exchange_head(forged)
                    words.append(caught.value.word)
            beyond = Checkpoint(newest.origin, newest.size + 1, bytes(32))
            with pytest.raises(Problem) as caught:
                await follower.prove_exchange_head(beyond)
            return [*words, caught.value.word]

    assert set(run(prove())) == {"inconsistent-log"}


class Saving(MemoryStore):
    """A store into which its owner saves something between two looks at it."""

    def openings(self) -> Iterable[Opening]:
        """What is there; then comes what `later` has."""
        found = super().openings()
        if self.later is not None:
            later, self.later = self.later, None
            self.kept, self.checkpoints, self.files = later.kept, later.checkpoints, later.files
        return found

    later: MemoryStore | None = None


def test_a_store_whose_owner_is_saving(scene: Scene) -> None:
    """Beside a running node commands read checkpoint and openings of one moment."""
    newer = scene.before.copy()
    run(refreshed(scene, Hostile(scene.hub), newer))
    store = Saving(
        list(scene.before.kept), dict(scene.before.checkpoints), dict(scene.before.files)
    )
    store.later = newer.copy()
    assert shown(run(replayed(scene, store)))[0] == len(newer.kept) > len(scene.before.kept)


def test_a_line_cut_at_any_call(scene: Scene) -> None:
    """However often the line is cut, and wherever, what was kept is sound, and the rest follows."""

    async def follow() -> int:
        calls = 0
        store = scene.before.copy()
        async with Hostile(scene.hub) as client:
            follower = follower_of(scene, client, store)
            while True:
                client.calls_left = calls
                try:
                    await follower.refresh()
                except HubUnreachable:
                    calls += 1
                    assert shown(follower_of(scene, client, store.copy()))[0] == len(store.kept)
                    continue
                assert shown(follower) == truth(scene)
                return calls

    assert run(follow()) > 5


def test_a_crash_after_any_call(scene: Scene) -> None:
    """A party that dies at any call starts again from its store, and comes to the same end."""

    async def follow() -> int:
        calls = 0
        while True:
            store = scene.before.copy()
            async with Hostile(scene.hub) as client:
                client.calls_left = calls
                try:
                    await follower_of(scene, client, store).refresh()
                except HubUnreachable:
                    calls += 1
                else:
                    return calls
                client.honest()
                again = follower_of(scene, client, store)
                assert await again.refresh() == ()
                assert shown(again) == truth(scene)

    assert run(follow()) > 5


class _Failing(MemoryStore):
    """A store whose disk is full."""

    def save(self, openings: Any, checkpoints: dict[str, str], generation: int = 1) -> None:
        raise BaridError(f"no space for {len(openings)} openings, {len(checkpoints)} checkpoints")


def test_a_store_that_takes_nothing(scene: Scene) -> None:
    """What could not be kept is kept by the next refresh: nothing is skipped in between."""
    store = _Failing(*vars(scene.before.copy()).values())

    async def follow() -> None:
        async with Hostile(scene.hub) as client:
            follower = follower_of(scene, client, store)
            for _ in range(2):
                with pytest.raises(BaridError, match="no space"):
                    await follower.refresh()
            store.__class__ = MemoryStore  # type: ignore[assignment]
            await follower.refresh()
            assert shown(follower) == truth(scene)

    run(follow())
    assert shown(run(replayed(scene, store))) == truth(scene)


def _void_entries(scene: Scene) -> ForgedLog:
    """The honest log, then bytes that are no entry, then a directory that jumps over versions."""
    exchange = ForgedLog.of(scene.hub, "exchange").checkpoint()
    forged = ForgedLog.of(scene.hub, "directory").add(b"no entry at all")
    jump = DirectoryPublished(
        type="directory.published",
        at=now() + timedelta(hours=1),
        exchange_log=TreeHead(size=exchange.size, root=exchange.root.hex()),
        root=FileVersion(version=1, sha256=sha256_hex(scene.hub.files["metadata/1.root.json"])),
        snapshot=FileVersion(version=2**40, sha256="0" * 64),
    )
    return forged.add(dump_json(jump))


def _rules(found: tuple[Finding, ...]) -> list[tuple[int, str]]:
    return [(finding.index, finding.rule) for finding in found]


def test_a_void_entry_is_found_and_passed(scene: Scene) -> None:
    """A malformed or void entry is a finding, and stops nobody: the directory before it is in force."""

    async def follow() -> tuple[tuple[Finding, ...], Any, Any]:
        async with Hostile(scene.hub) as client:
            follower = follower_of(scene, client, scene.before.copy())
            forged = _void_entries(scene)
            client.forge(forged)
            return await follower.refresh(), follower.state.in_force, follower.state.size

    found, in_force, size = run(follow())
    honest = scene.hub.ledger.state.size
    assert _rules(found) == [(honest, "entry-invalid"), (honest + 1, "directory-invalid")]
    assert (in_force, size) == (scene.hub.directory_ref, honest + 2)


def test_a_finding_outlives_a_failure(scene: Scene) -> None:
    """A hub hides no void entry by withholding what the next one needs: it is told in the end."""

    async def follow() -> tuple[Finding, ...]:
        async with Hostile(scene.hub) as client:
            follower = follower_of(scene, client, scene.before.copy())
            forged = _void_entries(scene)
            client.forge(forged.add(operated(TreeHead(size=1, root="0" * 64))))
            with pytest.raises(Problem, match="inconsistent-log"):
                await follower.refresh()
            assert follower.state.size > scene.hub.ledger.state.size
            client.forge(forged.cut(len(forged.openings) - 1))
            return await follower.refresh()

    honest = scene.hub.ledger.state.size
    expected = [(honest, "entry-invalid"), (honest + 1, "directory-invalid")]
    assert _rules(run(follow())) == expected


def _with_statement(told: Statement | None, page: Sequence[Opening]) -> list[Opening]:
    return [o if o.statement is None else o.model_copy(update={"statement": told}) for o in page]


def test_a_withheld_statement_is_waited_for(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A sealing key whose statement is not shown is neither good nor bad: nothing moves until it is."""
    with live_hub(tmp_path_factory.mktemp("statement") / "hub") as hub:
        scene = Scene(hub, MemoryStore())
        run(hub.announce("tn/main"))

        async def follow() -> None:
            async with Hostile(hub) as client:
                follower = follower_of(scene, client, MemoryStore())
                for told in (None, hub.sealing_statement("ne/main")):
                    client.pages = partial(_with_statement, told)
                    with pytest.raises(Problem) as caught:
                        await follower.refresh()
                    assert caught.value.word == "directory-invalid"
                    assert follower.state.highest_epoch("tn/main") == 0
                client.honest()
                await follower.refresh()
                assert follower.state.highest_epoch("tn/main") == 1

        run(follow())
