"""Publishing a directory: what the hub refuses to put in force, and what a refusal must not leave behind."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from broker.db import reading
from broker.hub import publications
from broker.hub.directory_log import Operate
from broker.hub.ledger import Work
from broker.hub.publications import Publish
from broker.hub.setup import ROOT_FILE, load_repository, open_ledger
from broker.hub.stored import read_trust_file
from broker.policy.rules import default_texts
from keys.ceremony import TrustSigner, init_repository, online_signer
from keys.repository import TIMESTAMP_NAME, CouncilFiles, Governance
from schemas.errors import BaridError, ConfigurationError, Problem
from schemas.loader import load_json
from tests.exchange import live
from tests.exchange.acting import refusal, submit, verified
from tests.exchange.live import LiveHub, live_hub, now, run
from tests.exchange.raw import rows

POLICY, SCHEMA = default_texts()
SEND = '(principal, action == Action::"send", resource)'
BROKEN = {
    "not Cedar": ("permit (", SCHEMA),
    "no schema": (POLICY, "entity Desk = {"),
    "a rule without an id": (POLICY + '\npermit ' + SEND + ';\n', SCHEMA),
    "a rule that reads what nobody writes": (
        POLICY + '\n@id("x")\nforbid ' + SEND + ' when { context.weather == 1 };\n',
        SCHEMA,
    ),
}  # fmt: skip


@pytest.fixture
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveHub]:
    """A hub of its own for each test."""
    with live_hub(tmp_path_factory.mktemp("publishing") / "hub") as serving:
        run(serving.announce("tn/main"))
        yield serving


@pytest.mark.parametrize("name", BROKEN)
def test_rules_that_do_not_load(hub: LiveHub, name: str) -> None:
    """A directory whose access rules nobody can read stays out of force, and the one before goes on."""
    before, in_force = rows(hub), hub.directory_ref
    with pytest.raises(ConfigurationError, match="not published"):
        hub.publish(hub.signed_targets(2, *BROKEN[name]))
    assert rows(hub) == before
    hub.ledger.catch_up()
    assert hub.directory_ref == in_force
    verified(hub, run(submit(hub, hub.seal(hub.outgoing("ly/main"), "tn/main"))))


def test_a_refused_publication_burns_no_name(hub: LiveHub) -> None:
    """The governors mend what was refused and sign it again under the same version: it comes into force."""
    with pytest.raises(ConfigurationError):
        hub.publish(hub.signed_targets(2, "permit (", SCHEMA))
    marked = POLICY + "\n// mended\n"
    index = hub.publish(hub.signed_targets(2, marked, SCHEMA))
    hub.ledger.catch_up()
    directory = hub.ledger.state.directory
    assert directory is not None
    assert (hub.directory_ref.index, directory.policy_text) == (index, marked)
    run(submit(hub, hub.seal(hub.outgoing("ly/main"), "tn/main")))


def test_what_the_log_does_not_take_is_not_stored(
    hub: LiveHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files, snapshot and timestamp are written with the entry, or not at all, beside other works too."""

    def takes_nothing(*_arguments: object) -> int:
        raise Problem("entry-invalid", "the log does not take it")

    files = hub.signed_member("ly", 2, now() + timedelta(days=9))
    before = rows(hub)
    works: list[Work] = [Publish(files, hub.ledger.signers), Operate("configuration")]
    with monkeypatch.context() as patch:
        patch.setattr(publications, "append_entry", takes_nothing)
        refused, _ = hub.ledger.commit(works)
    assert isinstance(refused, Problem)
    assert (refused.word, refused.detail) == ("publication", "the log does not take it")
    assert rows(hub) == before | {"entry": before["entry"] + 1}


def test_a_jump_is_refused(hub: LiveHub) -> None:
    """Neither a version in between nor one that is in force already with other bytes is left out."""
    before = rows(hub)
    for version in (1, 3):
        with pytest.raises(ConfigurationError, match="not published"):
            hub.publish(hub.signed_targets(version, POLICY + "\n", SCHEMA))
    with pytest.raises(ConfigurationError, match="not published"):
        hub.publish(hub.signed_member("ly", 3, now() + timedelta(days=9), ("0" * 64,)))
    assert rows(hub) == before


