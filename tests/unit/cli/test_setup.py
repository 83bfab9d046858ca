"""Making an exchange with the commands: hub, node, auditor, governors; and what they refuse."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from broker.cli.exits import Exit
from broker.settings import HubSettings, Listen, save_hub
from schemas.directory import Invitation
from schemas.loader import load_json, parse
from schemas.scalars import encode_base64
from tests.unit.cli.conftest import Barid
from tests.unit.cli.founding import EXCHANGE, governor_options

pytestmark = pytest.mark.usefixtures("_cheap_keystores")


def test_exchange_is_founded_by_commands(founded: Path) -> None:
    """Three of five governors signed; the invitation holds the root; each key lies in its holder's folder."""
    trust = founded / "trust"
    root = json.loads((trust / "repository" / "metadata" / "1.root.json").read_bytes())
    roles = root["signed"]["roles"]
    assert {name: (len(roles[name]["keyids"]), roles[name]["threshold"]) for name in roles} == {
        "root": (5, 3),
        "targets": (5, 3),
        "snapshot": (1, 1),
        "timestamp": (1, 1),
    }
    assert len(root["signatures"]) == 3
    invitation = parse(Invitation, (trust / "invitation.json").read_bytes(), 10**6)
    assert json.loads(invitation.root) == root
    for governor in (founded / "governors").iterdir():
        assert governor.stat().st_mode & 0o077 == 0


def test_a_repository_is_published_once(founded: Path, barid: Barid) -> None:
    """The same again, as a folder or as a publication, says which entry holds it, and logs nothing."""
    folder = founded / "trust" / "repository"
    files = {
        path.relative_to(folder).as_posix(): encode_base64(path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file()
    }
    exchange = load_json((founded / "hub" / "hub.json").read_bytes(), 10**6)["exchange"]
    publication = founded / "publication.json"
    publication.write_text(json.dumps({"v": 1, "exchange": exchange, "files": files}))
    for path in (folder, publication):
        result = barid("hub", "load", "--data", founded / "hub", path)
        assert result.exit_code == Exit.OK
        assert "entry 0 of the directory log" in result.stdout


def test_a_publication_that_is_none_is_not_loaded(founded: Path, barid: Barid) -> None:
    """Any other file, and a publication of another exchange, is refused by name."""
    file = founded / "publication.json"
    other = {"v": 1, "exchange": "elsewhere", "files": {"metadata/2.targets.json": "e30="}}
    for text, why in (("{}", "is no publication"), (json.dumps(other), "another exchange")):
        file.write_text(text)
        result = barid("hub", "load", "--data", founded / "hub", file)
        assert (result.exit_code, why in result.stderr) == (Exit.CONFIGURATION, True)


def test_another_invitation_is_refused(founded: Path, barid: Barid) -> None:
    """Who joined once is not led to another root of trust."""
    path = founded / "trust" / "invitation.json"
    other = load_json(path.read_bytes(), 10**6)
    other["logs"]["exchange"]["origin"] = "elsewhere/exchange/1"
    path.write_text(json.dumps(other))
    for group, data in (("node", "tn"), ("audit", "auc")):
        result = barid(group, "join", "--data", founded / data, path)
        assert result.exit_code == Exit.CONFIGURATION
        assert "another invitation" in result.stderr


def test_where_the_hub_is_may_change(founded: Path, barid: Barid) -> None:
    """An invitation of the same root and logs tells of a new address, and of a new certificate."""
    path = founded / "trust" / "invitation.json"
    moved = load_json(path.read_bytes(), 10**6)
    moved["hub"]["url"] = "https://127.0.0.1:9"
    path.write_text(json.dumps(moved))
    for group, data in (("node", "tn"), ("audit", "auc")):
        assert barid(group, "join", "--data", founded / data, path).exit_code == Exit.OK
        assert (founded / data / "invitation.json").read_bytes() == path.read_bytes()


def test_tokens_are_made_listed_and_revoked(founded: Path, barid: Barid) -> None:
    """A token is shown once; the list says whose it is and never what it is."""
    data = ("--data", founded / "tn")
    made = barid("node", "token", "create", *data, "--desk", "main", "--read", "--name", "analysts")
    assert made.exit_code == 0
    text = made.stdout.strip()
    listed = json.loads(barid("node", "token", "list", *data, "--json").stdout)
    assert [(each["desk"], each["actions"], each["name"]) for each in listed] == [
        ("tn/main", ["read"], "analysts")
    ]
    plain = barid("node", "token", "list", *data).stdout
    assert "analysts" in plain
    assert text not in plain
    assert barid("node", "token", "revoke", *data, listed[0]["id"]).exit_code == 0
    again = json.loads(barid("node", "token", "list", *data, "--json").stdout)
    assert again[0]["revoked"].endswith("Z")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--desk", "main"), Exit.USAGE, "--send"),
        (("--desk", "customs", "--read"), Exit.CONFIGURATION, "tn/customs is no desk of this node"),
        (("--desk", "ly/main", "--read"), Exit.CONFIGURATION, "ly/main is no desk of this node"),
    ],
)
def test_useless_token_is_not_made(
    founded: Path, barid: Barid, arguments: tuple[str, ...], code: Exit, said: str
) -> None:
    """A token allows something, at a desk of this node."""
    data = ("--data", founded / "tn")
    result = barid("node", "token", "create", *data, *arguments)
    assert (result.exit_code, result.stdout) == (code, "")
    assert said in result.stderr
    assert json.loads(barid("node", "token", "list", *data, "--json").stdout) == []


