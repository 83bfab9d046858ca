"""Files beside a bulletin: named, uploaded, downloaded, resumed, and never somebody else's."""

from __future__ import annotations

import hashlib
import json
import secrets
import ssl
import stat
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from broker.certificates import make_certificate
from broker.cli import attaching
from broker.cli.attaching import attach_files, download_attachment, upload_files
from broker.cli.drafts import new_bulletin
from broker.cli.exits import NodeUnreachable
from broker.cli.node_client import NodeClient
from schemas.bulletin import parse_bulletin
from schemas.bulletin.parts import Attachment
from schemas.bulletin.vocabularies import Kind
from schemas.errors import ConfigurationError, ParseError, Problem, VerificationError
from schemas.limits import ATTACHMENTS_MAX, UPLOAD_PIECE_BYTES_MAX
from schemas.problems import MEDIA_TYPE, to_document
from tests.unit.cli.conftest import Barid

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
PLAINTEXT = secrets.token_bytes(UPLOAD_PIECE_BYTES_MAX + 100_000)
PATH = "/desks/tn/main/inbox/ly/main/x/attachments/y"


class Storing:
    """A node that takes uploads and gives downloads, and drops the connection where a test says so."""

    def __init__(self, folder: Path) -> None:
        self.uploads: dict[str, bytes] = {}
        self.served = PLAINTEXT
        self.handed_in: list[tuple[bytes, dict[str, bytes]]] = []
        self.offsets: list[int] = []
        self.ranges: list[str | None] = []
        self.drops = 0
        self.cut_bytes: int | None = None
        self.problem: Problem | None = None
        self.client = NodeClient("", folder / "token", folder / "tls.crt")


def _handler(node: Storing) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            status = 200 if node.problem is None else node.problem.type.status
            self._answer(status, b"", **self._offset())

        def do_PUT(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            offset, name = int(self.headers["Upload-Offset"]), urlsplit(self.path).path
            have = node.uploads.get(name, b"")
            if node.problem is not None or offset != len(have):
                problem = node.problem or Problem("upload-offset", offset=len(have))
                self._answer(problem.type.status, json.dumps(to_document(problem)).encode())
                return
            node.offsets.append(offset)
            node.uploads[name] = have + body
            if node.drops:
                node.drops -= 1
                self.close_connection = True
                return
            self._answer(200, b"{}", **self._offset())

        def do_POST(self) -> None:
            document = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            node.handed_in.append((document, dict(node.uploads)))
            value = {"id": json.loads(document)["id"], "desk": "ly/main", "recipients": []}
            value["witnessed"] = False
            self._answer(200, json.dumps(value).encode())

        def do_GET(self) -> None:
            asked = self.headers.get("Range")
            node.ranges.append(asked)
            start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
            content = node.served[start:]
            self.send_response(206 if asked else 200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if node.cut_bytes is not None:
                self.wfile.write(content[: node.cut_bytes])
                self.close_connection = True
                return
            self.wfile.write(content)

        def _offset(self) -> dict[str, str]:
            parts = urlsplit(self.path)
            assert set(parse_qs(parts.query)) == {"size", "sha256"}
            return {"Upload-Offset": str(len(node.uploads.get(parts.path, b"")))}

        def _answer(self, status: int, body: bytes, **headers: str) -> None:
            self.send_response(status)
            media_type = "application/json" if status == 200 else MEDIA_TYPE
            for name, value in {"Content-Type": media_type, **headers}.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: object) -> None:
            """Say nothing."""

    return Handler


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Storing]:
    """A node over TLS; nobody waits between two tries."""
    monkeypatch.setattr(attaching, "PAUSE_SECONDS", 0.0)
    storing = Storing(tmp_path)
    certificate, key = make_certificate(tmp_path, ("127.0.0.1",), datetime.now(UTC))
    storing.client.token_file.touch(mode=0o600)
    storing.client.token_file.write_text("barid_token\n")
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(storing))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    url = f"https://127.0.0.1:{server.server_port}"
    storing.client = NodeClient(url, storing.client.token_file, certificate)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield storing
    server.shutdown()
    server.server_close()


@pytest.fixture
def document(tmp_path: Path) -> Path:
    """A bulletin of ly/main in a file."""
    path = tmp_path / "bulletin.json"
    path.write_bytes(new_bulletin(Kind.THREAT_BULLETIN, "ly/main", "fr", NOW, attachments=[]))
    return path


