"""Making an auditor, joining by an invitation, opening it again."""

from __future__ import annotations

from pathlib import Path

import pytest

from broker.audit.reading import LogSource
from broker.audit.setup import INVITATION_FILE, init_auditor, join_auditor, open_auditor
from broker.client import HubClient
from broker.settings import AuditorSettings
from keys.ceremony import read_member_request
from keys.keystore import KdfCost
from schemas.directory import Names
from schemas.errors import ConfigurationError
from schemas.loader import dump_json
from tests.exchange.trust_world import START
from tests.unit.audit.world import AuditWorld

CHEAP = KdfCost(operations=1, memory_bytes=8 * 1024 * 1024)
PASSPHRASE = b"a passphrase of tests"
SETTINGS = AuditorSettings(exchange="tripoli-test", desk="auc/audit")
NAMES = Names(ar="التدقيق", fr="Audit", en="Audit")


def as_source(client: HubClient) -> LogSource:
    """The hub's client is what an audit reads from; mypy proves it."""
    return client


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The directory of an auditor that was made, and has not joined yet."""
    init_auditor(tmp_path / "auditor", SETTINGS, PASSPHRASE, START, NAMES, CHEAP)
    return tmp_path / "auditor"


def test_request_declares_a_desk_without_node(tmp_path: Path) -> None:
    """The governors get a signed request of a desk that can read and nothing else."""
    path = init_auditor(tmp_path / "auditor", SETTINGS, PASSPHRASE, START, NAMES, CHEAP)
    request = read_member_request(path.read_bytes())
    assert request.member == "auc"
    assert list(request.file.desks) == ["audit"]
    desk = request.file.desks["audit"]
    assert (desk.node, desk.release, desk.names) == (None, (), NAMES)


def test_auditor_opens_with_the_key_that_it_declared(data: Path, world: AuditWorld) -> None:
    """After joining, the auditor calls with the request key of its member's request."""
    join_auditor(data, dump_json(world.invitation))
    auditor = open_auditor(data, PASSPHRASE)
    request = read_member_request((data / "member-request.json").read_bytes())
    assert auditor.settings == SETTINGS
    assert auditor.invitation == world.invitation
    assert auditor.request_key.public == request.file.desks["audit"].request


def test_directory_in_use_is_refused(data: Path) -> None:
    """An auditor is never made over another."""
    before = (data / "member-request.json").read_bytes()
    with pytest.raises(ConfigurationError, match="in use"):
        init_auditor(data, SETTINGS, PASSPHRASE, START, NAMES, CHEAP)
    assert (data / "member-request.json").read_bytes() == before


def test_files_are_closed_to_others(data: Path) -> None:
    """The data directory and the keystore are for their owner alone."""
    assert (data.stat().st_mode & 0o777, (data / "keystore").stat().st_mode & 0o777) == (
        0o700,
        0o700,
    )


def test_auditor_opens_only_after_joining(data: Path) -> None:
    """Without invitation the message says what to run."""
    with pytest.raises(ConfigurationError, match="barid audit join"):
        open_auditor(data, PASSPHRASE)


def test_wrong_passphrase(data: Path, world: AuditWorld) -> None:
    """A wrong passphrase opens nothing."""
    join_auditor(data, dump_json(world.invitation))
    with pytest.raises(ConfigurationError, match="passphrase"):
        open_auditor(data, b"another passphrase")


def test_joining_twice_by_the_same_invitation(data: Path, world: AuditWorld) -> None:
    """The same invitation again is harmless; one with another root is refused, the first one kept."""
    join_auditor(data, dump_json(world.invitation))
    join_auditor(data, dump_json(world.invitation))
    with pytest.raises(ConfigurationError, match="another invitation"):
        join_auditor(data, dump_json(AuditWorld().invitation))
    assert (data / INVITATION_FILE).read_bytes() == dump_json(world.invitation)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"exchange": "other-exchange"}, "belongs to tripoli-test"),
        ({"root": b"{}"}, "no sound invitation"),
    ],
)
def test_unsound_invitation(
    data: Path, world: AuditWorld, changed: dict[str, object], message: str
) -> None:
    """An invitation to another exchange, or without a signed root, is refused and not stored."""
    invitation = world.invitation.model_copy(update=changed)
    with pytest.raises(ConfigurationError, match=message):
        join_auditor(data, dump_json(invitation))
    assert not (data / INVITATION_FILE).exists()


def test_truncated_invitation(data: Path, world: AuditWorld) -> None:
    """Half an invitation is none."""
    with pytest.raises(ConfigurationError, match="no sound invitation"):
        join_auditor(data, dump_json(world.invitation)[:-10])


def test_joining_without_an_auditor(tmp_path: Path, world: AuditWorld) -> None:
    """An invitation needs an auditor to join."""
    with pytest.raises(ConfigurationError, match="init"):
        join_auditor(tmp_path, dump_json(world.invitation))
