"""`barid release`: a person's own key, what that person is shown, and nodes that lie about it."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from broker.cli.drafts import new_bulletin
from broker.cli.exits import Exit
from broker.cli.options import utc_now
from broker.node.outbox.drafts import outgoing_of
from keys.ceremony import read_member_request
from keys.derivation import sha256_hex
from keys.dsse import verify_statement
from keys.keystore import Keystore
from keys.release import ReleaseDraft, draft_release, recipient_hash
from keys.release_keys import load_release_key
from keys.signing import VerifyingIdentity
from schemas.bulletin.vocabularies import Kind, Precedence
from schemas.errors import Problem
from schemas.loader import dump_json, parse
from schemas.scalars import encode_base64
from schemas.statements import PayloadType, Statement
from tests.unit.cli.conftest import Barid
from tests.unit.cli.fake_node import TOKEN, FakeNode, fake_node

EXCHANGE = "tripoli-test"
DESK = "ly/main"
DESKS = ("dz/main", "ne/main", "tn/main")
FILE = b"a photograph of a lorry"

pytestmark = pytest.mark.usefixtures("_cheap_keystores")


class Node:
    """A node that wants a bulletin for three desks released, and lies where a test wants it to."""

    def __init__(self, fake: FakeNode) -> None:
        self.fake = fake
        self.document = new_bulletin(
            Kind.THREAT_BULLETIN,
            DESK,
            "en",
            utc_now(),
            attachments=[
                {
                    "id": "019ab5f0-1c2d-7e3f-8a4b-5c6d7e8f9a0c",
                    "name": "lorry.jpg",
                    "media_type": "image/jpeg",
                    "size": len(FILE),
                    "sha256": hashlib.sha256(FILE).hexdigest(),
                }
            ],
        )
        self.bulletin = json.loads(self.document)
        self.outgoing = outgoing_of(
            self.document, Precedence.PRIORITY, utc_now() + timedelta(days=7), bytes(32)
        )
        self.draft = draft_release(self.outgoing, EXCHANGE, DESKS, utc_now())
        self.serve(self.draft)

    @property
    def path(self) -> str:
        """Where the release is."""
        return f"/v1/desks/{DESK}/releases/{self.bulletin['id']}"

    def view(self, draft: ReleaseDraft, **changed: Any) -> dict[str, Any]:
        """What the node shows of a draft."""
        return {
            "payload": encode_base64(dump_json(draft.release)),
            "document": encode_base64(self.document),
            "salts": {desk: encode_base64(salt) for desk, salt in draft.salts.items()},
            "empty_salts": [encode_base64(salt) for salt in draft.empty_salts],
            "signers": [],
            "needed": 2,
        } | changed

    def serve(self, draft: ReleaseDraft, **changed: Any) -> None:
        """Show it from now on."""
        self.fake.answer(self.path, self.view(draft, **changed))

    def changed(self, **members: Any) -> ReleaseDraft:
        """The draft with another release."""
        return replace(self.draft, release=self.draft.release.model_copy(update=members))

    @property
    def posted(self) -> list[Statement]:
        """What was signed and handed in."""
        return [
            parse(Statement, each.body, 10**6) for each in self.fake.asked if each.method == "POST"
        ]


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    """The node over TLS."""
    folder = tmp_path / "node"
    folder.mkdir()
    with fake_node(folder) as serving:
        yield Node(serving)


@pytest.fixture
def keys(barid: Barid, tmp_path: Path) -> Path:
    """A person's key."""
    return keygen(barid, tmp_path / "amal")


def keygen(barid: Barid, out: Path, exchange: str = EXCHANGE) -> Path:
    """Make a key as a person does."""
    result = barid("release", "keygen", "--out", out, "--exchange", exchange, "--name", out.name)
    assert result.exit_code == 0, result.stderr
    return out


def show(barid: Barid, node: Node, *more: object) -> Result:
    """`release show`."""
    return barid(
        *("release", "show", node.bulletin["id"], "--desk", DESK, *node.fake.options), *more
    )


def sign(barid: Barid, node: Node, keys: Path, *more: object, typed: str = "3\n") -> Result:
    """`release sign`, a person typing the number of desks."""
    return barid(
        *("release", "sign", node.bulletin["id"], "--desk", DESK, "--keys", keys),
        *node.fake.options,
        *more,
        text=typed,
    )


SIGNED = {
    "id": "019ab5f0-1c2d-7e3f-8a4b-5c6d7e8f9a0b",
    "signers": ["0" * 64],
    "needed": 2,
    "recipients": [{"desk": "tn/main", "state": "unreleased"}],
}


