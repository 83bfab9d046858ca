"""A node that is off: its correspondent is told by mail and command, until somebody acknowledges."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from keys.default_council import default_council
from schemas.bulletin.vocabularies import Precedence
from schemas.directory import Council, HubAddress, Logs
from schemas.loader import dump_json
from tests.exchange import live
from tests.exchange.mail_server import MailServer, mail_server
from tests.exchange.nodes import LiveNode, document, live_exchange, wait_for

MARKER = "Wadi-Zamzam-rendezvous-4711"
DEADLINES = {"flash": 2, "immediate": 2, "priority": 86400, "routine": 86400}


class Watch:
    """Two nodes whose people are told by mail and by a command, and what they heard."""

    def __init__(self, nodes: dict[str, LiveNode], mail: MailServer) -> None:
        self.mail = mail
        self.ly, self.tn = nodes["ly"], nodes["tn"]
        for node in (self.ly, self.tn):
            self._tell(node)

    def _tell(self, node: LiveNode) -> None:
        """Write `notices` into the node's settings, as an administrator does, and start it anew."""
        node.stop()
        hook = node.data / "hook"
        hook.write_text(f'#!/bin/sh\ncat >> "{node.data}/heard"\necho >> "{node.data}/heard"\n')
        hook.chmod(0o700)
        path = node.data / "config.json"
        smtp = json.loads(dump_json(self.mail.settings(sender=f"{node.member}@node.example")))
        notices = {
            "command": {"argv": [str(hook)]},
            "smtp": smtp,
            "repeat_seconds": {"critical": 2},
        }
        path.write_text(json.dumps(json.loads(path.read_bytes()) | {"notices": notices}))
        node.start()

    def heard(self, node: LiveNode, kind: str) -> list[dict[str, Any]]:
        """What the command of a node was told of one kind."""
        path = node.data / "heard"
        lines = path.read_text().splitlines() if path.exists() else []
        alarms = [alarm for line in lines for alarm in json.loads(line)["alarms"]]
        return [alarm for alarm in alarms if alarm["kind"] == kind]

    def mails(self, node: LiveNode, kind: str) -> int:
        """How many mails of a node were about one kind."""
        sender = f"{node.member}@node.example"
        return sum(
            mail["From"] == sender and f"\n{kind}  " in mail.get_content()
            for mail in list(self.mail.came)
        )

    def alarms(self, node: LiveNode, kind: str, query: str = "") -> list[dict[str, Any]]:
        """The alarms of one kind that a node shows."""
        shown = node.call_node("GET", f"/alarms{query}").json()["alarms"]
        return [alarm for alarm in shown if alarm["kind"] == kind]


@pytest.fixture(scope="module")
def watch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watch]:
    """Libya and Tunisia, whose council gives two seconds to what is urgent."""
    folder: Path = tmp_path_factory.mktemp("alarms")

    def impatient(exchange: str, hub: HubAddress, logs: Logs) -> Council:
        council = default_council(exchange, hub, logs)
        deadlines = council.deadlines_seconds.model_copy(update=DEADLINES)
        return council.model_copy(update={"deadlines_seconds": deadlines})

    with pytest.MonkeyPatch.context() as patch, mail_server(folder) as mail:
        patch.setattr(live, "default_council", impatient)
        with live_exchange(folder / "nodes", "ly", "tn") as (_, nodes):
            yield Watch(nodes, mail)


def test_a_node_that_is_off_is_told_of_until_somebody_acknowledges(watch: Watch) -> None:
    """Told again and again, by both ways, without content; quiet once acknowledged; over once delivered."""
    kind = "unanswered-urgent"
    watch.tn.stop()
    bulletin_id, sent = document("ly/main", MARKER)
    assert watch.ly.send(sent, "tn/main", precedence=Precedence.FLASH).status_code == 202
    wait_for(lambda: len(watch.heard(watch.ly, kind)) >= 2 and watch.mails(watch.ly, kind) >= 2)
    [alarm] = watch.alarms(watch.ly, kind)
    assert alarm["subject"] == f"ly/main {bulletin_id} tn/main"
    assert alarm["text"].startswith("precedence flash; queued ")
    assert alarm["text"].endswith("state accepted")

    path = f"/alarms/{kind}/acknowledge"
    answer = watch.ly.call_node("POST", path, params={"by": "Salma"})
    assert answer.json() == {"acknowledged": 1, "by": "Salma (tests)"}
    told = len(watch.heard(watch.ly, kind))
    watch.ly.stop()
    watch.ly.start()
    with pytest.raises(TimeoutError):
        wait_for(lambda: len(watch.heard(watch.ly, kind)) > told + 1, 4)
    assert watch.alarms(watch.ly, kind)[0]["acknowledged_by"] == "Salma (tests)"

    watch.tn.start()
    wait_for(lambda: watch.alarms(watch.ly, kind) == [])
    [over] = watch.alarms(watch.ly, kind, "?all=true")
    assert (over["acknowledged_by"], "cleared" in over) == ("Salma (tests)", True)
    assert watch.ly.states(bulletin_id) == {"tn/main": "delivered"}


def test_a_flash_that_nobody_opens_wakes_its_desk(watch: Watch) -> None:
    """Until somebody reads it: then it is over by itself."""
    kind = "urgent-bulletin"
    bulletin_id, sent = document("ly/main", MARKER)
    assert watch.ly.send(sent, "tn/main", precedence=Precedence.FLASH).status_code == 202
    subject = f"tn/main ly/main {bulletin_id}"

    def told() -> int:
        return sum(alarm["subject"] == subject for alarm in watch.heard(watch.tn, kind))

    wait_for(lambda: told() >= 2 and watch.mails(watch.tn, kind) >= 2)
    assert watch.tn.call("GET", f"/inbox/ly/main/{bulletin_id}").status_code == 200
    wait_for(lambda: subject not in {each["subject"] for each in watch.alarms(watch.tn, kind)})


def test_what_people_heard_holds_no_word_of_a_bulletin(watch: Watch) -> None:
    """Neither mail nor command, though many were sent."""
    heard = b"".join((node.data / "heard").read_bytes() for node in (watch.ly, watch.tn))
    mails = "".join(str(mail["Subject"]) + mail.get_content() for mail in watch.mail.came)
    assert b"precedence flash" in heard
    assert "precedence flash" in mails
    assert MARKER.encode() not in heard
    assert MARKER not in mails


def test_a_trial_goes_by_mail_and_command(watch: Watch) -> None:
    """From the process that would tell of an alarm, with its settings."""
    before = len(watch.mail.came)
    answer = watch.ly.call_node("POST", "/alarms/test")
    assert answer.json() == {"channels": [{"channel": "command"}, {"channel": "smtp"}]}
    wait_for(lambda: any("trial" in mail["Subject"] for mail in watch.mail.came[before:]))