def test_wrong_passphrase_is_explained(
    founded: Path, barid: Barid, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong passphrase ends as a wrong configuration, and says which keystore it was."""
    other = founded / "other"
    other.touch(mode=0o600)
    other.write_text("not the passphrase")
    monkeypatch.setenv("BARID_PASSPHRASE_FILE", str(other))
    result = barid("node", "token", "list", "--data", founded / "tn")
    assert result.exit_code == Exit.CONFIGURATION
    assert "passphrase does not open" in result.stderr


def test_nothing_is_made_twice(founded: Path, barid: Barid) -> None:
    """A second init in the same folder would destroy keys: it is refused."""
    hub = ("--hub", founded / "hub" / "hub.json")
    request = ("--request", founded / "tn" / "member-request.json")
    exchange = ("--exchange", EXCHANGE)
    for arguments in (
        ("hub", "init", "--data", founded / "hub", *exchange, "--address", "127.0.0.1:8443"),
        ("node", "init", "--data", founded / "tn", *exchange, "--member", "tn", "--desk", "main"),
        ("audit", "init", "--data", founded / "auc", *exchange, "--desk", "auc/audit"),
        ("trust", "init", "--out", founded / "trust", *hub, *request, "--threshold", 1),
        ("trust", "keygen", "--out", founded / "governors" / "tn", *exchange, "--name", "tn"),
    ):
        assert barid(*arguments).exit_code == Exit.CONFIGURATION


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("hub", "init", "--exchange", "BAD", "--address", "127.0.0.1:1"), "--exchange"),
        (("hub", "init", "--exchange", EXCHANGE, "--address", "nowhere"), "--address"),
        (("node", "init", "--exchange", EXCHANGE, "--member", "T N", "--desk", "main"), "--member"),
        (("node", "init", "--exchange", EXCHANGE, "--member", "tn", "--desk", "Main"), "--desk"),
        (("audit", "init", "--exchange", EXCHANGE, "--desk", "auc"), "--desk"),
    ],
)
def test_wrong_argument_makes_nothing(
    barid: Barid, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    """What a settings file would not take is a wrong call, and leaves no half-made folder."""
    data = tmp_path / "new"
    result = barid(*arguments, "--data", data)
    assert result.exit_code == Exit.USAGE
    assert said in result.stderr
    assert not data.exists()


def test_altered_request_is_named(founded: Path, barid: Barid) -> None:
    """A request that its member did not sign is refused, with the file's name."""
    request = founded / "tn" / "member-request.json"
    altered = founded / "altered.json"
    altered.write_bytes(request.read_bytes().replace(b'"member":"tn"', b'"member":"ly"'))
    result = barid(
        *("trust", "init", "--out", founded / "other", "--hub", founded / "hub" / "hub.json"),
        *("--request", altered, "--threshold", 3),
        *governor_options(sorted((founded / "governors").iterdir())),
    )
    assert result.exit_code == Exit.VERIFICATION
    assert str(altered) in result.stderr
    assert not (founded / "other").exists()


def test_folder_that_is_no_directory_is_not_loaded(founded: Path, barid: Barid) -> None:
    """Neither an empty folder nor one with other files is published."""
    empty = founded / "empty"
    empty.mkdir()
    result = barid("hub", "load", "--data", founded / "hub", empty)
    assert (result.exit_code, "TRUST/repository" in result.stderr) == (Exit.CONFIGURATION, True)
    shutil.copy(founded / "hub" / "hub.json", empty)
    assert barid("hub", "load", "--data", founded / "hub", empty).exit_code == Exit.CONFIGURATION


@pytest.fixture
def operator(tmp_path: Path) -> Iterator[Callable[[int, str], Path]]:
    """Answer as a hub's operator address does; gives the data directory of that hub."""
    servers: list[HTTPServer] = []

    def answer(status: int, text: str) -> Path:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status if self.path == "/readyz" else 404)
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_arguments: object) -> None:
                """Say nothing."""

        server = HTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return hub_settings(tmp_path / "hub", server.server_port)

    yield answer
    for server in servers:
        server.shutdown()
        server.server_close()