def test_a_key_of_ones_own(barid: Barid, tmp_path: Path) -> None:
    """The public half is a file to hand over; the private one is in a keystore, and never printed."""
    out = tmp_path / "amal"
    result = barid("release", "keygen", "--out", out, "--exchange", EXCHANGE, "--name", "Amal")
    key = load_release_key(Keystore.open(out / "keystore", b"a passphrase of tests"))
    assert (key.exchange, key.keyid in result.stdout) == (EXCHANGE, True)
    public = json.loads((out / "release-public.json").read_bytes())
    assert (public["name"], public["exchange"]) == ("Amal", EXCHANGE)
    assert base64.b64decode(public["key"]["ed25519"]) == key.identity.public.ed25519
    seeds = key.identity.seeds()
    for file in out.rglob("*"):
        if file.is_file():
            assert seeds[:32] not in file.read_bytes()
    again = barid("release", "keygen", "--out", out, "--exchange", EXCHANGE)
    assert again.exit_code == Exit.CONFIGURATION
    kept = load_release_key(Keystore.open(out / "keystore", b"a passphrase of tests"))
    assert kept.keyid == key.keyid


@pytest.mark.parametrize("exchange", ["NOT ONE", "x"])
def test_no_key_for_no_exchange(barid: Barid, tmp_path: Path, exchange: str) -> None:
    """A wrong name would make a key that counts nowhere."""
    out = tmp_path / "amal"
    result = barid("release", "keygen", "--out", out, "--exchange", exchange)
    assert (result.exit_code, out.exists()) == (Exit.USAGE, False)


def test_a_member_declares_its_people(barid: Barid, tmp_path: Path) -> None:
    """`node init` reads their public keys, says whose they are, and writes them into the request."""
    amal, omar, nour = (keygen(barid, tmp_path / name) for name in ("amal", "omar", "nour"))
    made = init(
        barid,
        tmp_path / "ly",
        *("--release-key", f"main={amal}/release-public.json"),
        *("--release-key", f"main={omar}/release-public.json"),
        *("--release-key", f"judicial={nour}/release-public.json"),
        *("--release-threshold", "main=2", "--release-threshold", "judicial=1"),
    )
    assert made.exit_code == 0, made.stderr
    request = read_member_request((tmp_path / "ly" / "member-request.json").read_bytes())
    declared = request.file.desks
    assert {unit: desk.release_threshold for unit, desk in declared.items()} == {
        "judicial": 1,
        "main": 2,
    }
    keyids = [VerifyingIdentity.from_key(key).keyid(EXCHANGE) for key in declared["main"].release]
    for who, keyid in zip((amal, omar), keyids, strict=True):
        assert f"{who.name} releases for main: {keyid}" in made.stdout


def init(barid: Barid, data: Path, *more: object) -> Result:
    """`node init` of ly with two desks."""
    return barid(
        *("node", "init", "--data", data, "--exchange", EXCHANGE, "--member", "ly"),
        *("--desk", "main", "--desk", "judicial"),
        *more,
    )


@pytest.mark.parametrize(
    ("given", "code"),
    [
        (("--release-key", "main={amal}"), Exit.USAGE),
        (("--release-threshold", "main=1"), Exit.USAGE),
        (("--release-key", "main=nothing", "--release-threshold", "main=1"), Exit.USAGE),
        (("--release-key", "{amal}", "--release-threshold", "main=1"), Exit.USAGE),
        (("--release-key", "main={amal}", "--release-threshold", "main=x"), Exit.USAGE),
        (("--release-key", "main={amal}", "--release-threshold", "main=0"), Exit.CONFIGURATION),
        (("--release-key", "main={amal}", "--release-threshold", "main=2"), Exit.CONFIGURATION),
        (
            ("--release-key", "customs={amal}", "--release-threshold", "customs=1"),
            Exit.CONFIGURATION,
        ),
        (("--release-key", "main={other}", "--release-threshold", "main=1"), Exit.CONFIGURATION),
        (
            ("--release-key", "main={passphrase}", "--release-threshold", "main=1"),
            Exit.CONFIGURATION,
        ),
        (
            (
                *("--release-key", "main={amal}", "--release-threshold", "main=1"),
                *("--release-key", "judicial={amal}", "--release-threshold", "judicial=1"),
            ),
            Exit.CONFIGURATION,
        ),
    ],
)
def test_people_that_do_not_fit(
    barid: Barid, tmp_path: Path, given: tuple[str, ...], code: Exit
) -> None:
    """No threshold, no key, too many needed, no such desk, another exchange, one key twice."""
    files = {
        "amal": keygen(barid, tmp_path / "amal") / "release-public.json",
        "other": keygen(barid, tmp_path / "other", "another-exchange") / "release-public.json",
        "passphrase": tmp_path / "passphrase",
    }
    result = init(barid, tmp_path / "ly", *(each.format(**files) for each in given))
    assert (result.exit_code, (tmp_path / "ly").exists()) == (code, False), result.stderr


