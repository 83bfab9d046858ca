"""The doctors of hub and node beside running servers: nothing wrong, and each thing that may be wrong."""

from __future__ import annotations

import shutil
from collections import namedtuple
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from broker.certificates import renew
from broker.checks import Check, Grade
from broker.db import open_sqlcipher, open_sqlite, snapshot, writing
from broker.hub.anchor import ANCHOR_VARIABLE
from broker.hub.doctor import diagnose_hub
from broker.hub.watching import why_not_ready as why_hub_not_ready
from broker.node.clock import utc_now
from broker.node.doctor import diagnose_node
from broker.node.home import DATABASE_KEY_NAME
from broker.node.line import Line
from broker.operating import operator_served
from broker.settings import CommandNotices, Listen, Notices, load_node, write_whole
from keys.keystore import Keystore
from schemas.loader import dump_json
from tests.exchange.live import PASSPHRASE, LiveHub, free_port, now, run
from tests.exchange.nodes import LiveNode, live_exchange

Exchange = tuple[LiveHub, dict[str, LiveNode]]
Usage = namedtuple("Usage", "total used free")


@pytest.fixture(autouse=True)
def _anchor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second place, without which a hub is warned."""
    monkeypatch.setenv(ANCHOR_VARIABLE, str(tmp_path / "anchor.json"))


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    """A hub and a node that are running, and the hub's operator address."""
    with live_exchange(tmp_path_factory.mktemp("doctors"), "tn") as running:
        hub = running[0]
        hub.data.chmod(0o700)
        operator = Listen(host="127.0.0.1", port=free_port())
        settings = hub.settings.model_copy(update={"operator": operator})
        write_whole(hub.data / "config.json", dump_json(settings))
        ready = partial(why_hub_not_ready, hub.ledger)
        with operator_served(operator, ready, CollectorRegistry()):
            yield running


@pytest.fixture
def node_copy(exchange: Exchange, tmp_path: Path) -> Path:
    """The node's directory once more, to be spoilt; its database as of this moment."""
    return _copied(exchange[1]["tn"].data, tmp_path / "tn")


@pytest.fixture
def hub_copy(exchange: Exchange, tmp_path: Path) -> Path:
    """The hub's directory once more, to be spoilt."""
    return _copied(exchange[0].data, tmp_path / "hub")


def _copied(data: Path, to: Path) -> Path:
    shutil.copytree(data, to, ignore=shutil.ignore_patterns("*.db*"))
    to.chmod(0o700)
    keystore = Keystore.open(data / "keystore", PASSPHRASE)
    if (data / "hub.db").exists():
        engine = open_sqlite(data / "hub.db")
        snapshot(engine, to / "hub.db")
    else:
        engine = open_sqlcipher(data / "node.db", keystore.get(DATABASE_KEY_NAME))
        snapshot(engine, to / "node.db")
    engine.dispose()
    return to


def ask_node(
    data: Path, clock: Callable[[], datetime] = utc_now, passphrase: bytes = PASSPHRASE
) -> list[Check]:
    """What the node's doctor finds."""

    async def ask() -> list[Check]:
        return [check async for check in diagnose_node(data, passphrase, clock)]

    found: list[Check] = run(ask())
    return found


def ask_hub(data: Path, at: datetime | None = None, passphrase: bytes = PASSPHRASE) -> list[Check]:
    """What the hub's doctor finds."""
    return list(diagnose_hub(data, passphrase, at or now()))


def wrong(checks: list[Check]) -> dict[str, Grade]:
    """What is not ok; each such check says what to do."""
    assert all(bool(check.advice) == (check.grade is not Grade.OK) for check in checks)
    worst: dict[str, Grade] = {}
    for check in checks:
        if check.grade is Grade.FAIL or check.name not in worst:
            worst[check.name] = check.grade
    return {name: grade for name, grade in worst.items() if grade is not Grade.OK}


def test_a_hub_that_is_well(exchange: Exchange) -> None:
    """Everything is looked at, and nothing is wrong."""
    checks = ask_hub(exchange[0].data)
    assert wrong(checks) == {}
    assert [check.name for check in checks] == [
        "settings",
        "file modes",
        "disk",
        "TLS certificate",
        "keystore",
        "database",
        "schema",
        "logs",
        "anchor",
        "directory",
        "timestamp",
        "operator address",
        "served certificate",
    ]


def test_a_node_that_is_well(exchange: Exchange) -> None:
    """Everything is looked at; that nobody is told of alarms, and can watch it, is all there is to say."""
    checks = ask_node(exchange[1]["tn"].data)
    assert wrong(checks) == {"notices": Grade.WARN, "operator address": Grade.WARN}
    assert [check.name for check in checks] == [
        "settings",
        "notices",
        "file modes",
        "disk",
        "TLS certificate",
        "keystore",
        "database",
        "schema",
        "clock",
        "line to the hub",
        "line to the hub",
        "directory",
        "freshness",
        "own keys",
        "alarms",
        "operator address",
        "served certificate",
    ]