def test_another_hubs_logs(hub: LiveHub) -> None:
    """A council that names other log keys, or other logs, is refused: members would look elsewhere."""
    logs = hub.council.logs
    for name in ("directory", "exchange"):
        keys = getattr(logs, name).model_copy(update={"ed25519": bytes(32)})
        council = hub.council.model_copy(update={"logs": logs.model_copy(update={name: keys})})
        with pytest.raises(ConfigurationError, match="other logs"):
            hub.publish(hub.signed_targets(2, POLICY, SCHEMA, council))


def test_a_member_signs_for_nobody_else(hub: LiveHub) -> None:
    """A member's file under another member's key is refused."""
    hub.member_signers["ly"] = hub.member_signers["tn"]
    with pytest.raises(ConfigurationError, match="not published"):
        hub.publish(hub.signed_member("ly", 2, now() + timedelta(days=9)))


def test_the_timestamp_is_the_newest(hub: LiveHub) -> None:
    """TUF's own clients find the newest snapshot: the timestamp is replaced, and nothing else."""

    def stored(name: str) -> bytes:
        with reading(hub.ledger.engine) as connection:
            return read_trust_file(connection, name, 10**7)

    first = stored("metadata/1.snapshot.json")
    hub.publish(hub.signed_member("ly", 2, now() + timedelta(days=9)))
    timestamp = load_json(stored(TIMESTAMP_NAME), 10**6)
    assert timestamp["signed"]["meta"]["snapshot.json"]["version"] == 2
    assert stored("metadata/1.snapshot.json") == first


def test_rules_that_came_into_force_all_the_same(
    hub: LiveHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under unreadable rules nothing is permitted and nothing is logged; the hub goes on, and is mended."""
    monkeypatch.setattr(publications, "rules_of", lambda directory: directory)
    hub.publish(hub.signed_targets(2, "permit (", SCHEMA))
    monkeypatch.undo()
    hub.ledger.catch_up()
    before = rows(hub)
    envelope = hub.seal(hub.outgoing("ly/main"), "tn/main")
    assert refusal(submit(hub, envelope)).word == "directory-invalid"
    assert rows(hub) == before
    hub.publish(hub.signed_targets(3, POLICY, SCHEMA))
    hub.ledger.catch_up()
    verified(hub, run(submit(hub, hub.seal(hub.outgoing("ly/main"), "tn/main"))))


def test_a_first_root_by_mistake(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was never published leaves no trust root: the right repository is loaded afterwards."""
    of_another_hub = LiveHub(tmp_path_factory.mktemp("first") / "hub").files
    monkeypatch.setattr(live, "load_repository", lambda *_arguments: 0)
    fresh = LiveHub(tmp_path_factory.mktemp("second") / "hub")
    strangers = tuple(TrustSigner.generate() for _ in range(3))
    governance = Governance(tuple(g.public_key for g in strangers), 3, strangers)
    wrong = init_repository(
        CouncilFiles(fresh.council, "permit (", SCHEMA),
        fresh.requests,
        governance,
        online_signer(fresh.keystore.get("online")).public,
        now() + timedelta(days=9),
    )
    for files in (wrong, {}, {"metadata/x.root.json": b"{}"}, of_another_hub):
        with pytest.raises(BaridError):
            load_repository(fresh.data, fresh.keystore, files, now())
        assert not (fresh.data / ROOT_FILE).exists()
        with pytest.raises(ConfigurationError, match="no directory is loaded"):
            open_ledger(fresh.data, fresh.keystore, fresh.now_unix)
    assert load_repository(fresh.data, fresh.keystore, fresh.files, now()).index == 0
    assert (fresh.data / ROOT_FILE).read_bytes() == fresh.files["metadata/1.root.json"]