def test_all_of_it_is_shown(barid: Barid, node: Node) -> None:
    """Text and marking, every desk, precedence, end, attachments, hashes, and who has signed."""
    node.serve(node.draft, signers=["a" * 64])
    result = show(barid, node)
    assert result.exit_code == 0, result.stderr
    release = node.draft.release
    for said in (
        node.bulletin["title"]["en"],
        "TLP:GREEN // UNCLASSIFIED",
        "THIS IS NOT REAL",
        "to 3 desks, and no other:",
        *(f"  {number}  {desk}" for number, desk in enumerate(DESKS, start=1)),
        "precedence  priority",
        f"bulletin    SHA-256 {sha256_hex(node.document)}",
        f"release     SHA-256 {sha256_hex(dump_json(release))}",
        f"SHA-256 {hashlib.sha256(FILE).hexdigest()}, lorry.jpg",
        "1 of 2 people have signed",
        "a" * 64,
    ):
        assert said in result.stdout, said


def test_a_withdrawal_and_a_correction_are_named(barid: Barid, node: Node) -> None:
    """What it does to another bulletin is part of what is signed."""
    other = "019ab5f0-1c2d-7e3f-8a4b-5c6d7e8f9a0d"
    node.serve(node.changed(supersedes=other))
    assert f"REPLACES    {other}" in show(barid, node).stdout
    node.document = new_bulletin(
        Kind.WITHDRAWAL,
        DESK,
        "en",
        utc_now(),
        withdraws=other,
    )
    node.bulletin = json.loads(node.document)
    outgoing = outgoing_of(
        node.document, Precedence.FLASH, utc_now() + timedelta(days=1), bytes(32)
    )
    node.serve(draft_release(outgoing, EXCHANGE, DESKS, utc_now()))
    assert f"WITHDRAWS   {other}" in show(barid, node).stdout


def test_a_person_signs_what_was_shown(barid: Barid, node: Node, keys: Path) -> None:
    """Exactly the bytes of the release, with the own key, once the number of desks was typed."""
    payload = dump_json(node.draft.release)
    result = signing(barid, node, keys)
    assert result.exit_code == 0, result.stderr
    [statement] = node.posted
    key = load_release_key(Keystore.open(keys / "keystore", b"a passphrase of tests"))
    identity = VerifyingIdentity.from_key(key.identity.public)
    verify_statement(statement, PayloadType.RELEASE, {key.keyid: identity})
    assert statement.payload == payload
    assert "to 3 desks, and no other:" in result.stdout
    assert "1 of 2 people have signed" in result.stdout
    assert {each.token for each in node.fake.asked} == {f"Bearer {TOKEN}"}


def signing(barid: Barid, node: Node, keys: Path, *more: object, typed: str = "3\n") -> Result:
    """Sign at a node that takes it: it answers GET with the draft, POST with where it stands."""
    node.fake.posts[node.path] = (200, "application/json", json.dumps(SIGNED).encode())
    return sign(barid, node, keys, *more, typed=typed)


@pytest.mark.parametrize("typed", ["2\n", "4\n", "yes\n", "dz/main\n"])
def test_a_person_who_did_not_look_signs_nothing(
    barid: Barid, node: Node, keys: Path, typed: str
) -> None:
    """Only the number of desks that are listed is an answer."""
    result = signing(barid, node, keys, typed=typed)
    assert (result.exit_code, node.posted) == (Exit.REFUSED, [])
    assert "nothing was signed" in result.stderr


def test_without_a_question_the_one_release_that_was_shown(
    barid: Barid, node: Node, keys: Path
) -> None:
    """Its SHA-256 stands for all of it: a node that shows another later gets nothing."""
    expected = sha256_hex(dump_json(node.draft.release))
    node.serve(draft_release(node.outgoing, EXCHANGE, (*DESKS, "ma/main"), utc_now()))
    other = signing(barid, node, keys, "--expect-sha256", expected, typed="")
    assert (other.exit_code, node.posted) == (Exit.VERIFICATION, [])
    node.serve(node.draft)
    result = signing(barid, node, keys, "--expect-sha256", expected, typed="")
    assert (result.exit_code, len(node.posted)) == (0, 1)