def hub_settings(data: Path, operator_port: int) -> Path:
    """Write the settings of a hub whose operator asks at a port."""
    settings = HubSettings(
        exchange=EXCHANGE,
        listen=Listen(host="127.0.0.1", port=0),
        operator=Listen(host="127.0.0.1", port=operator_port),
        authority="127.0.0.1:8443",
        names=("127.0.0.1",),
    )
    save_hub(data, settings)
    return data


@pytest.mark.parametrize(
    ("status", "text", "code"),
    [(200, "ready", Exit.OK), (503, "no directory is in force", Exit.UNREACHABLE)],
)
def test_health_is_what_the_hub_says(
    barid: Barid, operator: Callable[[int, str], Path], status: int, text: str, code: Exit
) -> None:
    """Ends 0 when the hub is ready, else 4, and says what the hub said."""
    data = operator(status, text)
    result = barid("hub", "health", "--data", data)
    assert result.exit_code == code
    assert text in result.stdout
    plain = json.loads(barid("hub", "health", "--data", data, "--json").stdout)
    assert plain == {"ready": status == 200, "detail": text}


def test_health_of_a_hub_that_is_down(barid: Barid, tmp_path: Path) -> None:
    """A hub that does not answer is no wrong configuration."""
    data = hub_settings(tmp_path / "hub", 9)
    result = barid("hub", "health", "--data", data)
    assert (result.exit_code, result.stdout) == (Exit.UNREACHABLE, "")
    assert "http://127.0.0.1:9/readyz" in result.stderr


def test_health_without_a_hub(barid: Barid, tmp_path: Path) -> None:
    """A folder without a hub is a wrong configuration, and the message says what to run."""
    result = barid("hub", "health", "--data", tmp_path / "nothing")
    assert result.exit_code == Exit.CONFIGURATION
    assert "init" in result.stderr


def test_nobody_serves_without_an_invitation(barid: Barid, tmp_path: Path) -> None:
    """A node that has not joined, and an auditor that has not, say which command comes first."""
    exchange = ("--exchange", EXCHANGE)
    node, auditor = tmp_path / "tn", tmp_path / "auc"
    barid("node", "init", "--data", node, *exchange, "--member", "tn", "--desk", "main")
    barid("audit", "init", "--data", auditor, *exchange, "--desk", "auc/audit")
    served = barid("node", "serve", "--data", node)
    assert (served.exit_code, "barid node join" in served.stderr) == (Exit.CONFIGURATION, True)
    verified = barid("audit", "verify", "--data", auditor)
    assert (verified.exit_code, "barid audit join" in verified.stderr) == (Exit.CONFIGURATION, True)


def test_auditor_says_that_the_hub_does_not_answer(founded: Path, barid: Barid) -> None:
    """No answer is no finding: nothing is said about the exchange."""
    result = barid("audit", "verify", "--data", founded / "auc")
    assert (result.exit_code, result.stdout) == (Exit.UNREACHABLE, "")
