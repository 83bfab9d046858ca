"""Making a node and joining: keys on the disk, a request that verifies, one root of trust for good."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from broker.node.app import serve_node
from broker.node.home import load_invitation, open_home
from broker.node.setup import init_node, join_node
from broker.settings import Listen, NodeSettings
from keys.ceremony import read_member_request
from keys.default_council import classification_names, desk_names
from schemas.directory import Invitation, Names
from schemas.errors import ConfigurationError
from schemas.loader import dump_json
from tests.unit.node.world import CHEAP, PASSPHRASE, NodeWorld, at

SETTINGS = NodeSettings(
    exchange="tripoli-test",
    member="ly",
    desks=("judicial", "main"),
    listen=Listen(host="127.0.0.1", port=0),
)


def init(data: Path) -> Path:
    """Make a node of ly."""
    return init_node(data, SETTINGS, PASSPHRASE, at(), cost=CHEAP)


def invitation(world: NodeWorld, **changed: object) -> bytes:
    """The governors' invitation."""
    made = Invitation(
        v=1,
        exchange=world.exchange,
        hub=world.hub,
        logs=world.logs,
        root=world.initial_root,
    )
    return dump_json(made.model_copy(update=changed))


def test_a_node_is_made_and_opened(tmp_path: Path) -> None:
    """The request names the keys that the home holds, and nothing private is readable."""
    request = read_member_request(init(tmp_path / "ly").read_bytes())
    home = open_home(tmp_path / "ly", PASSPHRASE)
    assert set(home.desks) == {"ly/judicial", "ly/main"}
    for desk, keys in home.desks.items():
        declared = request.file.desks[desk.partition("/")[2]]
        assert (declared.node, declared.request) == (keys.node.public, keys.request.public)
        for file in (tmp_path / "ly").rglob("*"):
            if file.is_file():
                assert keys.node.seeds()[:32] not in file.read_bytes()
    home.close()


def test_a_known_desk_has_its_national_names(tmp_path: Path) -> None:
    """Desk and levels are called what the state calls them; a desk that nobody foresaw, by its id."""
    settings = SETTINGS.model_copy(update={"member": "dz", "desks": ("main", "harbour")})
    request = init_node(tmp_path / "dz", settings, PASSPHRASE, at(), cost=CHEAP)
    file = read_member_request(request.read_bytes()).file
    assert {unit: desk.names for unit, desk in file.desks.items()} == {
        "main": desk_names("dz", "main"),
        "harbour": Names(ar="dz/harbour", fr="dz/harbour", en="dz/harbour"),
    }
    assert file.classification_names == classification_names("dz")
    assert len(file.classification_names) == 4


def test_a_member_that_nobody_foresaw_has_no_national_names(tmp_path: Path) -> None:
    """Its desks are called by their ids, and the levels have no national names yet."""
    settings = SETTINGS.model_copy(update={"member": "fr", "desks": ("main",)})
    request = init_node(tmp_path / "fr", settings, PASSPHRASE, at(), cost=CHEAP)
    file = read_member_request(request.read_bytes()).file
    assert file.desks["main"].names == Names(ar="fr/main", fr="fr/main", en="fr/main")
    assert file.classification_names == {}


def test_a_wrong_passphrase_opens_nothing(tmp_path: Path) -> None:
    """And says so."""
    init(tmp_path / "ly")
    with pytest.raises(ConfigurationError, match="passphrase"):
        open_home(tmp_path / "ly", b"another passphrase")


def test_a_node_is_made_once(tmp_path: Path) -> None:
    """A second `init` destroys no keys."""
    init(tmp_path / "ly")
    before = (tmp_path / "ly" / "member-request.json").read_bytes()
    with pytest.raises(ConfigurationError, match="in use"):
        init(tmp_path / "ly")
    assert (tmp_path / "ly" / "member-request.json").read_bytes() == before


def test_the_invitation_is_kept(world: NodeWorld, tmp_path: Path) -> None:
    """Joining twice with the same is harmless."""
    init(tmp_path / "ly")
    with pytest.raises(ConfigurationError, match="node join"):
        load_invitation(tmp_path / "ly", "tripoli-test")
    for _ in range(2):
        join_node(tmp_path / "ly", invitation(world))
    assert load_invitation(tmp_path / "ly", "tripoli-test").root == world.initial_root


def test_a_root_of_trust_is_never_replaced(world: NodeWorld, tmp_path: Path) -> None:
    """A second invitation with another root is refused, and the first stays."""
    init(tmp_path / "ly")
    join_node(tmp_path / "ly", invitation(world))
    other = NodeWorld()
    with pytest.raises(ConfigurationError, match="another invitation"):
        join_node(tmp_path / "ly", invitation(world, root=other.initial_root))
    assert load_invitation(tmp_path / "ly", "tripoli-test").root == world.initial_root


@pytest.mark.parametrize(
    "changed", [{"root": b"{}"}, {"exchange": "another-exchange"}], ids=["no root", "not ours"]
)
def test_a_wrong_invitation_is_refused(
    world: NodeWorld, tmp_path: Path, changed: dict[str, object]
) -> None:
    """Nothing is stored."""
    init(tmp_path / "ly")
    with pytest.raises(ConfigurationError):
        join_node(tmp_path / "ly", invitation(world, **changed))
    assert not (tmp_path / "ly" / "invitation.json").exists()


def test_a_root_that_its_threshold_did_not_sign_is_refused(
    world: NodeWorld, tmp_path: Path
) -> None:
    """One flipped byte in a signature is enough."""
    init(tmp_path / "ly")
    root = world.initial_root.replace(b'"sig": "', b'"sig": "00', 5).replace(
        b'"sig":"', b'"sig":"00', 5
    )
    assert root != world.initial_root
    with pytest.raises(ConfigurationError, match="no invitation"):
        join_node(tmp_path / "ly", invitation(world, root=root))


def test_a_directory_is_served_by_one_process(tmp_path: Path) -> None:
    """A second one is told so before it touches the database; the lock ends with the process that has it."""
    init(tmp_path / "ly")
    program = (
        "import sys, pathlib; from broker.node.home import served_alone\n"
        "with served_alone(pathlib.Path(sys.argv[1])): print(flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "ly")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(ConfigurationError, match="another process serves"):
            serve_node(tmp_path / "ly", PASSPHRASE)
        # Its people still make tokens and look at it.
        open_home(tmp_path / "ly", PASSPHRASE).close()
    finally:
        holder.kill()
        holder.communicate()
    with pytest.raises(ConfigurationError, match="node join"):
        serve_node(tmp_path / "ly", PASSPHRASE)