def _another_text(node: Node) -> dict[str, Any]:
    shown = json.dumps(node.bulletin | {"title": {"en": "harmless"}}).encode()
    return node.view(node.draft, document=encode_base64(shown))


def _a_desk_unseen(node: Node) -> dict[str, Any]:
    whole = draft_release(node.outgoing, EXCHANGE, (*DESKS, "ma/main"), utc_now())
    salts = {desk: encode_base64(whole.salts[desk]) for desk in DESKS}
    return node.view(whole, salts=salts)


def _a_desk_as_an_empty_name(node: Node) -> dict[str, Any]:
    salts = {desk: encode_base64(node.draft.salts[desk]) for desk in DESKS[:2]}
    empty = [*node.draft.empty_salts, node.draft.salts[DESKS[2]]]
    return node.view(node.draft, salts=salts, empty_salts=[encode_base64(each) for each in empty])


def _another_name(node: Node) -> dict[str, Any]:
    salts = {desk: encode_base64(salt) for desk, salt in node.draft.salts.items()}
    return node.view(node.draft, salts=salts | {"ma/main": salts.pop("tn/main")})


def _a_name_to_show(name: str) -> Callable[[Node], dict[str, Any]]:
    def shown(node: Node) -> dict[str, Any]:
        salts = dict(node.draft.salts)
        first, *others = node.draft.empty_salts
        hashes = [recipient_hash(salt, desk) for desk, salt in salts.items()]
        hashes += [recipient_hash(first, name if name.isascii() else "")]
        draft = node.changed(recipients=tuple(sorted(hashes)))
        written = {desk: encode_base64(salt) for desk, salt in salts.items()}
        return node.view(
            draft,
            salts=written | {name: encode_base64(first)},
            empty_salts=[encode_base64(each) for each in others],
        )

    return shown


def _release(**members: Any) -> Callable[[Node], dict[str, Any]]:
    return lambda node: node.view(node.changed(**members))


def _bulletin(**members: Any) -> Callable[[Node], dict[str, Any]]:
    """The hashes are right; the bulletin itself says something else."""

    def shown(node: Node) -> dict[str, Any]:
        value = node.bulletin | members
        document = json.dumps(value).encode()
        named = node.draft.release.bulletin.model_copy(update={"sha256": sha256_hex(document)})
        return node.view(node.changed(bulletin=named), document=encode_base64(document))

    return shown


def _later(**duration: int) -> Any:
    return utc_now() + timedelta(**duration)


OTHER = "019ab5f0-1c2d-7e3f-8a4b-5c6d7e8f9a0d"

HOSTILE: dict[str, Callable[[Node], Any]] = {
    "shows one bulletin and has another signed": _another_text,
    "has a desk signed that it does not show": _a_desk_unseen,
    "calls a desk an empty name": _a_desk_as_an_empty_name,
    "shows another desk than is signed": _another_name,
    "shows a desk without a name": _a_name_to_show(""),
    "shows a desk with a name of spaces": _a_name_to_show("  "),
    "shows a desk that writes backwards": _a_name_to_show("tn/main\u202e"),
    "leaves a salt out": lambda node: node.view(node.draft, empty_salts=[]),
    "shows no desk at all": lambda node: node.view(node.draft, salts={}),
    "has another bulletin's id signed": lambda node: node.view(
        node.changed(bulletin=node.draft.release.bulletin.model_copy(update={"id": OTHER}))
    ),
    "has another desk's release signed": _release(from_="ly/judicial"),
    "shows a bulletin of another desk": _bulletin(
        originator={"desk": "ly/judicial", "agency": "another", "contact": "none"}
    ),
    "shows a bulletin with another id": _bulletin(id=OTHER),
    "has a withdrawal signed that the bulletin is not": _release(withdraws=OTHER),
    "has it signed for another exchange": _release(exchange="the-real-exchange"),
    "dates it in the future": lambda node: node.view(
        node.changed(released=_later(hours=1), expires=_later(days=2))
    ),
    "has something signed that has expired": lambda node: node.view(
        node.changed(released=_later(days=-2), expires=_later(days=-1))
    ),
    "has it signed for ever": lambda node: node.view(node.changed(expires=_later(days=3650))),
    "shows no bulletin": _bulletin(title={}),
    "has something else signed than a release": lambda node: node.view(
        node.draft, payload=encode_base64(b'{"v":1}')
    ),
    "adds a member": lambda node: node.view(node.draft, note="all is well"),
    "answers nonsense": lambda _node: b"{",
}
"""What a node in a thief's hands may try: nothing of it is signed."""