def test_no_secret_is_said(exchange: Exchange) -> None:
    """Neither doctor says a passphrase, a key or a token."""
    hub, nodes = exchange
    said = repr([*ask_hub(hub.data), *ask_node(nodes["tn"].data)])
    keystore = Keystore.open(nodes["tn"].data / "keystore", PASSPHRASE)
    kept = [keystore.get(name).hex() for name in keystore.names()]
    kept += [PASSPHRASE.decode(), *nodes["tn"].tokens.values()]
    assert [secret for secret in kept if secret in said] == []


def _loosen(data: Path) -> None:
    (data / "tls.key").chmod(0o640)


def _expose_keystore(data: Path) -> None:
    (data / "keystore").chmod(0o755)


def _expose_all(data: Path) -> None:
    data.chmod(0o755)


def _damage(data: Path) -> None:
    (path,) = data.glob("*.db")
    whole = bytearray(path.read_bytes())
    whole[8192:12288] = bytes(4096)
    path.write_bytes(whole)


def _lose_database(data: Path) -> None:
    (path,) = data.glob("*.db")
    path.unlink()


def _lose_key(data: Path) -> None:
    next((data / "keystore").glob("*node*.key")).unlink()


def _lose_log_key(data: Path) -> None:
    next((data / "keystore").glob("log*.key")).unlink()


def _lose_program(data: Path) -> None:
    notices = Notices(language="fr", command=CommandNotices(argv=(str(data / "gone"),)))
    settings = load_node(data).model_copy(update={"notices": notices})
    write_whole(data / "config.json", dump_json(settings))


def _lose_settings(data: Path) -> None:
    (data / "config.json").write_text("{}")


def _lose_invitation(data: Path) -> None:
    (data / "invitation.json").unlink()


def _restore(data: Path) -> None:
    (data / "restored.json").write_text("{}")


def _renew(data: Path) -> None:
    renew(data, None, None, ("127.0.0.1",), now())


def _lose_root(data: Path) -> None:
    (data / "root.json").unlink()


@pytest.mark.parametrize(
    ("spoil", "name", "grade"),
    [
        (_loosen, "file modes", Grade.FAIL),
        (_expose_all, "file modes", Grade.FAIL),
        (_expose_keystore, "keystore", Grade.FAIL),
        (_damage, "database", Grade.FAIL),
        (_lose_database, "keystore", Grade.FAIL),
        (_lose_key, "keystore", Grade.FAIL),
        (_lose_program, "notices", Grade.FAIL),
        (_lose_settings, "settings", Grade.FAIL),
        (_lose_invitation, "invitation", Grade.FAIL),
        (_restore, "restore", Grade.WARN),
        (_renew, "served certificate", Grade.WARN),
    ],
)
def test_a_node_that_is_ill(
    node_copy: Path, spoil: Callable[[Path], None], name: str, grade: Grade
) -> None:
    """Each thing that is wrong is found, with its grade and what to do."""
    spoil(node_copy)
    assert wrong(ask_node(node_copy))[name] == grade


@pytest.mark.parametrize(
    ("spoil", "name", "grade"),
    [
        (_loosen, "file modes", Grade.FAIL),
        (_expose_keystore, "keystore", Grade.FAIL),
        (_damage, "database", Grade.FAIL),
        (_lose_database, "database", Grade.FAIL),
        (_lose_log_key, "keystore", Grade.FAIL),
        (_lose_settings, "settings", Grade.FAIL),
        (_lose_root, "directory", Grade.FAIL),
        (_renew, "served certificate", Grade.WARN),
    ],
)
def test_a_hub_that_is_ill(
    hub_copy: Path, spoil: Callable[[Path], None], name: str, grade: Grade
) -> None:
    """Each thing that is wrong is found, with its grade and what to do."""
    spoil(hub_copy)
    assert wrong(ask_hub(hub_copy))[name] == grade


def test_a_wrong_passphrase(exchange: Exchange) -> None:
    """Nothing behind it is looked at at the node; at the hub the database is."""
    hub, nodes = exchange
    assert wrong(ask_node(nodes["tn"].data, passphrase=b"another passphrase")) == {
        "notices": Grade.WARN,
        "keystore": Grade.FAIL,
    }
    checks = ask_hub(hub.data, passphrase=b"another passphrase")
    assert wrong(checks) == {"keystore": Grade.FAIL}
    assert "logs" in [check.name for check in checks]


@pytest.mark.parametrize(
    ("seconds", "grade"), [(20, None), (45, Grade.WARN), (-45, Grade.WARN), (900, Grade.FAIL)]
)
def test_a_clock_that_is_off(exchange: Exchange, seconds: int, grade: Grade | None) -> None:
    """The node's clock is compared with the hub's, also where the hub refuses what it signs."""
    data = exchange[1]["tn"].data
    found = wrong(ask_node(data, lambda: utc_now() + timedelta(seconds=seconds)))
    assert found.get("clock") == grade
    assert "line to the hub" not in found


def test_a_hub_whose_clock_is_behind_its_own_logs(exchange: Exchange) -> None:
    """It has no other clock to look at; entries never run backwards."""
    data = exchange[0].data
    assert wrong(ask_hub(data, now() - timedelta(hours=1)))["clock"] == Grade.FAIL