@pytest.fixture
def photograph(tmp_path: Path) -> Path:
    """A file to attach."""
    path = tmp_path / "photo graph.jpg"
    path.write_bytes(PLAINTEXT)
    return path


def of(plaintext: bytes) -> Attachment:
    """An attachment as a bulletin names it."""
    return Attachment(
        id="019ab5f0-1c2d-7e3f-8a4b-5c6d7e8f9a0b",
        name="photograph.jpg",
        media_type="image/jpeg",
        size=len(plaintext),
        sha256=hashlib.sha256(plaintext).hexdigest(),
    )


# Naming files.


def test_attach_writes_what_a_bulletin_must_say(
    barid: Barid, document: Path, photograph: Path, tmp_path: Path
) -> None:
    """Id, name, media type, size and hash; the rest of the bulletin stays."""
    other = tmp_path / "notes.unknown"
    other.write_bytes(b"")
    before = parse_bulletin(document.read_bytes())
    assert barid("bulletin", "attach", document, photograph, other).exit_code == 0
    after = parse_bulletin(document.read_bytes())
    first, second = after.attachments
    assert (first.name, first.media_type) == ("photo graph.jpg", "image/jpeg")
    assert (first.size, first.sha256) == (len(PLAINTEXT), hashlib.sha256(PLAINTEXT).hexdigest())
    assert (second.media_type, second.size) == ("application/octet-stream", 0)
    assert after.model_copy(update={"attachments": ()}) == before


def test_a_file_is_attached_once(document: Path, photograph: Path) -> None:
    """Under whatever name; the bulletin stays as it was."""
    attach_files(document, [photograph])
    before = document.read_bytes()
    again = photograph.rename(photograph.with_name("again.jpg"))
    with pytest.raises(ConfigurationError, match="attached already"):
        attach_files(document, [again])
    with pytest.raises(ConfigurationError, match="no file"):
        attach_files(document, [photograph])
    assert document.read_bytes() == before


def test_too_many_files_are_refused(document: Path, tmp_path: Path) -> None:
    """The schema's limit, before anything is written."""
    paths = [tmp_path / f"{number}.txt" for number in range(ATTACHMENTS_MAX + 1)]
    for number, path in enumerate(paths):
        path.write_text(str(number))
    before = document.read_bytes()
    with pytest.raises(ParseError):
        attach_files(document, paths)
    assert document.read_bytes() == before


# Uploading.


def test_a_file_is_uploaded_in_pieces(node: Storing, document: Path, photograph: Path) -> None:
    """All of it, once; what the node has does not travel again."""
    attach_files(document, [photograph])
    bulletin = parse_bulletin(document.read_bytes())
    upload_files(node.client, bulletin, [photograph])
    upload_files(node.client, bulletin, [photograph])
    assert list(node.uploads.values()) == [PLAINTEXT]
    assert node.offsets == [0, UPLOAD_PIECE_BYTES_MAX]


def test_a_cut_upload_goes_on(node: Storing, document: Path, photograph: Path) -> None:
    """The node took a piece and its answer was lost: the next one follows behind it."""
    attach_files(document, [photograph])
    node.drops = 1
    upload_files(node.client, parse_bulletin(document.read_bytes()), [photograph])
    assert list(node.uploads.values()) == [PLAINTEXT]
    assert node.offsets == [0, UPLOAD_PIECE_BYTES_MAX]


def test_an_empty_file_is_uploaded(node: Storing, document: Path, tmp_path: Path) -> None:
    """Its one piece has no bytes, and must be sent all the same."""
    empty = tmp_path / "empty.txt"
    empty.touch()
    attach_files(document, [empty])
    upload_files(node.client, parse_bulletin(document.read_bytes()), [empty])
    assert (list(node.uploads.values()), node.offsets) == ([b""], [0])


def test_a_node_that_stays_away_ends_it(node: Storing, document: Path, photograph: Path) -> None:
    """After a few tries it is said, and nothing hangs."""
    attach_files(document, [photograph])
    client = NodeClient("https://127.0.0.1:1", node.client.token_file, node.client.trust_file)
    with pytest.raises(NodeUnreachable):
        upload_files(client, parse_bulletin(document.read_bytes()), [photograph])


def test_what_the_node_says_is_told(node: Storing, document: Path, photograph: Path) -> None:
    """A refusal is not tried again, and its cause is the node's own word."""
    attach_files(document, [photograph])
    node.problem = Problem("disk-full")
    with pytest.raises(Problem, match="disk-full"):
        upload_files(node.client, parse_bulletin(document.read_bytes()), [photograph])