@pytest.mark.parametrize("lie", HOSTILE)
def test_a_hostile_node_gets_no_signature(barid: Barid, node: Node, keys: Path, lie: str) -> None:
    """Refused before the question, whatever a person would have typed."""
    node.fake.answer(node.path, HOSTILE[lie](node))
    for typed in ("3\n", "4\n"):
        result = signing(barid, node, keys, typed=typed)
        assert (result.exit_code, node.posted) == (Exit.VERIFICATION, []), result.stdout


def test_what_differs_openly_is_shown(barid: Barid, node: Node, keys: Path) -> None:
    """Another precedence, end or desk that hashes right is on the screen: it is the person who decides."""
    whole = draft_release(node.outgoing, EXCHANGE, (*DESKS, "ma/main"), utc_now())
    node.serve(
        replace(
            whole,
            release=whole.release.model_copy(
                update={"precedence": Precedence.FLASH, "expires": _later(days=29)}
            ),
        )
    )
    result = signing(barid, node, keys)
    assert (result.exit_code, node.posted) == (Exit.REFUSED, [])
    for said in ("precedence  flash", "ma/main", "to 4 desks, and no other:"):
        assert said in result.stdout


def test_clocks_may_differ_a_little(barid: Barid, node: Node, keys: Path) -> None:
    """Two machines are never of one mind to the second."""
    node.serve(node.changed(released=_later(minutes=4)))
    assert signing(barid, node, keys).exit_code == 0


def test_attachments_are_what_is_signed(barid: Barid, node: Node, tmp_path: Path) -> None:
    """Downloaded and compared; another file is refused, and nothing of it is kept."""
    [named] = node.bulletin["attachments"]
    path = f"{node.path}/attachments/{named['id']}"
    folder = tmp_path / "files"
    node.fake.answer(path, b"x" * len(FILE))
    result = show(barid, node, "--attachments", folder)
    assert (result.exit_code, list(folder.iterdir())) == (Exit.VERIFICATION, [])
    node.fake.answer(path, FILE)
    assert show(barid, node, "--attachments", folder).exit_code == 0
    assert (folder / "01-lorry.jpg").read_bytes() == FILE


def test_what_waits_is_listed(barid: Barid, node: Node) -> None:
    """As a table and as JSON; an empty list says so."""
    path = f"/v1/desks/{DESK}/releases"
    listed = {
        "id": OTHER,
        "kind": "threat_bulletin",
        "status": "test",
        "title": {"en": "Weapons"},
        "precedence": "flash",
        "queued": "2026-11-24T22:00:00Z",
        "expires": "2026-12-24T22:00:00Z",
        "recipients": 3,
        "signed": 1,
        "needed": 2,
    }
    node.fake.answer(path, {"releases": [listed]})
    command = ("release", "list", "--desk", DESK, *node.fake.options)
    assert "1 of 2" in barid(*command).stdout
    assert json.loads(barid(*command, "--json").stdout) == {"releases": [listed]}
    node.fake.answer(path, {"releases": []})
    assert "Nothing waits" in barid(*command).stderr


def test_a_refusal_of_the_node_is_explained(barid: Barid, node: Node, keys: Path) -> None:
    """As what somebody released or withdrew meanwhile."""
    node.fake.refuse(node.path, Problem("withdrawn"))
    result = sign(barid, node, keys)
    assert (result.exit_code, "(withdrawn)" in result.stderr) == (Exit.REFUSED, True)


def test_a_folder_without_a_key(barid: Barid, node: Node, tmp_path: Path) -> None:
    """A keystore of something else, as a node's, releases nothing."""
    folder = tmp_path / "node-data"
    folder.mkdir()
    Keystore.create(folder / "keystore", b"a passphrase of tests").put("database", bytes(32))
    result = signing(barid, node, folder)
    assert (result.exit_code, node.fake.asked) == (Exit.CONFIGURATION, [])
    assert "release keygen" in result.stderr


def test_a_key_belongs_to_its_exchange(barid: Barid, node: Node, tmp_path: Path) -> None:
    """The name is sealed with the seeds: a renamed file opens nothing."""
    keys = keygen(barid, tmp_path / "omar", "another-exchange")
    assert signing(barid, node, keys).exit_code == Exit.VERIFICATION
    [file] = (keys / "keystore").glob("release.*.key")
    file.rename(file.with_name(f"release.{EXCHANGE}.key"))
    assert (signing(barid, node, keys).exit_code, node.posted) == (Exit.VERIFICATION, [])