def test_what_runs_out(exchange: Exchange) -> None:
    """Both warn of the council and the certificate before they end, and fail after that."""
    hub, nodes = exchange
    soon, late = timedelta(days=350), timedelta(days=400)
    assert wrong(ask_hub(hub.data, now() + soon))["directory"] == Grade.WARN
    assert wrong(ask_hub(hub.data, now() + late))["directory"] == Grade.FAIL
    for lived, grade in ((timedelta(days=370), Grade.WARN), (late, Grade.FAIL)):
        assert wrong(ask_hub(hub.data, now() + lived))["TLS certificate"] == grade
    found = wrong(ask_node(nodes["tn"].data, lambda: utc_now() + late))
    assert (found["directory"], found["own keys"]) == (Grade.FAIL, Grade.FAIL)


def test_a_timestamp_that_nobody_renews(exchange: Exchange) -> None:
    """A hub that does not serve lets its timestamp run out within a day, and its snapshot within a month."""
    for age in (timedelta(hours=25), timedelta(days=31)):
        assert wrong(ask_hub(exchange[0].data, now() + age))["timestamp"] == Grade.WARN


def test_a_full_disk(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both say how much is free."""
    hub, nodes = exchange
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(2**40, 2**40 - 2**20, 2**20))
    assert wrong(ask_hub(hub.data))["disk"] == Grade.FAIL
    assert wrong(ask_node(nodes["tn"].data))["disk"] == Grade.FAIL


@pytest.mark.parametrize(("schema", "grade"), [("0001", Grade.WARN), ("9999", Grade.FAIL)])
def test_another_schema(node_copy: Path, hub_copy: Path, schema: str, grade: Grade) -> None:
    """An older one is left as it is, since the server brings it up to date; a newer one is no server's."""
    keystore = Keystore.open(node_copy / "keystore", PASSPHRASE)
    for engine in (
        open_sqlcipher(node_copy / "node.db", keystore.get(DATABASE_KEY_NAME)),
        open_sqlite(hub_copy / "hub.db"),
    ):
        with writing(engine) as connection:
            connection.exec_driver_sql("UPDATE alembic_version SET version_num = ?", (schema,))
        engine.dispose()
    for _ in range(2):
        assert wrong(ask_node(node_copy))["schema"] == grade
        assert wrong(ask_hub(hub_copy))["schema"] == grade


def _nowhere_else(_line: Line) -> None:
    """The directory in force has no other address and certificate than the invitation."""


def test_where_the_directory_says_that_the_hub_is(exchange: Exchange, node_copy: Path) -> None:
    """An invitation that has grown old does no harm: the directory in force names the hub's address."""
    invitation = exchange[0].invitation
    address = invitation.hub.model_copy(update={"url": f"https://127.0.0.1:{free_port()}"})
    write_whole(
        node_copy / "invitation.json", dump_json(invitation.model_copy(update={"hub": address}))
    )
    assert "line to the hub" not in wrong(ask_node(node_copy))


def test_a_hub_that_is_off(
    exchange: Exchange, node_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node without a line says so; it may still look at itself."""
    monkeypatch.setattr(Line, "aim", _nowhere_else)
    invitation = exchange[0].invitation
    address = invitation.hub.model_copy(update={"url": f"https://127.0.0.1:{free_port()}"})
    write_whole(
        node_copy / "invitation.json", dump_json(invitation.model_copy(update={"hub": address}))
    )
    checks = ask_node(node_copy)
    assert wrong(checks)["line to the hub"] == Grade.FAIL
    assert "own keys" in [check.name for check in checks]


def test_a_hub_under_another_certificate(
    exchange: Exchange, node_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node that does not trust the hub's certificate gets no line, and is told why."""
    monkeypatch.setattr(Line, "aim", _nowhere_else)
    invitation = exchange[0].invitation
    other = (node_copy / "tls.crt").read_text("ascii")
    address = invitation.hub.model_copy(update={"tls_trust": other})
    write_whole(
        node_copy / "invitation.json", dump_json(invitation.model_copy(update={"hub": address}))
    )
    (check,) = [c for c in ask_node(node_copy) if c.name == "line to the hub"]
    assert (check.grade, "certificate" in check.said.lower()) == (Grade.FAIL, True)


def test_a_node_that_is_not_ready(node_copy: Path) -> None:
    """What it says at its operator's address is passed on; where nobody answers, it may be off."""
    listen = Listen(host="127.0.0.1", port=free_port())
    settings = load_node(node_copy).model_copy(update={"operator": listen})
    write_whole(node_copy / "config.json", dump_json(settings))
    assert wrong(ask_node(node_copy))["operator address"] == Grade.WARN
    with operator_served(listen, lambda: "the hub does not answer", CollectorRegistry()):
        (check,) = [c for c in ask_node(node_copy) if c.name == "operator address"]
    assert (check.grade, "the hub does not answer" in check.said) == (Grade.FAIL, True)
