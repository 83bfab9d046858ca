"""Settings: strict, written once, read back as they were."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from broker.settings import (
    AuditorSettings,
    HubSettings,
    Listen,
    NodeSettings,
    load_auditor,
    load_hub,
    load_node,
    save_auditor,
    save_hub,
    save_node,
)
from schemas.errors import ConfigurationError

HERE = Listen(host="127.0.0.1", port=8443)
HUB = HubSettings(
    exchange="tripoli-demo",
    listen=HERE,
    operator=Listen(host="127.0.0.1", port=9000),
    authority="hub.example:8443",
    names=("hub.example", "127.0.0.1"),
)
NODE = NodeSettings(exchange="tripoli-demo", member="ly", desks=("judicial", "main"), listen=HERE)
NOTICES = {
    "language": "ar",
    "command": {"argv": ["/usr/local/bin/ring", "flash"], "timeout_seconds": 10},
    "smtp": {
        "host": "mail.example",
        "port": 587,
        "security": "starttls",
        "sender": "barid@node.example",
        "recipients": ["duty@agency.example"],
        "username": "barid",
        "password_file": "/run/credentials/barid-node.service/mail",
    },
    "repeat_seconds": {"critical": 120},
}
AUDITOR = AuditorSettings(exchange="tripoli-demo", desk="auc/audit")


def test_settings_are_read_back_as_written(tmp_path: Path) -> None:
    """Each kind of party has its own."""
    save_hub(tmp_path / "hub", HUB)
    save_node(tmp_path / "node", NODE)
    save_auditor(tmp_path / "auditor", AUDITOR)
    assert load_hub(tmp_path / "hub") == HUB
    assert load_node(tmp_path / "node") == NODE
    assert load_auditor(tmp_path / "auditor") == AUDITOR
    assert NODE.desk_ids == ("ly/judicial", "ly/main")


def test_settings_are_written_once(tmp_path: Path) -> None:
    """An `init` in the wrong directory destroys nothing."""
    save_node(tmp_path, NODE)
    with pytest.raises(ConfigurationError, match="another data directory"):
        save_hub(tmp_path, HUB)
    assert load_node(tmp_path) == NODE


def test_one_party_does_not_read_anothers_settings(tmp_path: Path) -> None:
    """A node started in a hub's directory says so."""
    save_hub(tmp_path, HUB)
    with pytest.raises(ConfigurationError, match="not right"):
        load_node(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{}",
        b'{"role":"auditor","exchange":"tripoli-demo","desk":"auc/audit","more":1}',
        b'{"role":"auditor","exchange":"tripoli-demo","desk":"auc/audit","desk":"ly/main"}',
        b'{"role":"auditor","exchange":"tripoli-demo","desk":"AUC"}',
    ],
)
def test_wrong_settings_are_refused(tmp_path: Path, text: bytes) -> None:
    """Unknown members, double names, missing and wrong values."""
    (tmp_path / "config.json").write_bytes(text)
    with pytest.raises(ConfigurationError, match="not right"):
        load_auditor(tmp_path)


def test_no_settings_say_what_to_do(tmp_path: Path) -> None:
    """The first command is `init`."""
    with pytest.raises(ConfigurationError, match="init"):
        load_node(tmp_path)


def test_notices_are_read_as_an_administrator_writes_them(tmp_path: Path) -> None:
    """A member beside the others in config.json; what is not named has its default."""
    save_node(tmp_path, NODE)
    plain = json.loads((tmp_path / "config.json").read_bytes())
    assert "notices" not in plain
    (tmp_path / "config.json").write_text(json.dumps(plain | {"notices": NOTICES}))
    notices = load_node(tmp_path).notices
    assert notices is not None
    assert notices.command is not None
    assert notices.command.argv == ("/usr/local/bin/ring", "flash")
    repeat = notices.repeat_seconds
    assert (repeat.critical, repeat.serious, repeat.minor) == (120, 3600, 86400)
    wrong = plain | {"notices": NOTICES | {"language": "de"}}
    (tmp_path / "config.json").write_text(json.dumps(wrong))
    with pytest.raises(ConfigurationError, match=r"\$\.notices\.language"):
        load_node(tmp_path)