def test_a_file_changed_since_is_not_uploaded(
    node: Storing, document: Path, photograph: Path
) -> None:
    """The bulletin does not name it as it is."""
    attach_files(document, [photograph])
    photograph.write_bytes(b"changed")
    with pytest.raises(ConfigurationError, match="does not name"):
        upload_files(node.client, parse_bulletin(document.read_bytes()), [photograph])
    assert node.uploads == {}


def test_send_uploads_before_it_hands_in(
    barid: Barid, node: Storing, document: Path, photograph: Path
) -> None:
    """The bulletin's exact bytes, once its files are at the node."""
    barid("bulletin", "attach", document, photograph)
    client = node.client
    options = ("--node", client.url, "--token-file", client.token_file, "--ca", client.trust_file)
    result = barid(
        *("bulletin", "send", document, "--to", "tn/main", "--attach", photograph, *options)
    )
    assert result.exit_code == 0, result.output
    [(handed_in, uploads)] = node.handed_in
    assert handed_in == document.read_bytes()
    assert list(uploads.values()) == [PLAINTEXT]


# Downloading.


def test_a_download_is_private_and_whole(node: Storing, tmp_path: Path) -> None:
    """Mode 0600, under its name only when it is right."""
    target = tmp_path / "photograph.jpg"
    download_attachment(node.client, PATH, of(PLAINTEXT), target)
    assert target.read_bytes() == PLAINTEXT
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert not list(tmp_path.glob("*.part"))


def test_a_cut_download_goes_on(node: Storing, tmp_path: Path) -> None:
    """What came stays; the rest is asked for by its offset, in this call and in a later one."""
    target = tmp_path / "photograph.jpg"
    node.cut_bytes = 0
    with pytest.raises(NodeUnreachable):
        download_attachment(node.client, PATH, of(PLAINTEXT), target)
    target.with_name("photograph.jpg.part").write_bytes(PLAINTEXT[:1_000_000])
    node.ranges.clear()
    node.cut_bytes = None
    download_attachment(node.client, PATH, of(PLAINTEXT), target)
    assert target.read_bytes() == PLAINTEXT
    assert node.ranges == ["bytes=1000000-"]


@pytest.mark.parametrize("served", [PLAINTEXT[:-1] + bytes([PLAINTEXT[-1] ^ 1]), PLAINTEXT + b"!"])
def test_another_file_is_not_kept(node: Storing, tmp_path: Path, served: bytes) -> None:
    """The verified bulletin says which file it is."""
    node.served = served
    with pytest.raises(VerificationError):
        download_attachment(node.client, PATH, of(PLAINTEXT), tmp_path / "photograph.jpg")
    assert not (tmp_path / "photograph.jpg").exists()


def test_a_wrong_beginning_is_not_kept(node: Storing, tmp_path: Path) -> None:
    """What somebody left as `.part` is not trusted; the next try begins anew."""
    part = tmp_path / "photograph.jpg.part"
    part.write_bytes(b"something else")
    with pytest.raises(VerificationError):
        download_attachment(node.client, PATH, of(PLAINTEXT), tmp_path / "photograph.jpg")
    assert not part.exists()
    download_attachment(node.client, PATH, of(PLAINTEXT), tmp_path / "photograph.jpg")


def test_nothing_is_overwritten_and_no_link_followed(node: Storing, tmp_path: Path) -> None:
    """What is there stays; a link in the place of the unfinished file leads nowhere."""
    target = tmp_path / "photograph.jpg"
    target.write_bytes(b"mine")
    with pytest.raises(ConfigurationError, match="exists"):
        download_attachment(node.client, PATH, of(PLAINTEXT), target)
    assert target.read_bytes() == b"mine"
    other = tmp_path / "other.jpg"
    other.with_name("other.jpg.part").symlink_to(target)
    with pytest.raises(OSError, match=r"symbolic links"):
        download_attachment(node.client, PATH, of(PLAINTEXT), other)
    assert target.read_bytes() == b"mine"


def test_an_empty_file_is_downloaded(node: Storing, tmp_path: Path) -> None:
    """It is there, and empty."""
    node.served = b""
    download_attachment(node.client, PATH, of(b""), tmp_path / "empty.txt")
    assert (tmp_path / "empty.txt").read_bytes() == b""
