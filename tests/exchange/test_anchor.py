"""The anchor: a hub that was set back to an old disk signs nothing, says so, and whoever calls it sees it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from broker.hub.anchor import ANCHOR_VARIABLE, Anchor, Anchored
from broker.hub.directory_log import Operate
from broker.hub.doctor import diagnose_hub
from broker.hub.setup import anchor_of, open_ledger
from broker.hub.watching import why_not_ready
from broker.settings import load_hub
from schemas.errors import ConfigurationError, Problem
from schemas.loader import dump_json, parse
from tests.exchange.acting import submit
from tests.exchange.following import Scene, follower_of
from tests.exchange.forging import Hostile, MemoryStore
from tests.exchange.live import PASSPHRASE, LiveHub, now, run
from tests.unit.cli.conftest import make_barid


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The anchor's file, on what stands for another disk."""
    (tmp_path / "elsewhere").mkdir()
    path = tmp_path / "elsewhere" / "anchor.json"
    monkeypatch.setenv(ANCHOR_VARIABLE, str(path))
    return path


@pytest.fixture
def hub(tmp_path: Path, place: Path) -> Iterator[LiveHub]:
    """A hub that notes in its anchor what it signs; two desks have keys."""
    assert not place.exists()
    serving = LiveHub(tmp_path / "hub")
    serving.start()
    run(serving.announce("ly/main", "tn/main"))
    yield serving
    serving.stop()


def _anchored(place: Path) -> dict[str, int]:
    found = parse(Anchored, place.read_bytes(), 10_000)
    return {log: each.head.size for log, each in found.logs.items()}


def _sizes(hub: LiveHub) -> dict[str, int]:
    return {head.log: head.size for head in hub.ledger.heads()}


def _send(hub: LiveHub) -> None:
    run(submit(hub, hub.seal(hub.outgoing("ly/main"), "tn/main")))


def _set_back(hub: LiveHub, act: Callable[[], None]) -> None:
    """Something happens, and is forgotten: the hub starts from the disk as it was before."""
    hub.stop()
    hub.ledger.engine.dispose()
    saved = hub.data.with_name("saved")
    shutil.copytree(hub.data, saved)
    hub.start()
    act()
    hub.stop()
    hub.ledger.engine.dispose()
    shutil.rmtree(hub.data)
    saved.rename(hub.data)
    hub.start()


def test_what_is_signed_is_noted_before_it_is_answered(hub: LiveHub, place: Path) -> None:
    """Both logs, after every batch."""
    assert _anchored(place) == _sizes(hub)
    _send(hub)
    assert _anchored(place) == _sizes(hub)
    assert _anchored(place)["exchange"] == 1


def test_an_old_disk_signs_nothing_and_says_so(hub: LiveHub, place: Path) -> None:
    """To senders, to its operator, and by what it shows to every party that followed it."""
    scene, store = Scene(hub, MemoryStore()), MemoryStore()

    async def follow() -> None:
        async with Hostile(hub) as client:
            await follower_of(scene, client, store).refresh()

    def act() -> None:
        _send(hub)
        run(follow())

    _set_back(hub, act)
    with pytest.raises(Problem) as refusal:
        _send(hub)
    assert refusal.value.word == "hub-halted"
    assert "where 5 were signed: this is an old disk" in refusal.value.detail
    assert "old disk or backup" in why_not_ready(hub.ledger)
    checks = {check.name: check for check in diagnose_hub(hub.data, PASSPHRASE, now())}
    assert checks["anchor"].grade == "fail"
    with pytest.raises(Problem) as shown:
        run(follow())
    assert shown.value.word == "inconsistent-log"
    assert _anchored(place)["exchange"] == 1


def test_another_past_is_not_gone_on_with(hub: LiveHub, place: Path) -> None:
    """As many entries as were signed, and others."""
    _send(hub)
    hub.stop()
    found = parse(Anchored, place.read_bytes(), 10_000)
    exchange = found.logs["exchange"]
    other = exchange.head.model_copy(update={"root": "0" * 64})
    logs = {**found.logs, "exchange": exchange.model_copy(update={"head": other})}
    place.write_bytes(dump_json(Anchored(logs=logs)))
    ledger = open_ledger(hub.data, hub.keystore, hub.now_unix)
    assert "is not the one of which 1 entries were signed" in ledger.halted
    logs["exchange"] = exchange.model_copy(update={"origin": "another/exchange/1"})
    place.write_bytes(dump_json(Anchored(logs=logs)))
    assert "of another log" in open_ledger(hub.data, hub.keystore, hub.now_unix).halted


def test_a_place_that_is_gone_halts_and_loses_nothing(hub: LiveHub, place: Path) -> None:
    """What was committed is answered once the place is back; meanwhile no checkpoint leaves."""
    envelope = hub.seal(hub.outgoing("ly/main"), "tn/main")
    away = place.parent.with_name("away")
    place.parent.rename(away)
    with pytest.raises(Problem) as refusal:
        run(submit(hub, envelope))
    assert refusal.value.word == "hub-halted"

    async def checkpoint() -> None:
        async with hub.client("mr/main") as client:
            await client.checkpoint("exchange", 1)

    with pytest.raises(Problem) as withheld:
        run(checkpoint())
    assert withheld.value.word == "hub-halted"
    hub.stop()
    with pytest.raises(ConfigurationError, match="is not there"):
        open_ledger(hub.data, hub.keystore, hub.now_unix)
    away.rename(place.parent)
    hub.start()
    assert _anchored(place) == _sizes(hub)
    receipt = run(submit(hub, envelope))
    assert (receipt.index, _sizes(hub)["exchange"]) == (0, 1)


def test_another_process_may_have_noted_more(hub: LiveHub, place: Path) -> None:
    """A directory that was loaded beside the running hub: the anchor never goes back."""
    old = hub.ledger.heads()
    hub.ledger.commit([Operate("configuration")])
    sizes = _anchored(place)
    Anchor(place).write(old)
    assert _anchored(place) == sizes


def test_what_is_no_anchor_is_not_overwritten(hub: LiveHub, place: Path) -> None:
    """Another file of that name: the hub does not start, and says which."""
    hub.stop()
    place.write_bytes(b"{}")
    with pytest.raises(ConfigurationError, match="no anchor that can be read"):
        open_ledger(hub.data, hub.keystore, hub.now_unix)
    assert place.read_bytes() == b"{}"


def test_a_hub_is_made_with_an_anchor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command writes it into the settings; without one the doctor warns."""
    monkeypatch.delenv(ANCHOR_VARIABLE, raising=False)
    barid, place = make_barid(tmp_path, monkeypatch), tmp_path / "anchor.json"
    made = barid(
        *("hub", "init", "--data", tmp_path / "HUB", "--exchange", "tripoli-test"),
        *("--address", "127.0.0.1:8443", "--operator", "127.0.0.1:8081", "--anchor", place),
    )
    assert made.exit_code == 0, made.output
    settings = load_hub(tmp_path / "HUB")
    assert settings.anchor == str(place)
    found = anchor_of(settings)
    assert found is not None
    assert found.path == place
    assert anchor_of(settings.model_copy(update={"anchor": None})) is None
